//! What can go wrong with connecting, in words for whoever typed the command.

use certbridge_sync::RemoteError;
use std::path::PathBuf;

/// Why nobody is let in, or something is not made. No text holds a token or a code.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The database is a file that one process has.
    #[error(
        "{}: a running `certbridge up` has the database of this folder: stop it, connect, and start it again", .0.display()
    )]
    Running(PathBuf),
    /// There is nothing to connect with.
    #[error(
        "there is no secret destinations/highlevel in {0}: it holds {{\"api_key\": \"..\"}}, or \
         {{\"client_id\": \"..\", \"client_secret\": \"..\"}}, and \"default_location\""
    )]
    NoSecret(String),
    /// The definition is broken, or taken out.
    #[error("there is no definition of the destination highlevel that can be used")]
    NoDefinition,
    /// What was typed is no code.
    #[error("there is no code in what was given: paste the code, or the whole address that the page sent you to")]
    NoCode,
    /// Nobody has said where.
    #[error("in which location? Name it by --location, or as default_location in the secret destinations/highlevel")]
    NoLocation,
    /// The provider, or our tables.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
