//! Things that HighLevel gives ids of its own, and that must be made once: changed if ours is known, else looked for, and
//! only then made. See [`certbridge_sync::ids`].

use super::{HighLevel, Work};
use certbridge_sync::{
    error::{Effect, RemoteClass, RemoteError},
    grants::Grants,
    ids::{DestinationId, IdMap},
    ports::DestinationKeys,
};
use jiff::Timestamp;
use std::{future::Future, time::Duration};

/// What is noted in place of a beginning of which it is known that nothing came of it.
pub(super) const NEVER: Timestamp = Timestamp::UNIX_EPOCH;

/// A thing that is there, or was made.
pub(super) enum Found {
    There(String),
    Made(String),
}

impl Found {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::There(id) | Self::Made(id) => id,
        }
    }
}

/// How one kind of thing is changed, looked for and made.
pub(super) trait Thing: Sync {
    /// Changes the one of an id. `false` if it is not there any more.
    fn change(&self, id: &str) -> impl Future<Output = Result<bool, RemoteError>> + Send;

    /// The id of the one that bears our id.
    fn find(&self) -> impl Future<Output = Result<Option<String>, RemoteError>> + Send;

    /// Makes one.
    fn make(&self) -> impl Future<Output = Result<String, RemoteError>> + Send;
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// Tells a thing that is ours under a role.
    pub(super) async fn ours(&self, work: &Work<'_>, role: &str, thing: &impl Thing) -> Result<Found, RemoteError> {
        let known = work.ids.get(role);
        let stale = known.and_then(DestinationId::known);
        if let Some(id) = stale
            && thing.change(id).await?
        {
            return Ok(Found::There(id.to_owned()));
        }
        if let Some(found) = thing.find().await? {
            let noted = self.store.set_id(work.key, role, &found, stale).await;
            return self.there(thing, noted.map_err(|error| self.of_store(&error))?).await;
        }
        let now = self.http.now();
        if let Some(until) = known.and_then(|known| known.awaited_until(now)) {
            let what = "an earlier try may have made it, and the search does not show it yet";
            let retry_after = Duration::try_from(until.duration_since(now)).ok();
            return Err(RemoteError { retry_after, ..self.error(RemoteClass::Throttled, what) });
        }
        let begun = self.store.begin_id(work.key, role, stale, now).await;
        if let Some(other) = begun.map_err(|error| self.of_store(&error))? {
            return self.there(thing, other).await;
        }
        let made = thing.make().await;
        if made.as_ref().is_err_and(|error| error.effect() == Effect::None) {
            // Nothing came of it, so nobody need wait for it. If this is not noted, somebody does, for a while.
            let noted = self.store.begin_id(work.key, role, None, NEVER).await;
            drop(noted.inspect_err(|error| tracing::debug!(%error, "a beginning stands that came to nothing")));
        }
        let made = made?;
        let id = self.store.set_id(work.key, role, &made, stale).await.map_err(|error| self.of_store(&error))?;
        if id == made {
            return Ok(Found::Made(id));
        }
        tracing::error!(provider = self.provider, key = %work.key, kept = id, other = made, "it was made twice");
        self.there(thing, id).await
    }

    /// Changes what was found.
    async fn there(&self, thing: &impl Thing, id: String) -> Result<Found, RemoteError> {
        if thing.change(&id).await? {
            return Ok(Found::There(id));
        }
        let error = self.error(RemoteClass::Failed, "what was found a moment ago is gone");
        Err(RemoteError { left: Some(Effect::None), ..error })
    }
}
