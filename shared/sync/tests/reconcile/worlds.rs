//! Worlds of two hundred records whose drift is known: what is found must be just that.

use crate::sample::{MARGIN, NOW, OWN_BEGAN, SIDES_BEGAN, at, listed, plan, record, shown};
use certbridge_mapping::{Kind, Plan, PlanVersion};
use certbridge_sync::{
    reconcile::{
        Compared, DestinationRow, Drift, Listed, Listing, Outcome, OwnRow, OwnState, Partition, Repair, SourceRow,
        Tally, compare, partition,
    },
    row::InboxState,
};
use fastrand::Rng;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The canonical fields that drift. The destination has them by the same names.
const DRIFTING: [&str; 6] = ["title", "group_name", "url", "expiry_date", "recipient_name", "recipient_email"];
const RECORDS: usize = 200;
const SEEDS: u64 = 16;

/// What a record's place in the report must be.
#[derive(Debug, PartialEq)]
struct Wanted {
    outcome: Outcome,
    drift: Option<Drift>,
    fields: BTreeSet<String>,
    repair: &'static str,
}

/// What the three tables have of one record.
#[derive(Default)]
struct Rows {
    source: Vec<SourceRow>,
    destination: Vec<DestinationRow>,
    own: Option<OwnRow>,
}

struct World {
    partition: Partition,
    wanted: BTreeMap<String, Wanted>,
}

struct Maker<'a> {
    plan: &'a Plan,
    random: Rng,
}

