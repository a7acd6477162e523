//! What an answer that is no success means, and what may be repeated of it.

use certbridge_sync::error::{RemoteClass, RemoteError};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// The longest wait that a provider may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The longest list of names that is taken over from an answer, in bytes.
const MAX_NAMES: usize = 200;

/// The error that an answer which is no success stands for.
pub(crate) fn refusal(
    provider: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> RemoteError {
    let class = class(status);
    let mut message = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let (label, names) = match class {
        RemoteClass::Unauthorized => ("lacks the scope", scopes(headers, body)),
        _ => ("names", names(body)),
    };
    let names = join(&names);
    if !names.is_empty() {
        message = format!("{}, {label} {names}", message.trim_end());
    }
    RemoteError { retry_after: retry_after(headers, now), ..RemoteError::new(provider, class, message.trim_end()) }
}

/// What may be repeated of the reason that an answer gives for refusing one record of several.
pub(crate) fn reason(result: &Value) -> String {
    let names = join(&names_in(result));
    if names.is_empty() { "refused".to_owned() } else { format!("refused, names {names}") }
}

fn class(status: StatusCode) -> RemoteClass {
    match status.as_u16() {
        // A gateway says this of a provider that it has not heard from: the provider may still be at it.
        504 | 524 => RemoteClass::Unanswered,
        501 | 300..=399 | 404 | 405 | 410 | 421 => RemoteClass::Misrouted,
        500..=599 | 408 | 409 => RemoteClass::Failed,
        425 | 429 => RemoteClass::Throttled,
        401 | 403 => RemoteClass::Unauthorized,
        400..=499 => RemoteClass::Rejected,
        _ => RemoteClass::Unusable,
    }
}

/// How long the provider asks us to wait: seconds, or a date, which is measured by the provider's own clock if the
/// answer shows it. Anything else is no wish.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    wish(headers, now).map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// The same, however long it is.
pub(crate) fn wish(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| DateTimeParser::new().parse_timestamp(text).ok();
    let wish = text(RETRY_AFTER)?;
    Some(match wish.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = text(DATE).and_then(date).unwrap_or(now);
            Duration::try_from(date(wish)?.duration_since(now)).unwrap_or_default()
        }
    })
}

