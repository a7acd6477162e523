//! `GET /locations`.

use certbridge_platform::{
    Answer, Problem, ProblemType,
    http::{Request, owner},
};
use certbridge_sync::{
    Engine,
    error::{RemoteClass, RemoteError},
    ports::{Destination, Locations},
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the destination may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// When a caller may ask again for what failed in a way that may pass.
const SOON: Duration = Duration::from_secs(5);

/// Answers with the destination's locations. That our key may not see them is an answer, too: it says which permission
/// to ask for.
pub(crate) async fn locations<S, R, D: Destination, Q, T>(engine: &Engine<S, R, D, Q, T>, request: &Request) -> Answer {
    if owner(request).is_none() {
        return Problem::new(ProblemType::Unauthorized).into();
    }
    // Whether it lists them at all, whether our key may see them, and the permission that it lacks.
    let (listed, scope, lacks, locations) = match engine.destination.locations(TIMEOUT).await {
        Ok(None) => (false, "unknown", None, Vec::new()),
        Ok(Some(listed)) => (true, "ok", None, sorted(listed)),
        Err(error) if error.class == RemoteClass::Unauthorized => {
            tracing::warn!(%error, "the destination does not show its locations");
            (true, "missing", error.lacking_scope().map(str::to_owned), Vec::new())
        }
        Err(error) => return failed(&error),
    };
    Answer::json(
        200,
        &json!({
            "destination": engine.plans.destination(), "listed": listed, "scope": scope, "lacks": lacks,
            "locations": locations,
        }),
    )
}

fn sorted(listed: Locations) -> Vec<Value> {
    let named = |name: String| Some(name).filter(|name| !name.is_empty());
    listed.names.into_iter().map(|(id, name)| json!({"id": id, "name": named(name)})).collect()
}

fn failed(error: &RemoteError) -> Answer {
    tracing::warn!(%error, "the locations cannot be read");
    Problem::new(ProblemType::BadGateway)
        .detail("The destination did not answer with its locations.")
        .retry_after(error.retry_after.unwrap_or(SOON))
        .into()
}
