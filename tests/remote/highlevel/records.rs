//! Certificates, locations and customers: what arrives, and that it arrives once, whatever breaks off.

use super::{Clock, Held, LONDON, PARIS, World, api, certificate, push, scopes_without, server, with, with_key};
use crate::support::{BRIEF, KEY, PATIENT, failed};
use certbridge_mapping::{Kind, RecordKey};
use certbridge_remote::HighLevel;
use certbridge_sandbox::{Fault, highlevel::VERSION};
use certbridge_sync::{
    error::{Effect, RemoteClass, RemoteError, StoreError},
    grants::{Grant, GrantRow, Grants, Taken},
    ids::{DestinationId, DestinationIds, IdMap},
    memory::MemoryStore,
    ports::Destination,
    row::Lease,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const CERTIFICATES: &str = "custom_objects.certificates";
const SITES: &str = "custom_objects.sites";
const RECORDS: &str = "/objects/custom_objects.certificates/records";

#[tokio::test]
async fn a_certificate_is_a_record_related_to_its_recipient() {
    let world = World::new().await;
    let pushed = world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    assert!(pushed.request_id.is_some());
    let record = &world.server.records(CERTIFICATES)[0];
    assert_eq!(
        record["properties"],
        json!({
            "certificate_id": "1", "user_id": "person-1", "issue_date": "2026-01-31", "location_id": LONDON,
            "status": "issued", "title": "Rust", "expiry_date": "2027-01-31", "recipient_name": "Jordan Smith",
            "recipient_email": "jor@dan.org",
        })
    );
    let contact = &world.server.contacts()[0];
    assert_eq!((&contact["name"], &contact["email"]), (&json!("Jordan Smith"), &json!("jor@dan.org")));
    let relation = &world.server.relations()[0];
    assert_eq!((&relation["firstRecordId"], &relation["secondRecordId"]), (&record["id"], &contact["id"]));
    assert_eq!(
        world.requests(),
        [
            "GET /associations/key/certificate_recipient",
            "POST /contacts/upsert",
            "POST /objects/custom_objects.certificates/records/search",
            "POST /objects/custom_objects.certificates/records",
            "POST /associations/relations",
        ]
    );
    for request in world.server.server().requests() {
        assert_eq!(request.headers["version"], VERSION);
    }
}

#[tokio::test]
async fn what_is_known_takes_two_requests() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    world.server.server().clear_requests();
    let changed = with(&certificate("1"), json!({ "title": "Rust II", "status": "revoked" }));
    world.push(Kind::Certificate, &changed).await.unwrap();
    let id = world.server.records(CERTIFICATES)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        world.requests(),
        ["POST /contacts/upsert".to_owned(), format!("PUT /objects/custom_objects.certificates/records/{id}")]
    );
    let properties = &world.server.records(CERTIFICATES)[0]["properties"];
    assert_eq!((&properties["title"], &properties["status"]), (&json!("Rust II"), &json!("revoked")));
    // Another process knows it as well.
    let other = api(&world.server.url(), world.store.clone(), world.keys.clone(), &world.clock, "other");
    push(&other, Kind::Certificate, &changed).await.unwrap();
    let counts = (world.server.records(CERTIFICATES).len(), world.server.relations().len());
    assert_eq!(counts, (1, 1));
}

#[tokio::test]
async fn a_value_that_is_gone_is_cleared() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    let without = with(&certificate("1"), json!({ "title": null, "expiry_date": null }));
    world.server.server().clear_requests();
    for requests in [3, 2] {
        world.push(Kind::Certificate, &without).await.unwrap();
        let properties = &world.server.records(CERTIFICATES)[0]["properties"];
        assert_eq!((&properties["title"], &properties["expiry_date"]), (&Value::Null, &Value::Null));
        assert_eq!(world.requests().len(), requests, "{:?}", world.requests());
        world.server.server().clear_requests();
    }
}

#[tokio::test]
async fn a_deleted_certificate_is_told_as_a_status() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    world.push(Kind::Certificate, &with(&certificate("1"), json!({ "status": "deleted" }))).await.unwrap();
    assert_eq!(world.server.records(CERTIFICATES)[0]["properties"]["status"], "deleted");
    assert!(world.requests().iter().all(|request| !request.starts_with("DELETE")));
}

#[tokio::test]
async fn a_record_that_was_removed_there_is_made_again() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    let first = world.server.records(CERTIFICATES)[0]["id"].as_str().unwrap().to_owned();
    world.server.remove("records", &first);
    world.server.remove("relations", world.server.relations()[0]["id"].as_str().unwrap());
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    let records = world.server.records(CERTIFICATES);
    assert_eq!(records.len(), 1);
    assert_ne!(records[0]["id"], json!(first));
    assert_eq!(world.server.relations()[0]["firstRecordId"], records[0]["id"]);
}

