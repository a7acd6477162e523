//! What carries events from one function to the next, on AWS: streams, queue and schedules.
//!
//! Everything hangs on the inbox's stream: the function that is mapped to it is `sync-event`, whose environment names
//! the queue and the destination, and whose name names the stack.

use super::{Area, Findings};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;
use certbridge_platform::{Env, aws};
use certbridge_store::TableFacts;
use serde_json::Value;
use std::collections::BTreeMap;

const AREA: Area = Area::Wiring;
const DEPLOY: &str = "`sam deploy` puts it back as template.yaml has it";
/// What functions of the stack are called after its name.
const SYNC_EVENT: &str = "-SyncEventFunction-";
const NOTIFY: &str = "-NotifyFunction-";
/// Which function each table's stream goes to, and what for.
const STREAMS: [(&str, &str, &str, &str); 3] = [
    ("inbox", SYNC_EVENT, "wiring.inbox-stream", "accepted events are worked on"),
    ("inbox", NOTIFY, "wiring.set-aside-stream", "what is set aside is told"),
    ("audit", NOTIFY, "wiring.audit-stream", "audit rows are watched"),
];
/// The schedules that a deployment always has.
const SCHEDULES: [&str; 5] = ["Sweep", "Poll", "SubscriptionCheck", "Nightly", "NightlyCheckpoint"];

