//! What is to be set up: as the flags say, and for the rest as a person answers.

use super::{Ask, InitArgs, InitError};
use crate::{CliError, place::Place, secrets::command::read_key};
use certbridge_mapping::{Definitions, SourceDefinition, definition::Content};
use secrecy::SecretString;
use std::{path::PathBuf, str::FromStr};

/// What `--destination` may say.
pub(super) const DESTINATIONS: [&str; 2] = ["snapshots", "highlevel"];
/// The source that is set up if nobody says which.
const DEFAULT_SOURCE: &str = "accredible";

/// `NAME=FILE`.
#[derive(Debug, Clone)]
pub struct GivenKey {
    /// Of which source.
    pub source: String,
    /// Where it is.
    pub file: PathBuf,
}

impl FromStr for GivenKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, file) =
            text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty()).ok_or("NAME=FILE")?;
        Ok(Self { source: source.to_owned(), file: file.into() })
    }
}

/// A source that is to be on.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// Its definition.
    pub source: SourceDefinition,
    /// The key that proves its deliveries; made, if none is given.
    pub signing: Option<SecretString>,
    /// The key to its API.
    pub api_key: Option<SecretString>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where.
    pub place: Place,
    /// The sources.
    pub sources: Vec<SourcePlan>,
    /// The destination's definition.
    pub destination: String,
    /// Its address; in a data folder, the sandbox's if none is given.
    pub destination_url: Option<String>,
    /// The key to it.
    pub destination_key: Option<SecretString>,
    /// Whether a test event is to be sent.
    pub test: bool,
    /// Where a deployment serves.
    pub url: Option<String>,
}

impl Plan {
    /// As the flags say, and the rest by default.
    pub(super) fn from_flags(args: &InitArgs) -> Result<Self, CliError> {
        let definitions = Definitions::built_in();
        let names = if args.sources.is_empty() { vec![DEFAULT_SOURCE.to_owned()] } else { args.sources.clone() };
        let find = |name: &String| definitions.source(name).ok_or_else(|| CliError::UnknownSource(name.clone()));
        let sources = names
            .iter()
            .map(|name| {
                let source = SourceDefinition::clone(find(name)?);
                let (signing, api_key) = (given(&args.signing_keys, name)?, given(&args.api_keys, name)?);
                Ok(SourcePlan { source, signing, api_key })
            })
            .collect::<Result<Vec<_>, CliError>>()?;
        for key in args.signing_keys.iter().chain(&args.api_keys) {
            if !sources.iter().any(|one| one.source.name == key.source) {
                return Err(InitError::NotMeant(key.source.clone()).into());
            }
        }
        Ok(Self {
            place: args.place.clone(),
            sources,
            destination: args.destination.clone().unwrap_or_else(|| DESTINATIONS[0].to_owned()),
            destination_url: args.destination_url.clone(),
            destination_key: args.destination_key_file.as_deref().map(read_key).transpose()?,
            test: !args.no_test,
            url: args.url.clone(),
        })
    }

    /// What nobody has said, by the flags that would say it.
    pub(super) fn missing(args: &InitArgs) -> Vec<&'static str> {
        let is_deployed = args.place.aws || args.place.stack.is_some();
        let missing = [
            (args.sources.is_empty(), "--source NAME"),
            (args.destination.is_none(), "--destination snapshots or highlevel"),
            (is_deployed && args.destination_key_file.is_none(), "--destination-key-file FILE"),
        ];
        missing.into_iter().filter_map(|(is_missing, flag)| is_missing.then_some(flag)).collect()
    }

    /// Asks for what the flags do not say.
    pub(super) fn asked(args: &InitArgs, ask: &mut impl Ask) -> Result<Self, CliError> {
        let mut args = args.clone();
        if !args.place.aws && args.place.stack.is_none() {
            let folder = format!("on this machine, in {}", args.place.data.display());
            if ask.choose("Where does it run?", &[folder, "on AWS".to_owned()])? == 1 {
                args.place.stack = Some(ask.line("The name of its stack", "certbridge")?);
            }
        }
        let is_deployed = args.place.aws || args.place.stack.is_some();
        if args.sources.is_empty() {
            let names: Vec<_> = Definitions::built_in().sources().map(|source| source.name.clone()).collect();
            let chosen = ask.choose_any("Which sources send events? (space chooses, enter goes on)", &names)?;
            args.sources = chosen.into_iter().filter_map(|at| names.get(at).cloned()).collect();
            if args.sources.is_empty() {
                return Err(InitError::NoSource.into());
            }
        }
        if args.destination.is_none() {
            let names = DESTINATIONS.map(str::to_owned);
            args.destination = names.get(ask.choose("Which destination is told?", &names)?).cloned();
        }
        let mut plan = Self::from_flags(&args)?;
        for one in &mut plan.sources {
            let name = &one.source.name;
            if one.signing.is_none() {
                one.signing =
                    ask.hidden(&format!("{name}: the key that proves its deliveries (empty: one is made)"))?;
            }
            let reads = one.source.records.values().any(|rules| rules.content != Content::Payload);
            if one.api_key.is_none() && reads {
                one.api_key = ask.hidden(&format!("{name}: the key to its API (empty: none yet)"))?;
            }
        }
        if plan.destination_url.is_none() && !is_deployed {
            let url = ask.line(&format!("{}: its address (empty: the sandbox plays it)", plan.destination), "")?;
            plan.destination_url = (!url.is_empty()).then_some(url);
        }
        if plan.destination_key.is_none() && (is_deployed || plan.destination_url.is_some()) {
            plan.destination_key = ask.hidden(&format!("{}: the key to it", plan.destination))?;
        }
        if is_deployed && plan.test && plan.url.is_none() {
            let url = ask.line("Where does it serve? (the stack's output ApiUrl; empty: no test event is sent)", "")?;
            plan.url = (!url.is_empty()).then_some(url);
        } else if plan.test {
            plan.test = ask.confirm("Send a test event?")?;
        }
        Ok(plan)
    }

    /// Whether it is on AWS.
    pub fn is_deployed(&self) -> bool {
        self.place.aws || self.place.stack.is_some()
    }
}

fn given(keys: &[GivenKey], source: &str) -> Result<Option<SecretString>, CliError> {
    keys.iter().find(|key| key.source == source).map(|key| read_key(&key.file)).transpose()
}
