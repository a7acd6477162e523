//! What a proven delivery says: which event it is, and of which record it speaks.

use crate::{
    definition::{RecordRules, SourceDefinition},
    digest::sha256_of_parts,
    document::Document,
    either::PathOr,
    field::{OneOrMany, identifier, is_blank},
    problem::{Problem, Problems, Shape},
    record::{Kind, RecordId, RecordKey},
    verify::{Headers, Verified, header_fault, read_timestamp},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;
use std::{cmp::Ordering, collections::BTreeMap, fmt};

/// The identity of an event: `source#id`, the key of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// The source, by its definition's name.
    pub source: String,
    /// The sender's id of the event, or one derived from what it says.
    pub id: String,
}

impl EventKey {
    /// The longest id that is kept as it came, in bytes. A longer one is replaced by its digest.
    const MAX_ID_BYTES: usize = 512;

    /// The key of an event whose sender gives it an id.
    fn stated(source: &str, id: &str) -> Self {
        let fits = id.len() <= Self::MAX_ID_BYTES && !id.chars().any(char::is_control);
        let id = if fits { id.to_owned() } else { sha256_of_parts([id.as_bytes()]) };
        Self { source: source.to_owned(), id }
    }

    /// The key under which a delivery is kept that repeats this event's id with other bytes.
    #[must_use]
    pub fn conflicting(&self, body_digest: &str) -> Self {
        Self { source: self.source.clone(), id: format!("{}#{body_digest}", self.id) }
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.source, self.id)
    }
}

/// What happened to a record, as far as the sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It came to be.
    Created,
    /// It changed.
    Updated,
    /// Its issuer took it back.
    Revoked,
    /// It is gone.
    Deleted,
    /// Something that changes nothing at the destination but belongs into the record's trail, such as a verification.
    Audit,
}

impl Operation {
    /// Which of two operations at one instant is the later one: revoked and deleted are final.
    fn rank(self) -> u8 {
        match self {
            Self::Audit => 0,
            Self::Created => 1,
            Self::Updated => 2,
            Self::Revoked => 3,
            Self::Deleted => 4,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Revoked => "revoked",
            Self::Deleted => "deleted",
            Self::Audit => "audit",
        })
    }
}

/// The place of a record's state in the order of its states. Only versions of one clock domain can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Whose clock or counter it is.
    pub domain: String,
    /// The counter or the time.
    pub at: Order,
    /// The operation's rank, for states of one instant.
    pub rank: u8,
    /// The body's digest, for states of one instant and rank: the order is then arbitrary, but everybody's the same.
    pub digest: String,
}

/// A counter or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The source counts a record's states.
    Revision(u64),
    /// The source says when the state came to be.
    Time(Timestamp),
}

impl Order {
    /// The clock domain of a source's counters, or of its times.
    pub(crate) fn domain(source: &str, counted: bool) -> String {
        format!("{source}/{}", if counted { "revision" } else { "time" })
    }
}

impl Version {
    /// Whether its counter or time is an earlier one of the same clock, whatever the operation.
    pub fn is_before(&self, other: &Self) -> bool {
        let comparable = std::mem::discriminant(&self.at) == std::mem::discriminant(&other.at);
        self.domain == other.domain && comparable && self.at < other.at
    }
}

impl PartialOrd for Version {
    /// `None` across clock domains.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let comparable =
            self.domain == other.domain && std::mem::discriminant(&self.at) == std::mem::discriminant(&other.at);
        comparable.then(|| (self.at, self.rank, &self.digest).cmp(&(other.at, other.rank, &other.digest)))
    }
}

