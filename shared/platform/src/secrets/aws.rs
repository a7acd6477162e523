//! Secrets in AWS Secrets Manager.

use super::{Read, SecretError, SecretProvider, Version};
use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    config::{Builder, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::SecretValueEntry,
};
use futures::future::join_all;
use jiff::Timestamp;
use secrecy::SecretString;
use std::{collections::BTreeMap, time::Duration};

/// How many secrets one call gives.
const AT_ONCE: usize = 20;
/// What is said of a secret that is not there.
const MISSING: &str = "ResourceNotFoundException";
/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);
/// Longer than this nobody waits for a secret, all tries taken together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The secrets under a prefix.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
    prefix: String,
}

impl SecretsManager {
    /// The secrets whose ids begin with `prefix`.
    pub fn new(config: &SdkConfig, prefix: impl Into<String>) -> Self {
        let timeouts = match config.timeout_config() {
            Some(shared) => shared.to_builder(),
            None => TimeoutConfig::builder(),
        };
        let timeouts = timeouts.operation_attempt_timeout(TRY).operation_timeout(TIMEOUT).build();
        let config = Builder::from(config).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), prefix: prefix.into() }
    }
}

impl SecretProvider for SecretsManager {
    /// A secret without a string in it (it is binary) is none to us.
    async fn read(&self, id: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(self.version(id).await?.map(|version| version.text))
    }

    /// By one call for each twenty. Whatever that does not give is asked for by itself: the role may be allowed the one
    /// and not the other.
    async fn read_all(&self, ids: &[&str]) -> Vec<Read> {
        let mut given = match ids {
            [] | [_] => BTreeMap::new(),
            _ => join_all(ids.chunks(AT_ONCE).map(|ids| self.batch(ids))).await.into_iter().flatten().collect(),
        };
        join_all(ids.iter().map(|id| {
            let given = given.remove(&format!("{}{id}", self.prefix));
            async move {
                match given {
                    Some(given) => Ok(given),
                    None => self.version(id).await,
                }
            }
        }))
        .await
    }
}

impl SecretsManager {
    async fn version(&self, id: &str) -> Read {
        let name = format!("{}{id}", self.prefix);
        match self.client.get_secret_value().secret_id(&name).send().await {
            Ok(output) => Ok(version(output.secret_string, output.created_date)),
            Err(error) => failure(name, &error).map_or(Ok(None), Err),
        }
    }

    /// What one call tells of several secrets, by their whole names: what they hold, and which are not there.
    async fn batch(&self, ids: &[&str]) -> BTreeMap<String, Option<Version>> {
        let names = ids.iter().map(|id| format!("{}{id}", self.prefix));
        let call = self.client.batch_get_secret_value().set_secret_id_list(Some(names.collect()));
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let code = error.code().unwrap_or("no code");
                tracing::warn!(code, "secrets cannot be read several at once, so each is read by itself");
                return BTreeMap::new();
            }
        };
        let missing = answer.errors.unwrap_or_default().into_iter();
        let missing = missing.filter(|error| error.error_code.as_deref() == Some(MISSING));
        let missing = missing.filter_map(|error| Some((error.secret_id?, None)));
        let held = |entry: SecretValueEntry| Some((entry.name?, version(entry.secret_string, entry.created_date)));
        answer.secret_values.unwrap_or_default().into_iter().filter_map(held).chain(missing).collect()
    }
}

fn version(text: Option<String>, created: Option<DateTime>) -> Option<Version> {
    let since = created.and_then(|created| Timestamp::from_second(created.secs()).ok());
    Some(Version { text: text?.into(), since })
}

