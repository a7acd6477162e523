//! Holding audit rows against what checkpoints saw of them: the proof of an export, and where it first breaks.
//!
//! ```text
//! history --verify_history--> Witness <--take-- the heads of each checkpoint, in their order
//!                                |
//! rows of an export, chain by chain --Examination--> Proven, or the first fault
//! ```
//!
//! It holds one mark for each head that a checkpoint saw and the one before did not: some hundred bytes a record, and
//! as many again for each night on which its chain grew. The rows themselves are forgotten.

use super::{
    BrokenHistory, Checkpoint, Hash, PublicKey, Stored,
    heads::{BrokenHead, Head, HeadFault},
    tree::Tree,
    verify_history,
};
use crate::{audit::AuditRow, row::AuditHead};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashSet};

/// A row is written a while after its time was taken, at most as long as a worker lives, and clocks differ. What is dated
/// before a checkpoint by more than this was there when it was made.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// What the checkpoints of a history saw of all chains.
#[derive(Debug)]
pub struct Witness {
    history: Vec<Checkpoint>,
    signed: u64,
    /// By record: the heads that were seen, each longer than the one before.
    marks: BTreeMap<String, Vec<Mark>>,
    /// How many of the checkpoints have shown their heads.
    shown: u64,
    /// The last one that has.
    last: Option<Checkpoint>,
}

/// A head that a checkpoint saw.
#[derive(Debug)]
struct Mark {
    sequence: u64,
    hash: String,
    /// The first checkpoint that saw it.
    checkpoint: u64,
    /// Among those that have shown their heads, the last one that saw it.
    seen: u64,
}

/// Which rows an export has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Whole,
    /// All of one record.
    Record,
    /// Some: chains with gaps.
    Part,
}

/// What is wrong with an export, or with what it is held against.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The checkpoints are no whole history.
    #[error(transparent)]
    History(#[from] BrokenHistory),
    /// The heads of a checkpoint cannot have grown out of those before.
    #[error("at checkpoint {checkpoint}, {fault}")]
    Head {
        /// Which one.
        checkpoint: u64,
        /// Whose head, and what is wrong with it.
        fault: BrokenHead,
    },
    /// The heads are not those that a checkpoint was made of.
    #[error("the heads beside checkpoint {checkpoint} are not those that it was made of")]
    OtherHeads {
        /// Which one.
        checkpoint: u64,
    },
    /// A row, or the place of one.
    #[error("{record}, row {sequence}: {fault}")]
    Row {
        /// The record.
        record: String,
        /// The place of the first row that is not as it was written.
        sequence: u64,
        /// What is wrong with it.
        fault: RowFault,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// It is not there, and a later one is.
    #[error("it is missing: the next one here is row {next}")]
    Missing {
        /// The place of the next one.
        next: u64,
    },
    /// One that comes before stands here.
    #[error("row {found} stands in its place")]
    OutOfPlace {
        /// The place of the one that stands here.
        found: u64,
    },
    /// It does not follow the row before.
    #[error("it does not name the hash of the row before")]
    Unlinked,
    /// It was edited.
    #[error("its hash is not that of its content")]
    Edited,
    /// It is a row, and yet not the one that was there.
    #[error("it is not the row that checkpoint {checkpoint} saw: the chain was rewritten here or before")]
    Rewritten {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// It is gone, with all that came after it.
    #[error("it was cut off: checkpoint {checkpoint} saw {rows} rows")]
    CutOff {
        /// The checkpoint.
        checkpoint: u64,
        /// How many rows it saw.
        rows: u64,
    },
    /// It is gone, with the whole chain.
    #[error("the whole chain is gone: checkpoint {checkpoint} saw {rows} rows")]
    Gone {
        /// The checkpoint.
        checkpoint: u64,
        /// How many rows it saw.
        rows: u64,
    },
    /// The chain has been told before.
    #[error("it stands apart from the other rows of its record")]
    Apart,
    /// It says that it was there when a checkpoint was made that did not see it.
    #[error("it is dated {time}, and checkpoint {checkpoint}, made after that, did not see it")]
    Backdated {
        /// Its time.
        time: Timestamp,
        /// The checkpoint.
        checkpoint: u64,
    },
    /// It is of a record that the export is not about.
    #[error("the export is not about this record")]
    Foreign,
}

/// What was proven.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proven {
    /// How many records have rows in the export.
    pub records: u64,
    /// How many rows there are.
    pub rows: u64,
    /// How many of them no checkpoint covers: they are newer than the last one.
    pub newer: u64,
}

impl Witness {
    /// A witness of this history, the first checkpoint first, which has seen no heads yet. See [`verify_history`].
    pub fn new(history: &[Stored], keys: &[PublicKey], known: Option<&Hash>) -> Result<Self, ProofFault> {
        let signed = verify_history(history, keys, known)?.signed;
        let history = history.iter().map(|stored| stored.unproven().clone()).collect();
        Ok(Self { history, signed, marks: BTreeMap::new(), shown: 0, last: None })
    }

    /// The checkpoints.
    pub fn history(&self) -> &[Checkpoint] {
        &self.history
    }

    /// How many of them are signed themselves.
    pub fn signed(&self) -> u64 {
        self.signed
    }

    /// How many have shown their heads.
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// Whether the last one has: without its heads, nothing is known of what it covers.
    pub fn is_ready(&self) -> bool {
        self.last.as_ref() == self.history.last()
    }

    /// Takes the heads of one checkpoint, after those of the checkpoints before it. Where its root is that of the last
    /// ones, they are the same, and none are asked for.
    pub fn listen<'w>(&'w mut self, checkpoint: &Checkpoint) -> Option<Listening<'w>> {
        if self.last.as_ref().is_some_and(|last| last.summary() == checkpoint.summary()) {
            self.shown += 1;
            for mark in self.marks.values_mut().filter_map(|marks| marks.last_mut()) {
                mark.seen = self.shown;
            }
            self.last = Some(checkpoint.clone());
            return None;
        }
        Some(Listening { checkpoint: checkpoint.clone(), tree: Tree::new(), witness: self })
    }

    /// What is known of a record's end.
    fn end_of(&self, record: &str) -> Option<&Mark> {
        self.marks.get(record).and_then(|marks| marks.last())
    }

    /// The mark at a row.
    fn mark(&self, record: &str, sequence: u64) -> Option<&Mark> {
        let marks = self.marks.get(record)?;
        let at = marks.binary_search_by_key(&sequence, |mark| mark.sequence).ok()?;
        marks.get(at)
    }
}

