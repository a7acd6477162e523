//! The world around Certbridge on one machine: the providers as stateful HTTP servers with faults to switch on, and
//! DynamoDB embedded in the process. For `certbridge up`, the demo and the tests.
#![warn(missing_docs)]

pub mod dynamodb;
pub mod fault;
pub mod provider;
