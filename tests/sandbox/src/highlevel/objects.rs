//! Custom objects: their schemas, the fields of these, and their records.

use super::{
    Inner,
    call::{Answer, Call, Refusal, bad, created, not_found, ok, unprocessable},
    values,
};
use serde_json::{Map, Value, json};

/// The kinds of data that a field may have. One is written so in the contract.
const DATA_TYPES: &[&str] = &[
    "TEXT",
    "LARGE_TEXT",
    "NUMERICAL",
    "PHONE",
    "MONETORY",
    "CHECKBOX",
    "SINGLE_OPTIONS",
    "MULTIPLE_OPTIONS",
    "DATE",
    "TEXTBOX_LIST",
    "FILE_UPLOAD",
    "RADIO",
    "EMAIL",
];

/// The most records on a page.
const MAX_PAGE: u64 = 500;

fn text<'a>(given: &'a Map<String, Value>, name: &str) -> &'a str {
    given.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The complaints about texts that are missing, at these pointers.
pub(super) fn missing(given: &Map<String, Value>, pointers: &[&str]) -> Vec<String> {
    let given = Value::Object(given.clone());
    let absent = pointers.iter().filter(|pointer| {
        let value = given.pointer(&format!("/{}", pointer.replace('.', "/")));
        value.is_none_or(|value| value.is_null() || value == "")
    });
    absent.map(|pointer| format!("{pointer} should not be empty")).collect()
}

/// A body that has these members, of a location that the caller may use.
pub(super) fn complete(inner: &Inner, call: &Call, wanted: &[&str]) -> Result<Map<String, Value>, Refusal> {
    let given = call.object()?;
    let flaws = missing(&given, wanted);
    if !flaws.is_empty() {
        return Err(unprocessable(flaws));
    }
    call.may_use(text(&given, "locationId"))?;
    inner.location(text(&given, "locationId"))?;
    Ok(given)
}

/// `GET /objects/`.
pub(super) fn list_schemas(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("locationId")?;
    call.may_use(location)?;
    let objects = values(&inner.stock.schemas).into_iter().filter(|schema| schema["locationId"] == location);
    ok(json!({ "objects": objects.collect::<Vec<_>>() }))
}

/// `GET /objects/{key}`.
pub(super) fn view_schema(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("locationId")?;
    call.may_use(location)?;
    let schema = inner.schema(location, call.part("key"))?;
    let mut answer = json!({ "object": schema, "cache": false });
    if call.query.get("fetchProperties").is_some_and(|text| text == "true") {
        answer["fields"] = inner.fields_of(location, call.part("key")).into();
    }
    ok(answer)
}

/// `POST /objects/`: with its first field, which shows what a record is.
pub(super) fn create_schema(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let wanted = [
        "key",
        "locationId",
        "labels.singular",
        "labels.plural",
        "primaryDisplayPropertyDetails.key",
        "primaryDisplayPropertyDetails.name",
        "primaryDisplayPropertyDetails.dataType",
    ];
    let given = complete(inner, call, &wanted)?;
    let location = text(&given, "locationId");
    let key = format!("custom_objects.{}", text(&given, "key").trim_start_matches("custom_objects."));
    if inner.schema(location, &key).is_ok() {
        return Err(bad(format!("Object with key {key} already exists")));
    }
    let (id, now, primary) = (inner.id(), inner.written_now(), &given["primaryDisplayPropertyDetails"]);
    let schema = json!({
        "id": id,
        "standard": false,
        "key": key,
        "labels": given["labels"],
        "description": text(&given, "description"),
        "locationId": location,
        "primaryDisplayProperty": primary["key"],
        "dateAdded": now,
        "dateUpdated": now,
        "type": "USER_DEFINED",
    });
    inner.stock.schemas.put(&id, schema.clone());
    let field = json!({ "name": primary["name"], "dataType": primary["dataType"], "fieldKey": primary["key"] });
    inner.write_field(location, &key, field);
    created(json!({ "object": schema }))
}

/// `POST /custom-fields/`.
pub(super) fn create_field(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let wanted = ["locationId", "objectKey", "dataType", "fieldKey", "name", "parentId", "showInForms"];
    let given = complete(inner, call, &wanted)?;
    let (location, key) = (text(&given, "locationId"), text(&given, "objectKey"));
    if !DATA_TYPES.contains(&text(&given, "dataType")) {
        return Err(unprocessable(vec![format!("dataType must be one of {}", DATA_TYPES.join(", "))]));
    }
    inner.schema(location, key)?;
    let own = last_part(text(&given, "fieldKey"));
    if inner.fields_of(location, key).iter().any(|field| field_name(field) == own) {
        return Err(bad(format!("Field with key {key}.{own} already exists")));
    }
    let field = inner.write_field(location, key, Value::Object(given.clone()));
    created(json!({ "field": field }))
}

/// `POST /custom-fields/folder`: what fields are shown under.
pub(super) fn create_folder(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = complete(inner, call, &["locationId", "objectKey", "name"])?;
    inner.schema(text(&given, "locationId"), text(&given, "objectKey"))?;
    created(json!({
        "id": inner.id(), "objectKey": given["objectKey"], "locationId": given["locationId"], "name": given["name"],
    }))
}

