//! The providers of the sandbox, as the bundle on one machine has them.

use super::{DataFolder, SecretsFile};
use crate::{CliError, connect::ConnectError};
use certbridge_platform::Env;
use certbridge_remote::HighLevel as HighLevelClient;
use certbridge_sandbox::{
    Accredible, Accredit, AccuLynx, Certifylize, Credential, HighLevel, Options as ProviderOptions, Snapshots,
};
use certbridge_sync::{grants::Grants, ids::IdMap, ports::DestinationKeys};
use serde_json::json;
use std::time::Duration;

/// How long one request to the sandbox may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The destination that is told, unless another one is asked for.
pub const DEFAULT_DESTINATION: &str = "snapshots";

/// The locations that every destination has from the start.
pub(super) const LOCATIONS: [(&str, &str); 2] = [("loc_london", "London"), ("loc_lyon", "Lyon")];

/// The sandbox's providers. 17hats and senders of Standard Webhooks have no API, so there is nothing to play.
pub struct Sandbox {
    /// A source: certificates.
    pub accredible: Accredible,
    /// A source: certificates, and subscriptions to their events.
    pub accredit: Accredit,
    /// A source: certificates.
    pub certifylize: Certifylize,
    /// A source: contacts, jobs and invoices.
    pub acculynx: AccuLynx,
    /// A destination.
    pub snapshots: Snapshots,
    /// Another one.
    pub highlevel: HighLevel,
}

impl Sandbox {
    /// Starts them, each with the key that the data folder has for it.
    pub(super) async fn start(data: &DataFolder, secrets: &SecretsFile) -> Result<Self, CliError> {
        let secrets = secrets.read()?;
        let options = |secret: &str| ProviderOptions {
            port: 0,
            api_key: secrets.get(secret).and_then(|secret| secret["api_key"].as_str()).unwrap_or_default().to_owned(),
            folder: Some(data.file("sandbox")),
        };
        let sandbox = Self {
            accredible: Accredible::start(options("sources/accredible")).await?,
            accredit: Accredit::start(options("sources/accredit")).await?,
            certifylize: Certifylize::start(options("sources/certifylize")).await?,
            acculynx: AccuLynx::start(options("sources/acculynx")).await?,
            snapshots: Snapshots::start(options("destinations/snapshots")).await?,
            highlevel: HighLevel::start(options("destinations/highlevel")).await?,
        };
        sandbox.furnish();
        Ok(sandbox)
    }

    /// What a first look finds: locations, a certificate of one of them, and what AccuLynx's samples speak of.
    fn furnish(&self) {
        for (id, name) in LOCATIONS {
            self.snapshots.add_location(id, name);
            self.highlevel.add_location(id, name);
        }
        if self.accredible.credential("100").is_none() {
            self.accredible.put("100", &Credential::new("100").at_location("loc_london"));
        }
        if self.acculynx.row("contacts", "100").is_none() {
            self.acculynx.put_contact("100", &json!({}));
            self.acculynx.put_job("100", &json!({}));
            self.acculynx.put_invoice("100", &json!({}));
        }
    }

    /// Makes in HighLevel's locations what `certbridge connect highlevel` would.
    pub(super) async fn prepare<K: DestinationKeys, S: IdMap + Grants>(
        &self,
        api: &HighLevelClient<K, S>,
    ) -> Result<(), CliError> {
        for (id, _) in LOCATIONS {
            api.prepare(id, false, PATIENCE).await.map_err(ConnectError::from)?;
        }
        Ok(())
    }

    /// The environment that names these providers, and which destination is told.
    pub(super) fn env(&self, destination: &str) -> Env {
        Env::from_iter([
            ("ACCREDIBLE_URL", self.accredible.url()),
            ("ACCREDIT_URL", self.accredit.url()),
            ("CERTIFYLIZE_URL", self.certifylize.url()),
            ("ACCULYNX_URL", self.acculynx.url()),
            ("SNAPSHOTS_URL", self.snapshots.url()),
            ("HIGHLEVEL_URL", self.highlevel.url()),
            ("DESTINATION", destination.to_owned()),
        ])
    }

    /// Each by its name, and where it is.
    pub fn addresses(&self) -> [(&'static str, String); 6] {
        [
            ("accredible", self.accredible.url()),
            ("accredit", self.accredit.url()),
            ("certifylize", self.certifylize.url()),
            ("acculynx", self.acculynx.url()),
            ("snapshots", self.snapshots.url()),
            ("highlevel", self.highlevel.url()),
        ]
    }

    /// Stops them.
    pub(super) async fn shutdown(self) {
        self.accredible.shutdown().await;
        self.accredit.shutdown().await;
        self.certifylize.shutdown().await;
        self.acculynx.shutdown().await;
        self.snapshots.shutdown().await;
        self.highlevel.shutdown().await;
    }
}