/// What a failed read means; `None` if it means that there is no such secret. Never the error's whole chain: it may
/// hold the answer.
fn failure<E: ProvideErrorMetadata>(name: String, error: &SdkError<E, HttpResponse>) -> Option<SecretError> {
    let unavailable =
        |message: &str| Some(SecretError::Unavailable { name: name.clone(), message: message.to_owned() });
    let error = match error {
        SdkError::ServiceError(context) if context.raw().status().is_server_error() => {
            return unavailable(context.err().code().unwrap_or("a server error"));
        }
        SdkError::ServiceError(context) => context.err(),
        SdkError::TimeoutError(_) => return unavailable("timed out"),
        SdkError::DispatchFailure(_) => return unavailable("no connection, or no credentials"),
        _ => return unavailable("no usable answer"),
    };
    match error.code().unwrap_or("no code") {
        MISSING => None,
        "InvalidRequestException" if error.message().is_some_and(|text| text.contains("marked for deletion")) => None,
        "AccessDeniedException" => Some(SecretError::Denied { name }),
        code @ "ThrottlingException" => unavailable(code),
        code => Some(SecretError::Refused { message: code.to_owned(), name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
    use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};
    use std::{
        io::{Read as _, Write},
        net::TcpListener,
        sync::{Arc, Mutex},
        thread::JoinHandle,
    };

    fn config(endpoint: &str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(endpoint)
            .build()
    }

    /// Answers one request, and returns what it was.
    fn answer_once(status: &'static str, body: &'static str) -> (SecretsManager, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config(&format!("http://{}", listener.local_addr().unwrap()));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            while !request.ends_with('}') {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap();
                request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all((head + body).as_bytes()).unwrap();
            request
        });
        (SecretsManager::new(&config, "certbridge/"), server)
    }

    #[tokio::test]
    async fn reads_under_the_prefix() {
        let (secrets, server) = answer_once("200 OK", r#"{"Name": "x", "SecretString": "{\"signing\": \"hush\"}"}"#);
        let text = secrets.read("sources/accredible").await.unwrap().unwrap();
        assert_eq!(text.expose_secret(), r#"{"signing": "hush"}"#);
        assert!(server.join().unwrap().ends_with(r#"{"SecretId":"certbridge/sources/accredible"}"#));
        assert!(!format!("{text:?}").contains("hush"));
    }

    #[tokio::test]
    async fn tells_a_missing_secret_from_one_that_may_not_be_read() {
        let of = async |status, body| {
            let (secrets, server) = answer_once(status, body);
            let read = secrets.read("audit").await;
            server.join().unwrap();
            read.map(|text| assert!(text.is_none()))
        };
        of("400 Bad Request", r#"{"__type": "ResourceNotFoundException"}"#).await.unwrap();
        of(
            "400 Bad Request",
            r#"{"__type": "InvalidRequestException", "message": "You can't do it: it was marked for deletion."}"#,
        )
        .await
        .unwrap();
        let denied = of("400 Bad Request", r#"{"__type": "AccessDeniedException"}"#).await.unwrap_err();
        assert_eq!(denied, SecretError::Denied { name: "certbridge/audit".into() });
        let throttled = of("400 Bad Request", r#"{"__type": "ThrottlingException"}"#).await.unwrap_err();
        assert!(throttled.is_transient());
        let refused = of("400 Bad Request", r#"{"__type": "DecryptionFailure"}"#).await.unwrap_err();
        assert!(!refused.is_transient());
    }

    #[tokio::test]
    async fn a_failing_or_unreachable_service_is_transient() {
        let (secrets, server) = answer_once("500 Internal Server Error", "{}");
        assert!(secrets.read("audit").await.unwrap_err().is_transient());
        server.join().unwrap();
        let nobody = SecretsManager::new(&config("http://127.0.0.1:1"), "");
        assert!(nobody.read("audit").await.unwrap_err().is_transient());
    }

    /// Which operations were asked for, each with its body.
    type Seen = Arc<Mutex<Vec<(String, Value)>>>;

    /// A Secrets Manager that holds `a` and `b`, and gives them several at once unless that is denied.
    fn serve(denies_batches: bool) -> (SecretsManager, Seen) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config(&format!("http://{}", listener.local_addr().unwrap()));
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                while !request.ends_with('}') {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).unwrap();
                    request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                }
                let (head, body) = request.split_once("\r\n\r\n").unwrap();
                let operation = head.split("secretsmanager.").nth(1).unwrap().split("\r\n").next().unwrap();
                let body: Value = serde_json::from_str(body).unwrap();
                let (status, answer) = answer(operation, &body, denies_batches);
                noted.lock().unwrap().push((operation.to_owned(), body));
                let (answer, length) = (answer.to_string(), answer.to_string().len());
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + &answer).as_bytes()).unwrap();
            }
        });
        (SecretsManager::new(&config, "p/"), seen)
    }

    fn answer(operation: &str, body: &Value, denies_batches: bool) -> (u16, Value) {
        let held = |name: &str| match name {
            "p/a" | "p/b" => Ok(json!({"Name": name, "SecretString": format!("text of {name}"), "CreatedDate": 1.7e9})),
            "p/denied" => Err("AccessDeniedException"),
            _ => Err("ResourceNotFoundException"),
        };
        match operation {
            "BatchGetSecretValue" if denies_batches => (400, json!({"__type": "AccessDeniedException"})),
            "BatchGetSecretValue" => {
                let (mut values, mut errors) = (Vec::new(), Vec::new());
                for name in body["SecretIdList"].as_array().unwrap() {
                    match held(name.as_str().unwrap()) {
                        Ok(value) => values.push(value),
                        Err(code) => errors.push(json!({"SecretId": name, "ErrorCode": code, "Message": "hush"})),
                    }
                }
                (200, json!({"SecretValues": values, "Errors": errors}))
            }
            _ => held(body["SecretId"].as_str().unwrap())
                .map_or_else(|code| (400, json!({"__type": code})), |value| (200, value)),
        }
    }

    fn operations(seen: &Seen) -> Vec<String> {
        seen.lock().unwrap().drain(..).map(|(operation, _)| operation).collect()
    }

    fn told(reads: Vec<Read>) -> Vec<Result<Option<String>, SecretError>> {
        reads.into_iter().map(|read| read.map(|it| it.map(|it| it.text.expose_secret().to_owned()))).collect()
    }

    #[tokio::test]
    async fn several_are_read_by_one_call_and_a_missing_one_is_no_failure() {
        let (secrets, seen) = serve(false);
        let reads = secrets.read_all(&["a", "none", "b"]).await;
        assert_eq!(reads[0].as_ref().unwrap().as_ref().unwrap().since, Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(told(reads), [Ok(Some("text of p/a".into())), Ok(None), Ok(Some("text of p/b".into()))]);
        assert_eq!(operations(&seen), ["BatchGetSecretValue"]);
    }

    #[tokio::test]
    async fn what_the_one_call_does_not_give_is_asked_for_by_itself() {
        let denied = || Err(SecretError::Denied { name: "p/denied".into() });
        let (secrets, seen) = serve(false);
        let reads = told(secrets.read_all(&["a", "denied"]).await);
        assert_eq!(reads, [Ok(Some("text of p/a".into())), denied()]);
        assert_eq!(operations(&seen), ["BatchGetSecretValue", "GetSecretValue"]);

        let (secrets, seen) = serve(true);
        let reads = told(secrets.read_all(&["a", "denied", "none"]).await);
        assert_eq!(reads, [Ok(Some("text of p/a".into())), denied(), Ok(None)]);
        assert_eq!(operations(&seen), ["BatchGetSecretValue", "GetSecretValue", "GetSecretValue", "GetSecretValue"]);
    }

    #[tokio::test]
    async fn one_alone_takes_no_batch_and_many_take_one_for_each_twenty() {
        let (secrets, seen) = serve(false);
        assert_eq!(told(secrets.read_all(&["a"]).await), [Ok(Some("text of p/a".into()))]);
        assert_eq!(operations(&seen), ["GetSecretValue"]);
        assert_eq!(told(secrets.read_all(&[]).await), []);
        let names: Vec<_> = (0..41).map(|number| format!("none-{number}")).collect();
        let reads = secrets.read_all(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(reads.len() == 41 && told(reads).iter().all(|read| *read == Ok(None)));
        assert_eq!(operations(&seen), ["BatchGetSecretValue"; 3]);
    }

    /// What a cold start asks for: `prefetch`, and the reads that follow it.
    #[tokio::test]
    async fn a_start_takes_one_call() {
        let (secrets, seen) = serve(false);
        let cache = crate::Secrets::new(secrets, crate::SystemRuntime);
        cache.prefetch(["b", "none", "a", "a"]).await;
        assert!(cache.keys("none").await.unwrap().is_none());
        assert_eq!(operations(&seen), ["BatchGetSecretValue"]);
    }
}
