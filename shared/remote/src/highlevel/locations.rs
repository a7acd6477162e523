//! The locations: whether there is one, and which are walked when records are listed.

use super::{
    HighLevel,
    api::{Ask, At, Group},
};
use certbridge_mapping::destination::escape_segment;
use certbridge_sync::{
    error::{RemoteClass, RemoteError},
    grants::Grants,
    ids::IdMap,
    ports::Locations,
    ports::{Credentials, DestinationKeys},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

const READ: &str = "locations.readonly";

/// How many locations a page has.
const PAGE: usize = 100;
/// How many pages are read, at most: an agency of more locations is not checked against its list.
const MAX_PAGES: usize = 50;

/// The locations whose records are listed, in order.
pub(super) struct Walked {
    pub(super) names: Vec<String>,
    /// Whether they are all that the company has, rather than those that we were told of.
    pub(super) whole_company: bool,
}

impl Walked {
    /// The location after one, which may be gone by now.
    pub(super) fn after(&self, location: &str) -> Option<String> {
        self.names.iter().find(|name| name.as_str() > location).cloned()
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// The locations that our tokens reach: those with a key of their own, and those that the other key, or the company's
    /// grant, may see.
    pub(super) async fn list_locations(&self, deadline: Instant) -> Result<Option<Locations>, RemoteError> {
        let credentials = self.credentials(deadline).await?;
        let keyed = credentials.locations.keys().map(|id| (id.clone(), String::new()));
        let mut listing = Locations { names: keyed.collect(), complete: true };
        // Where there are only keys of locations, there are no others for us.
        if credentials.api_key.is_some() || credentials.client.is_some() {
            listing.complete = self.search_locations(&credentials, &mut listing.names, deadline).await?;
        }
        Ok(Some(listing).filter(|listing| !listing.names.is_empty()))
    }

    /// Adds what the search shows. `false` if there may be more.
    async fn search_locations(
        &self,
        credentials: &Credentials,
        names: &mut BTreeMap<String, String>,
        deadline: Instant,
    ) -> Result<bool, RemoteError> {
        self.check_pace(None)?;
        let at = At { location: None, deadline };
        let company = credentials.company_id.as_deref().map(|id| format!("&companyId={}", escape_segment(id)));
        let company = company.unwrap_or_default();
        for page in 0..MAX_PAGES {
            let path = format!("/locations/search?skip={}&limit={PAGE}&order=asc{company}", page * PAGE);
            let told = self.wanted(at, Ask::get(Group::Locations, READ, &path)).await?;
            let no_list = || self.error(RemoteClass::Unusable, "a search that gave no list of locations");
            let listed = told["locations"].as_array().ok_or_else(no_list)?;
            let before = names.len();
            let text = |of: &Value, name: &str| of[name].as_str().map(str::to_owned);
            names.extend(listed.iter().filter_map(|of| Some((text(of, "id")?, text(of, "name").unwrap_or_default()))));
            if listed.len() < PAGE {
                return Ok(true);
            }
            // The same page again, or one of known ones: it would never end.
            if names.len() == before {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// The locations whose records are listed: those that the secret names; with a grant for a whole company all of them.
    pub(super) async fn walked_locations(&self, deadline: Instant) -> Result<Walked, RemoteError> {
        let credentials = self.credentials(deadline).await?;
        let named: BTreeSet<_> = credentials.locations.keys().chain(&credentials.default_location).cloned().collect();
        let is_granted = credentials.api_key.is_none() && credentials.client.is_some();
        if is_granted && self.has_company(&credentials, deadline).await? {
            let listing = self.list_locations(deadline).await?;
            let listed = listing.map(|listing| listing.names.into_keys()).into_iter().flatten();
            let names: BTreeSet<_> = named.into_iter().chain(listed).collect();
            return Ok(Walked { names: names.into_iter().collect(), whole_company: true });
        }
        Ok(Walked { names: named.into_iter().collect(), whole_company: false })
    }
}
