//! Records of custom objects, and their relations to contacts.
//!
//! There is no upsert: a record is changed by its id, which stands in our map; if it stands there not, or the record is
//! gone, it is looked for by the property that holds our id; and only then is it made.

use super::{
    CONNECT, HighLevel, Work,
    api::{Ask, At, Group},
    lock,
    ours::{Found, NEVER, Thing},
};
use certbridge_mapping::{
    Kind, ShownRecord,
    destination::escape_segment,
    highlevel::{AssociationRules, ObjectRules},
};
use certbridge_sync::{
    error::{Effect, RemoteClass, RemoteError},
    grants::Grants,
    ids::{DestinationId, IdMap},
    ports::{DestinationKeys, ListError, Page},
};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;
use tokio::time::Instant;

const READ: &str = "objects/record.readonly";
const WRITE: &str = "objects/record.write";
const RELATE: &str = "associations/relation.write";
const RELATIONS: &str = "associations/relation.readonly";
const ASSOCIATIONS: &str = "associations.readonly";

/// How many records a search for one may find: of more than one, all but one are somebody's mistake.
const FOUND: u32 = 10;
/// How many relations of a record are looked at.
const RELATIONS_LIMIT: u32 = 100;

/// Where a listing goes on: in this location, after this place in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    location: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    after: Vec<String>,
}

/// A record, as a thing of ours.
struct TheRecord<'a, K, S> {
    api: &'a HighLevel<K, S>,
    work: &'a Work<'a>,
    rules: &'a ObjectRules,
}

