//! The source and the destination in the simulated world: they fail, answer late or not at all, and list badly.

use crate::{
    past::title_told,
    ports::{Process, point},
    world::{Application, World},
};
use certbridge_mapping::{
    DestinationDefinition, Kind, ListedRecord, Plan, RecordKey, Request, ShownRecord, digest::sha256_of_parts,
};
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    ports::{Destination, Fetched, ListError, LocationCheck, Page, Pushed, Sources},
};
use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const SOURCE: &str = "sources/sim";
const DESTINATION: &str = "destinations/sim";

#[derive(Clone)]
pub(crate) struct SimSources {
    pub(crate) world: World,
    pub(crate) process: Process,
}

impl Sources for SimSources {
    async fn fetch(&self, _plan: &Plan, key: &RecordKey, _timeout: Duration) -> Result<Fetched, RemoteError> {
        {
            let mut state = self.world.lock();
            let now = state.now;
            if let Some(claim) = state.past.newest_claims.get(&key.to_string()).cloned() {
                state.past.fetched.entry(claim).or_insert(now);
            }
        }
        point().await;
        if self.world.strikes(8) {
            let classes = [RemoteClass::Failed, RemoteClass::Unanswered, RemoteClass::Throttled];
            return Err(failure(SOURCE, classes, &self.world));
        }
        // Now and then the source does not show a record that it has. What a batch asks directly is the last word, and
        // one that is wrong cannot be told from one that is right.
        let batch = self.world.lock().carriers.contains_key(&self.process.number);
        let fetched = if !batch && self.world.strikes(10) { Fetched::NotFound } else { self.world.fetch(key) };
        point().await;
        Ok(fetched)
    }

    async fn source_page(
        &self,
        plan: &Plan,
        kind: Kind,
        cursor: Option<&str>,
        _since: Option<Date>,
        _timeout: Duration,
    ) -> Result<Page<ListedRecord>, ListError> {
        let world = &self.world;
        let begun = {
            let mut state = world.lock();
            state.needs_turn(self.process.number, "a page of the source");
            state.now
        };
        if plan.source().records.get(&kind).is_none_or(|rules| rules.listed.is_none()) {
            return Err(ListError::Unlisted(SOURCE.to_owned()));
        }
        let held = |world: &World| {
            let state = world.lock();
            let item = |(id, credential): (&String, &Value)| {
                let changed_at = state.past.changed_at(&format!("certificate#{}#{id}", plan.source().name));
                (id.clone(), found(id, credential, changed_at))
            };
            state.source.iter().map(item).collect()
        };
        let page = page("source", SOURCE, world, self.process, cursor, held).await?;
        let mut state = world.lock();
        if let Some(seen) = state.seen_by(self.process.number) {
            let title = |item: &Value| item["name"].as_str().map(str::to_owned);
            seen.listed.extend(page.items.iter().map(|(id, item)| (id.clone(), begun, title(item))));
        }
        drop(state);
        let items = page.items.iter().filter_map(|(_, item)| plan.listed(kind, item)).collect();
        Ok(Page { items, nameless: page.nameless, next: page.next, announced: page.announced })
    }
}

/// A credential as the source's search shows it.
fn found(id: &str, credential: &Value, changed_at: Option<Timestamp>) -> Value {
    json!({
        "id": id, "name": credential["name"], "issued_on": credential["issued_on"], "updated_at": changed_at,
        "recipient_id": credential["recipient"]["id"], "custom_attributes": credential["custom_attributes"],
    })
}

#[derive(Clone)]
pub(crate) struct SimDestination {
    pub(crate) world: World,
    pub(crate) process: Process,
    /// Any plan: what is shown is read by the destination's half of it.
    pub(crate) plan: Arc<Plan>,
}

impl SimDestination {
    /// Applies a request now, or later, or not at all.
    fn apply(&self, application: Application, late: bool) {
        if late {
            self.world.tell(|| format!("{} will be applied later", application.idempotency_key));
            self.world.lock().late.push(application);
        } else {
            self.world.apply(&application);
        }
    }
}

impl Destination for SimDestination {
    fn redefine(&self, _definition: &Arc<DestinationDefinition>) {}