/// An event that is to be synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its identity.
    pub key: EventKey,
    /// The sender's name for what happened.
    pub event_type: String,
    /// The record that it speaks of.
    pub record: RecordKey,
    /// What happened to it.
    pub operation: Operation,
    /// When, by the sender's clock.
    pub time: Timestamp,
    /// The place of the state that it carries, if it carries one; without it, the event is only a hint.
    pub version: Option<Version>,
    /// On whose behalf the sender acted, if it says.
    pub on_behalf_of: Option<String>,
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// An event to sync.
    Event(Box<Event>),
    /// A type that is not synced: either declared so, or unknown.
    Ignored {
        /// The type, as sent, cut to 64 characters.
        event_type: String,
        /// Whether the definition names it.
        known: bool,
    },
}

/// A delivery that is proven but cannot be read. It is kept under this key, with what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problems}")]
pub struct Unreadable {
    /// A key made from the bytes alone.
    pub key: EventKey,
    /// Everything that is wrong.
    pub problems: Problems,
}

/// How an event is read from a delivery, as declared under `[event]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRules {
    /// Where the sender's id of the event stands. Without it, one is derived from type, record, time and body.
    #[serde(default)]
    pub id: Option<OneOrMany<EventPlace>>,
    /// Whether the body is part of the event's identity besides that id, since nothing proves the id: else whoever could
    /// change an unsigned header could make one event pass for another.
    #[serde(default)]
    pub id_with_body: bool,
    /// Where its type stands.
    #[serde(rename = "type")]
    pub type_: OneOrMany<EventPlace>,
    /// Where the record's id stands, for types that do not say so themselves.
    #[serde(default)]
    pub record_id: Option<OneOrMany<EventPlace>>,
    /// Where its time stands.
    pub time: OneOrMany<EventPlace>,
    /// Where the record's revision stands, if the sender counts.
    #[serde(default)]
    pub revision: Option<OneOrMany<EventPlace>>,
    /// Where it stands on whose behalf the sender acted.
    #[serde(default)]
    pub on_behalf_of: Option<OneOrMany<EventPlace>>,
    /// Where it stands by which subscription of ours it was sent. Where the source's secret lists subscriptions, it must be
    /// one of them.
    #[serde(default)]
    pub subscription: Option<OneOrMany<EventPlace>>,
    /// Where the payload names its own source, and what it may say there.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// What each type means.
    pub types: BTreeMap<String, TypeRule>,
    /// Types that are known and not synced.
    #[serde(default)]
    pub acknowledged: Vec<String>,
}

/// Where a part of the event stands: a JSONPath into the body, or a header.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "PathOr<HeaderPlace>")]
pub enum EventPlace {
    /// A JSONPath (RFC 9535) that finds at most one value.
    Path(JsonPath),
    /// A header.
    Header {
        /// Its name.
        header: String,
    },
}

/// A header, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderPlace {
    header: String,
}

impl From<PathOr<HeaderPlace>> for EventPlace {
    fn from(place: PathOr<HeaderPlace>) -> Self {
        match place {
            PathOr::Path(path) => Self::Path(path),
            PathOr::Table(HeaderPlace { header }) => Self::Header { header },
        }
    }
}

/// Where a payload names its own source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The place.
    pub from: OneOrMany<EventPlace>,
    /// The words that are taken. A payload that says nothing is taken too.
    pub accept: Vec<String>,
}

/// What a type means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeRule {
    /// The kind of the record that it speaks of.
    pub kind: Kind,
    /// What happened to it.
    pub operation: Operation,
    /// Where the record's id stands in an event of this type, if it stands elsewhere than in others.
    #[serde(default)]
    pub record_id: Option<OneOrMany<EventPlace>>,
}

impl EventPlace {
    pub(crate) fn header(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::Header { header } => Some(header),
        }
    }
}

