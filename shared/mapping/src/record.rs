//! Canonical records: what every source is mapped to, and every destination from.

use crate::{
    event::Operation,
    field::{FieldType, identifier, is_blank},
    problem::{Problem, Problems, Shape},
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A certificate, credential or badge of one person.
    Certificate,
}

impl Kind {
    /// The canonical fields of the kind: what a definition may map to, and what it must.
    pub fn fields(self) -> &'static [CanonicalField] {
        match self {
            Self::Certificate => Certificate::FIELDS,
        }
    }

    /// The canonical field of this name.
    pub fn field(self, name: &str) -> Option<&'static CanonicalField> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// The canonical field that repeats the record's own id.
    pub fn id_field(self) -> &'static str {
        match self {
            Self::Certificate => "certificate_id",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
        })
    }
}

impl FromStr for Kind {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "certificate" => Ok(Self::Certificate),
            _ => Err(InvalidId("a kind is one of: certificate")),
        }
    }
}

/// A field of a canonical record, for checking a definition when it is loaded rather than when a payload comes.
#[derive(Debug, Clone, Copy)]
pub struct CanonicalField {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub holds: Holds,
    /// Whether a record cannot be without it.
    pub required: bool,
    /// Whether it tells something of a person, whatever a definition says.
    pub personal: bool,
}

impl CanonicalField {
    const fn required(name: &'static str, holds: Holds) -> Self {
        Self { name, holds, required: true, personal: false }
    }

    const fn optional(name: &'static str, holds: Holds) -> Self {
        Self { name, holds, required: false, personal: false }
    }

    const fn personal(self) -> Self {
        Self { personal: true, ..self }
    }
}

/// What a canonical field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Any text.
    Text,
    /// A calendar day.
    Date,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Holds {
    /// The value as a canonical record holds it, or what was wanted.
    fn read(self, value: &Value) -> Result<Value, String> {
        match self {
            Self::Text => identifier(value).map(Value::from).ok_or_else(|| "a text".to_owned()),
            Self::Date => FieldType::Date.read(value, &BTreeMap::new()),
            Self::OneOf(words) => {
                let word = value.as_str().filter(|word| words.contains(word));
                word.map(Value::from).ok_or_else(|| format!("one of {}", words.join(", ")))
            }
        }
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);

/// The id of a record at its source, fit to stand in a URL's path and in a table's key.
///
/// 1 to 256 bytes, no white space or control characters, none of `/ \ ? # %`, and neither `.` nor `..`, which a URL
/// parser would resolve away even when they are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordId(String);

impl RecordId {
    /// The longest id, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RecordId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId("an id is not empty"));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidId("an id has at most 256 bytes"));
        }
        if text == "." || text == ".." {
            return Err(InvalidId("an id is not a dot segment"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || "/\\?#%".contains(c)) {
            return Err(InvalidId("an id holds no white space, no control character and none of / \\ ? # %"));
        }
        Ok(Self(text))
    }
}

impl FromStr for RecordId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::try_from(text.to_owned())
    }
}

impl From<RecordId> for String {
    fn from(id: RecordId) -> Self {
        id.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's identity: `kind#source#id`, the key of the records and the audit tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// What it is.
    pub kind: Kind,
    /// The source it was born at, by its definition's name.
    pub source: String,
    /// Its id there.
    pub id: RecordId,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.kind, self.source, self.id)
    }
}

impl FromStr for RecordKey {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.splitn(3, '#');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(source), Some(id)) if !source.is_empty() => {
                Ok(Self { kind: kind.parse()?, source: source.to_owned(), id: id.parse()? })
            }
            _ => Err(InvalidId("a record's key is kind#source#id")),
        }
    }
}

/// The state of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateStatus {
    /// It stands.
    Issued,
    /// Its term is over.
    Expired,
    /// Its issuer took it back.
    Revoked,
    /// The source no longer has it.
    Deleted,
}

/// A certificate as every source is mapped to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Its id at the source.
    pub certificate_id: String,
    /// The recipient's id at the source, or their e-mail address. Personal.
    pub user_id: String,
    /// The day it was issued.
    pub issue_date: Date,
    /// The destination's location that it belongs to.
    pub location_id: String,
    /// Its state.
    pub status: CertificateStatus,
    /// The last day of its term, if it has one.
    #[serde(default)]
    pub expiry_date: Option<Date>,
    /// What it certifies.
    #[serde(default)]
    pub title: Option<String>,
    /// The group, course or programme that it was issued in.
    #[serde(default)]
    pub group_name: Option<String>,
    /// Whom it was issued to. Personal.
    #[serde(default)]
    pub recipient_name: Option<String>,
    /// Their e-mail address. Personal.
    #[serde(default)]
    pub recipient_email: Option<String>,
    /// The page that shows it.
    #[serde(default)]
    pub url: Option<String>,
}

impl Certificate {
    const FIELDS: &[CanonicalField] = &[
        CanonicalField::required("certificate_id", Holds::Text),
        CanonicalField::required("user_id", Holds::Text).personal(),
        CanonicalField::required("issue_date", Holds::Date),
        CanonicalField::required("location_id", Holds::Text),
        CanonicalField::required("status", Holds::OneOf(&["issued", "expired", "revoked", "deleted"])),
        CanonicalField::optional("expiry_date", Holds::Date),
        CanonicalField::optional("title", Holds::Text),
        CanonicalField::optional("group_name", Holds::Text),
        CanonicalField::optional("recipient_name", Holds::Text).personal(),
        CanonicalField::optional("recipient_email", Holds::Text).personal(),
        CanonicalField::optional("url", Holds::Text),
    ];
}

