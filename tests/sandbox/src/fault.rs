//! What a provider can be told to do wrong.

use crate::accredible::merge;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A fault. "Handled" is all that the request asks for, as if there were no fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Not handled, and answered with this status.
    Status {
        /// The status.
        status: u16,
        /// What `Retry-After` says: seconds or a date.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
    },
    /// Handled late, unless the client has gone by then.
    Delay {
        /// After so many milliseconds.
        ms: u64,
    },
    /// Not handled, and never answered: the connection stays open.
    Hang,
    /// Not handled, and the connection is closed without an answer.
    Cut,
    /// Handled, and answered as if well, but with a body that is not what it should be.
    WrongBody,
    /// Handled, and then the connection is closed without an answer.
    AnswerLost,
    /// Answered with 504 at once, and handled later: after some time, or when it is released, whatever comes first.
    AppliedLate {
        /// After so many milliseconds; without, only when it is released.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ms: Option<u64>,
    },
    /// Answered with 500: of several records, only the first half is handled, rounded up; anything else is handled.
    Halfway,
    /// Handled, but a page of a listing says that it is the next page itself.
    Repeat,
    /// Handled, but a listing does not show what has this id.
    Hide {
        /// The id.
        id: String,
    },
    /// Handled, but a listing shows what has this id twice, the second time with these members in place of its own.
    Twice {
        /// The id.
        id: String,
        /// The members.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        changed: Map<String, Value>,
    },
    /// Handled, but a listing says that it has so many items.
    Announce {
        /// How many.
        count: usize,
    },
}

/// The fault of a request, as its handler sees it: some faults take its help.
#[derive(Debug, Clone, Default)]
pub(crate) struct Struck(pub(crate) Option<Fault>);

impl Struck {
    /// How many of so many records are handled.
    pub(crate) fn handled(&self, records: usize) -> usize {
        if self.0 == Some(Fault::Halfway) { records.div_ceil(2) } else { records }
    }

    /// Whether a page is its own next one.
    pub(crate) fn repeats(&self) -> bool {
        self.0 == Some(Fault::Repeat)
    }

    /// Whether a listing shows what has this id.
    fn shows(&self, id: &str) -> bool {
        !matches!(&self.0, Some(Fault::Hide { id: hidden }) if hidden == id)
    }

    /// The items of a page as they are shown, each with its id.
    pub(crate) fn shown(&self, items: Vec<(String, Value)>) -> Vec<Value> {
        let twice = match &self.0 {
            Some(Fault::Twice { id, changed }) => items.iter().find(|(of, _)| of == id).map(|(_, item)| {
                let mut item = item.clone();
                merge(&mut item, &Value::Object(changed.clone()));
                item
            }),
            _ => None,
        };
        let shown = items.into_iter().filter(|(id, _)| self.shows(id)).map(|(_, item)| item);
        shown.chain(twice).collect()
    }

    /// How many items a listing says that it has, of so many.
    pub(crate) fn announced(&self, count: usize) -> usize {
        if let Some(Fault::Announce { count }) = &self.0 { *count } else { count }
    }
}

/// When a fault happens: at every request that fits, so many times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What happens.
    #[serde(flatten)]
    pub fault: Fault,
    /// At requests of this method only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// At requests whose path starts so only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How often yet. Without, until the faults are cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Fault {
    /// An answer of this status, with no `Retry-After`.
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None }
    }

    /// At every request, until the faults are cleared.
    pub fn always(self) -> FaultRule {
        FaultRule { fault: self, method: None, path: None, times: None }
    }

    /// At the next so many requests.
    pub fn times(self, times: u32) -> FaultRule {
        FaultRule { times: Some(times), ..self.always() }
    }

    /// At the next request.
    pub fn once(self) -> FaultRule {
        self.times(1)
    }
}

impl FaultRule {
    /// The same, at requests of this method whose path starts so.
    #[must_use]
    pub fn on(self, method: &str, path: &str) -> Self {
        Self { method: Some(method.to_owned()), path: Some(path.to_owned()), ..self }
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|start| path.starts_with(start))
    }
}

/// The fault of this request, if there is one: the first rule that fits, which is then used up by one.
pub(crate) fn take(rules: &mut Vec<FaultRule>, method: &str, path: &str) -> Option<Fault> {
    rules.retain(|rule| rule.times != Some(0));
    let rule = rules.iter_mut().find(|rule| rule.fits(method, path))?;
    rule.times = rule.times.map(|times| times - 1);
    Some(rule.fault.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_in_order_and_used_up() {
        let mut rules = vec![
            Fault::Hang.times(2).on("POST", "/a"),
            Fault::Cut.times(0),
            Fault::status(503).once(),
            Fault::WrongBody.always().on("get", ""),
        ];
        let mut next = |method, path| take(&mut rules, method, path);
        assert_eq!(next("POST", "/a/1"), Some(Fault::Hang));
        assert_eq!(next("POST", "/b"), Some(Fault::status(503)));
        assert_eq!(next("POST", "/b"), None);
        assert_eq!(next("POST", "/a"), Some(Fault::Hang));
        assert_eq!(next("POST", "/a"), None);
        assert_eq!(next("GET", "/a"), Some(Fault::WrongBody));
        assert_eq!(next("GET", "/a"), Some(Fault::WrongBody));
    }

    #[test]
    fn rules_are_written_as_they_are_documented() {
        let text =
            r#"{"fault":"status","status":503,"retry_after":"5","method":"POST","path":"/certificates","times":2}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        let fault = Fault::Status { status: 503, retry_after: Some("5".into()) };
        assert_eq!(rule, fault.times(2).on("POST", "/certificates"));
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        for (text, fault) in [
            (r#"{"fault":"hang"}"#, Fault::Hang),
            (r#"{"fault":"answer_lost"}"#, Fault::AnswerLost),
            (r#"{"fault":"applied_late"}"#, Fault::AppliedLate { ms: None }),
            (r#"{"fault":"delay","ms":5}"#, Fault::Delay { ms: 5 }),
            (r#"{"fault":"halfway"}"#, Fault::Halfway),
            (r#"{"fault":"repeat"}"#, Fault::Repeat),
            (r#"{"fault":"hide","id":"7"}"#, Fault::Hide { id: "7".into() }),
            (r#"{"fault":"twice","id":"7"}"#, Fault::Twice { id: "7".into(), changed: Map::new() }),
            (r#"{"fault":"announce","count":9}"#, Fault::Announce { count: 9 }),
        ] {
            assert_eq!(serde_json::from_str::<FaultRule>(text).unwrap(), fault.always());
        }
        assert!(serde_json::from_str::<FaultRule>(r#"{"fault":"earthquake"}"#).is_err());
    }
}
