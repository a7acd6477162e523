//! The ports over HTTP: the sources' APIs, and the destination's. The only crate that names an HTTP client.
//!
//! ```text
//! HttpSources (Sources) ---+
//!                          +--> Http: one client, one attempt, one bounded answer --> RemoteError by its class
//! HttpDestination ---------+
//!   Snapshots, or HighLevel
//! ```
//!
//! What holds for every request: one attempt (who tries again is decided by the use cases), within the time given, over
//! TLS unless the host is this machine, to the host that was configured and no other (redirects are not followed, no
//! proxy is taken from the environment), with an answer of at most [`MAX_ANSWER_BYTES`]. A message in an error names
//! statuses, phases, fields and codes: never a key, an address's query, or a text that a provider wrote for people,
//! since that may repeat what we sent.
#![warn(missing_docs)]

mod accredible;
mod acculynx;
mod address;
mod destination;
pub mod highlevel;
pub mod hooks;
mod http;
mod listing;
mod location_list;
mod nearest;
mod refusal;
mod snapshots;
mod sources;
pub mod subscriptions;
pub mod trace;

pub use address::BaseUrlError;
pub use destination::HttpDestination;
pub use highlevel::HighLevel;
pub use hooks::Hooks;
pub use http::{Http, HttpError, MAX_ANSWER_BYTES};
pub use refusal::MAX_RETRY_AFTER;
pub use snapshots::Snapshots;
pub use sources::HttpSources;
