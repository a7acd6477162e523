//! Keys in Secrets Manager, with the real SDK.

use crate::{
    ground::{Ground, ids, made, wanted},
    secrets_manager::{Fault, SecretsManager},
};
use certbridge::{
    CliError,
    keys::{KeysError, create, list, revoke},
};
use certbridge_platform::SystemRuntime;
use serde_json::{Value, json};

fn one_more(document: &mut Value) {
    document["keys"].as_array_mut().unwrap().push(json!({"id": "of-another", "owner": "Boris"}));
}

fn none(document: &mut Value) {
    document["keys"] = json!([]);
}

async fn manager() -> SecretsManager {
    SecretsManager::with(&json!({"keys": [{"id": "old"}]})).await
}

#[track_caller]
fn refused<T>(done: Result<T, CliError>) -> KeysError {
    match done {
        Err(CliError::Keys(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

#[tokio::test]
async fn a_change_takes_three_calls_and_leaves_no_stages_behind() {
    let manager = manager().await;
    for _ in 0..25 {
        made(&manager.store()).await;
        assert_eq!(manager.calls(), ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]);
    }
    let stages = manager.stages();
    assert_eq!(stages.keys().collect::<Vec<_>>(), ["AWSCURRENT", "AWSPREVIOUS", "CERTBRIDGE_KEYS"]);
    assert_eq!(ids(&manager.secret()).len(), 26);
    refused(revoke(&manager.store(), "unknown").await);
    assert_eq!(manager.calls(), ["GetSecretValue"]);
}

#[tokio::test]
async fn no_key_is_lost_where_two_operators_meet() {
    let manager = manager().await;
    manager.at_next_move(Fault::Overtaken(one_more));
    let created = made(&manager.store()).await;
    assert_eq!(ids(&manager.secret()), ["old", "of-another", &created.entry.id]);

    manager.at_next_move(Fault::Overtaken(none));
    revoke(&manager.store(), &created.entry.id).await.unwrap();
    assert_eq!(ids(&manager.secret()), [""; 0], "it is gone, and so are those that another one took out");

    manager.at_next_move(Fault::Overtaken(|document| *document = json!({"keys": "hush"})));
    assert_eq!(refused(create(&manager.store(), wanted(), &SystemRuntime).await), KeysError::NoList);
    assert_eq!(manager.secret(), json!({"keys": "hush"}));
}

#[tokio::test]
async fn an_id_that_another_operator_took_meanwhile_is_taken() {
    let manager = manager().await;
    manager.at_next_move(Fault::Overtaken(one_more));
    let wanted = certbridge::keys::NewKey { id: Some("of-another".into()), ..wanted() };
    let error = refused(create(&manager.store(), wanted, &SystemRuntime).await);
    assert_eq!(error, KeysError::Taken("of-another".into()));
    assert_eq!(ids(&manager.secret()), ["old", "of-another"]);
}

#[tokio::test]
async fn whoever_is_overtaken_each_time_gives_up_and_stores_nothing() {
    let manager = manager().await;
    for _ in 0..5 {
        manager.at_next_move(Fault::Overtaken(one_more));
    }
    let error = refused(create(&manager.store(), wanted(), &SystemRuntime).await);
    assert_eq!(error, KeysError::Contended { name: "certbridge/api-keys".into(), tries: 5 });
    let secret = manager.secret();
    assert!(ids(&secret)[1..].iter().all(|id| *id == "of-another"), "{secret}");
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let manager = manager().await;
    manager.at_next_move(Fault::AnswerLost);
    let one = made(&manager.store()).await.entry.id;
    assert_eq!(ids(&manager.secret()), ["old", &one]);
    manager.at_next_move(Fault::AnswerLostAndOvertaken(one_more));
    let two = made(&manager.store()).await.entry.id;
    assert_eq!(ids(&manager.secret()), ["old", &one, &two, "of-another"]);
    manager.at_next_move(Fault::AnswerLost);
    revoke(&manager.store(), &one).await.unwrap();
    manager.at_next_move(Fault::AnswerLostAndOvertaken(one_more));
    revoke(&manager.store(), &two).await.unwrap();
    assert_eq!(ids(&manager.secret()), ["old", "of-another", "of-another"]);
}

#[tokio::test]
async fn a_change_that_nobody_answers_is_told_to_be_in_doubt() {
    let manager = manager().await;
    for _ in 0..3 {
        manager.at_next_move(Fault::Failed);
    }
    let error = refused(create(&manager.store(), wanted(), &SystemRuntime).await);
    assert!(matches!(error, KeysError::InDoubt { .. }), "{error}");
    assert_eq!(ids(&manager.secret()), ["old"]);
}

#[tokio::test]
async fn a_refusal_names_the_action_and_quotes_nothing() {
    let manager = manager().await;
    manager.at_next_move(Fault::Refused("EncryptionFailure"));
    let error = refused(create(&manager.store(), wanted(), &SystemRuntime).await).to_string();
    assert_eq!(error, "UpdateSecretVersionStage on certbridge/api-keys: EncryptionFailure");
    // But for who may not do what.
    manager.at_next_move(Fault::Refused("AccessDeniedException"));
    let error = refused(create(&manager.store(), wanted(), &SystemRuntime).await).to_string();
    assert!(error.ends_with("AccessDeniedException: AccessDeniedException quotes hush"), "{error}");
    assert_eq!(ids(&manager.secret()), ["old"]);
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_has_no_text_is_told_of() {
    let absent = SecretsManager::start(None).await;
    let binary = manager().await;
    binary.put_in_force(None);
    for manager in [absent, binary] {
        let error = refused(create(&manager.store(), wanted(), &SystemRuntime).await);
        assert!(matches!(error, KeysError::Missing { .. }) && error.to_string().contains("template.yaml"), "{error}");
        assert_eq!(manager.calls(), ["GetSecretValue"]);
    }
}

#[tokio::test]
async fn a_blank_text_holds_no_key_and_another_text_is_left_alone() {
    let manager = SecretsManager::start(Some(" ")).await;
    assert!(list(&manager.store(), jiff::Timestamp::now()).await.unwrap().is_empty());
    let id = made(&manager.store()).await.entry.id;
    assert_eq!(ids(&manager.secret()), [id]);

    manager.put_in_force(Some("{\"keys\": [\n hush"));
    let error = refused(create(&manager.store(), wanted(), &SystemRuntime).await);
    assert_eq!(error, KeysError::NotJson { line: 2, column: 2 });
    assert!(!error.to_string().contains("hush"));
    assert_eq!(manager.text(), "{\"keys\": [\n hush");
}
