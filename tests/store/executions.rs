//! The starts of executions, against a server that says what Step Functions would.

use crate::{http, sample::batch_id};
use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use certbridge_store::SfnExecutions;
use certbridge_sync::{StoreError, batches::Executions};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:batches";

/// A state machine that gives each start this answer, and what it is asked.
async fn machine(status: u16, body: Value) -> (SfnExecutions, Arc<Mutex<Vec<(String, Value)>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let endpoint = http::serve({
        let seen = Arc::clone(&seen);
        move |request| {
            seen.lock().unwrap().push((request.operation(), serde_json::from_slice(&request.body).unwrap()));
            let answer = http::answer(status, &body.to_string());
            async move { Some(answer) }
        }
    })
    .await;
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    (SfnExecutions::new(aws_sdk_sfn::Client::from_conf(config), MACHINE), seen)
}

fn refusal(name: &str) -> Value {
    json!({"__type": format!("com.amazonaws.sfn.v20161123#{name}"), "message": "secret"})
}

#[tokio::test]
async fn an_execution_has_the_batchs_id_as_its_name_and_as_its_input() {
    let started = json!({"executionArn": "arn:aws:states:us-east-1:0:execution:batches:b-1", "startDate": 1.5e9});
    let (machine, seen) = machine(200, started).await;
    machine.start(&batch_id("b-1")).await.unwrap();
    let (operation, body) = seen.lock().unwrap()[0].clone();
    assert_eq!(operation, "StartExecution");
    assert_eq!(body["stateMachineArn"], MACHINE);
    assert_eq!(body["name"], "b-1");
    assert_eq!(serde_json::from_str::<Value>(body["input"].as_str().unwrap()).unwrap(), json!({"batch_id": "b-1"}));
}

#[tokio::test]
async fn a_batch_that_has_an_execution_gets_no_second_one() {
    let (machine, seen) = machine(400, refusal("ExecutionAlreadyExists")).await;
    assert_eq!(machine.start(&batch_id("b")).await, Ok(()));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_passes_is_told_from_what_does_not() {
    for (status, name, transient) in [
        (400, "StateMachineDoesNotExist", false),
        (400, "AccessDeniedException", false),
        (400, "ThrottlingException", true),
        (400, "ExecutionLimitExceeded", true),
        (500, "InternalServerError", true),
    ] {
        let (machine, _) = machine(status, refusal(name)).await;
        let error = machine.start(&batch_id("b")).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
        assert!(error.to_string().ends_with(&format!("StartExecution: {name}")), "{error}");
        assert_eq!(matches!(error, StoreError::Busy(_)), transient && status == 400, "{error}");
    }
}