/// `GET /custom-fields/object-key/{key}`.
pub(super) fn list_fields(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.wanted("locationId")?;
    call.may_use(location)?;
    inner.schema(location, call.part("key"))?;
    let folder = json!({ "id": folder_of(call.part("key")), "name": "Info", "objectKey": call.part("key") });
    ok(json!({ "fields": inner.fields_of(location, call.part("key")), "folders": [folder] }))
}

/// The folder that every object has from its start.
fn folder_of(key: &str) -> String {
    format!("folder-{key}")
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// A field's name among a record's properties.
fn field_name(field: &Value) -> &str {
    last_part(field["fieldKey"].as_str().unwrap_or_default())
}

impl Inner {
    /// The schema of a key in a location.
    pub(super) fn schema(&self, location: &str, key: &str) -> Result<Value, Refusal> {
        let mut schemas = values(&self.stock.schemas).into_iter();
        let schema = schemas.find(|schema| schema["key"] == key && schema["locationId"] == location);
        schema.ok_or_else(|| not_found("Object not found"))
    }

    fn fields_of(&self, location: &str, key: &str) -> Vec<Value> {
        let fields = values(&self.stock.fields).into_iter();
        fields.filter(|field| field["objectKey"] == key && field["locationId"] == location).collect()
    }

    fn write_field(&self, location: &str, key: &str, given: Value) -> Value {
        let (id, now) = (self.id(), self.written_now());
        let mut field = json!({ "showInForms": true, "parentId": folder_of(key) });
        for (name, value) in given.as_object().into_iter().flatten() {
            field[name] = value.clone();
        }
        let own = format!("{key}.{}", field_name(&field));
        for (name, value) in [
            ("id", id.as_str().into()),
            ("locationId", location.into()),
            ("objectKey", key.into()),
            ("fieldKey", own.into()),
            ("dateAdded", now.clone()),
            ("dateUpdated", now),
        ] {
            field[name] = value;
        }
        self.stock.fields.put(&id, field.clone());
        field
    }

    /// The complaints about a record's properties: names that the schema lacks, and values of another kind.
    fn check_properties(&self, location: &str, key: &str, properties: &Map<String, Value>) -> Result<(), Refusal> {
        let fields = self.fields_of(location, key);
        for (name, value) in properties {
            let Some(field) = fields.iter().find(|field| field_name(field) == name) else {
                return Err(bad(format!("Invalid property: {name} does not exist on {key}")));
            };
            let fits = match field["dataType"].as_str().unwrap_or_default() {
                _ if value.is_null() => true,
                "NUMERICAL" => value.is_number(),
                "MONETORY" => value.is_number() || value["value"].is_number(),
                "CHECKBOX" | "MULTIPLE_OPTIONS" | "TEXTBOX_LIST" | "FILE_UPLOAD" => {
                    value.is_array() || value.is_object()
                }
                "DATE" => value.as_str().is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok()),
                _ => value.is_string(),
            };
            if !fits {
                return Err(bad(format!("Invalid value for property {name}")));
            }
        }
        Ok(())
    }
}

/// A record as these endpoints show it.
fn shown(record: &Value) -> Value {
    json!({
        "id": record["id"],
        "owner": record["owner"],
        "followers": record["followers"],
        "properties": record["properties"],
        "dateAdded": record["createdAt"],
        "dateUpdated": record["updatedAt"],
    })
}

/// The properties of a body.
fn properties(given: &Map<String, Value>) -> Result<&Map<String, Value>, Refusal> {
    given.get("properties").and_then(Value::as_object).ok_or_else(|| bad("properties must be an object"))
}

/// `POST /objects/{key}/records`.
pub(super) fn create(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = call.object()?;
    let (location, key) = (text(&given, "locationId"), call.part("key"));
    if location.is_empty() {
        return Err(bad("locationId should not be empty"));
    }
    call.may_use(location)?;
    let schema = inner.schema(location, key)?;
    let properties = properties(&given)?;
    inner.check_properties(location, key, properties)?;
    let (id, now) = (inner.id(), inner.written_now());
    let by = json!({ "channel": "INTEGRATION", "createdAt": now, "source": "PUBLIC_API", "sourceId": "sandbox" });
    let list = |name: &str| given.get(name).cloned().unwrap_or_else(|| json!([]));
    let record = json!({
        "id": id,
        "owner": list("owner"),
        "followers": list("followers"),
        "properties": properties,
        "createdAt": now,
        "updatedAt": now,
        "locationId": location,
        "objectId": schema["id"],
        "objectKey": key,
        "createdBy": by,
        "lastUpdatedBy": by,
    });
    inner.stock.records.put(&id, record.clone());
    created(json!({ "record": shown(&record) }))
}

/// `GET /objects/{key}/records/{id}`.
pub(super) fn view(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    ok(json!({ "record": shown(&inner.record(call)?) }))
}

