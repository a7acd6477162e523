//! Values as DynamoDB holds them.

use aws_sdk_dynamodb::types::AttributeValue;
use certbridge_sync::StoreError;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, fmt::Display, str::FromStr};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A text.
pub(crate) fn text(value: impl Display) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A number.
pub(crate) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A value as JSON, in a text.
pub(crate) fn json(value: &impl Serialize) -> Result<AttributeValue, StoreError> {
    let json = serde_json::to_string(value);
    Ok(AttributeValue::S(json.map_err(|_| StoreError::Refused("a row cannot be written as JSON".to_owned()))?))
}

/// An instant in epoch milliseconds, rounded up: what must not happen before it does not happen before it.
pub(crate) fn milliseconds_up(at: Timestamp) -> AttributeValue {
    number(-(-at.as_nanosecond()).div_euclid(1_000_000))
}

/// An instant in epoch milliseconds, rounded down, to compare with those that were rounded up.
pub(crate) fn milliseconds_down(at: Timestamp) -> AttributeValue {
    number(at.as_nanosecond().div_euclid(1_000_000))
}

/// An instant in epoch seconds, rounded up.
pub(crate) fn seconds_up(at: Timestamp) -> AttributeValue {
    number(-(-at.as_nanosecond()).div_euclid(1_000_000_000))
}

/// Reads the attributes of an item. Its errors name the attribute and never what it holds.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a Item);

impl<'a> Reader<'a> {
    pub(crate) fn text(self, name: &str) -> Result<&'a str, StoreError> {
        self.optional_text(name)?.ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_text(self, name: &str) -> Result<Option<&'a str>, StoreError> {
        let value = self.0.get(name).map(AttributeValue::as_s).transpose();
        value.map(|text| text.map(String::as_str)).map_err(|_| unreadable(name))
    }

    pub(crate) fn parsed<T: FromStr>(self, name: &str) -> Result<T, StoreError> {
        self.optional_parsed(name)?.ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_parsed<T: FromStr>(self, name: &str) -> Result<Option<T>, StoreError> {
        let text = self.optional_text(name)?;
        text.map(str::parse).transpose().map_err(|_| unreadable(name))
    }

    pub(crate) fn number<T: FromStr>(self, name: &str) -> Result<T, StoreError> {
        self.optional_number(name)?.ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_number<T: FromStr>(self, name: &str) -> Result<Option<T>, StoreError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let number = value.as_n().ok().and_then(|digits| digits.parse().ok());
        number.map(Some).ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_milliseconds(self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let milliseconds = self.optional_number(name)?;
        milliseconds.map(Timestamp::from_millisecond).transpose().map_err(|_| unreadable(name))
    }

    pub(crate) fn optional_seconds(self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let seconds = self.optional_number(name)?;
        seconds.map(Timestamp::from_second).transpose().map_err(|_| unreadable(name))
    }

    pub(crate) fn json<T: DeserializeOwned>(self, name: &str) -> Result<T, StoreError> {
        self.optional_json(name)?.ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_json<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, StoreError> {
        let text = self.optional_text(name)?;
        text.map(serde_json::from_str).transpose().map_err(|_| unreadable(name))
    }

    pub(crate) fn flag(self, name: &str) -> Result<bool, StoreError> {
        self.0.get(name).and_then(|value| value.as_bool().ok()).copied().ok_or_else(|| unreadable(name))
    }

    /// A flag that is written only where it is set.
    pub(crate) fn optional_flag(self, name: &str) -> Result<bool, StoreError> {
        if self.0.contains_key(name) { self.flag(name) } else { Ok(false) }
    }

    pub(crate) fn bytes(self, name: &str) -> Result<&'a [u8], StoreError> {
        let blob = self.0.get(name).and_then(|value| value.as_b().ok());
        blob.map(AsRef::as_ref).ok_or_else(|| unreadable(name))
    }

    /// How many different numbers stand in a set; none if there is no such set.
    pub(crate) fn optional_set_size(self, name: &str) -> Result<usize, StoreError> {
        let Some(value) = self.0.get(name) else { return Ok(0) };
        value.as_ns().map(Vec::len).map_err(|_| unreadable(name))
    }

    pub(crate) fn optional_map(self, name: &str) -> Result<Option<Self>, StoreError> {
        let map = self.0.get(name).map(AttributeValue::as_m).transpose();
        map.map(|item| item.map(Self)).map_err(|_| unreadable(name))
    }
}

/// A row that cannot be read.
pub(crate) fn unreadable(attribute: &str) -> StoreError {
    StoreError::Refused(format!("a row's {attribute} cannot be read"))
}
