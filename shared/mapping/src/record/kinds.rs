//! The fields of each kind.

use super::{CanonicalField, Holds};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

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
    pub(super) const FIELDS: &[CanonicalField] = &[
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

/// Whether a record that has no states of its own is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is.
    Active,
    /// The source no longer has it.
    Deleted,
}

const PRESENCE: Holds = Holds::OneOf(&["active", "deleted"]);

/// A location as every source is mapped to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Its id at the source.
    pub location_id: String,
    /// What it is called.
    pub name: String,
    /// Whether it is there.
    pub status: Presence,
    /// Street and number. Personal: a job's location is somebody's home.
    #[serde(default)]
    pub address: Option<String>,
    /// The town. Personal, as the address is.
    #[serde(default)]
    pub city: Option<String>,
    /// The state or region.
    #[serde(default)]
    pub region: Option<String>,
    /// The postal code. Personal, as the address is.
    #[serde(default)]
    pub postal_code: Option<String>,
    /// The country, by its two letters (ISO 3166-1).
    #[serde(default)]
    pub country: Option<String>,
}

impl Location {
    pub(super) const FIELDS: &[CanonicalField] = &[
        CanonicalField::required("location_id", Holds::Text),
        CanonicalField::required("name", Holds::Text),
        CanonicalField::required("status", PRESENCE),
        CanonicalField::optional("address", Holds::Text).personal(),
        CanonicalField::optional("city", Holds::Text).personal(),
        CanonicalField::optional("region", Holds::Text),
        CanonicalField::optional("postal_code", Holds::Text).personal(),
        CanonicalField::optional("country", Holds::Country),
    ];
}

/// A customer as every source is mapped to. Everything that tells who it is, is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Its id at the source.
    pub customer_id: String,
    /// Whether it is there.
    pub status: Presence,
    /// The e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// The first name.
    #[serde(default)]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(default)]
    pub last_name: Option<String>,
    /// The telephone number.
    #[serde(default)]
    pub phone: Option<String>,
    /// The company.
    #[serde(default)]
    pub company: Option<String>,
    /// The destination's location that it belongs to, if it is known.
    #[serde(default)]
    pub location_id: Option<String>,
}

impl Customer {
    pub(super) const FIELDS: &[CanonicalField] = &[
        CanonicalField::required("customer_id", Holds::Text),
        CanonicalField::required("status", PRESENCE),
        CanonicalField::optional("email", Holds::Text).personal(),
        CanonicalField::optional("first_name", Holds::Text).personal(),
        CanonicalField::optional("last_name", Holds::Text).personal(),
        CanonicalField::optional("phone", Holds::Text).personal(),
        CanonicalField::optional("company", Holds::Text).personal(),
        CanonicalField::optional("location_id", Holds::Text),
    ];
}

/// The state of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// It was not sent yet.
    Draft,
    /// It was sent, and waits for payment.
    Sent,
    /// A part of it was paid.
    PartiallyPaid,
    /// It was paid.
    Paid,
    /// It waits for payment, and its term is over.
    Overdue,
    /// It was taken back.
    Void,
    /// The source no longer has it.
    Deleted,
}

/// An invoice as every source is mapped to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoice {
    /// Its id at the source.
    pub invoice_id: String,
    /// What it comes to, in the currency's main unit, as a decimal text.
    pub total: String,
    /// The currency, by its code (ISO 4217).
    pub currency: String,
    /// Its state.
    pub status: InvoiceStatus,
    /// The number that stands on it.
    #[serde(default)]
    pub number: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub title: Option<String>,
    /// Whom it is for: the customer's id at the source.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// Their e-mail address. Personal.
    #[serde(default)]
    pub customer_email: Option<String>,
    /// Their name. Personal.
    #[serde(default)]
    pub customer_name: Option<String>,
    /// The day it was made out.
    #[serde(default)]
    pub issue_date: Option<Date>,
    /// The day by which it is to be paid.
    #[serde(default)]
    pub due_date: Option<Date>,
    /// The destination's location that it belongs to, if it is known.
    #[serde(default)]
    pub location_id: Option<String>,
}

impl Invoice {
    pub(super) const FIELDS: &[CanonicalField] = &[
        CanonicalField::required("invoice_id", Holds::Text),
        CanonicalField::required("total", Holds::Decimal),
        CanonicalField::required("currency", Holds::Currency),
        CanonicalField::required(
            "status",
            Holds::OneOf(&["draft", "sent", "partially_paid", "paid", "overdue", "void", "deleted"]),
        ),
        CanonicalField::optional("number", Holds::Text),
        CanonicalField::optional("title", Holds::Text),
        CanonicalField::optional("customer_id", Holds::Text),
        CanonicalField::optional("customer_email", Holds::Text).personal(),
        CanonicalField::optional("customer_name", Holds::Text).personal(),
        CanonicalField::optional("issue_date", Holds::Date),
        CanonicalField::optional("due_date", Holds::Date),
        CanonicalField::optional("location_id", Holds::Text),
    ];
}
