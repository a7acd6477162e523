//! Who sent it: signatures made by another implementation, and everything that must be refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{Definitions, Delivery, Headers, Keys, Refusal, SourceDefinition, verify::SignError};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

const NOW: &str = "2026-03-01T12:00:00Z";
const SECONDS: i64 = 1_772_366_400;
const KEY: &str = "correct-horse-battery-staple";
const BODY: &[u8] = br#"{"event_type":"certificate_issued"}"#;

const HEX: &str = "scheme = \"hmac-sha256\"\nheader = \"X-Signature\"";
const BASE64: &str = "scheme = \"hmac-sha256\"\nheader = \"X-Signature\"\nencoding = \"base64\"";
const TIMED: &str = "scheme = \"hmac-sha256\"\nheader = \"X-Signature\"\nprefix = \"sha256=\"\n\
    timestamp = { header = \"X-Timestamp\", tolerance_seconds = 300 }";
const TOKEN: &str = "scheme = \"token\"\nheader = \"X-Token\"";
const PATH_TOKEN: &str = "scheme = \"token\"";

fn source(verification: &str) -> SourceDefinition {
    let text = format!(
        "name = \"sender\"\nrecords = {{}}\n[verification]\n{verification}\n\
         [event]\ntype = \"$.t\"\nrecord_id = \"$.r\"\ntime = \"$.at\"\ntypes = {{}}\n"
    );
    SourceDefinition::parse("sender.toml", &text).unwrap()
}

fn keys(keys: &[&str]) -> Keys {
    Keys::new(keys.iter().map(|key| SecretString::from(*key))).unwrap()
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

type Header = (String, Vec<u8>);

fn header(name: &str, value: impl AsRef<[u8]>) -> Header {
    (name.to_owned(), value.as_ref().to_vec())
}

/// What becomes of a delivery: the id of the key that proved it.
fn prove(
    source: &SourceDefinition,
    keys: &Keys,
    headers: &[Header],
    path_token: Option<&str>,
    body: &[u8],
) -> Result<String, Refusal> {
    let headers: Headers<'_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let delivery = Delivery { headers, body, path_token };
    source.verify(&delivery, keys, now()).map(|verified| verified.key_id().to_owned())
}

/// The signature that a sender would put into `X-Signature`.
fn signature(source: &SourceDefinition) -> String {
    source.sign(BODY, &SecretString::from(KEY), now()).unwrap().remove(0).1
}

/// What `verification` refuses these headers with, and the word that the metric has for it.
fn check(verification: &str, headers: &[Header], wanted: Refusal, reason: &str) {
    let refusal = prove(&source(verification), &keys(&[KEY]), headers, None, BODY).unwrap_err();
    assert_eq!(refusal, wanted);
    assert_eq!(refusal.reason(), reason, "{refusal}");
    for text in [refusal.to_string(), format!("{refusal:?}")] {
        assert!(!text.contains(KEY), "{text}");
        assert!(!text.contains(signature(&source(HEX)).as_str()), "{text}");
        assert!(!text.contains(signature(&source(BASE64)).as_str()), "{text}");
    }
}

fn missing(header: &str) -> Refusal {
    Refusal::HeaderMissing { header: header.into() }
}

fn doubled(header: &str) -> Refusal {
    Refusal::HeaderDoubled { header: header.into() }
}

fn mismatch(tried: &[&str]) -> Refusal {
    Refusal::Mismatch { tried: keys(tried).ids(), unusable: Vec::new() }
}

#[test]
fn signatures_of_another_implementation_are_proven() {
    let file: Value = serde_json::from_str(include_str!("vectors/hmac.json")).unwrap();
    assert_eq!(file["now"], NOW);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() > 20);
    for vector in vectors {
        let name = &vector["name"];
        let secrets: Vec<_> = vector["keys"].as_array().unwrap().iter().map(text).collect();
        let keys = Keys::new(secrets.iter().map(|key| SecretString::from(key.as_str()))).unwrap();
        let headers: Vec<_> =
            vector["headers"].as_array().unwrap().iter().map(|pair| header(&text(&pair[0]), text(&pair[1]))).collect();
        let body = hex::decode(text(&vector["body_hex"])).unwrap();
        let source = source(&text(&vector["verification"]));
        let signer = usize::try_from(vector["proven_by"].as_u64().unwrap()).unwrap();
        assert_eq!(prove(&source, &keys, &headers, None, &body).as_ref(), Ok(&keys.ids()[signer]), "{name}");

        // Without the key that signed it, and with one more byte, it is refused.
        let mut tampered = body.clone();
        tampered.push(b' ');
        let refused = prove(&source, &keys, &headers, None, &tampered);
        assert_eq!(refused, Err(Refusal::Mismatch { tried: keys.ids(), unusable: Vec::new() }), "{name}");
        let others = Keys::new([SecretString::from("another")]).unwrap();
        let refused = prove(&source, &others, &headers, None, &body);
        assert_eq!(refused, Err(Refusal::Mismatch { tried: others.ids(), unusable: Vec::new() }), "{name}");
    }
}