/// Looks at it, and gives the environment of `sync-event`, if it is found.
pub(super) async fn examine(found: &mut Findings, tables: &[TableFacts]) -> Option<Env> {
    let config = aws::sdk_config().await;
    let lambda = aws_sdk_lambda::Client::new(&config);
    let stream = |role: &str| tables.iter().find(|table| table.role == role)?.stream.clone();
    let mut function = None;
    for (role, name, id, what) in STREAMS {
        let Some(arn) = stream(role) else {
            found.failed(AREA, id, format!("the {role} table has no stream"), DEPLOY);
            continue;
        };
        let mapped = mapped(found, &lambda, id, &arn, name, what).await;
        if name == SYNC_EVENT {
            function = mapped;
        }
    }
    let Some(function) = function else {
        found.skipped(AREA, "wiring.queue", "sync-event was not found by the inbox's stream");
        return None;
    };
    let configured = lambda.get_function_configuration().function_name(&function).send().await;
    let variables = match configured {
        Ok(answer) => answer.environment.and_then(|environment| environment.variables).unwrap_or_default(),
        Err(error) => {
            let what = format!("lambda:GetFunctionConfiguration: {}", error.code().unwrap_or("no answer"));
            found.skipped(AREA, "wiring.function", what);
            return None;
        }
    };
    let env: BTreeMap<_, _> = variables.into_iter().collect();
    if let Some(url) = env.get("RETRY_QUEUE_URL") {
        queue(found, &lambda, &aws_sdk_sqs::Client::new(&config), url).await;
    }
    // `arn:..:function:{stack}-SyncEventFunction-..`
    let name = function.rsplit(':').next().unwrap_or_default();
    if let Some((stack, _)) = name.split_once(SYNC_EVENT) {
        schedules(found, &aws_sdk_scheduler::Client::new(&config), stack).await;
    }
    Some(env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
}

/// The function of this name that a stream or a queue is mapped to. There may be others.
async fn mapped(
    found: &mut Findings,
    lambda: &aws_sdk_lambda::Client,
    id: &str,
    arn: &str,
    name: &str,
    what: &str,
) -> Option<String> {
    let listed = lambda.list_event_source_mappings().event_source_arn(arn).send().await;
    let mappings = match listed {
        Ok(answer) => answer.event_source_mappings.unwrap_or_default(),
        Err(error) => {
            let code = error.code().unwrap_or("no answer");
            found.skipped(AREA, id, format!("lambda:ListEventSourceMappings: {code}"));
            return None;
        }
    };
    let is_to = |function: Option<&str>| function.is_some_and(|function| function.contains(name));
    let Some(mapping) = mappings.iter().find(|mapping| is_to(mapping.function_arn.as_deref())) else {
        let what = format!("no function called ..{name}.. is mapped to it");
        found.failed(AREA, id, what, DEPLOY);
        return None;
    };
    let state = mapping.state.as_deref().unwrap_or("in no known state");
    let result = mapping.last_processing_result.as_deref().unwrap_or_default();
    match state {
        "Enabled" | "Creating" | "Enabling" | "Updating" if !result.starts_with("PROBLEM") => {
            found.ok(AREA, id, format!("{what}; {result}").trim_end_matches("; ").to_owned());
        }
        "Enabled" => found.failed(AREA, id, result.to_owned(), "mend what it says, most often a permission"),
        _ => found.failed(AREA, id, format!("its mapping is {state}"), "enable the event source mapping"),
    }
    mapping.function_arn.clone()
}

async fn queue(found: &mut Findings, lambda: &aws_sdk_lambda::Client, sqs: &aws_sdk_sqs::Client, url: &str) {
    let id = "wiring.queue";
    let answer = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await;
    let attributes = match answer {
        Ok(answer) => answer.attributes.unwrap_or_default(),
        Err(error) => {
            let code = aws_sdk_sqs::error::ProvideErrorMetadata::code(&error).unwrap_or("no answer");
            return found.failed(AREA, id, format!("sqs:GetQueueAttributes: {code}"), DEPLOY);
        }
    };
    let of = |name: QueueAttributeName| attributes.get(&name).map(String::as_str);
    let number = of(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or("0").to_owned();
    if let Some(arn) = of(QueueAttributeName::QueueArn) {
        mapped(found, lambda, id, arn, SYNC_EVENT, &format!("{number} messages wait")).await;
    }
    let redrive: Value =
        of(QueueAttributeName::RedrivePolicy).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let id = "wiring.dead-letters";
    let Some(dead) = redrive["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next()) else {
        return found.failed(
            AREA,
            id,
            "what cannot be followed ends nowhere: the queue has no dead-letter queue",
            DEPLOY,
        );
    };
    let Some(dead) = sqs.get_queue_url().queue_name(dead).send().await.ok().and_then(|answer| answer.queue_url) else {
        return found.skipped(AREA, id, "sqs:GetQueueUrl gives no address of it");
    };
    let wanted = QueueAttributeName::ApproximateNumberOfMessages;
    let answer = sqs.get_queue_attributes().queue_url(dead).attribute_names(wanted.clone()).send().await;
    let number = answer.ok().and_then(|answer| answer.attributes?.remove(&wanted));
    match number.as_deref() {
        None => found.skipped(AREA, id, "sqs:GetQueueAttributes does not tell how many wait there"),
        Some("0") => found.ok(AREA, id, "none"),
        Some(number) => {
            let mend = "their events are swept up again if they are pending: read the messages, then purge the queue";
            found.warning(AREA, id, format!("{number} messages"), mend);
        }
    }
}

async fn schedules(found: &mut Findings, scheduler: &aws_sdk_scheduler::Client, stack: &str) {
    let prefix = format!("{stack}-");
    let listed = scheduler.list_schedules().name_prefix(&prefix).send().await;
    let listed = match listed {
        Ok(answer) => answer.schedules,
        Err(error) => {
            let code = aws_sdk_scheduler::error::ProvideErrorMetadata::code(&error).unwrap_or("no answer");
            return found.skipped(AREA, "wiring.schedules", format!("scheduler:ListSchedules: {code}"));
        }
    };
    for name in SCHEDULES {
        let begin = format!("{prefix}{name}-");
        let id = format!("wiring.schedule.{}", name.to_lowercase());
        let of = listed.iter().find(|one| one.name.as_deref().is_some_and(|name| name.starts_with(&begin)));
        match of.map(|one| one.state.as_ref().map_or("ENABLED", |state| state.as_str())) {
            Some("ENABLED") => found.ok(AREA, id, "enabled"),
            Some(state) => found.failed(AREA, id, format!("it is {state}"), "enable the schedule"),
            None => found.failed(AREA, id, format!("there is no schedule {begin}.."), DEPLOY),
        }
    }
}
