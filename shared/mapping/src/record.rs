//! Canonical records: what every source is mapped to, and every destination from.

use crate::{
    event::Operation,
    field::{FieldType, identifier, is_blank},
    problem::{Problem, Problems, Shape},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, str::FromStr};

mod kinds;

pub use kinds::{Certificate, CertificateStatus, Customer, Invoice, InvoiceStatus, Location, Presence};

/// The kinds of records. Where none is named, certificates are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A certificate, credential or badge of one person.
    #[default]
    Certificate,
    /// A place of business, or of work.
    Location,
    /// A person or company that is dealt with.
    Customer,
    /// A bill.
    Invoice,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Certificate, Self::Location, Self::Customer, Self::Invoice];

    /// Its name, as it stands in keys and definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Location => "location",
            Self::Customer => "customer",
            Self::Invoice => "invoice",
        }
    }

    /// The canonical fields of the kind: what a definition may map to, and what it must.
    pub fn fields(self) -> &'static [CanonicalField] {
        match self {
            Self::Certificate => Certificate::FIELDS,
            Self::Location => Location::FIELDS,
            Self::Customer => Customer::FIELDS,
            Self::Invoice => Invoice::FIELDS,
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
            Self::Location => "location_id",
            Self::Customer => "customer_id",
            Self::Invoice => "invoice_id",
        }
    }

    /// The status of a record of which nothing is said. An invoice's is never a matter of course.
    fn implied_status(self) -> Option<&'static str> {
        match self {
            Self::Certificate => Some("issued"),
            Self::Location | Self::Customer => Some("active"),
            Self::Invoice => None,
        }
    }

    /// Whether a record of the kind can be taken back by whoever made it.
    pub(crate) fn can_be_revoked(self) -> bool {
        matches!(self, Self::Certificate | Self::Invoice)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let named = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        named.ok_or(InvalidId("a kind is one of: certificate, location, customer, invoice"))
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
    /// An amount of money, as a decimal text.
    Decimal,
    /// A currency's code (ISO 4217).
    Currency,
    /// A country's code of two letters (ISO 3166-1).
    Country,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Holds {
    /// The value as a canonical record holds it, or what was wanted.
    fn read(self, value: &Value) -> Result<Value, String> {
        match self {
            Self::Text => identifier(value).map(Value::from).ok_or_else(|| "a text".to_owned()),
            Self::Date => FieldType::Date.read(value, &BTreeMap::new()),
            Self::Decimal => FieldType::Decimal.read(value, &BTreeMap::new()),
            Self::Currency => FieldType::Currency.read(value, &BTreeMap::new()),
            Self::Country => FieldType::Country.read(value, &BTreeMap::new()),
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

/// A canonical record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "fields", rename_all = "lowercase")]
pub enum Record {
    /// A certificate.
    Certificate(Certificate),
    /// A location.
    Location(Location),
    /// A customer.
    Customer(Customer),
    /// An invoice.
    Invoice(Invoice),
}

impl Record {
    /// A record of `kind` from its canonical fields. The error names the first field that does not fit.
    pub fn from_fields(kind: Kind, fields: Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Certificate => Self::Certificate(serde_json::from_value(fields)?),
            Kind::Location => Self::Location(serde_json::from_value(fields)?),
            Kind::Customer => Self::Customer(serde_json::from_value(fields)?),
            Kind::Invoice => Self::Invoice(serde_json::from_value(fields)?),
        })
    }

    /// The canonical fields as JSON, which is what destinations map from.
    pub fn to_fields(&self) -> Value {
        let fields = match self {
            Self::Certificate(certificate) => serde_json::to_value(certificate),
            Self::Location(location) => serde_json::to_value(location),
            Self::Customer(customer) => serde_json::to_value(customer),
            Self::Invoice(invoice) => serde_json::to_value(invoice),
        };
        #[expect(clippy::expect_used, reason = "a struct of strings, dates and unit variants always serialises")]
        fields.expect("plain data serialises")
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Certificate(_) => Kind::Certificate,
            Self::Location(_) => Kind::Location,
            Self::Customer(_) => Kind::Customer,
            Self::Invoice(_) => Kind::Invoice,
        }
    }

    /// The id that the record itself states.
    pub fn id(&self) -> &str {
        match self {
            Self::Certificate(certificate) => &certificate.certificate_id,
            Self::Location(location) => &location.location_id,
            Self::Customer(customer) => &customer.customer_id,
            Self::Invoice(invoice) => &invoice.invoice_id,
        }
    }

    /// The destination's location that it belongs to, if it says so. A location is one itself.
    pub fn location_id(&self) -> Option<&str> {
        match self {
            Self::Certificate(certificate) => Some(&certificate.location_id),
            Self::Customer(customer) => customer.location_id.as_deref(),
            Self::Invoice(invoice) => invoice.location_id.as_deref(),
            Self::Location(_) => None,
        }
    }

    /// Its state in a word, as it stands in its field `status`.
    pub fn status(&self) -> Option<String> {
        self.to_fields().get("status").and_then(Value::as_str).map(str::to_owned)
    }

    /// The record as it stands after an operation: revoked and deleted are final, and no payload need say so.
    #[must_use]
    pub fn after(mut self, operation: Operation) -> Self {
        match (&mut self, operation) {
            (Self::Certificate(certificate), Operation::Deleted) => certificate.status = CertificateStatus::Deleted,
            (Self::Certificate(certificate), Operation::Revoked) => certificate.status = CertificateStatus::Revoked,
            (Self::Location(location), Operation::Deleted) => location.status = Presence::Deleted,
            (Self::Customer(customer), Operation::Deleted) => customer.status = Presence::Deleted,
            (Self::Invoice(invoice), Operation::Deleted) => invoice.status = InvoiceStatus::Deleted,
            (Self::Invoice(invoice), Operation::Revoked) => invoice.status = InvoiceStatus::Void,
            // No definition says of a location or a customer that it was revoked.
            (_, Operation::Created | Operation::Updated | Operation::Revoked | Operation::Audit) => {}
        }
        self
    }

    /// Whether this is the tombstone of a record.
    pub fn is_deleted(&self) -> bool {
        match self {
            Self::Certificate(certificate) => certificate.status == CertificateStatus::Deleted,
            Self::Location(location) => location.status == Presence::Deleted,
            Self::Customer(customer) => customer.status == Presence::Deleted,
            Self::Invoice(invoice) => invoice.status == InvoiceStatus::Deleted,
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
            "status" => key.kind.implied_status().map(Value::from),
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
    use serde_json::json;

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
        for (kind, fields) in [
            (
                Kind::Certificate,
                json!({"certificate_id": "1", "user_id": "2", "issue_date": "2026-01-31", "location_id": "l", "status": "issued"}),
            ),
            (Kind::Location, json!({"location_id": "1", "name": "n", "status": "active"})),
            (Kind::Customer, json!({"customer_id": "1", "status": "active"})),
            (Kind::Invoice, json!({"invoice_id": "1", "total": "1.00", "currency": "USD", "status": "paid"})),
        ] {
            let required: Vec<_> =
                kind.fields().iter().filter(|field| field.required).map(|field| field.name).collect();
            assert_eq!(fields.as_object().unwrap().len(), required.len(), "{kind}: {required:?}");
            let record = Record::from_fields(kind, fields).unwrap();
            assert_eq!((record.kind(), record.id(), record.is_deleted()), (kind, "1", false));
            assert!(record.clone().after(Operation::Deleted).is_deleted(), "{kind}");
            let shown = record.to_fields();
            let mut names: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
            let mut declared: Vec<_> = kind.fields().iter().map(|field| field.name).collect();
            names.sort();
            declared.sort_unstable();
            assert_eq!(names, declared);
            assert_eq!(Record::from_fields(kind, shown).unwrap(), record);
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }

    #[test]
    fn what_is_taken_back_says_so() {
        let invoice = json!({"invoice_id": "1", "total": "1.00", "currency": "USD", "status": "sent"});
        let invoice = Record::from_fields(Kind::Invoice, invoice).unwrap().after(Operation::Revoked);
        assert_eq!(invoice.to_fields()["status"], "void");
    }
}
