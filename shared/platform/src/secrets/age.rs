//! Which keys a secret holds, and since when: never what they are.
//!
//! A secret says it in its member `added`, `{"<id of the key>": "<date or time>"}`. A secret without one is as good;
//! then Secrets Manager's own date of the version serves, which says too little age, and never too much.

use certbridge_mapping::verify::key_id;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use secrecy::SecretString;
use serde_json::Value;

/// The member that says when each key was added.
pub const ADDED: &str = "added";
/// The members that hold keys which are rotated. The audit's `digest_key` is not: what it digested could be compared no
/// more.
pub const MEMBERS: [&str; 5] = ["signing", "api_key", "client_secret", "signing_key", "locations"];

/// A key of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNote {
    /// The member that it stands in.
    pub member: &'static str,
    /// Its id, as the audit and the metric `KeyMatched` have it.
    pub id: String,
    /// When it was added, if the secret says so.
    pub added: Option<Timestamp>,
}

/// The keys of a secret, in their order; none, if it is no JSON object.
pub fn keys_of(text: &str) -> Vec<KeyNote> {
    serde_json::from_str(text).map(|secret| keys_in(&secret)).unwrap_or_default()
}

/// As [`keys_of`], of what was parsed.
pub fn keys_in(secret: &Value) -> Vec<KeyNote> {
    let keys = MEMBERS.into_iter().flat_map(|member| texts(&secret[member]).map(move |key| (member, key)));
    keys.map(|(member, key)| {
        let id = key_id(&SecretString::from(key));
        KeyNote { member, added: secret[ADDED][&id].as_str().and_then(time), id }
    })
    .collect()
}

/// The texts that are worth something: of a text, a list, or an object's members.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str().into_iter();
    let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let named = value.as_object().into_iter().flat_map(|members| members.values()).filter_map(Value::as_str);
    one.chain(many).chain(named).filter(|text| !text.trim().is_empty())
}

/// A time, or a date as it begins in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let day = || Some(Date::strptime("%F", text).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse().ok().or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_key_is_named_and_dated_where_the_secret_says_when() {
        let id = |key: &str| key_id(&SecretString::from(key));
        let secret = json!({
            "signing": ["one", " ", "two"], "api_key": "three", "locations": {"a": "four"}, "subscriptions": ["id"],
            "digest_key": "five",
            "added": {id("one"): "2026-01-31", id("two"): "2026-02-01T10:00:00Z", id("three"): "once", "other": 7},
        });
        let found: Vec<_> =
            keys_in(&secret).into_iter().map(|key| (key.member, key.id, key.added.map(|at| at.to_string()))).collect();
        let expected = [
            ("signing", "one", Some("2026-01-31T00:00:00Z")),
            ("signing", "two", Some("2026-02-01T10:00:00Z")),
            ("api_key", "three", None),
            ("locations", "four", None),
        ];
        assert_eq!(found, expected.map(|(member, key, at)| (member, id(key), at.map(str::to_owned))));
    }

    #[test]
    fn what_holds_no_key_has_none() {
        for text in ["", "{}", "hush", "[]", r#"{"signing": 7, "added": "never"}"#, r#"{"signing": null}"#] {
            assert_eq!(keys_of(text), [], "{text}");
        }
        assert_eq!(keys_of(r#"{"signing": "one", "added": ["k"]}"#).len(), 1);
    }
}
