//! The records, and with them the audit rows.

use crate::{
    DynamoStore,
    call::{cancelled, condition_failed, passes, patiently, store_error},
    catalog,
    change::{Change, Changed},
    inbox::settling,
    item::{Item, Reader, json, milliseconds_down, milliseconds_up, number, text, unreadable},
    schema::{
        attribute::{
            AUDIT_HASH, AUDIT_SEQUENCE, CLEAN_FENCE, FENCE, FETCHED_AT, FINGERPRINT, HASH, HOLD, HUSK, LEASE_OWNER,
            LEASE_UNTIL, LISTED, LISTED_AT, LOCATION_ID, PK, PLAN, RECORD, ROW, SALT, SETTLED_BY, SK, STATE, STATUS,
            SYNCED_AT, TIME, VERSION,
        },
        invalid,
    },
};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use certbridge_mapping::{
    PlanVersion, RecordKey,
    digest::{canonical_json, sha256_of_parts},
};
use certbridge_sync::{
    AuditRow, StoreError,
    catalog::Listed,
    ports::{ClaimError, CommitError, Records},
    row::{AuditHead, Claim, Commit, Lease, RecordRow, RecordState, Release},
};
use jiff::Timestamp;

impl Records for DynamoStore {
    async fn claim(&self, key: &RecordKey, lease: &Lease, now: Timestamp) -> Result<Claim, ClaimError> {
        // Not "or the owner is me": the SDK's own retry would then step the fence twice.
        let change = Change::only_if(format!("attribute_not_exists(#{LEASE_OWNER}) OR #{LEASE_UNTIL} < :now"))
            .value("now", milliseconds_down(now))
            .set(LEASE_OWNER, text(&lease.owner))
            .set(LEASE_UNTIL, milliseconds_up(lease.until))
            .compute(FENCE, &format!("if_not_exists(#{FENCE}, :zero) + :one"))
            .value("zero", number(0))
            .value("one", number(1));
        match self.change(&self.tables.records, key.to_string(), change).await? {
            Changed::Yes(before) => Ok(Claim::new(record_row(key, &before)?, lease.clone())),
            Changed::No(item) => claimed_before(record_row(key, &item)?, lease),
        }
    }

    async fn release(&self, claim: &Claim, release: Release) -> Result<(), StoreError> {
        let change = if_mine(claim).remove(LEASE_OWNER).remove(LEASE_UNTIL);
        let change = match release {
            Release::Clean => change.set(CLEAN_FENCE, number(claim.fence)),
            Release::InDoubt => change,
        };
        self.change(&self.tables.records, claim.row.key.to_string(), change).await.map(drop)
    }

    async fn commit(&self, commit: &Commit<'_>) -> Result<(), CommitError> {
        let request = self
            .client
            .transact_write_items()
            .client_request_token(self.commit_token(commit))
            .set_transact_items(Some(self.parts_of(commit)?));
        let Err(error) = patiently(|| request.clone().send(), passes).await else { return Ok(()) };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(refusal)) => {
                why_cancelled(commit, refusal.cancellation_reasons())
            }
            _ => Err(store_error("TransactWriteItems", &error).into()),
        }
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<RecordRow>, StoreError> {
        let item = self.item(&self.tables.records, key.to_string()).await?;
        item.map(|item| record_row(key, &item)).transpose()
    }
}

impl DynamoStore {
    /// What makes a repeated commit one. Tokens are an account's, so the table is part of it; and the audit row's hash
    /// covers record, fence and content, so that another commit has another token. 36 characters are the most.
    fn commit_token(&self, commit: &Commit<'_>) -> String {
        let digest = sha256_of_parts([self.tables.audit.as_bytes(), commit.audit.hash.as_bytes()]);
        digest.chars().take(36).collect()
    }

