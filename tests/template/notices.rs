//! What tells of the audit: streams, the bus, and who is told by a post.

use crate::{functions, list, machine::machine, number, of_type, properties};
use certbridge_store::schema::attribute;
use certbridge_sync::{delivery, row::InboxState};
use serde_json::{Value, json};
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
