//! A plan: how records of one source become requests to one destination, and the version that names it.

use crate::{
    definition::{Content, RecordRules, SourceDefinition},
    destination::{DestinationDefinition, Request},
    digest::{canonical_json, sha256_hex},
    document::Document,
    problem::{Problem, Problems, Shape},
    record::{self, Record, RecordKey},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
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
        let to = (&destination.name, &destination.requests, &destination.tables);
        let decides = canonical_json(&(&source.records, &source.tables, to));
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

    /// When a fetched record says that it last changed, if the source says so at all.
    pub fn fetched_version(&self, key: &RecordKey, document: &Document) -> Option<Timestamp> {
        let path = self.source.records.get(&key.kind)?.fetched_version.as_ref()?;
        path.query(document.value()).at_most_one().ok()??.as_str()?.parse().ok()
    }

    /// The request that tells the destination of a record.
    ///
    /// # Errors
    /// Every field that the destination requires and the record cannot give.
    pub fn request(&self, record: &Record) -> Result<Request, Problems> {
        self.destination.request(record)
    }

    /// Whether a canonical field tells something of a person: by its own nature, which no definition can talk away, or
    /// because the source's definition says so. Of a field that nobody knows, it is assumed.
    pub fn is_personal(&self, key: &RecordKey, field: &str) -> bool {
        key.kind.field(field).is_none_or(|canonical| canonical.personal)
            || self.source.records.get(&key.kind).is_none_or(|rules| rules.fields.is_personal(field))
    }

    fn rules(&self, key: &RecordKey) -> Result<&RecordRules, Problems> {
        let wanted = || format!("a kind that {} is declared to have", self.source.name);
        self.source.records.get(&key.kind).ok_or_else(|| Problems::one(Problem::new("kind", Shape::Missing, wanted())))
    }
}
