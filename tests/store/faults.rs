//! What emulators do not do: refuse, conflict, and lose answers to writes that they made. And how many calls it takes.

use crate::{
    backend::{Embedded, client},
    http,
    sample::{
        at, audit, batch, batch_id, commit, event_key, lease, poll_mark, record_key, reschedule, row, settle, state,
    },
};
use certbridge_mapping::Kind;
use certbridge_store::DynamoStore;
use certbridge_sync::{
    StoreError,
    batches::{BatchStep, Batches, Registered, Turn},
    breaker::BreakerState,
    in_force::Control,
    poll::PollMarks,
    ports::{Breakers, ClaimError, CommitError, Inbox, Inserted, Records},
    row::{InboxState, Release, Settle},
};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is answered so and goes no further.
    Answer(u16, String),
    /// It gets through, and the answer is lost.
    LoseAnswer,
    /// It is lost.
    Lose,
}

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<(&'static str, Fault)>,
    calls: Vec<String>,
}

/// A DynamoDB behind a proxy with faults to come.
pub(crate) struct Faulty {
    /// Past the proxy.
    direct: Embedded,
    pub(crate) store: DynamoStore,
    plan: Arc<Mutex<Plan>>,
}

impl Faulty {
    pub(crate) async fn start() -> Self {
        let direct = Embedded::start().await;
        let plan = Arc::new(Mutex::new(Plan::default()));
        let address = direct.database.endpoint().trim_start_matches("http://").to_owned();
        let endpoint = http::serve({
            let plan = Arc::clone(&plan);
            move |request| {
                let fault = plan.lock().unwrap().meet(request.operation());
                let address = address.clone();
                async move {
                    match fault {
                        Some(Fault::Answer(status, body)) => Some(http::answer(status, &body)),
                        Some(Fault::Lose) => None,
                        Some(Fault::LoseAnswer) => request.forward(&address).await.ok().and(None),
                        None => request.forward(&address).await.ok(),
                    }
                }
            }
        })
        .await;
        let store = DynamoStore::new(client(&endpoint), direct.tables.clone());
        Self { direct, store, plan }
    }

    /// The next `times` calls of an operation meet this fault.
    pub(crate) fn fail(&self, operation: &'static str, fault: &Fault, times: usize) {
        self.plan.lock().unwrap().faults.extend(vec![(operation, fault.clone()); times]);
    }

    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        let mut plan = self.plan.lock().unwrap();
        assert!(plan.faults.is_empty(), "all faults were met");
        std::mem::take(&mut plan.calls)
    }
}

impl Plan {
    fn meet(&mut self, operation: String) -> Option<Fault> {
        let place = self.faults.iter().position(|(name, _)| *name == operation);
        self.calls.push(operation);
        place.map(|place| self.faults.remove(place).1)
    }
}

fn refusal(name: &str) -> Fault {
    let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "secret"});
    Fault::Answer(400, body.to_string())
}

pub(crate) fn conflict() -> Fault {
    refusal("TransactionConflictException")
}

fn cancelled(reasons: &[serde_json::Value]) -> Fault {
    let name = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    Fault::Answer(400, json!({"__type": name, "Message": "x", "CancellationReasons": reasons}).to_string())
}

fn cancelled_by(codes: [&str; 3]) -> Fault {
    cancelled(&codes.map(|code| json!({"Code": code})))
}

const THROTTLED: [&str; 3] = ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"];

// The budgets

