//! What has to be there before anything can be told: objects, their fields, associations. Made where it is missing, and
//! never changed.

use super::{
    HighLevel,
    api::{Ask, At, Group},
};
use certbridge_mapping::{
    DestinationDefinition, Kind,
    destination::escape_segment,
    field::{FieldType, Fields},
    highlevel::{AssociationRules, ObjectRules},
};
use certbridge_sync::{error::RemoteError, grants::Grants, ids::IdMap, ports::DestinationKeys};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{fmt, time::Duration};
use tokio::time::Instant;

const SCHEMAS: &str = "objects/schema.readonly";
const WRITE_SCHEMA: &str = "objects/schema.write";
const WRITE_FIELDS: &str = "locations/customFields.write";
const READ_FIELDS: &str = "locations/customFields.readonly";
const ASSOCIATE: &str = "associations.write";
/// What contacts are called among objects.
const CONTACT: &str = "contact";

/// A thing that has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A custom object.
    Object(String),
    /// A field of one.
    Field {
        /// The object.
        object: String,
        /// The field.
        field: String,
    },
    /// An association with contacts.
    Association(String),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(key) => write!(f, "object {key}"),
            Self::Field { object, field } => write!(f, "field {object}.{field}"),
            Self::Association(key) => write!(f, "association {key}"),
        }
    }
}

