//! Whose token a request carries: a location's own key, the key for all, or what an OAuth grant gives. How a grant is
//! renewed by one worker, and no other, stands in [`certbridge_sync::grants`].

use super::{
    CONNECT, HighLevel,
    api::{Ask, At, Group},
    lock,
};
use crate::http::{Answer, Body, Call, is_plain_id};
use certbridge_sync::{
    error::{Effect, RemoteClass, RemoteError},
    grants::{Grant, GrantRow, Grants, Taken},
    ids::IdMap,
    ports::{Credentials, DestinationKeys},
    row::Lease,
};
use futures::lock::Mutex as AsyncMutex;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a renewal may take. One is not begun with less time than this, nor broken off: its answer holds the only
/// refresh token that is still good.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long a grant is leased for it: longer than its request and the storing of what it gives.
const LEASE: SignedDuration = SignedDuration::from_secs(20);
/// What lies between two looks at a grant that somebody else renews.
const LOOK: Duration = Duration::from_millis(150);
/// What lies between two tries to store what a renewal gave.
const STORE_AGAIN: Duration = Duration::from_millis(500);
/// How long it is believed that there is no grant of a name.
const FRESH_MISS: SignedDuration = SignedDuration::from_mins(1);
/// A token that is younger than this is not renewed because it was refused: another one would be refused as well.
const TOO_YOUNG: SignedDuration = SignedDuration::from_mins(1);
/// How long before its end a location's token is replaced.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// How long a token lives of which the answer does not say it.
const UNTOLD_LIFE: i64 = 86_399;
/// The longest life that is believed, in seconds.
const MAX_LIFE: i64 = 366 * 86_400;

const SCOPE: &str = "oauth.write";

/// A token, and where it is from.
pub(super) struct Token {
    secret: SecretString,
    origin: Origin,
}

enum Origin {
    /// The secret.
    Key,
    /// A grant, at this fence.
    Grant { name: String, fence: u64 },
    /// The agency's grant, for one location.
    Location,
}

impl Token {
    pub(super) fn secret(&self) -> &SecretString {
        &self.secret
    }
}

/// What this process knows of tokens.
pub(super) struct Tokens {
    owner: String,
    /// How many leases it has asked for.
    leases: AtomicU64,
    /// The grants as they were last read.
    grants: Mutex<HashMap<String, Seen>>,
    /// The tokens of locations, from the agency's.
    locations: Mutex<HashMap<String, LocationToken>>,
    /// Held by whoever reads or renews a grant: the others of this process need not do the same.
    working: AsyncMutex<()>,
    /// Held by whoever asks for a location's token.
    asking: AsyncMutex<()>,
}

#[derive(Clone)]
struct Seen {
    row: Option<GrantRow>,
    at: Timestamp,
}

#[derive(Clone)]
struct LocationToken {
    secret: SecretString,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// What a person has let us into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The company, if it was named.
    pub company_id: Option<String>,
    /// The location; none, if it is a whole company.
    pub location_id: Option<String>,
    /// When the access token ends, which is renewed long before.
    pub expires_at: Timestamp,
}

impl Tokens {
    pub(super) fn new(owner: String) -> Self {
        Self {
            owner,
            leases: AtomicU64::new(0),
            grants: Mutex::default(),
            locations: Mutex::default(),
            working: AsyncMutex::new(()),
            asking: AsyncMutex::new(()),
        }
    }

    fn lease(&self, now: Timestamp) -> Lease {
        let number = self.leases.fetch_add(1, Ordering::Relaxed);
        Lease { owner: format!("{}/{number}", self.owner), until: now + LEASE }
    }

    /// A grant that may be used as it was last read.
    fn usable(&self, name: &str, now: Timestamp) -> Option<Option<GrantRow>> {
        let seen = lock(&self.grants).get(name).cloned()?;
        match &seen.row {
            Some(row) => (!row.grant.is_due(now)).then_some(seen.row),
            None => (SignedDuration::ZERO..FRESH_MISS).contains(&now.duration_since(seen.at)).then_some(None),
        }
    }

    /// A grant whose token lives, as it was last read.
    fn serving(&self, name: &str, now: Timestamp) -> Option<GrantRow> {
        lock(&self.grants).get(name)?.row.clone().filter(|row| row.grant.is_alive(now))
    }

