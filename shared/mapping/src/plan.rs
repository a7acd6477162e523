//! A plan: how records of one source become requests to one destination, and the version that names it.

use crate::{
    definition::{Content, RecordRules, SourceDefinition},
    destination::{DestinationDefinition, Request},
    digest::{canonical_json, sha256_hex},
    document::Document,
    event::{Order, Version},
    field::{Field, Place, is_blank, only, record_id},
    problem::{Problem, Problems, Shape},
    record::{self, Kind, Record, RecordId, RecordKey},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt, sync::Arc};

/// The first sixteen hex digits of the SHA-256 of everything that decides how a payload is mapped. Every audit row
/// names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanVersion(String);

impl PlanVersion {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PlanVersion {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record as its source lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRecord {
    /// Its id.
    pub id: RecordId,
    /// When it last changed, by the source's clock, if the listing says so.
    pub changed_at: Option<Timestamp>,
    /// The canonical fields that the listing has, its id among them; or every problem at once.
    pub fields: Result<Map<String, Value>, Problems>,
}

/// A field of the destination that does not hold what it was, or would be, told.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its name at the destination.
    pub field: String,
    /// Whether it tells something of a person, so that its values are not to be shown.
    pub personal: bool,
    /// What it should hold.
    pub expected: Value,
    /// What it holds.
    pub found: Value,
}

/// How records of one source become requests to one destination.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Arc<SourceDefinition>,
    destination: Arc<DestinationDefinition>,
    version: PlanVersion,
}

impl Plan {
    /// The plan from a source to a destination.
    pub fn new(source: Arc<SourceDefinition>, destination: Arc<DestinationDefinition>) -> Self {
        let (from, to) =
            ((&source.records, &source.tables), (&destination.name, &destination.requests, &destination.tables));
        let decides = match &destination.highlevel {
            None => canonical_json(&(from.0, from.1, to)),
            Some(rules) => canonical_json(&(from.0, from.1, to, rules)),
        };
        let version = PlanVersion(sha256_hex(decides.as_bytes())[..16].to_owned());
        Self { source, destination, version }
    }

    /// Its version.
    pub fn version(&self) -> &PlanVersion {
        &self.version
    }

    /// The source that it reads.
    pub fn source(&self) -> &SourceDefinition {
        &self.source
    }

    /// The destination that it writes.
    pub fn destination(&self) -> &DestinationDefinition {
        &self.destination
    }

    /// Whether deliveries carry the records of this key's kind, or are only hints.
    pub fn content(&self, key: &RecordKey) -> Option<Content> {
        self.source.records.get(&key.kind).map(|rules| rules.content)
    }

    /// The canonical record in a source's document. `previous` is what we hold now, for fields that keep it.
    ///
    /// # Errors
    /// Every problem at once; among them a document of another record than the one named by `key`.
    pub fn canonical(
        &self,
        key: &RecordKey,
        document: &Document,
        previous: Option<&Record>,
    ) -> Result<Record, Problems> {
        let rules = self.rules(key)?;
        let previous = previous.map(Record::to_fields);
        let fields = rules.fields.map(document.value(), previous.as_ref(), &self.source.tables)?;
        record::checked(key, serde_json::Value::Object(fields))
    }

    /// The canonical record that a caller gives in canonical fields. Its id and status may be left out.
    ///
    /// # Errors
    /// Every problem that a canonical record has: unknown, missing and ill-typed fields.
    pub fn given(&self, key: &RecordKey, document: &Document) -> Result<Record, Problems> {
        record::given(key, document.value())
    }

    /// The canonical record that a source's listing shows: the canonical fields that it has, over those that we hold
    /// in `previous`, unless that is a tombstone. A field that neither has is as if a document had none; the id need not
    /// be there.
    ///
    /// # Errors
    /// Every problem at once, as of a document.
    pub fn complete(
        &self,
        key: &RecordKey,
        listed: &Map<String, Value>,
        previous: Option<&Record>,
    ) -> Result<Record, Problems> {
        let rules = self.rules(key)?;
        // What a tombstone held is nothing to keep for a record that is there again.
        let held = previous.filter(|record| !record.is_deleted()).map(Record::to_fields);
        let mut listed = listed.clone();
        listed.entry(key.kind.id_field()).or_insert_with(|| key.id.as_str().into());
        let (fields, mut problems) = rules.fields.completed(&listed, held.as_ref(), &self.source.tables);
        match record::given(key, &Value::Object(fields)) {
            Ok(record) if problems.is_empty() => Ok(record),
            given => {
                let further = given.err().into_iter().flat_map(|problems| problems.0);
                let further: Vec<_> =
                    further.filter(|new| problems.iter().all(|known| known.field != new.field)).collect();
                problems.extend(further);
                Err(Problems(problems))
            }
        }
    }

