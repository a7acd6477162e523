//! The environment's variables, read once at start. All that is wrong with them is said at once.

use lambda_http::http::Uri;
use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    str::FromStr,
};

/// Where Certbridge's secrets begin, unless `SECRET_PREFIX` says otherwise.
pub const DEFAULT_SECRET_PREFIX: &str = "certbridge/";

/// Where variables come from.
#[derive(Clone)]
pub struct Env(Origin);

#[derive(Clone)]
enum Origin {
    Process,
    Given(BTreeMap<String, String>),
}

impl Env {
    /// The variables of this process.
    pub fn process() -> Self {
        Self(Origin::Process)
    }

    /// The value of a variable. One that is blank counts as unset: a template cannot leave a variable out.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            Origin::Process => process_variable(name),
            Origin::Given(variables) => variables.get(name).cloned(),
        };
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The variables whose names end so, with their values.
    pub fn ending_with(&self, end: &str) -> BTreeMap<String, String> {
        let names: Vec<String> = match &self.0 {
            Origin::Process => process_names(),
            Origin::Given(variables) => variables.keys().cloned().collect(),
        };
        names
            .into_iter()
            .filter(|name| name.ends_with(end))
            .filter_map(|name| Some((name.clone(), self.get(&name)?)))
            .collect()
    }

    /// Starts reading variables.
    pub fn reader(&self) -> Reader<'_> {
        Reader { env: self, faults: Vec::new() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn process_names() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// Given variables, for tests and the local mode.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(Origin::Given(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }
}

/// Shows names only: among the process's variables are its credentials.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Process => write!(f, "Env(process)"),
            Origin::Given(variables) => f.debug_tuple("Env").field(&variables.keys().collect::<Vec<_>>()).finish(),
        }
    }
}

/// Reads variables and keeps what is wrong with them until [`Reader::finish`]: what it gives out before that may be a
/// stand-in.
#[derive(Debug)]
pub struct Reader<'a> {
    env: &'a Env,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    /// A variable that must be set.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.fault(name, "is not set");
            String::new()
        })
    }

    /// A variable that may be set.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.env.get(name)
    }

    /// A variable of a type, or its default.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        let Some(value) = self.optional(name) else { return default };
        value.parse().unwrap_or_else(|error| {
            self.fault(name, error);
            default
        })
    }

    /// A variable that may be set to the address of an API.
    pub fn url(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name)?;
        let uri = value.parse::<Uri>().ok();
        let scheme = uri.as_ref().filter(|uri| uri.host().is_some()).and_then(Uri::scheme_str);
        if !matches!(scheme, Some("http" | "https")) {
            self.fault(name, "is not an http or https address");
        }
        Some(value)
    }

    /// A variable that names one of these; the first, if it is not set.
    pub fn one_of<'a>(&mut self, name: &str, choices: &[&'a str]) -> &'a str {
        let first = choices.first().copied().unwrap_or_default();
        let Some(value) = self.optional(name) else { return first };
        choices.iter().copied().find(|choice| *choice == value).unwrap_or_else(|| {
            self.fault(name, format_args!("is none of {}", choices.join(", ")));
            first
        })
    }

    /// Says what is wrong with a variable that was read otherwise.
    pub fn fault(&mut self, name: &str, what: impl Display) {
        self.faults.push(Fault { variable: name.to_owned(), what: what.to_string() });
    }

    /// Everything that is wrong, if anything is.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigError { faults: self.faults }) }
    }
}

/// What is wrong with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub variable: String,
    /// What is wrong, without the value.
    pub what: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.what)
    }
}

/// Everything that is wrong with the variables. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError {
    /// Each fault, in the order of reading.
    pub faults: Vec<Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        Env::from_iter([
            ("INBOX_TABLE", "inbox"),
            ("AUDIT_TABLE", "  "),
            ("CONCURRENCY", "many"),
            ("DESTINATION", "mars"),
            ("SNAPSHOTS_URL", "https://api.example.com/v1"),
            ("ACCREDIBLE_URL", "api.example.com"),
        ])
    }

    #[test]
    fn reads_what_is_there() {
        let env = env();
        let mut vars = env.reader();
        assert_eq!(vars.required("INBOX_TABLE"), "inbox");
        assert_eq!(vars.optional("AUDIT_TABLE"), None);
        assert_eq!(vars.parsed("ATTEMPTS", 3), 3);
        assert_eq!(vars.one_of("SCHEME", &["a", "b"]), "a");
        assert_eq!(vars.url("SNAPSHOTS_URL").as_deref(), Some("https://api.example.com/v1"));
        assert_eq!(vars.url("HIGHLEVEL_URL"), None);
        vars.finish().unwrap();
    }

    #[test]
    fn says_everything_at_once_without_values() {
        let env = env();
        let mut vars = env.reader();
        vars.required("AUDIT_TABLE");
        vars.parsed("CONCURRENCY", 1);
        vars.one_of("DESTINATION", &["snapshots", "highlevel"]);
        vars.url("ACCREDIBLE_URL");
        assert_eq!(
            vars.finish().unwrap_err().to_string(),
            "configuration: AUDIT_TABLE: is not set; CONCURRENCY: invalid digit found in string; \
             DESTINATION: is none of snapshots, highlevel; ACCREDIBLE_URL: is not an http or https address"
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?} {:?}", env(), Env::process());
        assert!(shown.contains("INBOX_TABLE") && !shown.contains("mars"), "{shown}");
    }

    #[test]
    fn reads_the_process() {
        assert!(Env::process().get("PATH").is_some());
        assert_eq!(Env::process().get("CERTBRIDGE_NO_SUCH_VARIABLE"), None);
    }
}
