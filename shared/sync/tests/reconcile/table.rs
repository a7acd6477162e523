//! Each row of the table of decisions: cases in `table.json`.
//!
//! A side shows `v1`, `v2` and so on (a title), or `revoked` or `deleted` (a `v1` of that status); several, where it lists
//! the id more than once. Moments are minutes; what a case does not say is as in [`Case::default`].

use crate::sample::{MARGIN, NOW, OWN_BEGAN, SIDES_BEGAN, at, listed, minute, plan, record, shown};
use certbridge_mapping::{Kind, Plan, Record};
use certbridge_sync::{
    reconcile::{Compared, DestinationRow, Listed, Listing, OwnRow, OwnState, Partition, Repair, SourceRow, compare},
    row::InboxState,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    name: String,
    id: String,
    source: String,
    source_read: Vec<i64>,
    changed_at: Vec<i64>,
    destination: String,
    destination_read: Vec<i64>,
    own: String,
    own_read: i64,
    own_complete: bool,
    told_by: Option<String>,
    told_otherwise: bool,
    synced_at: i64,
    fetched_at: Option<i64>,
    leased_until: Option<i64>,
    waiting: Option<InboxState>,
    in_doubt: bool,
    now: Value,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            name: String::new(),
            id: "10".to_owned(),
            source: String::new(),
            source_read: vec![61, 63, 65],
            changed_at: Vec::new(),
            destination: String::new(),
            destination_read: vec![62, 64, 66],
            own: String::new(),
            own_read: OWN_BEGAN + 1,
            own_complete: true,
            told_by: None,
            told_otherwise: false,
            synced_at: 10,
            fetched_at: None,
            leased_until: None,
            waiting: None,
            in_doubt: false,
            now: Value::Null,
        }
    }
}

fn status(word: &str) -> &str {
    if matches!(word, "revoked" | "deleted") { word } else { "issued" }
}

fn title(word: &str) -> &str {
    if status(word) == "issued" { word } else { "v1" }
}

fn state(word: &str) -> Record {
    record(&listed("10", title(word)), status(word))
}

/// The word of a record.
fn word(record: &Record) -> String {
    let fields = record.to_fields();
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    if text("status") == "issued" { text("title") } else { text("status") }
}

impl Case {
    fn listing<R>(&self, words: &str, row: impl Fn(usize, &str) -> R) -> Option<Listing<R>> {
        let rows = match words {
            "unlistable" => return None,
            "absent" | "unread" => Vec::new(),
            words => words.split(' ').enumerate().map(|(place, word)| row(place, word)).collect(),
        };
        Some(Listing { rows, began_at: at(SIDES_BEGAN), complete: words != "unread" })
    }

    fn source_row(&self, place: usize, word: &str) -> SourceRow {
        let mut fields = listed(&self.id, title(word));
        match word {
            "unmappable" => drop(fields.insert("issue_date".to_owned(), json!("secret"))),
            "deleted" => drop(fields.insert("status".to_owned(), json!("deleted"))),
            _ => {}
        }
        SourceRow {
            id: self.id.clone(),
            read_at: at(self.source_read[place]),
            changed_at: self.changed_at.get(place).copied().map(at),
            content: if word == "unreadable" { Listed::Invalid("why".to_owned()) } else { Listed::Fields(fields) },
        }
    }

    fn destination_row(&self, plan: &Plan, place: usize, word: &str) -> DestinationRow {
        let read_at = at(self.destination_read[place]);
        DestinationRow { id: self.id.clone(), read_at, fields: shown(plan, &state(word)) }
    }

    fn own_row(&self, plan: &Plan) -> Option<OwnRow> {
        let told = |word: &str| {
            let record = state(word);
            let fingerprint = plan.request(&record).unwrap().fingerprint();
            OwnState {
                fingerprint: if self.told_otherwise { "another".to_owned() } else { fingerprint },
                plan: self.told_by.clone().map_or_else(|| plan.version().clone(), Into::into),
                synced_at: at(self.synced_at),
                record,
            }
        };
        let state = match self.own.as_str() {
            "nothing" => return None,
            "a row" => None,
            word => Some(told(word)),
        };
        Some(OwnRow {
            id: self.id.clone(),
            read_at: at(self.own_read),
            leased_until: self.leased_until.map(at),
            in_doubt: self.in_doubt,
            fetched_at: self.fetched_at.map(at),
            state,
            waiting: self.waiting,
            of_another: false,
        })
    }

    fn partition(&self, plan: &Plan) -> Partition {
        Partition {
            source: self.listing(&self.source, |place, word| self.source_row(place, word)),
            destination: self.listing(&self.destination, |place, word| self.destination_row(plan, place, word)),
            own: Listing {
                rows: self.own_row(plan).into_iter().collect(),
                began_at: at(OWN_BEGAN),
                complete: self.own_complete,
            },
            now: at(NOW),
            margin: MARGIN,
        }
    }
}

/// What came out, as a case writes it.
fn told(compared: &Compared) -> Value {
    let Compared { finding, repair } = compared;
    let mut told = Map::from_iter([("outcome".to_owned(), json!(finding.outcome))]);
    let mut tell = |name: &str, value: Option<Value>| value.map(|value| told.insert(name.to_owned(), value));
    tell("drift", finding.drift.map(|drift| json!(drift)));
    tell("since", finding.since.map(|since| json!(minute(since))));
    let fields: Vec<_> = finding.fields.iter().map(|difference| &difference.field).collect();
    tell("fields", (!fields.is_empty()).then(|| json!(fields)));
    tell("reason", finding.reason.as_ref().map(|reason| json!(reason)));
    tell(
        "repair",
        repair.as_ref().map(|repair| match repair {
            Repair::Push { record, listed_at } => json!(format!("push {}@{}", word(record), minute(*listed_at))),
            Repair::Read => json!("read"),
        }),
    );
    Value::Object(told)
}

#[test]
fn every_row_decides_as_it_is_written() {
    let plan = plan();
    let cases: Vec<Case> = serde_json::from_str(include_str!("table.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let compared = compare(&plan, Kind::Certificate, case.partition(&plan));
        let [compared] = compared.as_slice() else { panic!("{}: {} records", case.name, compared.len()) };
        assert_eq!(compared.finding.id, case.id, "{}", case.name);
        if told(compared) != case.now {
            wrong.push(format!("{}\n  is     {}\n  wanted {}", case.name, told(compared), case.now));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_row_of_the_table_is_without_a_case() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("table.json")).unwrap();
    for row in 1..=20 {
        assert!(cases.iter().any(|case| case.name.starts_with(&format!("{row}: "))), "{row}");
    }
}

#[test]
fn rows_that_come_in_another_order_change_nothing() {
    let plan = plan();
    for case in serde_json::from_str::<Vec<Case>>(include_str!("table.json")).unwrap() {
        let partition = case.partition(&plan);
        let mut turned = partition.clone();
        turned.source.iter_mut().for_each(|listing| listing.rows.reverse());
        turned.destination.iter_mut().for_each(|listing| listing.rows.reverse());
        let [one, other] = [partition, turned].map(|partition| compare(&plan, Kind::Certificate, partition));
        assert_eq!(one, other, "{}", case.name);
    }
}

#[test]
fn an_empty_partition_has_no_findings() {
    let own = Listing { rows: Vec::new(), began_at: at(OWN_BEGAN), complete: true };
    let partition = Partition { source: None, destination: None, own, now: at(NOW), margin: MARGIN };
    assert_eq!(compare(&plan(), Kind::Certificate, partition), []);
}
