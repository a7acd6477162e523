//! `GET /mappings` and `POST /mappings/preview`: the plans in force, and what they make of a payload.

use crate::{
    handler::{Api, Refused, Tables},
    query::fault,
};
use certbridge_mapping::{
    Document, Plan, Problems, Sample,
    check::{Checked, check_event},
    problem::{Problem, Shape},
};
use certbridge_platform::{Answer, http::Request};
use certbridge_sync::{
    batches::Executions,
    ports::{RetryQueue, Runtime},
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The largest body that is taken, in bytes: as large as a delivery, and what is around it.
const MAX_BODY_BYTES: usize = 300 * 1024;
const MEMBERS: [&str; 3] = ["source", "payload", "headers"];

#[derive(Serialize)]
struct Mappings<'a> {
    destination: &'a str,
    plans: Vec<ShownPlan>,
    broken: Vec<Broken>,
}

#[derive(Serialize)]
struct ShownPlan {
    source: String,
    aliases: Vec<String>,
    version: String,
    kinds: Vec<ShownKind>,
}

#[derive(Serialize)]
struct ShownKind {
    kind: &'static str,
    fields: Vec<ShownField>,
}

#[derive(Serialize)]
struct ShownField {
    field: String,
    personal: bool,
}

#[derive(Serialize)]
struct Broken {
    file: String,
    reason: String,
}

#[derive(Serialize)]
struct Preview<'a> {
    source: &'a str,
    #[serde(flatten)]
    checked: Checked,
}

impl<S: Tables, Q: RetryQueue, E: Executions, T: Runtime> Api<S, Q, E, T> {
    /// The plans in force.
    pub(crate) fn mappings(&self) -> Answer {
        let definitions = self.definitions.current();
        let destination = definitions.destination(&self.destination);
        let plan = |source: &Arc<_>| Some(Plan::new(Arc::clone(source), Arc::clone(destination?)));
        let plans = definitions.sources().filter_map(plan).map(|plan| shown(&plan)).collect();
        let broken = definitions
            .errors()
            .iter()
            .map(|error| Broken { file: error.file.clone(), reason: error.faults.join("; ") });
        let broken = broken.collect();
        Answer::json(200, &Mappings { destination: &self.destination, plans, broken })
    }

    /// What a payload would become. Nothing is stored, fetched or told.
    pub(crate) fn preview(&self, request: &Request) -> Result<Answer, Refused> {
        let body: &[u8] = request.body().as_ref();
        if body.len() > MAX_BODY_BYTES {
            return Err(Refused::BodyTooLarge { bytes: body.len(), limit: MAX_BODY_BYTES });
        }
        let document = Document::given(body)?;
        let wish = wish(document.value())?;
        let definitions = self.definitions.current();
        let source = definitions.source(&wish.source).ok_or(Refused::UnknownSource)?;
        let destination = definitions.destination(&self.destination);
        let destination = destination.ok_or_else(|| Refused::Unusable("the destination is broken".to_owned()))?;
        let plan = Plan::new(Arc::clone(source), Arc::clone(destination));
        let sample = Sample { event_type: String::new(), body: wish.payload, headers: wish.headers };
        Ok(Answer::json(200, &Preview { source: &source.name, checked: check_event(&plan, &sample) }))
    }
}

fn shown(plan: &Plan) -> ShownPlan {
    let source = plan.source();
    let kind = |kind: &certbridge_mapping::Kind| ShownKind {
        kind: kind.as_str(),
        fields: kind
            .fields()
            .iter()
            .map(|field| ShownField {
                field: field.name.to_owned(),
                personal: plan.is_personal_field(*kind, field.name),
            })
            .collect(),
    };
    ShownPlan {
        source: source.name.clone(),
        aliases: source.aliases.clone(),
        version: plan.version().to_string(),
        kinds: source.records.keys().map(kind).collect(),
    }
}

/// What a caller asks to be previewed.
struct Wish {
    source: String,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
}

fn wish(value: &Value) -> Result<Wish, Problems> {
    let wanted = |name: &str, found: Option<&Value>, wanted: &str| Problem::new(name, Shape::of(found), wanted);
    let members = value.as_object().ok_or_else(|| Problems::one(wanted("body", Some(value), "an object")))?;
    let mut faults: Vec<_> = members
        .keys()
        .filter(|name| !MEMBERS.contains(&name.as_str()))
        .flat_map(|name| fault("body", name, &format!("no members but {}", MEMBERS.join(", "))).0)
        .collect();
    let source = members.get("source");
    if source.and_then(Value::as_str).is_none() {
        faults.push(wanted("source", source, "the name of a source"));
    }
    if !members.contains_key("payload") {
        faults.push(wanted("payload", None, "the body of a delivery"));
    }
    let headers = match members.get("headers") {
        None => Some(Vec::new()),
        Some(Value::Object(headers)) => headers_of(headers),
        Some(_) => None,
    };
    if headers.is_none() {
        faults.push(wanted("headers", members.get("headers"), "an object of texts"));
    }
    match (source.and_then(Value::as_str), members.get("payload"), headers) {
        (Some(source), Some(payload), Some(headers)) if faults.is_empty() => Ok(Wish {
            source: source.to_owned(),
            // A payload that is a text is one that is no JSON, or was written down as it came.
            payload: payload.as_str().map_or_else(|| payload.to_string(), str::to_owned).into_bytes(),
            headers,
        }),
        _ => Err(Problems(faults)),
    }
}

fn headers_of(headers: &Map<String, Value>) -> Option<Vec<(String, String)>> {
    headers.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
