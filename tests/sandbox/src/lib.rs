//! The world around Certbridge on one machine: the providers as stateful HTTP servers with faults to switch on, what
//! they deliver, and DynamoDB embedded in the process. For `certbridge up`, the demo and the tests.
//!
//! Each provider listens on a loopback port of its own, speaks its own API there, and is steered from Rust or, under
//! `/_sandbox/`, by hand (`openapi.json` beside this crate says how):
//!
//! ```text
//! curl -X PUT  $ACCREDIBLE_URL/_sandbox/credentials/1 -d '{"custom_attributes": {"location_id": "loc_london"}}'
//! curl -X POST $SNAPSHOTS_URL/_sandbox/faults -d '{"fault": "status", "status": 503, "retry_after": 5, "times": 2}'
//! curl         $SNAPSHOTS_URL/_sandbox/requests
//! ```
//!
//! The steering takes no key, so nothing of this may listen on an address that others reach.
#![warn(missing_docs)]

pub mod accredible;
pub mod accredit;
pub mod acculynx;
pub mod certifylize;
mod cursors;
pub mod delivery;
pub mod dynamodb;
pub mod fault;
pub mod highlevel;
mod keys;
pub mod provider;
mod search;
pub mod seventeenhats;
pub mod snapshots;
pub mod standard_webhooks;
mod table;

pub use accredible::{Accredible, Credential};
pub use accredit::Accredit;
pub use acculynx::AccuLynx;
pub use certifylize::Certifylize;
pub use delivery::{Attempt, Courier, Pace, Rule};
pub use fault::{Fault, FaultRule};
pub use highlevel::HighLevel;
pub use provider::{LoggedRequest, Options, Provider};
pub use snapshots::{Application, Applied, Snapshots};