#[test]
fn what_we_sign_we_prove() {
    let key = SecretString::from(KEY);
    for verification in [HEX, BASE64, TIMED, TOKEN] {
        let source = source(verification);
        let signed = source.sign(BODY, &key, now()).unwrap();
        let headers: Vec<_> = signed.iter().map(|(name, value)| header(&name.to_lowercase(), value)).collect();
        assert_eq!(prove(&source, &keys(&["old", KEY]), &headers, None, BODY), Ok(keys(&[KEY]).ids().remove(0)));
    }
}

#[test]
fn a_signature_stands_there_once() {
    let good = signature(&source(HEX));
    check(HEX, &[], missing("X-Signature"), "missing");
    check(HEX, &[header("X-Signature", "")], missing("X-Signature"), "missing");
    check(HEX, &[header("X-Signature", "  ")], missing("X-Signature"), "missing");
    check(HEX, &[header("X-Signature", format!("{good},{good}"))], doubled("X-Signature"), "doubled");
    check(HEX, &[header("X-Signature", format!("{good}, forged"))], doubled("X-Signature"), "doubled");
    let two_lines = [header("X-Signature", &good), header("x-signature", &good)];
    check(HEX, &two_lines, doubled("X-Signature"), "doubled");
    let same = |bytes: &[u8]| [header("X-Signature", bytes)];
    let not_text = || Refusal::HeaderNotText { header: "X-Signature".into() };
    check(HEX, &same("ä".repeat(32).as_bytes()), not_text(), "malformed");
    check(HEX, &same(b"\xff\xfe"), not_text(), "malformed");
    check(HEX, &same(b"abc\ndef"), not_text(), "malformed");
}

#[test]
fn a_signature_has_the_form_that_is_declared() {
    let hex = signature(&source(HEX));
    let base64 = signature(&source(BASE64));
    let malformed_hex = || Refusal::Malformed { wanted: "64 hexadecimal digits" };
    for bad in [
        &hex[..62],
        &hex[..63],
        &hex[1..],
        &format!("{hex}00"),
        &format!("{}g", &hex[..63]),
        &format!("0x{hex}"),
        &format!("sha1={hex}"),
        &format!("{} {}", &hex[..32], &hex[32..]),
        &base64,
        "true",
        "0",
    ] {
        check(HEX, &[header("X-Signature", bad)], malformed_hex(), "malformed");
    }
    let malformed_base64 = || Refusal::Malformed { wanted: "44 characters of base64" };
    for bad in [&hex, base64.trim_end_matches('='), &base64[..40], &format!("{base64}AAAA"), "====", "_-_-"] {
        check(BASE64, &[header("X-Signature", bad)], malformed_base64(), "malformed");
    }
}

#[test]
fn a_wrong_signature_is_refused_whichever_bit_is_wrong() {
    let hex = signature(&source(HEX));
    let bytes = hex::decode(&hex).unwrap();
    for bit in 0..256 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(HEX, &[header("X-Signature", hex::encode(flipped))], mismatch(&[KEY]), "mismatch");
    }
    check(HEX, &[header("X-Signature", "00".repeat(32))], mismatch(&[KEY]), "mismatch");
}

