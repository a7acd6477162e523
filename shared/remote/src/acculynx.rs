//! What AccuLynx's API has of its own (version 2): lists by the number of a page or of a record, although both parameters
//! are called an index, and 416 for what begins after the last item.

use certbridge_mapping::Kind;
use jiff::civil::Date;
use serde_json::Value;

/// How many items a page may have: the documentation's examples have 25, and it names no limit.
const PAGE_SIZE: u64 = 25;

/// How far its lists go, by its documentation.
const MAX_START: u64 = 100_000;

/// Where a page is, and whether lists go as far. `None` for kinds that are not listed: invoices are, but only those of
/// one job. Contacts cannot be asked for by the time of a change, so `since` is of no use to them.
///
/// Jobs that nobody was assigned to are not listed, since a fetch does not show them either.
pub(crate) fn page_path(kind: Kind, start: u64, since: Option<Date>) -> Option<Result<String, &'static str>> {
    let path = match kind {
        Kind::Customer => {
            format!("/api/v2/contacts?pageSize={PAGE_SIZE}&pageStartIndex={start}&includes=emailAddress,phoneNumber")
        }
        // Ordered by what no change moves.
        Kind::Location => {
            let since = since.map(|day| format!("&startDate={day}&dateFilterType=ModifiedDate")).unwrap_or_default();
            format!("/api/v2/jobs?pageSize={PAGE_SIZE}&recordStartIndex={start}&sortBy=CreatedDate{since}")
        }
        Kind::Certificate | Kind::Invoice => return None,
    };
    Some(if start > MAX_START { Err("its lists go no further than 100,000") } else { Ok(path) })
}

/// Where the next page begins; `None` after the last one.
pub(crate) fn next_start(kind: Kind, start: u64, answer: &Value) -> Option<u64> {
    let items = answer.get("items")?.as_array()?.len() as u64;
    let count = answer.get("count")?.as_u64()?;
    // What was sent counts, and not what was asked for: a page may be smaller.
    let size = answer.get("pageSize").and_then(Value::as_u64).unwrap_or(PAGE_SIZE);
    let (next, read) = match kind {
        Kind::Customer => (start + 1, (start + 1) * size),
        _ => (start + items, start + items),
    };
    (items > 0 && read < count).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_go_by_their_number_and_records_by_theirs() {
        let answer =
            |items: usize, count: u64| json!({ "items": vec![json!({}); items], "count": count, "pageSize": 25 });
        for (kind, start, items, count, next) in [
            (Kind::Customer, 0, 25, 60, Some(1)),
            (Kind::Customer, 1, 25, 60, Some(2)),
            (Kind::Customer, 2, 10, 60, None),
            (Kind::Customer, 0, 25, 25, None),
            (Kind::Location, 0, 25, 60, Some(25)),
            (Kind::Location, 50, 10, 60, None),
            (Kind::Location, 25, 7, 60, Some(32)),
            (Kind::Location, 25, 0, 60, None),
        ] {
            assert_eq!(next_start(kind, start, &answer(items, count)), next, "{kind} {start} {items} {count}");
        }
        assert_eq!(next_start(Kind::Location, 0, &json!({ "items": [{}] })), None);
    }

    #[test]
    fn paths_ask_for_what_changed_where_that_can_be_asked() {
        let day: Date = "2026-03-01".parse().unwrap();
        let path = |kind, start, since| page_path(kind, start, since).unwrap().unwrap();
        assert!(path(Kind::Location, 25, Some(day)).ends_with("&startDate=2026-03-01&dateFilterType=ModifiedDate"));
        assert!(!path(Kind::Location, 0, None).contains("Modified"));
        assert!(path(Kind::Customer, 3, None).contains("pageStartIndex=3"));
        assert!(page_path(Kind::Invoice, 0, None).is_none());
        assert!(page_path(Kind::Location, 100_001, None).unwrap().is_err());
    }
}
