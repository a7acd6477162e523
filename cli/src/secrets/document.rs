//! What a secret holds, and what a rotation makes of it. Whatever nobody here knows of is kept.

use super::SecretsError;
use certbridge_mapping::verify::key_id;
use certbridge_platform::secrets::age::{ADDED, KeyNote, keys_in};
use certbridge_sync::checkpoint::Signer;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How long a function may go on with what it has read.
pub const CACHE_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Where the keys that prove a source's deliveries stand.
pub const SIGNING: &str = "signing";
/// Where the key to a provider's API does.
pub const API_KEY: &str = "api_key";
/// Where the key that signs checkpoints does.
pub const SIGNING_KEY: &str = "signing_key";
/// Where the public halves of earlier ones do: they prove the checkpoints that those have signed.
pub const RETIRED: &str = "retired_public_keys";

/// A secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    name: String,
    members: Map<String, Value>,
}

impl Document {
    /// The secret of this name. A blank text, as a template may leave it, holds nothing.
    ///
    /// # Errors
    /// [`SecretsError::NoObject`], without a word of what it is.
    pub fn parse(name: &str, text: &str) -> Result<Self, SecretsError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let members = serde_json::from_str(text).map_err(|_| SecretsError::NoObject(name.to_owned()))?;
        Ok(Self { name: name.to_owned(), members })
    }

    /// As [`Self::parse`], of what was parsed.
    ///
    /// # Errors
    /// As there.
    pub fn new(name: &str, value: Value) -> Result<Self, SecretsError> {
        match value {
            Value::Object(members) => Ok(Self { name: name.to_owned(), members }),
            _ => Err(SecretsError::NoObject(name.to_owned())),
        }
    }

    /// As it is kept.
    pub fn into_value(self) -> Value {
        self.members.into()
    }

    /// Its keys: never what they are.
    pub fn keys(&self) -> Vec<KeyNote> {
        keys_in(&Value::Object(self.members.clone()))
    }

    /// The keys that prove deliveries, in the order of the list: a rotation adds at its end.
    pub fn signing(&self) -> Vec<KeyNote> {
        self.keys().into_iter().filter(|key| key.member == SIGNING).collect()
    }

    /// The keys that prove deliveries, themselves.
    ///
    /// # Errors
    /// [`SecretsError::NoList`] if something else stands there.
    pub fn signing_texts(&self) -> Result<Vec<SecretString>, SecretsError> {
        let wrong = || SecretsError::NoList { name: self.name.clone(), member: SIGNING };
        let texts = match self.members.get(SIGNING) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => {
                let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(wrong);
                items.iter().map(text).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(wrong()),
        };
        Ok(texts.into_iter().filter(|text| !text.trim().is_empty()).map(SecretString::from).collect())
    }

    /// Adds a key that proves deliveries to those that there are, and gives its id.
    ///
    /// # Errors
    /// It is there, or what is there is no list.
    pub fn add(&mut self, key: &SecretString, now: Timestamp) -> Result<String, SecretsError> {
        let mut keys = self.signing_texts()?;
        let id = key_id(key);
        if keys.iter().any(|there| key_id(there) == id) {
            return Err(SecretsError::Held(self.name.clone()));
        }
        keys.push(key.clone());
        self.set_signing(&keys);
        self.note(&id, now);
        Ok(id)
    }

    /// Takes out the key of this id.
    ///
    /// # Errors
    /// There is no such key, or it is the last one.
    pub fn remove(&mut self, id: &str) -> Result<(), SecretsError> {
        let mut keys = self.signing_texts()?;
        let before = keys.len();
        keys.retain(|key| key_id(key) != id);
        if keys.len() == before {
            return Err(SecretsError::UnknownId { name: self.name.clone(), id: id.to_owned() });
        }
        if keys.is_empty() {
            return Err(SecretsError::Last(self.name.clone()));
        }
        self.set_signing(&keys);
        self.forget();
        Ok(())
    }

    /// Puts a key in the place of the one that a member holds, and gives its id.
    pub fn replace(&mut self, member: &str, key: &SecretString, now: Timestamp) -> String {
        let id = key_id(key);
        self.members.insert(member.to_owned(), key.expose_secret().into());
        self.note(&id, now);
        self.forget();
        id
    }

    /// Puts another key in the place of the audit's, and keeps the public half of the one before: it proves what that
    /// one has signed. Gives the new one's public key.
    ///
    /// # Errors
    /// The new one is no key.
    pub fn replace_signer(&mut self, key: &SecretString, now: Timestamp) -> Result<String, SecretsError> {
        let public = |key: &SecretString| Signer::new(key).ok().map(|signer| signer.public_key());
        let new = public(key).ok_or_else(|| SecretsError::Unusable(self.name.clone()))?;
        let old = self.members.get(SIGNING_KEY).and_then(Value::as_str).and_then(|old| public(&old.into()));
        if let Some(old) = old.filter(|old| *old != new) {
            let retired = self.members.entry(RETIRED).or_insert_with(|| json!({}));
            let Value::Object(retired) = retired else {
                return Err(SecretsError::NoList { name: self.name.clone(), member: RETIRED });
            };
            retired.insert(old.id(), old.to_string().into());
        }
        self.replace(SIGNING_KEY, key, now);
        Ok(new.to_string())
    }

    /// Puts a text that is no key of anybody's rotation into a member.
    pub fn set(&mut self, member: &str, text: &str) {
        self.members.insert(member.to_owned(), text.into());
    }

    /// Whether a member holds nothing.
    pub fn is_blank(&self, member: &str) -> bool {
        self.members.get(member).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty())
    }

    /// Whether a member holds this very key.
    pub fn holds(&self, member: &str, key: &SecretString) -> bool {
        self.members.get(member).and_then(Value::as_str) == Some(key.expose_secret())
    }

    fn set_signing(&mut self, keys: &[SecretString]) {
        let texts: Vec<_> = keys.iter().map(ExposeSecret::expose_secret).collect();
        self.members.insert(SIGNING.to_owned(), json!(texts));
    }

    /// Notes when a key was added.
    fn note(&mut self, id: &str, now: Timestamp) {
        if !self.members.get(ADDED).is_some_and(Value::is_object) {
            self.members.insert(ADDED.to_owned(), json!({}));
        }
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        self.members[ADDED][id] = json!(now);
    }

    /// Forgets when keys were added that are gone.
    fn forget(&mut self) {
        let there: BTreeSet<_> = self.keys().into_iter().map(|key| key.id).collect();
        if let Some(Value::Object(added)) = self.members.get_mut(ADDED) {
            added.retain(|id, _| there.contains(id));
        }
    }
}

