//! The audit's checkpoints: one over the ends of all chains, made every night, and proofs by it.
//!
//! ```text
//! checkpoints/00000001.json                the first, then 00000002.json, ..: written once, and never over another
//! checkpoints/heads/{root}/00000.jsonl     the heads that a checkpoint's root stands for, in their order, in runs
//! checkpoints/latest.json                  the newest, so that nobody counts from the first on
//! ```
//!
//! The heads come in no order, and there may be millions. They are cut by the hash of the id first, as the listings of a
//! batch are, so that only one part of them is sorted, and held, at a time.

use crate::TaskError;
use certbridge_archive::{Archive, ArchiveError, Manifest, Segment};
use certbridge_mapping::RecordKey;
use certbridge_sync::{
    checkpoint::{Checkpoint, Hash, Head, Heads, Inclusion, LATEST, Signer, Stored, Tree, path},
    ports::Runtime,
};

/// How many parts the heads are cut into to be sorted.
const PARTS: u16 = 256;
/// How many rows are read at once.
const PAGE: usize = 1000;
/// How many heads stand in one object.
const RUN: usize = 5000;

/// A checkpoint, with the proof that it saw the end of one record's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The checkpoint.
    pub checkpoint: Stored,
    /// The proof; `None` if the record had no rows then.
    pub inclusion: Option<Inclusion>,
}

/// Where checkpoints are made, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Notary<'a> {
    /// Where what is sorted stands meanwhile, under `work/`.
    pub work: &'a Archive,
    /// Where checkpoints are kept.
    pub checkpoints: &'a Archive,
    /// What signs them.
    pub signer: Option<&'a Signer>,
}

impl Notary<'_> {
    /// Makes the next checkpoint, over the ends of all chains of all kinds and sources.
    ///
    /// # Errors
    /// [`TaskError::Refused`] if the heads cannot have grown out of those of the checkpoint before: something of the
    /// audit trail is gone.
    pub async fn make(&self, store: &impl Heads, runtime: &impl Runtime) -> Result<Stored, TaskError> {
        let latest = latest(self.checkpoints).await?;
        let time = runtime.now();
        let manifest = Manifest::new(self.work, "work/checkpoint");
        let segments = [gather(store, &manifest, format!("{:032x}", runtime.random())).await?];
        let mut tree = Tree::new();
        for part in 0..PARTS {
            let heads = sorted(&manifest, &segments, part).await?;
            heads.iter().try_for_each(|head| tree.push(head).map(drop)).map_err(|fault| refused(&fault))?;
        }
        let checkpoint = Checkpoint::next(latest.as_ref().map(Stored::unproven), time, &tree.summary());
        let checkpoint = checkpoint.map_err(|fault| refused(&fault))?;
        self.keep_heads(&manifest, &segments, &checkpoint.root).await?;
        let at = path(checkpoint.number);
        let stored = checkpoint.seal(self.signer);
        if !self.checkpoints.put_new_json(&at, &stored).await? {
            return Err(TaskError::Transient(format!("{at} was made by another meanwhile")));
        }
        self.checkpoints.put_json(LATEST, &stored).await?;
        Ok(stored)
    }

    /// Keeps the heads beside their checkpoint. Where they are kept, there are no others: their root says which they are.
    async fn keep_heads(&self, manifest: &Manifest<'_>, segments: &[Segment], root: &Hash) -> Result<(), ArchiveError> {
        let mut run = Vec::new();
        let mut number = 0;
        for part in 0..PARTS {
            run.extend(sorted(manifest, segments, part).await?);
            while run.len() >= RUN || (part == PARTS - 1 && !run.is_empty()) {
                let rest = run.split_off(run.len().min(RUN));
                self.checkpoints.put_lines(&format!("{}/{number:05}.jsonl", heads_of(root)), &run).await?;
                number += 1;
                run = rest;
            }
        }
        Ok(())
    }
}

/// The newest checkpoint; `None` before the first.
///
/// # Errors
/// The archive fails.
pub async fn latest(archive: &Archive) -> Result<Option<Stored>, ArchiveError> {
    let noted = archive.get_json::<Stored>(LATEST).await?.map_or(0, |latest| latest.unproven().number);
    let mut latest = checkpoint(archive, noted).await?;
    // A crash may have left the note behind. If what it names is not there, it is counted from the first on.
    while let Some(next) =
        checkpoint(archive, latest.as_ref().map_or(0, |latest| latest.unproven().number).saturating_add(1)).await?
    {
        latest = Some(next);
    }
    Ok(latest)
}

/// The checkpoint of this number; `None` if there is none.
///
/// # Errors
/// The archive fails.
pub async fn checkpoint(archive: &Archive, number: u64) -> Result<Option<Stored>, ArchiveError> {
    archive.get_json(&path(number)).await
}

/// The objects that hold the heads of a root, in their order; none if they are not kept.
///
/// # Errors
/// The archive fails.
pub async fn heads(archive: &Archive, root: &Hash) -> Result<Vec<String>, ArchiveError> {
    archive.list(&heads_of(root)).await
}

/// The checkpoint of this number with the proof of one record's chain, made of the heads that are kept beside it.
///
/// # Errors
/// The archive fails. Whether the proof holds, `verify_inclusion` says.
pub async fn prove(archive: &Archive, number: u64, record: &RecordKey) -> Result<Option<Sealed>, ArchiveError> {
    let Some(checkpoint) = checkpoint(archive, number).await? else { return Ok(None) };
    let mut tree = Tree::seeking(record.clone());
    for path in heads(archive, &checkpoint.unproven().root).await? {
        for head in archive.get_lines::<Head>(&path).await? {
            // Heads that are out of order make another root, which is for the verifier to see.
            if tree.push(&head).is_err() {
                break;
            }
        }
    }
    Ok(Some(Sealed { checkpoint, inclusion: tree.inclusion() }))
}

/// Reads all heads into one segment.
async fn gather(store: &impl Heads, manifest: &Manifest<'_>, segment: String) -> Result<Segment, TaskError> {
    let mut writer = manifest.write(segment, PARTS);
    let mut cursor: Option<String> = None;
    loop {
        let page = store.heads(cursor.as_deref(), PAGE).await?;
        for head in &page.items {
            writer.add(head.record.id.as_str(), head).await?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(writer.finish().await?);
        }
    }
}

/// The heads of a part, in their order.
async fn sorted(manifest: &Manifest<'_>, segments: &[Segment], part: u16) -> Result<Vec<Head>, ArchiveError> {
    let mut heads: Vec<Head> = manifest.read(segments, part).await?;
    heads.sort_by_cached_key(Head::place);
    Ok(heads)
}

fn heads_of(root: &Hash) -> String {
    format!("checkpoints/heads/{root}")
}

fn refused(fault: &dyn std::error::Error) -> TaskError {
    TaskError::Refused(format!("audit checkpoint: {fault}"))
}