impl Maker<'_> {
    fn content(&mut self, id: &str) -> Map<String, Value> {
        let mut fields = listed(id, "title");
        fields.insert("location_id".to_owned(), format!("loc_{}", self.random.u8(0..4)).into());
        fields.insert("issue_date".to_owned(), format!("2026-02-{:02}", self.random.u8(1..29)).into());
        for name in DRIFTING {
            self.change(&mut fields, name);
        }
        fields
    }

    /// Gives a field a value that it did not have.
    fn change(&mut self, fields: &mut Map<String, Value>, name: &str) {
        let before = fields.get(name).cloned();
        while fields.get(name) == before.as_ref() {
            let number = self.random.u32(..);
            let value = match name {
                _ if self.random.u8(0..8) == 0 => Value::Null,
                "expiry_date" => json!(format!("20{}-01-{:02}", number % 60 + 30, number % 28 + 1)),
                "recipient_email" => json!(format!("secret-{number}@example.org")),
                "recipient_name" => json!(format!("Secret {number}")),
                _ => json!(format!("{name} {number}")),
            };
            fields.insert(name.to_owned(), value);
        }
    }

    /// Content that differs in a few fields, and which.
    fn drifted(&mut self, fields: &Map<String, Value>) -> (Map<String, Value>, BTreeSet<String>) {
        let mut drifted = fields.clone();
        let count = self.random.usize(1..4);
        let names = self.random.choose_multiple(DRIFTING, count);
        for name in &names {
            self.change(&mut drifted, name);
        }
        (drifted, names.into_iter().map(str::to_owned).collect())
    }

    fn source_row(&mut self, id: &str, fields: &Map<String, Value>) -> SourceRow {
        let read_at = at(self.random.i64(SIDES_BEGAN..OWN_BEGAN));
        let changed_at = self.random.bool().then(|| at(self.random.i64(-900..50)));
        SourceRow { id: id.to_owned(), read_at, changed_at, content: Listed::Fields(fields.clone()) }
    }

    fn destination_row(&mut self, id: &str, fields: &Map<String, Value>, status: &str) -> DestinationRow {
        let mut fields = shown(self.plan, &record(fields, status));
        // The same said otherwise, as destinations do.
        if self.random.bool()
            && let Some(day) = fields["expiry_date"].as_str()
        {
            fields["expiry_date"] = json!(format!("{day}T00:00:00Z"));
        }
        if self.random.bool()
            && let Some(email) = fields["recipient_email"].as_str()
        {
            fields["recipient_email"] = json!(email.to_uppercase());
        }
        if self.random.bool() {
            fields.retain(|_, value| !value.is_null());
            fields.insert("views".to_owned(), 7.into());
        }
        DestinationRow { id: id.to_owned(), read_at: at(self.random.i64(SIDES_BEGAN..OWN_BEGAN)), fields }
    }

    fn own_row(&mut self, id: &str, told: Option<(&Map<String, Value>, &str)>) -> OwnRow {
        let state = told.map(|(fields, status)| {
            let record = record(fields, status);
            OwnState {
                fingerprint: self.plan.request(&record).unwrap().fingerprint(),
                plan: self.plan.version().clone(),
                synced_at: at(self.random.i64(0..50)),
                record,
            }
        });
        OwnRow {
            id: id.to_owned(),
            read_at: at(self.random.i64(OWN_BEGAN..NOW)),
            leased_until: self.random.bool().then(|| at(self.random.i64(0..OWN_BEGAN))),
            in_doubt: false,
            fetched_at: state.as_ref().map(|state| state.synced_at),
            state,
            waiting: self.random.bool().then_some(InboxState::Settled),
            of_another: false,
        }
    }

    /// A record whose state in the three tables is one of those that can be.
    fn record(&mut self, id: &str) -> (Rows, Wanted) {
        use Drift::{ArrivedAndFailed, EditedAtDestination, NeverArrived, PlanChanged};
        let now = self.content(id);
        let (before, fields) = self.drifted(&now);
        let stuck = if self.random.bool() { InboxState::Failed } else { InboxState::Quarantined };
        let older = PlanVersion::from("older".to_owned());
        // All agree, unless said otherwise below.
        let mut rows = Rows {
            source: vec![self.source_row(id, &now)],
            destination: vec![self.destination_row(id, &now, "issued")],
            own: Some(self.own_row(id, Some((&now, "issued")))),
        };
        let mut wanted = Wanted { outcome: Outcome::Matched, drift: None, fields: BTreeSet::new(), repair: "" };
        let mismatched = |drift| Wanted { outcome: Outcome::Mismatched, drift: Some(drift), fields, repair: "push" };
        let missing = |outcome, drift, repair| Wanted { outcome, drift: Some(drift), fields: BTreeSet::new(), repair };
        let plain = |outcome| Wanted { outcome, drift: None, fields: BTreeSet::new(), repair: "" };
        match self.random.u8(0..29) {
            0 => {}
            1 => rows.own = None,
            2 => {
                rows.own = Some(OwnRow { in_doubt: true, ..self.own_row(id, Some((&before, "issued"))) });
                wanted.repair = "push";
            }
            3 => {
                rows.destination = vec![self.destination_row(id, &now, "revoked")];
                rows.own = Some(self.own_row(id, Some((&now, "revoked"))));
            }
            4 => {
                rows = Rows { own: Some(self.own_row(id, Some((&now, "deleted")))), ..Rows::default() };
                if self.random.bool() {
                    rows.destination = vec![self.destination_row(id, &now, "deleted")];
                }
            }
            5 => {
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                rows.own = self.random.bool().then(|| self.own_row(id, Some((&before, "issued"))));
                wanted = mismatched(NeverArrived);
            }
            6 => {
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                let own = self.own_row(id, Some((&before, "issued")));
                rows.own = Some(OwnRow { waiting: Some(stuck), ..own });
                wanted = mismatched(ArrivedAndFailed);
            }
            7 => {
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                wanted = mismatched(EditedAtDestination);
            }
            8 => {
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                rows.own.iter_mut().flat_map(|own| &mut own.state).for_each(|state| state.plan = older.clone());
                wanted = mismatched(PlanChanged);
            }
            9 => {
                rows.destination.clear();
                rows.own = None;
                wanted = missing(Outcome::MissingAtDestination, NeverArrived, "push");
            }
            10 => {
                rows.destination.clear();
                rows.own = Some(OwnRow { waiting: Some(stuck), ..self.own_row(id, None) });
                wanted = missing(Outcome::MissingAtDestination, ArrivedAndFailed, "push");
            }
            11 => {
                rows.destination.clear();
                wanted = missing(Outcome::MissingAtDestination, EditedAtDestination, "push");
            }
            12 => {
                rows.destination.clear();
                rows.own.iter_mut().flat_map(|own| &mut own.state).for_each(|state| state.plan = older.clone());
                wanted = missing(Outcome::MissingAtDestination, PlanChanged, "push");
            }
            13 => {
                rows.source.clear();
                rows.own = rows.own.filter(|_| self.random.bool());
                wanted = missing(Outcome::MissingAtSource, NeverArrived, "read");
            }
            14 => {
                rows.source.clear();
                rows.own.iter_mut().for_each(|own| own.waiting = Some(stuck));
                wanted = missing(Outcome::MissingAtSource, ArrivedAndFailed, "read");
            }
            15 => {
                rows.source.clear();
                rows.destination.clear();
                wanted = missing(Outcome::MissingAtSource, NeverArrived, "read");
            }
            16 => {
                rows.source = vec![self.source_row(id, &now), self.source_row(id, &before)];
                rows.source[0].changed_at = None;
                wanted = plain(Outcome::Duplicate);
            }
            17 => {
                rows.destination.push(self.destination_row(id, &before, "issued"));
                wanted = plain(Outcome::Duplicate);
            }
            18 => {
                rows.source[0].content = Listed::Invalid("it is no object".to_owned());
                wanted = plain(Outcome::Invalid);
            }
            19 => {
                let mut spoilt = now.clone();
                spoilt.insert("issue_date".to_owned(), json!("secret-day"));
                rows.source = vec![self.source_row(id, &spoilt)];
                wanted = plain(Outcome::Invalid);
            }
            20 => {
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                rows.own.iter_mut().for_each(|own| own.leased_until = Some(at(NOW + 5)));
                wanted = plain(Outcome::InFlight);
            }
            21 => {
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                rows.own.iter_mut().for_each(|own| own.waiting = Some(InboxState::Pending));
                wanted = plain(Outcome::InFlight);
            }
            22 => {
                let since = at(self.random.i64(OWN_BEGAN..NOW));
                rows.destination = vec![self.destination_row(id, &before, "issued")];
                rows.own.iter_mut().flat_map(|own| &mut own.state).for_each(|state| state.synced_at = since);
                wanted = plain(Outcome::InFlight);
            }
            23 => {
                rows.destination.clear();
                rows.own = None;
                rows.source[0].changed_at = Some(at(SIDES_BEGAN + 5));
                wanted = plain(Outcome::InFlight);
            }
            24 => {
                let (mut newer, mut older) = (self.source_row(id, &now), self.source_row(id, &before));
                (newer.changed_at, older.changed_at) = (Some(at(40)), Some(at(-40)));
                rows.source = vec![older, newer];
            }
            25 => {
                rows.destination = vec![self.destination_row(id, &now, "deleted")];
                rows.own = Some(self.own_row(id, Some((&now, "deleted"))));
                wanted = Wanted {
                    fields: BTreeSet::from(["status".to_owned()]),
                    repair: "read",
                    ..mismatched(NeverArrived)
                };
            }
            26 => {
                rows.source.clear();
                rows.own = Some(self.own_row(id, Some((&now, "deleted"))));
                let fields = BTreeSet::from(["status".to_owned()]);
                wanted = Wanted { fields, ..mismatched(EditedAtDestination) };
            }
            27 => {
                rows.own = Some(self.own_row(id, Some((&now, "revoked"))));
                let fields = BTreeSet::from(["status".to_owned()]);
                wanted = Wanted { fields, ..mismatched(EditedAtDestination) };
            }
            _ => rows = Rows { own: Some(self.own_row(id, None)), ..Rows::default() },
        }
        // Pages that shift while they are read repeat rows.
        if self.random.u8(0..4) == 0 {
            rows.source.extend(rows.source.first().cloned());
            rows.destination.extend(rows.destination.first().cloned());
        }
        (rows, wanted)
    }

    fn world(&mut self) -> World {
        let mut all = Rows::default();
        let (mut own, mut wanted) = (Vec::new(), BTreeMap::new());
        for number in 0..RECORDS {
            let id = if number % 50 == 49 { format!("{number}/bad") } else { number.to_string() };
            let (rows, mut expected) = self.record(&id);
            let rows = if number % 50 == 49 {
                expected = Wanted { outcome: Outcome::Invalid, drift: None, fields: BTreeSet::new(), repair: "" };
                let fields = self.content(&id);
                Rows { source: vec![self.source_row(&id, &fields)], ..Rows::default() }
            } else {
                rows
            };
            all.source.extend(rows.source);
            all.destination.extend(rows.destination);
            own.extend(rows.own);
            wanted.insert(id, expected);
        }
        self.random.shuffle(&mut all.source);
        self.random.shuffle(&mut all.destination);
        self.random.shuffle(&mut own);
        let partition = Partition {
            source: Some(Listing { rows: all.source, began_at: at(SIDES_BEGAN), complete: true }),
            destination: Some(Listing { rows: all.destination, began_at: at(SIDES_BEGAN), complete: true }),
            own: Listing { rows: own, began_at: at(OWN_BEGAN), complete: true },
            now: at(NOW),
            margin: MARGIN,
        };
        World { partition, wanted }
    }
}

