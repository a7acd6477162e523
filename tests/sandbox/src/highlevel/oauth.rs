//! Tokens: of an app by OAuth, with refresh tokens that are good once, and private ones that are simply given.

use super::{
    COMPANY_ID, Inner,
    call::{Access, Answer, Call, Refusal, bad, bearer, ok, unauthorized, unprocessable},
};
use crate::provider::lock;
use axum::{
    Json,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The id of the one app that is registered.
pub const CLIENT_ID: &str = "6578278e879ad2646715ba9c-sandbox";

/// Its secret.
pub const CLIENT_SECRET: &str = "sandbox-client-secret";

/// How long an access token lives, in seconds, unless it is said otherwise.
pub(super) const TOKEN_LIFE: i64 = 86_399;

/// All that a token may be allowed here.
pub const SCOPES: &[&str] = &[
    "oauth.write",
    "oauth.readonly",
    "locations.readonly",
    "locations/customFields.readonly",
    "locations/customFields.write",
    "contacts.readonly",
    "contacts.write",
    "objects/schema.readonly",
    "objects/schema.write",
    "objects/record.readonly",
    "objects/record.write",
    "associations.readonly",
    "associations.write",
    "associations/relation.readonly",
    "associations/relation.write",
    "invoices.readonly",
    "invoices.write",
];

/// Whom a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum UserType {
    /// An agency.
    Company,
    /// A location.
    Location,
    /// A private integration: whatever its key may use.
    Private,
}

/// What a token is good for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) user_type: UserType,
    pub(super) location_id: Option<String>,
    pub(super) scopes: Vec<String>,
    /// Never, if none.
    pub(super) expires_at: Option<Timestamp>,
}

/// What a code or a refresh token gives tokens for, and whether it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    session: Session,
    spent: bool,
}

impl Session {
    /// What the limits are counted by.
    pub(super) fn resource(&self) -> String {
        self.location_id.clone().unwrap_or_else(|| COMPANY_ID.to_owned())
    }

    /// Whether it may call an endpoint of this scope and access.
    pub(super) fn check(&self, scope: &str, access: Access) -> Result<(), Refusal> {
        let right = match self.user_type {
            UserType::Company => access != Access::Location,
            UserType::Location => access != Access::Agency,
            UserType::Private => scope != "oauth.write",
        };
        if !right {
            return Err(unauthorized("This authClass type is not allowed to access this scope."));
        }
        if self.scopes.iter().any(|own| own == scope) {
            return Ok(());
        }
        Err(unauthorized("The token is not authorized for this scope."))
    }
}

impl Inner {
    /// What the token of a request is good for.
    pub(super) fn session(&self, headers: &HeaderMap) -> Result<Session, Refusal> {
        let session = bearer(headers).and_then(|token| self.tokens.get(token));
        let alive = session.filter(|session| session.expires_at.is_none_or(|end| self.now() < end));
        alive.ok_or_else(|| unauthorized("Invalid token: access token is invalid"))
    }

    /// A code for the app, good once: for a location, or for the agency.
    pub(super) fn authorize(&self, location_id: Option<&str>) -> String {
        let user_type = if location_id.is_some() { UserType::Location } else { UserType::Company };
        let scopes = lock(&self.scopes).clone();
        let session = Session { user_type, location_id: location_id.map(str::to_owned), scopes, expires_at: None };
        let code = format!("code{}", self.id());
        self.grants.put(&code, Grant { session, spent: false });
        code
    }

    /// Makes every access token that an app was given expire now.
    pub(super) fn expire_tokens(&self) {
        let now = self.now();
        for (token, session) in self.tokens.rows() {
            if session.expires_at.is_some() {
                self.tokens.put(&token, Session { expires_at: Some(now), ..session });
            }
        }
    }

