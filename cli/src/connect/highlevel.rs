//! HighLevel: the grant, and what has to be there in each location.

use super::ConnectError;
use crate::CliError;
use certbridge_remote::{
    HighLevel,
    highlevel::{Connected, Prepared},
};
use certbridge_sync::{
    error::RemoteClass,
    grants::Grants,
    ids::IdMap,
    ports::{Credentials, DestinationKeys},
};
use std::{collections::BTreeSet, time::Duration};

/// How long one request may take: there is a person who waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a person wishes.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The code, or the address that holds it.
    pub code: Option<String>,
    /// Where the provider's page sends the person.
    pub redirect_uri: String,
    /// The locations to prepare; if none, those that the secret names.
    pub locations: Vec<String>,
    /// Whether only to say what would be done.
    pub dry_run: bool,
}

/// What a person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something that was done, or found.
    Done(String),
    /// Something to do or to know.
    Hint(String),
}

/// Lets us in, unless there is a key, and makes what is missing.
pub async fn connect<K: DestinationKeys, S: IdMap + Grants>(
    api: &HighLevel<K, S>,
    held: &Credentials,
    wish: Wish,
    ask: impl FnOnce(&str) -> Result<String, CliError>,
    tell: &mut impl FnMut(Told) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut locations: BTreeSet<_> = wish.locations.iter().cloned().collect();
    if locations.is_empty() {
        locations.extend(held.locations.keys().chain(&held.default_location).cloned());
    }
    if held.api_key.is_some() || held.client.is_none() {
        tell(Told::Hint("The secret holds keys, so nobody need let us in.".to_owned()))?;
    } else {
        let url = api.authorize_url(&wish.redirect_uri, PATIENCE).await.map_err(ConnectError::from)?;
        tell(Told::Hint(format!("Open this page, and choose what we are let into:\n\n  {url}\n")))?;
        if wish.dry_run {
            tell(Told::Hint("A dry run: no code is taken, and no grant is kept.".to_owned()))?;
        } else {
            let given = match wish.code {
                Some(code) => code,
                None => ask("The code, or the whole address that the page sent you to")?,
            };
            let code = code_in(&given).ok_or(ConnectError::NoCode)?;
            let connected = api.connect(&code, &wish.redirect_uri, PATIENCE).await.map_err(ConnectError::from)?;
            tell(Told::Done(let_in(&connected)))?;
            if wish.locations.is_empty() {
                locations.extend(connected.location_id);
            }
        }
    }
    if locations.is_empty() {
        return Err(ConnectError::NoLocation.into());
    }
    for location in locations {
        let prepared = match api.prepare(&location, wish.dry_run, PATIENCE).await {
            // Before the first grant there is nothing to look with.
            Err(error) if wish.dry_run && error.class == RemoteClass::Unauthorized => {
                tell(Told::Hint(format!("What is missing in {location} cannot be seen yet: {}", error.message)))?;
                continue;
            }
            prepared => prepared.map_err(ConnectError::from)?,
        };
        for line in lines(&location, &prepared, wish.dry_run) {
            tell(Told::Done(line))?;
        }
    }
    Ok(())
}

/// The code in what was pasted: alone, or as a member of an address.
pub fn code_in(text: &str) -> Option<String> {
    let text = text.trim();
    let code = match text.split_once("code=") {
        Some((_, rest)) => rest.split(['&', '#']).next().unwrap_or_default(),
        None => text,
    };
    let plain = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%+=/".contains(&b));
    let code = percent_encoding::percent_decode_str(code).decode_utf8().ok()?;
    (plain && !code.chars().any(char::is_control)).then(|| code.into_owned())
}

fn let_in(connected: &Connected) -> String {
    let company = connected.company_id.as_deref().map(|id| format!(" of company {id}")).unwrap_or_default();
    let what = match &connected.location_id {
        Some(location) => format!("location {location}{company}"),
        None => format!("all locations{company}"),
    };
    format!("let in: {what}; the token is renewed by itself from now on")
}

fn lines(location: &str, prepared: &Prepared, dry_run: bool) -> Vec<String> {
    let made = if dry_run { "would be made" } else { "made" };
    let mut lines: Vec<_> = prepared.made.iter().map(|part| format!("{location}: {made}: {part}")).collect();
    lines.push(format!("{location}: {} there already, {} {made}", prepared.there.len(), prepared.made.len()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_what_is_pasted() {
        for (text, code) in [
            (" abc-1 \n", Some("abc-1")),
            ("https://localhost/certbridge?code=abc&state=x#y", Some("abc")),
            ("?state=x&code=a%2Fb", Some("a/b")),
            ("", None),
            ("https://localhost/certbridge?error=denied", None),
            ("code=", None),
            ("code=a%0Ab", None),
        ] {
            assert_eq!(code_in(text).as_deref(), code, "{text}");
        }
    }
}