/// Where the rotation of a source's key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The source is off.
    Off,
    /// It has one key: a rotation would begin by adding another one.
    Add,
    /// Some function may not know the new key yet.
    Wait {
        /// Its id.
        new: String,
        /// From when on all know it.
        until: Timestamp,
    },
    /// All know the new key, and nothing has come under it: the sender is to be switched.
    Switch {
        /// Its id.
        new: String,
    },
    /// Both are in use.
    Drain {
        /// The key that is not the newest.
        old: String,
        /// When it last proved something.
        at: Timestamp,
    },
    /// Nothing comes under this key any more.
    Remove {
        /// Its id.
        old: String,
    },
}

/// Where it stands, by the keys and when each last proved something.
pub fn stage(keys: &[KeyNote], matched: &BTreeMap<String, Timestamp>, now: Timestamp) -> Stage {
    let Some((new, old)) = keys.split_last() else { return Stage::Off };
    let Some(first) = old.first() else { return Stage::Add };
    let Some(used) = matched.get(&new.id) else {
        let until = new.added.map(|added| added + CACHE_AGE).filter(|until| now < *until);
        return match until {
            Some(until) => Stage::Wait { new: new.id.clone(), until },
            None => Stage::Switch { new: new.id.clone() },
        };
    };
    // What was sent under the old key just before the switch may be sent again.
    let in_use = |id: &String| matched.get(id).filter(|at| **at > *used || now < **at + CACHE_AGE).copied();
    match old.iter().find_map(|key| Some((key, in_use(&key.id)?))) {
        Some((key, at)) => Stage::Drain { old: key.id.clone(), at },
        None => Stage::Remove { old: first.id.clone() },
    }
}