/// What was found, or made, in a location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// What was there.
    pub there: Vec<Part>,
    /// What was made; in a dry run, what would be.
    pub made: Vec<Part>,
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// Makes what is missing in a location, or says what it would make. Each request may take `timeout`.
    ///
    /// # Errors
    /// What keeps it from being made. What was made by then is there; to do it again is safe.
    pub async fn prepare(&self, location: &str, dry_run: bool, timeout: Duration) -> Result<Prepared, RemoteError> {
        let defined = self.defined();
        let mut prepared = Prepared::default();
        for (kind, rules) in &defined.rules.records {
            let fields = fields_of(&defined.definition, *kind);
            let setup = Setup { location, dry_run, timeout };
            self.prepare_object(setup, rules, (kind.id_field(), &fields), &mut prepared).await?;
            if let Some(association) = &rules.association {
                self.prepare_association(setup, rules, association, &mut prepared).await?;
            }
        }
        Ok(prepared)
    }

    async fn prepare_object(
        &self,
        setup: Setup<'_>,
        rules: &ObjectRules,
        (id_field, fields): (&str, &[(String, &'static str)]),
        prepared: &mut Prepared,
    ) -> Result<(), RemoteError> {
        let key = &rules.object;
        let object = Part::Object(key.clone());
        let found = self.object(setup, key).await?;
        let was_there = found.is_some();
        let known = match found {
            Some(known) => {
                prepared.there.push(object);
                known
            }
            None => {
                prepared.made.push(object);
                if !setup.dry_run {
                    self.make_object(setup, rules, id_field).await?;
                }
                // It is made with the field that shows what a record is.
                json!({ "fields": [{ "fieldKey": format!("{key}.{id_field}") }] })
            }
        };
        let shown = known["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has = |field: &str| shown.iter().any(|of| of["fieldKey"].as_str().is_some_and(|key| last(key) == field));
        let mut folder = None;
        for (field, data_type) in fields {
            let part = Part::Field { object: key.clone(), field: field.clone() };
            let is_there = has(field);
            if is_there && was_there { &mut prepared.there } else { &mut prepared.made }.push(part);
            if is_there || setup.dry_run {
                continue;
            }
            let parent = match &folder {
                Some(parent) => parent,
                None => folder.insert(self.folder(setup, key).await?),
            };
            self.make_field(setup, key, (field, data_type), parent).await?;
        }
        Ok(())
    }

    /// An object with its fields; `None` if there is none, which is told by 400 or 404.
    async fn object(&self, setup: Setup<'_>, key: &str) -> Result<Option<Value>, RemoteError> {
        let (of, location) = (escape_segment(key), escape_segment(setup.location));
        let path = format!("/objects/{of}?locationId={location}&fetchProperties=true");
        let ask = Ask::get(Group::Objects, SCHEMAS, &path);
        let answer = self.ask(setup.at(), ask).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(None),
            status if status.is_success() => Ok(Some(serde_json::from_slice(&answer.body).unwrap_or_default())),
            _ => Err(self.refusal(ask, &answer)),
        }
    }

    async fn make_object(&self, setup: Setup<'_>, rules: &ObjectRules, id_field: &str) -> Result<(), RemoteError> {
        let [singular, plural] = &rules.labels;
        let body = json!({
            "key": rules.object,
            "labels": { "singular": singular, "plural": plural },
            "description": "Kept by Certbridge: what is changed here is changed back.",
            "locationId": setup.location,
            "primaryDisplayPropertyDetails": {
                "key": format!("{}.{id_field}", rules.object),
                "name": words(id_field),
                "dataType": "TEXT",
            },
        });
        let ask = Ask::write("POST", Group::Objects, WRITE_SCHEMA, "/objects/", &body);
        self.wanted(setup.at(), ask).await.map(drop)
    }

    /// The folder that fields of an object are shown in. A field must have one.
    async fn folder(&self, setup: Setup<'_>, object: &str) -> Result<String, RemoteError> {
        let (of, location) = (escape_segment(object), escape_segment(setup.location));
        let path = format!("/custom-fields/object-key/{of}?locationId={location}");
        let told = self.wanted(setup.at(), Ask::get(Group::CustomFields, READ_FIELDS, &path)).await?;
        if told.pointer("/folders/0/id").is_some() || told.pointer("/fields/0/parentId").is_some() {
            return self.id_at(&told, &["/folders/0/id", "/fields/0/parentId"]);
        }
        let body = json!({ "locationId": setup.location, "objectKey": object, "name": "Certbridge" });
        let ask = Ask::write("POST", Group::CustomFields, WRITE_FIELDS, "/custom-fields/folder", &body);
        let made = self.wanted(setup.at(), ask).await?;
        self.id_at(&made, &["/id", "/folder/id"])
    }

    async fn make_field(
        &self,
        setup: Setup<'_>,
        object: &str,
        (field, data_type): (&str, &str),
        folder: &str,
    ) -> Result<(), RemoteError> {
        let body = json!({
            "locationId": setup.location,
            "objectKey": object,
            "fieldKey": format!("{object}.{field}"),
            "name": words(field),
            "dataType": data_type,
            "parentId": folder,
            "showInForms": false,
        });
        let ask = Ask::write("POST", Group::CustomFields, WRITE_FIELDS, "/custom-fields/", &body);
        self.wanted(setup.at(), ask).await.map(drop)
    }

    async fn prepare_association(
        &self,
        setup: Setup<'_>,
        rules: &ObjectRules,
        association: &AssociationRules,
        prepared: &mut Prepared,
    ) -> Result<(), RemoteError> {
        let part = Part::Association(association.key.clone());
        if self.find_association(setup.at(), setup.location, &association.key).await?.is_some() {
            prepared.there.push(part);
            return Ok(());
        }
        prepared.made.push(part);
        if setup.dry_run {
            return Ok(());
        }
        let [object, contact] = &association.labels;
        let body = json!({
            "locationId": setup.location,
            "key": association.key,
            "firstObjectLabel": object,
            "firstObjectKey": rules.object,
            "secondObjectLabel": contact,
            "secondObjectKey": CONTACT,
        });
        let ask = Ask::write("POST", Group::Associations, ASSOCIATE, "/associations/", &body);
        self.wanted(setup.at(), ask).await.map(drop)
    }
}

/// Where something is prepared.
#[derive(Clone, Copy)]
struct Setup<'a> {
    location: &'a str,
    dry_run: bool,
    timeout: Duration,
}

impl Setup<'_> {
    fn at(&self) -> At<'_> {
        At { location: Some(self.location), deadline: Instant::now() + self.timeout }
    }
}

/// The fields of a kind's request, with the type that they have there.
fn fields_of(definition: &DestinationDefinition, kind: Kind) -> Vec<(String, &'static str)> {
    let fields = definition.requests.get(&kind).map(|template| &template.fields);
    let typed = fields.into_iter().flat_map(Fields::iter).map(|(name, field)| {
        let data_type = match field.type_ {
            FieldType::Date => "DATE",
            FieldType::Integer => "NUMERICAL",
            _ => "TEXT",
        };
        (name.to_owned(), data_type)
    });
    typed.collect()
}

/// A key's last part, which is what a record's property is called.
fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// `issue_date` as a person reads it.
fn words(field: &str) -> String {
    let text = field.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