fn world(plan: &Plan, seed: u64) -> World {
    Maker { plan, random: Rng::with_seed(seed) }.world()
}

fn found(compared: &Compared) -> Wanted {
    let finding = &compared.finding;
    Wanted {
        outcome: finding.outcome,
        drift: finding.drift,
        fields: finding.fields.iter().map(|difference| difference.field.clone()).collect(),
        repair: match compared.repair {
            Some(Repair::Push { .. }) => "push",
            Some(Repair::Read) => "read",
            None => "",
        },
    }
}

#[test]
fn what_was_injected_is_found_and_nothing_else() {
    let plan = plan();
    let (mut outcomes, mut drifts) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let world = world(&plan, seed);
        let compared = compare(&plan, Kind::Certificate, world.partition);
        assert_eq!(compared.len(), world.wanted.len());
        for compared in &compared {
            let id = &compared.finding.id;
            assert_eq!(found(compared), world.wanted[id], "seed {seed}, {id}: {:?}", compared.finding.reason);
            outcomes.insert(compared.finding.outcome);
            drifts.extend(compared.finding.drift);
        }
        assert!(compared.is_sorted_by(|one, other| one.finding.id < other.finding.id));
    }
    // All but failed, which only a repair can be.
    assert_eq!((outcomes.len(), drifts.len()), (7, 4));
}

