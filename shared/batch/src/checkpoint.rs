//! The audit's checkpoint at the end of a batch, and proofs by it.

use crate::{
    BatchSync, Tables, TaskError,
    task::{Batch, Walks},
};
use certbridge_archive::{Archive, ArchiveError};
use certbridge_mapping::RecordKey;
use certbridge_sync::{
    batches::BatchId,
    checkpoint::{BrokenHead, Checkpoint, Head, Inclusion, Stored, Tree},
    ports::{Destination, RetryQueue, Runtime, Sources},
    row::AuditHead,
};
use serde::Deserialize;

/// What of one of our own rows a checkpoint rests on: the rest is passed over unread.
#[derive(Deserialize)]
struct End {
    id: String,
    audit: AuditHead,
    #[serde(default)]
    of_another: bool,
}

/// A checkpoint, with the proof that it saw the end of one record's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The checkpoint.
    pub checkpoint: Stored,
    /// The proof; `None` if the record had no rows then.
    pub inclusion: Option<Inclusion>,
}

/// The checkpoint of a batch, with the proof of one record's chain, made of the heads that are kept beside it.
///
/// # Errors
/// The archive fails, or there is no such checkpoint. Whether the proof holds, `verify_inclusion` says.
pub async fn prove(archive: &Archive, batch: &BatchId, record: &RecordKey) -> Result<Option<Sealed>, ArchiveError> {
    let at = folder(&record.source);
    let Some(checkpoint) = archive.get_json::<Stored>(&format!("{at}/{batch}.json")).await? else { return Ok(None) };
    let mut tree = Tree::seeking(record.clone());
    for path in archive.list(&format!("{at}/{batch}/heads")).await? {
        for head in archive.get_lines::<Head>(&path).await? {
            // Heads that are out of order make another root, which is for the verifier to see.
            if tree.push(&head).is_err() {
                break;
            }
        }
    }
    Ok(Some(Sealed { checkpoint, inclusion: tree.inclusion() }))
}

impl<S, R, D, Q, T> BatchSync<S, R, D, Q, T>
where
    S: Tables,
    R: Sources,
    D: Destination,
    Q: RetryQueue,
    T: Runtime,
{
    /// The checkpoint over the ends of all chains, as our own listing saw them; none if that is not whole.
    ///
    /// # Errors
    /// [`TaskError::Refused`] if the heads cannot have grown out of those of the checkpoint before.
    pub(crate) async fn checkpoint(&self, batch: &Batch, walks: &Walks) -> Result<Option<Stored>, TaskError> {
        if !walks.own.side.complete || walks.own.segments.is_empty() {
            return Ok(None);
        }
        let at = folder(&batch.source);
        let latest: Option<Stored> = self.archive.get_json(&format!("{at}/latest.json")).await?;
        // A task that is run again makes no second one.
        if latest.as_ref().is_some_and(|latest| latest.unproven().batch_id == batch.id.as_str()) {
            return Ok(latest);
        }
        let mut tree = Tree::new();
        for partition in 0..batch.partitions {
            let heads = self.heads(batch, walks, partition).await?;
            heads.iter().try_for_each(|head| tree.push(head).map(drop)).map_err(|fault: BrokenHead| refused(&fault))?;
            self.archive.put_lines(&format!("{at}/{}/heads/{partition:03}.jsonl", batch.id), &heads).await?;
        }
        let previous = latest.as_ref().map(Stored::unproven);
        let now = self.engine.runtime.now();
        let checkpoint = Checkpoint::next(previous, batch.id.as_str(), now, &tree.summary());
        let stored = checkpoint.map_err(|fault| refused(&fault))?.seal(self.signer.as_ref());
        self.archive.put_json(&format!("{at}/{}.json", batch.id), &stored).await?;
        self.archive.put_json(&format!("{at}/latest.json"), &stored).await?;
        Ok(Some(stored))
    }

    /// The ends of the chains of a partition, in their order.
    async fn heads(&self, batch: &Batch, walks: &Walks, partition: u16) -> Result<Vec<Head>, TaskError> {
        let own = self.rows::<End>(batch, "own", &walks.own, partition).await?;
        let rows = own.map_or_else(Vec::new, |own| own.rows).into_iter().filter(|end| !end.of_another);
        let head = |end: End| Head::of(&batch.key(end.id.try_into().ok()?), &end.audit);
        let mut heads: Vec<_> = rows.filter_map(head).collect();
        heads.sort_by_cached_key(Head::place);
        heads.dedup();
        Ok(heads)
    }
}

fn folder(source: &str) -> String {
    format!("checkpoints/{source}")
}

fn refused(fault: &dyn std::error::Error) -> TaskError {
    TaskError::Refused(format!("audit checkpoint: {fault}"))
}
