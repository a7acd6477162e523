//! The faults that every provider has, at those that came later.

use crate::support::call;
use certbridge_sandbox::{Accredit, AccuLynx, Certifylize, Fault, HighLevel, Options, Provider};
use serde_json::{Value, json};

const KEY: &str = "key";

fn options() -> Options {
    Options { api_key: KEY.to_owned(), ..Options::default() }
}

#[tokio::test]
async fn each_provider_does_what_it_is_told_to_do_wrong() {
    let highlevel = HighLevel::start(options()).await.unwrap();
    let acculynx = AccuLynx::start(options()).await.unwrap();
    let accredit = Accredit::start(options()).await.unwrap();
    let certifylize = Certifylize::start(options()).await.unwrap();
    let check = async |server: &Provider, path: &str, usual: u16| {
        let status = async || call(&server.url(), KEY, "GET", path, &Value::Null).await.0;
        server.add_fault(Fault::status(503).once().on("GET", path));
        assert_eq!((status().await, status().await), (503, usual), "{path}");
        let log = server.requests();
        assert_eq!((log.len(), log[0].status, log[1].status), (2, Some(503), Some(usual)));
        assert!(!json!(log).to_string().contains(&format!("Bearer {KEY}")));
    };
    // HighLevel misses its version, which every call needs.
    check(highlevel.server(), "/locations/search", 401).await;
    check(acculynx.server(), "/api/v2/contacts", 200).await;
    check(accredit.server(), "/api/webhookSubscription/events", 200).await;
    check(certifylize.server(), "/v1/credentials/1", 404).await;
}

#[tokio::test]
async fn what_is_answered_first_is_done_later() {
    let server = AccuLynx::start(options()).await.unwrap();
    server.server().add_fault(Fault::AppliedLate { ms: None }.once());
    let body = json!({
        "consumerUrl": "https://x.org", "techContact": "a@x.org", "topicNames": ["job_created"], "integrationType": "Api",
    });
    let (status, _) = call(&server.url(), KEY, "POST", "/webhooks/v2/subscriptions", &body).await;
    assert_eq!((status, server.subscriptions().len()), (504, 0));
    assert_eq!((server.server().release_late().await, server.subscriptions().len()), (1, 1));
}
