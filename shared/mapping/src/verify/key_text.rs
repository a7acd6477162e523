//! Keys as people paste them into a secret: base64 with line breaks, PEM, or a shared secret as it stands.

use super::{ed25519, rsa};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::zeroize::Zeroizing;

/// Some tools leave out the padding of a key, and some secret stores strip it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a base64 text that may hold white space.
pub(super) fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let dense = Zeroizing::new(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>());
    BASE64.decode(&dense).ok().map(Zeroizing::new)
}

/// The DER of a key: in PEM under one of `labels`, or in base64 alone. One key, with nothing before or after it.
///
/// The lines of PEM may be of any length, and may have become one: a secret is JSON, and line breaks get lost there.
pub(super) fn der(text: &str, labels: &[&str]) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix("-----BEGIN ") else { return base64(text) };
    let (label, rest) = rest.split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    labels.contains(&label).then(|| base64(body))?
}

/// A key in PEM.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(BASE64.encode(der));
    // Base64 is ASCII: it can be cut anywhere.
    let lines: String =
        (0..text.len()).step_by(64).map(|at| format!("{}\n", &text[at..text.len().min(at + 64)])).collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// A shared secret, as it stands. What anybody can tell to be a public key is none: after a change of the scheme with
/// the old key left in the secret, everybody who knows that key could sign.
pub(super) fn shared_secret(text: &str) -> Option<&str> {
    let start = text.trim_start();
    let is_public = start.starts_with("-----BEGIN ")
        || start.starts_with(ed25519::PUBLIC)
        || base64(start).is_some_and(|der| rsa::is_public_key(&der) || ed25519::is_spki(&der));
    (!start.is_empty() && !is_public).then_some(text)
}
