//! Traces: which one an invocation belongs to, and a word to X-Ray of work that belongs to another invocation's. A stream
//! hands on no trace, so who syncs an event says so for the trace in which it was taken.

use crate::{config::Env, http::Request};
use certbridge_sync::trace::Trace;
use jiff::Timestamp;
use lambda_http::{Context, RequestExt};
use serde_json::{Map, Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

/// The trace of an invocation.
pub fn of_context(context: &Context) -> Option<Trace> {
    context.xray_trace_id.as_deref()?.parse().ok()
}

/// The trace of the invocation that a request came by.
pub fn of_request(request: &Request) -> Option<Trace> {
    of_context(request.lambda_context_ref()?)
}

/// A piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Where it belongs.
    pub trace: &'a Trace,
    /// Its own number: 16 hex digits, as in [`Trace::parent`] of what is below it.
    pub segment: &'a str,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it failed.
    pub failed: bool,
    /// What it can be found by: names of letters and underscores, with values that hold nothing personal.
    pub annotations: &'a [(&'a str, &'a str)],
}

/// Tells X-Ray's daemon what was done. Fire and forget: a lost word must not fail an event. Tells nobody by default.
#[derive(Debug, Clone, Default)]
pub struct Tracer {
    daemon: Option<Arc<(UdpSocket, SocketAddr)>>,
    function: Arc<str>,
}

impl Tracer {
    /// Of a function: at the address that Lambda names, if it traces.
    pub fn new(env: &Env, function: &str) -> Self {
        let daemon = || {
            let address = env.get("AWS_XRAY_DAEMON_ADDRESS")?.parse().ok()?;
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(Arc::new((socket, address)))
        };
        Self { daemon: daemon(), function: function.into() }
    }

    /// Tells of a piece of work, if anybody keeps its trace.
    pub fn tell(&self, work: Work<'_>) {
        let Some(daemon) = self.daemon.as_ref().filter(|_| work.trace.is_sampled()) else { return };
        let (socket, address) = &**daemon;
        let _ = socket.send_to(self.document(work).as_bytes(), address);
    }

    /// The daemon's header and, on a line of its own, the subsegment.
    fn document(&self, work: Work<'_>) -> String {
        let seconds = |at: Timestamp| at.as_microsecond() as f64 / 1_000_000.0;
        let annotations: Map<_, Value> =
            work.annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let subsegment = json!({
            "type": "subsegment",
            "name": &*self.function,
            "trace_id": work.trace.id(),
            "parent_id": work.trace.parent(),
            "id": work.segment,
            "start_time": seconds(work.began),
            "end_time": seconds(work.ended),
            "fault": work.failed,
            "annotations": annotations,
        });
        format!("{}\n{subsegment}", json!({"format": "json", "version": 1}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    fn tell(tracer: &Tracer, trace: &Trace) {
        let began: Timestamp = "2026-03-01T00:00:00.25Z".parse().unwrap();
        let ended = began + Duration::from_millis(1500);
        let annotations = &[("source", "accredible"), ("outcome", "synced")];
        tracer.tell(Work { trace, segment: "00000000000000ab", began, ended, failed: false, annotations });
    }

    #[test]
    fn the_daemon_hears_of_what_is_sampled_and_of_nothing_else() {
        let daemon = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = daemon.local_addr().unwrap().to_string();
        let tracer = Tracer::new(&[("AWS_XRAY_DAEMON_ADDRESS", address.as_str())].into_iter().collect(), "sync-event");
        // The first is told nobody, so what is heard first is the second.
        tell(&tracer, &HEADER.replace("Sampled=1", "Sampled=0").parse().unwrap());
        tell(&tracer, &HEADER.parse().unwrap());
        let mut buffer = [0; 2048];
        daemon.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = daemon.recv(&mut buffer).unwrap();
        let (header, document) = std::str::from_utf8(&buffer[..length]).unwrap().split_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<Value>(header).unwrap(), json!({"format": "json", "version": 1}));
        assert_eq!(
            serde_json::from_str::<Value>(document).unwrap(),
            json!({
                "type": "subsegment",
                "name": "sync-event",
                "trace_id": "1-5759e988-bd862e3fe1be46a994272793",
                "parent_id": "53995c3f42cd8ad8",
                "id": "00000000000000ab",
                "start_time": 1_772_323_200.25,
                "end_time": 1_772_323_201.75,
                "fault": false,
                "annotations": {"source": "accredible", "outcome": "synced"},
            })
        );
    }

    #[test]
    fn nobody_is_told_where_there_is_no_daemon() {
        tell(&Tracer::default(), &HEADER.parse().unwrap());
        let tracer = Tracer::new(&[("AWS_XRAY_DAEMON_ADDRESS", "nowhere")].into_iter().collect(), "sync-event");
        assert!(tracer.daemon.is_none());
    }

    #[test]
    fn an_invocation_says_its_trace() {
        let mut context = Context::default();
        assert_eq!(of_context(&context), None);
        context.xray_trace_id = Some(HEADER.to_owned());
        assert_eq!(of_context(&context).unwrap().to_string(), HEADER);
        let request = Request::default().with_lambda_context(context);
        assert_eq!(of_request(&request), HEADER.parse().ok());
    }
}
