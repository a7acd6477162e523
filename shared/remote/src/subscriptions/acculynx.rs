//! AccuLynx. Its API for webhooks stands beside its other one, and is in no published contract: this is how others found
//! it. Whom to write to is a `techContact` when a subscription is made, and a `technicalContact` when it is changed; where
//! to cannot be changed at all.

use super::{NewSubscription, Subscribed, Subscription, SubscriptionError, Subscriptions, is_past_the_end, names};
use certbridge_mapping::destination::escape_segment;
use certbridge_sync::ports::ApiKeys;
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/webhooks/v2";

/// More pages than anybody has subscriptions for.
const MAX_PAGES: usize = 200;

impl<K: ApiKeys> Subscriptions<K> {
    pub(super) async fn acculynx_topics(&self) -> Result<Vec<String>, SubscriptionError> {
        let answer = self.send(Method::GET, &format!("{PATH}/topics"), None).await?;
        self.done(&answer)?;
        let names = names(&self.json(&answer)?, &["topicName", "name"]);
        names.ok_or_else(|| self.unusable(&answer, "no list"))
    }

    pub(super) async fn acculynx_list(&self) -> Result<Vec<Subscription>, SubscriptionError> {
        let mut all: Vec<Subscription> = Vec::new();
        for page in 0..MAX_PAGES {
            let answer = self.send(Method::GET, &format!("{PATH}/subscriptions?pageStartIndex={page}"), None).await?;
            if is_past_the_end(&answer) {
                break;
            }
            self.done(&answer)?;
            let told = self.json(&answer)?;
            let items = told.get("items").and_then(Value::as_array);
            let items = items.ok_or_else(|| self.unusable(&answer, "no list"))?;
            let before = all.len();
            for subscription in items.iter().filter_map(subscription) {
                // Whoever makes no difference between pages shows the first one again.
                if all.iter().all(|known| known.id != subscription.id) {
                    all.push(subscription);
                }
            }
            if all.len() == before || told["count"].as_u64().is_some_and(|count| all.len() as u64 >= count) {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn acculynx_create(&self, wanted: &NewSubscription) -> Result<Subscribed, SubscriptionError> {
        if wanted.tenant.is_some() {
            return Err(self.undocumented("subscribes for one tenant", "each of its keys is of one company location"));
        }
        let contact = wanted.contact.as_deref().ok_or_else(|| self.lacks("whom it may write to"))?;
        let body = json!({
            "consumerUrl": wanted.url,
            "techContact": contact,
            "topicNames": wanted.topics,
            "integrationType": "Api",
        });
        let answer = self.send(Method::POST, &format!("{PATH}/subscriptions"), Some(&body)).await?;
        self.done(&answer)?;
        let told = self.json(&answer)?;
        let id = told.get("subscriptionId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| self.unusable(&answer, "no subscriptionId in it"))?;
        Ok(Subscribed { id: Some(id.to_owned()), signature_key: None })
    }

    pub(super) async fn acculynx_update(
        &self,
        id: &str,
        topics: &[String],
        contact: Option<&str>,
    ) -> Result<(), SubscriptionError> {
        let contact = contact.ok_or_else(|| self.lacks("whom it may write to"))?;
        let body = json!({"technicalContact": contact, "topicNames": topics});
        self.done(&self.send(Method::PUT, &path(id), Some(&body)).await?)
    }

    pub(super) async fn acculynx_test(&self, id: &str, topic: &str) -> Result<(), SubscriptionError> {
        let body = json!({"topicName": topic});
        self.done(&self.send(Method::POST, &format!("{}/test-event", path(id)), Some(&body)).await?)
    }

    pub(super) async fn acculynx_delete(&self, id: &str) -> Result<(), SubscriptionError> {
        self.done(&self.send(Method::DELETE, &path(id), None).await?)
    }
}

fn path(id: &str) -> String {
    format!("{PATH}/subscriptions/{}", escape_segment(id))
}

fn subscription(item: &Value) -> Option<Subscription> {
    let text = |names: &[&str]| names.iter().find_map(|name| item.get(name)?.as_str()).unwrap_or_default().to_owned();
    let topics = item.get("topicNames").and_then(|topics| names(topics, &["topicName", "name"])).unwrap_or_default();
    let id = text(&["subscriptionId", "id"]);
    (!id.is_empty()).then(|| Subscription {
        id,
        url: text(&["consumerUrl"]),
        topics,
        contact: text(&["technicalContact", "techContact"]),
        status: text(&["status"]),
    })
}
