//! Who sent it, where more than a shared secret proves it: vectors of other implementations, and whatever bytes come.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use certbridge_mapping::{Delivery, Headers, Keys, Refusal, SourceDefinition, verify::SignError};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{collections::BTreeSet, sync::LazyLock};

const NOW: &str = "2026-03-01T12:00:00Z";
const BODY: &[u8] = br#"{"event_type":"certificate_issued"}"#;

const HMAC: &str = "scheme = \"hmac-sha256\"\nheader = \"X-Signature\"";
const TOKEN: &str = "scheme = \"token\"\nheader = \"X-Signature\"";
const RSA: &str = "scheme = \"rsa-sha256\"\nheader = \"X-Signature\"";
const PSS: &str = "scheme = \"rsa-sha256\"\nheader = \"X-Signature\"\npadding = \"pss\"";
const ED25519: &str = "scheme = \"ed25519\"\nheader = \"X-Signature\"";
const STANDARD: &str = "scheme = \"standard-webhooks\"";
const ALL: [&str; 6] = [HMAC, TOKEN, RSA, PSS, ED25519, STANDARD];

static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("vectors/signatures.json")).unwrap());

fn vectors(which: &str) -> &'static [Value] {
    VECTORS[which].as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn parse(verification: &str) -> Result<SourceDefinition, String> {
    let text = format!(
        "name = \"sender\"\nrecords = {{}}\n[verification]\n{verification}\n\
         [event]\ntype = \"$.t\"\nrecord_id = \"$.r\"\ntime = \"$.at\"\ntypes = {{}}\n"
    );
    SourceDefinition::parse("sender.toml", &text).map_err(|error| error.to_string())
}

fn source(verification: &str) -> SourceDefinition {
    parse(verification).unwrap()
}

