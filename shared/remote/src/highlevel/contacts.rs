//! Contacts. HighLevel finds the one that is meant by e-mail address or telephone number, as the location is set up.

use super::{
    HighLevel, Work,
    api::{Ask, Group},
};
use certbridge_mapping::highlevel::CONTACTS_PATH;
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    grants::Grants,
    ids::{DestinationId, IdMap},
    ports::DestinationKeys,
};
use serde_json::{Map, Value, json};

pub(super) const READ: &str = "contacts.readonly";
const WRITE: &str = "contacts.write";

/// Fields of a customer that are ours and no contact's.
const UNSENT: [&str; 3] = ["customer_id", "location_id", "status"];

/// What an invoice wants to know of a contact.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// A customer. Of one that the source no longer has nothing is told: a contact has no state for it, and it may be
    /// dealt with for other reasons.
    pub(super) async fn tell_customer(&self, work: &Work<'_>) -> Result<(), RemoteError> {
        if work.text("status") == Some("deleted") {
            return Ok(());
        }
        let stated = work.body.iter().filter(|(name, value)| !UNSENT.contains(&name.as_str()) && !value.is_null());
        let contact = stated.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.upsert(work, contact).await.map(drop)
    }

    /// Makes or changes a contact, and notes which one it is. Another one than before is no mistake: it was merged, or
    /// another address belongs to another contact.
    pub(super) async fn upsert(&self, work: &Work<'_>, contact: Map<String, Value>) -> Result<Contact, RemoteError> {
        if !["email", "phone"].iter().any(|name| contact.contains_key(*name)) {
            let what = "a contact needs an e-mail address or a telephone number: without, each push would make another";
            return Err(self.error(RemoteClass::Rejected, what));
        }
        let mut body = Value::Object(contact);
        body["locationId"] = work.location.into();
        let ask = Ask::write("POST", Group::Contacts, WRITE, CONTACTS_PATH, &body);
        let answer = self.step(work, ask).await?;
        let contact = self.contact(&answer)?;
        let role = work.role("contact");
        let known = work.ids.get(&role).and_then(DestinationId::known);
        if known != Some(&contact.id) {
            let noted = self.store.set_id(work.key, &role, &contact.id, known).await;
            noted.map_err(|error| self.of_store(&error))?;
        }
        Ok(contact)
    }

    /// The contact of a name and an e-mail address.
    pub(super) async fn upsert_person(
        &self,
        work: &Work<'_>,
        email: &str,
        name: Option<&str>,
    ) -> Result<Contact, RemoteError> {
        let name = name.map(|name| ("name".to_owned(), json!(name)));
        self.upsert(work, name.into_iter().chain([("email".to_owned(), json!(email))]).collect()).await
    }

    pub(super) fn contact(&self, answer: &Value) -> Result<Contact, RemoteError> {
        let id = self.id_at(answer, &["/contact/id"])?;
        let contact = &answer["contact"];
        let text = |name: &str| contact[name].as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let parts = [text("firstName"), text("lastName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let name = text("name").or_else(|| Some(parts).filter(|name| !name.is_empty()));
        Ok(Contact { id, name, email: text("email"), phone: text("phone") })
    }
}
