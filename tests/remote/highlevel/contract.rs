//! Our requests against HighLevel's own contracts, each served by Prism: contacts, objects, associations, invoices,
//! locations and OAuth.
//!
//! One server has one contract, so a push that goes through several is sent to a server that hands each request on by the
//! start of its path. `/custom-fields` is in none of them. Some of their own examples are not what they say themselves
//! (of a token's, `isBulkInstallation` is "Bearer"), so it is the requests that are held to them.

use super::{Clock, Held, LONDON, api, certificate, push, request, with, with_client, with_key};
use crate::{
    contract::{Prism, specs},
    support::{PATIENT, failed},
};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use certbridge_mapping::Kind;
use certbridge_sync::{
    error::RemoteClass,
    grants::{Grant, Grants},
    memory::MemoryStore,
    ports::{Destination, LocationCheck},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const APPS: [&str; 6] = ["contacts", "objects", "associations", "invoices", "locations", "oauth"];

/// The contracts behind one address, and what they answered.
struct Contracts {
    url: String,
    answers: Arc<Mutex<Vec<(String, u16, Value)>>>,
    _prisms: Vec<Prism>,
}

type Shared = (Arc<BTreeMap<String, String>>, Arc<Mutex<Vec<(String, u16, Value)>>>, reqwest::Client);

impl Contracts {
    async fn start() -> Option<Self> {
        let specs = specs()?.join("highlevel/apps");
        let prisms: Vec<_> = std::thread::scope(|scope| {
            let start = |app: &str| {
                let contract = specs.join(format!("{app}.json"));
                scope.spawn(move || Prism::start_with(&contract, &[]))
            };
            let starting: Vec<_> = APPS.iter().map(|app| start(app)).collect();
            starting.into_iter().map(|prism| prism.join().unwrap()).collect()
        });
        let urls = APPS.iter().zip(&prisms).map(|(app, prism)| ((*app).to_owned(), prism.url.clone())).collect();
        let answers = Arc::default();
        let shared: Shared = (Arc::new(urls), Arc::clone(&answers), reqwest::Client::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().fallback(hand_on).with_state(shared)).into_future());
        Some(Self { url, answers, _prisms: prisms })
    }

    /// What was answered, with what was wrong with a request that was refused.
    fn take(&self) -> Vec<(String, u16, Value)> {
        std::mem::take(&mut *self.answers.lock().unwrap())
    }

    /// That every request was one that the contract allows.
    #[track_caller]
    fn assert_taken(&self, wanted: &[&str]) {
        let answers = self.take();
        let is_wrong = |(_, status, wrong): &&(String, u16, Value)| !(200..300).contains(status) || !wrong.is_null();
        let wrong: Vec<_> = answers.iter().filter(is_wrong).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let requests: Vec<_> = answers.iter().map(|(request, ..)| request.as_str()).collect();
        assert_eq!(requests, wanted);
    }
}

async fn hand_on(State((urls, answers, client)): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let app = path.split(['/', '?']).nth(1).unwrap_or_default();
    let Some(url) = urls.get(app) else { return StatusCode::NOT_FOUND.into_response() };
    let body: Bytes = to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = client.request(parts.method.clone(), format!("{url}{path}")).headers(headers).body(body).send().await;
    let answer = sent.unwrap();
    let (status, wrong) = (answer.status(), wrong_with_the_request(&answer));
    let text = answer.text().await.unwrap();
    let request = format!("{} {}", parts.method, path.split('?').next().unwrap());
    answers.lock().unwrap().push((request, status.as_u16(), wrong));
    (status, [("content-type", "application/json")], text).into_response()
}

