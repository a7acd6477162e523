//! What a batch leaves in object storage: manifests of what was listed, findings, reports and checkpoints. A bucket on
//! AWS, a folder locally.
#![warn(missing_docs)]

mod manifest;
mod store;

pub use manifest::{Manifest, ManifestWriter, Segment};
pub use store::{Archive, ArchiveError, Content, ObjectWriter};