/// A canonical record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "fields", rename_all = "lowercase")]
pub enum Record {
    /// A certificate.
    Certificate(Certificate),
}

impl Record {
    /// A record of `kind` from its canonical fields. The error names the first field that does not fit.
    pub fn from_fields(kind: Kind, fields: Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Certificate => Self::Certificate(serde_json::from_value(fields)?),
        })
    }

    /// The canonical fields as JSON, which is what destinations map from.
    pub fn to_fields(&self) -> Value {
        #[expect(clippy::expect_used, reason = "a struct of strings, dates and unit variants always serialises")]
        match self {
            Self::Certificate(certificate) => serde_json::to_value(certificate).expect("plain data serialises"),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Certificate(_) => Kind::Certificate,
        }
    }

    /// The id that the record itself states.
    pub fn id(&self) -> &str {
        match self {
            Self::Certificate(certificate) => &certificate.certificate_id,
        }
    }

    /// The destination's location that it belongs to, if its kind has one.
    pub fn location_id(&self) -> Option<&str> {
        match self {
            Self::Certificate(certificate) => Some(&certificate.location_id),
        }
    }

    /// The record as it stands after an operation: revoked and deleted are final, and no payload need say so.
    #[must_use]
    pub fn after(mut self, operation: Operation) -> Self {
        match (&mut self, operation) {
            (Self::Certificate(certificate), Operation::Deleted) => certificate.status = CertificateStatus::Deleted,
            (Self::Certificate(certificate), Operation::Revoked) => certificate.status = CertificateStatus::Revoked,
            (_, Operation::Created | Operation::Updated | Operation::Audit) => {}
        }
        self
    }

    /// Whether this is the tombstone of a record.
    pub fn is_deleted(&self) -> bool {
        match self {
            Self::Certificate(certificate) => certificate.status == CertificateStatus::Deleted,
        }
    }
}

/// A record from canonical fields that a caller gives. The id may be left out, and so may the status of one that
/// stands. Null and blank texts are left out too, as they are in a source's document.
pub(crate) fn given(key: &RecordKey, document: &Value) -> Result<Record, Problems> {
    let Some(members) = document.as_object() else {
        return Err(Problems::one(Problem::new("body", Shape::of(Some(document)), "an object")));
    };
    let unknown = members.iter().filter(|(name, _)| key.kind.field(name).is_none());
    let mut problems: Vec<_> = unknown
        .map(|(name, value)| {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            Problem::new(name, Shape::of(Some(value)), "a field that a record of this kind has")
        })
        .collect();
    let mut fields = Map::new();
    for field in key.kind.fields() {
        let stated = members.get(field.name);
        let implied = || match field.name {
            name if name == key.kind.id_field() => Some(Value::from(key.id.as_str())),
            "status" => Some(Value::from("issued")),
            _ => None,
        };
        let value = match stated.filter(|value| !is_blank(value)).cloned().or_else(implied) {
            Some(value) => field.holds.read(&value),
            None if field.required => Err("a value".to_owned()),
            None => continue,
        };
        match value {
            Ok(value) => drop(fields.insert(field.name.to_owned(), value)),
            Err(wanted) => problems.push(Problem::new(field.name, Shape::of(stated), wanted)),
        }
    }
    if problems.is_empty() { checked(key, Value::Object(fields)) } else { Err(Problems(problems)) }
}

/// A record from canonical fields, if it is the one that `key` names.
pub(crate) fn checked(key: &RecordKey, fields: Value) -> Result<Record, Problems> {
    // The fields were checked against the canonical ones before, so this does not fail; and its error would repeat a
    // value, so it is not passed on.
    let shape = Shape::of(Some(&fields));
    let record = Record::from_fields(key.kind, fields)
        .map_err(|_| Problems::one(Problem::new(key.kind.to_string(), shape, "the canonical fields of its kind")))?;
    if record.id() != key.id.as_str() {
        let found = Shape::String(record.id().chars().count());
        return Err(Problems::one(Problem::new(key.kind.id_field(), found, "the id of the record that was asked for")));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_a_path_or_a_key_cannot_hold_are_refused() {
        let long = "x".repeat(257);
        for bad in ["", ".", "..", "a/b", "a\\b", "a b", "a\nb", "a\u{7f}", "a?b", "a#b", "a%2Fb", &long] {
            assert!(bad.parse::<RecordId>().is_err(), "{bad:?}");
        }
        for good in ["1", "a.b", "...", "x@y.z", "C-1_2~3", "é", &"x".repeat(256)] {
            assert!(good.parse::<RecordId>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn keys_survive_their_text() {
        let key = RecordKey { kind: Kind::Certificate, source: "accredible".into(), id: "10".parse().unwrap() };
        assert_eq!(key.to_string(), "certificate#accredible#10");
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("certificate##10".parse::<RecordKey>().is_err());
        assert!("planet#accredible#10".parse::<RecordKey>().is_err());
    }

    #[test]
    fn the_declared_fields_are_the_structs_own() {
        let certificate = Certificate {
            certificate_id: "1".into(),
            user_id: "2".into(),
            issue_date: "2026-01-31".parse().unwrap(),
            location_id: "l".into(),
            status: CertificateStatus::Issued,
            expiry_date: None,
            title: None,
            group_name: None,
            recipient_name: None,
            recipient_email: None,
            url: None,
        };
        let record = Record::Certificate(certificate);
        let fields = record.to_fields();
        let mut names: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
        let mut declared: Vec<_> = Kind::Certificate.fields().iter().map(|field| field.name).collect();
        names.sort();
        declared.sort_unstable();
        assert_eq!(names, declared);
        assert_eq!(Record::from_fields(Kind::Certificate, fields).unwrap(), record);
    }
}
