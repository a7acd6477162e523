//! The keys that others hold to our API. We keep their SHA-256 only.

use crate::http::routes::ROUTES;
use jiff::Timestamp;
use lambda_http::http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use subtle::ConstantTimeEq;

/// Scopes that a key may already hold, though no route asks for them yet.
const TO_COME: [&str; 1] = ["audit:read"];

/// All scopes that there are: those that [`ROUTES`] ask for, and those of routes to come.
pub fn scopes() -> BTreeSet<&'static str> {
    ROUTES.iter().filter_map(|route| route.scope).chain(TO_COME).collect()
}

/// The keys that open our API, as the secret `api-keys` holds them.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ApiKeyring {
    #[serde(default, deserialize_with = "readable")]
    keys: Vec<ApiKey>,
}

/// One key, as the secret holds it: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its name, for lists, logs and the audit.
    pub id: String,
    #[serde(serialize_with = "as_hex", deserialize_with = "from_hex")]
    sha256: [u8; 32],
    /// Who holds it.
    pub owner: String,
    /// What it opens.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// From when on it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl ApiKey {
    /// What is kept of `key`.
    pub fn new(key: &str, id: String, owner: String, scopes: Vec<String>, expires: Option<Timestamp>) -> Self {
        Self { id, sha256: Sha256::digest(key).into(), owner, scopes, expires }
    }

    /// Reads an entry; `None` if it cannot be read, and then it opens nothing.
    pub fn read(entry: &Value) -> Option<Self> {
        Self::deserialize(entry).ok()
    }

    /// Whether it opens nothing any more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The entries that can be read. The others open nothing, and that is not the fault of these.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ApiKey>, D::Error> {
    Ok(Vec::<Value>::deserialize(deserializer)?.iter().filter_map(ApiKey::read).collect())
}

fn as_hex<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(digest))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let mut digest = [0; 32];
    let text = String::deserialize(deserializer)?;
    // Without the error, which quotes what it found.
    hex::decode_to_slice(text, &mut digest).map_err(|_| serde::de::Error::custom("no SHA-256 in hex"))?;
    Ok(digest)
}

/// Whose key it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who holds it: the actor in the audit.
    pub owner: String,
    /// Which of its owner's keys it is.
    pub key_id: String,
}

/// Why a key opens nothing. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No key was presented.
    #[error("no key was presented")]
    Missing,
    /// It is none of ours, or not any more.
    #[error("{}", expired.as_ref().map_or("the key is unknown".into(), |id| format!("key {id} has expired")))]
    Unknown {
        /// The id of the key, if it was ours once.
        expired: Option<String>,
    },
    /// It is ours, but not for this.
    #[error("key {key_id} has no scope {scope}")]
    Scope {
        /// Its id.
        key_id: String,
        /// What it would have needed.
        scope: String,
    },
}

impl ApiKeyring {
    /// Who presents this key, if its scopes hold `scope`. Every key is compared, so that the time taken does not tell
    /// which one it was.
    pub fn authorize(&self, presented: &str, scope: &str, now: Timestamp) -> Result<Caller, Denied> {
        if presented.is_empty() {
            return Err(Denied::Missing);
        }
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut found = None;
        for key in &self.keys {
            if key.sha256.ct_eq(&presented).into() {
                found.get_or_insert(key);
            }
        }
        let key = found.ok_or(Denied::Unknown { expired: None })?;
        if key.is_expired(now) {
            return Err(Denied::Unknown { expired: Some(key.id.clone()) });
        }
        if !key.scopes.iter().any(|held| held == scope) {
            return Err(Denied::Scope { key_id: key.id.clone(), scope: scope.to_owned() });
        }
        Ok(Caller { owner: key.owner.clone(), key_id: key.id.clone() })
    }
}

/// The key that a request presents: `Authorization: Bearer`, or else `x-api-key`.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| header("x-api-key").map(str::trim)).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-22T10:00:00Z";

    fn sha256(key: &str) -> String {
        hex::encode(Sha256::digest(key))
    }

    fn authorize(presented: &str, scope: &str) -> Result<Caller, Denied> {
        let ring: ApiKeyring = serde_json::from_value(json!({"keys": [
            {"id": "broken", "sha256": "no hex", "owner": "nobody", "scopes": ["sync:write"]},
            {"id": "timeless", "sha256": sha256("lasting"), "owner": "o", "scopes": ["sync:write"], "expires": "never"},
            {"sha256": sha256("nameless"), "owner": "ops", "scopes": ["sync:write"]},
            "neither an object",
            {"id": "ops-1", "sha256": sha256("s3cret"), "owner": "ops", "scopes": ["sync:write", "records:read"]},
            {"id": "old", "sha256": sha256("stale"), "owner": "ops", "scopes": ["sync:write"], "expires": NOW},
            {"id": "tmp", "sha256": sha256("fresh").to_uppercase(), "owner": "temp", "scopes": ["sync:write"],
             "expires": "2026-11-22T10:00:01Z"},
        ]}))
        .unwrap();
        ring.authorize(presented, scope, NOW.parse().unwrap())
    }

    #[test]
    fn a_key_opens_what_its_scopes_name() {
        assert_eq!(authorize("s3cret", "sync:write"), Ok(Caller { owner: "ops".into(), key_id: "ops-1".into() }));
        assert_eq!(authorize("fresh", "sync:write").unwrap().key_id, "tmp");
        let denied = authorize("s3cret", "batch:run").unwrap_err();
        assert_eq!(denied.to_string(), "key ops-1 has no scope batch:run");
    }

    #[test]
    fn unknown_expired_and_absent_keys_open_nothing() {
        assert_eq!(authorize("guess", "sync:write"), Err(Denied::Unknown { expired: None }));
        assert_eq!(authorize(&sha256("s3cret"), "sync:write"), Err(Denied::Unknown { expired: None }));
        assert_eq!(authorize("stale", "sync:write").unwrap_err().to_string(), "key old has expired");
        for unreadable in ["lasting", "nameless"] {
            assert_eq!(authorize(unreadable, "sync:write"), Err(Denied::Unknown { expired: None }));
        }
        assert_eq!(authorize("", "sync:write"), Err(Denied::Missing));
        assert!(ApiKeyring::default().authorize("s3cret", "sync:write", NOW.parse().unwrap()).is_err());
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for expires in [None, Some(NOW.parse().unwrap())] {
            let scopes = vec!["sync:write".to_owned()];
            let key = ApiKey::new("s3cret", "ops-1".into(), "ops".into(), scopes, expires);
            let entry = serde_json::to_value(&key).unwrap();
            assert_eq!(
                (&entry["sha256"], entry.get("expires").is_some()),
                (&json!(sha256("s3cret")), expires.is_some())
            );
            assert_eq!(ApiKey::read(&entry), Some(key));
        }
    }

    #[test]
    fn a_key_is_presented_either_way() {
        let of = |headers: &[(&'static str, &str)]| {
            let headers: HeaderMap =
                headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            presented(&headers).map(str::to_owned)
        };
        assert_eq!(of(&[("authorization", "bearer  abc")]).as_deref(), Some("abc"));
        assert_eq!(of(&[("x-api-key", "def")]).as_deref(), Some("def"));
        assert_eq!(of(&[("authorization", "Bearer abc"), ("x-api-key", "def")]).as_deref(), Some("abc"));
        assert_eq!(of(&[("authorization", "Basic abc")]), None);
        assert_eq!(of(&[("authorization", "Bearer ")]), None);
        assert_eq!(of(&[]), None);
    }
}
