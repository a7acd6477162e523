//! What no linter knows of the template: that it agrees with the code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod permissions;
mod yaml;

use certbridge_platform::{Env, http::routes::ROUTES};
use certbridge_store::schema::{GRANTS, IDS, PENDING_INDEX, attribute};
use certbridge_sync::{delivery, reconcile::Verdict, row::InboxState};
use certbridge_wiring::EngineConfig;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    yaml::to_json(&std::fs::read_to_string(path).unwrap())
});

fn resource(name: &str) -> &'static Value {
    let resource = &TEMPLATE["Resources"][name];
    assert!(resource.is_object(), "there is no {name}");
    resource
}

fn properties(name: &str) -> &'static Value {
    &resource(name)["Properties"]
}

/// The resources of a type, by name.
fn of_type(wanted: &str) -> BTreeMap<&'static str, &'static Value> {
    let all = TEMPLATE["Resources"].as_object().unwrap();
    all.iter().filter(|(_, of)| of["Type"] == wanted).map(|(name, of)| (name.as_str(), &of["Properties"])).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The functions: the binary, with the resource's name.
fn functions() -> BTreeMap<&'static str, &'static str> {
    let all = of_type("AWS::Serverless::Function").into_keys();
    all.map(|name| (resource(name)["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap(), name)).collect()
}

#[test]
fn every_function_of_the_workspace_is_deployed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions");
    let mut folders: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(functions().into_keys().collect::<Vec<_>>(), folders);
    for name in functions().into_values() {
        assert_eq!(resource(name)["Metadata"]["BuildMethod"], "rust-cargolambda", "{name}");
    }
}

#[test]
fn every_function_has_a_role_and_a_log_of_its_own() {
    let mut roles: Vec<_> = functions().into_values().map(|name| properties(name)["Role"].to_string()).collect();
    let mut logs: Vec<_> =
        functions().into_values().map(|name| properties(name)["LoggingConfig"]["LogGroup"].to_string()).collect();
    for of in [&mut roles, &mut logs] {
        let count = of.len();
        of.sort();
        of.dedup();
        assert_eq!(of.len(), count, "{of:?}");
        assert!(!of.contains(&"null".to_owned()), "{of:?}");
    }
    for (name, log) in of_type("AWS::Logs::LogGroup") {
        assert!(log["RetentionInDays"].is_object(), "{name} keeps for ever");
    }
}

/// Where one function did not trace, the way of an event would have a gap.
#[test]
fn every_function_traces_and_may_say_so() {
    assert_eq!(TEMPLATE["Globals"]["Function"]["Tracing"], "Active");
    for name in functions().into_values() {
        assert!(properties(name)["Tracing"].is_null(), "{name}");
        let role = properties(name)["Role"]["GetAtt"].as_str().unwrap().split('.').next().unwrap();
        let statements = list(&properties(role)["Policies"][0]["PolicyDocument"]["Statement"]);
        let tracing = json!(["xray:PutTraceSegments", "xray:PutTelemetryRecords"]);
        assert_eq!(statements.iter().filter(|statement| statement["Action"] == tracing).count(), 1, "{role}");
    }
}

#[test]
fn tables_are_as_the_code_writes_them() {
    let keys = |of: &Value| -> Vec<(String, String)> {
        let part = |key: &Value| {
            (key["AttributeName"].as_str().unwrap().to_owned(), key["KeyType"].as_str().unwrap().to_owned())
        };
        of["KeySchema"].as_array().unwrap().iter().map(part).collect()
    };
    let hash = |name: &str| (name.to_owned(), "HASH".to_owned());
    let range = |name: &str| (name.to_owned(), "RANGE".to_owned());
    let inbox = properties("InboxTable");
    assert_eq!(keys(inbox), [hash(attribute::PK)]);
    // The very name that is written: another one, and nothing would ever expire.
    assert_eq!(inbox["TimeToLiveSpecification"], json!({"AttributeName": attribute::EXPIRES_AT, "Enabled": true}));
    assert_eq!(inbox["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
    let index = &inbox["GlobalSecondaryIndexes"][0];
    assert_eq!(index["IndexName"], PENDING_INDEX);
    assert_eq!(index["Projection"]["ProjectionType"], "KEYS_ONLY");
    assert_eq!(keys(index), [hash(attribute::OPEN), range(attribute::NEXT_AT)]);
    assert_eq!(keys(properties("RecordsTable")), [hash(attribute::PK)]);
    for table in ["AuditTable", "StateTable"] {
        assert_eq!(keys(properties(table)), [hash(attribute::PK), range(attribute::SK)]);
    }
    let types: BTreeMap<_, _> = of_type("AWS::DynamoDB::Table")
        .values()
        .flat_map(|table| table["AttributeDefinitions"].as_array().unwrap())
        .map(|of| (of["AttributeName"].as_str().unwrap(), of["AttributeType"].as_str().unwrap()))
        .filter(|(name, _)| *name != attribute::SK)
        .collect();
    let texts = [attribute::OPEN, attribute::PK, attribute::LISTED, attribute::LISTED_AT].map(|name| (name, "S"));
    assert_eq!(types, texts.into_iter().chain([(attribute::NEXT_AT, "N")]).collect());
}

#[test]
fn what_must_not_be_lost_is_kept() {
    for (name, table) in of_type("AWS::DynamoDB::Table") {
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{name}");
    }
    for name in ["RecordsTable", "AuditTable"] {
        assert_eq!(properties(name)["DeletionProtectionEnabled"], true, "{name}");
    }
    let secrets = of_type("AWS::SecretsManager::Secret").into_keys();
    for name in of_type("AWS::DynamoDB::Table").into_keys().chain(secrets) {
        assert_eq!(resource(name)["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(resource(name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn reports_are_kept_and_open_to_nobody() {
    assert_eq!(resource("ReportsBucket")["DeletionPolicy"], "Retain");
    assert_eq!(resource("ReportsBucket")["UpdateReplacePolicy"], "Retain");
    let bucket = properties("ReportsBucket");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    let block = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert_eq!(block.len(), 4);
    assert!(block.values().all(|blocked| blocked == true), "{block:?}");
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap();
    let of = |id: &str| rules.iter().find(|rule| rule["Id"] == id && rule["Status"] == "Enabled").unwrap();
    // What is kept for good no rule takes away.
    let expires: Vec<_> = rules.iter().filter(|rule| !rule["ExpirationInDays"].is_null()).collect();
    assert_eq!(expires, [of("work"), of("requests")]);
    assert_eq!((&of("work")["Prefix"], number(&of("work")["ExpirationInDays"])), (&json!("work/"), 7));
    assert_eq!(of("requests")["Prefix"], "requests/");
    assert_eq!(number(&of("replaced")["NoncurrentVersionExpiration"]["NoncurrentDays"]), 30);
    let policy = properties("ReportsPolicy");
    assert_eq!(policy["Bucket"], json!({"Ref": "ReportsBucket"}));
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!((&statement["Effect"], &statement["Principal"]), (&json!("Deny"), &json!("*")));
    assert_eq!(statement["Condition"], json!({"Bool": {"aws:SecureTransport": "false"}}));
    assert_eq!(
        list(&statement["Resource"]),
        [json!({"GetAtt": "ReportsBucket.Arn"}), json!({"Sub": "${ReportsBucket.Arn}/*"})]
    );
}

#[test]
fn checkpoints_are_kept_for_good_and_can_be_locked() {
    assert_eq!(resource("CheckpointsBucket")["DeletionPolicy"], "Retain");
    assert_eq!(resource("CheckpointsBucket")["UpdateReplacePolicy"], "Retain");
    let (bucket, reports) = (properties("CheckpointsBucket"), properties("ReportsBucket"));
    for same in ["BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls", "VersioningConfiguration"] {
        assert_eq!(bucket[same], reports[same], "{same}");
    }
    assert!(bucket["LifecycleConfiguration"].is_null());
    assert_eq!(bucket["ObjectLockEnabled"], true);
    let lock = &bucket["ObjectLockConfiguration"]["If"];
    assert_eq!(lock[0], "HasObjectLock");
    assert_eq!(
        lock[1]["Rule"]["DefaultRetention"],
        json!({"Mode": {"Ref": "ObjectLockMode"}, "Days": {"Ref": "ObjectLockDays"}})
    );
    let policy = properties("CheckpointsPolicy");
    assert_eq!(policy["PolicyDocument"]["Statement"][0]["Sid"], "OnlyOverTls");
    assert_eq!(properties("NightlyCheckpoint")["Target"]["Input"], r#"{"task": "checkpoint"}"#);
}

#[test]
fn every_route_stands_behind_its_scope() {
    let routes = of_type("AWS::ApiGatewayV2::Route");
    let mut keys: Vec<_> = routes.values().map(|route| route["RouteKey"].as_str().unwrap()).collect();
    let mut wanted: Vec<_> = ROUTES.iter().map(|route| route.key).collect();
    keys.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    for route in ROUTES {
        let deployed = routes.values().find(|deployed| deployed["RouteKey"] == route.key).unwrap();
        let guarded =
            deployed["AuthorizationType"] == "CUSTOM" && deployed["AuthorizerId"] == json!({"Ref": "KeyAuthorizer"});
        assert_eq!(guarded, route.scope.is_some(), "{}", route.key);
        let target = deployed["Target"]["Sub"].as_str().unwrap();
        let integration = target.strip_prefix("integrations/${").and_then(|rest| rest.strip_suffix('}')).unwrap();
        let wanted = json!({"GetAtt": format!("{}.Arn", functions()[route.function])});
        assert_eq!(properties(integration)["IntegrationUri"], wanted, "{}", route.key);
        assert_eq!(properties(integration)["PayloadFormatVersion"], "2.0", "{}", route.key);
    }
    // The answer for one route must not be remembered for another, and a revoked key is to be dead soon.
    let authorizer = properties("KeyAuthorizer");
    assert_eq!(authorizer["AuthorizerResultTtlInSeconds"], 0);
    assert_eq!(authorizer["IdentitySource"], Value::Null);
}

#[test]
fn logs_of_the_gateway_hold_no_path() {
    let format = properties("Stage")["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(format.contains("$context.routeKey"), "{format}");
    for leak in ["$context.path", "$context.httpMethod $context", "protocol", "authorizer.", "$context.resourcePath"] {
        assert!(!format.contains(leak), "{leak} in {format}");
    }
    serde_json::from_str::<Value>(format).unwrap();
}

/// Who may do what with which objects: one has no name before it is written.
const OBJECTS: [(&str, &[&str], &[&str]); 5] = [
    ("ApiRole", &["s3:PutObject"], &["requests"]),
    ("ApiRole", &["s3:GetObject"], &["batches", "checkpoints"]),
    ("BatchSyncRole", &["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], &["work", "batches", "trends"]),
    ("BatchSyncRole", &["s3:GetObject", "s3:PutObject"], &["checkpoints"]),
    ("BatchSyncRole", &["s3:GetObject"], &["requests"]),
];

/// Whether a role may do this with these objects.
fn may_touch(role: &str, actions: &[Value], resource: &Value) -> bool {
    let folder = resource["Sub"].as_str().and_then(|arn| {
        let bucket =
            if arn.ends_with("/checkpoints/*") { "${CheckpointsBucket.Arn}/" } else { "${ReportsBucket.Arn}/" };
        arn.strip_prefix(bucket)?.strip_suffix("/*")
    });
    let named = |(of, allowed, folders): &(&str, &[&str], &[&str])| {
        *of == role && actions.iter().eq(allowed.iter()) && folder.is_some_and(|folder| folders.contains(&folder))
    };
    OBJECTS.iter().any(named)
}

#[test]
fn nobody_is_allowed_more_than_is_named() {
    for (name, role) in of_type("AWS::IAM::Role") {
        assert!(role["ManagedPolicyArns"].is_null(), "{name}");
        for statement in role["Policies"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
        {
            assert_eq!(statement["Effect"], "Allow", "{name}");
            let actions = list(&statement["Action"]);
            assert!(actions.iter().all(|action| !action.as_str().unwrap().contains('*')), "{name}: {actions:?}");
            for resource in list(&statement["Resource"]) {
                // AWS takes no resource for the first three, and the names of the others are the definitions' own.
                let excused = actions == [json!("dynamodb:ListStreams")]
                    || actions == [json!("xray:PutTraceSegments"), json!("xray:PutTelemetryRecords")]
                    || actions == [json!("secretsmanager:BatchGetSecretValue")]
                    || resource["Sub"].as_str().is_some_and(|arn| arn.ends_with(":secret:${SecretPrefix}sources/*"))
                    || may_touch(name, &actions, &resource);
                assert!(excused || !resource.to_string().contains('*'), "{name}: {resource}");
            }
        }
    }
}

/// A grant is one item, and a record's ids are another's business of nobody: who only pushes, changes nothing else there.
#[test]
fn what_a_push_changes_of_the_state_is_named() {
    let of_push = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [GRANTS, format!("{IDS}*")]}});
    for name in ["SyncEventRole", "SyncCertificateRole"] {
        let statements = list(&properties(name)["Policies"][0]["PolicyDocument"]["Statement"]);
        let updates = statements.iter().filter(|statement| {
            statement["Resource"] == json!({"GetAtt": "StateTable.Arn"})
                && list(&statement["Action"]).contains(&json!("dynamodb:UpdateItem"))
        });
        let conditions: Vec<_> = updates.map(|statement| &statement["Condition"]).collect();
        assert_eq!(conditions, [&of_push], "{name}");
    }
}

#[test]
fn each_destination_can_be_read_from_its_parameters() {
    let parameter = &TEMPLATE["Parameters"]["Destination"];
    for name in list(&parameter["AllowedValues"]) {
        let mut all = variables("sync-event");
        all.insert("DESTINATION".to_owned(), name.as_str().unwrap().to_owned());
        EngineConfig::read(&all.clone().into_iter().collect()).unwrap();
        // HighLevel's definition has an address of its own.
        let bare = all.into_iter().filter(|(name, _)| !["SNAPSHOTS_URL", "HIGHLEVEL_URL"].contains(&name.as_str()));
        assert_eq!(EngineConfig::read(&bare.collect()).is_ok(), name == "highlevel");
    }
    assert_eq!(properties("HighLevelSecret")["Name"], json!({"Sub": "${SecretPrefix}destinations/highlevel"}));
}

/// The audit is append-only: nobody of ours may change or remove a row.
#[test]
fn nobody_may_change_the_audit() {
    for (name, role) in of_type("AWS::IAM::Role") {
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap() {
            if list(&statement["Resource"]).contains(&json!({"GetAtt": "AuditTable.Arn"})) {
                let actions = list(&statement["Action"]);
                let allowed = ["dynamodb:PutItem", "dynamodb:Query"].map(|action| json!(action));
                assert!(actions.iter().all(|action| allowed.contains(action)), "{name}: {actions:?}");
            }
        }
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

#[test]
fn times_fit_into_one_another() {
    let timeout = |binary: &str| number(&properties(functions()[binary])["Timeout"]);
    for binary in ["webhook", "sync-certificate", "api", "authorizer"] {
        assert!(timeout(binary) < 30, "the gateway does not wait for {binary}");
    }
    // Six times, as AWS asks for; and longer than the lease of a worker who died, which ends two seconds after it.
    let queue = properties("RetryQueue");
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * timeout("sync-event"));
    assert!(number(&queue["VisibilityTimeout"]) > timeout("sync-event") + 2);
    assert!(number(&queue["RedrivePolicy"]["maxReceiveCount"]) >= 5);
    assert!(
        number(&queue["MessageRetentionPeriod"]) < number(&properties("RetryDeadLetters")["MessageRetentionPeriod"])
    );
}

#[test]
fn batches_fail_in_part_and_never_for_ever() {
    let stream = properties("InboxStream");
    for source in [stream, properties("RetrySource")] {
        assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
        assert_eq!(source["FunctionName"], json!({"Ref": functions()["sync-event"]}));
    }
    assert_eq!(stream["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(stream["BisectBatchOnFunctionError"], true);
    assert!(number(&stream["MaximumRetryAttempts"]) > 0);
    assert_eq!(stream["DestinationConfig"]["OnFailure"]["Destination"], json!({"GetAtt": "StreamDeadLetters.Arn"}));
    let pattern: Value =
        serde_json::from_str(stream["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap()).unwrap();
    assert_eq!(
        pattern,
        json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {(attribute::STATE): {"S": ["pending"]}}}})
    );
    assert!(properties("RetrySource")["ScalingConfig"]["MaximumConcurrency"].is_object());
    let sweep = properties("Sweep")["Target"]["Input"].as_str().unwrap();
    sync_event::Trigger::try_from(serde_json::from_str::<Value>(sweep).unwrap()).unwrap();
}

/// The variables of a function, with something readable for each.
fn variables(binary: &str) -> BTreeMap<String, String> {
    assert!(TEMPLATE["Globals"]["Function"]["Environment"].is_null(), "each function gets only what it reads");
    let own = properties(functions()[binary])["Environment"]["Variables"].as_object();
    own.into_iter()
        .flatten()
        .map(|(name, _)| {
            let value = match name.as_str() {
                "DESTINATION" => "snapshots",
                "REPORTS_URL" => "s3://reports",
                name if name.ends_with("_URL") => "https://example.com",
                _ => "x",
            };
            (name.clone(), value.to_owned())
        })
        .collect()
}

#[test]
fn functions_get_what_they_read_and_no_more() {
    let webhook = |env: &Env| webhook::Config::read(env).map(drop);
    let engine = |env: &Env| EngineConfig::read(env).map(drop);
    let api = |env: &Env| api::Config::read(env).map(drop);
    type Read<'a> = &'a dyn Fn(&Env) -> Result<(), certbridge_platform::ConfigError>;
    let batch_sync = |env: &Env| batch_sync::Config::read(env).map(drop);
    let notify = |env: &Env| notify::Config::read(env).map(drop);
    let deliver = |env: &Env| deliver::Config::read(env).map(drop);
    let reads: [(&str, Read<'_>); 7] = [
        ("webhook", &webhook),
        ("sync-event", &engine),
        ("sync-certificate", &engine),
        ("api", &api),
        ("batch-sync", &batch_sync),
        ("notify", &notify),
        ("deliver", &deliver),
    ];
    for (binary, read) in reads {
        let all = variables(binary);
        read(&all.clone().into_iter().collect()).unwrap();
        // These have defaults; another source's address is read where it is needed.
        let optional =
            ["SECRET_PREFIX", "DESTINATION", "ACCREDIBLE_URL", "CERTIFYLIZE_URL", "HIGHLEVEL_URL", "CHECKPOINTS_URL"];
        for name in all.keys().filter(|name| !optional.contains(&name.as_str())) {
            let without = all.clone().into_iter().filter(|(other, _)| other != name);
            assert!(read(&without.collect()).is_err(), "{binary} does not read {name}");
        }
    }
    assert_eq!(variables("authorizer").into_keys().collect::<Vec<_>>(), ["SECRET_PREFIX"]);
}

/// Whether a function emits a metric of ours, by what stands in its source.
fn emits(function: &str, metric: &str) -> bool {
    let folder = format!("functions/{function}");
    let quoted = format!("\"{metric}\"");
    // What the code that they share tells of itself, where it is given the metrics.
    let by_platform = (says("shared/platform", &quoted) && says(&folder, ".telling("))
        || (says("shared/platform/src/definitions.rs", &quoted) && says(&folder, "refresh("));
    says(&folder, &quoted) || by_platform
}

/// Whether a crate's source, or a file, has a text.
fn says(place: &str, text: &str) -> bool {
    sources(place).iter().any(|source| source.contains(text))
}

/// The source of a crate, or of one file.
fn sources(place: &str) -> Vec<String> {
    let path = format!("{}/../{place}", env!("CARGO_MANIFEST_DIR"));
    if place.ends_with(".rs") {
        return vec![std::fs::read_to_string(path).unwrap()];
    }
    let files = std::fs::read_dir(format!("{path}/src")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The metrics of ours that an alarm watches: function and name.
fn watched(alarm: &'static Value) -> Vec<(&'static str, &'static str)> {
    let several = alarm["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["MetricStat"]["Metric"]);
    several
        .chain([alarm])
        .filter(|metric| metric["Namespace"] == certbridge_platform::metrics::NAMESPACE)
        .map(|metric| {
            let dimension = &metric["Dimensions"][0];
            assert_eq!(dimension["Name"], "Function", "{metric}");
            (dimension["Value"].as_str().unwrap(), metric["MetricName"].as_str().unwrap())
        })
        .collect()
}

/// The alarms on metrics of ours watch what is emitted: another name, and nobody would ever be told.
#[test]
fn alarms_watch_metrics_that_are_emitted() {
    let mut all = 0;
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        assert!(alarm["AlarmActions"].is_object() || alarm["AlarmActions"].is_array(), "{name} tells nobody");
        for (function, metric) in watched(alarm) {
            assert!(emits(function, metric), "{name}: {function} does not emit {metric}");
            all += 1;
        }
    }
    assert_eq!(all, 19);
}

#[test]
fn every_source_may_be_missed() {
    let watched: BTreeSet<_> = of_type("AWS::CloudWatch::Alarm")
        .into_iter()
        .filter_map(|(name, alarm)| Some((name.strip_suffix("SilenceAlarm")?, alarm)))
        .map(|(name, alarm)| {
            let hours = format!("{name}SilenceHours");
            assert_eq!(alarm["EvaluationPeriods"], json!({"Ref": hours}), "{name}");
            assert_eq!(TEMPLATE["Parameters"][&hours]["Default"], 0, "{name}");
            // A metric of which nothing comes is what it is about. One period of it is the hour of the parameter.
            assert_eq!(alarm["TreatMissingData"], "breaching", "{name}");
            let metrics = alarm["Metrics"].as_array().map_or_else(
                || vec![(alarm, &alarm["Period"])],
                |all| all[1..].iter().map(|one| (&one["MetricStat"]["Metric"], &one["MetricStat"]["Period"])).collect(),
            );
            assert!(metrics.iter().all(|(_, period)| number(period) == 3600), "{name}");
            let sources: BTreeSet<_> =
                metrics.iter().map(|(metric, _)| metric["Dimensions"][1]["Value"].to_string()).collect();
            assert_eq!(sources.len(), 1, "{name}");
            let source = sources.into_iter().next().unwrap().trim_matches('"').to_owned();
            (source, metrics.len() == 2)
        })
        .collect();
    // A poll is as good a sign of life as a delivery.
    let definitions = certbridge_mapping::Definitions::built_in();
    let declared = definitions.sources().map(|source| {
        let polled = source.records.values().filter_map(|rules| rules.listed.as_ref()).any(|listed| listed.poll);
        (source.name.clone(), polled)
    });
    assert_eq!(watched, declared.collect());
}

/// The body of the dashboard, whose references are texts within it.
fn dashboard() -> Value {
    serde_json::from_str(properties("Dashboard")["DashboardBody"]["Sub"].as_str().unwrap()).unwrap()
}

#[test]
fn the_dashboard_shows_metrics_that_are_emitted() {
    let body = dashboard();
    let mut shown = 0;
    for widget in body["widgets"].as_array().unwrap().iter().filter(|widget| widget["type"] == "metric") {
        for metric in list(&widget["properties"]["metrics"]) {
            let (function, name) = match metric[0]["expression"].as_str() {
                Some(search) => {
                    let quoted =
                        |after: &str| search.split_once(after).unwrap().1.split('"').next().unwrap().to_owned();
                    assert!(search.starts_with("SEARCH('{Certbridge,Function,"), "{search}");
                    (quoted("Function=\""), quoted("MetricName=\""))
                }
                None if metric[0] == certbridge_platform::metrics::NAMESPACE => {
                    assert_eq!(metric[2], "Function", "{metric}");
                    (metric[3].as_str().unwrap().to_owned(), metric[1].as_str().unwrap().to_owned())
                }
                None => {
                    assert!(metric[0].as_str().unwrap().starts_with("AWS/"), "{metric}");
                    continue;
                }
            };
            assert!(emits(&function, &name), "{function} does not emit {name}");
            shown += 1;
        }
    }
    assert!(shown > 30, "{shown}");
}

#[test]
fn the_dashboard_is_of_what_the_template_makes() {
    let body = dashboard().to_string();
    for reference in body.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
        let name = reference.split('.').next().unwrap();
        assert!(name == "AWS::Region" || resource(name).is_object(), "{reference}");
    }
    for function in functions().into_values() {
        assert_eq!(body.matches(&format!("\"Errors\",\"FunctionName\",\"${{{function}}}\"")).count(), 1, "{function}");
    }
    for name in of_type("AWS::CloudWatch::Alarm").into_keys() {
        // One that is made only on a condition cannot be named without it.
        let conditional = resource(name)["Condition"].is_string();
        assert_eq!(body.contains(&format!("${{{name}.Arn}}")), !conditional, "{name}");
    }
}

fn operations() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap()
}

#[test]
fn every_alarm_has_an_entry_in_the_runbook() {
    let text = operations();
    let runbook = text.split_once("\n## Runbook\n").unwrap().1;
    let mut entries: Vec<_> = runbook.split("\n### ").skip(1).map(|entry| entry.split_once('\n').unwrap()).collect();
    for (name, entry) in &entries {
        for part in ["**Means.** ", "**Look.** ", "**Do.** ", "**Over** "] {
            assert!(entry.contains(&format!("\n- {part}")), "{name} lacks {part}");
        }
    }
    entries.sort_unstable();
    let names: Vec<_> = entries.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, of_type("AWS::CloudWatch::Alarm").into_keys().collect::<Vec<_>>());
}

/// A metric's name in a line of source, where it is one that is emitted.
fn emitted_in(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once('"')?;
    let name = rest.split('"').next()?;
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase()) && name.chars().all(char::is_alphanumeric);
    let emitted = before.ends_with(".count(") || (before.ends_with('(') && line.contains("Unit::"));
    (is_name && emitted).then_some(name)
}

#[test]
fn every_metric_is_in_the_table_of_metrics() {
    let text = operations();
    let table = text.split_once("\n### Metrics\n").unwrap().1.split("\n#").next().unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let all: Vec<_> = functions().into_keys().collect();
    let mut told = BTreeSet::new();
    for row in &rows {
        let metric = row[1].trim_matches('`');
        let of: Vec<_> = if row[4].starts_with("every one") { Vec::new() } else { row[4].split(", ").collect() };
        for function in &of {
            assert!(emits(function, metric), "{function} does not emit {metric}");
            assert!(told.insert((*function, metric)), "{metric} of {function} is told twice");
        }
        if of.is_empty() {
            assert!(all.iter().any(|function| emits(function, metric)), "nobody emits {metric}");
        }
    }
    for function in all {
        for source in sources(&format!("functions/{function}")) {
            for metric in source.lines().filter_map(emitted_in) {
                assert!(told.contains(&(function, metric)), "{metric} of {function} is not told of");
            }
        }
    }
}

/// The state machine, as it is deployed.
fn machine() -> &'static Value {
    &properties("BatchMachine")["Definition"]
}

/// Every state of a machine, of its branches and of its maps, by name.
fn states(of: &'static Value) -> Vec<(&'static str, &'static Value)> {
    let mut found = Vec::new();
    for (name, state) in of["States"].as_object().unwrap() {
        found.push((name.as_str(), state));
        found.extend(state["Branches"].as_array().into_iter().flatten().flat_map(states));
        found.extend(state.get("ItemProcessor").into_iter().flat_map(states));
    }
    found
}

/// What stands at the paths that the machine hands on, in a form that each task can read.
fn handed_on(path: &str) -> Value {
    let batch = json!({
        "id": "b", "execution": "e", "actor": {"type": "reconciliation"}, "started_at": "2026-03-01T00:00:00Z",
        "mode": "reconcile", "source": "accredible", "kind": "certificate", "dry_run": false, "force": false,
        "partitions": 1, "request_digest": "",
    });
    match path {
        "$" | "$$.Execution.Input" => json!({"source": "accredible"}),
        "$$.Execution.Id" => json!("arn:aws:states:eu-west-1:0:execution:m:e"),
        "$$.Execution.StartTime" => json!("2026-03-01T00:00:00.123Z"),
        "$.batch" => batch,
        "$.walks" => json!({"source": {}, "destination": {}, "own": {}}),
        "$.walk" | "$.walks.own" | "$.repaired" => json!({}),
        "$.partition" => json!(0),
        "$.compared" => json!([{"partition": 0, "records": 1, "repairs": 0}]),
        "$.decision" => json!({"repair": false, "remarks": []}),
        "$.caught" => json!({"Error": "Refused", "Cause": "{}"}),
        other => panic!("nobody hands on {other}"),
    }
}

/// Parameters with what stands at their paths.
fn filled(parameters: &Value) -> Value {
    let Some(members) = parameters.as_object() else { return parameters.clone() };
    let member = |(name, value): (&String, &Value)| match name.strip_suffix(".$") {
        Some(name) => (name.to_owned(), handed_on(value.as_str().unwrap())),
        None => (name.clone(), filled(value)),
    };
    Value::Object(members.iter().map(member).collect())
}

#[test]
fn the_state_machine_asks_for_tasks_that_there_are() {
    let mut tasks = Vec::new();
    for (name, state) in states(machine()).into_iter().filter(|(_, state)| state["Resource"] == "${BatchSync}") {
        let event = filled(&state["Parameters"]);
        serde_json::from_value::<certbridge_batch::Task>(event.clone())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        tasks.push(event["task"].as_str().unwrap().to_owned());
        // By the very names that the function's errors have.
        let retries: Vec<_> =
            state["Retry"].as_array().unwrap().iter().flat_map(|of| list(&of["ErrorEquals"])).collect();
        let transient = certbridge_batch::TaskError::Transient(String::new());
        assert!(retries.contains(&json!(transient.name())), "{name} is not tried again");
        let busy = certbridge_batch::TaskError::Busy { by: String::new(), until: jiff::Timestamp::UNIX_EPOCH };
        assert_eq!(retries.contains(&json!(busy.name())), name == "Begin", "{name}");
        assert!(!retries.contains(&json!("States.ALL")), "{name}: what is refused is not asked for again");
    }
    tasks.sort();
    assert_eq!(tasks, ["begin", "compare", "decide", "fail", "list", "list", "list", "repair", "report"]);
}

#[test]
fn the_state_machine_ends_whatever_happens() {
    let all = states(machine());
    for (name, state) in machine()["States"].as_object().unwrap() {
        let fails = ["Task", "Map", "Parallel"].iter().any(|kind| state["Type"] == *kind);
        let caught = state["Catch"][0]["ErrorEquals"] == json!(["States.ALL"]);
        assert!(!fails || caught || name == "Fail", "{name} may end an execution, and nobody is told");
    }
    let targets = all.iter().flat_map(|(_, state)| {
        let choices = state["Choices"].as_array().into_iter().flatten();
        let catches = state["Catch"].as_array().into_iter().flatten();
        choices.chain(catches).map(|of| &of["Next"]).chain([&state["Next"], &state["Default"]])
    });
    for target in targets.filter_map(Value::as_str) {
        assert!(all.iter().any(|(name, _)| *name == target), "there is no state {target}");
    }
    let of = |name: &str| all.iter().find(|(own, _)| *own == name).unwrap().1;
    assert_eq!(of("RepairEach")["MaxConcurrency"], certbridge_batch::REPAIR_CONCURRENCY);
    // How it came out is told apart by the state that it ends in.
    let verdicts: Vec<_> = list(&of("Verdict")["Choices"]).iter().map(|of| of["StringEquals"].clone()).collect();
    for verdict in [Verdict::Clean, Verdict::Repaired, Verdict::NeedsPerson] {
        assert!(verdicts.contains(&json!(verdict)), "{verdict:?}");
    }
    assert_eq!(of("Failed")["Type"], "Fail");
    assert!(number(&machine()["TimeoutSeconds"]) <= 12 * 3600);
}

#[test]
fn schedules_start_what_there_is() {
    let nightly = properties("Nightly");
    let input = nightly["Target"]["Input"].as_str().unwrap();
    let input: certbridge_batch::Input = serde_json::from_str(input).unwrap();
    assert_eq!((input.source.as_deref(), input.batch_id, input.dry_run), (Some("accredible"), None, false));
    assert_eq!(nightly["ScheduleExpressionTimezone"], json!({"Ref": "TimeZone"}));
    assert_eq!(nightly["Target"]["Arn"], json!({"Ref": "BatchMachine"}));
    let poll = properties("Poll");
    assert_eq!(
        serde_json::from_str::<Value>(poll["Target"]["Input"].as_str().unwrap()).unwrap(),
        json!({"task": "poll"})
    );
    assert_eq!(poll["Target"]["Arn"], json!({"GetAtt": "BatchSyncFunction.Arn"}));
    // A poll ends before the next one begins.
    assert_eq!(poll["ScheduleExpression"], "rate(5 minutes)");
}

#[test]
fn rows_of_the_audit_are_watched() {
    let stream = properties("AuditStream");
    assert_eq!(stream["FunctionName"], json!({"Ref": functions()["notify"]}));
    assert_eq!(stream["EventSourceArn"], json!({"GetAtt": "AuditTable.StreamArn"}));
    assert!(properties("AuditTable")["StreamSpecification"].is_object());
    // What is added is told, and all else that happens to a row is an alarm.
    assert!(stream["FilterCriteria"].is_null());
    told_until_they_expire(stream);
}

/// What the bus does not take is tried until the stream forgets it, and is then a dead letter.
#[track_caller]
fn told_until_they_expire(stream: &Value) {
    assert_eq!(stream["FunctionName"], json!({"Ref": functions()["notify"]}));
    assert_eq!(stream["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(stream["MaximumRetryAttempts"], -1);
    assert!((80_000..86_400).contains(&number(&stream["MaximumRecordAgeInSeconds"])));
    assert_eq!(stream["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(stream["DestinationConfig"]["OnFailure"]["Destination"], json!({"GetAtt": "StreamDeadLetters.Arn"}));
}

#[test]
fn what_is_set_aside_is_told() {
    let stream = properties("SetAsideStream");
    told_until_they_expire(stream);
    assert_eq!(stream["EventSourceArn"], json!({"GetAtt": "InboxTable.StreamArn"}));
    let pattern: Value =
        serde_json::from_str(stream["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap()).unwrap();
    let states = [InboxState::Quarantined, InboxState::Failed].map(InboxState::as_str);
    let image = json!({(attribute::STATE): {"S": states}});
    assert_eq!(pattern, json!({"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": image}}));
    let readers = of_type("AWS::Lambda::EventSourceMapping").into_values();
    let of_inbox = readers.filter(|source| source["EventSourceArn"] == stream["EventSourceArn"]).count();
    assert!(of_inbox <= 2, "a stream has two readers at most");
}

#[test]
fn notices_come_to_the_function_that_delivers_them() {
    let rule = properties("DeliveryRule");
    assert_eq!(rule["EventPattern"], json!({"source": [certbridge_sync::notice::SOURCE]}));
    assert_eq!(rule["EventBusName"], json!({"Ref": "EventBus"}));
    assert_eq!(rule["Targets"][0]["Arn"], json!({"GetAtt": "DeliveryQueue.Arn"}));
    let policy = &properties("DeliveryQueuePolicy")["PolicyDocument"]["Statement"][0];
    assert_eq!(policy["Condition"], json!({"ArnEquals": {"aws:SourceArn": {"GetAtt": "DeliveryRule.Arn"}}}));
    let source = properties("DeliverySource");
    assert_eq!(source["FunctionName"], json!({"Ref": functions()["deliver"]}));
    assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    let queue = properties("DeliveryQueue");
    let timeout = number(&properties(functions()["deliver"])["Timeout"]);
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * timeout);
    assert!(timeout > certbridge_remote::hooks::TIMEOUT.as_secs());
    assert_eq!(number(&queue["RedrivePolicy"]["maxReceiveCount"]), u64::from(delivery::MAX_ATTEMPTS));
    let longest = u64::from(delivery::MAX_ATTEMPTS) * delivery::LONGEST_WAIT.as_secs();
    assert!(number(&queue["MessageRetentionPeriod"]) > longest, "it is tried as often as is promised");
    // All that it changes is which endpoints are told nothing.
    let of_state = list(&properties("DeliverRole")["Policies"][0]["PolicyDocument"]["Statement"]);
    let of_state = of_state.iter().find(|one| one["Resource"] == json!({"GetAtt": "StateTable.Arn"})).unwrap();
    assert_eq!(
        of_state["Condition"],
        json!({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [certbridge_store::schema::ENDPOINTS]}})
    );
    assert_eq!(properties("EndpointsSecret")["Name"], json!({"Sub": "${SecretPrefix}endpoints"}));
}

#[test]
fn the_end_of_a_batch_is_told_on_the_bus() {
    let notify = &machine()["States"]["Notify"];
    let entry = &notify["Parameters"]["Entries"][0];
    assert_eq!(entry["DetailType"], certbridge_sync::notice::BATCH_COMPLETED);
    assert_eq!(entry["Source"], certbridge_sync::notice::SOURCE);
    assert_eq!((&entry["Detail.$"], &entry["EventBusName"]), (&json!("$.notice"), &json!("${Bus}")));
    for before in ["Report", "Fail"] {
        assert_eq!(machine()["States"][before]["Next"], "Notify", "{before}");
    }
}

#[test]
fn no_secret_stands_in_the_template() {
    for (name, secret) in of_type("AWS::SecretsManager::Secret") {
        let text = secret["SecretString"].as_str();
        assert!(text.is_none_or(|text| ["{}", "{\"keys\": []}", "{\"endpoints\": []}"].contains(&text)), "{name}");
    }
}
