//! What can go wrong on the command line, in words for whoever typed it.

use std::{io, path::PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the data folder.
    #[error("{}: another certbridge works in this folder", .0.display())]
    Locked(PathBuf),
    /// There are no tables to look into.
    #[error("{}: there are no tables here: the first `certbridge up` makes them; or is it another --data?", .0.display())]
    NoTables(PathBuf),
    /// The secrets' file.
    #[error("{}: not JSON: line {line}, column {column}", path.display())]
    Secrets {
        /// Its path.
        path: PathBuf,
        /// Where it breaks off.
        line: usize,
        /// Where it breaks off.
        column: usize,
    },
    /// There is no such source.
    #[error("there is no source {0}")]
    UnknownSource(String),
    /// There is no key to sign with.
    #[error("{}: sources/{name} has no signing key", path.display())]
    NoKey {
        /// The secrets' file.
        path: PathBuf,
        /// The source.
        name: String,
    },
    /// The key is not of the sort that the source's scheme signs with.
    #[error("sources/{0}: {1}")]
    Sign(String, certbridge_mapping::verify::SignError),
    /// A port, a socket, the embedded database.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] certbridge_platform::SecretError),
    /// The key that signs checkpoints.
    #[error("the secret audit: signing_key: {0}")]
    Signer(#[from] certbridge_sync::checkpoint::KeyError),
    /// The tables.
    #[error(transparent)]
    Store(#[from] certbridge_sync::StoreError),
    /// The environment, the definitions, the providers' addresses.
    #[error(transparent)]
    Wiring(#[from] certbridge_wiring::WiringError),
    /// The environment.
    #[error(transparent)]
    Config(#[from] certbridge_platform::ConfigError),
    /// Where reports are kept.
    #[error(transparent)]
    Archive(#[from] certbridge_archive::ArchiveError),
    /// A request of our own.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The audit trail.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// What was to be erased, or held.
    #[error(transparent)]
    Erase(#[from] crate::erase::EraseError),
    /// A key to our API.
    #[error(transparent)]
    Keys(#[from] crate::keys::KeysError),
    /// A secret that is to be seen or rotated.
    #[error(transparent)]
    Rotation(#[from] crate::secrets::SecretsError),
    /// What was to be set up.
    #[error(transparent)]
    Init(#[from] crate::init::InitError),
    /// A destination that is to be connected.
    #[error(transparent)]
    Connect(#[from] crate::connect::ConnectError),
    /// A subscription to a source's webhooks.
    #[error(transparent)]
    Subscriptions(#[from] crate::subscriptions::SubscriptionsError),
    /// The definitions in force.
    #[error(transparent)]
    Definitions(#[from] crate::config::ConfigError),
    /// Which bundle is meant.
    #[error(transparent)]
    Place(#[from] crate::place::PlaceError),
    /// A definition that is tried.
    #[error(transparent)]
    Mapping(#[from] crate::mapping::MappingError),
    /// A definition that was to be written.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
    /// A test event.
    #[error(transparent)]
    Test(#[from] crate::probe::TestError),
    /// Our API, as a caller sees it.
    #[error(transparent)]
    Api(#[from] crate::batch::ApiError),
    /// A file of records.
    #[error("{}: not a JSON array of records: line {line}, column {column}", path.display())]
    Records {
        /// Its path.
        path: PathBuf,
        /// Where it breaks off.
        line: usize,
        /// Where it breaks off.
        column: usize,
    },
    /// There is nothing to show.
    #[error("there is no batch yet: `certbridge batch run` starts one")]
    NoBatch,
    /// What the demo promises did not come true.
    #[error("{0}")]
    Demo(String),
}

impl CliError {
    /// With the path that an error of the system is about.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