    /// A record's audit rows, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn audit_rows(&self, key: &RecordKey) -> Result<Vec<AuditRow>, StoreError> {
        let items = self.partition(&self.tables.audit, &key.to_string()).await?;
        items.iter().map(|item| Reader(item).json(ROW)).collect()
    }

    /// All items of a partition, in the order of their sort keys.
    pub(crate) async fn partition(&self, table: &str, pk: &str) -> Result<Vec<Item>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(table)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk"))
            .expression_attribute_values(":pk", text(pk));
        let items = request.into_paginator().items().send().try_collect().await;
        items.map_err(|error| store_error("Query", &error))
    }

    /// One item, read consistently.
    pub(crate) async fn item(&self, table: &str, pk: String) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(table).key(PK, text(pk)).consistent_read(true);
        let answer = request.send().await.map_err(|error| store_error("GetItem", &error))?;
        Ok(answer.item)
    }

    /// Record, audit row and inbox row, in this order, which is also that of the reasons of a cancellation.
    fn parts_of(&self, commit: &Commit<'_>) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mut parts = vec![
            committing(commit)?.in_transaction(&self.tables.records, commit.claim.row.key.to_string())?,
            self.appending(commit.audit)?,
        ];
        if let Some(settle) = &commit.settle {
            let change = settling(settle, commit.claim.fence);
            parts.push(change.in_transaction(&self.tables.inbox, settle.key.to_string())?);
        }
        Ok(parts)
    }

    fn appending(&self, row: &AuditRow) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.tables.audit)
            .item(PK, text(&row.record))
            .item(SK, number(row.sequence))
            .item(TIME, text(row.time))
            .item(FENCE, number(row.fence))
            .item(HASH, text(&row.hash))
            .item(ROW, text(canonical_json(row)))
            .condition_expression(format!("attribute_not_exists({PK})"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        Ok(TransactWriteItem::builder().put(put.map_err(invalid)?).build())
    }
}

/// A change of a record on which the claim still stands.
fn if_mine(claim: &Claim) -> Change {
    Change::only_if(format!("#{FENCE} = :my_fence AND #{LEASE_OWNER} = :me"))
        .value("my_fence", number(claim.fence))
        .value("me", text(&claim.lease.owner))
}

/// The record's part of a commit.
fn committing(commit: &Commit<'_>) -> Result<Change, StoreError> {
    let change = if_mine(commit.claim)
        .set(CLEAN_FENCE, number(commit.claim.fence))
        .set(AUDIT_SEQUENCE, number(commit.audit.sequence))
        .set(AUDIT_HASH, text(&commit.audit.hash))
        .remove(LEASE_OWNER)
        .remove(LEASE_UNTIL);
    let change = match commit.fetched_at {
        Some(at) => change.set(FETCHED_AT, text(at)),
        None => change,
    };
    let change = if commit.hold { change.set(HOLD, AttributeValue::Bool(true)) } else { change.remove(HOLD) };
    Ok(match (commit.husk, commit.state) {
        // A husk is nothing to list: all that there is to know of it is that it was erased.
        (Some(husk), _) => [STATE, SALT, LISTED, LISTED_AT, STATUS, LOCATION_ID]
            .into_iter()
            .fold(change.set(HUSK, json(husk)?), Change::remove),
        (None, Some(state)) => list(change, &commit.claim.row.key, state)
            .set(SALT, text(commit.salt))
            .set(STATE, AttributeValue::M(state_item(state)?))
            .remove(HUSK),
        (None, None) => change.set(SALT, text(commit.salt)),
    })
}

/// What the index holds of a record.
fn list(change: Change, key: &RecordKey, state: &RecordState) -> Change {
    let row = RecordRow { state: Some(state.clone()), ..RecordRow::new(key.clone()) };
    let Some(listed) = Listed::of(&row) else { return change };
    let or_none = |change: Change, name: &str, value: Option<&String>| match value {
        Some(value) if !value.is_empty() => change.set(name, text(value)),
        _ => change.remove(name),
    };
    let change =
        change.set(LISTED, text(catalog::listed(key.kind, Listed::shard(key)))).set(LISTED_AT, text(listed.place()));
    let change = or_none(change, STATUS, listed.status.as_ref());
    or_none(change, LOCATION_ID, listed.location_id.as_ref())
}