#[tokio::test]
async fn each_operation_is_one_call() {
    let world = Faulty::start().await;
    let (store, event, key) = (&world.store, row("e"), record_key("10"));
    store.insert(&event).await.unwrap();
    assert_eq!(world.calls(), ["PutItem"], "a new event");
    store.insert(&event).await.unwrap();
    assert_eq!(world.calls(), ["PutItem"], "a duplicate");
    let claim = store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!(world.calls(), ["UpdateItem"], "a claim");
    store.claim(&key, &lease("b", 30), at(0)).await.unwrap_err();
    assert_eq!(world.calls(), ["UpdateItem"], "a refused claim");
    store.reschedule(&event.key, 0, &reschedule(1, 90)).await.unwrap();
    assert_eq!(world.calls(), ["UpdateItem"]);
    let knowing = settle(&event.key, 1).map(|settle| Settle { must_push: true, ..settle });
    store.commit(&commit(&claim, Some(&state("Rust")), &audit(&claim), knowing)).await.unwrap();
    assert_eq!(world.calls(), ["TransactWriteItems"], "a commit");
    store.release(&claim, Release::Clean).await.unwrap();
    store.set_aside(&event.key, 1, InboxState::Failed, "x").await.unwrap();
    assert_eq!(world.calls(), ["UpdateItem", "UpdateItem"]);
    store.get(&event.key).await.unwrap();
    store.read(&key).await.unwrap();
    assert_eq!(world.calls(), ["GetItem", "GetItem"]);
    store.overdue(0, at(0), 100).await.unwrap();
    store.control().await.unwrap();
    assert_eq!(world.calls(), ["Query", "Query"]);
    store.poll_mark("accredible", Kind::Certificate).await.unwrap();
    store.set_poll_mark("accredible", Kind::Certificate, &poll_mark(1, "a")).await.unwrap();
    store.set_poll_mark("accredible", Kind::Certificate, &poll_mark(1, "b")).await.unwrap();
    assert_eq!(world.calls(), ["GetItem", "PutItem", "PutItem"], "a poll's mark, and one that was overtaken");
}

#[tokio::test]
async fn each_operation_on_batches_is_one_call() {
    let world = Faulty::start().await;
    let (store, row) = (&world.store, batch("b"));
    store.register(&row).await.unwrap();
    store.register(&row).await.unwrap();
    store.update_batch(&row).await.unwrap();
    assert_eq!(world.calls(), ["TransactWriteItems"; 3], "new, known, written anew");
    store.note(&row.id, BatchStep::Source(5)).await.unwrap();
    store.note(&row.id, BatchStep::Compared(5)).await.unwrap();
    store.take_turn("b", at(0), at(30)).await.unwrap();
    store.take_turn("c", at(0), at(30)).await.unwrap();
    store.end_turn("b").await.unwrap();
    assert_eq!(world.calls(), ["UpdateItem"; 5]);
    store.batch(&row.id).await.unwrap().unwrap();
    store.batches(None, 25).await.unwrap();
    assert_eq!(world.calls(), ["Query"; 2]);
}

// Answers that are lost

#[tokio::test]
async fn a_lost_answer_to_a_registration_finds_the_very_same_batch() {
    let world = Faulty::start().await;
    let row = batch("b");
    world.fail("TransactWriteItems", &Fault::LoseAnswer, 1);
    // The token of the transaction makes it one, for as long as DynamoDB remembers it.
    match world.store.register(&row).await.unwrap() {
        Registered::New => {}
        Registered::Exists(known) => assert_eq!(*known, row),
    }
    assert_eq!(world.calls().len(), 2);
    world.fail("TransactWriteItems", &Fault::LoseAnswer, 3);
    let other = batch("other");
    let answer = world.store.register(&other).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(world.store.register(&other).await, Ok(Registered::Exists(Box::new(other))));
}

#[tokio::test]
async fn lost_answers_to_steps_and_turns_do_no_harm() {
    let world = Faulty::start().await;
    let (store, row) = (&world.store, batch("b"));
    store.register(&row).await.unwrap();
    world.fail("UpdateItem", &Fault::LoseAnswer, 2);
    store.note(&row.id, BatchStep::Repaired(3)).await.unwrap();
    assert_eq!(store.batch(&row.id).await.unwrap().unwrap().1.repaired, 1);
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    assert_eq!(store.take_turn("b", at(0), at(30)).await, Ok(Turn::Mine));
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    assert_eq!(store.end_turn("b").await, Ok(()));
    assert_eq!(store.take_turn("c", at(0), at(30)).await, Ok(Turn::Mine));
}