/// `PUT /objects/{key}/records/{id}`: the properties that are named, and no others.
pub(super) fn update(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let location = call.query.get("locationId").ok_or_else(|| bad("locationId should not be empty"))?;
    call.may_use(location)?;
    let mut record = inner.record(call)?;
    let given = call.object()?;
    if let Some(name) =
        given.keys().find(|name| !["properties", "owner", "followers", "locationId"].contains(&name.as_str()))
    {
        return Err(bad(format!("property {name} should not exist")));
    }
    let properties = properties(&given)?;
    inner.check_properties(location, call.part("key"), properties)?;
    for (name, value) in properties {
        record["properties"][name] = value.clone();
    }
    for name in ["owner", "followers"] {
        given.get(name).into_iter().for_each(|value| record[name] = value.clone());
    }
    record["updatedAt"] = inner.written_now();
    inner.stock.records.put(call.part("id"), record.clone());
    ok(json!({ "record": shown(&record) }))
}

/// `DELETE /objects/{key}/records/{id}`.
pub(super) fn remove(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    inner.record(call)?;
    ok(json!({ "id": call.part("id"), "success": inner.stock.records.remove(call.part("id")) }))
}

impl Inner {
    fn record(&self, call: &Call) -> Result<Value, Refusal> {
        let record = self.stock.records.get(call.part("id"));
        let record = record.filter(|record| record["objectKey"] == call.part("key") && call.sees(record));
        record.ok_or_else(|| not_found("Record not found"))
    }
}

/// `POST /objects/{key}/records/search`: by a text, by filters, or both, in pages by number or after a record.
pub(super) fn search(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let given = call.object()?;
    let wanted = ["locationId", "page", "pageLimit", "query", "searchAfter"];
    if let Some(name) = wanted.into_iter().find(|name| !given.contains_key(*name)) {
        return Err(bad(format!("{name} should not be empty")));
    }
    let location = text(&given, "locationId");
    call.may_use(location)?;
    inner.schema(location, call.part("key"))?;
    let (Some(page), Some(limit)) = (given["page"].as_u64(), given["pageLimit"].as_u64()) else {
        return Err(bad("page and pageLimit must be numbers"));
    };
    if page == 0 || !(1..=MAX_PAGE).contains(&limit) {
        return Err(bad(format!("page starts at 1, and pageLimit is 1 to {MAX_PAGE}")));
    }
    let filters = given.get("filters").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut records = values(&inner.stock.records);
    let mut problem = None;
    records.retain(|record| {
        record["objectKey"] == call.part("key")
            && record["locationId"] == location
            && contains(record, text(&given, "query"))
            && all_fit(record, &filters).unwrap_or_else(|refusal| {
                problem = Some(refusal);
                false
            })
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    let total = records.len();
    let after = given["searchAfter"].as_array().and_then(|place| place.last()?.as_str().map(str::to_owned));
    let skipped = match &after {
        Some(after) if !call.struck.repeats() => {
            records.retain(|record| record["id"].as_str() > Some(after));
            0
        }
        _ if call.struck.repeats() => 0,
        _ => (page - 1).saturating_mul(limit),
    };
    let page = records.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
    let page = page.take(usize::try_from(limit).unwrap_or(usize::MAX)).map(found).collect();
    ok(json!({ "records": call.struck.shown(page), "total": call.struck.announced(total) }))
}

/// A record as a search shows it: with the place that the next page comes after.
fn found(mut record: Value) -> (String, Value) {
    let id = record["id"].as_str().unwrap_or_default().to_owned();
    let at = record["createdAt"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    record["searchAfter"] = json!([at.map(jiff::Timestamp::as_millisecond), id]);
    (id, record)
}

fn contains(record: &Value, query: &str) -> bool {
    let mut properties = record["properties"].as_object().into_iter().flat_map(Map::values);
    query.is_empty()
        || properties
            .any(|value| value.as_str().is_some_and(|text| text.to_lowercase().contains(&query.to_lowercase())))
}

fn all_fit(record: &Value, filters: &[Value]) -> Result<bool, Refusal> {
    let mut all = true;
    for filter in filters {
        all &= fits(record, filter)?;
    }
    Ok(all)
}

fn fits(record: &Value, filter: &Value) -> Result<bool, Refusal> {
    if let Some(filters) = filter["filters"].as_array() {
        let each = filters.iter().map(|filter| fits(record, filter)).collect::<Result<Vec<_>, _>>()?;
        return Ok(if filter["group"] == "OR" { each.contains(&true) } else { !each.contains(&false) });
    }
    let Some(field) = filter["field"].as_str() else { return Err(bad("filters must have a field")) };
    let (own, value) = (record.pointer(&format!("/{}", field.replace('.', "/"))), &filter["value"]);
    let is = |value: &Value| own == Some(value);
    Ok(match filter["operator"].as_str().unwrap_or_default() {
        "eq" => value.as_array().map_or_else(|| is(value), |values| values.iter().any(is)),
        "not_eq" => !is(value),
        "contains" => own.and_then(Value::as_str).zip(value.as_str()).is_some_and(|(own, part)| own.contains(part)),
        "exists" => own.is_some_and(|own| !own.is_null()),
        "not_exists" => own.is_none_or(Value::is_null),
        other => return Err(bad(format!("Invalid operator: {other}"))),
    })
}
