//! The state machine and the schedules.

use crate::{list, number, properties};
use certbridge_sync::reconcile::Verdict;
use serde_json::{Value, json};
/// The state machine, as it is deployed.
pub(crate) fn machine() -> &'static Value {
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
