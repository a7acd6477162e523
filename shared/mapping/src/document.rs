//! JSON that may be mapped, and the doors it comes through.

use crate::{
    problem::{Problem, Problems, Shape},
    verify::Verified,
};
use serde_json::Value;

/// A parsed body. Bodies of deliveries come only through [`Document::delivered`], which takes proof; the other doors
/// are named after whom the bytes are trusted from.
#[derive(Debug, Clone)]
pub struct Document(Value);

impl Document {
    /// A sender's delivery, once proven.
    pub fn delivered(verified: &Verified<'_>) -> Result<Self, Problems> {
        Self::parse(verified.body())
    }

    /// The raw bytes of a delivery that was proven before it was stored in our own inbox.
    pub fn from_inbox(body: &[u8]) -> Result<Self, Problems> {
        Self::parse(body)
    }

    /// A source's answer to a request of ours.
    pub fn fetched(body: &[u8]) -> Result<Self, Problems> {
        Self::parse(body)
    }

    /// The body of a caller who holds a key of ours.
    pub fn given(body: &[u8]) -> Result<Self, Problems> {
        Self::parse(body)
    }

    /// A payload to be mapped without effect.
    pub fn preview(body: &[u8]) -> Result<Self, Problems> {
        Self::parse(body)
    }

    /// The JSON within.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// JSON in UTF-8, nested at most 128 deep (the parser's own limit).
    fn parse(body: &[u8]) -> Result<Self, Problems> {
        serde_json::from_slice(body).map(Self).map_err(|error| {
            // The parser's message names a position and what it expected there, never a value.
            let wanted = format!("JSON, which breaks off at line {} column {}", error.line(), error.column());
            let problem = Problem::new("body", Shape::String(body.len()), wanted);
            Problems::one(Problem { found: format!("{} bytes", body.len()), ..problem })
        })
    }
}
