//! Subscriptions to the webhooks of those sources that have an API for them: what can be subscribed to, who is told of
//! what, and a sample on request. One file a provider, since no two agree on a name.

mod accredit;
mod acculynx;

use crate::{
    address::BaseUrl,
    http::{Answer, Body, Call, Http, error},
};
use certbridge_mapping::SourceDefinition;
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::ApiKeys,
};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use secrecy::SecretString;
use serde_json::Value;
use std::time::Duration;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How a key stands in the `Authorization` header, where the provider does not document it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization {
    /// `Bearer {key}`.
    #[default]
    Bearer,
    /// `Token {key}`.
    Token,
    /// The key alone.
    Plain,
}

/// Somebody who wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// Where to. It may hold a token, and so is shown to nobody.
    pub url: String,
    /// Of what.
    pub topics: Vec<String>,
    /// Whom the provider may write to, if it wants to know.
    pub contact: Option<String>,
    /// For one tenant; else for the system.
    pub tenant: Option<String>,
}

/// A subscription that was made.
#[derive(Debug, Default)]
pub struct Subscribed {
    /// Its id, if the provider gives it one.
    pub id: Option<String>,
    /// The key that its deliveries are proven by, if the provider makes one.
    pub signature_key: Option<SecretString>,
}

/// A subscription as the provider lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Where to. It may hold a token.
    pub url: String,
    /// Of what.
    pub topics: Vec<String>,
    /// Whom the provider may write to.
    pub contact: String,
    /// What the provider says of its state.
    pub status: String,
}

/// Why nothing came of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// The source has no subscriptions, or none that anybody documents.
    #[error("{0} documents no calls about subscriptions")]
    NoSubscriptions(String),
    /// The provider documents others, but not this one.
    #[error("{provider} documents no call that {call}: {instead}")]
    Undocumented {
        /// The source.
        provider: String,
        /// What it would do.
        call: &'static str,
        /// What can be done.
        instead: &'static str,
    },
    /// Something that the provider has to be told.
    #[error("{provider} has to be told {what}")]
    Lacks {
        /// The source.
        provider: String,
        /// What.
        what: &'static str,
    },
    /// Nobody knows where the provider is, or it is no place to send a key to.
    #[error("{0}")]
    Address(String),
    /// It was asked.
    #[error("{0}")]
    Remote(#[from] RemoteError),
}

/// Which provider it is: only these two document an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Accredit,
    AccuLynx,
}

/// A source's subscriptions, over its API.
pub struct Subscriptions<K> {
    provider: Provider,
    name: String,
    base: BaseUrl,
    http: Http,
    keys: K,
    authorization: Authorization,
}

impl<K: ApiKeys> Subscriptions<K> {
    /// The subscriptions of a source, at this address or else at the definition's.
    ///
    /// # Errors
    /// It has none, or its address is not known or not safe.
    pub fn new(
        http: Http,
        keys: K,
        source: &SourceDefinition,
        url: Option<&str>,
        authorization: Authorization,
    ) -> Result<Self, SubscriptionError> {
        let provider = match source.provider() {
            "accredit" => Provider::Accredit,
            "acculynx" => Provider::AccuLynx,
            _ => return Err(SubscriptionError::NoSubscriptions(source.name.clone())),
        };
        let url = url.or(source.base_url.as_deref()).ok_or_else(|| {
            SubscriptionError::Address(format!(
                "{} documents no address: {} names it",
                source.name,
                source.url_variable()
            ))
        })?;
        let base = BaseUrl::parse(&source.secret_name(), url)
            .map_err(|error| SubscriptionError::Address(error.to_string()))?;
        Ok(Self { provider, name: source.name.clone(), base, http, keys, authorization })
    }

    /// What can be subscribed to.
    pub async fn topics(&self) -> Result<Vec<String>, SubscriptionError> {
        match self.provider {
            Provider::Accredit => self.accredit_events().await,
            Provider::AccuLynx => self.acculynx_topics().await,
        }
    }

    /// The subscriptions that there are.
    pub async fn list(&self) -> Result<Vec<Subscription>, SubscriptionError> {
        match self.provider {
            Provider::Accredit => Err(self.undocumented("lists subscriptions", "look at its administration")),
            Provider::AccuLynx => self.acculynx_list().await,
        }
    }

    /// Makes one.
    pub async fn create(&self, wanted: &NewSubscription) -> Result<Subscribed, SubscriptionError> {
        match self.provider {
            Provider::Accredit => self.accredit_create(wanted).await,
            Provider::AccuLynx => self.acculynx_create(wanted).await,
        }
    }

