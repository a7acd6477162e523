//! The secrets: there, readable, usable, and not too old.

use super::{Area, Findings};
use crate::{
    CliError,
    secrets::{SecretStore, document::SIGNING_KEY},
};
use certbridge_mapping::{Definitions, Keys};
use certbridge_sync::checkpoint::Signer;
use jiff::Timestamp;
use secrecy::ExposeSecret;

const AREA: Area = Area::Secrets;

pub(super) async fn examine(
    found: &mut Findings,
    store: &SecretStore,
    definitions: &Definitions,
    destination: Option<&str>,
    max_days: i64,
    now: Timestamp,
) -> Result<(), CliError> {
    for source in definitions.sources() {
        let name = source.secret_name();
        let Some(document) = read(found, store, &name, max_days, now).await? else {
            found.skipped(AREA, format!("secrets.{name}"), "there is none, so the source is off");
            continue;
        };
        let id = format!("secrets.{name}");
        let keys = match document.signing_texts() {
            Ok(keys) => Keys::new(keys),
            Err(error) => {
                found.failed(AREA, id, error.to_string(), format!("give {name} a list of texts as `signing`"));
                continue;
            }
        };
        let Some(keys) = keys else {
            found.skipped(AREA, id, "no signing key, so the source is off");
            continue;
        };
        let unusable = source.unusable_keys(&keys);
        if unusable.len() == keys.ids().len() {
            let mend =
                format!("certbridge secrets rotate {name} add, with a key of the scheme that the definition names");
            found.failed(AREA, id, "no key is one that its scheme can use, so the source is off", mend);
        } else if unusable.is_empty() {
            let rotation = if keys.ids().len() > 1 { "; a rotation is under way" } else { "" };
            found.ok(AREA, id, format!("on, signing keys: {}{rotation}", keys.ids().join(", ")));
        } else {
            let mend = format!("certbridge secrets rotate {name} remove --id {}", unusable[0]);
            found.warning(AREA, id, format!("its scheme cannot use {}", unusable.join(", ")), mend);
        }
    }
    if let Some(destination) = destination {
        let name = format!("destinations/{destination}");
        let document = read(found, store, &name, max_days, now).await?;
        let held = document.map(|document| document.keys().into_iter().map(|key| key.member).collect::<Vec<_>>());
        let id = format!("secrets.{name}");
        match held {
            Some(members) if !members.is_empty() => found.ok(AREA, id, format!("holds {}", members.join(", "))),
            _ => found.failed(AREA, id, "holds no key: the destination lets nobody in", "certbridge init"),
        }
    }
    audit(found, store, max_days, now).await?;
    api_keys(found, store, now).await
}

/// Reads one, and says what is wrong with it in itself.
async fn read(
    found: &mut Findings,
    store: &SecretStore,
    name: &str,
    max_days: i64,
    now: Timestamp,
) -> Result<Option<crate::secrets::Document>, CliError> {
    let held = match store.read(name).await {
        Ok(held) => held,
        Err(error) => {
            let mend = "mend what it says; `certbridge secrets list` reads them all";
            found.failed(AREA, format!("secrets.{name}.readable"), error.to_string(), mend);
            return Ok(None);
        }
    };
    let Some(held) = held else { return Ok(None) };
    for key in held.document.keys() {
        let Some(at) = key.added.or(held.since) else { continue };
        let days = now.duration_since(at).as_hours() / 24;
        if days > max_days {
            let what = format!("{} {} is {days} days old", key.member, key.id);
            found.warning(AREA, format!("secrets.{name}.age"), what, format!("certbridge secrets rotate {name}"));
        }
    }
    Ok(Some(held.document))
}

async fn audit(found: &mut Findings, store: &SecretStore, max_days: i64, now: Timestamp) -> Result<(), CliError> {
    let Some(document) = read(found, store, "audit", max_days, now).await? else {
        found.failed(AREA, "secrets.audit", "there is none, so nothing can be synced", "certbridge init");
        return Ok(());
    };
    let value = document.into_value();
    let text = |member: &str| value[member].as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    if text("digest_key").is_none() {
        let mend = "certbridge init makes it, once; it is never changed after";
        found.failed(AREA, "secrets.audit", "it has no digest_key, so nothing can be synced", mend);
        return Ok(());
    }
    let mend = "certbridge secrets rotate audit switch";
    match text(SIGNING_KEY).map(|key| Signer::new(&key.into())) {
        None => found.warning(AREA, "secrets.audit", "it has no signing_key: checkpoints are not signed", mend),
        Some(Err(error)) => found.failed(AREA, "secrets.audit", format!("signing_key: {error}"), mend),
        Some(Ok(signer)) => found.ok(AREA, "secrets.audit", format!("signs as {}", signer.public_key().id())),
    }
    Ok(())
}

async fn api_keys(found: &mut Findings, store: &SecretStore, now: Timestamp) -> Result<(), CliError> {
    let id = "secrets.api-keys";
    let make = "certbridge keys create";
    let secret = match store.read("api-keys").await {
        Ok(secret) => secret.map(|held| held.document.into_value()),
        Err(error) => {
            found.failed(AREA, id, error.to_string(), "give it this text: {\"keys\": []}");
            return Ok(());
        }
    };
    let entries = secret.as_ref().and_then(|secret| secret["keys"].as_array()).cloned().unwrap_or_default();
    let keys = entries.iter().filter_map(certbridge_platform::keys::ApiKey::read);
    let (ended, open): (Vec<_>, Vec<_>) = keys.partition(|key| key.is_expired(now));
    if open.is_empty() {
        found.warning(AREA, id, "nobody has a key, so the API is shut", make);
    } else if ended.is_empty() {
        found.ok(AREA, id, format!("{} callers have a key", open.len()));
    } else {
        let ids: Vec<_> = ended.iter().map(|key| key.id.as_str()).collect();
        let what = format!("{} callers have a key; expired: {}", open.len(), ids.join(", "));
        found.warning(AREA, id, what, format!("certbridge keys revoke {}", ids[0]));
    }
    Ok(())
}

/// Whether a source's secret holds a key that proves deliveries.
pub(super) async fn is_on(store: &SecretStore, name: &str) -> bool {
    let held = store.read(name).await.ok().flatten();
    let keys = held.and_then(|held| held.document.signing_texts().ok()).unwrap_or_default();
    keys.iter().any(|key| !key.expose_secret().trim().is_empty())
}

/// The member of a secret, for who only wants to know whether it is there.
pub(super) async fn holds(store: &SecretStore, name: &str, member: &str) -> bool {
    let held = store.read(name).await.ok().flatten().map(|held| held.document.into_value());
    held.is_some_and(|value| value[member].as_str().is_some_and(|text| !text.trim().is_empty()))
}

/// Which of a source's subscriptions are ours, as its secret says.
pub(super) async fn subscriptions(store: &SecretStore, name: &str) -> Vec<String> {
    let held = store.read(name).await.ok().flatten().map(|held| held.document.into_value());
    let listed = held.as_ref().and_then(|value| value["subscriptions"].as_array()).into_iter().flatten();
    listed.filter_map(|id| id.as_str().map(str::to_owned)).collect()
}