impl EventRules {
    pub(crate) fn faults(&self, records: &BTreeMap<Kind, RecordRules>) -> Vec<String> {
        let missing = self.types.iter().filter(|(_, rule)| !records.contains_key(&rule.kind));
        let mut faults: Vec<_> =
            missing.map(|(name, rule)| format!("types.{name}: there is no [records.{}]", rule.kind)).collect();
        let nowhere = self.types.iter().filter(|(_, rule)| rule.record_id.is_none() && self.record_id.is_none());
        faults.extend(nowhere.map(|(name, _)| format!("types.{name}: neither it nor the event has a `record_id`")));
        let never = |rule: &TypeRule| rule.operation == Operation::Revoked && !rule.kind.can_be_revoked();
        let revoked = self.types.iter().filter(|(_, rule)| never(rule));
        faults.extend(revoked.map(|(name, rule)| format!("types.{name}: no {} is ever revoked", rule.kind)));
        if self.id_with_body && self.id.is_none() {
            faults.push("id_with_body: only with `id`; one that is derived has the body in it".to_owned());
        }
        let both = self.acknowledged.iter().filter(|name| self.types.contains_key(*name));
        faults.extend(both.map(|name| format!("acknowledged: {name} stands among the types too")));
        for (name, places) in self.places() {
            if places.as_slice().is_empty() {
                faults.push(format!("{name}: it names no place"));
            }
            let headers = places.as_slice().iter().filter_map(EventPlace::header);
            faults.extend(headers.filter_map(header_fault).map(|fault| format!("{name}: {fault}")));
        }
        if self.origin.as_ref().is_some_and(|origin| origin.accept.is_empty()) {
            faults.push("origin: it accepts no word".to_owned());
        }
        faults
    }

    /// Everything that is looked for, by name.
    fn places(&self) -> impl Iterator<Item = (String, &OneOrMany<EventPlace>)> {
        let always = [("type", Some(&self.type_)), ("time", Some(&self.time))];
        let declared = [
            ("id", self.id.as_ref()),
            ("record_id", self.record_id.as_ref()),
            ("revision", self.revision.as_ref()),
            ("on_behalf_of", self.on_behalf_of.as_ref()),
            ("subscription", self.subscription.as_ref()),
            ("origin", self.origin.as_ref().map(|origin| &origin.from)),
        ];
        let all = always.into_iter().chain(declared).filter_map(|(name, places)| Some((name.to_owned(), places?)));
        all.chain(
            self.types
                .iter()
                .filter_map(|(name, rule)| Some((format!("types.{name}.record_id"), rule.record_id.as_ref()?))),
        )
    }
}

impl Verified<'_> {
    /// What the delivery says.
    ///
    /// # Errors
    /// [`Unreadable`], with every problem at once: not JSON, no id, no type, no time, another source's.
    pub fn read(&self) -> Result<Reading, Unreadable> {
        let unreadable = |problems| Unreadable { key: self.key_of_bytes(), problems };
        let document = Document::delivered(self).map_err(unreadable)?;
        let reader = Reader {
            source: self.source(),
            headers: self.headers(),
            body: self.body(),
            verified: Some(self),
            document: document.value(),
            problems: Vec::new(),
        };
        reader.read().map_err(unreadable)
    }

    /// Whether it is of a subscription that the secret does not list: that list may have changed.
    pub fn is_of_another_subscription(&self) -> bool {
        let unreadable = self.lists_subscriptions().then(|| self.read().err()).flatten();
        unreadable.is_some_and(|why| why.problems.0.iter().any(|problem| problem.field == "subscription"))
    }

    fn key_of_bytes(&self) -> EventKey {
        let id = sha256_of_parts([b"unreadable".as_slice(), self.body()]);
        EventKey { source: self.source().name.clone(), id }
    }
}

impl SourceDefinition {
    /// What a delivery says that was proven, put into the inbox, and could not be read then. Its headers were not kept, so
    /// an id or a type that stood in one is missing, still; by which subscription it came is not looked at.
    ///
    /// # Errors
    /// Every problem at once, as when it came.
    pub fn read_again(&self, body: &[u8]) -> Result<Reading, Problems> {
        let document = Document::from_inbox(body)?;
        let headers = Headers::default();
        let (document, problems) = (document.value(), Vec::new());
        Reader { source: self, headers: &headers, body, verified: None, document, problems }.read()
    }
}