/// The scopes that an answer names, as in `saas/location.read`.
fn scopes(headers: &HeaderMap, body: &[u8]) -> BTreeSet<String> {
    let challenge = headers.get(WWW_AUTHENTICATE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_scope = |word: &&str| {
        let (path, verb) = word.rsplit_once('.').unwrap_or_default();
        matches!(verb, "read" | "readonly" | "write")
            && path.len() <= 60
            && path.starts_with(|c: char| c.is_ascii_lowercase())
            && path.bytes().all(|b| b.is_ascii_alphabetic() || b"/_-".contains(&b))
    };
    [challenge, body]
        .iter()
        .flat_map(|text| {
            let text = String::from_utf8_lossy(text);
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"/._-@".contains(c));
            words.map(|word| word.trim_end_matches('.')).filter(is_scope).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The names of fields, and the codes for machines, in an error's body. Sentences are left out, since they may repeat
/// what they speak of; so is whatever could be an id, an address or a person's name.
fn names(body: &[u8]) -> BTreeSet<String> {
    serde_json::from_slice(body).map(|body| names_in(&body)).unwrap_or_default()
}

fn names_in(body: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for member in ["error", "errors", "code", "details", "fields"] {
        body.get(member).into_iter().for_each(|value| gather(value, &mut names));
    }
    names
}

fn gather(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_code(text) => drop(names.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| gather(item, names)),
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("field" | "property" | "param", Value::String(field)) if is_field(field) => {
                        names.insert(field.clone());
                    }
                    ("code" | "reason" | "error" | "errors" | "details" | "fields", value) => gather(value, names),
                    ("field" | "property" | "param" | "message" | "title" | "detail" | "value", _) => {}
                    // {"errors": {"course_name": ["can't be blank"]}}
                    (field, value) if is_field(field) => {
                        names.insert(field.to_owned());
                        gather(value, names);
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn is_field(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b))
}

/// `credential_invalid`, `blank`, `INVALID_LOCATION`: one word of one case.
fn is_code(text: &str) -> bool {
    let all = |letter: fn(&u8) -> bool| text.bytes().all(|b| letter(&b) || b"_-".contains(&b));
    !text.is_empty() && text.len() <= 64 && (all(u8::is_ascii_lowercase) || all(u8::is_ascii_uppercase))
}

fn join(names: &BTreeSet<String>) -> String {
    let mut joined = String::new();
    for name in names {
        if joined.len() + name.len() + 2 > MAX_NAMES {
            return joined + ", ..";
        }
        if !joined.is_empty() {
            joined += ", ";
        }
        joined += name;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "1994-11-06T08:49:00Z".parse().unwrap()
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn error(status: u16, body: &str) -> RemoteError {
        refusal("p", StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), now())
    }

    #[test]
    fn every_status_has_its_class() {
        use RemoteClass::{Failed, Misrouted, Rejected, Throttled, Unanswered, Unauthorized, Unusable};
        let classes: &[(RemoteClass, &[u16])] = &[
            (Failed, &[500, 502, 503, 507, 599, 408, 409]),
            (Unanswered, &[504, 524]),
            (Throttled, &[425, 429]),
            (Unauthorized, &[401, 403]),
            (Misrouted, &[300, 301, 302, 304, 307, 308, 404, 405, 410, 421, 501]),
            (Rejected, &[400, 402, 406, 411, 412, 413, 414, 415, 422, 423, 428, 431, 451, 499]),
            (Unusable, &[600, 999]),
        ];
        for (class, statuses) in classes {
            for status in *statuses {
                assert_eq!(error(*status, "").class, *class, "{status}");
            }
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let wait = |text| retry_after(&headers(&[(RETRY_AFTER, text)]), now());
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("Sun, 06 Nov 2094 08:49:37 GMT"), None, "that is a Saturday");
        assert_eq!(wait("Sat, 06 Nov 2094 08:49:37 GMT"), Some(MAX_RETRY_AFTER));
        for garbage in ["", "-1", "soon", "1.5", "99999999999999999999999", "06 Nov"] {
            assert_eq!(wait(garbage), None, "{garbage:?}");
        }
        let skewed = [(RETRY_AFTER, "Sun, 06 Nov 1994 10:00:05 GMT"), (DATE, "Sun, 06 Nov 1994 10:00:00 GMT")];
        assert_eq!(retry_after(&headers(&skewed), now()), Some(Duration::from_secs(5)));
    }

    #[test]
    fn names_and_codes_are_repeated_and_sentences_are_not() {
        for (body, message) in [
            (r#"{"errors":{"course_name":["can't be blank"]}}"#, "422 Unprocessable Entity, names course_name"),
            (r#"{"errors":"Invalid Group"}"#, "422 Unprocessable Entity"),
            (r#"{"error":"Not found"}"#, "422 Unprocessable Entity"),
            (r#"{"success":false,"data":"Group does not exist"}"#, "422 Unprocessable Entity"),
            (r#"{"code":400,"message":"no","status":"invalid","errors":{}}"#, "422 Unprocessable Entity"),
            (
                r#"{"error":{"code":"credential_invalid","message":"x","details":[{"property":"recipient_name","reason":"blank"}]}}"#,
                "422 Unprocessable Entity, names blank, credential_invalid, recipient_name",
            ),
            (
                r#"{"errors":[{"field":"locationId","code":"INVALID_LOCATION","value":"jor"}]}"#,
                "422 Unprocessable Entity, names INVALID_LOCATION, locationId",
            ),
            ("HTTP Token: Access denied.", "422 Unprocessable Entity"),
            ("[1]", "422 Unprocessable Entity"),
            ("", "422 Unprocessable Entity"),
        ] {
            assert_eq!(error(422, body).message, message, "{body}");
        }
    }

    #[test]
    fn nothing_personal_is_repeated() {
        let body = r#"{"error":"jor@dan.org","errors":{"Jordan Smith":["Jordan"],"jor@dan.org":1,"10000005":"dw373",
            "email":["jor@dan.org is taken","+14155552671"],"items":[{"field":"Jordan Smith","value":"smith"}]},
            "message":"Jordan Smith","title":"smith","details":"no user Jordan"}"#;
        assert_eq!(error(400, body).message, "400 Bad Request, names email, items");
    }

    #[test]
    fn a_long_list_is_cut() {
        let fields: serde_json::Map<_, _> = (0..100).map(|n| (format!("field_number_{n}"), Value::Null)).collect();
        let message = error(422, &serde_json::json!({ "errors": fields }).to_string()).message;
        assert!(message.len() < 250 && message.ends_with(".."), "{message}");
    }

    #[test]
    fn a_lacking_scope_is_named() {
        let body = r#"{"message":"The key of jor.read@dan.org lacks saas/location.read."}"#;
        assert_eq!(error(403, body).message, "403 Forbidden, lacks the scope saas/location.read");
        assert_eq!(error(401, "HTTP Token: Access denied.").message, "401 Unauthorized");
        let challenge =
            headers(&[(WWW_AUTHENTICATE, r#"Bearer error="insufficient_scope", scope="contacts.readonly""#)]);
        let error = refusal("p", StatusCode::FORBIDDEN, &challenge, b"", now());
        assert_eq!(error.message, "403 Forbidden, lacks the scope contacts.readonly");
    }
}