#[test]
fn a_timestamp_is_near_and_readable() {
    let signed_at = |offset: i64| {
        let at = Timestamp::from_second(SECONDS + offset).unwrap();
        let headers = source(TIMED).sign(BODY, &SecretString::from(KEY), at).unwrap();
        headers.into_iter().map(|(name, value)| header(&name, value)).collect::<Vec<_>>()
    };
    let stale = |seconds| Refusal::Stale { seconds, tolerance: 300 };
    check(TIMED, &signed_at(-301), stale(301), "stale");
    check(TIMED, &signed_at(301), stale(301), "stale");
    check(TIMED, &signed_at(-SECONDS), stale(SECONDS), "stale");
    for fresh in [-300, 0, 300] {
        prove(&source(TIMED), &keys(&[KEY]), &signed_at(fresh), None, BODY).unwrap();
    }

    let with = |timestamp: &str| {
        let mut headers = signed_at(0);
        headers[1] = header("X-Timestamp", timestamp);
        headers
    };
    check(TIMED, &signed_at(0)[..1], missing("X-Timestamp"), "missing");
    check(TIMED, &with(""), missing("X-Timestamp"), "missing");
    check(TIMED, &with(&format!("{SECONDS},{SECONDS}")), doubled("X-Timestamp"), "doubled");
    for unreadable in ["soon", "-1", "1e9", "2026-03-01", "2026-03-01T12:00:00", "99999999999999999999"] {
        check(TIMED, &with(unreadable), Refusal::TimestampUnreadable, "malformed");
    }
    // It is signed as it stands: another way to write the same instant is another text.
    check(TIMED, &with(NOW), mismatch(&[KEY]), "mismatch");
    check(TIMED, &with(&format!("{SECONDS}000")), mismatch(&[KEY]), "mismatch");
}

#[test]
fn a_timestamp_and_a_body_do_not_run_together() {
    // One signed text, `{SECONDS}.5.x`, cut in two places: only the first cut leaves a timestamp.
    let source = source(TIMED);
    let tag = source.sign(b"5.x", &SecretString::from(KEY), now()).unwrap();
    let headers: Vec<_> = tag.iter().map(|(name, value)| header(name, value)).collect();
    assert!(prove(&source, &keys(&[KEY]), &headers, None, b"5.x").is_ok());
    let moved = [headers[0].clone(), header("X-Timestamp", format!("{SECONDS}.5"))];
    assert_eq!(prove(&source, &keys(&[KEY]), &moved, None, b"x"), Err(Refusal::TimestampUnreadable));
}

#[test]
fn tokens_are_whole() {
    let source = source(TOKEN);
    let some = keys(&["first-token", "second-token"]);
    let prove = |token: &str| prove(&source, &some, &[header("x-token", token)], None, BODY);
    assert_eq!(prove("first-token").as_ref(), Ok(&some.ids()[0]));
    assert_eq!(prove(" second-token ").as_ref(), Ok(&some.ids()[1]));
    for wrong in ["first", "first-token2", "irst-token", "FIRST-TOKEN", "first-tokensecond-token", "null"] {
        assert_eq!(prove(wrong), Err(Refusal::Mismatch { tried: some.ids(), unusable: Vec::new() }), "{wrong}");
    }
    assert_eq!(prove(""), Err(missing("X-Token")));
    assert_eq!(prove("first-token,first-token"), Err(doubled("X-Token")));
}

