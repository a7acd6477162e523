//! `certbridge keys`: who may call our API.
//!
//! A key is made here and shown once; the secret `api-keys` keeps its SHA-256. What becomes of that secret is decided
//! in `document`, wherever the secret is: in a data folder ([`LocalKeys`]) or in AWS ([`AwsKeys`]).

mod aws;
mod command;
mod document;
mod error;
mod expiry;
mod local;

pub use aws::AwsKeys;
pub use command::{KeysCommand, Place, run};
pub use document::{Document, Listed, State};
pub use error::KeysError;
pub use expiry::expiry;
pub use local::LocalKeys;

use crate::CliError;
use certbridge_platform::keys::{ApiKey, scopes};
use certbridge_sync::ports::Runtime;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeSet, future::Future};

/// Where the secret `api-keys` is kept.
pub trait KeyStore: Sync {
    /// Reads it.
    fn read(&self) -> impl Future<Output = Result<Document, CliError>> + Send;

    /// Puts in its place what `edit` makes of it. Nobody else's change is lost: where one comes in between, `edit` is
    /// asked again, with the newer document, which may even hold what an earlier call made of it.
    fn update(
        &self,
        edit: impl FnMut(&mut Document) -> Result<(), KeysError> + Send,
    ) -> impl Future<Output = Result<(), CliError>> + Send;
}

/// A key that somebody is to have.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Who: the actor in the audit.
    pub owner: String,
    /// What it is to open.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Its id, unless one is to be made from the owner.
    pub id: Option<String>,
}

/// A key that was made. The one chance to learn it.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: SecretString,
    /// What is kept of it.
    pub entry: ApiKey,
}

/// A key of 256 random bits. It begins so that scanners for leaked secrets can know it: `cb_[0-9a-f]{64}`.
pub fn fresh(runtime: &impl Runtime) -> SecretString {
    format!("cb_{:032x}{:032x}", runtime.random(), runtime.random()).into()
}

/// Makes a key, and stores what is kept of it.
pub async fn create(store: &impl KeyStore, wanted: NewKey, runtime: &impl Runtime) -> Result<Created, CliError> {
    let NewKey { owner, scopes: wanted, expires, id } = wanted;
    let owner = owner.trim().to_owned();
    if owner.is_empty() || owner.chars().any(char::is_control) {
        return Err(KeysError::Owner.into());
    }
    let wanted: BTreeSet<_> = wanted.into_iter().collect();
    if wanted.is_empty() {
        return Err(KeysError::NoScope.into());
    }
    if let Some(unknown) = wanted.iter().find(|scope| !scopes().contains(scope.as_str())) {
        return Err(KeysError::UnknownScope(unknown.clone()).into());
    }
    if expires.is_some_and(|expires| expires <= runtime.now()) {
        return Err(KeysError::Past.into());
    }
    let id = id.unwrap_or_else(|| id_for(&owner, runtime));
    if id.is_empty() || !id.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char)) {
        return Err(KeysError::Id.into());
    }
    let key = fresh(runtime);
    let entry = ApiKey::new(key.expose_secret(), id, owner, wanted.into_iter().collect(), expires);
    store.update(|document| document.add(&entry)).await?;
    Ok(Created { key, entry })
}

/// All keys, and what is the matter with each at `now`.
pub async fn list(store: &impl KeyStore, now: Timestamp) -> Result<Vec<Listed>, CliError> {
    Ok(store.read().await?.list(now))
}

/// Removes a key.
pub async fn revoke(store: &impl KeyStore, id: &str) -> Result<(), CliError> {
    let mut found = false;
    store
        .update(|document| {
            // Found before and gone now: removed, by us or by somebody else.
            found |= document.remove(id);
            if found { Ok(()) } else { Err(KeysError::UnknownId(id.to_owned())) }
        })
        .await
}

/// An id that says whose key it is, and that no other key has.
fn id_for(owner: &str, runtime: &impl Runtime) -> String {
    let plain = owner.to_ascii_lowercase();
    let words: Vec<_> =
        plain.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(32).collect();
    format!("{}-{:012x}", if name.is_empty() { "key" } else { &name }, runtime.random() >> 80)
}
