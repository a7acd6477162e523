//! The command: what is typed, and what is printed.

use super::{SourceSecret, SubscriptionsError};
use crate::{CliError, keys::Place, table::table};
use certbridge_mapping::{Definitions, Keys, SourceDefinition, verify::Scheme};
use certbridge_platform::{Env, aws, config::DEFAULT_SECRET_PREFIX};
use certbridge_remote::{
    Http,
    subscriptions::{self as remote, NewSubscription, Subscription},
};
use certbridge_sync::{StoreError, ports::ApiKeys};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, Write};

/// Where the keys that prove a source's deliveries stand in its secret.
const SIGNING: &str = "signing";
/// Where the ids of our subscriptions do.
const SUBSCRIPTIONS: &str = "subscriptions";

/// Subscribe to a source's webhooks, where it has an API for that
///
/// The key to that API is `api_key` in the secret `sources/{name}`. Accredit's address is given as `ACCREDIT_URL`;
/// AccuLynx's is known. What a provider makes for us goes into that secret, and is never shown.
#[derive(Debug, Args)]
pub struct SubscriptionsCommand {
    /// The source: accredit or acculynx
    pub source: String,
    /// What is to be done
    #[command(subcommand)]
    pub action: Action,
}

/// Where, and how.
#[derive(Debug, Args)]
pub struct Access {
    /// Where the source's secret is
    #[command(flatten)]
    place: Place,
    /// How the key stands in the Authorization header: Accredit does not document it
    #[arg(long, value_enum, default_value_t)]
    authorization: Authorization,
}

/// What may be done with subscriptions.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show what can be subscribed to
    Events {
        /// Where, and how
        #[command(flatten)]
        access: Access,
    },
    /// Show the subscriptions that there are; Accredit documents no such call
    List {
        /// Where, and how
        #[command(flatten)]
        access: Access,
    },
    /// Subscribe to events
    ///
    /// Accredit answers with a Signature Key, which goes into `signing` beside the keys that are there. AccuLynx is given
    /// an address with a token in it, the last one of `signing`, and its subscription's id goes into `subscriptions`: from
    /// the first one on, no delivery of another subscription is taken.
    Create {
        /// The address of our API, to which /webhooks/{source} is added
        #[arg(long)]
        url: String,
        /// What to subscribe to; all that is synced, if none is given
        #[arg(long = "topic", value_name = "TOPIC")]
        topics: Vec<String>,
        /// Whom the provider may write to; AccuLynx wants to know
        #[arg(long)]
        contact: Option<String>,
        /// For one tenant of Accredit's; else for the whole system
        #[arg(long)]
        tenant: Option<String>,
        /// Where, and how
        #[command(flatten)]
        access: Access,
    },
    /// Change the topics of a subscription, and whom to write to; its address never changes
    Update {
        /// Its id
        id: String,
        /// What to subscribe to from now on; all that is synced, if none is given
        #[arg(long = "topic", value_name = "TOPIC")]
        topics: Vec<String>,
        /// Whom the provider may write to
        #[arg(long)]
        contact: Option<String>,
        /// Explains why it is not changed
        #[arg(long, hide = true)]
        url: Option<String>,
        /// Where, and how
        #[command(flatten)]
        access: Access,
    },
    /// Ask for a sample of an event, which is delivered like any other
    Test {
        /// The subscription's id, where it has one
        id: Option<String>,
        /// Of which event
        #[arg(long)]
        topic: String,
        /// Where, and how
        #[command(flatten)]
        access: Access,
    },
    /// End a subscription, and take no more of its deliveries
    Delete {
        /// Its id
        id: String,
        /// Where, and how
        #[command(flatten)]
        access: Access,
    },
}

impl Action {
    fn access(&self) -> &Access {
        match self {
            Self::Events { access }
            | Self::List { access }
            | Self::Create { access, .. }
            | Self::Update { access, .. }
            | Self::Test { access, .. }
            | Self::Delete { access, .. } => access,
        }
    }
}

/// How a key stands in the `Authorization` header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Authorization {
    /// `Bearer {key}`
    #[default]
    Bearer,
    /// `Token {key}`
    Token,
    /// The key alone
    Plain,
}

