//! The destination that a deployment has: which one it is, is said by its definition.

use crate::{BaseUrlError, HighLevel, Http, Snapshots};
use certbridge_mapping::{DestinationDefinition, Kind, RecordKey, Request, ShownRecord};
use certbridge_sync::{
    error::RemoteError,
    grants::Grants,
    ids::IdMap,
    ports::{Destination, DestinationKeys, ListError, LocationCheck, Locations, Page, Pushed},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};

/// A destination over HTTP. `K` holds its keys, `S` what it needs kept.
pub enum HttpDestination<K, S> {
    /// The Snapshots API.
    Snapshots(Box<Snapshots<K>>),
    /// HighLevel's API.
    HighLevel(Box<HighLevel<K, S>>),
}

impl<K: DestinationKeys, S: IdMap + Grants> HttpDestination<K, S> {
    /// The destination of a definition, at an address. `owner` names this process among all others.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(
        http: Http,
        keys: K,
        store: S,
        base_url: &str,
        definition: &Arc<DestinationDefinition>,
        owner: impl Into<String>,
    ) -> Result<Self, BaseUrlError> {
        Ok(match &definition.highlevel {
            Some(rules) => {
                Self::HighLevel(Box::new(HighLevel::new(http, keys, store, base_url, definition, rules, owner)?))
            }
            None => Self::Snapshots(Box::new(Snapshots::new(http, keys, base_url, definition)?)),
        })
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> Destination for HttpDestination<K, S> {
    fn redefine(&self, definition: &Arc<DestinationDefinition>) {
        match self {
            Self::Snapshots(snapshots) => snapshots.redefine(definition),
            Self::HighLevel(highlevel) => highlevel.redefine(definition),
        }
    }

    async fn push(
        &self,
        key: &RecordKey,
        request: &Request,
        idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Pushed, RemoteError> {
        match self {
            Self::Snapshots(snapshots) => snapshots.push(key, request, idempotency_key, timeout).await,
            // The one future is much larger than the other.
            Self::HighLevel(highlevel) => Box::pin(highlevel.push(key, request, idempotency_key, timeout)).await,
        }
    }

    async fn push_batch(
        &self,
        batch_id: &str,
        requests: &[Request],
        idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Vec<Result<Pushed, RemoteError>>, RemoteError> {
        match self {
            Self::Snapshots(snapshots) => snapshots.push_batch(batch_id, requests, idempotency_key, timeout).await,
            Self::HighLevel(highlevel) => highlevel.push_batch(batch_id, requests, idempotency_key, timeout).await,
        }
    }

    async fn destination_page(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        timeout: Duration,
    ) -> Result<Page<ShownRecord>, ListError> {
        match self {
            Self::Snapshots(snapshots) => snapshots.destination_page(kind, cursor, timeout).await,
            Self::HighLevel(highlevel) => Box::pin(highlevel.destination_page(kind, cursor, timeout)).await,
        }
    }

    async fn check_location(
        &self,
        location_id: &str,
        asked_at: Option<Timestamp>,
        timeout: Duration,
    ) -> Result<LocationCheck, RemoteError> {
        match self {
            Self::Snapshots(snapshots) => snapshots.check_location(location_id, asked_at, timeout).await,
            Self::HighLevel(highlevel) => Box::pin(highlevel.check_location(location_id, asked_at, timeout)).await,
        }
    }

    async fn locations(&self, timeout: Duration) -> Result<Option<Locations>, RemoteError> {
        match self {
            Self::Snapshots(snapshots) => snapshots.locations(timeout).await,
            Self::HighLevel(highlevel) => Box::pin(highlevel.locations(timeout)).await,
        }
    }
}