    fn note(&self, name: &str, row: Option<&GrantRow>, at: Timestamp) {
        lock(&self.grants).insert(name.to_owned(), Seen { row: row.cloned(), at });
    }
}

impl<K: DestinationKeys, S: IdMap + Grants> HighLevel<K, S> {
    /// The token for a location, or for what has none.
    pub(super) async fn token(&self, at: At<'_>) -> Result<Token, RemoteError> {
        let credentials = self.credentials(at.deadline).await?;
        let own = at.location.and_then(|location| credentials.locations.get(location));
        if let Some(key) = own.or(credentials.api_key.as_ref()) {
            return Ok(Token { secret: key.clone(), origin: Origin::Key });
        }
        if credentials.client.is_none() {
            let what = "the secret has neither an api_key, nor a key of this location, nor client_id and client_secret";
            return Err(self.unauthorized(what));
        }
        if let Some(location) = at.location
            && let Some(token) = self.granted(&self.grant_name(Some(location)), None, &credentials, at.deadline).await?
        {
            return Ok(token);
        }
        let mut company = self.granted(&self.grant_name(None), None, &credentials, at.deadline).await?;
        if at.location.is_none() && company.is_none() && credentials.default_location.is_some() {
            let one = self.grant_name(credentials.default_location.as_deref());
            company = self.granted(&one, None, &credentials, at.deadline).await?;
        }
        let company = company.ok_or_else(|| self.unauthorized(format_args!("nobody has let us in: {CONNECT}")))?;
        match at.location {
            Some(location) => self.location_token(location, &company, &credentials, at.deadline).await,
            None => Ok(company),
        }
    }

    /// Whether a whole company has let us in.
    pub(super) async fn has_company(&self, credentials: &Credentials, deadline: Instant) -> Result<bool, RemoteError> {
        Ok(self.granted(&self.grant_name(None), None, credentials, deadline).await?.is_some())
    }

    /// Another token than one that was refused, if there is one now.
    pub(super) async fn other_token(&self, refused: &Token, at: At<'_>) -> Result<Option<Token>, RemoteError> {
        match &refused.origin {
            Origin::Key => {
                let token = self.token(at).await?;
                Ok(Some(token).filter(|token| token.secret.expose_secret() != refused.secret.expose_secret()))
            }
            Origin::Grant { name, fence } => {
                let credentials = self.credentials(at.deadline).await?;
                let token = self.granted(name, Some(*fence), &credentials, at.deadline).await?;
                Ok(token.filter(|token| token.secret.expose_secret() != refused.secret.expose_secret()))
            }
            Origin::Location => {
                let location = at.location.unwrap_or_default();
                let young = {
                    let mut tokens = lock(&self.tokens.locations);
                    let of_it = tokens.get(location);
                    let refused = of_it.filter(|of| of.secret.expose_secret() == refused.secret.expose_secret());
                    let issued_at = refused.map(|of| of.issued_at);
                    let young = issued_at.is_some_and(|at| self.http.now().duration_since(at) < TOO_YOUNG);
                    if issued_at.is_some() && !young {
                        tokens.remove(location);
                    }
                    young
                };
                if young { Ok(None) } else { self.token(at).await.map(Some) }
            }
        }
    }

    /// The name under which the grant of a location, or of the company, is kept.
    fn grant_name(&self, location: Option<&str>) -> String {
        format!("{}/{}", self.defined().definition.name, location.unwrap_or("company"))
    }