#[tokio::test]
async fn a_record_that_is_there_and_not_known_is_taken() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    // The tables were lost.
    let other = api(&world.server.url(), MemoryStore::new(), world.keys.clone(), &world.clock, "other");
    push(&other, Kind::Certificate, &with(&certificate("1"), json!({ "title": "Rust II" }))).await.unwrap();
    let records = world.server.records(CERTIFICATES);
    assert_eq!((records.len(), &records[0]["properties"]["title"]), (1, &json!("Rust II")));
    assert_eq!(world.server.relations().len(), 1);
}

#[tokio::test]
async fn another_recipient_is_another_relation_and_the_only_one() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    let corrected = with(&certificate("1"), json!({ "recipient_email": "jordan@smith.org" }));
    world.push(Kind::Certificate, &corrected).await.unwrap();
    let contacts = world.server.contacts();
    let right = contacts.iter().find(|contact| contact["email"] == "jordan@smith.org").unwrap();
    let relations = world.server.relations();
    assert_eq!((relations.len(), &relations[0]["secondRecordId"]), (1, &right["id"]));
}

#[tokio::test]
async fn without_an_address_there_is_no_contact() {
    let world = World::new().await;
    let nobodys = with(&certificate("1"), json!({ "recipient_email": null }));
    world.push(Kind::Certificate, &nobodys).await.unwrap();
    assert_eq!(world.server.records(CERTIFICATES).len(), 1);
    assert!(world.server.contacts().is_empty() && world.server.relations().is_empty());
}

#[tokio::test]
async fn a_certificate_that_moves_leaves_a_deleted_one_behind() {
    let world = World::new().await;
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    for _ in 0..2 {
        world.push(Kind::Certificate, &with(&certificate("1"), json!({ "location_id": PARIS }))).await.unwrap();
        let mut states: Vec<_> = world.server.records(CERTIFICATES).iter().map(state).collect();
        states.sort();
        assert_eq!(states, [format!("{LONDON} deleted"), format!("{PARIS} issued")]);
    }
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    let mut states: Vec<_> = world.server.records(CERTIFICATES).iter().map(state).collect();
    states.sort();
    assert_eq!(states, [format!("{LONDON} issued"), format!("{PARIS} deleted")]);
}

fn state(record: &Value) -> String {
    format!("{} {}", record["locationId"].as_str().unwrap(), record["properties"]["status"].as_str().unwrap())
}

#[tokio::test]
async fn locations_are_records_and_customers_contacts() {
    let world = World::new().await;
    let site = json!({ "location_id": "site-1", "name": "Workshop", "country": "FR", "city": "Lyon" });
    for _ in 0..2 {
        world.push(Kind::Location, &site).await.unwrap();
    }
    let records = world.server.records(SITES);
    assert_eq!((records.len(), &records[0]["locationId"]), (1, &json!(LONDON)));
    assert_eq!(
        records[0]["properties"],
        json!({ "location_id": "site-1", "name": "Workshop", "status": "active", "country": "FR", "city": "Lyon" })
    );
    let customer = json!({
        "customer_id": "7", "first_name": "Jo", "last_name": "Ng", "email": "jo@ng.org", "phone": "+441", "company": "Ng Ltd",
        "location_id": PARIS,
    });
    world.push(Kind::Customer, &customer).await.unwrap();
    world.push(Kind::Customer, &with(&customer, json!({ "company": null, "last_name": "Ngo" }))).await.unwrap();
    let contacts = world.server.contacts();
    let contact = &contacts[0];
    assert_eq!((contacts.len(), &contact["locationId"]), (1, &json!(PARIS)));
    for (name, value) in [("firstName", "Jo"), ("lastName", "Ngo"), ("phone", "+441"), ("companyName", "Ng Ltd")] {
        assert_eq!(contact[name], value, "{name}");
    }
    assert!(contact["status"].is_null() && contact["customer_id"].is_null() && contact["location_id"].is_null());
    let key: RecordKey = "customer#accredible#7".parse().unwrap();
    let known = DestinationId::Known(contact["id"].as_str().unwrap().to_owned());
    assert_eq!(world.store.ids(&key).await.unwrap()[&format!("contact@{PARIS}")], known);
}

