//! What is wrong with a payload, said without repeating what it held.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The shape of a value: enough to find the fault, too little to tell anything personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing stood at any of the places looked at.
    Missing,
    /// A JSON null.
    Null,
    /// A JSON boolean.
    Boolean,
    /// A JSON number.
    Number,
    /// A string, with its length in characters.
    String(usize),
    /// An array, with its number of items.
    Array(usize),
    /// An object, with its number of members.
    Object(usize),
}

impl Shape {
    /// The shape of what was found.
    pub fn of(value: Option<&Value>) -> Self {
        match value {
            None => Self::Missing,
            Some(Value::Null) => Self::Null,
            Some(Value::Bool(_)) => Self::Boolean,
            Some(Value::Number(_)) => Self::Number,
            Some(Value::String(text)) => Self::String(text.chars().count()),
            Some(Value::Array(items)) => Self::Array(items.len()),
            Some(Value::Object(members)) => Self::Object(members.len()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "nothing"),
            Self::Null => write!(f, "null"),
            Self::Boolean => write!(f, "a boolean"),
            Self::Number => write!(f, "a number"),
            Self::String(length) => write!(f, "a string of {length} characters"),
            Self::Array(length) => write!(f, "an array of {length}"),
            Self::Object(length) => write!(f, "an object of {length} members"),
        }
    }
}

/// One thing wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The field, by its name in the definition.
    pub field: String,
    /// The shape of what stood there, never the value.
    pub found: String,
    /// What was wanted instead.
    pub wanted: String,
}

impl Problem {
    /// A problem with `field`, where something of this shape stood.
    pub fn new(field: impl Into<String>, found: Shape, wanted: impl Into<String>) -> Self {
        Self { field: field.into(), found: found.to_string(), wanted: wanted.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: wanted {}, found {}", self.field, self.wanted, self.found)
    }
}

/// Everything wrong with a payload, all of it at once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{}", join(.0))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// A single problem.
    pub fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
