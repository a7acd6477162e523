//! Who is believed: every case that a sender's proof can be in, for every built-in source.

use super::ground::{Held, NOW, Sender, door};
use crate::{
    breaker::Clock,
    gateway::{Event, Format, answer, base64, told},
};
use certbridge_sandbox::{accredit, acculynx, certifylize, seventeenhats, standard_webhooks};
use certbridge_sync::{memory::MemoryStore, ports::Runtime, row::InboxState};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The columns of the table.
const SOURCES: [&str; 6] = ["accredible", "accredit", "certifylize", "17hats", "acculynx", "standard-webhooks"];

/// The header that proves a delivery, and the one that dates it.
fn headers(source: &str) -> (Option<&'static str>, Option<&'static str>) {
    match source {
        "accredible" => (Some("X-Accredible-Signature"), None),
        "accredit" => (Some("X-Signature"), None),
        "certifylize" => (Some("X-Certifylize-Signature"), Some("X-Certifylize-Timestamp")),
        "17hats" => (Some("X-Certbridge-Token"), None),
        "acculynx" => (None, None),
        "standard-webhooks" => (Some("webhook-signature"), Some("webhook-timestamp")),
        other => panic!("{other} is in no table"),
    }
}

/// A delivery that is fine.
fn body(source: &str) -> String {
    let at = "2026-02-01T10:00:00Z";
    let body = match source {
        "accredible" => json!({"event_type": "certificate_created", "certificate_id": "1", "timestamp": at}),
        "accredit" => accredit::certificate("Certificate.Created", at, "1", "loc_london"),
        "certifylize" => {
            let data = certifylize::credential("1", "loc_london");
            certifylize::event("evt_1", "edu.credential.issued", at, Some(&data))
        }
        "17hats" => seventeenhats::customer(at, "1", "person@example.com", "Example", "Person"),
        "acculynx" => {
            let at = at.parse().unwrap();
            acculynx::event("contact_added", "e-1", "s-1", at, &acculynx::contact_event("1", at))
        }
        "standard-webhooks" => standard_webhooks::certificate(at, "1", "loc_london"),
        other => panic!("{other} is in no table"),
    };
    body.to_string()
}

/// What is answered, and what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    /// 202, and a pending row.
    Taken,
    /// The case does not exist for this scheme, for this reason: so the delivery is taken.
    Not(&'static str),
    /// 401, and nothing.
    Refused,
    /// 202, and a row for a person.
    SetAside,
    /// 404, and nothing: the source is off.
    Off,
    /// 400, and nothing: the gateway's event itself is broken.
    Malformed,
}

use Told::{Malformed, Not, Off, Refused, SetAside, Taken};

const NO_BODY: Told = Not("a token says nothing of the body");
const UNTIMED: Told = Not("nothing that is proven says when it was sent");
const IN_PATH: Told = Not("its token stands in the path, and no header proves it");
const NO_TIME: Told = Not("it has no header that dates it");

/// The keys of a case: in the secret stand `one` and `two`, and a stranger has another.
struct Keys {
    one: Sender,
    two: Sender,
    stranger: Sender,
}

/// A delivery at this time, and how it is spoilt.
type Make = fn(&Keys, Timestamp) -> Event;

fn fine(keys: &Keys, now: Timestamp) -> Event {
    keys.one.event(body(&keys.one.source.name), now)
}

fn late_by(keys: &Keys, now: Timestamp, seconds: i64) -> Event {
    fine(keys, now - SignedDuration::from_secs(seconds))
}

/// The proof, wherever it stands, changed so; nothing takes it away.
fn proof(mut event: Event, change: impl Fn(&str) -> Option<String>) -> Event {
    match headers(&event.source).0 {
        None => event.token = event.token.and_then(|token| change(&token)),
        Some(name) => {
            let at = event.headers.iter().position(|(header, _)| header.eq_ignore_ascii_case(name)).unwrap();
            match change(&event.headers[at].1) {
                Some(value) => event.headers[at].1 = value,
                None => drop(event.headers.remove(at)),
            }
        }
    }
    event
}

/// With this header twice, whether anything is proven by it or not.
fn twice(mut event: Event, name: &str) -> Event {
    let held = event.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).cloned();
    let again = held.clone().unwrap_or_else(|| (name.to_owned(), "anything".to_owned()));
    let missing = if held.is_some() { 1 } else { 2 };
    event.headers.extend(std::iter::repeat_n(again, missing));
    event
}

/// The same with another letter in its middle.
fn one_letter_off(text: &str) -> String {
    let middle = text.len() / 2;
    let letter = if &text[middle..=middle] == "a" { "b" } else { "a" };
    format!("{}{letter}{}", &text[..middle], &text[middle + 1..])
}

fn other_body(mut event: Event) -> Event {
    event.body = event.body.replace("2026-02-01", "2026-02-02");
    event
}

