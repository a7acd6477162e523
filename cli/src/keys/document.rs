//! What the secret `api-keys` holds, and what may be done to it.

use super::KeysError;
use certbridge_platform::keys::ApiKey;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const KEYS: &str = "keys";

/// The secret: a JSON object whose member `keys` is a list. Whatever else stands in it, or in an entry, is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    members: Map<String, Value>,
    entries: Vec<Value>,
}

impl TryFrom<Value> for Document {
    type Error = KeysError;

    fn try_from(value: Value) -> Result<Self, KeysError> {
        let Value::Object(mut members) = value else { return Err(KeysError::NoList) };
        match members.remove(KEYS).unwrap_or_else(|| json!([])) {
            Value::Array(entries) => Ok(Self { members, entries }),
            _ => Err(KeysError::NoList),
        }
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Self {
        let Document { mut members, entries } = document;
        members.insert(KEYS.to_owned(), entries.into());
        Self::Object(members)
    }
}

impl Document {
    /// Reads it from a text. A blank one, as a template may leave it, holds no key.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        // The place only: the error's own text may quote the secret.
        let value: Value = serde_json::from_str(text)
            .map_err(|error| KeysError::NotJson { line: error.line(), column: error.column() })?;
        Self::try_from(value)
    }

    /// Puts a key in, whose id no other key may have. Once is enough.
    pub fn add(&mut self, key: &ApiKey) -> Result<(), KeysError> {
        let entry = json!(key);
        if self.entries.contains(&entry) {
            return Ok(());
        }
        if self.entries.iter().any(|entry| entry["id"] == key.id.as_str()) {
            return Err(KeysError::Taken(key.id.clone()));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Takes a key out. Says whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry["id"] != id);
        self.entries.len() < before
    }

    /// All entries, as somebody may see them.
    pub fn list(&self, now: Timestamp) -> Vec<Listed> {
        self.entries.iter().map(|entry| Listed::of(entry, now)).collect()
    }
}

/// What may be shown of an entry; never its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// Who holds it.
    pub owner: Option<String>,
    /// What it opens.
    pub scopes: Vec<String>,
    /// When it ends, as it stands there.
    pub expires: Option<String>,
    /// Whether it opens anything.
    pub state: State,
}

/// Whether a key opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It opens what its scopes name.
    Active,
    /// It did.
    Expired,
    /// It cannot be read, and opens nothing.
    Unusable,
}

impl State {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Unusable => "unusable",
        }
    }
}

impl Listed {
    fn of(entry: &Value, now: Timestamp) -> Self {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        let scopes = entry["scopes"].as_array().into_iter().flatten();
        Self {
            id: text("id"),
            owner: text("owner"),
            scopes: scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect(),
            expires: text("expires"),
            // As the keyring itself reads it.
            state: match ApiKey::read(entry) {
                None => State::Unusable,
                Some(key) if key.is_expired(now) => State::Expired,
                Some(_) => State::Active,
            },
        }
    }
}
