//! The trace that a piece of work belongs to, which an inbox row carries from who took it to who syncs it.

use std::{fmt, str::FromStr};

/// A place in a trace, in the form of X-Ray's header: `Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// `1-{8 hex}-{24 hex}`.
    id: String,
    /// Under which segment what is done now belongs: 16 hex digits.
    parent: String,
    sampled: bool,
}

/// It is no place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace")]
pub struct NotATrace;

impl Trace {
    /// The trace's id, as X-Ray shows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The segment that the work belongs to.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// Whether anybody keeps it.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The same trace, below a segment of this number.
    #[must_use]
    pub fn below(&self, segment: u64) -> Self {
        Self { parent: format!("{segment:016x}"), ..self.clone() }
    }

    /// What W3C's header `traceparent` says of it.
    pub fn traceparent(&self) -> String {
        let id: String = self.id.split('-').skip(1).collect();
        format!("00-{id}-{}-{:02x}", self.parent, u8::from(self.sampled))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root={};Parent={};Sampled={}", self.id, self.parent, u8::from(self.sampled))
    }
}

impl FromStr for Trace {
    type Err = NotATrace;

    fn from_str(header: &str) -> Result<Self, NotATrace> {
        let member =
            |name: &str| header.split(';').find_map(|member| member.trim().strip_prefix(name)?.strip_prefix('='));
        let (id, parent) = (member("Root").ok_or(NotATrace)?, member("Parent").ok_or(NotATrace)?);
        let mut parts = id.splitn(3, '-');
        let whole = parts.next() == Some("1")
            && parts.next().is_some_and(|time| is_hex(time, 8))
            && parts.next().is_some_and(|unique| is_hex(unique, 24));
        if !whole || !is_hex(parent, 16) {
            return Err(NotATrace);
        }
        Ok(Self { id: id.to_owned(), parent: parent.to_owned(), sampled: member("Sampled") == Some("1") })
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    #[test]
    fn a_header_is_read_and_written() {
        let trace: Trace = HEADER.parse().unwrap();
        assert_eq!(trace.to_string(), HEADER);
        assert_eq!(trace.id(), "1-5759e988-bd862e3fe1be46a994272793");
        assert!(trace.is_sampled());
        assert_eq!(trace.traceparent(), "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
        let below = trace.below(0xab);
        assert_eq!((below.id(), below.parent()), (trace.id(), "00000000000000ab"));
        assert_eq!(below.traceparent(), "00-5759e988bd862e3fe1be46a994272793-00000000000000ab-01");
        // Lambda adds members of its own, and says of what is not kept that it is not.
        let more: Trace = HEADER.replace("Sampled=1", "Sampled=0;Lineage=1:a87bd80c:0").parse().unwrap();
        assert!(!more.is_sampled());
        assert!(more.traceparent().ends_with("-00"));
    }

    #[test]
    fn what_is_no_trace_is_none() {
        for header in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793-0;Parent=53995c3f42cd8ad8",
            "Root=1-5759E988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad",
        ] {
            assert_eq!(header.parse::<Trace>(), Err(NotATrace), "{header}");
        }
    }
}
