//! Secrets in AWS Secrets Manager.

use super::{SecretError, SecretProvider};
use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    config::{Builder, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use secrecy::SecretString;
use std::time::Duration;

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
        let name = format!("{}{id}", self.prefix);
        match self.client.get_secret_value().secret_id(&name).send().await {
            Ok(output) => Ok(output.secret_string.map(SecretString::from)),
            Err(error) => failure(name, &error).map_or(Ok(None), Err),
        }
    }
}

/// What a failed read means; `None` if it means that there is no such secret. Never the error's whole chain: it may
/// hold the answer.
fn failure(name: String, error: &SdkError<GetSecretValueError, HttpResponse>) -> Option<SecretError> {
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
        "ResourceNotFoundException" => None,
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
    use std::{
        io::{Read, Write},
        net::TcpListener,
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
}