/// What a payload would say if it were a delivery, and proven. Nothing that stores or syncs takes one: that takes a
/// [`Verified`], which none can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview(Reading);

impl Preview {
    /// What it would say.
    pub fn reading(&self) -> &Reading {
        &self.0
    }
}

impl SourceDefinition {
    /// What a payload with these headers would say. For whoever writes a definition; by which subscription it came is
    /// not looked at.
    ///
    /// # Errors
    /// Every problem at once, as of a delivery.
    pub fn preview(&self, headers: &Headers<'_>, body: &[u8]) -> Result<Preview, Problems> {
        let document = Document::preview(body)?;
        let (document, problems) = (document.value(), Vec::new());
        Reader { source: self, headers, body, verified: None, document, problems }.read().map(Preview)
    }
}

struct Reader<'a> {
    source: &'a SourceDefinition,
    headers: &'a Headers<'a>,
    body: &'a [u8],
    /// `None` for a preview.
    verified: Option<&'a Verified<'a>>,
    document: &'a Value,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Reading, Problems> {
        let source = self.source;
        let rules = &source.event;
        let event_type = self.text("type", &rules.type_);
        let rule = match event_type.as_deref().map(|name| (name, rules.types.get(name))) {
            Some((name, None)) => {
                return Ok(Reading::Ignored {
                    event_type: name.chars().filter(|c| !c.is_control()).take(64).collect(),
                    known: rules.acknowledged.iter().any(|known| known == name),
                });
            }
            Some((_, rule)) => rule,
            None => None,
        };
        self.check_origin();
        self.check_subscription();
        let record_id = rule.and_then(|rule| rule.record_id.as_ref()).or(rules.record_id.as_ref());
        let is_hint = rule.is_some_and(|rule| self.is_hint(rule));
        let record_id = record_id.and_then(|places| self.record_id(places, is_hint));
        let time = self.time();
        let stated_id = rules.id.as_ref().and_then(|places| self.text("id", places));
        let revision = rules.revision.as_ref().and_then(|places| self.revision(places));
        let (Some(event_type), Some(rule), Some(id), Some((time_text, time)), true) =
            (event_type, rule, record_id, time, self.problems.is_empty())
        else {
            return Err(Problems(self.problems));
        };
        let body = self.body;
        let key = match stated_id {
            Some(id) if rules.id_with_body => {
                EventKey { source: source.name.clone(), id: sha256_of_parts([id.as_bytes(), body]) }
            }
            Some(id) => EventKey::stated(&source.name, &id),
            // The body's own digest is part of it: two events of one type, record and second are two events.
            None => EventKey {
                source: source.name.clone(),
                id: sha256_of_parts([event_type.as_bytes(), id.as_str().as_bytes(), time_text.as_bytes(), body]),
            },
        };
        let carries_state = rule.operation != Operation::Audit && !is_hint;
        let version = carries_state.then(|| Version {
            domain: Order::domain(&source.name, revision.is_some()),
            at: revision.map_or(Order::Time(time), Order::Revision),
            rank: rule.operation.rank(),
            digest: crate::digest::sha256_hex(body),
        });
        // It only adorns the trail, so nothing about it makes an event unreadable.
        let on_behalf_of = rules.on_behalf_of.as_ref().and_then(|places| self.find("on_behalf_of", places).ok()?);
        let on_behalf_of = on_behalf_of.as_ref().and_then(identifier).map(|name| name.chars().take(256).collect());
        let record = RecordKey { kind: rule.kind, source: source.name.clone(), id };
        Ok(Reading::Event(Box::new(Event {
            key,
            event_type,
            record,
            operation: rule.operation,
            time,
            version,
            on_behalf_of,
        })))
    }

    /// The first value at one of the places. Null and blank texts are none; several values are one too many, since
    /// choosing one of them would be a guess.
    fn find(&self, field: &str, places: &OneOrMany<EventPlace>) -> Result<Option<Value>, Problem> {
        for place in places.as_slice() {
            let found = match place {
                EventPlace::Path(path) => {
                    let nodes = path.query(self.document);
                    if nodes.len() > 1 {
                        return Err(Problem::new(field, Shape::Array(nodes.len()), "a single value"));
                    }
                    nodes.first().cloned()
                }
                EventPlace::Header { header } => self.headers.only(header).map_or_else(
                    |refusal| {
                        Err(Problem { found: refusal.to_string(), ..Problem::new(field, Shape::Missing, "a text") })
                    },
                    |text| Ok(text.map(Value::from)),
                )?,
            };
            if let Some(value) = found.filter(|value| !is_blank(value)) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn text(&mut self, field: &str, places: &OneOrMany<EventPlace>) -> Option<String> {
        let text = self.find(field, places).and_then(|found| {
            let text = found.as_ref().and_then(identifier);
            text.ok_or_else(|| Problem::new(field, Shape::of(found.as_ref()), "a text or a whole number"))
        });
        self.keep(text)
    }

    /// Whether a delivery under this rule does not carry its record.
    fn is_hint(&self, rule: &TypeRule) -> bool {
        let rules = self.source.records.get(&rule.kind);
        !rules.is_some_and(|rules| rules.carried_by(self.document))
    }

    /// Of a hint, the id is all that could be made use of.
    fn record_id(&mut self, places: &OneOrMany<EventPlace>, is_hint: bool) -> Option<RecordId> {
        if is_hint && matches!(self.find("record_id", places), Ok(None)) {
            let wanted = "an id, since it carries no record: it names nothing to fetch";
            self.problems.push(Problem::new("record_id", Shape::Missing, wanted));
            return None;
        }
        let text = self.text("record_id", places)?;
        let shape = Shape::String(text.chars().count());
        let id = RecordId::try_from(text).map_err(|error| Problem::new("record_id", shape, error.to_string()));
        self.keep(id)
    }

    /// The time, with the text that it was read from.
    fn time(&mut self) -> Option<(String, Timestamp)> {
        let text = self.text("time", &self.source.event.time)?;
        let shape = Shape::String(text.chars().count());
        let time = read_timestamp(&text)
            .ok_or_else(|| Problem::new("time", shape, "RFC 3339, or epoch seconds or milliseconds"));
        self.keep(time).map(|time| (text, time))
    }

    fn revision(&mut self, places: &OneOrMany<EventPlace>) -> Option<u64> {
        let found = self.find("revision", places);
        let found = self.keep(found)??;
        let revision = found.as_u64().or_else(|| found.as_str()?.parse().ok());
        self.keep(revision.ok_or_else(|| Problem::new("revision", Shape::of(Some(&found)), "a whole number")))
    }

    fn check_origin(&mut self) {
        let Some(origin) = &self.source.event.origin else { return };
        let found = self.find("source", &origin.from);
        let Some(found) = self.keep(found).flatten() else { return };
        if !found.as_str().is_some_and(|text| origin.accept.iter().any(|word| word == text)) {
            let wanted = format!("one of {}", origin.accept.join(", "));
            self.problems.push(Problem::new("source", Shape::of(Some(&found)), wanted));
        }
    }

    /// By whose subscription it was sent is not covered by every proof, and so is a matter for a person, not for the sender.
    fn check_subscription(&mut self) {
        let Some(places) = &self.source.event.subscription else { return };
        let Some(verified) = self.verified.filter(|verified| verified.lists_subscriptions()) else { return };
        let found = self.find("subscription", places);
        let Some(found) = self.keep(found) else { return };
        if !found.as_ref().and_then(identifier).is_some_and(|id| verified.allows_subscription(&id)) {
            let wanted = "one of the subscriptions that the secret lists";
            self.problems.push(Problem::new("subscription", Shape::of(found.as_ref()), wanted));
        }
    }

    fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }
}
