//! Where a page begins, in a text that only we can make.
//!
//! A cursor is proven by a key of ours, and goes with the caller, the route and the filters that it was made for: it opens
//! nothing else, and nobody can make one that looks into the middle of what they were not shown.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certbridge_mapping::{
    Problems,
    digest::hmac_sha256_hex,
    problem::{Problem, Shape},
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// The length of the proof, in characters of hex: 128 bits are as many as anybody could guess at.
const PROOF: usize = 32;

/// Makes and reads cursors.
#[derive(Debug, Clone)]
pub struct Cursors(SecretString);

/// What a cursor goes with: the caller's key, the route, and the filters in their order.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a>(pub(crate) Vec<&'a str>);

impl Cursors {
    /// With the key of the secret `cursors`.
    pub fn new(key: SecretString) -> Self {
        Self(key)
    }

    /// The cursor of a place.
    pub(crate) fn write(&self, scope: &Scope<'_>, place: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("{}{place}", self.proof(scope, place)))
    }

    /// The place of a cursor; `None` if there is none.
    pub(crate) fn read(&self, scope: &Scope<'_>, cursor: Option<&str>) -> Result<Option<String>, Problems> {
        let Some(cursor) = cursor else { return Ok(None) };
        let place = self.place(scope, cursor).map(Some);
        place.ok_or_else(|| {
            let wanted = "the next_cursor of a page, with the same filters and the same key";
            Problems::one(Problem::new("cursor", Shape::String(cursor.chars().count()), wanted))
        })
    }

    fn place(&self, scope: &Scope<'_>, cursor: &str) -> Option<String> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (proof, place) = text.split_at_checked(PROOF)?;
        let proven: bool = self.proof(scope, place).as_bytes().ct_eq(proof.as_bytes()).into();
        proven.then(|| place.to_owned())
    }

    fn proof(&self, scope: &Scope<'_>, place: &str) -> String {
        let parts = scope.0.iter().copied().chain([place]).map(str::as_bytes);
        let mut proof = hmac_sha256_hex(self.0.expose_secret().as_bytes(), parts);
        proof.truncate(PROOF);
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_what_it_was_made_for() {
        let cursors = Cursors::new("key".to_owned().into());
        let scope = |parts: &[&'static str]| Scope(parts.to_vec());
        let mine = scope(&["key-1", "GET /certificates", "accredible", ""]);
        let cursor = cursors.write(&mine, "place é");
        assert_eq!(cursors.read(&mine, Some(&cursor)), Ok(Some("place é".to_owned())));
        assert_eq!(cursors.read(&mine, None), Ok(None));
        for other in [
            scope(&["key-2", "GET /certificates", "accredible", ""]),
            scope(&["key-1", "GET /records/{kind}", "accredible", ""]),
            scope(&["key-1", "GET /certificates", "", "accredible"]),
            scope(&["key-1", "GET /certificates", "accredible"]),
        ] {
            assert!(cursors.read(&other, Some(&cursor)).is_err(), "{other:?}");
        }
        let others = Cursors::new("another".to_owned().into());
        assert!(others.read(&mine, Some(&cursor)).is_err());
    }

    #[test]
    fn whatever_else_is_no_cursor() {
        let cursors = Cursors::new("key".to_owned().into());
        let scope = Scope(vec!["key-1"]);
        let cursor = cursors.write(&scope, "2026#x");
        let mut edited = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        *edited.last_mut().unwrap() = b'y';
        for no_cursor in ["", "x", "=", "%00", "AAAA", &cursor[1..], &BASE64_URL_SAFE_NO_PAD.encode(edited)] {
            let problems = cursors.read(&scope, Some(no_cursor)).unwrap_err();
            assert_eq!(problems.0[0].field, "cursor", "{no_cursor}");
        }
    }
}