    async fn push(
        &self,
        _key: &RecordKey,
        request: &Request,
        idempotency_key: &str,
        _timeout: Duration,
    ) -> Result<Pushed, RemoteError> {
        let world = &self.world;
        world.lock().writes(self.process.number, "a push");
        point().await;
        if world.strikes(6) {
            let classes =
                [RemoteClass::Unreachable, RemoteClass::Throttled, RemoteClass::Failed, RemoteClass::Unauthorized];
            return Err(failure(DESTINATION, classes, world));
        }
        let process = self.process.number;
        let application =
            Application { request: request.clone(), idempotency_key: idempotency_key.to_owned(), process };
        if world.kills(10) {
            self.apply(application, true);
            return Err(failure(DESTINATION, [RemoteClass::Unanswered], world));
        }
        self.apply(application, false);
        point().await;
        if world.strikes(10) {
            return Err(failure(DESTINATION, [RemoteClass::Unanswered, RemoteClass::Failed], world));
        }
        Ok(Pushed::default())
    }

    async fn push_batch(
        &self,
        _batch_id: &str,
        requests: &[Request],
        idempotency_key: &str,
        _timeout: Duration,
    ) -> Result<Vec<Result<Pushed, RemoteError>>, RemoteError> {
        let world = &self.world;
        let mut applications = {
            let mut state = world.lock();
            state.writes(self.process.number, "a push");
            state.needs_turn(self.process.number, "a push");
            let carrier = &state.carriers[&self.process.number];
            let claim = |request: &Request| {
                let id = request.body["certificate_id"].as_str().unwrap();
                carrier.claims[&format!("certificate#{}#{id}", carrier.source)].clone()
            };
            let claims: Vec<_> = requests.iter().map(claim).collect();
            if sha256_of_parts(claims.iter().map(String::as_bytes)) != idempotency_key {
                state.accuse(format!("{claims:?} were told under another key"));
            }
            let application = |(request, idempotency_key): (&Request, String)| Application {
                request: request.clone(),
                idempotency_key,
                process: self.process.number,
            };
            requests.iter().zip(claims).map(application).collect::<Vec<_>>()
        };
        point().await;
        if world.strikes(8) {
            let classes = [
                RemoteClass::Unreachable,
                RemoteClass::Throttled,
                RemoteClass::Failed,
                RemoteClass::Unauthorized,
                RemoteClass::Misrouted,
                RemoteClass::Rejected,
            ];
            return Err(failure(DESTINATION, classes, world));
        }
        if world.kills(10) {
            applications.into_iter().for_each(|application| self.apply(application, true));
            return Err(failure(DESTINATION, [RemoteClass::Unanswered], world));
        }
        if world.strikes(8) {
            let some = world.lock().rng.usize(0..=applications.len());
            applications.drain(..some).for_each(|application| self.apply(application, false));
            return Err(failure(DESTINATION, [RemoteClass::Failed], world));
        }
        let mut results = Vec::with_capacity(applications.len());
        for application in applications {
            // The answer does not clearly tell of it, or says that it was refused.
            let odd = world.strikes(6).then(|| world.lock().rng.u32(0..3));
            if odd != Some(0) && odd != Some(1) {
                self.apply(application, false);
            }
            results.push(match odd {
                Some(0) => Err(failure(DESTINATION, [RemoteClass::Rejected], world)),
                Some(_) => Err(failure(DESTINATION, [RemoteClass::Unusable], world)),
                None => Ok(Pushed::default()),
            });
        }
        point().await;
        if world.strikes(10) {
            return Err(failure(DESTINATION, [RemoteClass::Unanswered, RemoteClass::Failed], world));
        }
        Ok(results)
    }

