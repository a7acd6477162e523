//! The audit chain: per record, append-only, each row naming the hash of the one before.

use crate::row::AuditHead;
use certbridge_mapping::{
    Plan, PlanVersion, Record, RecordKey,
    digest::{canonical_json, sha256_hex},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One row: what was done to a record, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRow {
    /// The record, as `kind#source#id`.
    pub record: String,
    /// Its place in the record's chain, from 1 on.
    pub sequence: u64,
    /// The fence of the claim that appended it.
    pub fence: u64,
    /// When, by our clock.
    pub time: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
    /// Whether the destination was told.
    pub action: Action,
    /// How it came out.
    pub outcome: Outcome,
    /// The fields that changed.
    pub changes: Vec<Change>,
    /// The plan that it was mapped by.
    pub plan: PlanVersion,
    /// The destination's own id of the request.
    pub destination_request_id: Option<String>,
    /// The hash of the row before; sixty-four zeros in the first.
    pub previous_hash: String,
    /// SHA-256 of the canonical JSON (RFC 8785) of everything above.
    pub hash: String,
}

/// On whose account something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// A source that sent an event.
    Source {
        /// Its name.
        name: String,
        /// The id of the key that proved it.
        key_id: String,
        /// On whose behalf it acted, if it said.
        on_behalf_of: Option<String>,
    },
    /// A caller with a key of ours.
    Caller {
        /// The key's owner.
        owner: String,
    },
    /// A person at the command line.
    Operator {
        /// Whom the system, or AWS, takes them for.
        name: String,
    },
    /// Certbridge itself, after a push that may have come too late.
    Recovery,
    /// Certbridge itself, comparing both sides.
    Reconciliation,
}

/// What caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Cause {
    /// An event.
    Event {
        /// Its key, as `source#id`.
        id: String,
        /// The sender's name for what happened.
        event_type: String,
        /// The attempt that settled it, from 1 on.
        attempt: u32,
    },
    /// A request to our API.
    Request {
        /// Its id.
        id: String,
    },
    /// A push of ours that may have come too late.
    Recovery {
        /// The invocation that found out.
        id: String,
    },
    /// A batch.
    Batch {
        /// Its id.
        id: String,
    },
    /// A command.
    Command {
        /// Which one.
        name: String,
    },
}

/// What was done at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was told.
    Pushed,
    /// Nothing.
    None,
}

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The record has a new state, or its state was asserted.
    Synced,
    /// The destination holds this very state already.
    Unchanged,
    /// A newer state is known.
    Superseded,
    /// A fetch that began after the event was received has been committed.
    Covered,
    /// The event changes nothing at the destination.
    Audited,
    /// The source no longer has the record.
    Deleted,
    /// What it said of a person is erased.
    Erased,
    /// It must not be erased.
    Held,
    /// It may be erased again.
    Released,
}

impl Outcome {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Unchanged => "unchanged",
            Self::Superseded => "superseded",
            Self::Covered => "covered",
            Self::Audited => "audited",
            Self::Deleted => "deleted",
            Self::Erased => "erased",
            Self::Held => "held",
            Self::Released => "released",
        }
    }
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The canonical field.
    pub field: String,
    /// What it held; for a personal field, a digest.
    pub before: Value,
    /// What it holds; for a personal field, a digest.
    pub after: Value,
}

/// What an audit row says before it has a place in the chain.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) record: &'a RecordKey,
    pub(crate) fence: u64,
    pub(crate) time: Timestamp,
    pub(crate) actor: Actor,
    pub(crate) cause: Cause,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    pub(crate) changes: Vec<Change>,
    pub(crate) plan: PlanVersion,
    pub(crate) destination_request_id: Option<String>,
}

impl Entry<'_> {
    /// The row that follows `head`.
    pub(crate) fn append_to(self, head: &AuditHead) -> AuditRow {
        let mut row = AuditRow {
            record: self.record.to_string(),
            sequence: head.sequence + 1,
            fence: self.fence,
            time: self.time,
            actor: self.actor,
            cause: self.cause,
            action: self.action,
            outcome: self.outcome,
            changes: self.changes,
            plan: self.plan,
            destination_request_id: self.destination_request_id,
            previous_hash: head.hash.clone(),
            hash: String::new(),
        };
        row.hash = row.expected_hash();
        row
    }
}

impl AuditRow {
    /// The hash that the row must have.
    pub fn expected_hash(&self) -> String {
        #[expect(clippy::expect_used, reason = "a struct of strings, numbers and JSON always serialises")]
        let mut row = serde_json::to_value(self).expect("plain data serialises");
        if let Some(members) = row.as_object_mut() {
            members.remove("hash");
        }
        sha256_hex(canonical_json(&row).as_bytes())
    }

    /// The chain's end with this row.
    pub fn head(&self) -> AuditHead {
        AuditHead { sequence: self.sequence, hash: self.hash.clone() }
    }
}

/// Where a chain breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chain breaks at row {sequence}: {fault}")]
pub struct BrokenChain {
    /// The place of the first row that is not as it was written.
    pub sequence: u64,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// Whether the rows, in their order, are a whole chain that ends at `head`: nothing edited, dropped, inserted, swapped
/// or cut off.
pub fn verify_chain<'a>(rows: impl IntoIterator<Item = &'a AuditRow>, head: &AuditHead) -> Result<(), BrokenChain> {
    let mut end = AuditHead::default();
    for row in rows {
        let sequence = end.sequence + 1;
        let broken = |fault| Err(BrokenChain { sequence, fault });
        if row.sequence != sequence {
            return broken("a row is missing or out of place");
        }
        if row.previous_hash != end.hash {
            return broken("it does not name the hash of the row before");
        }
        if row.hash != row.expected_hash() {
            return broken("its hash is not that of its content");
        }
        end = row.head();
    }
    if end != *head {
        return Err(BrokenChain { sequence: end.sequence + 1, fault: "the chain does not end where the record says" });
    }
    Ok(())
}

/// Makes digests of personal values, so that a trail can show that one changed without showing it.
#[derive(Clone, Default)]
pub struct Redactor {
    key: Vec<u8>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// With the deployment's digest key.
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into() }
    }

    /// What differs between two states of a record.
    pub fn changes(
        &self,
        plan: &Plan,
        key: &RecordKey,
        salt: &str,
        before: Option<&Record>,
        after: &Record,
    ) -> Vec<Change> {
        let before = before.map_or(Value::Null, Record::to_fields);
        let after = after.to_fields();
        let field = |of: &Value, name: &str| of.get(name).cloned().unwrap_or(Value::Null);
        key.kind
            .fields()
            .iter()
            .map(|canonical| canonical.name)
            .filter(|name| field(&before, name) != field(&after, name))
            .map(|name| {
                let shown =
                    |value: Value| if plan.is_personal(key, name) { self.digest(salt, name, value) } else { value };
                Change {
                    field: name.to_owned(),
                    before: shown(field(&before, name)),
                    after: shown(field(&after, name)),
                }
            })
            .collect()
    }

    /// A digest that cannot be guessed without the key and the record's salt.
    fn digest(&self, salt: &str, field: &str, value: Value) -> Value {
        if value.is_null() {
            return Value::Null;
        }
        let value = canonical_json(&value);
        let digest = certbridge_mapping::digest::hmac_sha256_hex(
            &self.key,
            [salt.as_bytes(), field.as_bytes(), value.as_bytes()],
        );
        Value::String(format!("digest:{digest}"))
    }
}
