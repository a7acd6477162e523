//! The sources' APIs. Where, and what path, a definition says; what no definition can say stands in one file a provider.

use crate::{
    accredible, acculynx,
    address::{BaseUrl, BaseUrlError},
    http::{Answer, Body, Call, Http, error},
    listing::{self, Parts},
    subscriptions::{Authorization, SubscriptionError, Subscriptions, lapsed},
};
use certbridge_mapping::{
    Document, Kind, ListedRecord, Plan, RecordKey, SourceDefinition, definition::Content, destination::escape_segment,
};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{ApiKeys, Fetched, ListError, Page, Sources},
};
use jiff::civil::Date;
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// The sources' APIs over HTTP.
pub struct HttpSources<K> {
    http: Http,
    keys: K,
    urls: BTreeMap<String, String>,
}

impl<K: ApiKeys> HttpSources<K> {
    /// The sources with these keys. `urls` has the addresses that go over the definitions' own, by the variables that a
    /// definition names ([`SourceDefinition::url_variable`]): also of sources that are defined later.
    pub fn new(http: Http, keys: K, urls: BTreeMap<String, String>) -> Self {
        Self { http, keys, urls }
    }

    /// Why a source's address cannot be used, if it has one. Nothing is asked of it, and of no other source either.
    pub fn fault(&self, source: &SourceDefinition) -> Option<BaseUrlError> {
        self.address(source)?.err()
    }

    /// The address of one record.
    fn url(&self, source: &SourceDefinition, key: &RecordKey) -> Result<Url, String> {
        let path = source.records.get(&key.kind).and_then(|rules| rules.fetch_path.as_deref());
        let path = path.ok_or_else(|| format!("no fetch_path for a {}", key.kind))?;
        let url = self.base(source)?.join(&path.replace("{id}", &escape_segment(key.id.as_str())));
        url.ok_or_else(|| "a fetch_path that is no plain path".to_owned())
    }

    /// Where a source is.
    fn base(&self, source: &SourceDefinition) -> Result<BaseUrl, String> {
        let base = self.address(source).ok_or_else(|| format!("no base_url, and no {}", source.url_variable()))?;
        base.map_err(|error| error.to_string())
    }

    fn address(&self, source: &SourceDefinition) -> Option<Result<BaseUrl, BaseUrlError>> {
        let url = self.urls.get(&source.url_variable()).or(source.base_url.as_ref())?;
        Some(BaseUrl::parse(&source.secret_name(), url))
    }

    async fn send(
        &self,
        source: &SourceDefinition,
        method: Method,
        url: Result<Url, String>,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Answer, RemoteError> {
        let provider = source.secret_name();
        let url = url.map_err(|fault| error(&provider, RemoteClass::Misrouted, fault))?;
        let call = Call {
            provider: &provider,
            method,
            url,
            authorization: authorization(source),
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
            body: body.map(Body::Json),
        };
        self.http.send(&self.keys, call, timeout).await
    }
}

impl<K: ApiKeys> Sources for HttpSources<K> {
    async fn fetch(&self, plan: &Plan, key: &RecordKey, timeout: Duration) -> Result<Fetched, RemoteError> {
        let source = plan.source();
        if plan.content(key) == Some(Content::Either) && self.address(source).is_none() {
            // Nothing that passes: whoever configures an address replays the event.
            let message =
                format!("not resolvable: the delivery does not carry it, and no {} is set", source.url_variable());
            return Err(error(&source.secret_name(), RemoteClass::Rejected, message));
        }
        let answer = self.send(source, Method::GET, self.url(source, key), None, timeout).await?;
        match answer.status {
            status if status.is_success() => found(source, &answer),
            StatusCode::NOT_FOUND | StatusCode::GONE if !is_page(&answer) => Ok(Fetched::NotFound),
            _ => Err(self.http.refusal(&source.secret_name(), &answer)),
        }
    }

    async fn source_page(
        &self,
        plan: &Plan,
        kind: Kind,
        cursor: Option<&str>,
        since: Option<Date>,
        timeout: Duration,
    ) -> Result<Page<ListedRecord>, ListError> {
        let source = plan.source();
        let listed = source.records.get(&kind).is_some_and(|rules| rules.listed.is_some());
        let wanted = Wanted { plan, kind, cursor, timeout };
        match source.provider() {
            "accredible" if listed => {
                let body = accredible::search(cursor, since);
                let answer = self.answer(wanted, Method::POST, accredible::SEARCH_PATH, Some(&body)).await?;
                answer
                    .map_or_else(|| Ok(nothing_more()), |answer| wanted.page(&accredible::search_page(answer.value())))
            }
            "acculynx" if listed => self.acculynx_page(wanted, since).await,
            _ => Err(ListError::Unlisted(source.secret_name())),
        }
    }

