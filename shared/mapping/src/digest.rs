//! SHA-256 and canonical JSON (RFC 8785), the only forms in which anything is compared or chained.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Canonical JSON of a value (RFC 8785): keys sorted, no white space, one form per number.
///
/// # Panics
/// Never for the types of this project: they hold strings, integers, booleans, arrays and objects with string keys,
/// and those always serialise.
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "only maps with keys that are not strings fail, and there are none")]
    serde_json_canonicalizer::to_string(value).expect("plain data serialises")
}

/// SHA-256 as lower-case hex, 64 characters.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 over the parts, each preceded by its length (eight bytes, big endian), so that no two lists of parts
/// share a digest because their bytes run together alike.
pub fn sha256_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// HMAC-SHA256 over the parts, each preceded by its length, as lower-case hex.
pub fn hmac_sha256_hex<'a>(key: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    #[expect(clippy::expect_used, reason = "HMAC hashes a key that is longer than its block and pads a shorter one")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_sorts_keys_and_drops_space() {
        let value = serde_json::json!({"b": [1, true, null], "a": "\u{e9}\n", "A": 10});
        assert_eq!(canonical_json(&value), "{\"A\":10,\"a\":\"é\\n\",\"b\":[1,true,null]}");
    }

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: &[&str]| sha256_of_parts(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", ""]), of(&["ab"]));
    }

    #[test]
    fn sha256_is_the_standard_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