impl From<Authorization> for remote::Authorization {
    fn from(form: Authorization) -> Self {
        match form {
            Authorization::Bearer => Self::Bearer,
            Authorization::Token => Self::Token,
            Authorization::Plain => Self::Plain,
        }
    }
}

/// The one key that there is.
struct OneKey(Option<SecretString>);

impl ApiKeys for OneKey {
    async fn api_key(&self, _: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(self.0.clone())
    }

    fn refused(&self, _: &str) {}
}

/// A source's subscriptions, and its secret.
struct Subscriptions {
    source: SourceDefinition,
    secret: SourceSecret,
    remote: remote::Subscriptions<OneKey>,
}

/// Does it, where it is to be done.
pub async fn run(command: SubscriptionsCommand, env: &Env) -> Result<(), CliError> {
    let SubscriptionsCommand { source: name, action } = command;
    let Access { place, authorization } = action.access();
    let definitions = Definitions::built_in();
    let source = definitions.source(&name).ok_or_else(|| CliError::UnknownSource(name.clone()))?;
    let source = SourceDefinition::clone(source);
    let mut vars = env.reader();
    let default = vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned());
    let url = vars.optional(&source.url_variable());
    vars.finish()?;
    let secret = if place.aws {
        let client = aws_sdk_secretsmanager::Client::new(&aws::sdk_config().await);
        SourceSecret::in_aws(client, place.prefix.as_ref().unwrap_or(&default), &source)
    } else {
        SourceSecret::in_folder(&place.data, &source)
    };
    // It is read before anything is made: what comes of that has to be stored there.
    let members = secret.read().await?;
    let key = members.get("api_key").and_then(|key| key.as_str()).filter(|key| !key.trim().is_empty());
    let key = OneKey(key.map(SecretString::from));
    let http = Http::new().map_err(SubscriptionsError::Http)?;
    let remote = remote::Subscriptions::new(http, key, &source, url.as_deref(), (*authorization).into());
    let subscriptions = Subscriptions { source, secret, remote: remote.map_err(SubscriptionsError::Remote)? };
    subscriptions.act(action).await
}

impl Subscriptions {
    async fn act(&self, action: Action) -> Result<(), CliError> {
        match action {
            Action::Events { .. } => {
                for topic in self.remote.topics().await.map_err(SubscriptionsError::Remote)? {
                    print(&plain(&topic))?;
                }
            }
            Action::List { .. } => {
                let all = self.remote.list().await.map_err(SubscriptionsError::Remote)?;
                let ours = self.secret.texts(&self.secret.read().await?, SUBSCRIPTIONS)?;
                print(&self.as_table(&all, &ours))?;
            }
            Action::Create { url, topics, contact, tenant, .. } => {
                let url = self.consumer_url(&url).await?;
                let topics = self.topics(topics);
                self.create(&NewSubscription { url, topics, contact, tenant }).await?;
            }
            Action::Update { url: Some(_), .. } => {
                return Err(SubscriptionsError::Immutable(self.source.name.clone()).into());
            }
            Action::Update { id, topics, contact, url: None, .. } => {
                let topics = self.topics(topics);
                let changed = self.remote.update(&id, &topics, contact.as_deref()).await;
                changed.map_err(SubscriptionsError::Remote)?;
                hint(&format!("subscription {} is to {}", plain(&id), topics.join(", ")));
            }
            Action::Test { id, topic, .. } => {
                self.remote.test(id.as_deref(), &topic).await.map_err(SubscriptionsError::Remote)?;
                hint(&format!("a sample of {} was asked for; the log of webhook tells of it", plain(&topic)));
            }
            Action::Delete { id, .. } => {
                self.remote.delete(&id).await.map_err(SubscriptionsError::Remote)?;
                self.secret.update(|members| self.secret.remove(members, SUBSCRIPTIONS, &id)).await?;
                hint(&format!("subscription {} is ended, and its deliveries are taken no more", plain(&id)));
            }
        }
        Ok(())
    }

    /// Those that are given, or all that are synced.
    fn topics(&self, given: Vec<String>) -> Vec<String> {
        if given.is_empty() { self.source.event.types.keys().cloned().collect() } else { given }
    }

