//! What verify, parse and map cost by themselves: no process, no network.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use certbridge_mapping::{Definitions, Delivery, Document, Headers, Keys, Kind, Plan, Reading, RecordKey};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use std::{hint::black_box, sync::Arc};

const DELIVERY: &str = include_str!("../../events/webhook/payload-v2.json");
const CREDENTIALS: &str = include_str!("../../shared/mapping/tests/plans/accredible.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn mapping(criterion: &mut Criterion) {
    let definitions = Definitions::built_in();
    let source = definitions.source("accredible").unwrap();
    let plan = Plan::new(Arc::clone(source), Arc::clone(definitions.destination("snapshots").unwrap()));

    let event = json(DELIVERY);
    let body = event["body"].as_str().unwrap().as_bytes();
    let headers = event["headers"].as_object().unwrap().iter();
    let headers: Headers<'_> =
        headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap().as_bytes())).collect();
    let delivery = Delivery { headers, body, path_token: None };
    let keys = Keys::new([SecretString::from("sample-signing-key")]).unwrap();
    let now = Timestamp::UNIX_EPOCH;

    let credential = json(CREDENTIALS)[1]["document"].to_string();
    let key = RecordKey { kind: Kind::Certificate, source: source.name.clone(), id: "10000005".parse().unwrap() };

    // Each result is looked at once: the way of an error is a shorter one.
    let verified = source.verify(&delivery, &keys, now).unwrap();
    let Ok(Reading::Event(read)) = verified.read() else { panic!("no event") };
    assert_eq!(read.record, key);
    let document = Document::fetched(credential.as_bytes()).unwrap();
    let record = plan.canonical(&key, &document, None).unwrap();
    assert_eq!(record.location_id(), Some("loc_rome"));
    let request = plan.request(&record).unwrap();
    assert_eq!(request.path, "/certificates/10000005/sync");

    criterion.bench_function("verify", |bench| bench.iter(|| source.verify(black_box(&delivery), &keys, now)));
    criterion.bench_function("parse", |bench| bench.iter(|| black_box(&verified).read()));
    criterion.bench_function("map", |bench| {
        bench.iter(|| {
            let document = Document::fetched(black_box(credential.as_bytes()))?;
            let record = plan.canonical(&key, &document, None)?;
            plan.request(&record).map(|request| request.fingerprint())
        });
    });
    criterion.bench_function("definitions", |bench| bench.iter(Definitions::built_in));
}

criterion_group!(benches, mapping);
criterion_main!(benches);
