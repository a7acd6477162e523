//! What holds wherever the keys are.

use crate::{
    ground::{Folder, Ground, ids, made, wanted},
    secrets_manager::SecretsManager,
};
use certbridge::{
    CliError,
    keys::{KeysError, Listed, NewKey, State, create, list, revoke},
};
use certbridge_platform::{Caller, Denied, SystemRuntime};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

macro_rules! on_both {
    ($($name:ident)*) => {
        mod in_a_folder {
            $(#[tokio::test]
            async fn $name() {
                super::$name::<super::Folder>().await;
            })*
        }
        mod in_aws {
            $(#[tokio::test]
            async fn $name() {
                super::$name::<super::SecretsManager>().await;
            })*
        }
    };
}

on_both! {
    a_key_opens_until_it_is_revoked
    a_key_has_its_expiry_and_its_scopes_once
    what_is_not_ours_survives
    no_two_keys_have_one_id
    what_cannot_be_a_key_is_refused
    a_secret_that_is_something_else_is_left_alone
    keys_that_are_made_at_the_same_time_are_all_kept
    each_key_is_listed_as_the_keyring_takes_it
}

#[track_caller]
fn refused<T>(done: Result<T, CliError>) -> KeysError {
    match done {
        Err(CliError::Keys(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

fn empty() -> Value {
    json!({"keys": []})
}

async fn a_key_opens_until_it_is_revoked<G: Ground>() {
    let ground = G::with(&empty()).await;
    let (one, two) = (made(&ground.store()).await, made(&ground.store()).await);
    let opens = |key: &certbridge::keys::Created, scope: &str| {
        ground.ring().authorize(key.key.expose_secret(), scope, Timestamp::now())
    };
    let caller = Caller { owner: "Olga".into(), key_id: one.entry.id.clone() };
    assert_eq!(opens(&one, "sync:write"), Ok(caller));
    assert!(matches!(opens(&one, "audit:read"), Err(Denied::Scope { .. })));
    let key = one.key.expose_secret();
    assert!(key.strip_prefix("cb_").is_some_and(|hex| hex.len() == 64), "{key}");
    assert!(!ground.secret().to_string().contains(&key[3..]) && !format!("{one:?}").contains(&key[3..]));

    revoke(&ground.store(), &one.entry.id).await.unwrap();
    assert_eq!(opens(&one, "sync:write"), Err(Denied::Unknown { expired: None }));
    assert!(opens(&two, "sync:write").is_ok());
    let again = refused(revoke(&ground.store(), &one.entry.id).await);
    assert_eq!(again, KeysError::UnknownId(one.entry.id));
}

async fn a_key_has_its_expiry_and_its_scopes_once<G: Ground>() {
    let ground = G::with(&json!({})).await;
    let expires: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    let scopes = ["sync:write", "audit:read", "sync:write"].map(str::to_owned).to_vec();
    let wanted = NewKey { owner: " Olga ".into(), scopes, expires: Some(expires), id: Some("olga.1".into()) };
    let created = create(&ground.store(), wanted, &SystemRuntime).await.unwrap();
    let entry = &ground.secret()["keys"][0];
    assert_eq!(*entry, json!(created.entry));
    assert_eq!(
        (&entry["id"], &entry["owner"], &entry["scopes"], &entry["expires"]),
        (&json!("olga.1"), &json!("Olga"), &json!(["audit:read", "sync:write"]), &json!("2099-01-01T00:00:00Z"))
    );
    let denied = ground.ring().authorize(created.key.expose_secret(), "sync:write", expires).unwrap_err();
    assert_eq!(denied.to_string(), "key olga.1 has expired");
}

async fn what_is_not_ours_survives<G: Ground>() {
    let theirs = json!({
        "keys": [
            {"id": "a", "sha256": "00", "owner": "A", "scopes": ["x"], "note": {"by": "hand"}, "weight": 1.5},
            "not even an object",
            {"id": "b", "contact": [1, 2]},
            {"owner": "without an id"},
        ],
        "comment": "for the auditor", "revision": 9_007_199_254_740_993_u64,
    });
    let ground = G::with(&theirs).await;
    let created = made(&ground.store()).await;
    let mut expected = theirs.clone();
    expected["keys"].as_array_mut().unwrap().push(json!(created.entry));
    assert_eq!(ground.secret(), expected);
    revoke(&ground.store(), &created.entry.id).await.unwrap();
    assert_eq!(ground.secret(), theirs);
    revoke(&ground.store(), "a").await.unwrap();
    assert_eq!(ids(&ground.secret()), ["b"]);
    assert_eq!(ground.secret()["keys"].as_array().unwrap().len(), 3);
}

async fn no_two_keys_have_one_id<G: Ground>() {
    let ground = G::with(&empty()).await;
    for (owner, start) in [("Olga", "olga-"), ("Böll & Söhne, 2nd Floor", "b-ll-s-hne-2nd-floor-"), ("山田", "key-")]
    {
        for _ in 0..2 {
            let wanted = NewKey { owner: owner.into(), ..wanted() };
            let id = create(&ground.store(), wanted, &SystemRuntime).await.unwrap().entry.id;
            assert!(id.strip_prefix(start).is_some_and(|rest| rest.len() == 12), "{id}");
        }
    }
    let before = ground.secret();
    let mut all = ids(&before);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6);
    let taken = || NewKey { id: Some(all[0].to_owned()), ..wanted() };
    assert_eq!(refused(create(&ground.store(), taken(), &SystemRuntime).await), KeysError::Taken(all[0].to_owned()));
    assert_eq!(ground.secret(), before);
}

async fn what_cannot_be_a_key_is_refused<G: Ground>() {
    let ground = G::with(&empty()).await;
    let cases = [
        (NewKey { owner: " ".into(), ..wanted() }, KeysError::Owner),
        (NewKey { owner: "a\u{1b}[2J".into(), ..wanted() }, KeysError::Owner),
        (NewKey { scopes: vec![], ..wanted() }, KeysError::NoScope),
        (NewKey { scopes: vec!["sync:wrte".into()], ..wanted() }, KeysError::UnknownScope("sync:wrte".into())),
        (NewKey { expires: Some(Timestamp::now()), ..wanted() }, KeysError::Past),
        (NewKey { id: Some(String::new()), ..wanted() }, KeysError::Id),
        (NewKey { id: Some("a b".into()), ..wanted() }, KeysError::Id),
    ];
    for (wanted, expected) in cases {
        assert_eq!(refused(create(&ground.store(), wanted, &SystemRuntime).await), expected);
    }
    assert_eq!(ground.secret(), empty());
}

async fn a_secret_that_is_something_else_is_left_alone<G: Ground>() {
    for secret in [json!([]), json!("hush"), json!({"keys": {"hush": 1}}), json!({"keys": null, "hush": 1}), json!(7)] {
        let ground = G::with(&secret).await;
        let store = ground.store();
        for error in [
            refused(create(&store, wanted(), &SystemRuntime).await),
            refused(revoke(&store, "hush").await),
            refused(list(&store, Timestamp::now()).await),
        ] {
            assert_eq!(error, KeysError::NoList);
            assert!(!format!("{error} {error:?}").contains("hush"));
        }
        assert_eq!(ground.secret(), secret);
    }
}

async fn keys_that_are_made_at_the_same_time_are_all_kept<G: Ground>() {
    let ground = G::with(&empty()).await;
    let store = ground.store();
    // Each can be overtaken by each of the others once, and so has a try left.
    let made = futures::future::join_all([made(&store), made(&store), made(&store), made(&store)]).await;
    let secret = ground.secret();
    assert_eq!(ids(&secret).len(), 4);
    for created in made {
        assert!(ids(&secret).contains(&created.entry.id.as_str()));
    }
}

async fn each_key_is_listed_as_the_keyring_takes_it<G: Ground>() {
    let digest = "ab".repeat(32);
    let entry = |id: &str, sha256: &str, expires: Value| {
        let scopes = ["sync:write"];
        json!({"id": id, "sha256": sha256, "owner": "Olga", "scopes": scopes, "expires": expires})
    };
    let ground = G::with(&json!({"keys": [
        entry("lasting", &digest, Value::Null),
        entry("coming", &digest, json!("2026-11-22T10:00:01Z")),
        entry("over", &digest, json!("2026-11-22T10:00:00Z")),
        entry("no-hex", "hush", Value::Null),
        entry("no-time", &digest, json!("tomorrow")),
        {"owner": 7},
        "hush",
    ]}))
    .await;
    let listed = list(&ground.store(), "2026-11-22T10:00:00Z".parse().unwrap()).await.unwrap();
    let of: Vec<_> = listed.iter().map(|key| (key.id.as_deref(), key.state)).collect();
    let expected = [
        (Some("lasting"), State::Active),
        (Some("coming"), State::Active),
        (Some("over"), State::Expired),
        (Some("no-hex"), State::Unusable),
        (Some("no-time"), State::Unusable),
        (None, State::Unusable),
        (None, State::Unusable),
    ];
    assert_eq!(of, expected);
    let over = Listed {
        id: Some("over".into()),
        owner: Some("Olga".into()),
        scopes: vec!["sync:write".into()],
        expires: Some("2026-11-22T10:00:00Z".into()),
        state: State::Expired,
    };
    assert_eq!(listed[2], over);
    assert!(!format!("{listed:?}").contains("abab") && !format!("{listed:?}").contains("hush"));
}
