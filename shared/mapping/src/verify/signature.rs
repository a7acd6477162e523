//! What the schemes with one signature in one header have in common.

use super::{Delivery, Refusal, SignError, check_age, header_fault, read_timestamp};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::{borrow::Cow, ops::RangeInclusive};

/// A timestamp that is signed as `{timestamp}.{body}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTimestamp {
    /// The header that holds it. Its text is signed as it stands.
    pub header: String,
    /// How far it may be from now, to either side, in seconds.
    pub tolerance_seconds: u32,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal.
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Encoding {
    /// What HMAC-SHA256 is mostly written in.
    pub(super) fn hex() -> Self {
        Self::Hex
    }

    /// What signatures under a private key are mostly written in.
    pub(super) fn base64() -> Self {
        Self::Base64
    }

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }
}

/// Where a signature stands and how it is written.
pub(super) struct Form<'s> {
    pub(super) header: &'s str,
    pub(super) encoding: Encoding,
    pub(super) prefix: &'s str,
    pub(super) timestamp: Option<&'s SignedTimestamp>,
    /// How many bytes a signature has.
    pub(super) bytes: RangeInclusive<usize>,
    /// What that is in hexadecimal, and in base64.
    pub(super) wanted: [&'static str; 2],
}

impl Form<'_> {
    /// What is wrong with the declaration.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.timestamp.is_some_and(|signed| signed.tolerance_seconds == 0) {
            faults.push("timestamp: a tolerance of 0 s refuses every delivery".to_owned());
        }
        let headers = [Some(self.header), self.timestamp.map(|signed| signed.header.as_str())];
        faults.extend(headers.into_iter().flatten().filter_map(header_fault));
        faults
    }

    /// The signature of a delivery, and the timestamp that was signed along with its body.
    pub(super) fn read<'a>(
        &self,
        delivery: &Delivery<'a>,
        now: Timestamp,
    ) -> Result<(Vec<u8>, Option<&'a str>), Refusal> {
        let text = delivery.headers.single(self.header)?;
        let decoded = self.encoding.decode(text.strip_prefix(self.prefix).unwrap_or(text));
        let signature = decoded.filter(|bytes| self.bytes.contains(&bytes.len())).ok_or_else(|| self.malformed())?;
        let timestamp = self.timestamp.map(|signed| signed.read(delivery, now)).transpose()?;
        Ok((signature, timestamp))
    }

    fn malformed(&self) -> Refusal {
        let [hex, base64] = self.wanted;
        Refusal::Malformed { wanted: if self.encoding == Encoding::Hex { hex } else { base64 } }
    }

    /// The headers of a delivery whose body, or timestamp and body, is signed by `sign`.
    pub(super) fn write(
        &self,
        body: &[u8],
        now: Timestamp,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, SignError>,
    ) -> Result<Vec<(String, String)>, SignError> {
        let timestamp = self.timestamp.map(|signed| (signed.header.clone(), now.as_second().to_string()));
        let signature = sign(&signed_bytes(timestamp.as_ref().map(|(_, text)| text.as_str()), body))?;
        let text = format!("{}{}", self.prefix, self.encoding.encode(&signature));
        Ok(std::iter::once((self.header.to_owned(), text)).chain(timestamp).collect())
    }
}

impl SignedTimestamp {
    /// The timestamp of a delivery, which is near enough to now.
    fn read<'a>(&self, delivery: &Delivery<'a>, now: Timestamp) -> Result<&'a str, Refusal> {
        let text = delivery.headers.single(&self.header)?;
        let at = read_timestamp(text).ok_or(Refusal::TimestampUnreadable)?;
        check_age(at, now, SignedDuration::from_secs(self.tolerance_seconds.into()))?;
        Ok(text)
    }
}

/// What is signed: the body, or `{timestamp}.{body}`.
pub(super) fn signed_bytes<'a>(timestamp: Option<&str>, body: &'a [u8]) -> Cow<'a, [u8]> {
    timestamp.map_or(Cow::Borrowed(body), |timestamp| [timestamp.as_bytes(), b".", body].concat().into())
}
