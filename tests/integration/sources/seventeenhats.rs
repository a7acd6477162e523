//! 17hats, as the Zaps of `docs/sources.md` send it: their bodies are read from that page.

use super::ground::{Ground, Sender};
use certbridge_sync::row::InboxState;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/sources.md");
const TIME: &str = "2026-02-01T10:00:00Z";

/// What Zapier puts where the page has a field of another step.
const FIELDS: &[(&str, &str)] = &[
    ("zap_meta_utc_iso", TIME),
    ("contact_id", "1042"),
    ("contact_email", "Zoe.Personne@Example.com"),
    ("contact_full_name", "Zoë Maria Personne"),
    ("contact_phone", "+33 1 23 45 67 89"),
    ("contact_company", "Maison \"Z\""),
    ("location_id", "loc_lyon"),
    ("location_name", "Lyon"),
    ("location_street", "1 rue de la République"),
    ("location_street_2", ""),
    ("location_city", "Lyon"),
    ("location_state", ""),
    ("location_zip", "69001"),
    ("location_country", "France"),
    ("invoice_id", "9001"),
    ("invoice_number", "2026-17"),
    ("invoice_title", "Wedding"),
    ("invoice_total", "1234567.89"),
    ("invoice_currency", "eur"),
    ("invoice_status", "sent"),
    ("invoice_date", "2026-01-31"),
    ("invoice_due_date", ""),
];

/// The bodies that the page has, by their types, as Zapier sends them.
fn zaps() -> Vec<(String, Value)> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with("17hats")).unwrap();
    let blocks = section.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    let zaps: Vec<_> = blocks.map(filled).map(|body| (body["type"].as_str().unwrap().to_owned(), body)).collect();
    assert!(!zaps.is_empty());
    zaps
}

/// A block with every placeholder filled, as data that is sent field by field is: quotes in it break nothing.
fn filled(block: &str) -> Value {
    let mut body: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
    for (name, value) in body.as_object_mut().unwrap() {
        let Some(field) = value.as_str().and_then(|text| text.strip_prefix("{{")?.strip_suffix("}}")) else {
            assert!(!value.to_string().contains("{{"), "{name}: {value} is more than one placeholder");
            continue;
        };
        let known = FIELDS.iter().find(|(known, _)| *known == field);
        *value = known.unwrap_or_else(|| panic!("no sample of {field}")).1.into();
    }
    body
}

fn zap(kind: &str) -> Value {
    let (_, body) =
        zaps().into_iter().find(|(name, _)| name == kind).unwrap_or_else(|| panic!("no {kind} on the page"));
    body
}

async fn start() -> (Ground, Sender) {
    let ground = Ground::start([]).await;
    let sender = ground.sender("17hats");
    ground.world.destination.add_location("loc_lyon", "Lyon");
    (ground, sender)
}

/// Syncs a body, and gives the path and the body of the one request that was made of it.
async fn pushed(ground: &Ground, sender: &Sender, body: &Value) -> (String, Value) {
    let before = ground.world.destination.applied().len();
    let row = ground.sync(sender, body).await;
    assert_eq!((row.state, row.reason.as_deref()), (InboxState::Settled, Some("synced")), "{body}");
    let requests = ground.world.destination.server().requests();
    let push = requests.iter().rev().find(|request| request.method == "POST").unwrap();
    assert_eq!(ground.world.destination.applied().len(), before + 1);
    (push.path.clone(), ground.world.destination.applied().pop().unwrap().body)
}

