//! What Accredible's API has of its own (`GET /v1/credentials/{id}` and `POST /v2/credentials/search`, documented in its
//! version 25.08).

use crate::listing::Parts;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

/// The path of the search.
pub(crate) const SEARCH_PATH: &str = "/v2/credentials/search";

/// How many credentials a page may have: the documented default, since no limit is documented.
const PAGE_SIZE: u32 = 50;

/// The documented form, to the letter.
pub(crate) fn authorization(key: &str) -> String {
    format!("Token token={key}")
}

/// Whether an answer holds a credential. Some of its errors come as `{"success": false, "data": ".."}`.
pub(crate) fn holds_record(document: &Value) -> bool {
    document.get("credential").is_some_and(Value::is_object)
}

/// What the search is asked for a page: the first, or the one of a cursor. Pages go by cursor, since offsets end at
/// 10,000; and by id, which no change of a credential moves: the time of a change is no key to sort by. As a filter it
/// is good to the day.
pub(crate) fn search(cursor: Option<&str>, since: Option<Date>) -> Value {
    let query: Map<_, _> =
        since.map(|day| ("updated_at[gte]".to_owned(), Value::from(day.to_string()))).into_iter().collect();
    let mut page = Map::from_iter([("size".to_owned(), Value::from(PAGE_SIZE))]);
    page.extend(cursor.map(|cursor| ("cursor".to_owned(), Value::from(cursor))));
    json!({ "query": query, "sort": { "id": "asc" }, "page": page })
}

/// What an answer of the search has of a page.
pub(crate) fn search_page(answer: &Value) -> Parts<'_> {
    Parts {
        items: answer.get("credentials").and_then(Value::as_array),
        cursor: answer.pointer("/meta/cursor"),
        announced: answer.pointer("/meta/count").and_then(Value::as_u64),
    }
}
