//! As much of Secrets Manager as one secret takes: its versions, their stages, and the rules by which those move.

use axum::{
    Router,
    body::Bytes,
    extract::State as Shared,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

pub(crate) const NAME: &str = "certbridge/api-keys";
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// What happens at the next attempt to move a stage.
pub(crate) enum Fault {
    /// Somebody else puts another document in force just before.
    Overtaken(fn(&mut Value)),
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is done, the answer is lost, and then somebody else puts another document in force.
    AnswerLostAndOvertaken(fn(&mut Value)),
    /// It is not done, and nobody learns why.
    Failed,
    /// It is refused.
    Refused(&'static str),
}

/// A running Secrets Manager.
#[derive(Clone)]
pub(crate) struct SecretsManager {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By version. `None` is binary.
    texts: BTreeMap<String, Option<String>>,
    /// Which version has it.
    stages: BTreeMap<String, String>,
    faults: VecDeque<Fault>,
    calls: Vec<String>,
}

/// What is answered: an object, or the status and the code of an error.
type Answer = Result<Value, (u16, &'static str)>;

impl SecretsManager {
    /// With a secret that has this value, unless it has none.
    pub(crate) async fn start(text: Option<&str>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let manager = Self { url, state: Arc::default() };
        if let Some(text) = text {
            manager.state().put_in_force("first", Some(text.to_owned()));
        }
        let router = Router::new().fallback(answer).with_state(manager.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        manager
    }

    /// The text in force.
    pub(crate) fn text(&self) -> String {
        self.state().text().unwrap().to_owned()
    }

    pub(crate) fn put_in_force(&self, text: Option<&str>) {
        self.state().put_in_force("other", text.map(str::to_owned));
    }

    pub(crate) fn at_next_move(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// The stages in use, each with its version.
    pub(crate) fn stages(&self) -> BTreeMap<String, String> {
        self.state().stages.clone()
    }

    /// The operations that were asked for since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn answer(Shared(manager): Shared<SecretsManager>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let operation = headers["x-amz-target"].to_str().unwrap().strip_prefix("secretsmanager.").unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let mut state = manager.state();
    state.calls.push(operation.to_owned());
    let answer = if request["SecretId"] != NAME || state.texts.is_empty() {
        Err((400, "ResourceNotFoundException"))
    } else {
        match operation {
            "GetSecretValue" => state.get(),
            "PutSecretValue" => state.put(&request),
            "UpdateSecretVersionStage" => state.move_stage(&request),
            _ => panic!("nobody needs {operation}"),
        }
    };
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err((status, code)) => (status, json!({"__type": code, "message": format!("{code} quotes hush")})),
    };
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

impl State {
    fn text(&self) -> Option<&str> {
        self.texts[&self.stages[CURRENT]].as_deref()
    }

    fn put_in_force(&mut self, version: &str, text: Option<String>) {
        self.texts.insert(version.to_owned(), text);
        self.attach(CURRENT, version);
    }

    fn attach(&mut self, stage: &str, version: &str) {
        let before = self.stages.insert(stage.to_owned(), version.to_owned());
        if let (CURRENT, Some(before)) = (stage, before) {
            self.stages.insert(PREVIOUS.to_owned(), before);
        }
    }

    fn overtake(&mut self, change: fn(&mut Value)) {
        let mut document = serde_json::from_str(self.text().unwrap()).unwrap();
        change(&mut document);
        let version = format!("overtaking-{}", self.texts.len());
        self.put_in_force(&version, Some(document.to_string()));
    }

    fn get(&self) -> Answer {
        Ok(match self.text() {
            Some(text) => json!({"Name": NAME, "VersionId": self.stages[CURRENT], "SecretString": text}),
            None => json!({"Name": NAME, "VersionId": self.stages[CURRENT], "SecretBinary": "aHVzaA=="}),
        })
    }

    fn put(&mut self, request: &Value) -> Answer {
        let version = request["ClientRequestToken"].as_str().unwrap();
        let text = request["SecretString"].as_str().map(str::to_owned);
        if self.texts.get(version).is_some_and(|there| *there != text) {
            return Err((400, "ResourceExistsException"));
        }
        self.texts.insert(version.to_owned(), text);
        let stages = request["VersionStages"].as_array().cloned().unwrap_or_else(|| vec![json!(CURRENT)]);
        for stage in &stages {
            self.attach(stage.as_str().unwrap(), version);
        }
        Ok(json!({"Name": NAME, "VersionId": version, "VersionStages": stages}))
    }

    fn move_stage(&mut self, request: &Value) -> Answer {
        match self.faults.pop_front() {
            None => self.move_stage_undisturbed(request),
            Some(Fault::Overtaken(change)) => {
                self.overtake(change);
                self.move_stage_undisturbed(request)
            }
            Some(Fault::AnswerLost) => self.move_stage_undisturbed(request).and(Err((500, "InternalServiceError"))),
            Some(Fault::AnswerLostAndOvertaken(change)) => {
                self.move_stage_undisturbed(request)?;
                self.overtake(change);
                Err((500, "InternalServiceError"))
            }
            Some(Fault::Failed) => Err((500, "InternalServiceError")),
            Some(Fault::Refused(code)) => Err((400, code)),
        }
    }

    /// As it is documented: a stage that a version has is moved away from that version, or not at all.
    fn move_stage_undisturbed(&mut self, request: &Value) -> Answer {
        let stage = request["VersionStage"].as_str().unwrap();
        let to = request["MoveToVersionId"].as_str().unwrap();
        assert!(self.texts.contains_key(to));
        if self.stages.get(stage).map(String::as_str) != request["RemoveFromVersionId"].as_str() {
            return Err((400, "InvalidParameterException"));
        }
        self.attach(stage, to);
        Ok(json!({"Name": NAME}))
    }
}
