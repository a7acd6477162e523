use certbridge_platform::{
    Denied, Metrics, SecretProvider, Secrets, http::routes::route, keys::presented, secrets::AuthorizeError,
};
use certbridge_sync::ports::Runtime;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2CustomAuthorizerV2Request as Question;
use serde::Serialize;
use std::sync::Arc;

/// Everything that the handler needs.
#[derive(Debug)]
pub struct Authorizer<P, T> {
    /// The keys.
    pub secrets: Arc<Secrets<P, T>>,
    /// The counters.
    pub metrics: Metrics,
}

/// The answer, in the gateway's simple format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether the request goes on to its function.
    pub is_authorized: bool,
    /// What the function is told of the caller.
    pub context: Caller,
}

/// What a function is told of its caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// Who holds the key: the actor in the audit. Empty where nobody is let in.
    pub owner: String,
    /// Which of its owner's keys it is.
    pub key_id: String,
}

/// Decides about one request.
///
/// # Errors
/// If the keys cannot be read right now: the gateway then answers 500, and lets nobody in.
pub async fn handle<P: SecretProvider, T: Runtime>(
    app: &Authorizer<P, T>,
    question: &Question,
) -> Result<Decision, AuthorizeError> {
    let key = question.route_key.as_deref().unwrap_or_default();
    // The same that the function behind it logs.
    let request_id = question.request_context.request_id.as_deref();
    match app.decide(key, question).await {
        Ok(caller) => {
            tracing::info!(request_id, route = key, owner = caller.owner, key_id = caller.key_id, "let in");
            Ok(Decision { is_authorized: true, context: caller })
        }
        Err(AuthorizeError::Denied(denied)) => {
            tracing::warn!(request_id, route = key, %denied, "not let in");
            app.metrics.count("Denied", &[]);
            Ok(Decision { is_authorized: false, context: Caller::default() })
        }
        Err(error) => {
            tracing::error!(request_id, route = key, %error, "the keys cannot be read");
            Err(error)
        }
    }
}

impl<P: SecretProvider, T: Runtime> Authorizer<P, T> {
    async fn decide(&self, route_key: &str, question: &Question) -> Result<Caller, AuthorizeError> {
        // A route without a scope has no business here: it is not let through because somebody wired it wrongly.
        let scope = route(route_key).and_then(|route| route.scope).ok_or(Denied::Missing)?;
        let presented = presented(&question.headers).ok_or(Denied::Missing)?;
        let caller = self.secrets.authorize(presented, scope).await?;
        Ok(Caller { owner: caller.owner, key_id: caller.key_id })
    }
}
