//! What HighLevel's API wants to know beside the fields of a request: which objects records are, in which version each
//! group of endpoints is spoken to, and what an invoice needs that no record has.
//!
//! Where a kind goes is said by its request's path. Fields that are used for more than their value keep their canonical
//! names: a record's id, `location_id`, `status`, the recipient's name and e-mail address, and all of an invoice's.

use crate::{
    destination::{DestinationDefinition, RequestTemplate},
    record::Kind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where contacts go.
pub const CONTACTS_PATH: &str = "/contacts/upsert";
/// Where invoices go.
pub const INVOICES_PATH: &str = "/invoices/";
/// What the key of a custom object begins with.
const CUSTOM: &str = "custom_objects.";

/// The rules of the destination HighLevel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HighLevelRules {
    /// The page on which a person lets us in.
    // Neither this nor the scopes and versions change anything of a record.
    #[serde(skip_serializing)]
    pub authorize_url: String,
    /// What we ask to be allowed.
    #[serde(skip_serializing)]
    pub scopes: Vec<String>,
    /// The `Version` header of each group of endpoints.
    #[serde(skip_serializing)]
    pub versions: Versions,
    /// The custom objects that records of a kind are. Invoices that cannot be real ones are records, too.
    pub records: BTreeMap<Kind, ObjectRules>,
    /// What an invoice needs that no record has.
    #[serde(default)]
    pub invoice: InvoiceRules,
}

/// The `Version` header of each group of endpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// `/oauth/locationToken`
    pub oauth: String,
    /// `/locations/..`
    pub locations: String,
    /// `/contacts/..`
    pub contacts: String,
    /// `/objects/..`
    pub objects: String,
    /// `/custom-fields/..`
    pub custom_fields: String,
    /// `/associations/..`
    pub associations: String,
    /// `/invoices/..`
    pub invoices: String,
}

/// A custom object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRules {
    /// Its key: `custom_objects.{name}`.
    pub object: String,
    /// What one is called, and several are, where it has to be made.
    #[serde(skip_serializing)]
    pub labels: [String; 2],
    /// The association with the contact whom a record is for: then the recipient is made a contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association: Option<AssociationRules>,
}

/// An association of an object with contacts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssociationRules {
    /// Its key.
    pub key: String,
    /// What the object is to the contact, and the contact to the object, where it has to be made.
    #[serde(skip_serializing)]
    pub labels: [String; 2],
}

/// What an invoice needs that no record has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InvoiceRules {
    /// Whether it is a real one, or one for tests.
    pub live_mode: bool,
    /// Who makes it out: HighLevel's `businessDetails`.
    pub business: Map<String, Value>,
    /// The telephone number of contacts that have none. An invoice must have one; without, it becomes a record.
    pub phone: Option<String>,
    /// What its one line is called where the invoice has no title.
    pub item: String,
    /// How one that was paid at the source was paid: `cash`, `card`, `cheque`, `bank_transfer` or `other`.
    pub payment_mode: String,
    /// How one that was sent at the source is sent here. Without it, none is: people would get it a second time.
    pub send: Option<SendRules>,
}

/// How an invoice is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRules {
    /// The user of HighLevel's who sends it.
    pub user_id: String,
    /// `send_manually` only marks it as sent; `email`, `sms` and `sms_and_email` reach people.
    pub action: String,
}

impl Default for InvoiceRules {
    fn default() -> Self {
        Self {
            live_mode: false,
            business: Map::new(),
            phone: None,
            item: "Invoice".to_owned(),
            payment_mode: "other".to_owned(),
            send: None,
        }
    }
}

/// What a request is about, by its path.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A contact.
    Contact,
    /// A record of a custom object.
    Record(&'a ObjectRules),
    /// An invoice.
    Invoice,
}

impl ObjectRules {
    /// Where its records are made.
    pub fn records_path(&self) -> String {
        format!("/objects/{}/records", self.object)
    }