#[tokio::test]
async fn a_conflict_over_a_batch_passes_or_is_busy() {
    let world = Faulty::start().await;
    let row = batch("b");
    let reason = |code: &str| json!({ "Code": code });
    world.fail("TransactWriteItems", &cancelled(&[reason("TransactionConflict"), reason("None")]), 1);
    assert_eq!(world.store.register(&row).await, Ok(Registered::New));
    world.fail("TransactWriteItems", &cancelled(&[reason("None"), reason("TransactionConflict")]), 8);
    let busy = |what: &str| StoreError::Busy(format!("{what}: TransactionConflict"));
    assert_eq!(world.store.register(&batch("c")).await, Err(busy("register")));
    assert_eq!(world.store.update_batch(&row).await, Err(busy("update_batch")));
    world.fail("TransactWriteItems", &cancelled(&[reason("None"), reason("ValidationError")]), 1);
    let refused = StoreError::Refused("update_batch: ValidationError".to_owned());
    assert_eq!(world.store.update_batch(&row).await, Err(refused));
    assert_eq!(world.store.batch(&batch_id("c")).await, Ok(None), "neither place was written");
    world.fail("UpdateItem", &conflict(), 2);
    world.store.note(&row.id, BatchStep::Own(1)).await.unwrap();
    assert_eq!(world.store.take_turn("b", at(0), at(30)).await, Ok(Turn::Mine));
    assert!(world.calls().len() > 10);
}

#[tokio::test]
async fn a_lost_answer_to_an_insert_finds_the_very_same_bytes() {
    let world = Faulty::start().await;
    let row = row("e");
    world.fail("PutItem", &Fault::LoseAnswer, 1);
    // It cannot be told from a duplicate, and a duplicate is as good to the sender; it is never "other bytes".
    let answer = world.store.insert(&row).await;
    assert_eq!(answer, Ok(Inserted::Exists { body_digest: row.body_digest.clone() }));
    assert_eq!(world.calls().len(), 2);
    assert_eq!(world.direct.store.get(&row.key).await, Ok(Some(row)));
}

#[tokio::test]
async fn a_lost_answer_to_a_polls_mark_finds_its_own_write() {
    let world = Faulty::start().await;
    let set = async |mark| world.store.set_poll_mark("accredible", Kind::Certificate, &mark).await;
    for revision in [1, 2] {
        world.fail("PutItem", &Fault::LoseAnswer, 2);
        assert_eq!(set(poll_mark(revision, "a")).await, Ok(true));
        assert_eq!(world.calls().len(), 3);
        world.fail("PutItem", &Fault::Lose, 1);
        assert_eq!(set(poll_mark(revision, "b")).await, Ok(false), "another poll's");
        world.calls();
    }
    assert_eq!(world.direct.store.poll_mark("accredible", Kind::Certificate).await, Ok(Some(poll_mark(2, "a"))));
}