    /// Changes the topics of one, and whom to write to.
    pub async fn update(&self, id: &str, topics: &[String], contact: Option<&str>) -> Result<(), SubscriptionError> {
        match self.provider {
            Provider::Accredit => Err(self.undocumented("changes a subscription", "make another one")),
            Provider::AccuLynx => self.acculynx_update(id, topics, contact).await,
        }
    }

    /// Asks for a sample of a topic. Where the provider has subscriptions with ids, for one of them.
    pub async fn test(&self, id: Option<&str>, topic: &str) -> Result<(), SubscriptionError> {
        match self.provider {
            Provider::Accredit => self.accredit_trigger(topic).await,
            Provider::AccuLynx => self.acculynx_test(id.ok_or_else(|| self.lacks("which subscription"))?, topic).await,
        }
    }

    /// Ends one.
    pub async fn delete(&self, id: &str) -> Result<(), SubscriptionError> {
        match self.provider {
            Provider::Accredit => Err(self.undocumented("ends a subscription", "end it in its administration")),
            Provider::AccuLynx => self.acculynx_delete(id).await,
        }
    }

    fn undocumented(&self, call: &'static str, instead: &'static str) -> SubscriptionError {
        SubscriptionError::Undocumented { provider: self.name.clone(), call, instead }
    }

    fn lacks(&self, what: &'static str) -> SubscriptionError {
        SubscriptionError::Lacks { provider: self.name.clone(), what }
    }

    fn secret(&self) -> String {
        format!("sources/{}", self.name)
    }

    /// Asks, and gives whatever is answered.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, SubscriptionError> {
        let provider = self.secret();
        let url = self
            .base
            .join(path)
            .ok_or_else(|| SubscriptionError::Address("what was given is no part of an address".to_owned()))?;
        let call = Call {
            provider: &provider,
            method,
            url,
            authorization: match self.authorization {
                Authorization::Bearer => |key| format!("Bearer {key}"),
                Authorization::Token => |key| format!("Token {key}"),
                Authorization::Plain => str::to_owned,
            },
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
            body: body.map(Body::Json),
        };
        Ok(self.http.send(&self.keys, call, TIMEOUT).await?)
    }

    /// The JSON of an answer that is a success.
    fn json(&self, answer: &Answer) -> Result<Value, SubscriptionError> {
        serde_json::from_slice(&answer.body).map_err(|_| self.unusable(answer, "no JSON"))
    }

    fn refusal(&self, answer: &Answer) -> SubscriptionError {
        self.http.refusal(&self.secret(), answer).into()
    }

    fn unusable(&self, answer: &Answer, what: &str) -> SubscriptionError {
        let message = format!("{}, but {what}", answer.status.as_u16());
        error(&self.secret(), RemoteClass::Unusable, message).into()
    }

    /// Success, whatever it says.
    fn done(&self, answer: &Answer) -> Result<(), SubscriptionError> {
        if answer.status.is_success() { Ok(()) } else { Err(self.refusal(answer)) }
    }
}

/// Which of our subscriptions bring nothing any more, and why, one text each.
pub fn lapsed(ours: &[String], listed: &[Subscription]) -> Vec<String> {
    let state = |id: &String| match listed.iter().find(|subscription| subscription.id == *id) {
        None => Some(format!("{id} is gone")),
        Some(subscription) if subscription.status.eq_ignore_ascii_case("disabled") => Some(format!("{id} is disabled")),
        Some(_) => None,
    };
    ours.iter().filter_map(state).collect()
}

/// The names in a list, or in the list that stands under `items`: each a text, or an object that has one of `members`.
fn names(value: &Value, members: &[&str]) -> Option<Vec<String>> {
    let items = value.as_array().or_else(|| value.get("items")?.as_array())?;
    let name = |item: &Value| {
        let member = || members.iter().find_map(|member| item.get(member)?.as_str());
        item.as_str().or_else(member).map(str::to_owned)
    };
    Some(items.iter().filter_map(name).collect())
}

/// Whether a page was asked for that is behind the last one.
fn is_past_the_end(answer: &Answer) -> bool {
    answer.status == StatusCode::RANGE_NOT_SATISFIABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_that_brings_nothing_is_named() {
        let listed = [("a", "Enabled"), ("b", "Disabled"), ("c", ""), ("d", "disabled")];
        let listed = listed.map(|(id, status)| Subscription {
            id: id.to_owned(),
            status: status.to_owned(),
            ..Subscription::default()
        });
        // What is nobody's of ours is nobody's business.
        let ours = ["a", "b", "c", "e"].map(str::to_owned);
        assert_eq!(lapsed(&ours, &listed), ["b is disabled", "e is gone"]);
        assert!(lapsed(&ours[..1], &listed).is_empty());
    }
}
