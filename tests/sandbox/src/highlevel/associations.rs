//! Associations, which say what may be related, and the relations.

use super::{
    Inner,
    call::{Answer, Call, Refusal, bad, created, ok},
    objects::complete,
    values,
};
use serde_json::{Value, json};

/// `GET /associations/`.
pub(super) fn list(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("locationId")?;
    call.may_use(location)?;
    call.wanted("skip")?;
    call.wanted("limit")?;
    let (skip, limit) = (call.number("skip", 0)?, call.number("limit", 100)?);
    let mut all = values(&inner.stock.associations);
    all.retain(|association| association["locationId"] == location);
    let total = all.len();
    let page: Vec<_> = all.into_iter().skip(skip).take(limit).collect();
    ok(json!({ "associations": page, "total": total }))
}

/// `POST /associations/`.
pub(super) fn create(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let wanted = ["locationId", "key", "firstObjectLabel", "firstObjectKey", "secondObjectLabel", "secondObjectKey"];
    let given = complete(inner, call, &wanted)?;
    let location = given["locationId"].as_str().unwrap_or_default();
    for object in ["firstObjectKey", "secondObjectKey"] {
        let key = given[object].as_str().unwrap_or_default();
        if key != "contact" {
            inner.schema(location, key)?;
        }
    }
    let taken = |other: &Value| other["locationId"] == location && other["key"] == given["key"];
    if values(&inner.stock.associations).iter().any(taken) {
        return Err(bad("Association with this key already exists"));
    }
    let id = inner.id();
    let mut association = json!({ "id": id, "associationType": "USER_DEFINED" });
    for name in wanted {
        association[name] = given[name].clone();
    }
    inner.stock.associations.put(&id, association.clone());
    created(association)
}

/// `GET /associations/{id}`.
pub(super) fn view(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let association = inner.stock.associations.get(call.part("id")).filter(|association| call.sees(association));
    ok(association.ok_or_else(|| bad("Association not found"))?)
}

/// `GET /associations/key/{key}`.
pub(super) fn view_by_key(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    call.may_use(call.wanted("locationId")?)?;
    let mut all = values(&inner.stock.associations).into_iter();
    let association = all.find(|association| association["key"] == call.part("key") && call.sees(association));
    ok(association.ok_or_else(|| bad("Association not found"))?)
}

/// `POST /associations/relations`. One that is there already is refused.
pub(super) fn relate(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = complete(inner, call, &["locationId", "associationId", "firstRecordId", "secondRecordId"])?;
    let association = inner.stock.associations.get(given["associationId"].as_str().unwrap_or_default());
    let association = association.filter(|association| association["locationId"] == given["locationId"]);
    let association = association.ok_or_else(|| bad("Association not found"))?;
    for (record, object) in [("firstRecordId", "firstObjectKey"), ("secondRecordId", "secondObjectKey")] {
        inner.check_related(&association[object], &given[record], &given["locationId"])?;
    }
    let same = |other: &Value| {
        ["associationId", "firstRecordId", "secondRecordId"].iter().all(|name| other[*name] == given[*name])
    };
    if values(&inner.stock.relations).iter().any(same) {
        return Err(bad("Relation already exists"));
    }
    let id = inner.id();
    let relation = json!({
        "id": id,
        "locationId": given["locationId"],
        "associationId": given["associationId"],
        "key": association["key"],
        "firstObjectLabel": association["firstObjectLabel"],
        "firstObjectKey": association["firstObjectKey"],
        "firstRecordId": given["firstRecordId"],
        "secondObjectLabel": association["secondObjectLabel"],
        "secondObjectKey": association["secondObjectKey"],
        "secondRecordId": given["secondRecordId"],
        "associationType": "USER_DEFINED",
    });
    inner.stock.relations.put(&id, relation.clone());
    created(relation)
}

impl Inner {
    /// Whether there is such a record, or contact, in the location.
    fn check_related(&self, object: &Value, record: &Value, location: &Value) -> Result<(), Refusal> {
        let id = record.as_str().unwrap_or_default();
        let found = match object.as_str() {
            Some("contact") => self.stock.contacts.get(id),
            _ => self.stock.records.get(id).filter(|record| record["objectKey"] == *object),
        };
        let here = found.is_some_and(|found| found["locationId"] == *location);
        if here { Ok(()) } else { Err(bad(format!("Record {id} not found"))) }
    }
}

/// `DELETE /associations/relations/{id}`.
pub(super) fn unrelate(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("locationId")?;
    call.may_use(location)?;
    let relation = inner.stock.relations.get(call.part("id")).filter(|relation| relation["locationId"] == location);
    relation.ok_or_else(|| bad("Relation not found"))?;
    ok(json!({ "id": call.part("id"), "success": inner.stock.relations.remove(call.part("id")) }))
}

/// `GET /associations/relations/{id}`: those of a record.
pub(super) fn relations_of(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    call.may_use(call.wanted("locationId")?)?;
    call.wanted("skip")?;
    call.wanted("limit")?;
    let (skip, limit) = (call.number("skip", 0)?, call.number("limit", 100)?);
    let id = call.part("id");
    let mut all = values(&inner.stock.relations);
    all.retain(|relation| call.sees(relation) && (relation["firstRecordId"] == id || relation["secondRecordId"] == id));
    let total = all.len();
    let page: Vec<_> = all.into_iter().skip(skip).take(limit).collect();
    ok(json!({ "relations": page, "total": total }))
}