/// A witness that takes the heads of a checkpoint.
#[derive(Debug)]
pub struct Listening<'w> {
    witness: &'w mut Witness,
    checkpoint: Checkpoint,
    tree: Tree,
}

impl Listening<'_> {
    /// Takes the next head.
    pub fn take(&mut self, head: &Head) -> Result<(), ProofFault> {
        let number = self.checkpoint.number;
        let broken = |fault| ProofFault::Head { checkpoint: number, fault };
        self.tree.push(head).map_err(broken)?;
        let seen = self.witness.shown + 1;
        let marks = self.witness.marks.entry(head.record.to_string()).or_default();
        match marks.last_mut() {
            Some(last) if last.sequence > head.sequence => {
                return Err(broken(head.broken(HeadFault::Shrunk { from: last.sequence, to: head.sequence })));
            }
            Some(last) if last.sequence == head.sequence && last.hash != head.hash => {
                return Err(broken(head.broken(HeadFault::Rewritten)));
            }
            Some(last) if last.sequence == head.sequence => last.seen = seen,
            _ => marks.push(Mark { sequence: head.sequence, hash: head.hash.clone(), checkpoint: number, seen }),
        }
        Ok(())
    }

    /// These were all. Refused if they are not the heads that the checkpoint was made of, or one has vanished.
    pub fn end(self) -> Result<(), ProofFault> {
        let Self { witness, checkpoint, tree } = self;
        if tree.summary() != checkpoint.summary() {
            return Err(ProofFault::OtherHeads { checkpoint: checkpoint.number });
        }
        witness.shown += 1;
        let unseen = |marks: &Vec<Mark>| marks.last().is_some_and(|mark| mark.seen < witness.shown);
        if let Some((record, _)) = witness.marks.iter().find(|(_, marks)| unseen(marks))
            && let Ok(record) = record.parse()
        {
            let fault = BrokenHead { record, fault: HeadFault::Vanished };
            return Err(ProofFault::Head { checkpoint: checkpoint.number, fault });
        }
        witness.last = Some(checkpoint);
        Ok(())
    }
}