#[tokio::test]
async fn a_lost_answer_to_a_claim_steps_the_fence_once() {
    let world = Faulty::start().await;
    let key = record_key("10");
    world.fail("UpdateItem", &Fault::LoseAnswer, 2);
    let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!((claim.fence, claim.must_push, claim.row.fence), (1, false, 0));
    assert_eq!(world.calls().len(), 3);
    assert_eq!(world.direct.store.read(&key).await.unwrap().unwrap().fence, 1);
    world.store.commit(&commit(&claim, None, &audit(&claim), None)).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_to_a_claim_does_not_lose_the_doubt() {
    let world = Faulty::start().await;
    let key = record_key("10");
    world.store.claim(&key, &lease("dead", 30), at(0)).await.unwrap();
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    let claim = world.store.claim(&key, &lease("a", 90), at(31)).await.unwrap();
    assert_eq!((claim.fence, claim.must_push), (2, true));
}

#[tokio::test]
async fn a_claim_that_was_never_answered_is_still_its_owners() {
    let world = Faulty::start().await;
    let key = record_key("10");
    world.fail("UpdateItem", &Fault::LoseAnswer, 3);
    let answer = world.store.claim(&key, &lease("a", 30), at(0)).await;
    assert!(matches!(answer, Err(ClaimError::Store(StoreError::Unavailable(_)))), "{answer:?}");
    let refused = world.store.claim(&key, &lease("b", 30), at(1)).await;
    assert_eq!(refused, Err(ClaimError::Leased { until: at(30) }));
    assert_eq!(world.store.claim(&key, &lease("a", 30), at(1)).await.unwrap().fence, 1);
}

#[tokio::test]
async fn a_lost_answer_to_a_commit_appends_one_row() {
    let world = Faulty::start().await;
    let (key, event) = (record_key("10"), row("e"));
    world.store.insert(&event).await.unwrap();
    let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    world.fail("TransactWriteItems", &Fault::LoseAnswer, 2);
    let audit = audit(&claim);
    let answer = world.store.commit(&commit(&claim, Some(&state("Rust")), &audit, settle(&event.key, 0))).await;
    assert_eq!(answer, Ok(()));
    assert_eq!(world.direct.store.audit_rows(&key).await, Ok(vec![audit]));
    assert_eq!(world.direct.store.get(&event.key).await.unwrap().unwrap().settled_by, Some(1));
}

#[tokio::test]
async fn a_commit_that_was_never_answered_may_be_repeated() {
    let world = Faulty::start().await;
    let (key, event) = (record_key("10"), row("e"));
    world.store.insert(&event).await.unwrap();
    let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    world.fail("TransactWriteItems", &Fault::LoseAnswer, 3);
    let (audit, state) = (audit(&claim), state("Rust"));
    let it = commit(&claim, Some(&state), &audit, settle(&event.key, 0));
    let answer = world.store.commit(&it).await;
    assert!(matches!(answer, Err(CommitError::Store(StoreError::Unavailable(_)))), "{answer:?}");
    assert_eq!(world.store.commit(&it).await, Ok(()));
    assert_eq!(world.direct.store.audit_rows(&key).await, Ok(vec![audit]));
}

/// Which parts of a cancelled transaction DynamoDB looks at is its own affair: each alone is proof.
#[tokio::test]
async fn any_part_of_a_cancelled_commit_proves_that_it_had_succeeded() {
    let world = Faulty::start().await;
    let event = row("e");
    let claim = world.store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    let audit = audit(&claim);
    let failed = |item| json!({"Code": "ConditionalCheckFailed", "Item": item});
    let none = json!({"Code": "None"});
    let record = failed(json!({"pk": {"S": audit.record}, "fence": {"N": "1"}, "audit_hash": {"S": audit.hash}}));
    let row = failed(json!({"pk": {"S": audit.record}, "hash": {"S": audit.hash}}));
    let settled = failed(json!({"state": {"S": "settled"}, "settled_by": {"N": "1"}}));
    for reasons in [[&record, &none, &none], [&none, &row, &none], [&none, &none, &settled]] {
        world.fail("TransactWriteItems", &cancelled(&reasons.map(Clone::clone)), 1);
        assert_eq!(world.store.commit(&commit(&claim, None, &audit, settle(&event.key, 0))).await, Ok(()));
    }
    let others = failed(json!({"fence": {"N": "1"}, "settled_by": {"N": "7"}, "hash": {"S": "x"}}));
    let answers = [
        ([&others, &none, &others], CommitError::FenceLost),
        ([&none, &none, &others], CommitError::EventMoved),
        ([&none, &others, &none], CommitError::Store(StoreError::Refused("commit: ConditionalCheckFailed".to_owned()))),
    ];
    let conflict = json!({"Code": "TransactionConflict"});
    let place_taken = "commit: TransactionConflict, ConditionalCheckFailed".to_owned();
    let answers = answers
        .into_iter()
        .chain([([&conflict, &others, &none], CommitError::Store(StoreError::Refused(place_taken)))]);
    for (reasons, answer) in answers {
        world.fail("TransactWriteItems", &cancelled(&reasons.map(Clone::clone)), 1);
        assert_eq!(world.store.commit(&commit(&claim, None, &audit, settle(&event.key, 0))).await, Err(answer));
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_reschedule_is_no_refusal() {
    let world = Faulty::start().await;
    let event = row("e");
    world.store.insert(&event).await.unwrap();
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    assert_eq!(world.store.reschedule(&event.key, 0, &reschedule(1, 90)).await, Ok(true));
    assert_eq!(world.direct.store.get(&event.key).await.unwrap().unwrap().attempt, 1);
    // What somebody else wrote is one.
    assert_eq!(world.store.reschedule(&event.key, 0, &reschedule(1, 91)).await, Ok(false));
}

#[tokio::test]
async fn a_lost_answer_to_a_set_aside_is_no_refusal() {
    let world = Faulty::start().await;
    let event = row("e");
    world.store.insert(&event).await.unwrap();
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    assert_eq!(world.store.set_aside(&event.key, 0, InboxState::Failed, "x").await, Ok(true));
    assert_eq!(world.store.set_aside(&event.key, 0, InboxState::Quarantined, "x").await, Ok(false));
    assert_eq!(world.store.set_aside(&event.key, 0, InboxState::Failed, "y").await, Ok(false));
}

#[tokio::test]
async fn a_lost_answer_to_a_release_releases() {
    let world = Faulty::start().await;
    let key = record_key("10");
    let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    assert_eq!(world.store.release(&claim, Release::Clean).await, Ok(()));
    let row = world.direct.store.read(&key).await.unwrap().unwrap();
    assert_eq!((row.clean_fence, row.lease), (1, None));
}

#[tokio::test]
async fn lost_answers_to_the_rest_do_no_harm() {
    let world = Faulty::start().await;
    let breaker = BreakerState { open_until: at(30), refusals: 1 };
    for operation in ["PutItem", "DeleteItem", "GetItem", "GetItem", "Query", "Query"] {
        world.fail(operation, &Fault::LoseAnswer, 1);
    }
    assert_eq!(world.store.set_breaker("p", Some(&breaker)).await, Ok(()));
    assert_eq!(world.store.set_breaker("p", None).await, Ok(()));
    assert_eq!(world.store.get(&event_key("e")).await, Ok(None));
    assert_eq!(world.store.read(&record_key("10")).await, Ok(None));
    assert_eq!(world.store.overdue(0, at(0), 10).await, Ok(vec![]));
    assert_eq!(world.store.audit_rows(&record_key("10")).await, Ok(vec![]));
    world.calls();
}

// Requests that are lost

#[tokio::test]
async fn a_request_that_is_lost_once_is_repeated() {
    let world = Faulty::start().await;
    let (key, event) = (record_key("10"), row("e"));
    world.fail("PutItem", &Fault::Lose, 1);
    assert_eq!(world.store.insert(&event).await, Ok(Inserted::New));
    world.fail("UpdateItem", &Fault::Lose, 1);
    let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    world.fail("TransactWriteItems", &Fault::Lose, 1);
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), settle(&event.key, 0))).await;
    assert_eq!(answer, Ok(()));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable() {
    let world = Faulty::start().await;
    let (key, event) = (record_key("10"), row("e"));
    let claim = world.direct.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    let lost = |what: &str| StoreError::Unavailable(format!("{what}: no connection"));
    for operation in ["PutItem", "UpdateItem", "TransactWriteItems", "GetItem", "Query"] {
        world.fail(operation, &Fault::Lose, 3);
    }
    assert_eq!(world.store.insert(&event).await, Err(lost("PutItem")));
    assert_eq!(world.store.reschedule(&event.key, 0, &reschedule(1, 90)).await, Err(lost("UpdateItem")));
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), None)).await;
    assert_eq!(answer, Err(CommitError::Store(lost("TransactWriteItems"))));
    assert_eq!(world.store.get(&event.key).await, Err(lost("GetItem")));
    assert_eq!(world.store.overdue(0, at(0), 10).await, Err(lost("Query")));
    assert!(lost("").is_transient());
    world.calls();
}

