//! What a port may answer instead of what was asked for, and whether trying again can help.

use std::time::Duration;

/// A table or a queue did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It is there but wants less of us, or another transaction holds the row. Nothing was written, unless an earlier
    /// try of the same call was, and its answer lost.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// It could not be asked, or did not answer: what was asked for may have happened or not.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// It refused for good: a missing table or permission, or a row that cannot be read.
    #[error("the store refused: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether trying again can help without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// A provider did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{provider}: {class}: {message}")]
pub struct RemoteError {
    /// The provider, as `sources/{name}` or `destinations/{name}`.
    pub provider: String,
    /// What became of the request.
    pub class: RemoteClass,
    /// For the log: a status, a phase, the names of fields. Never a key, a body or anything personal.
    pub message: String,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
    /// What it may have left behind, where its class does not say so: it only asked, or other requests went before it.
    pub left: Option<Effect>,
}

/// What became of a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RemoteClass {
    /// It never left: no connection, or no time.
    #[error("not reached")]
    Unreachable,
    /// It left, and no whole answer came back: it may be applied now, later, or never.
    #[error("no answer")]
    Unanswered,
    /// The provider answered that it failed (5xx): it may have been applied, and is over.
    #[error("failed")]
    Failed,
    /// The provider wants less of us (429). Nothing was applied.
    #[error("throttled")]
    Throttled,
    /// The provider does not take our key (401, 403). Nothing was applied; a person must look, and no event is to blame.
    #[error("not authorized")]
    Unauthorized,
    /// There is no such route there, or it redirects. Nothing was applied; the address is wrong, no event is to blame.
    #[error("misrouted")]
    Misrouted,
    /// An answer that says nothing usable, though it says success.
    #[error("unusable answer")]
    Unusable,
    /// The provider refuses this very request. Nothing was applied, and repeating it cannot help.
    #[error("rejected")]
    Rejected,
}

impl RemoteError {
    /// An error of a class, with nothing to wait for, and the effect that the class has.
    pub fn new(provider: impl Into<String>, class: RemoteClass, message: impl Into<String>) -> Self {
        Self { provider: provider.into(), class, message: message.into(), retry_after: None, left: None }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.class != RemoteClass::Rejected
    }

    /// The permission that our key lacks, where the provider does not take it for that, and its message names it.
    pub fn lacking_scope(&self) -> Option<&str> {
        let named = self.message.split_once("the scope ").filter(|_| self.class == RemoteClass::Unauthorized);
        named.and_then(|(_, scope)| scope.split(' ').next())
    }

    /// Whether the request may have had, or may yet have, an effect.
    pub fn effect(&self) -> Effect {
        self.left.unwrap_or(match self.class {
            RemoteClass::Unanswered => Effect::PossibleLater,
            RemoteClass::Failed | RemoteClass::Unusable => Effect::Possible,
            _ => Effect::None,
        })
    }
}

/// What a failed request may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Provably nothing.
    None,
    /// Perhaps it was applied, but it is over.
    Possible,
    /// Perhaps it was applied, or will yet be.
    PossibleLater,
}