#[test]
fn a_token_in_the_path_is_no_header_and_the_other_way_round() {
    let in_path = source(PATH_TOKEN);
    let in_header = source(TOKEN);
    let keys = keys(&[KEY]);
    assert!(prove(&in_path, &keys, &[], Some(KEY), BODY).is_ok());
    assert_eq!(prove(&in_path, &keys, &[], None, BODY), Err(Refusal::TokenMissing));
    assert_eq!(prove(&in_path, &keys, &[], Some(""), BODY), Err(Refusal::TokenMissing));
    assert_eq!(Refusal::TokenMissing.reason(), "missing");
    assert_eq!(prove(&in_path, &keys, &[], Some(&KEY[..5]), BODY), Err(mismatch(&[KEY])));
    assert_eq!(prove(&in_path, &keys, &[header("X-Token", KEY)], None, BODY), Err(Refusal::TokenMissing));
    assert_eq!(prove(&in_header, &keys, &[], Some(KEY), BODY), Err(missing("X-Token")));
    assert_eq!(in_path.sign(BODY, &SecretString::from(KEY), now()), Ok(Vec::new()));
}

#[test]
fn two_tokens_in_the_path_are_good_at_once() {
    // A new token is a new address, and the sender may use both until it has changed over.
    let both = keys(&["new-token", "old-token"]);
    for (token, id) in ["new-token", "old-token"].into_iter().zip(both.ids()) {
        assert_eq!(prove(&source(PATH_TOKEN), &both, &[], Some(token), BODY), Ok(id));
    }
    let refused = prove(&source(PATH_TOKEN), &keys(&["new-token"]), &[], Some("old-token"), BODY);
    assert_eq!(refused, Err(mismatch(&["new-token"])));
}

#[test]
fn keys_that_are_worth_nothing_are_no_keys() {
    for none in [&[][..], &[""], &["  "], &["", "\t\n"]] {
        assert!(Keys::new(none.iter().map(|key| SecretString::from(*key))).is_none(), "{none:?}");
    }
    assert_eq!(keys(&["", "one", " "]).ids(), keys(&["one"]).ids());
    // Nothing is signed with one, either. That a signature under the empty key proves nothing is among the vectors.
    for verification in [HEX, TOKEN] {
        let refused = source(verification).sign(BODY, &SecretString::from(" "), now());
        assert_eq!(refused, Err(SignError::WrongKey { wanted: "a shared secret" }));
    }
}

#[test]
fn only_keys_may_be_mended_by_a_new_key() {
    assert!(mismatch(&[KEY]).may_be_a_new_key());
    assert!(Refusal::NoUsableKey { unusable: keys(&[KEY]).ids() }.may_be_a_new_key());
    for other in [missing("h"), doubled("h"), Refusal::TokenMissing, Refusal::Stale { seconds: 1, tolerance: 0 }] {
        assert!(!other.may_be_a_new_key(), "{other}");
    }
}

#[test]
fn nothing_shows_a_key_or_a_token() {
    let some = keys(&[KEY, "second-secret"]);
    assert_eq!(format!("{some:?}"), format!("Keys({:?})", some.ids()));
    let token = header("X-Token", KEY);
    let headers = [(token.0.as_str(), token.1.as_slice())].into_iter().collect();
    let delivery = Delivery { headers, body: BODY, path_token: Some(KEY) };
    let source = source(TOKEN);
    let verified = source.verify(&delivery, &some, now()).unwrap();
    for shown in [format!("{delivery:?}"), format!("{verified:?}"), format!("{source:?}"), format!("{some:?}")] {
        assert!(!shown.contains(KEY) && !shown.contains("second-secret"), "{shown}");
    }
    for id in some.ids() {
        assert!(id.len() == 10 && id.starts_with("k-"), "{id}");
    }
    assert_ne!(some.ids()[0], some.ids()[1]);
}

#[test]
fn the_built_in_source_takes_its_declared_signature_alone() {
    let definitions = Definitions::built_in();
    let source = definitions.source("accredible").unwrap();
    let keys = keys(&[KEY]);
    let signed = source.sign(BODY, &SecretString::from(KEY), now()).unwrap();
    assert_eq!(signed[0].0, "X-Accredible-Signature");
    assert!(prove(source, &keys, &[header("x-accredible-signature", &signed[0].1)], None, BODY).is_ok());
    assert!(prove(source, &keys, &[], Some(KEY), BODY).is_err());
    assert!(prove(source, &keys, &[header("X-Signature", &signed[0].1)], None, BODY).is_err());
}
