//! Posts to addresses that somebody else chose.

use certbridge_remote::hooks::{Answered, Hook, HookError, Hooks, Reach};
use jiff::Timestamp;
use secrecy::SecretString;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

use crate::server::{Server, status};

/// Longer than anything takes here.
const PATIENT: Duration = Duration::from_secs(60);

async fn post(hooks: &Hooks, url: &str, port: Option<u16>, timeout: Duration) -> Result<Answered, HookError> {
    let url = SecretString::from(url);
    hooks.post(Hook { url: &url, port, headers: &[], body: b"{}".to_vec() }, timeout, Timestamp::UNIX_EPOCH).await
}

/// A name whose address turns private after it was looked at gains nothing: what is connected to is what was looked at.
#[tokio::test]
async fn a_name_that_resolves_to_this_machine_reaches_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let hooks = Hooks::with_lookup(Reach::Public, {
        let asked = Arc::clone(&asked);
        move |name: String| {
            assert_eq!(name, "rebind.example");
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            let private: [IpAddr; 3] = ["127.0.0.1", "::ffff:127.0.0.1", "::1"].map(|address| address.parse().unwrap());
            async move { Ok(vec![private[nth % private.len()]]) }
        }
    })
    .unwrap();
    for _ in 0..3 {
        let error = post(&hooks, &format!("https://rebind.example:{port}/"), Some(port), PATIENT).await.unwrap_err();
        assert_eq!(error, HookError::Unanswered("the name has no public address".to_owned()));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it is looked at anew for each post");
    // Nobody has come: there is nothing to accept.
    let came = futures::FutureExt::now_or_never(listener.accept());
    assert!(came.is_none(), "somebody came");
}

#[tokio::test]
async fn this_machine_is_reached_only_where_it_may_be() {
    let server = Server::answering(vec![status(204)]).await;
    let refused = post(&Hooks::new(Reach::Public).unwrap(), &server.url, None, PATIENT).await;
    assert!(matches!(refused, Err(HookError::Address(_))), "{refused:?}");
    assert!(server.asked().is_empty());
    let hooks = Hooks::new(Reach::ThisMachineToo).unwrap();
    assert_eq!(post(&hooks, &server.url, None, PATIENT).await.unwrap().status, 204);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::answering(vec![status(200)]).await;
    let server = Server::answering(vec![(302, vec![("location", elsewhere.url.clone())], String::new())]).await;
    let hooks = Hooks::new(Reach::ThisMachineToo).unwrap();
    assert_eq!(post(&hooks, &server.url, None, PATIENT).await.unwrap().status, 302);
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn of_an_answer_only_the_status_is_read() {
    let server = Server::answering(vec![(200, Vec::new(), "x".repeat(16 * 1024 * 1024))]).await;
    let hooks = Hooks::new(Reach::ThisMachineToo).unwrap();
    assert_eq!(post(&hooks, &server.url, None, PATIENT).await.unwrap(), Answered { status: 200, retry_after: None });
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    // It takes connections, as the system does, and says nothing.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hooks = Hooks::new(Reach::ThisMachineToo).unwrap();
    let answer = post(&hooks, &url, None, Duration::from_millis(50)).await;
    assert!(matches!(answer, Err(HookError::Unanswered(_))), "{answer:?}");
}

#[tokio::test]
async fn errors_do_not_repeat_the_address() {
    let hooks = Hooks::with_lookup(Reach::Public, async |_| Ok(Vec::new())).unwrap();
    for url in ["https://hooks.example/secret-path", "http://hooks.example/secret-path", "secret-path"] {
        let error = post(&hooks, url, None, PATIENT).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secret-path") && !text.contains("hooks.example"), "{text}");
    }
}