#[test]
fn no_finding_shows_what_is_personal() {
    let plan = plan();
    let mut hidden = 0;
    for seed in 0..SEEDS {
        for compared in compare(&plan, Kind::Certificate, world(&plan, seed).partition) {
            let text = serde_json::to_string(&compared.finding).unwrap();
            assert!(!text.to_lowercase().contains("secret"), "{text}");
            hidden += compared.finding.fields.iter().filter(|difference| difference.personal).count();
        }
    }
    assert!(hidden > 200, "{hidden}");
}

/// The rows of one of so many partitions.
fn cut(whole: &Partition, place: u16, of: u16) -> Partition {
    fn rows<R: Clone>(listing: &Listing<R>, is_in: impl Fn(&R) -> bool) -> Listing<R> {
        Listing { rows: listing.rows.iter().filter(|row| is_in(row)).cloned().collect(), ..*listing }
    }
    Partition {
        source: whole.source.as_ref().map(|listing| rows(listing, |row| partition(&row.id, of) == place)),
        destination: whole.destination.as_ref().map(|listing| rows(listing, |row| partition(&row.id, of) == place)),
        own: rows(&whole.own, |row| partition(&row.id, of) == place),
        ..*whole
    }
}

#[test]
fn it_does_not_matter_how_the_world_is_cut() {
    let plan = plan();
    for seed in 0..SEEDS / 4 {
        let World { partition, wanted } = world(&plan, seed);
        let of = Rng::with_seed(seed).u16(2..9);
        let tally = |partition: Partition| {
            Tally::of(compare(&plan, Kind::Certificate, partition).into_iter().map(|compared| compared.finding))
        };
        let parts: Vec<_> = (0..of).map(|place| tally(cut(&partition, place, of))).collect();
        let merged = parts.into_iter().fold(Tally::default(), Tally::merge);
        assert_eq!(merged, tally(partition));
        assert!(merged.totals.adds_up());
        assert_eq!(merged.totals.records, wanted.len() as u64);
        for (outcome, count) in &merged.totals.outcomes {
            assert_eq!(*count, wanted.values().filter(|wanted| wanted.outcome == *outcome).count() as u64);
        }
        for (drift, count) in &merged.totals.drift {
            assert_eq!(*count, wanted.values().filter(|wanted| wanted.drift == Some(*drift)).count() as u64);
        }
    }
}