    /// An access token, with what is told of it.
    fn issue(&self, session: &Session) -> Value {
        let life = *lock(&self.token_life);
        let expires_at = self.now().saturating_add(SignedDuration::from_secs(life)).ok();
        let access_token = format!("access{}", self.id());
        self.tokens.put(&access_token, Session { expires_at, ..session.clone() });
        let mut told = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": life,
            "scope": session.scopes.join(" "),
            "userType": session.user_type,
            "companyId": COMPANY_ID,
            "userId": "sandbox-user",
            "isBulkInstallation": session.user_type == UserType::Company,
        });
        if let Some(location) = &session.location_id {
            told["locationId"] = location.as_str().into();
        }
        told
    }

    /// Spends a code or a refresh token: an access token, and the next refresh token.
    fn exchange(&self, key: &str) -> Result<Value, Answer> {
        let Some(grant) = self.grants.get(key).filter(|grant| !grant.spent) else {
            return Err(denied(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid grant: refresh token is invalid"));
        };
        let mut told = self.issue(&grant.session);
        let refresh_token = format!("refresh{}", self.id());
        self.grants.put(key, Grant { spent: true, ..grant.clone() });
        told["refresh_token"] = refresh_token.as_str().into();
        self.grants.put(&refresh_token, Grant { spent: false, ..grant });
        Ok(told)
    }
}

/// An error in the shape of RFC 6749.
fn denied(status: StatusCode, error: &str, description: &str) -> Answer {
    Answer(status, json!({ "error": error, "error_description": description }))
}

/// A form as it was sent. What is no form has no members.
fn form(headers: &HeaderMap, body: &Bytes) -> BTreeMap<String, String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return BTreeMap::new();
    }
    form_members(body)
}

/// The members of a form. A form is written like a query.
pub(crate) fn form_members(body: &[u8]) -> BTreeMap<String, String> {
    let uri = format!("/?{}", String::from_utf8_lossy(body)).parse::<Uri>();
    let members = uri.ok().and_then(|uri| Query::<BTreeMap<String, String>>::try_from_uri(&uri).ok());
    members.map(|Query(members)| members).unwrap_or_default()
}

/// `POST /oauth/token`.
pub(super) async fn token(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let _one_at_a_time = lock(&inner.applying);
    match inner.token(&form(&headers, &body)) {
        Ok(told) => Json(told).into_response(),
        Err(refusal) => refusal.traced(inner.trace_id()),
    }
}

impl Inner {
    fn token(&self, form: &BTreeMap<String, String>) -> Result<Value, Answer> {
        let given = |name: &str| form.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let (grant_type, wanted) = match given("grant_type") {
            Some(grant_type @ "authorization_code") => (grant_type, "code"),
            Some(grant_type @ "refresh_token") => (grant_type, "refresh_token"),
            _ => ("", "grant_type"),
        };
        let missing =
            ["client_id", "client_secret", "grant_type", wanted].into_iter().filter(|name| given(name).is_none());
        let missing: Vec<_> = missing.map(|name| format!("{name} should not be empty")).collect();
        if !missing.is_empty() {
            return Err(unprocessable(missing).into_answer());
        }
        if (given("client_id"), given("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            return Err(denied(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client credentials!"));
        }
        if grant_type.is_empty() {
            return Err(denied(StatusCode::BAD_REQUEST, "unsupported_grant_type", "The grant type is not supported."));
        }
        let told = self.exchange(given(wanted).unwrap_or_default());
        if wanted == "refresh_token" {
            let mut counts = lock(&self.refreshes);
            *(if told.is_ok() { &mut counts.done } else { &mut counts.refused }) += 1;
        }
        told
    }
}

/// `POST /oauth/locationToken`: a token for one location, which cannot be refreshed, from the agency's.
pub(super) fn location_token(inner: &Inner, call: &Call) -> Result<Answer, Refusal> {
    let form = form_members(&call.body);
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let missing = ["companyId", "locationId"].into_iter().filter(|name| given(name).is_empty());
    let missing: Vec<_> = missing.map(|name| format!("{name} should not be empty")).collect();
    if !missing.is_empty() {
        return Err(unprocessable(missing));
    }
    if given("companyId") != COMPANY_ID || inner.stock.locations.get(given("locationId")).is_none() {
        return Err(bad("Location not found"));
    }
    let location_id = Some(given("locationId").to_owned());
    ok(inner.issue(&Session { user_type: UserType::Location, location_id, ..call.session.clone() }))
}
