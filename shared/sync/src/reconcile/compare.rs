//! What one partition's listings say of each record: pure, and one row of this table per record.
//!
//! The first row that fits decides. *Wanted* is what the destination should show: the source's listing over what we hold,
//! or, where the source cannot be listed or lists none of what we hold as deleted, just what we hold.
//!
//! | # | source | destination | what we hold | outcome | repair |
//! |---|---|---|---|---|---|
//! | 1 | any | any | the id is none that a record can have | invalid | |
//! | 2 | any | any | leased, or an event is pending | in flight | |
//! | 3 | any | any | committed since a side was read, or fetched since the source was | in flight | |
//! | 4 | rows that contradict each other | any | | duplicate | |
//! | 5 | any | rows that contradict each other | | duplicate | |
//! | 6 | unreadable; or wanted cannot be mapped | any | | invalid | |
//! | 7 | not listed, listing incomplete | any | | in flight | |
//! | 8 | any | not listed, listing incomplete | | in flight | |
//! | 9 | wanted | shows it | | matched | push, if in doubt |
//! | 10 | wanted | shows something else | | mismatched | push |
//! | 11 | wanted, and not deleted | lacks it | | missing at destination | push |
//! | 12 | wanted, but deleted | lacks it | | matched | |
//! | 13 | lists it | cannot be listed | told just that, by this plan | matched | push, if in doubt |
//! | 14 | lists it | cannot be listed | told something else, or nothing | mismatched | push |
//! | 15 | lacks it | has it | not deleted | missing at source | read |
//! | 16 | lacks it | lacks it, or cannot be listed | a state that is not deleted | missing at source | read |
//! | 17 | lacks it | lacks it, or cannot be listed | deleted, or no state | matched | |
//! | 18 | cannot be listed | has it | no state | in flight | |
//! | 19 | cannot be listed | lacks it | deleted, or no state | matched | |
//! | 20 | cannot be listed | cannot be listed | | in flight | |
//!
//! What only the destination shows, while we hold it for another source, is left out: the destination's ids do not tell
//! whose they are.
//!
//! A difference (10, 11, 14, 15, 16) is in flight instead where the order of the reads leaves it unsayable: what we hold
//! was read before a side, so a commit between the two is not seen; our own listing is incomplete and lacks the record;
//! or the source changed the record after the destination was read, so its event may be on its way. Therefore **our own
//! table is listed last**, once both sides have been read.
//!
//! Where the source lists again what we hold as deleted, the repair is a read: the listing may be behind.
//!
//! Choices behind the table:
//! - *Rows of an id that are alike count once*: pages shift while they are read. Of source rows that are not alike, the one
//!   that changed last counts, if every one says when it did.
//! - *What moves is not judged*, even if the sides seem to agree: a pending event may tell what no listing shows.
//! - *An incomplete listing proves no absence*, so what it lacks is in flight and is judged by the next one.
//! - *A record in doubt that agrees is matched*: both sides do say the same. It is told again all the same, since
//!   nothing but a claim that pushes can end the doubt.
//! - *Neither side has it, yet we hold it* is missing at source: once a direct read has proven it, we stop holding it.
//!
//! The cause of a difference, again the first that fits:
//!
//! | cause | when |
//! |---|---|
//! | arrived and failed | an event of it is quarantined or failed |
//! | plan changed | we hold what is wanted, and told it by another plan |
//! | edited at destination | what we told by this plan is what is wanted; also if it was removed there |
//! | never arrived | else: the source shows something that we do not hold. Never where the source cannot be listed |
//!
//! A change of the plan that changes the canonical record itself cannot be told from a change at the source.
//!
//! It is dated by the source's own word of when it changed, if it never arrived or failed, and else by our last commit:
//! the last moment at which we took the destination for right.

use super::{DestinationRow, Drift, FieldDifference, Finding, Listed, Outcome, OwnRow, OwnState, SourceRow};
use crate::row::InboxState;
use certbridge_mapping::{Kind, Plan, Record, RecordId, RecordKey, Request};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What was listed of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// At the source; `None` if it cannot be listed.
    pub source: Option<Listing<SourceRow>>,
    /// At the destination; `None` if it cannot be listed.
    pub destination: Option<Listing<DestinationRow>>,
    /// By us, after both sides were read to their ends.
    pub own: Listing<OwnRow>,
    /// The time by our clock. A source that says a record changed later than this is not believed.
    pub now: Timestamp,
    /// How far apart two moments must be to be told in order: the skew of two clocks, and the time of a push, since a
    /// commit is dated before it.
    pub margin: SignedDuration,
}