fn in_base64(event: Event) -> Event {
    Event { body: base64(event.body.as_bytes()), is_base64: true, ..event }
}

/// Proven by a key that is no key: made with nothing, as whoever knows that a secret is blank would.
fn by_a_blank_key(keys: &Keys, now: Timestamp, blank: &str) -> Event {
    let event = fine(keys, now);
    // The sandbox signs `{first}.{rest}`: all that is signed here has a full stop in it.
    let hmac = |signed: String| {
        let (first, rest) = signed.split_once('.').unwrap();
        let headers = certifylize::sign(blank, first, rest.as_bytes());
        headers[1].1.strip_prefix("sha256=").unwrap().to_owned()
    };
    let value = |event: &Event, name: &str| {
        event.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).unwrap().1.clone()
    };
    match event.source.as_str() {
        "accredible" => {
            let body = event.body.replace(":00Z", ":00.0Z");
            let signature = hmac(body.clone());
            proof(Event { body, ..event }, |_| Some(signature.clone()))
        }
        "certifylize" => {
            let signature = hmac(format!("{}.{}", value(&event, "X-Certifylize-Timestamp"), event.body));
            proof(event, |_| Some(format!("sha256={signature}")))
        }
        "standard-webhooks" => {
            let (id, time) = (value(&event, "webhook-id"), value(&event, "webhook-timestamp"));
            let digits = hmac(format!("{id}.{time}.{}", event.body));
            let bytes = (0..32).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
            let signature = base64(&bytes.collect::<Vec<_>>());
            proof(event, |_| Some(format!("v1,{signature}")))
        }
        // No blank text is a public key; whoever tries sends what he has.
        "accredit" => keys.stranger.event(body("accredit"), now),
        _ => proof(event, |_| Some(blank.to_owned())),
    }
}

/// One case in all sources' columns.
struct Case {
    name: &'static str,
    make: Make,
    told: [Told; 6],
}

/// Each with the keys `one` and `two` in the secret.
#[rustfmt::skip]
const CASES: &[Case] = &[
    //                                                                            accredible accredit  certifylize 17hats   acculynx  standard-webhooks
    Case { name: "good", make: fine,                                                   told: [Taken,    Taken,    Taken,    Taken,    Taken,    Taken] },
    Case { name: "by the second key", make: |keys, now| keys.two.event(body(&keys.one.source.name), now),
                                                                                       told: [Taken,    Taken,    Taken,    Taken,    Taken,    Taken] },
    Case { name: "by another key", make: |keys, now| keys.stranger.event(body(&keys.one.source.name), now),
                                                                                       told: [Refused,  Refused,  Refused,  Refused,  Refused,  Refused] },
    Case { name: "a tampered body", make: |keys, now| other_body(fine(keys, now)),     told: [Refused,  Refused,  Refused,  NO_BODY,  NO_BODY,  Refused] },
    Case { name: "a tampered proof", make: |keys, now| proof(fine(keys, now), |text| Some(one_letter_off(text))),
                                                                                       told: [Refused,  Refused,  Refused,  Refused,  Refused,  Refused] },
    Case { name: "half a proof", make: |keys, now| proof(fine(keys, now), |text| Some(text[..text.len() / 2].to_owned())),
                                                                                       told: [Refused,  Refused,  Refused,  Refused,  Refused,  Refused] },
    Case { name: "no proof", make: |keys, now| proof(fine(keys, now), |_| None),       told: [Refused,  Refused,  Refused,  Refused,  Refused,  Refused] },
    Case { name: "an empty proof", make: |keys, now| proof(fine(keys, now), |_| Some(String::new())),
                                                                                       told: [Refused,  Refused,  Refused,  Refused,  Refused,  Refused] },
    Case { name: "the proof twice", make: |keys, now| twice(fine(keys, now), headers(&keys.one.source.name).0.unwrap_or("X-Signature")),
                                                                                       told: [Refused,  Refused,  Refused,  Refused,  IN_PATH,  Refused] },
    Case { name: "the time twice", make: |keys, now| twice(fine(keys, now), headers(&keys.one.source.name).1.unwrap_or("X-Timestamp")),
                                                                                       told: [NO_TIME,  NO_TIME,  Refused,  NO_TIME,  NO_TIME,  Refused] },
    Case { name: "as old as may be", make: |keys, now| late_by(keys, now, 300),        told: [Taken,    Taken,    Taken,    Taken,    Taken,    Taken] },
    Case { name: "stale", make: |keys, now| late_by(keys, now, 301),                   told: [UNTIMED,  UNTIMED,  Refused,  UNTIMED,  UNTIMED,  Refused] },
    Case { name: "from the future", make: |keys, now| late_by(keys, now, -301),        told: [UNTIMED,  UNTIMED,  Refused,  UNTIMED,  UNTIMED,  Refused] },
    Case { name: "in base64", make: |keys, now| in_base64(fine(keys, now)),            told: [Taken,    Taken,    Taken,    Taken,    Taken,    Taken] },
    Case { name: "said to be base64", make: |keys, now| Event { is_base64: true, ..fine(keys, now) },
                                                                                       told: [Malformed, Malformed, Malformed, Malformed, Malformed, Malformed] },
    Case { name: "an empty body", make: |keys, now| keys.one.event("", now),           told: [SetAside, SetAside, SetAside, SetAside, SetAside, SetAside] },
    Case { name: "an empty body with another's proof", make: |keys, now| Event { body: String::new(), ..fine(keys, now) },
                                                                                       told: [Refused,  Refused,  Refused,  SetAside, SetAside, Refused] },
];