/// The rows of an export, held against what a witness saw.
#[derive(Debug)]
pub struct Examination<'w> {
    witness: &'w Witness,
    scope: Scope,
    only: Option<String>,
    chain: Option<(String, AuditHead)>,
    /// The records whose rows have been told, by the hash of their keys.
    told: HashSet<Hash>,
    proven: Proven,
}

impl<'w> Examination<'w> {
    /// Of an export of such rows; of one record's, if one is named.
    pub fn new(witness: &'w Witness, scope: Scope, only: Option<String>) -> Self {
        Self { witness, scope, only, chain: None, told: HashSet::new(), proven: Proven::default() }
    }

    /// The last row that held, for saying where something is that cannot even be read.
    pub fn last(&self) -> Option<(&str, u64)> {
        self.chain.as_ref().map(|(record, end)| (record.as_str(), end.sequence))
    }

    /// Takes the next row.
    pub fn take(&mut self, row: &AuditRow) -> Result<(), ProofFault> {
        let at = |sequence, fault| Err(ProofFault::Row { record: row.record.clone(), sequence, fault });
        if self.only.as_ref().is_some_and(|only| *only != row.record) {
            return at(row.sequence, RowFault::Foreign);
        }
        if self.chain.as_ref().is_none_or(|(record, _)| *record != row.record) {
            self.end_chain()?;
            if !self.told.insert(Hash::of(row.record.as_bytes())) {
                return at(row.sequence, RowFault::Apart);
            }
            self.chain = Some((row.record.clone(), AuditHead::default()));
            self.proven.records += 1;
        }
        let end = self.chain.as_ref().map(|(_, end)| end.clone()).unwrap_or_default();
        let expected = end.sequence + 1;
        if row.sequence < expected {
            return at(expected, RowFault::OutOfPlace { found: row.sequence });
        }
        let follows = row.sequence == expected;
        if !follows && self.scope != Scope::Part {
            return at(expected, RowFault::Missing { next: row.sequence });
        }
        if row.hash != row.expected_hash() {
            return at(row.sequence, RowFault::Edited);
        }
        if follows && row.previous_hash != end.hash {
            return at(row.sequence, RowFault::Unlinked);
        }
        match self.witness.mark(&row.record, row.sequence) {
            Some(mark) if mark.hash != row.hash => {
                return at(row.sequence, RowFault::Rewritten { checkpoint: mark.checkpoint });
            }
            _ => {}
        }
        if self.witness.end_of(&row.record).is_none_or(|mark| mark.sequence < row.sequence) {
            self.proven.newer += 1;
            match &self.witness.last {
                Some(last) if row.time < last.time - LATE => {
                    return at(row.sequence, RowFault::Backdated { time: row.time, checkpoint: last.number });
                }
                _ => {}
            }
        }
        self.proven.rows += 1;
        self.chain = Some((row.record.clone(), row.head()));
        Ok(())
    }

    /// These were all.
    pub fn end(mut self) -> Result<Proven, ProofFault> {
        self.end_chain()?;
        if self.scope != Scope::Part {
            let about = |record: &&String| self.only.as_ref().is_none_or(|only| only == *record);
            let untold = |record: &&String| !self.told.contains(&Hash::of(record.as_bytes()));
            if let Some(record) = self.witness.marks.keys().filter(about).find(untold)
                && let Some(mark) = self.witness.end_of(record)
            {
                let fault = RowFault::Gone { checkpoint: mark.checkpoint, rows: mark.sequence };
                return Err(ProofFault::Row { record: record.clone(), sequence: 1, fault });
            }
        }
        Ok(self.proven)
    }

    /// The chain so far is at its end, which must be no earlier than what was seen of it.
    fn end_chain(&mut self) -> Result<(), ProofFault> {
        let Some((record, end)) = self.chain.take().filter(|_| self.scope != Scope::Part) else { return Ok(()) };
        match self.witness.end_of(&record) {
            Some(mark) if mark.sequence > end.sequence => {
                let fault = RowFault::CutOff { checkpoint: mark.checkpoint, rows: mark.sequence };
                Err(ProofFault::Row { record, sequence: end.sequence + 1, fault })
            }
            _ => Ok(()),
        }
    }
}
