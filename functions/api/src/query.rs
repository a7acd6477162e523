//! What stands in a request's path and after its `?`, all faults at once.

use crate::{
    cursor::{Cursors, Scope},
    handler::Refused,
};
use certbridge_mapping::{
    Definitions, Kind, Problems, RecordKey,
    problem::{Problem, Shape},
};
use certbridge_platform::http::{Request, key_id, owner, path_parameter, query_parameter, route};

const DEFAULT_LIMIT: usize = 25;
const MAX_LIMIT: usize = 100;
/// The source that is meant where none is named.
pub(crate) const DEFAULT_SOURCE: &str = "accredible";

/// The part of a list that is wanted.
#[derive(Debug)]
pub(crate) struct PageWanted<'a> {
    /// How many items, at most.
    pub(crate) limit: usize,
    /// The place after which it begins.
    pub(crate) after: Option<String>,
    scope: Scope<'a>,
}

impl<'a> PageWanted<'a> {
    /// Reads it; `filters` are what a cursor goes with beside caller and route.
    pub(crate) fn read(request: &'a Request, cursors: &Cursors, filters: &[&'a str]) -> Result<Self, Problems> {
        let caller = key_id(request).or(owner(request)).unwrap_or_default();
        let route = route(request).map_or("", |route| route.key);
        let scope = Scope([caller, route].into_iter().chain(filters.iter().copied()).collect());
        let limit = limit(request);
        let after = cursors.read(&scope, query_parameter(request, "cursor"));
        match (limit, after) {
            (Ok(limit), Ok(after)) => Ok(Self { limit, after, scope }),
            (limit, after) => {
                let faults = [limit.err(), after.err()].into_iter().flatten();
                Err(Problems(faults.flat_map(|problems| problems.0).collect()))
            }
        }
    }

    /// The cursor of the next page.
    pub(crate) fn next(&self, cursors: &Cursors, place: Option<&str>) -> Option<String> {
        place.map(|place| cursors.write(&self.scope, place))
    }
}

fn limit(request: &Request) -> Result<usize, Problems> {
    let Some(value) = query_parameter(request, "limit") else { return Ok(DEFAULT_LIMIT) };
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| fault("limit", value, &format!("a number from 1 to {MAX_LIMIT}")))
}

/// What is wrong with one value.
pub(crate) fn fault(name: &str, value: &str, wanted: &str) -> Problems {
    Problems::one(Problem::new(name, Shape::String(value.chars().count()), wanted))
}

/// The kind in the path; certificates, where the route names none.
pub(crate) fn kind(request: &Request) -> Result<Kind, Problems> {
    let Some(value) = path_parameter(request, "kind") else { return Ok(Kind::default()) };
    let names = Kind::ALL.map(Kind::as_str).join(", ");
    value.parse().map_err(|_| fault("kind", value, &format!("one of {names}")))
}

/// The record that the path names. Of certificates, the source may stand after the `?`.
pub(crate) fn record(request: &Request, definitions: &Definitions) -> Result<RecordKey, Refused> {
    let kind = kind(request)?;
    let named = path_parameter(request, "source").or_else(|| query_parameter(request, "source"));
    let source = definitions.source(named.unwrap_or(DEFAULT_SOURCE)).ok_or(Refused::UnknownSource)?;
    let id = path_parameter(request, "id").unwrap_or_default();
    let id = id.parse().map_err(|error: certbridge_mapping::record::InvalidId| fault("id", id, &error.to_string()))?;
    Ok(RecordKey { kind, source: source.name.clone(), id })
}