#[tokio::test]
async fn an_answer_that_says_nothing_leaves_it_open() {
    let world = Faulty::start().await;
    for (status, body) in [(500, "{}"), (503, "<html>"), (500, r#"{"__type":"x#InternalServerError"}"#)] {
        world.fail("PutItem", &Fault::Answer(status, body.to_owned()), 3);
        let answer = world.store.insert(&row("e")).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
}

// Refusals

#[tokio::test]
async fn a_conflict_passes() {
    let world = Faulty::start().await;
    let (key, event) = (record_key("10"), row("e"));
    world.fail("PutItem", &conflict(), 1);
    assert_eq!(world.store.insert(&event).await, Ok(Inserted::New));
    world.fail("UpdateItem", &conflict(), 1);
    let claim = world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    assert_eq!(claim.fence, 1);
    world.fail("UpdateItem", &conflict(), 1);
    assert_eq!(world.store.reschedule(&event.key, 0, &reschedule(1, 90)).await, Ok(true));
    for codes in [["TransactionConflict", "None", "None"], ["None", "None", "ThrottlingError"]] {
        world.fail("TransactWriteItems", &cancelled_by(codes), 1);
    }
    let knowing = settle(&event.key, 1).map(|settle| Settle { must_push: true, ..settle });
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), knowing)).await;
    assert_eq!(answer, Ok(()));
    assert_eq!(world.calls().len(), 9);
}