#[test]
fn what_was_not_listed_is_never_claimed() {
    let plan = plan();
    for seed in 0..SEEDS {
        let mut random = Rng::with_seed(seed);
        let World { mut partition, .. } = world(&plan, seed);
        // Each side is whole, cut off, or cannot be listed.
        let [source, destination] = [random.u8(0..3), random.u8(0..3)];
        let cut_off = |random: &mut Rng, rows: usize| random.usize(0..rows);
        match (source, &mut partition.source) {
            (1, Some(listing)) => {
                listing.rows.truncate(cut_off(&mut random, listing.rows.len()));
                listing.complete = false;
            }
            (2, listing) => *listing = None,
            _ => {}
        }
        match (destination, &mut partition.destination) {
            (1, Some(listing)) => {
                listing.rows.truncate(cut_off(&mut random, listing.rows.len()));
                listing.complete = false;
            }
            (2, listing) => *listing = None,
            _ => {}
        }
        let sides = [
            partition.source.iter().flat_map(|listing| &listing.rows).map(|row| &row.id).collect::<BTreeSet<_>>(),
            partition.destination.iter().flat_map(|listing| &listing.rows).map(|row| &row.id).collect(),
            partition.own.rows.iter().map(|row| &row.id).collect(),
        ];
        let ids: Vec<String> = sides.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let compared = compare(&plan, Kind::Certificate, partition);
        assert_eq!(
            compared.iter().map(|compared| &compared.finding.id).collect::<Vec<_>>(),
            ids.iter().collect::<Vec<_>>()
        );
        for Compared { finding, repair } in &compared {
            assert!(source == 0 || finding.outcome != Outcome::MissingAtSource, "{finding:?}");
            assert!(destination == 0 || finding.outcome != Outcome::MissingAtDestination, "{finding:?}");
            assert!(source != 2 || finding.drift != Some(Drift::NeverArrived), "{finding:?}");
            let differs = !matches!(
                finding.outcome,
                Outcome::Matched | Outcome::Duplicate | Outcome::Invalid | Outcome::InFlight
            );
            assert_eq!(differs, finding.drift.is_some(), "{finding:?}");
            assert!(!differs || repair.is_some(), "{finding:?}");
        }
        assert!(Tally::of(compared.into_iter().map(|compared| compared.finding)).totals.adds_up());
    }
}
