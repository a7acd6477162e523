//! The sources' APIs. Where, and what path, a definition says; what no definition can say stands in one file a provider.

use crate::{
    accredible,
    address::{BaseUrl, BaseUrlError},
    http::{Answer, Call, Http, error},
};
use certbridge_mapping::{Document, Plan, RecordKey, SourceDefinition, destination::escape_segment};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{ApiKeys, Fetched, Sources},
};
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
    urls: BTreeMap<String, Result<BaseUrl, BaseUrlError>>,
}

impl<K: ApiKeys> HttpSources<K> {
    /// The sources with these keys. `urls` has the addresses that go over the definitions' own, by the source's name;
    /// a broken one turns off that source alone, and is among [`Self::faults`].
    pub fn new(http: Http, keys: K, urls: BTreeMap<String, String>) -> Self {
        let parse = |(name, url): (String, String)| {
            let url = BaseUrl::parse(&format!("sources/{name}"), &url);
            (name, url)
        };
        Self { http, keys, urls: urls.into_iter().map(parse).collect() }
    }

    /// The addresses that cannot be used.
    pub fn faults(&self) -> impl Iterator<Item = &BaseUrlError> {
        self.urls.values().filter_map(|url| url.as_ref().err())
    }

    /// The address of one record.
    fn url(&self, source: &SourceDefinition, key: &RecordKey) -> Result<Url, String> {
        let path = source.records.get(&key.kind).and_then(|rules| rules.fetch_path.as_deref());
        let path = path.ok_or_else(|| format!("no fetch_path for a {}", key.kind))?;
        let base = match (self.urls.get(&source.name), &source.base_url) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => BaseUrl::parse(&source.secret_name(), url),
            (None, None) => return Err(format!("no base_url, and no {}", source.url_variable())),
        };
        let url =
            base.map_err(|error| error.to_string())?.join(&path.replace("{id}", &escape_segment(key.id.as_str())));
        url.ok_or_else(|| "a fetch_path that is no plain path".to_owned())
    }
}

impl<K: ApiKeys> Sources for HttpSources<K> {
    async fn fetch(&self, plan: &Plan, key: &RecordKey, timeout: Duration) -> Result<Fetched, RemoteError> {
        let source = plan.source();
        let provider = source.secret_name();
        let url = self.url(source, key).map_err(|fault| error(&provider, RemoteClass::Misrouted, fault))?;
        let call = Call {
            provider: &provider,
            method: Method::GET,
            url,
            authorization: authorization(source),
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
            body: None,
        };
        let answer = self.http.send(&self.keys, call, timeout).await?;
        match answer.status {
            status if status.is_success() => found(source, &answer),
            StatusCode::NOT_FOUND | StatusCode::GONE if !is_page(&answer) => Ok(Fetched::NotFound),
            _ => Err(self.http.refusal(&provider, &answer)),
        }
    }
}

fn found(source: &SourceDefinition, answer: &Answer) -> Result<Fetched, RemoteError> {
    let unusable = |what: &str| {
        error(&source.secret_name(), RemoteClass::Unusable, format!("{}, but {what}", answer.status.as_u16()))
    };
    let document = Document::fetched(&answer.body).map_err(|_| unusable("not JSON"))?;
    if !holds_record(source, document.value()) {
        return Err(unusable("no record in it"));
    }
    Ok(Fetched::Found(document))
}

/// Whether an answer is a page for people. Then a 404 tells of a wrong address, not of a record that is gone.
fn is_page(answer: &Answer) -> bool {
    answer.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn authorization(source: &SourceDefinition) -> fn(&str) -> String {
    match source.name.as_str() {
        "accredible" => accredible::authorization,
        _ => |key| format!("Bearer {key}"),
    }
}

fn holds_record(source: &SourceDefinition, document: &Value) -> bool {
    match source.name.as_str() {
        "accredible" => accredible::holds_record(document),
        _ => document.is_object(),
    }
}