impl<K: DestinationKeys, S: IdMap + Grants> Thing for TheRecord<'_, K, S> {
    async fn change(&self, id: &str) -> Result<bool, RemoteError> {
        self.api.update_record(self.work, self.rules, id).await
    }

    async fn find(&self) -> Result<Option<String>, RemoteError> {
        self.api.find_record(self.work, self.rules).await
    }

    async fn make(&self) -> Result<String, RemoteError> {
        self.api.create_record(self.work, self.rules).await
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// A record, and its relation to the contact whom it is for, if it is for one.
    pub(super) async fn tell_record(&self, work: &Work<'_>, rules: &ObjectRules) -> Result<(), RemoteError> {
        let of_whom = rules.association.as_ref().zip(work.text("recipient_email"));
        let Some((association, email)) = of_whom else {
            self.upsert_record(work, rules).await?;
            return self.leave_others(work, rules).await;
        };
        // What may be missing there is looked up before anything is changed.
        let association = self.association(work, association).await?;
        let contact = self.upsert_person(work, email, work.text("recipient_name")).await?;
        let record = self.upsert_record(work, rules).await?;
        self.relate(work, &association, &record, &contact.id).await?;
        self.leave_others(work, rules).await
    }

    /// Makes or changes a record.
    pub(super) async fn upsert_record(&self, work: &Work<'_>, rules: &ObjectRules) -> Result<Found, RemoteError> {
        self.ours(work, &work.role("record"), &TheRecord { api: self, work, rules }).await
    }

    async fn create_record(&self, work: &Work<'_>, rules: &ObjectRules) -> Result<String, RemoteError> {
        let body = json!({ "locationId": work.location, "properties": stated(work.body) });
        let path = rules.records_path();
        let answer = self.step(work, Ask::write("POST", Group::Objects, WRITE, &path, &body)).await?;
        self.id_at(&answer, &["/record/id"])
    }

    /// Changes a record. `false` if it is not there any more, which is told by 404, or by a refusal of the change and of
    /// a look at it: only 400 is documented.
    async fn update_record(&self, work: &Work<'_>, rules: &ObjectRules, id: &str) -> Result<bool, RemoteError> {
        let shown = self.put_properties(work, rules, id, &stated(work.body)).await?;
        let Some(shown) = shown else { return Ok(false) };
        // What is null is left out, as long as nothing stands there: whether null clears a property is documented
        // nowhere, and most changes need not rest on it.
        let properties = shown.pointer("/record/properties").and_then(Value::as_object);
        let left = |name: &str| properties.and_then(|of| of.get(name)).is_some_and(|value| !is_empty(value));
        let cleared: Map<_, _> =
            work.body.iter().filter(|(name, value)| value.is_null() && left(name)).map(owned).collect();
        if cleared.is_empty() {
            return Ok(true);
        }
        Ok(self.put_properties(work, rules, id, &cleared).await?.is_some())
    }

    /// The record as it is afterwards; `None` if there is none.
    async fn put_properties(
        &self,
        work: &Work<'_>,
        rules: &ObjectRules,
        id: &str,
        properties: &Map<String, Value>,
    ) -> Result<Option<Value>, RemoteError> {
        let path = format!("{}/{}", rules.records_path(), escape_segment(id));
        let put = format!("{path}?locationId={}", escape_segment(work.location));
        let body = json!({ "properties": properties });
        let ask = Ask::write("PUT", Group::Objects, WRITE, &put, &body);
        let answer = self.ask(work.at(), ask).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                let look = self.ask(work.at(), Ask::get(Group::Objects, READ, &path)).await?;
                let gone = matches!(look.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
                if gone { Ok(None) } else { Err(self.refusal(ask, &answer)) }
            }
            _ => self.applied(work, ask, &answer).map(Some),
        }
    }

    /// The record that has our id, if the search shows one. Of several, the one that was made first.
    async fn find_record(&self, work: &Work<'_>, rules: &ObjectRules) -> Result<Option<String>, RemoteError> {
        let property = work.key.kind.id_field();
        let filter = json!({ "field": format!("properties.{property}"), "operator": "eq", "value": work.own_id() });
        let mut body = search_body(work.location, FOUND, &[]);
        body["filters"] = json!([filter]);
        let path = format!("{}/search", rules.records_path());
        let ask = Ask::search(Group::Objects, READ, &path, &body);
        let answer = self.ask(work.at(), ask).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND) {
            return Err(self.no_object(rules));
        }
        if !answer.status.is_success() {
            return Err(self.refusal(ask, &answer));
        }
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let listed = told["records"].as_array().ok_or_else(|| self.no_list())?;
        // Filters are documented nowhere: whether they were heard is seen by what is found.
        let is_ours = |record: &&Value| record["properties"][property].as_str() == Some(work.own_id());
        let mut ours: Vec<_> = listed.iter().filter(is_ours).collect();
        ours.sort_by_key(|record| record["createdAt"].as_str().unwrap_or_default().to_owned());
        if ours.len() > 1 {
            tracing::error!(provider = self.provider, key = %work.key, found = ours.len(), "it is there several times");
        }
        ours.first().map(|record| self.id_at(record, &["/id"])).transpose()
    }

    fn no_list(&self) -> RemoteError {
        let error = self.error(RemoteClass::Unusable, "a search that gave no list of records");
        RemoteError { left: Some(Effect::None), ..error }
    }

    fn no_object(&self, rules: &ObjectRules) -> RemoteError {
        self.error(RemoteClass::Misrouted, format!("there is no object {} in the location: {CONNECT}", rules.object))
    }

    /// A record that was in another location before is told there as deleted, and no longer known.
    pub(super) async fn leave_others(&self, work: &Work<'_>, rules: &ObjectRules) -> Result<(), RemoteError> {
        let own = work.role("record");
        let others = work.ids.iter().filter(|(role, _)| **role != own);
        for (role, id) in others {
            let (Some(location), Some(id)) = (role.strip_prefix("record@"), id.known()) else { continue };
            let there = Work {
                location,
                body: work.body,
                key: work.key,
                ids: Default::default(),
                deadline: work.deadline,
                applied: Default::default(),
                trace: Default::default(),
            };
            let told = json!({ "status": "deleted" });
            let told = told.as_object().cloned().unwrap_or_default();
            self.put_properties(&there, rules, id, &told).await?;
            work.applied.store(true, Ordering::Relaxed);
            let noted = self.store.begin_id(work.key, role, Some(id), NEVER).await;
            noted.map_err(|error| self.of_store(&error))?;
        }
        Ok(())
    }

    /// The id of an association in the location of a push.
    async fn association(&self, work: &Work<'_>, rules: &AssociationRules) -> Result<String, RemoteError> {
        let place = (work.location.to_owned(), rules.key.clone());
        if let Some(known) = lock(&self.associations).get(&place).cloned() {
            return Ok(known);
        }
        let id = self.find_association(work.at(), work.location, &rules.key).await?;
        let missing = || {
            let what = format!("there is no association {} in the location: {CONNECT}", rules.key);
            self.error(RemoteClass::Misrouted, what)
        };
        let id = id.ok_or_else(missing)?;
        lock(&self.associations).insert(place, id.clone());
        Ok(id)
    }

    /// The id of an association; `None` if there is none of this key, which is told by 400 or 404.
    pub(super) async fn find_association(
        &self,
        at: At<'_>,
        location: &str,
        key: &str,
    ) -> Result<Option<String>, RemoteError> {
        let path = format!("/associations/key/{}?locationId={}", escape_segment(key), escape_segment(location));
        let ask = Ask::get(Group::Associations, ASSOCIATIONS, &path);
        let answer = self.ask(at, ask).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(None),
            status if status.is_success() => {
                let told = serde_json::from_slice(&answer.body).unwrap_or_default();
                self.id_at(&told, &["/id", "/association/id"]).map(Some)
            }
            _ => Err(self.refusal(ask, &answer)),
        }
    }

    /// Relates a record to a contact, once, and to no other one by this association.
    async fn relate(
        &self,
        work: &Work<'_>,
        association: &str,
        record: &Found,
        contact: &str,
    ) -> Result<(), RemoteError> {
        let role = work.role("relation");
        let before = work.ids.get(&role).and_then(DestinationId::known);
        let pair = format!("{}:{contact}", record.id());
        if before == Some(&pair) {
            return Ok(());
        }
        let (record, is_new) = (record.id(), matches!(record, Found::Made(_)));
        let related = if is_new { Vec::new() } else { self.relations(work, association, record).await? };
        if !related.iter().any(|(_, other)| other == contact) {
            let body = json!({
                "locationId": work.location,
                "associationId": association,
                "firstRecordId": record,
                "secondRecordId": contact,
            });
            let ask = Ask::write("POST", Group::Associations, RELATE, "/associations/relations", &body);
            let answer = self.ask(work.at(), ask).await?;
            // One that is there already may be refused, and in which words is documented nowhere.
            let there = matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
                && self.relations(work, association, record).await?.iter().any(|(_, other)| other == contact);
            if !there {
                self.applied(work, ask, &answer)?;
            }
        }
        // Whom it was for before, by our own doing, it is for no more.
        let was = before.and_then(|pair| pair.split_once(':')).filter(|(of, _)| *of == record).map(|(_, other)| other);
        for (id, _) in related.iter().filter(|(_, other)| other != contact && Some(other.as_str()) == was) {
            let path =
                format!("/associations/relations/{}?locationId={}", escape_segment(id), escape_segment(work.location));
            let ask = Ask::delete(Group::Associations, RELATE, &path);
            let answer = self.ask(work.at(), ask).await?;
            if answer.status != StatusCode::NOT_FOUND {
                self.applied(work, ask, &answer)?;
            }
        }
        let noted = self.store.set_id(work.key, &role, &pair, before).await;
        noted.map(drop).map_err(|error| self.of_store(&error))
    }

    /// The relations of a record by an association: their ids, and the contacts' .
    async fn relations(
        &self,
        work: &Work<'_>,
        association: &str,
        record: &str,
    ) -> Result<Vec<(String, String)>, RemoteError> {
        let (of, location) = (escape_segment(record), escape_segment(work.location));
        let path = format!("/associations/relations/{of}?locationId={location}&skip=0&limit={RELATIONS_LIMIT}");
        let told = self.wanted(work.at(), Ask::get(Group::Associations, RELATIONS, &path)).await?;
        let listed = told["relations"].as_array().map(Vec::as_slice).unwrap_or_default();
        let relation = |relation: &Value| {
            let text = |name: &str| relation[name].as_str();
            let is_it = text("associationId").is_none_or(|id| id == association);
            let other = match (text("firstRecordId")?, text("secondRecordId")?) {
                (first, other) if first == record => other,
                (other, second) if second == record => other,
                _ => return None,
            };
            is_it.then(|| Some((text("id")?.to_owned(), other.to_owned())))?
        };
        Ok(listed.iter().filter_map(relation).collect())
    }

    /// A page of the records of a kind, location by location.
    pub(super) async fn page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        deadline: Instant,
    ) -> Result<Page<ShownRecord>, ListError> {
        let defined = self.defined();
        let rules = defined.definition.listings.get(&kind).zip(defined.rules.records.get(&kind));
        let (rules, object) = rules.ok_or_else(|| ListError::Unlisted(self.provider.clone()))?;
        let locations = self.walked_locations(deadline).await?;
        let cursor = match cursor.map(serde_json::from_str::<Cursor>).transpose() {
            Ok(cursor) => cursor,
            Err(_) => return Err(ListError::CursorRefused(self.error(RemoteClass::Rejected, "no cursor of ours"))),
        };
        let first = || locations.names.first().map(|location| Cursor { location: location.clone(), after: Vec::new() });
        let Some(here) = cursor.or_else(first) else {
            return Ok(Page { items: Vec::new(), nameless: 0, next: None, announced: None });
        };
        self.check_pace(Some(&here.location))?;
        let body = search_body(&here.location, rules.size, &here.after);
        let ask = Ask::search(Group::Objects, READ, &rules.path, &body);
        let at = At { location: Some(&here.location), deadline };
        let answer = self.ask(at, ask).await?;
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let none = Vec::new();
        let listed = match answer.status {
            // Of the company's locations, some may never have been connected.
            StatusCode::NOT_FOUND if locations.whole_company => &none,
            StatusCode::NOT_FOUND => return Err(self.no_object(object).into()),
            status if status.is_success() => rules.items_of(&told).ok_or_else(|| self.no_list())?,
            _ => return Err(self.refusal(ask, &answer).into()),
        };
        let items: Vec<_> = listed.iter().filter_map(|item| defined.definition.shown(kind, item)).collect();
        let nameless = (listed.len() - items.len()) as u64;
        let full = u32::try_from(listed.len()).is_ok_and(|count| count >= rules.size);
        let after = listed.last().filter(|_| full).map(place_of).unwrap_or_default();
        let next = match after.is_empty() {
            // A full page that does not say where the next one begins is no last page.
            true if full => return Err(self.no_place().into()),
            true => locations.after(&here.location).map(|location| Cursor { location, after }),
            false if after == here.after => return Err(self.no_place().into()),
            false => Some(Cursor { after, ..here }),
        };
        let next = next.and_then(|cursor| serde_json::to_string(&cursor).ok());
        Ok(Page { items, nameless, next, announced: None })
    }

    fn no_place(&self) -> RemoteError {
        let error = self.error(RemoteClass::Unusable, "a full page that does not tell where the next one begins");
        RemoteError { left: Some(Effect::None), ..error }
    }
}

/// A search for all records of a location, or for those after a place. The contract wants every one of these members,
/// and a place to be texts.
fn search_body(location: &str, limit: u32, after: &[String]) -> Value {
    json!({ "locationId": location, "page": 1, "pageLimit": limit, "query": "", "searchAfter": after })
}

/// The place of a record in its listing.
fn place_of(record: &Value) -> Vec<String> {
    let parts = record["searchAfter"].as_array().into_iter().flatten();
    parts.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect()
}

/// The fields that have a value.
pub(super) fn stated(body: &Map<String, Value>) -> Map<String, Value> {
    body.iter().filter(|(_, value)| !value.is_null()).map(owned).collect()
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