    fn faults(&self) -> Vec<String> {
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let mut faults = Vec::new();
        if !self.object.strip_prefix(CUSTOM).is_some_and(plain) {
            faults.push(format!("object: {CUSTOM}{{name}}"));
        }
        if self.association.as_ref().is_some_and(|association| !plain(&association.key)) {
            faults.push("association.key: a plain name".to_owned());
        }
        faults
    }
}

impl HighLevelRules {
    /// What a request of this kind and path is about.
    pub fn target(&self, kind: Kind, path: &str) -> Option<Target<'_>> {
        match (kind, path) {
            (Kind::Customer, CONTACTS_PATH) => Some(Target::Contact),
            (Kind::Invoice, INVOICES_PATH) => Some(Target::Invoice),
            _ => self.records.get(&kind).filter(|rules| rules.records_path() == path).map(Target::Record),
        }
    }

    /// What is wrong with the rules of a destination that has them.
    pub(crate) fn faults(&self, definition: &DestinationDefinition) -> Vec<String> {
        let mut faults = Vec::new();
        for (group, version) in self.versions.iter() {
            if version.is_empty() || !version.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) {
                faults.push(format!("versions.{group}: {version:?} is no version"));
            }
        }
        if !self.authorize_url.starts_with("https://") || self.authorize_url.contains(['?', '#']) {
            faults.push("authorize_url: an https address without a query".to_owned());
        }
        for (kind, rules) in &self.records {
            faults.extend(rules.faults().into_iter().map(|fault| format!("records.{kind}: {fault}")));
            if *kind == Kind::Customer {
                faults.push("records.customer: a customer is a contact".to_owned());
            }
            if !definition.requests.contains_key(kind) {
                faults.push(format!("records.{kind}: there are no requests of the kind"));
            }
        }
        for (kind, template) in &definition.requests {
            faults.extend(self.request_faults(*kind, template).into_iter().map(|fault| format!("{kind}: {fault}")));
        }
        let modes = ["cash", "card", "cheque", "bank_transfer", "other"];
        if !modes.contains(&self.invoice.payment_mode.as_str()) {
            faults.push(format!("invoice.payment_mode: one of {}", modes.join(", ")));
        }
        let actions = ["send_manually", "email", "sms", "sms_and_email"];
        if self.invoice.send.as_ref().is_some_and(|send| !actions.contains(&send.action.as_str())) {
            faults.push(format!("invoice.send.action: one of {}", actions.join(", ")));
        }
        faults
    }

    /// What is wrong with how a kind is told.
    fn request_faults(&self, kind: Kind, template: &RequestTemplate) -> Vec<String> {
        let target = self.target(kind, &template.path);
        let wanted: &[&str] = match target {
            None => {
                let paths = [CONTACTS_PATH, INVOICES_PATH].join(" or ");
                return vec![format!("its path is neither {paths} of its kind, nor that of its object's records")];
            }
            Some(Target::Contact) => &["status"],
            Some(Target::Record(rules)) if rules.association.is_some() => &["status", "recipient_email"],
            Some(Target::Record(_)) => &["status"],
            Some(Target::Invoice) => &["total", "currency", "status"],
        };
        let mut faults = Vec::new();
        for name in std::iter::once(kind.id_field()).chain(wanted.iter().copied()) {
            let may_be_without = name == "recipient_email";
            match template.fields.get(name) {
                None => faults.push(format!("it has no field {name}")),
                Some(field) if !may_be_without && !field.always_has_a_value() => {
                    faults.push(format!("{name} must be required, or have a default"));
                }
                Some(_) => {}
            }
        }
        if matches!(target, Some(Target::Invoice)) && !self.records.contains_key(&kind) {
            faults.push("no object is declared for those that cannot be real ones".to_owned());
        }
        faults
    }
}

impl Versions {
    fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("oauth", &self.oauth),
            ("locations", &self.locations),
            ("contacts", &self.contacts),
            ("objects", &self.objects),
            ("custom_fields", &self.custom_fields),
            ("associations", &self.associations),
            ("invoices", &self.invoices),
        ]
        .into_iter()
        .map(|(name, version)| (name, version.as_str()))
    }
}
