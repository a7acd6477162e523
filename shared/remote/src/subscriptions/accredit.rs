//! Accredit. Three routes are documented, and what they are for; of bodies, only that the answer to a new subscription
//! has a Signature Key. So requests are written in the `PascalCase` of the documented event, and answers read in either.

use super::{NewSubscription, Subscribed, SubscriptionError, Subscriptions, names};
use crate::http::Answer;
use certbridge_sync::ports::ApiKeys;
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/webhookSubscription";

/// The documented codes, and what they say.
const CODES: &[(&str, &str)] = &[
    ("ACR_02.003.000", "there is no subscription to that event"),
    ("ACR_02.003.001", "there is no such event"),
    ("ACR_02.003.002", "there is such a subscription already"),
    ("ACR_02.003.003", "this user has no signature key"),
];

impl<K: ApiKeys> Subscriptions<K> {
    pub(super) async fn accredit_events(&self) -> Result<Vec<String>, SubscriptionError> {
        let answer = self.send(Method::GET, &format!("{PATH}/events"), None).await?;
        self.accepted(&answer)?;
        let names = names(&self.json(&answer)?, &["Event", "event", "Name", "name"]);
        names.ok_or_else(|| self.unusable(&answer, "no list"))
    }

    pub(super) async fn accredit_create(&self, wanted: &NewSubscription) -> Result<Subscribed, SubscriptionError> {
        let mut body = json!({"Url": wanted.url, "Events": wanted.topics});
        if let Some(tenant) = &wanted.tenant {
            body["TenantId"] = tenant.as_str().into();
        }
        let answer = self.send(Method::POST, PATH, Some(&body)).await?;
        self.accepted(&answer)?;
        let told = self.json(&answer)?;
        let member =
            |names: &[&str]| names.iter().find_map(|name| told.get(name)?.as_str()).filter(|key| !key.is_empty());
        let key = member(&["SignatureKey", "signatureKey"]).or_else(|| told.as_str());
        let key = key.ok_or_else(|| self.unusable(&answer, "no Signature Key in it"))?;
        Ok(Subscribed { id: member(&["Id", "id"]).map(str::to_owned), signature_key: Some(key.into()) })
    }

    pub(super) async fn accredit_trigger(&self, event: &str) -> Result<(), SubscriptionError> {
        let body = json!({"Event": event});
        let answer = self.send(Method::POST, &format!("{PATH}/triggerSampleEventNotification"), Some(&body)).await?;
        self.accepted(&answer)
    }

    /// Success; or what the documented code in the answer says.
    fn accepted(&self, answer: &Answer) -> Result<(), SubscriptionError> {
        if answer.status.is_success() {
            return Ok(());
        }
        let mut refusal = self.refusal(answer);
        if let (SubscriptionError::Remote(error), Some((code, says))) = (&mut refusal, code(&answer.body)) {
            error.message = format!("{code}: {says}");
        }
        Err(refusal)
    }
}

/// The documented code in an answer, wherever it stands: the form of its errors is not documented.
fn code(body: &[u8]) -> Option<(&'static str, &'static str)> {
    let text: String = serde_json::from_slice::<Value>(body).ok()?.to_string();
    CODES.iter().find(|(code, _)| text.contains(code)).copied()
}