    async fn lapsed_subscriptions(&self, source: &SourceDefinition) -> Result<Option<Vec<String>>, RemoteError> {
        let provider = source.secret_name();
        let ours = self.keys.subscriptions(&provider).await;
        let ours = ours.map_err(|fault| error(&provider, RemoteClass::Unreachable, fault.to_string()))?;
        let url = self.urls.get(&source.url_variable()).map(String::as_str);
        let api = Subscriptions::new(self.http.clone(), &self.keys, source, url, Authorization::default());
        // A source that has none, or is nowhere, tells nothing.
        let Some(api) = api.ok().filter(|_| !ours.is_empty()) else { return Ok(None) };
        match api.list().await {
            Ok(listed) => Ok(Some(lapsed(&ours, &listed))),
            Err(SubscriptionError::Remote(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// A page that is wanted.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    plan: &'a Plan,
    kind: Kind,
    cursor: Option<&'a str>,
    timeout: Duration,
}

impl Wanted<'_> {
    fn page(self, parts: &Parts<'_>) -> Result<Page<ListedRecord>, ListError> {
        let provider = self.plan.source().secret_name();
        Ok(listing::page(&provider, parts, self.cursor, |item| self.plan.listed(self.kind, item))?)
    }
}

/// What a page is that begins after the last item.
fn nothing_more() -> Page<ListedRecord> {
    Page { items: Vec::new(), nameless: 0, next: None, announced: None }
}

impl<K: ApiKeys> HttpSources<K> {
    /// What a source answers to who wants a page; `None` if what was there is gone (416), so the page before was the last.
    async fn answer(
        &self,
        wanted: Wanted<'_>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Document>, ListError> {
        let source = wanted.plan.source();
        let answer = self.send(source, method, self.below(source, path), body, wanted.timeout).await?;
        if answer.status == StatusCode::RANGE_NOT_SATISFIABLE && wanted.cursor.is_some() {
            return Ok(None);
        }
        if !answer.status.is_success() {
            let refusal = self.http.refusal(&source.secret_name(), &answer);
            return Err(listing::refused(&answer, wanted.cursor, refusal));
        }
        let document = Document::fetched(&answer.body).map_err(|_| unusable(source, &answer, "not JSON"))?;
        Ok(Some(document))
    }

    /// Its cursor is the number that the page begins with.
    async fn acculynx_page(&self, wanted: Wanted<'_>, since: Option<Date>) -> Result<Page<ListedRecord>, ListError> {
        let provider = wanted.plan.source().secret_name();
        let start = wanted.cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or_default();
        let path =
            acculynx::page_path(wanted.kind, start, since).ok_or_else(|| ListError::Unlisted(provider.clone()))?;
        let path = path.map_err(|why| error(&provider, RemoteClass::Unusable, why))?;
        let Some(answer) = self.answer(wanted, Method::GET, &path, None).await? else { return Ok(nothing_more()) };
        let next = acculynx::next_start(wanted.kind, start, answer.value()).map(Value::from);
        wanted.page(&Parts {
            items: answer.value().get("items").and_then(Value::as_array),
            cursor: next.as_ref(),
            announced: answer.value().get("count").and_then(Value::as_u64),
        })
    }

    /// An address below the source's own.
    fn below(&self, source: &SourceDefinition, path: &str) -> Result<Url, String> {
        self.base(source)?.join(path).ok_or_else(|| "an address that takes no path".to_owned())
    }
}

fn found(source: &SourceDefinition, answer: &Answer) -> Result<Fetched, RemoteError> {
    let document = Document::fetched(&answer.body).map_err(|_| unusable(source, answer, "not JSON"))?;
    if !holds_record(source, document.value()) {
        return Err(unusable(source, answer, "no record in it"));
    }
    Ok(Fetched::Found(document))
}

fn unusable(source: &SourceDefinition, answer: &Answer, what: &str) -> RemoteError {
    error(&source.secret_name(), RemoteClass::Unusable, format!("{}, but {what}", answer.status.as_u16()))
}

/// Whether an answer is a page for people. Then a 404 tells of a wrong address, not of a record that is gone.
fn is_page(answer: &Answer) -> bool {
    answer.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn authorization(source: &SourceDefinition) -> fn(&str) -> String {
    match source.provider() {
        "accredible" => accredible::authorization,
        _ => |key| format!("Bearer {key}"),
    }
}

fn holds_record(source: &SourceDefinition, document: &Value) -> bool {
    match source.provider() {
        "accredible" => accredible::holds_record(document),
        _ => document.is_object(),
    }
}
