//! Which trace requests belong to: whoever begins a piece of work says it once, and every request of it carries it.

use certbridge_sync::trace::Trace;
use reqwest::header::HeaderValue;
use std::future::Future;

tokio::task_local! {
    static TRACE: Option<Trace>;
}

/// Does a piece of work whose requests carry `trace` in W3C's header `traceparent`.
pub async fn within<F: Future>(trace: Option<Trace>, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The header of a request that is sent now, if its work belongs to a trace.
pub(crate) fn traceparent() -> Option<HeaderValue> {
    let trace = TRACE.try_with(|trace| trace.as_ref().map(Trace::traceparent)).ok().flatten()?;
    HeaderValue::try_from(trace).ok()
}
