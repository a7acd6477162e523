//! The Snapshots API, the destination. It is not publicly documented, so what it answers is read liberally.

use crate::{
    address::{BaseUrl, BaseUrlError},
    http::{Answer, Body, Call, Http, error, is_plain_id, request_id},
    listing::{self, Parts},
    location_list::{LocationList, Wanted},
    refusal::reason,
};
use certbridge_mapping::{
    DestinationDefinition, Kind, RecordKey, Request, ShownRecord,
    destination::{BatchOutcome, BatchRules, Method},
};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{ApiKeys, Destination, ListError, LocationCheck, Locations, Page, Pushed},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{
    StatusCode,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// What the key must be allowed to do to list the locations.
const LOCATION_SCOPE: &str = "saas/location.read";

/// What cannot stand in the `Idempotency-Key` header as it is; an id may hold any letter.
const HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The Snapshots API over HTTP.
pub struct Snapshots<K> {
    http: Http,
    keys: K,
    base: BaseUrl,
    provider: String,
    definition: RwLock<Arc<DestinationDefinition>>,
    locations: LocationList,
}

impl<K: ApiKeys> Snapshots<K> {
    /// The destination at an address.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(http: Http, keys: K, base_url: &str, definition: &DestinationDefinition) -> Result<Self, BaseUrlError> {
        let provider = format!("destinations/{}", definition.name);
        Ok(Self {
            http,
            keys,
            base: BaseUrl::parse(&provider, base_url)?,
            provider,
            definition: RwLock::new(Arc::new(definition.clone())),
            locations: LocationList::default(),
        })
    }

    fn definition(&self) -> Arc<DestinationDefinition> {
        Arc::clone(&self.definition.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        idempotency_key: Option<HeaderValue>,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Answer, RemoteError> {
        let url = self.base.join(path).ok_or_else(|| self.error(RemoteClass::Misrouted, "no plain path"))?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(idempotency_key.map(|key| (HeaderName::from_static("idempotency-key"), key)));
        let authorization: fn(&str) -> String = |key| format!("Bearer {key}");
        let call = Call { provider: &self.provider, method, url, authorization, headers, body: body.map(Body::Json) };
        self.http.send(&self.keys, call, timeout).await
    }

    /// Reads the list of locations; `None` if there is none, or none that can be read.
    async fn list(&self, path: &str, timeout: Duration) -> Result<Option<Locations>, RemoteError> {
        let answer = self.send(reqwest::Method::GET, path, None, None, timeout).await?;
        match answer.status {
            status if status.is_success() => Ok(locations_in(&answer.body)),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let status = answer.status.as_u16();
                Err(self
                    .error(RemoteClass::Unauthorized, format!("{status}: GET {path} needs the scope {LOCATION_SCOPE}")))
            }
            _ => Err(self.http.refusal(&self.provider, &answer)),
        }
    }

    /// What a batch's answer tells of one record. What it does not tell, or tells in two ways, is in doubt.
    fn outcome(&self, rules: &BatchRules, results: &[Value], id: &str) -> Result<Pushed, RemoteError> {
        let doubt = |what: &str| Err(self.error(RemoteClass::Unusable, format!("the batch's answer {what}")));
        let mut of_it = results.iter().filter(|result| rules.id_of(result).as_deref() == Some(id));
        let Some(result) = of_it.next() else { return doubt("does not tell of it") };
        let outcome = rules.outcome_of(result);
        if of_it.any(|other| rules.outcome_of(other) != outcome) {
            return doubt("tells of it in two ways");
        }
        match outcome {
            BatchOutcome::Applied => {
                Ok(Pushed { request_id: rules.request_id_of(result).filter(|id| is_plain_id(id)).map(str::to_owned) })
            }
            BatchOutcome::Rejected => Err(self.error(RemoteClass::Rejected, reason(result))),
            BatchOutcome::Unclear => doubt("has no word for it that is known"),
        }
    }

    fn header(&self, idempotency_key: &str) -> Result<HeaderValue, RemoteError> {
        HeaderValue::try_from(utf8_percent_encode(idempotency_key, HEADER).to_string())
            .map_err(|_| self.error(RemoteClass::Rejected, "an idempotency key that no header can hold"))
    }

    fn error(&self, class: RemoteClass, message: impl Into<String>) -> RemoteError {
        error(&self.provider, class, message)
    }
}

impl<K: ApiKeys> Destination for Snapshots<K> {
    fn redefine(&self, definition: &Arc<DestinationDefinition>) {
        *self.definition.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(definition);
    }

    async fn push(
        &self,
        _key: &RecordKey,
        request: &Request,
        idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Pushed, RemoteError> {
        let method = match request.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let key = self.header(idempotency_key)?;
        let answer = self.send(method, &request.path, Some(key), Some(&request.body), timeout).await?;
        if !answer.status.is_success() {
            return Err(self.http.refusal(&self.provider, &answer));
        }
        Ok(Pushed { request_id: request_id(&answer) })
    }

    async fn push_batch(
        &self,
        batch_id: &str,
        requests: &[Request],
        idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Vec<Result<Pushed, RemoteError>>, RemoteError> {
        let definition = self.definition();
        let rules = definition.batch.as_ref();
        let rules = rules.ok_or_else(|| self.error(RemoteClass::Misrouted, "it takes no batches"))?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        if requests.len() > rules.max_records {
            return Err(self.error(RemoteClass::Rejected, format!("more than {} at once", rules.max_records)));
        }
        let ids: Option<Vec<_>> = requests.iter().map(|request| rules.id_of(&request.body)).collect();
        let ids = ids.ok_or_else(|| self.error(RemoteClass::Rejected, "a record without an id"))?;
        if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
            return Err(self.error(RemoteClass::Rejected, "a record stands twice in one batch"));
        }
        let records: Vec<_> = requests.iter().map(|request| &request.body).collect();
        let body = json!({ "batch_id": batch_id, "records": records });
        let key = self.header(idempotency_key)?;
        let answer = self.send(reqwest::Method::POST, &rules.path, Some(key), Some(&body), timeout).await?;
        if !answer.status.is_success() {
            return Err(self.http.refusal(&self.provider, &answer));
        }
        let told = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let Some(results) = rules.results_of(&told) else {
            let message = format!("{}, but nothing of the records", answer.status.as_u16());
            return Err(self.error(RemoteClass::Unusable, message));
        };
        Ok(ids.iter().map(|id| self.outcome(rules, results, id)).collect())
    }

    async fn destination_page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        timeout: Duration,
    ) -> Result<Page<ShownRecord>, ListError> {
        let definition = self.definition();
        let rules = definition.listings.get(&kind);
        let rules = rules.ok_or_else(|| ListError::Unlisted(self.provider.clone()))?;
        let answer = self.send(reqwest::Method::GET, &rules.page_path(cursor), None, None, timeout).await?;
        if !answer.status.is_success() {
            return Err(listing::refused(&answer, cursor, self.http.refusal(&self.provider, &answer)));
        }
        let told = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let parts =
            Parts { items: rules.items_of(&told), cursor: rules.cursor_of(&told), announced: rules.total_of(&told) };
        Ok(listing::page(&self.provider, &parts, cursor, |item| definition.shown(kind, item))?)
    }

    async fn check_location(
        &self,
        location_id: &str,
        asked_at: Option<Timestamp>,
        limit: Duration,
    ) -> Result<LocationCheck, RemoteError> {
        let definition = self.definition();
        let Some(path) = &definition.locations_path else { return Ok(LocationCheck::Unchecked) };
        let wanted = Wanted { location_id, asked_at };
        self.locations.check(&self.http, &self.provider, wanted, limit, |left| self.list(path, left)).await
    }

    async fn locations(&self, limit: Duration) -> Result<Option<Locations>, RemoteError> {
        let definition = self.definition();
        let Some(path) = &definition.locations_path else { return Ok(None) };
        self.locations.all(&self.http, &self.provider, limit, |left| self.list(path, left)).await
    }
}

/// Reads an array, or an object that has one as `locations` or `data`, of ids or of objects with an `id` or a
/// `location_id`. `None` if there is no id in it.
fn locations_in(body: &[u8]) -> Option<Locations> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let items = value.as_array().or_else(|| value.get("locations")?.as_array());
    let items = items.or_else(|| value.get("data")?.as_array())?;
    let named = |item: &Value| item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let names: BTreeMap<_, _> = items.iter().flat_map(|item| ids_of(item).map(move |id| (id, named(item)))).collect();
    let complete = items.iter().all(|item| ids_of(item).next().is_some()) && !has_more(&value, items.len());
    (!names.is_empty()).then_some(Locations { names, complete })
}