#[tokio::test]
async fn a_conflict_that_stays_is_busy() {
    let world = Faulty::start().await;
    let (key, event) = (record_key("10"), row("e"));
    let busy = |what: &str| StoreError::Busy(format!("{what}: TransactionConflictException"));
    world.fail("PutItem", &conflict(), 4);
    assert_eq!(world.store.insert(&event).await, Err(busy("PutItem")));
    world.fail("UpdateItem", &conflict(), 8);
    let answer = world.store.claim(&key, &lease("a", 30), at(0)).await;
    assert_eq!(answer, Err(ClaimError::Store(busy("UpdateItem"))));
    assert_eq!(world.store.set_aside(&event.key, 0, InboxState::Failed, "x").await, Err(busy("UpdateItem")));
    assert_eq!(world.calls().len(), 12, "a few tries each");

    let claim = world.direct.store.claim(&key, &lease("a", 30), at(0)).await.unwrap();
    world.fail("TransactWriteItems", &cancelled_by(["TransactionConflict", "None", "None"]), 4);
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), settle(&event.key, 1))).await;
    assert_eq!(answer, Err(CommitError::Store(StoreError::Busy("commit: TransactionConflict".to_owned()))));
    assert_eq!(world.calls().len(), 4);
}

#[tokio::test]
async fn a_failed_condition_beside_a_conflict_is_final() {
    let world = Faulty::start().await;
    let claim = world.store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    world.calls();
    world.fail("TransactWriteItems", &cancelled_by(["ConditionalCheckFailed", "None", "TransactionConflict"]), 1);
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), settle(&event_key("e"), 0))).await;
    assert_eq!(answer, Err(CommitError::FenceLost));
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test]
async fn a_conflict_after_a_lost_answer_does_not_hide_the_write() {
    let world = Faulty::start().await;
    let key = record_key("10");
    world.fail("UpdateItem", &Fault::LoseAnswer, 1);
    world.fail("UpdateItem", &conflict(), 1);
    assert_eq!(world.store.claim(&key, &lease("a", 30), at(0)).await.unwrap().fence, 1);
    assert_eq!(world.calls().len(), 3);
}

#[tokio::test]
async fn throttling_passes_or_is_busy() {
    let world = Faulty::start().await;
    for name in THROTTLED {
        world.fail("PutItem", &refusal(name), 2);
        assert_eq!(world.store.insert(&row(name)).await, Ok(Inserted::New));
        world.fail("PutItem", &refusal(name), 3);
        let answer = world.store.insert(&row("e")).await;
        assert_eq!(answer, Err(StoreError::Busy(format!("PutItem: {name}"))));
        world.fail("Query", &refusal(name), 3);
        assert_eq!(world.store.control().await, Err(StoreError::Busy(format!("Query: {name}"))));
    }
    world.calls();
}

#[tokio::test]
async fn a_transaction_still_under_way_leaves_it_open() {
    let world = Faulty::start().await;
    let claim = world.store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    world.fail("TransactWriteItems", &refusal("TransactionInProgressException"), 3);
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), None)).await;
    assert!(matches!(answer, Err(CommitError::Store(StoreError::Unavailable(_)))), "{answer:?}");
}

#[tokio::test]
async fn what_is_refused_for_good_is_said_without_its_words() {
    let world = Faulty::start().await;
    let names = ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"];
    for name in names {
        world.fail("PutItem", &refusal(name), 1);
        let answer = world.store.insert(&row("e")).await;
        assert_eq!(answer, Err(StoreError::Refused(format!("PutItem: {name}"))));
    }
    let claim = world.store.claim(&record_key("10"), &lease("a", 30), at(0)).await.unwrap();
    world.fail("TransactWriteItems", &refusal("IdempotentParameterMismatchException"), 1);
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), None)).await;
    let refused = StoreError::Refused("TransactWriteItems: IdempotentParameterMismatchException".to_owned());
    assert_eq!(answer, Err(CommitError::Store(refused)));
    world.fail("TransactWriteItems", &cancelled_by(["ValidationError", "None", "None"]), 1);
    let answer = world.store.commit(&commit(&claim, None, &audit(&claim), None)).await;
    assert_eq!(answer, Err(CommitError::Store(StoreError::Refused("commit: ValidationError".to_owned()))));
    world.calls();
}