#[tokio::test]
async fn the_zaps_on_the_page_arrive() {
    let (ground, sender) = start().await;
    let location = json!({
        "location_id": "loc_lyon", "name": "Lyon", "address": "1 rue de la République", "country": "FR",
    });
    let customer = json!({
        "customer_id": "1042", "email": "zoe.personne@example.com", "first_name": "Zoë", "last_name": "Maria Personne",
    });
    let invoice = json!({"invoice_id": "9001", "total": "1234567.89", "currency": "EUR", "status": "sent"});
    for (kind, path, body) in [
        ("location.created", "/locations", &location),
        ("customer.created", "/customers", &customer),
        ("invoice.created", "/invoices", &invoice),
    ] {
        assert_eq!(pushed(&ground, &sender, &zap(kind)).await, (path.to_owned(), body.clone()), "{kind}");
    }
    // The others that the page has are of the same records: they change nothing more than they say.
    for (kind, body) in zaps() {
        if !kind.ends_with(".created") {
            let row = ground.sync(&sender, &body).await;
            assert_eq!(row.state, InboxState::Settled, "{kind}: {:?}", row.reason);
        }
    }
    // A Zap that is run again sends the same bytes again.
    let again = sender.event(zap("invoice.created").to_string(), ground.now());
    assert_eq!(ground.post(&again).await.0, 200);
}

#[tokio::test]
async fn amounts_are_exact_to_the_cent() {
    let (ground, sender) = start().await;
    let cases = [
        (json!("1234567.89"), Some("1234567.89")),
        (json!(1_234_567.89), Some("1234567.89")),
        (json!(0.1), Some("0.10")),
        (json!("0.1"), Some("0.10")),
        (json!(120), Some("120.00")),
        (json!("  99.90 "), Some("99.90")),
        (json!(0), Some("0.00")),
        (json!("-5.5"), Some("-5.50")),
        (json!("999999999999999999.99"), Some("999999999999999999.99")),
        (json!(9_007_199_254_740_993_u64), Some("9007199254740993.00")),
        // What could be read in two ways is read in none.
        (json!("1,234.56"), None),
        (json!("1.234,56"), None),
        (json!("$12.00"), None),
        (json!("12.00 EUR"), None),
        (json!("1e3"), None),
        (json!(12_345_678_901_234.56), None),
        (json!(true), None),
        (json!(["1"]), None),
        (json!(""), None),
        (json!(null), None),
    ];
    for (number, (total, wanted)) in cases.into_iter().enumerate() {
        let mut body = zap("invoice.created");
        body["invoice_id"] = format!("i{number}").into();
        body["total"] = total.clone();
        let row = ground.sync(&sender, &body).await;
        let told =
            ground.world.destination.record("invoice", &format!("i{number}")).map(|record| record["total"].clone());
        assert_eq!(told, wanted.map(Value::from), "{total}: {:?}", row.reason);
        if wanted.is_none() {
            assert!(row.state == InboxState::Quarantined && row.reason.unwrap().contains("total: wanted"), "{total}");
        }
    }
}

#[tokio::test]
async fn names_are_split_and_countries_known_by_name() {
    let (ground, sender) = start().await;
    let names = [
        ("Zoë Maria Personne", Some("Zoë"), Some("Maria Personne")),
        ("  Zoë   Personne ", Some("Zoë"), Some("Personne")),
        ("Zoë", Some("Zoë"), None),
        ("", None, None),
    ];
    for (number, (name, first, last)) in names.into_iter().enumerate() {
        let mut body = zap("customer.created");
        body["customer_id"] = format!("c{number}").into();
        body["name"] = name.into();
        let (_, told) = pushed(&ground, &sender, &body).await;
        assert_eq!((told["first_name"].as_str(), told["last_name"].as_str()), (first, last), "{name:?}");
    }
    let countries = [
        ("France", "FR"),
        ("fr", "FR"),
        ("FRA", "FR"),
        ("United States", "US"),
        ("united states", "US"),
        ("United States of America", "US"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("UK", "GB"),
        ("uk", "GB"),
        ("United Kingdom", "GB"),
        ("England", "GB"),
        ("Canada", "CA"),
    ];
    for (number, (name, code)) in countries.into_iter().enumerate() {
        let mut body = zap("location.created");
        body["location_id"] = format!("l{number}").into();
        body["country"] = name.into();
        assert_eq!(pushed(&ground, &sender, &body).await.1["country"], code, "{name}");
    }
    let mut body = zap("location.created");
    body["country"] = "Atlantis".into();
    let row = ground.sync(&sender, &body).await;
    assert!(row.reason.unwrap().contains("country: wanted a country"));
}