/// Whether the sender still uses a key: it proved something, and no other one has since.
pub fn is_in_use(id: &str, matched: &BTreeMap<String, Timestamp>) -> Option<Timestamp> {
    let at = *matched.get(id)?;
    matched.iter().all(|(other, when)| other == id || *when <= at).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn document(value: Value) -> Document {
        Document::new("sources/x", value).unwrap()
    }

    fn id(key: &str) -> String {
        key_id(&key.into())
    }

    #[test]
    fn a_key_is_added_at_the_end_and_dated_and_taken_out_with_its_date() {
        for before in [json!({"signing": "old", "n": 1.10}), json!({"signing": ["old", " "], "added": 7, "n": 1.10})] {
            let mut secret = document(before);
            assert_eq!(secret.add(&"new".into(), now()).unwrap(), id("new"));
            let added = json!({id("new"): "2026-11-22T10:00:00Z"});
            let expected = json!({"signing": ["old", "new"], "added": added, "n": 1.10});
            assert_eq!(secret.clone().into_value(), expected);
            assert_eq!(secret.add(&"old".into(), now()), Err(SecretsError::Held("sources/x".into())));
            secret.remove(&id("old")).unwrap();
            assert_eq!(secret.clone().into_value()["signing"], json!(["new"]));
            let last = secret.remove(&id("new"));
            assert_eq!(last, Err(SecretsError::Last("sources/x".into())));
            assert_eq!(secret.into_value()["added"], added);
        }
    }

    #[test]
    fn what_cannot_be_changed_is_left_alone_and_not_quoted() {
        let unknown = document(json!({"signing": "old"})).remove("k-none").unwrap_err();
        assert!(unknown.to_string().contains("k-none"));
        for wrong in [json!({"signing": {"hush": 1}}), json!({"signing": ["a", 7]})] {
            let error = document(wrong).add(&"new".into(), now()).unwrap_err();
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let error = Document::parse("sources/x", "hush").unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    #[test]
    fn the_key_to_an_api_is_replaced() {
        let mut secret = document(json!({"api_key": "old", "added": {id("old"): "2020-01-01"}}));
        secret.replace(API_KEY, &"new".into(), now());
        let expected = json!({"api_key": "new", "added": {id("new"): "2026-11-22T10:00:00Z"}});
        assert_eq!(secret.into_value(), expected);
    }

    #[test]
    fn the_public_half_of_an_audit_key_outlives_it() {
        let seed = |byte| SecretString::from(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [byte; 32]));
        let public = |byte| Signer::new(&seed(byte)).unwrap().public_key();
        let mut secret = document(json!({"signing_key": seed(1).expose_secret(), "digest_key": "d"}));
        for byte in [2, 3] {
            assert_eq!(secret.replace_signer(&seed(byte), now()).unwrap(), public(byte).to_string());
        }
        assert!(secret.replace_signer(&"no key".into(), now()).is_err());
        let held = secret.into_value();
        assert_eq!((&held["signing_key"], &held["digest_key"]), (&json!(seed(3).expose_secret()), &json!("d")));
        let retired = [1, 2].map(|byte| (public(byte).id(), json!(public(byte).to_string())));
        assert_eq!(held[RETIRED], Value::Object(Map::from_iter(retired)));
    }

    #[test]
    fn a_rotation_stands_where_keys_and_matches_say() {
        let at = |seconds: i64| now() + SignedDuration::from_secs(seconds);
        let mut secret = document(json!({}));
        let stage = |secret: &Document, matched: &[(&str, i64)], seconds| {
            let matched = matched.iter().map(|(key, when)| (id(key), at(*when))).collect();
            super::stage(&secret.signing(), &matched, at(seconds))
        };
        assert_eq!(stage(&secret, &[], 0), Stage::Off);
        secret.add(&"old".into(), at(-9999)).unwrap();
        assert_eq!(stage(&secret, &[("old", -1)], 0), Stage::Add);
        secret.add(&"new".into(), at(0)).unwrap();
        assert_eq!(stage(&secret, &[("old", 298)], 299), Stage::Wait { new: id("new"), until: at(300) });
        assert_eq!(stage(&secret, &[("old", 299)], 300), Stage::Switch { new: id("new") });
        let drained = Stage::Drain { old: id("old"), at: at(310) };
        assert_eq!(stage(&secret, &[("old", 310), ("new", 320)], 609), drained);
        assert_eq!(stage(&secret, &[("old", 310), ("new", 305)], 9999), drained);
        assert_eq!(stage(&secret, &[("old", 310), ("new", 320)], 610), Stage::Remove { old: id("old") });
        assert_eq!(stage(&secret, &[("new", 320)], 321), Stage::Remove { old: id("old") });
    }

    #[test]
    fn a_key_is_in_use_while_no_other_one_is() {
        let matched = BTreeMap::from([("a".to_owned(), now()), ("b".to_owned(), now() - CACHE_AGE)]);
        assert_eq!(is_in_use("a", &matched), Some(now()));
        assert_eq!((is_in_use("b", &matched), is_in_use("c", &matched)), (None, None));
    }
}
