//! Definitions that are put into force, and their history.
//!
//! What is in force stands in the partition that every function reads at its start; each change of it is also a row of
//! the definition's history, in the same transaction. A history is append-only, and each of its rows names the hash of
//! the one before, so that nobody edits it unseen.

use crate::{
    DynamoStore,
    call::{cancelled, condition_failed, passes, patiently, store_error},
    control::DEFINITION,
    item::{Reader, text},
    schema::{
        CONTROL, HISTORY,
        attribute::{HASH, PK, ROW, SK, TEXT, TIME},
        invalid,
    },
};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use certbridge_mapping::digest::{canonical_json, sha256_hex, sha256_of_parts};
use certbridge_sync::StoreError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A change of what is in force.
#[derive(Debug, Clone, Copy)]
pub struct DefinitionChange<'a> {
    /// The definition's file: `sources/{name}.toml` or `destinations/{name}.toml`.
    pub file: &'a str,
    /// What is to be in force; `None` for the built-in definition again, or none.
    pub text: Option<&'a str>,
    /// Who wants it.
    pub by: &'a str,
    /// Why.
    pub note: Option<&'a str>,
    /// When.
    pub time: Timestamp,
}

/// One version of a definition, as its history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionEntry {
    /// The definition's file.
    pub file: String,
    /// Counted from one.
    pub version: u64,
    /// What was put into force; `None` if it was withdrawn.
    pub text: Option<String>,
    /// The SHA-256 of that text.
    pub sha256: Option<String>,
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub note: Option<String>,
    /// The hash of the version before; empty for the first.
    pub previous_hash: String,
    /// SHA-256 over the canonical JSON of all the rest.
    pub hash: String,
}

/// Why what is in force was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Somebody else has changed it since it was looked at.
    #[error("{file}: somebody else has put version {version} into force; nothing was changed")]
    Conflict {
        /// The definition's file.
        file: String,
        /// The version that was to be made, and is another's.
        version: u64,
    },
    /// The table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a history breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the history of {file} breaks at version {version}: {fault}")]
pub struct BrokenHistory {
    /// The definition's file.
    pub file: String,
    /// The first version that is not as it was written.
    pub version: u64,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl DefinitionEntry {
    fn after(newest: Option<&Self>, change: &DefinitionChange<'_>) -> Self {
        let mut entry = Self {
            file: change.file.to_owned(),
            version: newest.map_or(0, |newest| newest.version) + 1,
            text: change.text.map(str::to_owned),
            sha256: change.text.map(|text| sha256_hex(text.as_bytes())),
            time: change.time,
            by: change.by.to_owned(),
            note: change.note.map(str::to_owned),
            previous_hash: newest.map(|newest| newest.hash.clone()).unwrap_or_default(),
            hash: String::new(),
        };
        entry.hash = entry.expected_hash();
        entry
    }

    /// The hash that it must have.
    pub fn expected_hash(&self) -> String {
        sha256_hex(canonical_json(&Self { hash: String::new(), ..self.clone() }).as_bytes())
    }
}

/// Whether the versions, the oldest first, are a whole history: nothing edited, dropped, inserted or swapped. What was
/// cut off its end cannot be seen here; but then the next version could not be what it is.
///
/// # Errors
/// [`BrokenHistory`], which names the first version that is not as it was written.
pub fn verify_history(entries: &[DefinitionEntry]) -> Result<(), BrokenHistory> {
    let mut previous: (u64, &str) = (0, "");
    for entry in entries {
        let broken = |fault| Err(BrokenHistory { file: entry.file.clone(), version: previous.0 + 1, fault });
        if entry.version != previous.0 + 1 {
            return broken("a version is missing");
        }
        if entry.previous_hash != previous.1 {
            return broken("it does not name the hash of the version before");
        }
        if entry.hash != entry.expected_hash() {
            return broken("its hash is not that of its content");
        }
        if entry.sha256 != entry.text.as_ref().map(|text| sha256_hex(text.as_bytes())) {
            return broken("its text is not the one whose SHA-256 it names");
        }
        previous = (entry.version, &entry.hash);
    }
    Ok(())
}

impl DynamoStore {
    /// Puts a definition into force, or withdraws it, as the version after `newest`, the newest one that the caller saw.
    /// What is in force and its history change together, or not at all.
    ///
    /// # Errors
    /// [`ChangeError::Conflict`] if `newest` is not the newest version any more.
    pub async fn change_definition(
        &self,
        newest: Option<&DefinitionEntry>,
        change: &DefinitionChange<'_>,
    ) -> Result<DefinitionEntry, ChangeError> {
        let entry = DefinitionEntry::after(newest, change);
        let token: String = sha256_of_parts([self.tables.state.as_bytes(), entry.hash.as_bytes()]);
        let request = self
            .client
            .transact_write_items()
            .client_request_token(token.chars().take(36).collect::<String>())
            .transact_items(self.appending_version(&entry)?)
            .transact_items(self.in_force(&entry)?);
        let Err(error) = patiently(|| request.clone().send(), passes).await else { return Ok(entry) };
        let Some(TransactWriteItemsError::TransactionCanceledException(refusal)) = error.as_service_error() else {
            return Err(store_error("TransactWriteItems", &error).into());
        };
        match condition_failed(refusal.cancellation_reasons(), 0) {
            // An earlier try of the same change, whose answer was lost.
            Some(there) if is_of(there, &entry) => Ok(entry),
            Some(_) => Err(ChangeError::Conflict { file: entry.file, version: entry.version }),
            None => Err(cancelled("change_definition", refusal.cancellation_reasons()).into()),
        }
    }