fn ids_of(item: &Value) -> impl Iterator<Item = String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let members = ["id", "location_id"].map(|name| item.get(name).and_then(text));
    std::iter::once(text(item)).chain(members).flatten()
}

/// Whether a list of so many items says that it is one page of several.
fn has_more(value: &Value, items: usize) -> bool {
    let said = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    [Some(value), value.get("meta")].into_iter().flatten().any(|place| {
        let next = ["next", "next_page", "nextPage", "next_cursor", "nextCursor", "has_more", "hasMore"];
        next.iter().any(|name| place.get(name).is_some_and(said))
            || ["total", "total_count", "totalCount"]
                .iter()
                .any(|name| place.get(name).and_then(Value::as_u64).is_some_and(|total| total > items as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Option<(Vec<String>, bool)> {
        locations_in(value.to_string().as_bytes())
            .map(|listing| (listing.names.into_keys().collect::<Vec<_>>(), listing.complete))
    }

    #[test]
    fn lists_of_every_shape_are_read() {
        let both = Some((vec!["7".to_owned(), "a".to_owned()], true));
        for shape in [
            json!(["a", 7]),
            json!({"locations": ["a", "7"]}),
            json!({"data": [{"id": "a", "name": "x"}, {"location_id": 7}]}),
            json!({"locations": [{"id": "a"}, {"id": 7}], "next": null, "meta": {"total": 2, "nextPage": ""}}),
        ] {
            assert_eq!(read(&shape), both, "{shape}");
        }
    }

    #[test]
    fn a_list_that_may_have_others_says_so() {
        for shape in [
            json!({"locations": ["a"], "total": 2}),
            json!({"locations": ["a"], "next_cursor": "x"}),
            json!({"locations": ["a"], "meta": {"nextPage": 2}}),
            json!({"data": ["a"], "has_more": true}),
            json!(["a", {"name": "x"}]),
        ] {
            assert_eq!(read(&shape), Some((vec!["a".to_owned()], false)), "{shape}");
        }
    }

    #[test]
    fn no_list_is_no_list() {
        for shape in [json!([]), json!({}), json!({"locations": []}), json!("a"), json!(null), json!([{"name": "x"}])] {
            assert_eq!(read(&shape), None, "{shape}");
        }
        assert!(locations_in(b"<html>").is_none());
    }
}