/// The rows of a listing that fall into one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<R> {
    /// The rows, in any order.
    pub rows: Vec<R>,
    /// When the listing began: what it lacks may have been made since.
    pub began_at: Timestamp,
    /// Whether it was read to its end.
    pub complete: bool,
}

/// How one record came out, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Its place in the report.
    pub finding: Finding,
    /// What would make the destination right.
    pub repair: Option<Repair>,
}

/// What would make the destination right.
#[derive(Debug, Clone, PartialEq)]
pub enum Repair {
    /// Push this record, if nobody touched it since it was listed.
    Push {
        /// The record.
        record: Box<Record>,
        /// When it was listed.
        listed_at: Timestamp,
    },
    /// Ask the source for this record first: what was listed is not proof enough.
    Read,
}

/// How each record of a partition came out, in the order of their ids: every id that any listing has, once.
pub fn compare(plan: &Plan, kind: Kind, partition: Partition) -> Vec<Compared> {
    #[derive(Default)]
    struct Rows {
        source: Vec<SourceRow>,
        destination: Vec<DestinationRow>,
        own: Option<OwnRow>,
    }
    let Partition { source, destination, own, now, margin } = partition;
    let (source, source_rows) = opened(source);
    let (destination, destination_rows) = opened(destination);
    let mut records: BTreeMap<String, Rows> = BTreeMap::new();
    for row in source_rows {
        records.entry(row.id.clone()).or_default().source.push(row);
    }
    for row in destination_rows {
        records.entry(row.id.clone()).or_default().destination.push(row);
    }
    let (others, own_rows): (Vec<_>, Vec<_>) = own.rows.into_iter().partition(|row| row.of_another);
    for row in own_rows {
        let newest = &mut records.entry(row.id.clone()).or_default().own;
        if newest.as_ref().is_none_or(|known| known.read_at < row.read_at) {
            *newest = Some(row);
        }
    }
    // What only the destination shows, and another source holds, is that source's to judge.
    for row in others {
        if records.get(&row.id).is_some_and(|rows| rows.source.is_empty() && rows.own.is_none()) {
            records.remove(&row.id);
        }
    }
    let compared = |(id, rows): (String, Rows)| {
        let key = match RecordId::try_from(id.clone()) {
            Ok(id) => RecordKey { kind, source: plan.source().name.clone(), id },
            Err(error) => return Compared::new(id, Outcome::Invalid).because(error.to_string()),
        };
        // So that of rows that are alike, the same one is taken however they come.
        let mut source_rows = rows.source;
        source_rows.sort_by_key(|row| (row.read_at, row.changed_at));
        let view = View {
            plan,
            key,
            source: said(source, source_rows, newest_of),
            destination: said(destination, rows.destination, |_| None),
            own_read_at: rows.own.as_ref().map_or(own.began_at, |row| row.read_at),
            own_missed: rows.own.is_none() && !own.complete,
            own: rows.own,
            now,
            margin,
        };
        view.compared()
    };
    records.into_iter().map(compared).collect()
}

/// What is known of a listing besides its rows.
#[derive(Clone, Copy)]
struct Extent {
    began_at: Timestamp,
    complete: bool,
}

fn opened<R>(listing: Option<Listing<R>>) -> (Option<Extent>, Vec<R>) {
    listing
        .map_or((None, Vec::new()), |Listing { rows, began_at, complete }| (Some(Extent { began_at, complete }), rows))
}

/// What a side says of one record.
enum Said<R> {
    /// The side cannot be listed.
    Nothing,
    /// The record is not among what was listed, which is not all.
    Unread(Timestamp),
    /// The side does not have it.
    Absent(Timestamp),
    /// The side shows it.
    Shown(R),
    /// The side shows it more than once, and not alike.
    Torn(Timestamp),
}

impl<R: Row> Said<R> {
    /// Since when, at the earliest, what is said may be out of date.
    fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Nothing => None,
            Self::Unread(at) | Self::Absent(at) | Self::Torn(at) => Some(*at),
            Self::Shown(row) => Some(row.read_at()),
        }
    }
}

