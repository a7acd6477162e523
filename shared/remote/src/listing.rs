//! Pages of listings, and what is believed of them: little.
//!
//! | an answer with | is |
//! |---|---|
//! | no list, or a cursor that is no text or too long | unusable |
//! | the cursor that it was asked with, and items | unusable: the walk would never end |
//! | no items, whatever cursor | the last page |
//! | an item that names no record | a page, on which it is counted |
//! | a total | a page that repeats it, for a remark |
//! | 404, 405 or 501 to the first page | no listing |
//! | a refusal of the request to a later page | a refusal of its cursor: without one, it was taken |

use crate::http::{Answer, error};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{ListError, Page},
};
use reqwest::StatusCode;
use serde_json::Value;

/// The longest cursor that is taken, in bytes: it goes into an address, or on to another process.
const MAX_CURSOR_BYTES: usize = 4096;

/// What an answer has of a page, as it stands there.
pub(crate) struct Parts<'a> {
    pub(crate) items: Option<&'a Vec<Value>>,
    pub(crate) cursor: Option<&'a Value>,
    pub(crate) announced: Option<u64>,
}

/// The page that was asked for by `asked`, if it was not the first.
pub(crate) fn page<T>(
    provider: &str,
    parts: &Parts<'_>,
    asked: Option<&str>,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Page<T>, RemoteError> {
    let unusable = |what: &str| error(provider, RemoteClass::Unusable, format!("a listing, but {what}"));
    let listed = parts.items.ok_or_else(|| unusable("no list in it"))?;
    let next = if listed.is_empty() { None } else { cursor(parts.cursor).map_err(unusable)? };
    if next.is_some() && next.as_deref() == asked {
        return Err(unusable("its next page is itself"));
    }
    let items: Vec<_> = listed.iter().filter_map(read).collect();
    let nameless = (listed.len() - items.len()) as u64;
    Ok(Page { items, nameless, next, announced: parts.announced })
}

fn cursor(value: Option<&Value>) -> Result<Option<String>, &'static str> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err("its cursor is no text"),
    };
    match text.len() {
        0 => Ok(None),
        1..=MAX_CURSOR_BYTES => Ok(Some(text)),
        _ => Err("its cursor is too long"),
    }
}

/// What an answer that is no success says of the page that was asked for by `asked`; `refusal` is its error.
pub(crate) fn refused(answer: &Answer, asked: Option<&str>, refusal: RemoteError) -> ListError {
    match (answer.status, asked) {
        (StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED, _) | (StatusCode::NOT_FOUND, None) => {
            ListError::Unlisted(refusal.provider)
        }
        (StatusCode::NOT_FOUND | StatusCode::GONE, Some(_)) => ListError::CursorRefused(refusal),
        (_, Some(_)) if refusal.class == RemoteClass::Rejected => ListError::CursorRefused(refusal),
        _ => ListError::Remote(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(items: &Value, cursor: &Value, asked: Option<&str>) -> Result<(Vec<u64>, u64, Option<String>), String> {
        let parts = Parts { items: items.as_array(), cursor: Some(cursor), announced: None };
        let page = page("p", &parts, asked, Value::as_u64).map_err(|error| error.message)?;
        Ok((page.items, page.nameless, page.next))
    }

    #[test]
    fn a_page_is_read_as_far_as_it_can_be_believed() {
        let unusable = |what: &str| Err(format!("a listing, but {what}"));
        let long = "x".repeat(MAX_CURSOR_BYTES + 1);
        for (items, cursor, asked, wanted) in [
            (json!([1, 2]), json!("c"), None, Ok((vec![1, 2], 0, Some("c".to_owned())))),
            (json!([1, 2]), json!("d"), Some("c"), Ok((vec![1, 2], 0, Some("d".to_owned())))),
            (json!([1, "x", null]), json!(7), None, Ok((vec![1], 2, Some("7".to_owned())))),
            (json!([1]), json!(null), Some("c"), Ok((vec![1], 0, None))),
            (json!([1]), json!(""), None, Ok((vec![1], 0, None))),
            (json!([]), json!("d"), Some("c"), Ok((vec![], 0, None))),
            (json!([]), json!("c"), Some("c"), Ok((vec![], 0, None))),
            (json!([]), json!({}), None, Ok((vec![], 0, None))),
            (json!({}), json!("c"), None, unusable("no list in it")),
            (json!([1]), json!("c"), Some("c"), unusable("its next page is itself")),
            (json!([1]), json!({ "id": 1 }), None, unusable("its cursor is no text")),
            (json!([1]), json!(true), None, unusable("its cursor is no text")),
            (json!([1]), json!(long), None, unusable("its cursor is too long")),
        ] {
            assert_eq!(read(&items, &cursor, asked), wanted, "{items} {cursor} {asked:?}");
        }
    }
}