/// Sends a delivery through a door of its own, in both of the gateway's formats.
async fn check(name: &str, secret: &Value, event: &Event, wanted: Told) {
    for format in [Event::v1 as Format, Event::v2] {
        let (secrets, store) = (Held::default(), MemoryStore::new());
        secrets.set(&event.source, secret.clone());
        let (app, _) = door(store.clone(), &secrets, &Clock::at(NOW));
        let response = answer(&app, format(event)).await;
        assert_told(&format!("{}: {name}", event.source), told(&response), wanted);
        let states: Vec<_> = store.inbox_rows().iter().map(|row| row.state).collect();
        let left: &[InboxState] = match wanted {
            Taken | Not(_) => &[InboxState::Pending],
            SetAside => &[InboxState::Quarantined],
            Refused | Off | Malformed => &[],
        };
        assert_eq!(states, left, "{}: {name}", event.source);
    }
}

#[track_caller]
fn assert_told(name: &str, told: (u16, String), wanted: Told) {
    let (status, kind) = match wanted {
        Taken | Not(_) | SetAside => (202, ""),
        Refused => (401, "not-proven"),
        Off => (404, "unknown-source"),
        Malformed => (400, "malformed-request"),
    };
    assert_eq!(told, (status, kind.to_owned()), "{name}");
}

fn keys(source: &str) -> Keys {
    Keys { one: Sender::new(source, 1), two: Sender::new(source, 2), stranger: Sender::new(source, 3) }
}

#[tokio::test]
async fn every_source_believes_its_own_sender_and_nobody_else() {
    let now = NOW.parse().unwrap();
    for (column, source) in SOURCES.into_iter().enumerate() {
        let keys = keys(source);
        let secret = json!({"signing": [keys.one.signing(), keys.two.signing()]});
        for Case { name, make, told } in CASES {
            check(name, &secret, &make(&keys, now), told[column]).await;
        }
    }
}

#[tokio::test]
async fn a_blank_key_proves_nothing() {
    let now = NOW.parse().unwrap();
    for source in SOURCES {
        let keys = keys(source);
        for blank in ["", " "] {
            let event = by_a_blank_key(&keys, now, blank);
            for signing in [json!(blank), json!([blank]), json!(["", blank, "\t\n"]), json!([]), json!(null)] {
                check("a blank key", &json!({"signing": signing}), &event, Off).await;
            }
            // A good one beside it keeps the source on, and makes the blank one no better.
            let beside = json!({"signing": [blank, keys.two.signing(), ""]});
            check("a blank key beside a good one", &beside, &event, Refused).await;
            check("the good one", &beside, &keys.two.event(body(source), now), Taken).await;
        }
    }
}

#[tokio::test]
async fn a_key_that_was_taken_out_is_dead_within_five_minutes() {
    for source in SOURCES {
        let keys = keys(source);
        let (secrets, clock, store) = (Held::default(), Clock::at(NOW), MemoryStore::new());
        let (app, _) = door(store.clone(), &secrets, &clock);
        secrets.set(source, json!({"signing": [keys.one.signing(), keys.two.signing()]}));
        // The time in a body tells one event from the next.
        let send = async |sender: &Sender, minute: u32| {
            let body = body(source).replace("10:00:00", &format!("10:{minute:02}:00"));
            told(&answer(&app, sender.event(body, clock.now()).v2()).await).0
        };
        assert_eq!(send(&keys.one, 1).await, 202, "{source}");
        // A new key is found at the first delivery that it proves; the old one goes at the next look at the secret.
        secrets.set(source, json!({"signing": [keys.two.signing(), keys.stranger.signing()]}));
        assert_eq!(send(&keys.stranger, 2).await, 202, "{source}: a key that is new");
        clock.set(clock.now() + SignedDuration::from_secs(301));
        let rows = store.inbox_rows().len();
        assert_eq!(send(&keys.one, 3).await, 401, "{source}");
        assert_eq!(store.inbox_rows().len(), rows);
        assert_eq!(send(&keys.two, 4).await, 202, "{source}");
    }
}