/// A row of either side.
trait Row: Sized {
    fn read_at(&self) -> Timestamp;
    /// Whether both say the same.
    fn is_like(&self, other: &Self) -> bool;
}

impl Row for SourceRow {
    fn read_at(&self) -> Timestamp {
        self.read_at
    }

    fn is_like(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Row for DestinationRow {
    fn read_at(&self) -> Timestamp {
        self.read_at
    }

    fn is_like(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

/// What a side says, by the rows that it has of one record. `newest` picks from rows that are not alike, if it can.
fn said<R: Row>(extent: Option<Extent>, mut rows: Vec<R>, newest: impl Fn(&mut Vec<R>) -> Option<R>) -> Said<R> {
    let Some(extent) = extent else { return Said::Nothing };
    let Some(earliest) = rows.iter().map(Row::read_at).min() else {
        return if extent.complete { Said::Absent(extent.began_at) } else { Said::Unread(extent.began_at) };
    };
    if rows.windows(2).all(|pair| pair[0].is_like(&pair[1])) {
        // What it said at first it still says at last.
        return rows.into_iter().max_by_key(Row::read_at).map_or(Said::Torn(earliest), Said::Shown);
    }
    newest(&mut rows).map_or(Said::Torn(earliest), Said::Shown)
}

/// The row that changed last, if every one says when it did and those that changed last are alike.
fn newest_of(rows: &mut Vec<SourceRow>) -> Option<SourceRow> {
    let last = rows.iter().map(|row| row.changed_at).min()?.and(rows.iter().filter_map(|row| row.changed_at).max());
    rows.retain(|row| last.is_some() && row.changed_at == last);
    let alike = rows.windows(2).all(|pair| pair[0].is_like(&pair[1]));
    rows.drain(..).max_by_key(Row::read_at).filter(|_| alike)
}

/// What the destination should show of a record.
struct Wanted {
    record: Record,
    request: Request,
    listed_at: Timestamp,
}

/// All that is known of one record.
struct View<'a> {
    plan: &'a Plan,
    key: RecordKey,
    source: Said<SourceRow>,
    destination: Said<DestinationRow>,
    own: Option<OwnRow>,
    own_read_at: Timestamp,
    /// Whether we may hold it all the same.
    own_missed: bool,
    now: Timestamp,
    margin: SignedDuration,
}

impl View<'_> {
    fn compared(&self) -> Compared {
        let wanted = self.wanted();
        let record = wanted.as_ref().ok().and_then(Option::as_ref).map(|wanted| &wanted.record);
        let location = record.or(self.held()).and_then(Record::location_id).map(str::to_owned);
        let mut compared = match self.set_aside() {
            Some(compared) => compared,
            None => match wanted {
                Err(problem) => self.found(Outcome::Invalid).because(problem),
                Ok(wanted) => self.unread().unwrap_or_else(|| self.judged(wanted)),
            },
        };
        compared.finding.location_id = location;
        compared
    }

    fn found(&self, outcome: Outcome) -> Compared {
        Compared::new(self.key.id.as_str().to_owned(), outcome)
    }

    fn in_flight(&self, reason: &str) -> Compared {
        self.found(Outcome::InFlight).because(reason)
    }

    fn state(&self) -> Option<&OwnState> {
        self.own.as_ref()?.state.as_ref()
    }

    fn held(&self) -> Option<&Record> {
        self.state().map(|state| &state.record)
    }

    fn wanted(&self) -> Result<Option<Wanted>, String> {
        let (record, listed_at) = match &self.source {
            Said::Shown(row) => match &row.content {
                Listed::Invalid(problem) => return Err(problem.clone()),
                Listed::Fields(fields) => {
                    let record = self.plan.complete(&self.key, fields, self.held());
                    (record.map_err(|problems| problems.to_string())?, row.read_at)
                }
            },
            Said::Nothing | Said::Absent(_) => {
                let speaks = |held: &&Record| matches!(self.source, Said::Nothing) || held.is_deleted();
                let Some(held) = self.held().filter(speaks) else { return Ok(None) };
                (held.clone(), self.own_read_at)
            }
            Said::Unread(_) | Said::Torn(_) => return Ok(None),
        };
        let request = self.plan.request(&record).map_err(|problems| problems.to_string())?;
        Ok(Some(Wanted { record, request, listed_at }))
    }

    /// What keeps a record from being compared, whatever the rows hold.
    fn set_aside(&self) -> Option<Compared> {
        if let Some(reason) = self.moves() {
            return Some(self.in_flight(reason));
        }
        let torn = match (&self.source, &self.destination) {
            (Said::Torn(_), _) => "the source lists it more than once, with different content",
            (_, Said::Torn(_)) => "the destination lists it more than once, with different content",
            _ => return None,
        };
        Some(self.found(Outcome::Duplicate).because(torn))
    }

    fn moves(&self) -> Option<&'static str> {
        let own = self.own.as_ref()?;
        // Seen from when it was read: a lease that has run out since then may have ended in a commit.
        if own.leased_until.is_some_and(|until| until > own.read_at) {
            return Some("somebody works on it");
        }
        if own.waiting == Some(InboxState::Pending) {
            return Some("an event of it is pending");
        }
        let synced_at = own.state.as_ref().map(|state| state.synced_at);
        let newer_than_source = self.is_since(synced_at.max(own.fetched_at), self.source.at());
        let newer_than_destination = self.is_since(synced_at, self.destination.at());
        (newer_than_source || newer_than_destination).then_some("it was synced while it was listed")
    }

    /// Whether something happened after a moment, or too close to it to be told in order.
    fn is_since(&self, happened: Option<Timestamp>, moment: Option<Timestamp>) -> bool {
        happened.zip(moment).is_some_and(|(happened, moment)| moment.duration_since(happened) <= self.margin)
    }

    fn unread(&self) -> Option<Compared> {
        match (&self.source, &self.destination) {
            (Said::Unread(_), _) => Some(self.in_flight("not listed: the source's listing is incomplete")),
            (_, Said::Unread(_)) => Some(self.in_flight("not listed: the destination's listing is incomplete")),
            _ => None,
        }
    }

    fn judged(&self, wanted: Option<Wanted>) -> Compared {
        let Some(wanted) = wanted else { return self.unwanted() };
        match (&self.source, &self.destination) {
            (_, Said::Shown(row)) => match self.differences(&wanted.request, &row.fields) {
                fields if fields.is_empty() => self.agrees(wanted),
                fields => self.differs(Outcome::Mismatched, Some(wanted), fields),
            },
            (_, Said::Absent(_)) if wanted.record.is_deleted() => self.found(Outcome::Matched),
            (_, Said::Absent(_)) => self.differs(Outcome::MissingAtDestination, Some(wanted), Vec::new()),
            (Said::Shown(_), _) => self.against_what_was_told(wanted),
            (Said::Absent(_), _) => self.found(Outcome::Matched),
            _ => self.in_flight(NEITHER_LISTED),
        }
    }

    /// Where the destination cannot be listed: it is taken to show what it was told.
    fn against_what_was_told(&self, wanted: Wanted) -> Compared {
        let Some(told) = self.state() else {
            return if wanted.record.is_deleted() {
                self.found(Outcome::Matched)
            } else {
                self.differs(Outcome::Mismatched, Some(wanted), Vec::new()).or_because("it was never told")
            };
        };
        if told.plan == *self.plan.version() && told.fingerprint == wanted.request.fingerprint() {
            return self.agrees(wanted);
        }
        let shown = self.plan.request(&told.record).ok().and_then(|request| request.body.as_object().cloned());
        let fields = self.differences(&wanted.request, &shown.unwrap_or_default());
        self.differs(Outcome::Mismatched, Some(wanted), fields).or_because("what it was told differs")
    }

    /// Where there is nothing that the destination should show.
    fn unwanted(&self) -> Compared {
        let missing = || self.differs(Outcome::MissingAtSource, None, Vec::new());
        match (&self.source, &self.destination) {
            (Said::Absent(_), Said::Shown(_)) if self.state().is_some() => missing(),
            (Said::Absent(_), Said::Shown(_)) => missing().or_because("we hold nothing of it"),
            (Said::Absent(_), _) if self.state().is_some() => missing().or_because("we hold it, and no side lists it"),
            (Said::Absent(_), _) | (_, Said::Absent(_)) => self.found(Outcome::Matched),
            (_, Said::Shown(_)) => self.in_flight("the source cannot be listed, and we hold nothing of it"),
            _ => self.in_flight(NEITHER_LISTED),
        }
    }

    fn differences(&self, request: &Request, found: &Map<String, Value>) -> Vec<FieldDifference> {
        self.plan.differences(self.key.kind, request, found).into_iter().map(FieldDifference::from).collect()
    }

    fn agrees(&self, wanted: Wanted) -> Compared {
        let matched = self.found(Outcome::Matched);
        let Wanted { record, listed_at, .. } = wanted;
        match &self.own {
            Some(own) if own.in_doubt => Compared {
                repair: Some(Repair::Push { record: Box::new(record), listed_at }),
                ..matched.because("told again, since a push of ours may have come too late")
            },
            Some(own) if is_stuck(own) => matched.because("an event of it is quarantined or failed"),
            _ => matched,
        }
    }

    fn differs(&self, outcome: Outcome, wanted: Option<Wanted>, fields: Vec<FieldDifference>) -> Compared {
        if let Some(reason) = self.unsayable() {
            return self.in_flight(reason);
        }
        let drift = self.drift(wanted.as_ref());
        let stands = wanted.as_ref().is_some_and(|wanted| !wanted.record.is_deleted());
        let returns = stands && self.held().is_some_and(Record::is_deleted);
        let mut compared = self.found(outcome);
        compared.finding.drift = Some(drift);
        compared.finding.since = self.since(drift);
        compared.finding.fields = fields;
        compared.repair = Some(match wanted {
            Some(Wanted { record, listed_at, .. }) if !returns => Repair::Push { record: Box::new(record), listed_at },
            _ => Repair::Read,
        });
        if returns { compared.because("the source lists again what we hold as deleted") } else { compared }
    }

    /// Why the order of the reads leaves a difference unsayable.
    fn unsayable(&self) -> Option<&'static str> {
        if self.own_missed {
            return Some("not listed: our own listing is incomplete");
        }
        let later = |read: Timestamp| read.duration_since(self.own_read_at) > self.margin;
        if [self.source.at(), self.destination.at()].into_iter().flatten().any(later) {
            return Some("what we hold was read before the sides were");
        }
        let changed = self.is_since(self.changed_at(), self.destination.at());
        changed.then_some("it changed at the source after the destination was read")
    }

