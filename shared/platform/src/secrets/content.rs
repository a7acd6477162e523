//! What stands in the secrets. Each reader takes the part that it wants; other members are left alone.

use certbridge_mapping::Keys;
use certbridge_sync::{delivery::Endpoint, ports::Credentials};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// `{"signing": ".." or [..], "subscriptions": [..]}` of a source.
#[derive(Deserialize)]
pub(super) struct SigningPart {
    signing: Option<OneOrMany>,
    #[serde(default)]
    subscriptions: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl SigningPart {
    pub(super) fn into_keys(self) -> Option<Keys> {
        let keys = Keys::new(match self.signing {
            None => Vec::new(),
            Some(OneOrMany::One(key)) => vec![key.into()],
            Some(OneOrMany::Many(keys)) => keys.into_iter().map(SecretString::from).collect(),
        })?;
        Some(match self.subscriptions {
            None => keys,
            Some(ids) => keys.for_subscriptions(ids),
        })
    }
}

/// `{"subscriptions": [..]}` of a source.
#[derive(Deserialize)]
pub(super) struct SubscriptionsPart {
    #[serde(default)]
    pub(super) subscriptions: Option<Vec<String>>,
}

/// `{"api_key": ".."}` of a source or destination.
#[derive(Deserialize)]
pub(super) struct ApiKeyPart {
    #[serde(default, deserialize_with = "secret")]
    api_key: Option<SecretString>,
}

impl ApiKeyPart {
    pub(super) fn into_key(self) -> Option<SecretString> {
        self.api_key
    }
}

/// `{"api_key": ".."}` or `{"client_id": "..", "client_secret": ".."}` of a destination, and which locations it is for.
#[derive(Deserialize)]
pub(super) struct DestinationPart {
    #[serde(default, deserialize_with = "secret")]
    api_key: Option<SecretString>,
    client_id: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    client_secret: Option<SecretString>,
    company_id: Option<String>,
    default_location: Option<String>,
    #[serde(default)]
    locations: BTreeMap<String, String>,
}

impl DestinationPart {
    pub(super) fn into_credentials(self) -> Credentials {
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let keys = self.locations.into_iter().filter_map(|(id, key)| Some((id, given(Some(key))?.into())));
        Credentials {
            api_key: self.api_key,
            client: given(self.client_id).zip(self.client_secret),
            company_id: given(self.company_id),
            default_location: given(self.default_location),
            locations: keys.collect(),
        }
    }
}

/// `{"key": ".."}`, what proves our cursors.
#[derive(Deserialize)]
pub(super) struct CursorPart {
    #[serde(default, deserialize_with = "secret")]
    key: Option<SecretString>,
}

impl CursorPart {
    pub(super) fn into_key(self) -> Option<SecretString> {
        self.key
    }
}

/// `{"signing_key": "..", "digest_key": ".."}`, the audit's keys.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditSecret {
    /// Signs checkpoints.
    #[serde(default, deserialize_with = "secret")]
    pub signing_key: Option<SecretString>,
    /// Keys the digests of personal values.
    #[serde(default, deserialize_with = "secret")]
    pub digest_key: Option<SecretString>,
}

/// `{"endpoints": [{"id", "url", "port"?, "signing": ".." or [..], "events": [..]}]}`, who is told of what happened.
#[derive(Deserialize)]
pub(super) struct EndpointsPart {
    #[serde(default)]
    endpoints: Vec<Either>,
}

/// An endpoint, or something else: one that is broken is so alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Endpoint(EndpointPart),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct EndpointPart {
    id: String,
    url: String,
    port: Option<u16>,
    signing: OneOrMany,
    events: Vec<String>,
}

impl EndpointsPart {
    /// The endpoints that can be used, and the places of those that cannot.
    pub(super) fn into_endpoints(self) -> (Vec<Endpoint>, Vec<usize>) {
        let (mut endpoints, mut broken) = (Vec::<Endpoint>::new(), Vec::new());
        for (place, one) in self.endpoints.into_iter().enumerate() {
            match one {
                Either::Endpoint(part) => match part.into_endpoint() {
                    Some(endpoint) if endpoints.iter().all(|known| known.id != endpoint.id) => endpoints.push(endpoint),
                    _ => broken.push(place),
                },
                Either::Other(_) => broken.push(place),
            }
        }
        (endpoints, broken)
    }
}

impl EndpointPart {
    /// `None` if it has no name, or nothing to sign with.
    fn into_endpoint(self) -> Option<Endpoint> {
        let keys = match self.signing {
            OneOrMany::One(key) => vec![key],
            OneOrMany::Many(keys) => keys,
        };
        let keys: Vec<_> = keys.into_iter().filter(|key| !key.trim().is_empty()).map(SecretString::from).collect();
        let is_name = |id: &str| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        (is_name(&self.id) && !keys.is_empty()).then_some(Endpoint {
            id: self.id,
            url: self.url.into(),
            port: self.port,
            keys,
            events: self.events,
        })
    }
}

/// A string that is worth something; a blank one, as templates leave it, is none.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.map(SecretString::from);
    Ok(text.filter(|text| !text.expose_secret().trim().is_empty()))
}