    /// The token of a grant; `None` if there is no such grant. `refused` is the fence of a token that was refused.
    async fn granted(
        &self,
        name: &str,
        refused: Option<u64>,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Option<Token>, RemoteError> {
        let row = match self.tokens.usable(name, self.http.now()) {
            Some(row) if refused.is_none_or(|fence| row.as_ref().is_none_or(|row| row.fence != fence)) => row,
            _ => self.renewed(name, refused, credentials, deadline).await?,
        };
        Ok(row.map(|row| Token {
            secret: row.grant.access_token,
            origin: Origin::Grant { name: name.to_owned(), fence: row.fence },
        }))
    }

    /// A grant as it stands, renewed if it is time to. While its token lives, nobody waits for a renewal.
    async fn renewed(
        &self,
        name: &str,
        refused: Option<u64>,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Option<GrantRow>, RemoteError> {
        let late = |_| self.unreached("no time was left to wait for a token");
        let _working = match self.tokens.working.try_lock() {
            Some(working) => working,
            None => match self.tokens.serving(name, self.http.now()).filter(|_| refused.is_none()) {
                Some(row) => return Ok(Some(row)),
                None => timeout_at(deadline, self.tokens.working.lock()).await.map_err(late)?,
            },
        };
        // Whoever held it may have done it.
        let mut read = self.tokens.usable(name, self.http.now());
        loop {
            let row = match read.take() {
                Some(row) => row,
                None => self.read_grant(name).await?,
            };
            let Some(row) = row else { return Ok(None) };
            let now = self.http.now();
            let was_refused = refused == Some(row.fence) && now.duration_since(row.grant.issued_at) >= TOO_YOUNG;
            if !was_refused && !row.grant.is_due(now) {
                return Ok(Some(row));
            }
            let serves = row.grant.is_alive(now) && !was_refused;
            if let Some(why) = &row.needs_person {
                tracing::error!(provider = self.provider, why, serves, "the grant can be renewed no more: {CONNECT}");
                let ended = || self.unauthorized(format_args!("the grant can be renewed no more ({why}): {CONNECT}"));
                return if serves { Ok(Some(row)) } else { Err(ended()) };
            }
            let leased = row.lease.as_ref().is_some_and(|lease| lease.until >= now);
            let in_time = deadline.saturating_duration_since(Instant::now()) >= RENEWAL;
            if serves && (leased || !in_time) {
                return Ok(Some(row));
            }
            if leased {
                timeout_at(deadline, sleep(LOOK)).await.map_err(late)?;
                continue;
            }
            if !in_time {
                return Err(self.unreached("no time was left to renew the token"));
            }
            let lease = self.tokens.lease(now);
            let taken = self.store.take_grant(name, row.fence, &lease, now).await;
            match taken.map_err(|error| self.of_store(&error))? {
                Taken::Mine(mine) => match self.renew(name, &mine, &lease, credentials).await {
                    Ok(fresh) => read = fresh.map(Some),
                    Err(error) if serves && error.class != RemoteClass::Unauthorized => {
                        tracing::warn!(%error, "a token is not renewed yet");
                        return Ok(Some(row));
                    }
                    Err(error) => return Err(error),
                },
                Taken::Others(newer) => {
                    self.tokens.note(name, Some(&newer), now);
                    read = Some(Some(newer));
                }
                Taken::Gone => return Ok(None),
            }
        }
    }

    async fn read_grant(&self, name: &str) -> Result<Option<GrantRow>, RemoteError> {
        let row = self.store.grant(name).await.map_err(|error| self.of_store(&error))?;
        self.tokens.note(name, row.as_ref(), self.http.now());
        Ok(row)
    }

    /// Renews a grant that is leased to us: stores what comes of it, and only then gives it out. `None`: the lease was
    /// lost, so it is to be read again.
    async fn renew(
        &self,
        name: &str,
        mine: &GrantRow,
        lease: &Lease,
        credentials: &Credentials,
    ) -> Result<Option<GrantRow>, RemoteError> {
        let user_type = if mine.grant.location_id.is_some() { "Location" } else { "Company" };
        let refresh_token = mine.grant.refresh_token.expose_secret();
        let members = [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("user_type", user_type)];
        let told = match self.exchange(&members, credentials).await {
            Ok(Exchanged::Given(told)) => told,
            Ok(Exchanged::Refused(why)) => {
                tracing::error!(provider = self.provider, why, "the refresh token is refused: {CONNECT}");
                let noted = self.store.give_up_grant(name, mine.fence, Some(&why)).await;
                noted.map_err(|error| self.of_store(&error))?;
                return Ok(None);
            }
            Err(error) => {
                // A request that may still be under way keeps others from spending the same token.
                if error.effect() != Effect::PossibleLater
                    && let Err(error) = self.store.give_up_grant(name, mine.fence, None).await
                {
                    tracing::warn!(%error, "a grant's lease runs out by itself");
                }
                return Err(before_the_push(error));
            }
        };
        let fresh = self.grant(&told, Some(&mine.grant)).map_err(before_the_push)?;
        if !self.store_renewed(name, mine.fence, &fresh, lease).await? {
            return Ok(None);
        }
        tracing::info!(provider = self.provider, fence = mine.fence, "a token was renewed");
        let row = GrantRow { grant: fresh, lease: None, ..mine.clone() };
        self.tokens.note(name, Some(&row), self.http.now());
        Ok(Some(row))
    }

    /// Stores a renewed grant: as long as the lease lasts, since nobody else knows it.
    async fn store_renewed(&self, name: &str, fence: u64, fresh: &Grant, lease: &Lease) -> Result<bool, RemoteError> {
        loop {
            match self.store.renew_grant(name, fence, fresh).await {
                Ok(stored) => return Ok(stored),
                Err(error) if error.is_transient() && self.http.now() < lease.until => {
                    tracing::warn!(%error, "a renewed token is not stored yet");
                    sleep(STORE_AGAIN).await;
                }
                Err(error) => {
                    tracing::error!(%error, "a renewed token could not be stored, and is lost");
                    return Err(self.of_store(&error));
                }
            }
        }
    }

    /// A token for one location, from the agency's.
    async fn location_token(
        &self,
        location: &str,
        company: &Token,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Token, RemoteError> {
        let cached = || lock(&self.tokens.locations).get(location).cloned();
        let fresh = |token: &LocationToken| self.http.now() + MARGIN < token.expires_at;
        let token = |of: LocationToken| Token { secret: of.secret, origin: Origin::Location };
        if let Some(cached) = cached().filter(fresh) {
            return Ok(token(cached));
        }
        let late = |_| self.unreached("no time was left to wait for a location's token");
        let _asking = timeout_at(deadline, self.tokens.asking.lock()).await.map_err(late)?;
        if let Some(cached) = cached().filter(fresh) {
            return Ok(token(cached));
        }
        let known = match &company.origin {
            Origin::Grant { name, .. } => self.tokens.usable(name, self.http.now()).flatten(),
            _ => None,
        };
        let company_id = known.and_then(|row| row.grant.company_id).or_else(|| credentials.company_id.clone());
        let company_id = company_id.ok_or_else(|| self.unauthorized("the secret has no company_id"))?;
        let members = [("companyId", company_id.as_str()), ("locationId", location)];
        let ask = Ask {
            method: "POST",
            group: Group::Oauth,
            scope: SCOPE,
            path: "/oauth/locationToken",
            body: Some(Body::Form(&members)),
            only_asks: true,
        };
        let at = At { location: None, deadline };
        let mut answer = self.send(company, ask, at).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Origin::Grant { name, fence } = &company.origin
            && let Some(other) = self.granted(name, Some(*fence), credentials, deadline).await?
        {
            answer = self.send(&other, ask, at).await?;
        }
        if !answer.status.is_success() {
            return Err(self.refusal(ask, &answer));
        }
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let issued_at = self.http.now();
        let secret = text(&told, "access_token").map(SecretString::from);
        let secret = secret.ok_or_else(|| self.unreached("an answer without an access token"))?;
        let of_it = LocationToken { secret, issued_at, expires_at: issued_at + life(&told) };
        lock(&self.tokens.locations).insert(location.to_owned(), of_it.clone());
        Ok(token(of_it))
    }

    /// Asks for tokens, as our client.
    async fn exchange(&self, members: &[(&str, &str)], credentials: &Credentials) -> Result<Exchanged, RemoteError> {
        let Some((id, secret)) = &credentials.client else {
            return Err(self.unauthorized("the secret has no client_id and client_secret"));
        };
        let ours = [("client_id", id.as_str()), ("client_secret", secret.expose_secret())];
        let members: Vec<_> = ours.iter().chain(members).copied().collect();
        let no_path = || self.error(RemoteClass::Misrouted, "no plain path");
        let call = Call {
            provider: &self.provider,
            method: Method::POST,
            url: self.base.join("/oauth/token").ok_or_else(no_path)?,
            authorization: |_| String::new(),
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
            body: Some(Body::Form(&members)),
        };
        // In its own time: whoever waits for it may give up, and the token would be lost.
        let answer = self.http.send_with(None, call, Instant::now() + RENEWAL).await?;
        if answer.status.is_success() {
            let told = serde_json::from_slice(&answer.body);
            return told
                .map(Exchanged::Given)
                .map_err(|_| self.error(RemoteClass::Unusable, format!("{}, but no tokens", answer.status.as_u16())));
        }
        self.denied(&answer)
    }

    /// Whether an answer without tokens is about what was presented, or about us, or about nothing that lasts.
    fn denied(&self, answer: &Answer) -> Result<Exchanged, RemoteError> {
        let error = self.http.refusal(&self.provider, answer);
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match error.class {
            _ if told["error"] == "invalid_grant" => Ok(Exchanged::Refused(error.message)),
            RemoteClass::Rejected => Ok(Exchanged::Refused(error.message)),
            RemoteClass::Unauthorized => {
                self.keys.refused(&self.provider);
                Err(self
                    .unauthorized(format_args!("{}: client_id or client_secret is refused", answer.status.as_u16())))
            }
            _ => Err(error),
        }
    }

    /// What an answer with tokens gives. What it does not say is as it was before.
    fn grant(&self, told: &Value, before: Option<&Grant>) -> Result<Grant, RemoteError> {
        let lacks = |what: &str| self.error(RemoteClass::Unusable, format!("an answer without {what}"));
        let secret = |name: &str| text(told, name).map(SecretString::from);
        let access_token = secret("access_token").ok_or_else(|| lacks("an access token"))?;
        let kept = before.map(|before| before.refresh_token.clone());
        let refresh_token = secret("refresh_token").or(kept).ok_or_else(|| lacks("a refresh token"))?;
        let id = |name: &str| text(told, name).filter(|id| is_plain_id(id));
        let location_id = match (text(told, "userType").as_deref(), before) {
            (Some("Company"), _) => None,
            (Some("Location"), _) => Some(id("locationId").ok_or_else(|| lacks("a location"))?),
            (_, Some(before)) => before.location_id.clone(),
            (_, None) => id("locationId"),
        };
        let issued_at = self.http.now();
        Ok(Grant {
            access_token,
            refresh_token,
            issued_at,
            expires_at: issued_at + life(told),
            company_id: id("companyId").or_else(|| before.and_then(|before| before.company_id.clone())),
            location_id,
        })
    }

    /// The page on which a person lets us in.
    ///
    /// # Errors
    /// The secret has no OAuth client.
    pub async fn authorize_url(&self, redirect_uri: &str, timeout: Duration) -> Result<String, RemoteError> {
        let credentials = self.credentials(Instant::now() + timeout).await?;
        let Some((id, _)) = credentials.client else {
            return Err(self.unauthorized("the secret has no client_id and client_secret"));
        };
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let defined = self.defined();
        let (page, scopes) = (&defined.rules.authorize_url, escaped(&defined.rules.scopes.join(" ")));
        let (uri, id) = (escaped(redirect_uri), escaped(&id));
        Ok(format!("{page}?response_type=code&redirect_uri={uri}&client_id={id}&scope={scopes}"))
    }

    /// Takes the code that a person was given, and keeps the grant that it stands for.
    ///
    /// # Errors
    /// The code, or our client, is refused; or the grant could not be stored, and the code is spent.
    pub async fn connect(&self, code: &str, redirect_uri: &str, timeout: Duration) -> Result<Connected, RemoteError> {
        let credentials = self.credentials(Instant::now() + timeout).await?;
        let members = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri)];
        let told = match self.exchange(&members, &credentials).await? {
            Exchanged::Given(told) => told,
            Exchanged::Refused(why) => {
                return Err(self.unauthorized(format_args!("the code is refused ({why}): each is good once, and soon")));
            }
        };
        let grant = self.grant(&told, None)?;
        let name = self.grant_name(grant.location_id.as_deref());
        self.store.put_grant(&name, &grant).await.map_err(|error| self.of_store(&error))?;
        lock(&self.tokens.grants).clear();
        let Grant { company_id, location_id, expires_at, .. } = grant;
        Ok(Connected { company_id, location_id, expires_at })
    }
}

/// What came of asking for tokens.
enum Exchanged {
    Given(Value),
    /// What was presented is good no more, and why in words that tell nothing.
    Refused(String),
}

/// A failure that came before anything was pushed.
fn before_the_push(error: RemoteError) -> RemoteError {
    let class = match error.class {
        RemoteClass::Unauthorized | RemoteClass::Throttled | RemoteClass::Misrouted => error.class,
        _ => RemoteClass::Unreachable,
    };
    RemoteError { class, left: Some(Effect::None), message: format!("no token: {}", error.message), ..error }
}

fn text(told: &Value, name: &str) -> Option<String> {
    told[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn life(told: &Value) -> SignedDuration {
    let told = told["expires_in"].as_i64().filter(|life| (1..=MAX_LIFE).contains(life));
    SignedDuration::from_secs(told.unwrap_or(UNTOLD_LIFE))
}