    /// When the source says that it changed, if that can be.
    fn changed_at(&self) -> Option<Timestamp> {
        let Said::Shown(row) = &self.source else { return None };
        row.changed_at.filter(|at| at.duration_since(self.now) <= self.margin)
    }

    fn drift(&self, wanted: Option<&Wanted>) -> Drift {
        if self.own.as_ref().is_some_and(is_stuck) {
            return Drift::ArrivedAndFailed;
        }
        let Some((told, wanted)) = self.state().zip(wanted) else { return Drift::NeverArrived };
        let held = told.record == wanted.record;
        let this_plan = told.plan == *self.plan.version();
        if held && !this_plan {
            Drift::PlanChanged
        } else if this_plan && (held || told.fingerprint == wanted.request.fingerprint()) {
            Drift::EditedAtDestination
        } else {
            Drift::NeverArrived
        }
    }

    fn since(&self, drift: Drift) -> Option<Timestamp> {
        let synced_at = self.state().map(|state| state.synced_at);
        match drift {
            Drift::NeverArrived | Drift::ArrivedAndFailed => self.changed_at().or(synced_at),
            Drift::EditedAtDestination | Drift::PlanChanged => synced_at,
        }
    }
}

const NEITHER_LISTED: &str = "neither side can be listed";

/// Whether an event of it waits for a person.
fn is_stuck(own: &OwnRow) -> bool {
    matches!(own.waiting, Some(InboxState::Quarantined | InboxState::Failed))
}

impl Compared {
    fn new(id: String, outcome: Outcome) -> Self {
        Self { finding: Finding::new(id, outcome), repair: None }
    }

    fn because(mut self, reason: impl Into<String>) -> Self {
        self.finding.reason = Some(reason.into());
        self
    }

    /// With a reason, where it has none yet.
    fn or_because(mut self, reason: &str) -> Self {
        self.finding.reason.get_or_insert_with(|| reason.to_owned());
        self
    }
}
