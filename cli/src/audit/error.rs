//! What can go wrong with the trail, in words for whoever typed the command.

/// Why a command about the trail did nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The secret does not say what it should. Never shows what it says.
    #[error("the secret audit is not what it should be: {{\"signing_key\", \"digest_key\"}}")]
    Secret,
    /// There is no key.
    #[error("the secret audit has no signing_key: checkpoints are not signed; `certbridge audit key --make` makes one")]
    NoKey,
    /// It is neither a key nor a file of keys.
    #[error("{0:?} is neither a public key nor a file that holds public keys, one a line")]
    PublicKey(String),
    /// The checkpoints of a deployment are the function's to make.
    #[error(
        "on AWS the schedule NightlyCheckpoint makes them; to make one now, invoke the function batch-sync with \
         {{\"task\": \"checkpoint\"}}"
    )]
    OnAws,
    /// Nobody said where the checkpoints are.
    #[error("where are the checkpoints? Set CHECKPOINTS_URL (or give --checkpoints-url), such as s3://bucket")]
    NoCheckpoints,
    /// A checkpoint could not be made.
    #[error("{0}")]
    Checkpoint(String),
}