/// A claim whose condition failed: another's lease is live, or an earlier try of this very claim was applied and its
/// answer lost.
fn claimed_before(row: RecordRow, lease: &Lease) -> Result<Claim, ClaimError> {
    let held = row.lease.clone().ok_or_else(|| unreadable(LEASE_OWNER))?;
    if held.owner != lease.owner {
        return Err(ClaimError::Leased { until: held.until });
    }
    let fence = row.fence.checked_sub(1).ok_or_else(|| unreadable(FENCE))?;
    // What lease stood before is no longer known; whether the claim before ended in doubt, the fences tell.
    Ok(Claim::new(RecordRow { fence, lease: None, ..row }, held))
}

/// Why a commit was cancelled; or that it was not the first of its kind, and the first one had succeeded.
fn why_cancelled(commit: &Commit<'_>, reasons: &[CancellationReason]) -> Result<(), CommitError> {
    let failed = |part| condition_failed(reasons, part);
    let holds = |part: usize, name: &str, value: AttributeValue| {
        failed(part).and_then(CancellationReason::item).is_some_and(|item| item.get(name) == Some(&value))
    };
    // Each part alone is proof, and which of them are looked at is up to DynamoDB.
    let succeeded = holds(0, AUDIT_HASH, text(&commit.audit.hash))
        || holds(1, HASH, text(&commit.audit.hash))
        || holds(2, SETTLED_BY, number(commit.claim.fence));
    if succeeded {
        return Ok(());
    }
    if failed(0).is_some() {
        return Err(CommitError::FenceLost);
    }
    if failed(2).is_some() {
        return Err(CommitError::EventMoved);
    }
    Err(cancelled("commit", reasons).into())
}

fn state_item(state: &RecordState) -> Result<Item, StoreError> {
    let attributes = [
        (RECORD, Some(json(&state.record)?)),
        (VERSION, state.version.as_ref().map(json).transpose()?),
        (FINGERPRINT, Some(text(&state.fingerprint))),
        (PLAN, Some(text(&state.plan))),
        (SYNCED_AT, Some(text(state.synced_at))),
    ];
    Ok(attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

pub(crate) fn record_row(key: &RecordKey, item: &Item) -> Result<RecordRow, StoreError> {
    let read = Reader(item);
    let lease = match (read.optional_text(LEASE_OWNER)?, read.optional_milliseconds(LEASE_UNTIL)?) {
        (Some(owner), Some(until)) => Some(Lease { owner: owner.to_owned(), until }),
        _ => None,
    };
    let audit = match (read.optional_number(AUDIT_SEQUENCE)?, read.optional_text(AUDIT_HASH)?) {
        (Some(sequence), Some(hash)) => AuditHead { sequence, hash: hash.to_owned() },
        _ => AuditHead::default(),
    };
    Ok(RecordRow {
        key: key.clone(),
        fence: read.optional_number(FENCE)?.unwrap_or_default(),
        clean_fence: read.optional_number(CLEAN_FENCE)?.unwrap_or_default(),
        lease,
        audit,
        salt: read.optional_text(SALT)?.map(str::to_owned),
        fetched_at: read.optional_parsed(FETCHED_AT)?,
        state: read.optional_map(STATE)?.map(record_state).transpose()?,
        husk: read.optional_json(HUSK)?,
        hold: read.optional_flag(HOLD)?,
    })
}

fn record_state(read: Reader<'_>) -> Result<RecordState, StoreError> {
    Ok(RecordState {
        record: read.json(RECORD)?,
        version: read.optional_json(VERSION)?,
        fingerprint: read.text(FINGERPRINT)?.to_owned(),
        plan: PlanVersion::from(read.text(PLAN)?.to_owned()),
        synced_at: read.parsed(SYNCED_AT)?,
    })
}