    async fn create(&self, wanted: &NewSubscription) -> Result<(), CliError> {
        let made = self.remote.create(wanted).await.map_err(SubscriptionsError::Remote)?;
        if let Some(key) = &made.signature_key {
            let key = key.expose_secret();
            let stored = self.secret.update(|members| self.secret.add(members, SIGNING, key)).await;
            stored.map_err(|error| self.unstored("its Signature Key", &error))?;
            hint(&format!("its Signature Key stands in {}, beside those that were there", self.secret.name()));
            let unusable = Keys::new([key.into()]).is_none_or(|keys| !self.source.unusable_keys(&keys).is_empty());
            if unusable {
                hint("but it is no key that the scheme can use (PEM, or base64 of its DER): it proves nothing yet");
            }
        }
        if let Some(id) = made.id.as_deref().filter(|_| self.source.event.subscription.is_some()) {
            let stored = self.secret.update(|members| self.secret.add(members, SUBSCRIPTIONS, id)).await;
            stored.map_err(|error| self.unstored("its id", &error))?;
            hint(&format!(
                "its id stands in {}: no delivery of a subscription that is not there is taken",
                self.secret.name()
            ));
        }
        hint(&format!("{} delivers to {}", self.source.name, self.masked(&wanted.url)));
        print(&plain(made.id.as_deref().unwrap_or("subscribed")))?;
        Ok(())
    }

    fn unstored(&self, what: &'static str, error: &CliError) -> SubscriptionsError {
        SubscriptionsError::Unstored { what, name: self.secret.name().to_owned(), reason: error.to_string() }
    }

    /// Where the source is to deliver to: with a token in the path, if that is how it is proven.
    async fn consumer_url(&self, ours: &str) -> Result<String, CliError> {
        let wrong = || SubscriptionsError::Url(ours.to_owned());
        let url = Url::parse(ours).map_err(|_| wrong())?;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let is_plain =
            url.query().is_none() && url.fragment().is_none() && url.password().is_none() && url.username().is_empty();
        if !(url.scheme() == "https" || url.scheme() == "http" && is_local) || !is_plain {
            return Err(wrong().into());
        }
        let base = url.as_str().trim_end_matches('/');
        let path = format!("{base}/webhooks/{}", self.source.name);
        Ok(match &self.source.verification {
            Scheme::Token(token) if token.header.is_none() => {
                let token = self.token().await?;
                format!("{path}/{}", token.expose_secret())
            }
            _ => path,
        })
    }

    /// The newest token: a rotation adds one at the end of the list.
    async fn token(&self) -> Result<SecretString, CliError> {
        let fits = |token: &&String| {
            !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
        };
        let tokens = self.secret.texts(&self.secret.read().await?, SIGNING)?;
        let token = tokens.iter().rfind(fits);
        Ok(token.ok_or_else(|| SubscriptionsError::NoToken(self.secret.name().to_owned()))?.as_str().into())
    }

    /// An address as it may be shown: without what may be a token.
    fn masked(&self, url: &str) -> String {
        let ours = format!("/webhooks/{}", self.source.name);
        let Ok(parsed) = Url::parse(url) else { return "…".to_owned() };
        let origin = parsed.origin().ascii_serialization();
        match parsed.path().find(&ours) {
            Some(at) => {
                let end = at + ours.len();
                let rest = if parsed.path().len() > end || parsed.query().is_some() { "/…" } else { "" };
                format!("{origin}{}{rest}", &parsed.path()[..end])
            }
            None => format!("{origin}/…"),
        }
    }

    fn as_table(&self, all: &[Subscription], ours: &[String]) -> String {
        let mut shown = table(&["id", "address", "topics", "contact", "status", "taken"]);
        for one in all {
            let taken = if ours.contains(&one.id) { "yes" } else { "no" };
            shown.add_row([
                plain(&one.id),
                plain(&self.masked(&one.url)),
                plain(&one.topics.join("\n")),
                plain(&one.contact),
                plain(&one.status),
                taken.to_owned(),
            ]);
        }
        shown.to_string()
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says something that no script waits for.
fn hint(text: &str) {
    // What was asked for is done, whether anybody reads this or not.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Without what would steer the terminal: a provider wrote it.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}