#[tokio::test]
async fn a_contact_needs_something_to_be_known_by_and_a_deleted_one_is_left() {
    let world = World::new().await;
    let error = failed(
        world.push(Kind::Customer, &json!({ "customer_id": "7", "first_name": "Jo" })).await,
        RemoteClass::Rejected,
    );
    assert_eq!(error.effect(), Effect::None);
    let gone = json!({ "customer_id": "7", "email": "jo@ng.org", "status": "deleted" });
    world.push(Kind::Customer, &gone).await.unwrap();
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn where_nothing_is_prepared_a_person_is_told_what_to_do() {
    let world = World::bare(with_key(), MemoryStore::new()).await;
    for (kind, fields, what) in [
        (Kind::Certificate, certificate("1"), "association certificate_recipient"),
        (Kind::Location, json!({ "location_id": "1", "name": "n" }), "object custom_objects.sites"),
    ] {
        let error = failed(world.push(kind, &fields).await, RemoteClass::Misrouted);
        assert!(error.message.contains(what) && error.message.contains("certbridge connect highlevel"), "{error}");
        assert_eq!(error.effect(), Effect::None);
    }
    assert!(world.server.contacts().is_empty());
}

#[tokio::test]
async fn a_record_without_a_location_needs_a_default() {
    let world = World::new().await;
    world.keys.set(Some(certbridge_sync::ports::Credentials { default_location: None, ..with_key() }));
    let error =
        failed(world.push(Kind::Location, &json!({ "location_id": "1", "name": "n" })).await, RemoteClass::Misrouted);
    assert_eq!(error.message, "the record names no location, and the secret no default_location");
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
}

#[tokio::test]
async fn a_failure_after_a_step_is_in_doubt() {
    for (status, class) in [
        (400, RemoteClass::Rejected),
        (401, RemoteClass::Unauthorized),
        (429, RemoteClass::Throttled),
        (503, RemoteClass::Failed),
    ] {
        let world = World::new().await;
        world.server.server().add_fault(Fault::status(status).always().on("POST", &format!("{RECORDS}/search")));
        let error = failed(world.push(Kind::Certificate, &certificate("1")).await, class);
        // The contact is there, though the search that failed changes nothing.
        assert_eq!((error.effect(), world.server.contacts().len()), (Effect::Possible, 1), "{status}");
        let world = World::new().await;
        world.server.server().add_fault(Fault::status(status).always().on("GET", "/associations"));
        // There, 400 says that there is no such association.
        let class = if status == 400 { RemoteClass::Misrouted } else { class };
        let error = failed(world.push(Kind::Certificate, &certificate("1")).await, class);
        assert_eq!(error.effect(), Effect::None, "{status}");
    }
    let world = World::new().await;
    world.server.server().add_fault(Fault::Hang.once().on("POST", "/contacts"));
    let (key, request) = super::request(Kind::Certificate, &certificate("1"));
    let error = failed(world.api.push(&key, &request, "", BRIEF).await, RemoteClass::Unanswered);
    assert_eq!(error.effect(), Effect::PossibleLater);
}

#[tokio::test]
async fn errors_name_fields_scopes_and_traces_and_repeat_no_value() {
    let world = World::new().await;
    let invoice = json!({ "invoice_id": "1", "total": "1.00", "currency": "USD", "status": "draft" });
    world.server.remove("fields", field(&world, "currency").as_str());
    let error = failed(world.push(Kind::Invoice, &invoice).await, RemoteClass::Rejected);
    assert!(error.message.starts_with("400 Bad Request, speaks of currency (trace "), "{error}");
    world.server.add_key(KEY, None, &scopes_without("contacts.write"));
    let error = failed(world.push(Kind::Certificate, &certificate("1")).await, RemoteClass::Unauthorized);
    assert!(error.message.starts_with("401: POST /contacts needs the scope contacts.write (trace "), "{error}");
    assert!(!error.to_string().contains("dan.org"));
    assert_eq!(world.keys.refusals(), 1, "a scope is not mended by another token");
}

fn field(world: &World<MemoryStore>, name: &str) -> String {
    let mut fields = world.server.fields().into_iter();
    let wanted = format!("custom_objects.invoices.{name}");
    let field = fields.find(|field| field["fieldKey"] == json!(wanted) && field["locationId"] == LONDON);
    field.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn limits_are_kept() {
    let world = World::new().await;
    // To the beginning of an interval of the server's, which are of ten seconds.
    let into = Timestamp::now().as_millisecond() % 10_000;
    world.server.advance(jiff::SignedDuration::from_millis(10_000 - into));
    world.server.limit(Some(2));
    // Two of the requests of a first push are let through, and the third is not: the headers say for how long.
    let error = failed(world.push(Kind::Certificate, &certificate("1")).await, RemoteClass::Throttled);
    let wait = error.retry_after.unwrap();
    assert!(wait <= Duration::from_secs(10) && wait > Duration::from_secs(5), "{wait:?}");
    assert_eq!(error.effect(), Effect::Possible);
    let before = world.requests().len();
    let error = failed(world.push(Kind::Certificate, &certificate("2")).await, RemoteClass::Throttled);
    assert_eq!((error.effect(), world.requests().len()), (Effect::None, before), "nothing is sent until then");
    assert!(error.retry_after.unwrap() <= Duration::from_secs(10));
    // Another location has requests of its own.
    world.server.limit(None);
    world.push(Kind::Certificate, &with(&certificate("3"), json!({ "location_id": PARIS }))).await.unwrap();
    world.clock.advance(11);
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
}

/// Fails, at the operation of a number, before it is done or after.
#[derive(Clone)]
struct Breaking {
    inner: MemoryStore,
    left: Arc<Mutex<Option<(usize, bool)>>>,
}

impl Breaking {
    fn new(at: Option<(usize, bool)>) -> Self {
        Self { inner: MemoryStore::new(), left: Arc::new(Mutex::new(at)) }
    }

    async fn broken<T>(&self, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let done = {
            let mut left = self.left.lock().unwrap();
            match left.as_mut() {
                Some((0, done)) => {
                    let done = *done;
                    *left = None;
                    Some(done)
                }
                Some((count, _)) => {
                    *count -= 1;
                    None
                }
                None => None,
            }
        };
        if done != Some(false) {
            let answer = operation.await?;
            if done.is_none() {
                return Ok(answer);
            }
        }
        Err(StoreError::Unavailable("broken".to_owned()))
    }
}

impl IdMap for Breaking {
    async fn ids(&self, key: &RecordKey) -> Result<DestinationIds, StoreError> {
        self.broken(self.inner.ids(key)).await
    }

    async fn begin_id(
        &self,
        key: &RecordKey,
        role: &str,
        stale: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        self.broken(self.inner.begin_id(key, role, stale, at)).await
    }

    async fn set_id(&self, key: &RecordKey, role: &str, id: &str, stale: Option<&str>) -> Result<String, StoreError> {
        self.broken(self.inner.set_id(key, role, id, stale)).await
    }
}

impl Grants for Breaking {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        self.inner.grant(name).await
    }

    async fn take_grant(&self, name: &str, seen: u64, lease: &Lease, now: Timestamp) -> Result<Taken, StoreError> {
        self.inner.take_grant(name, seen, lease, now).await
    }

    async fn renew_grant(&self, name: &str, fence: u64, grant: &Grant) -> Result<bool, StoreError> {
        self.inner.renew_grant(name, fence, grant).await
    }

    async fn give_up_grant(&self, name: &str, fence: u64, needs_person: Option<&str>) -> Result<(), StoreError> {
        self.inner.give_up_grant(name, fence, needs_person).await
    }

    async fn put_grant(&self, name: &str, grant: &Grant) -> Result<(), StoreError> {
        self.inner.put_grant(name, grant).await
    }
}

/// Pushes until it is done, each time by a process of its own that knows nothing but the tables.
async fn until_done<S: IdMap + Grants + Clone>(world: &World<S>, fields: &Value) -> usize {
    for tries in 1..=4 {
        let process = api(&world.server.url(), world.store.clone(), world.keys.clone(), &world.clock, "retry");
        match push(&process, Kind::Certificate, fields).await {
            Ok(_) => return tries,
            Err(RemoteError { retry_after: Some(wait), .. }) => {
                world.clock.advance(i64::try_from(wait.as_secs()).unwrap() + 1);
            }
            Err(_) => {}
        }
    }
    panic!("it is never done")
}

fn assert_one_of_each<S>(world: &World<S>, at: &str) {
    let server = &world.server;
    let counts = (server.contacts().len(), server.records(CERTIFICATES).len(), server.relations().len());
    assert_eq!(counts, (1, 1, 1), "{at}");
}

/// A fault when the record is made, and not at the search before it, whose path begins alike.
fn at_create<S>(world: &World<S>, fault: Fault) {
    world.server.server().add_fault(Fault::Delay { ms: 0 }.once().on("POST", &format!("{RECORDS}/search")));
    world.server.server().add_fault(fault.once().on("POST", RECORDS));
}

#[tokio::test]
async fn whatever_request_breaks_off_there_is_one_of_each() {
    let steps = [
        ("GET", "/associations/key"),
        ("POST", "/contacts/upsert"),
        ("POST", "/objects/custom_objects.certificates/records/search"),
        ("POST", RECORDS),
        ("POST", "/associations/relations"),
    ];
    for (method, path) in steps {
        for fault in [Fault::Cut, Fault::AnswerLost, Fault::WrongBody, Fault::status(500), Fault::status(429)] {
            let world = World::new().await;
            match path {
                RECORDS => at_create(&world, fault.clone()),
                _ => world.server.server().add_fault(fault.clone().once().on(method, path)),
            }
            assert!(push(&world.api, Kind::Certificate, &certificate("1")).await.is_err(), "{path} {fault:?}");
            until_done(&world, &certificate("1")).await;
            assert_one_of_each(&world, &format!("{path} {fault:?}"));
        }
    }
}

#[tokio::test]
async fn whatever_is_not_noted_there_is_one_of_each() {
    for operation in 0..5 {
        for done in [false, true] {
            let store = Breaking::new(Some((operation, done)));
            let world = World::bare(with_key(), store).await;
            world.prepare().await;
            let at = format!("operation {operation}, {done}");
            let error = failed(push(&world.api, Kind::Certificate, &certificate("1")).await, RemoteClass::Unreachable);
            let applied = !world.server.contacts().is_empty();
            assert_eq!(error.effect(), if applied { Effect::Possible } else { Effect::None }, "{at}");
            assert!(world.store.left.lock().unwrap().is_none(), "{at} is never reached");
            until_done(&world, &certificate("1")).await;
            assert_one_of_each(&world, &at);
        }
    }
}

#[tokio::test]
async fn what_the_search_does_not_show_yet_is_waited_for() {
    let world = World::new().await;
    at_create(&world, Fault::AnswerLost);
    failed(world.push(Kind::Certificate, &certificate("1")).await, RemoteClass::Unanswered);
    let id = world.server.records(CERTIFICATES)[0]["id"].as_str().unwrap().to_owned();
    world.server.server().add_fault(Fault::Hide { id }.once().on("POST", &format!("{RECORDS}/search")));
    let error = failed(push(&world.api, Kind::Certificate, &certificate("1")).await, RemoteClass::Throttled);
    assert!(error.retry_after.unwrap() <= Duration::from_secs(60), "{error}");
    assert_eq!(world.server.records(CERTIFICATES).len(), 1);
    world.clock.advance(30);
    push(&world.api, Kind::Certificate, &certificate("1")).await.unwrap();
    assert_one_of_each(&world, "after it is shown");
}

#[tokio::test]
async fn what_was_refused_is_not_waited_for() {
    let world = World::new().await;
    at_create(&world, Fault::status(429));
    failed(world.push(Kind::Certificate, &certificate("1")).await, RemoteClass::Throttled);
    world.push(Kind::Certificate, &certificate("1")).await.unwrap();
    assert_one_of_each(&world, "at once");
}

#[tokio::test]
async fn a_worker_that_dies_at_any_point_leaves_one_of_each() {
    // Each time the future is dropped a little later, as a killed process drops its own.
    let mut finished = false;
    let mut polls = 1;
    while !finished {
        let world = World::new().await;
        let (key, request) = super::request(Kind::Certificate, &certificate("1"));
        {
            let mut push = std::pin::pin!(world.api.push(&key, &request, "", PATIENT));
            for _ in 0..polls {
                tokio::select! {
                    biased;
                    result = &mut push => {
                        result.unwrap();
                        finished = true;
                        break;
                    }
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
        }
        // What was under way when it died may yet arrive.
        tokio::time::sleep(Duration::from_millis(20)).await;
        until_done(&world, &certificate("1")).await;
        assert_one_of_each(&world, &format!("after {polls} polls"));
        polls += 1;
    }
    assert!(polls > 3, "{polls}");
}

#[tokio::test]
async fn unknown_paths_are_refused() {
    let (server, clock) = (server().await, Clock::new());
    let api: HighLevel<Held, MemoryStore> =
        api(&server.url(), MemoryStore::new(), Held::new(with_key()), &clock, "test");
    let (key, mut request) = super::request(Kind::Certificate, &certificate("1"));
    request.path = "/certificates/1/sync".to_owned();
    failed(api.push(&key, &request, "", PATIENT).await, RemoteClass::Misrouted);
    failed(api.push_batch("b", &[request], "", PATIENT).await, RemoteClass::Misrouted);
    assert!(server.server().requests().is_empty());
}
