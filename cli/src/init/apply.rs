//! Putting the keys where they belong. What is there stays: to do it again is safe.

use super::{Plan, SourcePlan};
use crate::{
    CliError,
    keys::fresh,
    local::DataFolder,
    secrets::{
        SecretStore, SecretsError,
        command::{fresh_signer, is_usable},
        document::{API_KEY, SIGNING_KEY},
    },
};
use certbridge_sync::ports::Runtime;
use secrecy::{ExposeSecret, SecretString};

/// A key that was made for a sender, who has to be told it.
pub(super) struct Made {
    pub(super) source: String,
    pub(super) key: SecretString,
}

/// Puts them there, and gives those that were made.
pub(super) async fn put(plan: &Plan, store: &SecretStore, runtime: &impl Runtime) -> Result<Vec<Made>, CliError> {
    if !plan.is_deployed() {
        match DataFolder::open(&plan.place.data) {
            // An `up` runs on it, so it is there.
            Err(CliError::Locked(_)) => {}
            folder => drop(folder?),
        }
    }
    let mut made = Vec::new();
    for one in &plan.sources {
        made.extend(source(one, plan, store, runtime).await?);
    }
    let now = runtime.now();
    if let Some(key) = &plan.destination_key {
        store
            .make(&format!("destinations/{}", plan.destination), |secret| {
                if !secret.holds(API_KEY, key) {
                    secret.replace(API_KEY, key, now);
                }
                Ok(())
            })
            .await?;
    }
    store
        .make("audit", |secret| {
            if secret.is_blank("digest_key") {
                secret.set("digest_key", fresh(runtime).expose_secret());
            }
            if secret.is_blank(SIGNING_KEY) {
                secret.replace_signer(&fresh_signer(runtime), now)?;
            }
            Ok(())
        })
        .await?;
    Ok(made)
}

async fn source(
    one: &SourcePlan,
    plan: &Plan,
    store: &SecretStore,
    runtime: &impl Runtime,
) -> Result<Option<Made>, CliError> {
    let (source, name, now) = (&one.source, one.source.secret_name(), runtime.now());
    if one.signing.as_ref().is_some_and(|key| !is_usable(source, key)) {
        return Err(SecretsError::Unusable(name).into());
    }
    let mut random = [0; 32];
    random[..16].copy_from_slice(&runtime.random().to_be_bytes());
    random[16..].copy_from_slice(&runtime.random().to_be_bytes());
    let pair = source.new_key(&random).map_err(|error| CliError::Sign(source.name.clone(), error))?;
    // On this machine whoever sets it up plays the sender, too.
    let may_make = pair.private.is_none() || !plan.is_deployed();
    let mut made = None;
    store
        .make(&name, |secret| {
            made = None;
            let is_off = secret.signing().is_empty();
            match &one.signing {
                Some(key) => match secret.add(key, now) {
                    Err(SecretsError::Held(_)) => {}
                    added => drop(added?),
                },
                None if is_off && may_make => {
                    secret.add(&pair.signing, now)?;
                    match &pair.private {
                        Some(private) => secret.set("private_key", private.expose_secret()),
                        None => made = Some(pair.signing.clone()),
                    }
                }
                None => {}
            }
            if let Some(key) = one.api_key.as_ref().filter(|key| !secret.holds(API_KEY, key)) {
                secret.replace(API_KEY, key, now);
            }
            // The sandbox's provider lets in who has this.
            if secret.is_blank(API_KEY) && !plan.is_deployed() {
                secret.replace(API_KEY, &fresh(runtime), now);
            }
            Ok(())
        })
        .await?;
    Ok(made.map(|key| Made { source: source.name.clone(), key }))
}
