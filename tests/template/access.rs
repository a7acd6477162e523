//! Who may do what.

use crate::{TEMPLATE, list, of_type, properties, variables};
use certbridge_store::schema::{GRANTS, IDS};
use certbridge_wiring::EngineConfig;
use serde_json::{Value, json};
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
