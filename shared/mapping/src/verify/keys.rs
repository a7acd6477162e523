//! The keys of a source, and those of them that are of use to its scheme.

use super::Refusal;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// The keys that may prove a source's deliveries: at least one, none of them empty.
///
/// They are kept as text, and each delivery parses them anew. That takes 7 to 25 microseconds for a public key, a part of
/// what its proof takes; and they come anew for each delivery, from a cache that knows nothing of schemes.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<Key>,
    subscriptions: Option<Arc<BTreeSet<String>>>,
}

#[derive(Clone)]
struct Key {
    id: String,
    secret: SecretString,
}

impl Keys {
    /// The keys that are worth something; `None` if there are none, and then the source is off.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Option<Self> {
        let keys: Vec<_> = secrets
            .into_iter()
            .filter(|secret| !secret.expose_secret().trim().is_empty())
            .map(|secret| Key { id: key_id(&secret), secret })
            .collect();
        (!keys.is_empty()).then_some(Self { keys, subscriptions: None })
    }

    /// With the list of our own subscriptions, of one of which a delivery must be, if the source's definition says where
    /// it names it.
    #[must_use]
    pub fn for_subscriptions(self, ids: impl IntoIterator<Item = String>) -> Self {
        Self { subscriptions: Some(Arc::new(ids.into_iter().collect())), ..self }
    }

    /// Whether these keys prove the same deliveries as others.
    pub fn are_like(&self, other: &Self) -> bool {
        self.ids() == other.ids() && self.subscriptions == other.subscriptions
    }

    /// The list of our own subscriptions, if there is one.
    pub(super) fn subscriptions(&self) -> Option<Arc<BTreeSet<String>>> {
        self.subscriptions.clone()
    }

    /// The ids of the keys, in their order.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.id.clone()).collect()
    }

    /// The keys that a scheme can `parse`. The others are skipped: they prove nothing, and stop no key beside them.
    ///
    /// # Errors
    /// [`Refusal::NoUsableKey`] if there are none.
    pub(super) fn usable<'a, K>(&'a self, parse: impl Fn(&'a str) -> Option<K>) -> Result<Usable<'a, K>, Refusal> {
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for key in &self.keys {
            match parse(key.secret.expose_secret()) {
                Some(parsed) => keys.push((key.id.as_str(), parsed)),
                None => unusable.push(key.id.clone()),
            }
        }
        if keys.is_empty() { Err(Refusal::NoUsableKey { unusable }) } else { Ok(Usable { keys, unusable }) }
    }

    /// The ids of the keys that a scheme cannot `parse`.
    pub(super) fn unusable<'a, K>(&'a self, parse: impl Fn(&'a str) -> Option<K>) -> Vec<String> {
        let unusable = self.keys.iter().filter(|key| parse(key.secret.expose_secret()).is_none());
        unusable.map(|key| key.id.clone()).collect()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.ids()).finish()
    }
}

/// The keys that a scheme has parsed: at least one.
pub(super) struct Usable<'a, K> {
    keys: Vec<(&'a str, K)>,
    unusable: Vec<String>,
}

impl<K> Usable<'_, K> {
    /// The id of the key that `matches`. Every key is tried, so that the time taken does not tell which one it was.
    pub(super) fn find(self, matches: impl Fn(&K) -> bool) -> Result<String, Refusal> {
        let mut found = None;
        for (id, key) in &self.keys {
            if matches(key) {
                found.get_or_insert(*id);
            }
        }
        found.map(str::to_owned).ok_or_else(|| Refusal::Mismatch {
            tried: self.keys.iter().map(|(id, _)| (*id).to_owned()).collect(),
            unusable: self.unusable,
        })
    }
}

/// A name for a key that tells nothing of it: `k-` and the first eight hex digits of its SHA-256 under a label of ours.
pub fn key_id(secret: &SecretString) -> String {
    let digest = crate::digest::sha256_of_parts([b"certbridge key id".as_slice(), secret.expose_secret().as_bytes()]);
    format!("k-{}", &digest[..8])
}