/// What Prism says of a request: null, if there is nothing wrong with it.
fn wrong_with_the_request(answer: &reqwest::Response) -> Value {
    let said = answer.headers().get("sl-violations").and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
    let mut said: Vec<Value> = said.unwrap_or_default();
    said.retain(|of| of["location"][0] == "request" && of["severity"] == "Error");
    if said.is_empty() { Value::Null } else { said.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn highlevels_own_contracts_take_our_requests() {
    let Some(contracts) = Contracts::start().await else { return };
    let (store, clock) = (MemoryStore::new(), Clock::new());
    let api = api(&contracts.url, store.clone(), Held::new(with_key()), &clock, "test");

    // A customer, and a certificate that is found nowhere: the examples have no property of ours.
    let customer =
        json!({ "customer_id": "7", "first_name": "Jo", "last_name": "Ng", "email": "jo@ng.org", "phone": "+441" });
    push(&api, Kind::Customer, &customer).await.unwrap();
    push(&api, Kind::Certificate, &certificate("1")).await.unwrap();
    let records = "POST /objects/custom_objects.certificates/records";
    contracts.assert_taken(&[
        "POST /contacts/upsert",
        "GET /associations/key/certificate_recipient",
        "POST /contacts/upsert",
        &format!("{records}/search"),
        records,
        "POST /associations/relations",
    ]);
    push(&api, Kind::Certificate, &with(&certificate("1"), json!({ "title": "Rust II" }))).await.unwrap();
    contracts.assert_taken(&[
        "POST /contacts/upsert",
        "PUT /objects/custom_objects.certificates/records/661c06b4ffde146bdb469442",
    ]);

    // An invoice for an address: the example contact has a name and a telephone number.
    let invoice = json!({
        "invoice_id": "i-1", "total": "199.90", "currency": "USD", "status": "paid", "title": "Roof",
        "customer_email": "jo@ng.org", "issue_date": "2026-03-01", "due_date": "2026-03-31",
    });
    push(&api, Kind::Invoice, &invoice).await.unwrap();
    let id = "6578278e879ad2646715ba9c";
    contracts.assert_taken(&[
        "POST /contacts/upsert",
        "GET /invoices/",
        "POST /invoices/",
        &format!("POST /invoices/{id}/record-payment"),
    ]);
    push(&api, Kind::Invoice, &with(&invoice, json!({ "total": "5.00" }))).await.unwrap();
    push(&api, Kind::Invoice, &with(&invoice, json!({ "status": "void" }))).await.unwrap();
    contracts.assert_taken(&[
        &format!("GET /invoices/{id}"),
        &format!("PUT /invoices/{id}"),
        &format!("POST /invoices/{id}/record-payment"),
        &format!("GET /invoices/{id}"),
        &format!("POST /invoices/{id}/void"),
    ]);

    // Its examples: locations, and a page of records, none of which is one of ours.
    assert_eq!(api.check_location("ve9EPM428h8vShlRW1KT", None, PATIENT).await, Ok(LocationCheck::Known));
    let page = api.destination_page(Kind::Certificate, None, PATIENT).await.unwrap();
    assert_eq!((page.items.len(), page.nameless), (0, 1));
    contracts.assert_taken(&["GET /locations/search", "POST /objects/custom_objects.certificates/records/search"]);

    // What is missing is made, but for fields: no contract at hand has `/custom-fields`.
    let prepared = api.prepare(LONDON, true, PATIENT).await.unwrap();
    assert!(!prepared.made.is_empty());
    assert!(contracts.take().iter().all(|(_, status, _)| *status == 200));

    gives_us_tokens(&contracts).await;
    refuses_what_it_does_not_allow(&contracts).await;
}

async fn gives_us_tokens(contracts: &Contracts) {
    let (store, clock) = (MemoryStore::new(), Clock::new());
    let api = api(&contracts.url, store.clone(), Held::new(with_client()), &clock, "test");
    // The example is a location's.
    let location = api.connect("code", "https://example.com/done", PATIENT).await.unwrap().location_id.unwrap();
    contracts.assert_taken(&["POST /oauth/token"]);
    clock.advance(86_400);
    push(&api, Kind::Certificate, &with(&certificate("1"), json!({ "location_id": location }))).await.unwrap();
    let answers = contracts.take();
    assert_eq!((answers[0].0.as_str(), answers[0].1, &answers[0].2), ("POST /oauth/token", 200, &Value::Null));
    // The same grant as an agency's.
    let row = store.grant(&format!("highlevel/{location}")).await.unwrap().unwrap();
    let company = Grant { location_id: None, ..row.grant };
    store.put_grant("highlevel/company", &company).await.unwrap();
    push(&api, Kind::Certificate, &certificate("2")).await.unwrap();
    let answers = contracts.take();
    assert_eq!((answers[0].0.as_str(), answers[0].1, &answers[0].2), ("POST /oauth/locationToken", 200, &Value::Null));
}

async fn refuses_what_it_does_not_allow(contracts: &Contracts) {
    let api = api(&contracts.url, MemoryStore::new(), Held::new(with_key()), &Clock::new(), "test");
    let (key, mut request) = request(Kind::Customer, &json!({ "customer_id": "7", "email": "jo@ng.org" }));
    request.body["firstName"] = json!(["Jo"]);
    let error = failed(api.push(&key, &request, "", PATIENT).await, RemoteClass::Rejected);
    assert!(error.message.starts_with("422"), "{error}");
    assert!(!contracts.take()[0].2.is_null(), "what is wrong is said");
}