fn keys<K: AsRef<str>>(keys: &[K]) -> Keys {
    Keys::new(keys.iter().map(|key| SecretString::from(key.as_ref()))).unwrap()
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// What becomes of a delivery: the id of the key that proved it.
fn prove<V: AsRef<[u8]>>(
    source: &SourceDefinition,
    keys: &Keys,
    headers: &[(String, V)],
    body: &[u8],
) -> Result<String, Refusal> {
    let headers: Headers<'_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_ref())).collect();
    let delivery = Delivery { headers, body, path_token: None };
    source.verify(&delivery, keys, now()).map(|verified| verified.key_id().to_owned())
}

/// A delivery of the vectors.
struct Given {
    name: &'static str,
    source: SourceDefinition,
    secrets: Vec<&'static str>,
    keys: Keys,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Given {
    fn new(vector: &'static Value) -> Self {
        let secrets: Vec<_> = vector["keys"].as_array().unwrap().iter().map(text).collect();
        let pair = |pair: &Value| (text(&pair[0]).to_owned(), text(&pair[1]).to_owned());
        Self {
            name: text(&vector["name"]),
            source: source(text(&vector["verification"])),
            keys: keys(&secrets),
            secrets,
            headers: vector["headers"].as_array().unwrap().iter().map(pair).collect(),
            body: hex::decode(text(&vector["body_hex"])).unwrap(),
        }
    }

    fn prove(&self, keys: &Keys, body: &[u8]) -> Result<String, Refusal> {
        prove(&self.source, keys, &self.headers, body)
    }

    /// No text tells a key, nor a signature that would have passed.
    fn shows_nothing(&self, refusal: &Refusal) {
        for shown in [refusal.to_string(), format!("{refusal:?}")] {
            let secrets = self.secrets.iter().filter(|secret| secret.len() > 8);
            let values = self.headers.iter().map(|(_, value)| value.as_str()).filter(|value| value.len() > 8);
            for told in secrets.copied().chain(values) {
                assert!(!shown.contains(told), "{}: {shown}", self.name);
            }
        }
    }
}

#[test]
fn deliveries_of_other_implementations_are_proven() {
    assert_eq!(text(&VECTORS["now"]), NOW);
    assert!(vectors("proven").len() > 60);
    for vector in vectors("proven") {
        let given = Given::new(vector);
        let signer = usize::try_from(vector["proven_by"].as_u64().unwrap()).unwrap();
        let id = given.keys.ids()[signer].clone();
        assert_eq!(given.prove(&given.keys, &given.body), Ok(id), "{}", given.name);

        // Without the key that signed it, and with another body, it is refused.
        let mut body = given.body.clone();
        body.push(b' ');
        let refusal = given.prove(&given.keys, &body).unwrap_err();
        assert_eq!(refusal.reason(), "mismatch", "{}", given.name);
        given.shows_nothing(&refusal);
        let others: Vec<_> =
            given.secrets.iter().enumerate().filter(|(at, _)| *at != signer).map(|(_, key)| *key).collect();
        if let Some(others) = Keys::new(others.into_iter().map(SecretString::from)) {
            let result = given.prove(&others, &given.body);
            let is_signed_by_both = given.name == "Standard, two secrets and two signatures";
            assert!(is_signed_by_both == result.is_ok(), "{}: {result:?}", given.name);
            assert!(result.err().is_none_or(|refusal| refusal.may_be_a_new_key()), "{}", given.name);
        }
    }
}

#[test]
fn whatever_else_comes_is_refused_for_its_reason() {
    assert!(vectors("refused").len() > 150);
    let mut reasons = BTreeSet::new();
    for vector in vectors("refused") {
        let given = Given::new(vector);
        let refusal = given.prove(&given.keys, &given.body).expect_err(given.name);
        assert_eq!(refusal.reason(), text(&vector["reason"]), "{}: {refusal}", given.name);
        given.shows_nothing(&refusal);
        if refusal.reason() == "unusable" {
            assert_eq!(refusal, Refusal::NoUsableKey { unusable: given.keys.ids() }, "{}", given.name);
            assert_eq!(given.source.unusable_keys(&given.keys), given.keys.ids(), "{}", given.name);
        }
        reasons.insert(refusal.reason());
    }
    assert_eq!(reasons, BTreeSet::from(["doubled", "malformed", "mismatch", "missing", "stale", "unusable"]));
}

#[test]
fn a_flipped_bit_is_refused() {
    for vector in vectors("proven").iter().step_by(7) {
        let given = Given::new(vector);
        for at in 0..given.body.len().min(16) {
            let mut body = given.body.clone();
            body[at] ^= 1;
            assert!(given.prove(&given.keys, &body).is_err(), "{}: {at}", given.name);
        }
        for (at, (_, value)) in given.headers.iter().enumerate() {
            for place in (0..value.len()).step_by(11) {
                let mut headers: Vec<_> =
                    given.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
                headers[at].1[place] = if headers[at].1[place] == b'A' { b'B' } else { b'A' };
                let result = prove(&given.source, &given.keys, &headers, &given.body);
                // In a list, it may have been another signature that held.
                assert!(result.is_err() || value.contains(' '), "{}: {at}, {place}", given.name);
            }
        }
    }
}

#[test]
fn keys_that_are_skipped_are_named() {
    let [secret, usable] = ["-----BEGIN PUBLIC KEY-----", "a-shared-secret"];
    let both = keys(&[secret, usable]);
    assert_eq!(source(HMAC).unusable_keys(&both), both.ids()[..1]);
    let refusal = prove(&source(TOKEN), &both, &[("X-Signature".to_owned(), "other")], BODY).unwrap_err();
    let [skipped, tried] = &both.ids()[..] else { panic!("two keys") };
    assert_eq!(refusal.to_string(), format!("no key matches, tried {tried}, not usable {skipped}"));
    let refusal = prove::<&str>(&source(ED25519), &both, &[], BODY).unwrap_err();
    assert_eq!(refusal.to_string(), format!("no key is one that the scheme can use: {skipped} {tried}"));
    assert_eq!(refusal.reason(), "unusable");
}

#[test]
fn the_key_that_highlevel_publishes_can_be_used() {
    let published = keys(&["MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="]);
    assert!(source(ED25519).unusable_keys(&published).is_empty());
    for other in [HMAC, TOKEN, RSA, PSS, STANDARD] {
        assert_eq!(source(other).unusable_keys(&published), published.ids(), "{other}");
    }
}

#[test]
fn what_is_signed_with_keys_of_others_is_proven() {
    for vector in vectors("private") {
        let name = text(&vector["name"]);
        let source = source(text(&vector["verification"]));
        let private = SecretString::from(text(&vector["private"]).replace("PRIVATE_KEY", "PRIVATE KEY"));
        let public = keys(&[text(&vector["public"])]);
        for body in [BODY, b"", b"\xff\x00"] {
            let headers = source.sign(body, &private, now()).unwrap();
            assert_eq!(prove(&source, &public, &headers, body), Ok(public.ids().remove(0)), "{name}");
        }
    }
}

#[test]
fn a_private_key_is_needed_to_sign() {
    let wanted = |verification: &str| match verification {
        RSA | PSS => "a private RSA key in PKCS#8",
        ED25519 => "a private Ed25519 key: `whsk_` and base64, or PKCS#8",
        STANDARD => "`whsec_` or `whsk_` and base64",
        _ => "a shared secret",
    };
    for verification in ALL {
        let source = source(verification);
        for vector in vectors("private").iter().filter(|vector| text(&vector["private"]) != text(&vector["public"])) {
            let public = text(&vector["public"]);
            // The bare 32 bytes of a public key cannot be told from a secret.
            if matches!(verification, HMAC | TOKEN | STANDARD) && public.len() == 44 || public.starts_with("whsec_") {
                continue;
            }
            let refused = source.sign(BODY, &SecretString::from(public), now());
            assert_eq!(refused, Err(SignError::WrongKey { wanted: wanted(verification) }), "{verification}: {public}");
        }
    }
    let error = SignError::WrongKey { wanted: wanted(RSA) };
    assert_eq!(error.to_string(), "the key is not a private RSA key in PKCS#8");
}

#[test]
fn a_fresh_key_proves_what_is_signed_with_it() {
    let random = std::array::from_fn(|at| u8::try_from(at).unwrap());
    for verification in ALL {
        let source = source(verification);
        let pair = source.new_key(&random).unwrap();
        let public = Keys::new([pair.signing.clone()]).unwrap();
        assert!(source.unusable_keys(&public).is_empty(), "{verification}");
        let headers = source.sign(BODY, pair.signer(), now()).unwrap();
        assert_eq!(prove(&source, &public, &headers, BODY), Ok(public.ids().remove(0)), "{verification}");

        let has_private = matches!(verification, RSA | PSS | ED25519);
        assert_eq!(pair.private.is_some(), has_private, "{verification}");
        // The private key is none of the receiver's, and no other bytes make the same key.
        assert_eq!(source.unusable_keys(&keys(&[pair.signer().expose_secret()])).is_empty(), !has_private);
        let other = source.new_key(&[7; 32]).unwrap();
        assert_ne!(other.signing.expose_secret(), pair.signing.expose_secret());
        let again = source.new_key(&random).unwrap();
        let is_the_same = again.signing.expose_secret() == pair.signing.expose_secret();
        assert_eq!(is_the_same, !matches!(verification, RSA | PSS), "{verification}");
        assert!(!format!("{pair:?}").contains(pair.signer().expose_secret()));
    }
}

#[test]
fn an_event_has_one_id_however_often_it_is_signed() {
    let source = source(STANDARD);
    let key = source.new_key(&[1; 32]).unwrap();
    let id = |body: &[u8], at: Timestamp| source.sign(body, key.signer(), at).unwrap().remove(0);
    let later = now() + jiff::SignedDuration::from_secs(60);
    assert_eq!(id(BODY, now()), id(BODY, later));
    assert_ne!(id(BODY, now()), id(b"", now()));
    let (name, id) = id(BODY, now());
    assert!(name == "webhook-id" && id.starts_with("msg_") && !id.contains('.'), "{id}");
}

#[test]
fn two_lists_that_were_joined_are_refused_whatever_they_hold() {
    let mut rng = fastrand::Rng::with_seed(20_260_303);
    let source = source(STANDARD);
    let pair = source.new_key(&[2; 32]).unwrap();
    let keys = Keys::new([pair.signing.clone()]).unwrap();
    let mut headers = source.sign(BODY, pair.signer(), now()).unwrap();
    let own = headers[2].1.clone();
    for _ in 0..500 {
        let mut list = || {
            let entries =
                (0..rng.usize(1..4)).map(|_| *rng.choice(&[own.as_str(), "v1,AAAA", "v1a,=", "v7,x"]).unwrap());
            entries.collect::<Vec<_>>().join(" ")
        };
        let (first, second) = (list(), list());
        let joined = format!("{first}{}{second}", rng.choice([",", ", ", " , "]).unwrap());
        headers[2].1.clone_from(&joined);
        let result = prove(&source, &keys, &headers, BODY);
        assert_eq!(result, Err(Refusal::HeaderDoubled { header: "webhook-signature".into() }), "{joined}");
    }
}

#[test]
fn a_declaration_has_its_own_fields_alone() {
    for (verification, fault) in [
        ("scheme = \"rsa-sha256\"", "missing field `header`"),
        ("scheme = \"rsa-sha256\"\nheader = \"h\"\npadding = \"none\"", "unknown variant `none`"),
        ("scheme = \"rsa-sha256\"\nheader = \"h\"\nsalt = 20", "unknown field `salt`"),
        ("scheme = \"rsa-sha256\"\nheader = \"h h\"", "verification.header: \"h h\" is no header's name"),
        ("scheme = \"ed25519\"\nheader = \"h\"\npadding = \"pss\"", "unknown field `padding`"),
        (
            "scheme = \"ed25519\"\nheader = \"h\"\ntimestamp = { header = \"t\", tolerance_seconds = 0 }",
            "verification.timestamp: a tolerance of 0 s refuses every delivery",
        ),
        ("scheme = \"standard-webhooks\"\nheader = \"h\"", "unknown field `header`"),
        ("scheme = \"standard-webhooks\"\nid_header = \"\"", "verification.header: \"\" is no header's name"),
        (
            "scheme = \"standard-webhooks\"\ntolerance_seconds = 0",
            "verification.tolerance_seconds: a tolerance of 0 s refuses every delivery",
        ),
        ("scheme = \"none\"", "unknown variant `none`"),
    ] {
        let error = parse(verification).unwrap_err();
        assert!(error.contains(fault), "{verification}: {error}");
    }
}

/// Bytes that look like what is read here, more often than chance would have it.
fn noise(rng: &mut fastrand::Rng, pieces: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(0..6) {
        let length = rng.usize(0..60);
        match rng.usize(0..4) {
            0 => bytes.extend((0..length).map(|_| rng.u8(..))),
            1 => bytes.extend((0..length).map(|_| b' ' + rng.u8(0..95))),
            _ => {
                let piece = rng.choice(pieces).unwrap().as_bytes();
                let start = if rng.bool() { 0 } else { rng.usize(0..=piece.len()) };
                let end = if rng.bool() { piece.len() } else { rng.usize(start..=piece.len()) };
                bytes.extend(&piece[start..end]);
            }
        }
    }
    bytes
}

/// A key, or whatever else the pieces hold, with at most one byte changed.
fn almost_a_key(rng: &mut fastrand::Rng, pieces: &[&str]) -> Vec<u8> {
    let mut bytes = rng.choice(pieces).unwrap().as_bytes().to_vec();
    if rng.bool() && !bytes.is_empty() {
        let place = rng.usize(0..bytes.len());
        bytes[place] = rng.alphanumeric() as u8;
    }
    bytes
}

/// The keys and values of all vectors, and what stands between them.
fn pieces() -> Vec<&'static str> {
    let all = || vectors("proven").iter().chain(vectors("refused"));
    let keys = all().flat_map(|vector| vector["keys"].as_array().unwrap()).map(text);
    let values = all().flat_map(|vector| vector["headers"].as_array().unwrap()).map(|pair| text(&pair[1]));
    let between = [
        ",",
        " ",
        ".",
        "=",
        "v1,",
        "v1a,",
        "whsec_",
        "whpk_",
        "whsk_",
        "\n",
        "-----BEGIN ",
        "PUBLIC KEY",
        "-----END ",
        "-----",
        "1772366400",
        "0",
        "-1",
        "\u{e4}",
        "\0",
    ];
    keys.chain(values).chain(between).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn no_bytes_are_proven_by_chance_nor_make_it_panic() {
    let mut rng = fastrand::Rng::with_seed(20_260_301);
    let pieces = pieces();
    let names = ["X-Signature", "x-timestamp", "webhook-id", "webhook-timestamp", "webhook-signature", "other"];
    // Keys that nobody else has, so that nothing of the vectors may be proven by them.
    let receivers = ALL.map(|verification| {
        let source = source(verification);
        let keys = Keys::new([source.new_key(&[9; 32]).unwrap().signing]).unwrap();
        (source, keys)
    });
    for round in 0..6000 {
        let (source, keys) = &receivers[round % receivers.len()];
        let headers: Vec<_> = (0..rng.usize(0..6))
            .map(|_| ((*rng.choice(names.iter()).unwrap()).to_owned(), noise(&mut rng, &pieces)))
            .collect();
        let body = noise(&mut rng, &["never signed"]);
        prove(source, keys, &headers, &[b"never signed ".as_slice(), &body].concat()).unwrap_err();
    }
}

#[test]
fn no_text_as_a_key_makes_it_panic() {
    let mut rng = fastrand::Rng::with_seed(20_260_302);
    let pieces = pieces();
    let mut usable = [0; ALL.len()];
    for round in 0..6000 {
        let verification = ALL[round % ALL.len()];
        let source = source(verification);
        let text = if rng.bool() { noise(&mut rng, &pieces) } else { almost_a_key(&mut rng, &pieces) };
        let text = String::from_utf8_lossy(&text).into_owned();
        let Some(keys) = Keys::new([SecretString::from(text.as_str())]) else { continue };
        usable[round % ALL.len()] += usize::from(source.unusable_keys(&keys).is_empty());
        let headers = source
            .sign(BODY, &SecretString::from(text), now())
            .unwrap_or_else(|_| vec![("X-Signature".into(), "0".into())]);
        // Only where the key signs as well as it proves may it be proven: a public key signs nothing.
        let result = prove(&source, &keys, &headers, BODY);
        assert!(result.is_err() || matches!(verification, HMAC | TOKEN | STANDARD), "{verification}");
    }
    assert!(usable.iter().all(|count| *count > 0), "{usable:?}: some of the texts are keys");
}