    async fn destination_page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        _timeout: Duration,
    ) -> Result<Page<ShownRecord>, ListError> {
        self.world.lock().needs_turn(self.process.number, "a page of the destination");
        let held = |world: &World| {
            let id = |body: &Value| body["certificate_id"].as_str().unwrap().to_owned();
            world.lock().destination.values().map(|body| (id(body), body.clone())).collect()
        };
        let page = page("destination", DESTINATION, &self.world, self.process, cursor, held).await?;
        let shown = |(_, body): &(String, Value)| self.plan.destination().shown(kind, body);
        let items = page.items.iter().filter_map(shown).collect();
        Ok(Page { items, nameless: page.nameless, next: page.next, announced: page.announced })
    }

    async fn check_location(
        &self,
        _location_id: &str,
        _asked_at: Option<Timestamp>,
        _timeout: Duration,
    ) -> Result<LocationCheck, RemoteError> {
        point().await;
        if self.world.strikes(10) {
            return Err(failure(DESTINATION, [RemoteClass::Unanswered, RemoteClass::Failed], &self.world));
        }
        Ok(LocationCheck::Known)
    }
}

/// A page of what a side holds at that moment, of one or two items, with all that may be wrong with it. A cursor stands
/// for the id that its page comes after.
async fn page(
    side: &'static str,
    provider: &str,
    world: &World,
    process: Process,
    cursor: Option<&str>,
    held: impl Fn(&World) -> Vec<(String, Value)>,
) -> Result<Page<(String, Value)>, ListError> {
    point().await;
    if world.strikes(4) {
        let classes = [RemoteClass::Failed, RemoteClass::Unanswered, RemoteClass::Throttled, RemoteClass::Unusable];
        return Err(failure(provider, classes, world).into());
    }
    if cursor.is_some() && is_cut(side, world, process) {
        return Err(failure(provider, [RemoteClass::Unusable], world).into());
    }
    if cursor.is_some() && world.strikes(4) {
        return Err(ListError::CursorRefused(failure(provider, [RemoteClass::Rejected], world)));
    }
    let after = cursor.unwrap_or_default();
    let mut rest: Vec<_> = held(world).into_iter().filter(|(id, _)| id.as_str() > after).collect();
    rest.sort_by(|one, other| one.0.cmp(&other.0));
    let total = rest.len() as u64;
    let size = world.lock().rng.usize(1..=2);
    let more = rest.len() > size;
    let mut items = rest.clone();
    items.truncate(size);
    let mut next = items.last().map(|(id, _)| id.clone()).filter(|_| more);
    let mut hidden: Vec<String> = Vec::new();
    if world.strikes(3) {
        // It moves to a page that was read before.
        hidden.extend((!items.is_empty()).then(|| items.remove(0).0));
    }
    if world.strikes(4) {
        // The next page is this one, or begins with its last item.
        let first = items.first().map(|(id, _)| id.clone());
        next = if world.lock().rng.bool() { Some(after.to_owned()) } else { first.or(next) };
    }
    if more && world.strikes(3) {
        // It says that it is the last one.
        next = None;
        hidden.extend(rest.iter().skip(size).map(|(id, _)| id.clone()));
    }
    let announced = [None, Some(0), Some(5000), Some(total)];
    let announced = if world.strikes(10) { announced[world.lock().rng.usize(0..4)] } else { Some(total) };
    let nameless = u64::from(world.strikes(3));
    world.tell(|| {
        let ids: Vec<_> = items.iter().map(|(id, item)| format!("{id} {:?}", title_shown(item))).collect();
        format!("{side} page after {after:?}: {ids:?}, next {next:?}, nameless {nameless}, hidden {hidden:?}")
    });
    if let Some(seen) = world.lock().seen_by(process.number) {
        seen.hidden.extend(hidden.into_iter().map(|id| (side, id)));
    }
    point().await;
    Ok(Page { items, nameless, next, announced })
}

/// Whether a listing cannot be read on.
fn is_cut(side: &'static str, world: &World, process: Process) -> bool {
    let strikes = world.strikes(3);
    let mut state = world.lock();
    let faults = state.faults;
    state.seen_by(process.number).is_some_and(|seen| {
        if strikes {
            seen.cut.insert(side);
        }
        faults && seen.cut.contains(side)
    })
}

fn title_shown(item: &Value) -> Option<String> {
    item["name"].as_str().map(str::to_owned).or_else(|| title_told(item))
}

fn failure<const N: usize>(provider: &str, classes: [RemoteClass; N], world: &World) -> RemoteError {
    let class = classes[world.lock().rng.usize(0..N)];
    world.tell(|| format!("{provider}: {class}"));
    RemoteError::new(provider, class, "simulated")
}