    /// When a fetched record says that it last changed, if the source says so at all.
    pub fn fetched_version(&self, key: &RecordKey, document: &Document) -> Option<Timestamp> {
        let path = self.source.records.get(&key.kind)?.fetched_version.as_ref()?;
        path.query(document.value()).at_most_one().ok()??.as_str()?.parse().ok()
    }

    /// The place of a fetched state among those that deliveries carry, where a record comes by either way: else a delivery
    /// that was late would go over what was fetched since.
    pub fn version_of_fetched(&self, key: &RecordKey, document: &Document) -> Option<Version> {
        let rules = self.source.records.get(&key.kind).filter(|rules| rules.content == Content::Either)?;
        let counted = rules.fetched_revision.as_ref().and_then(|path| only(path, document.value()));
        let revision = counted.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        let at = match revision {
            Some(revision) => Order::Revision(revision),
            None => Order::Time(self.fetched_version(key, document)?),
        };
        let digest = sha256_hex(canonical_json(document.value()).as_bytes());
        Some(Version { domain: Order::domain(&self.source.name, revision.is_some()), at, rank: 0, digest })
    }

    /// What an item of the source's listing says of a record. `None` where no rule says how to read one, and for an item
    /// without an id that a record of ours can have.
    pub fn listed(&self, kind: Kind, item: &Value) -> Option<ListedRecord> {
        let rules = self.source.records.get(&kind)?;
        let listed = rules.listed.as_ref()?;
        let id = record_id(&listed.id, item)?;
        let changed_at = listed.changed_at.as_ref().and_then(|path| only(path, item)?.as_str()?.parse().ok());
        let fields = rules.fields.map_at(&listed.fields, item, &self.source.tables).map(|mut fields| {
            fields.insert(kind.id_field().to_owned(), id.as_str().into());
            fields
        });
        Some(ListedRecord { id, changed_at, fields })
    }

    /// The request that tells the destination of a record.
    ///
    /// # Errors
    /// Every field that the destination requires and the record cannot give.
    pub fn request(&self, record: &Record) -> Result<Request, Problems> {
        self.destination.request(record)
    }

    /// Where what the destination shows of a record differs from what a request would tell it. Both are read as the
    /// request's definition types them, so a time of a day is that day, a number is the same id as its text, and null is
    /// nothing. Fields that the request does not name are not looked at.
    pub fn differences(&self, kind: Kind, request: &Request, found: &Map<String, Value>) -> Vec<Difference> {
        let fields = self.destination.requests.get(&kind).map(|template| &template.fields);
        let told = request.body.as_object().into_iter().flatten();
        told.filter_map(|(name, expected)| {
            let field = fields.and_then(|fields| fields.get(name));
            let read = |value: Option<&Value>| match (value.filter(|value| !is_blank(value)), field) {
                (Some(value), Some(field)) => field.as_written(value),
                (value, _) => value.cloned().unwrap_or_default(),
            };
            let (expected, found) = (read(Some(expected)), read(found.get(name)));
            let differs = expected != found && canonical_json(&expected) != canonical_json(&found);
            differs.then(|| Difference {
                field: name.clone(),
                personal: field.is_none_or(|field| self.tells_of_a_person(kind, field)),
                expected,
                found,
            })
        })
        .collect()
    }

    /// Whether a field of the destination tells something of a person: because its definition says so, or because a
    /// canonical field that it is made of does. Of one whose origin is not plain, it is assumed.
    fn tells_of_a_person(&self, kind: Kind, field: &Field) -> bool {
        let personal = |place: &Place| {
            place.members().is_none_or(|names| names.iter().any(|name| self.is_personal_field(kind, name)))
        };
        field.personal || field.from.as_slice().iter().any(personal)
    }

    /// Whether a canonical field tells something of a person: by its own nature, which no definition can talk away, or
    /// because the source's definition says so. Of a field that nobody knows, it is assumed.
    pub fn is_personal(&self, key: &RecordKey, field: &str) -> bool {
        self.is_personal_field(key.kind, field)
    }

    /// The same of a field of a kind.
    pub fn is_personal_field(&self, kind: Kind, field: &str) -> bool {
        kind.field(field).is_none_or(|canonical| canonical.personal)
            || self.source.records.get(&kind).is_none_or(|rules| rules.fields.is_personal(field))
    }

    fn rules(&self, key: &RecordKey) -> Result<&RecordRules, Problems> {
        let wanted = || format!("a kind that {} is declared to have", self.source.name);
        self.source.records.get(&key.kind).ok_or_else(|| Problems::one(Problem::new("kind", Shape::Missing, wanted())))
    }
}