    /// A definition's history, the oldest version first.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn definition_history(&self, file: &str) -> Result<Vec<DefinitionEntry>, StoreError> {
        let items = self.partition(&self.tables.state, &history_of(file)).await?;
        items.iter().map(|item| Reader(item).json(ROW)).collect()
    }

    /// The newest version of a definition, if it ever had one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn newest_definition(&self, file: &str) -> Result<Option<DefinitionEntry>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.state)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk"))
            .expression_attribute_values(":pk", text(history_of(file)))
            .scan_index_forward(false)
            .limit(1);
        let answer = request.send().await.map_err(|error| store_error("Query", &error))?;
        answer.items().first().map(|item| Reader(item).json(ROW)).transpose()
    }

    fn appending_version(&self, entry: &DefinitionEntry) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.tables.state)
            .item(PK, text(history_of(&entry.file)))
            // In the order of numbers, though it is a text.
            .item(SK, text(format!("{:010}", entry.version)))
            .item(TIME, text(entry.time))
            .item(HASH, text(&entry.hash))
            .item(ROW, text(canonical_json(entry)))
            .condition_expression(format!("attribute_not_exists({PK})"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        Ok(TransactWriteItem::builder().put(put.map_err(invalid)?).build())
    }

    fn in_force(&self, entry: &DefinitionEntry) -> Result<TransactWriteItem, StoreError> {
        let (table, sort) = (&self.tables.state, text(format!("{DEFINITION}{}", entry.file)));
        let part = TransactWriteItem::builder();
        Ok(match &entry.text {
            Some(toml) => {
                let put =
                    Put::builder().table_name(table).item(PK, text(CONTROL)).item(SK, sort).item(TEXT, text(toml));
                part.put(put.build().map_err(invalid)?).build()
            }
            None => {
                let delete = Delete::builder().table_name(table).key(PK, text(CONTROL)).key(SK, sort).build();
                part.delete(delete.map_err(invalid)?).build()
            }
        })
    }
}

fn history_of(file: &str) -> String {
    format!("{HISTORY}{file}")
}

fn is_of(refused: &CancellationReason, entry: &DefinitionEntry) -> bool {
    refused.item().is_some_and(|item| item.get(HASH) == Some(&text(&entry.hash)))
}
