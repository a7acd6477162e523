//! The heads, their order, and what may become of them from one checkpoint to the next.

use super::tree::{Summary, Tree};
use crate::{
    audit::{AuditRow, BrokenChain, verify_chain},
    row::AuditHead,
};
use certbridge_mapping::RecordKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{borrow::Borrow, cmp::Ordering};

/// The end of one record's chain. Its canonical JSON (RFC 8785) is a leaf of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The record, as `kind#source#id`.
    #[serde(with = "text")]
    pub record: RecordKey,
    /// How many rows its chain has.
    pub sequence: u64,
    /// The last row's hash.
    pub hash: String,
}

/// Where a head stands among the leaves: by the SHA-256 of the record's id, then by the text of its key, both byte by
/// byte.
///
/// So the tree is a function of the set of heads, however they were read. A batch is cut by the hash of the id; a cut
/// into ranges of that hash is a cut into runs of leaves, and its partitions, each sorted and laid end to end, are in
/// order, however many there are. The id and not the key is hashed, so that this holds for all sources at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place([u8; 32], String);

impl Place {
    /// Of a record.
    pub fn of(record: &RecordKey) -> Self {
        Self(Sha256::digest(record.id.as_str()).into(), record.to_string())
    }
}

impl Head {
    /// The longest chain. Beyond it canonical JSON, which knows only doubles, no longer tells two numbers apart.
    pub const MAX_SEQUENCE: u64 = (1 << 53) - 1;

    /// A record's head; `None` if it has no rows, for then there is nothing to remember.
    pub fn of(record: &RecordKey, head: &AuditHead) -> Option<Self> {
        (head.sequence > 0).then(|| Self { record: record.clone(), sequence: head.sequence, hash: head.hash.clone() })
    }

    /// Where it stands among the leaves. `sort_by_cached_key(Head::place)` is the order that a [`Tree`] takes.
    pub fn place(&self) -> Place {
        Place::of(&self.record)
    }

    /// Whether `new` may be what became of it.
    fn becomes(&self, new: &Self) -> Result<(), BrokenHead> {
        match new.sequence.cmp(&self.sequence) {
            Ordering::Less => Err(self.broken(HeadFault::Shrunk { from: self.sequence, to: new.sequence })),
            Ordering::Equal if new.hash != self.hash => Err(self.broken(HeadFault::Rewritten)),
            _ => Ok(()),
        }
    }

    /// This head, and what is wrong with it.
    pub(super) fn broken(&self, fault: HeadFault) -> BrokenHead {
        BrokenHead { record: self.record.clone(), fault }
    }
}

/// The first head that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the head of {record}: {fault}")]
pub struct BrokenHead {
    /// Whose it is.
    pub record: RecordKey,
    /// What is wrong with it.
    pub fault: HeadFault,
}

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// It is not after the one before.
    #[error("it is listed twice or out of order")]
    OutOfOrder,
    /// It stands for no rows, or for more than can be.
    #[error("it counts no rows, or more than there can be")]
    Count,
    /// It is no longer there.
    #[error("the record has vanished")]
    Vanished,
    /// Its chain is shorter.
    #[error("its chain had {from} rows and has {to}")]
    Shrunk {
        /// How many rows it had.
        from: u64,
        /// How many it has.
        to: u64,
    },
    /// Its chain is as long, and ends in another row.
    #[error("its chain is as long as it was and ends in another row")]
    Rewritten,
}

/// What two lists of heads amount to. Each must be the summary of the checkpoint that it is said to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the heads are those of a checkpoint only if their summary is the checkpoint's"]
pub struct Extension {
    /// The heads before.
    pub previous: Summary,
    /// The new ones.
    pub new: Summary,
}

/// Whether the new heads may have grown out of the previous ones: no record vanished, no chain is shorter, and one of
/// the same length ends in the same row. Both lists in order; it holds one head of each at a time. Two runs over the
/// same range of the order can be compared alone.
pub fn verify_extends<P, N>(previous: P, new: N) -> Result<Extension, BrokenHead>
where
    P: IntoIterator<Item: Borrow<Head>>,
    N: IntoIterator<Item: Borrow<Head>>,
{
    let (mut before, mut after) = (Tree::new(), Tree::new());
    let mut new = new.into_iter();
    for old in previous {
        let old = old.borrow();
        let place = before.push(old)?;
        loop {
            let next = new.next().ok_or_else(|| old.broken(HeadFault::Vanished))?;
            let next = next.borrow();
            match after.push(next)?.cmp(place) {
                Ordering::Less => {}
                Ordering::Equal => break old.becomes(next)?,
                Ordering::Greater => return Err(old.broken(HeadFault::Vanished)),
            }
        }
    }
    for next in new {
        after.push(next.borrow())?;
    }
    Ok(Extension { previous: before.summary(), new: after.summary() })
}

/// Whether the rows, in their order, are a whole chain that ends at `end` and leads through the row that a checkpoint
/// saw.
pub fn verify_through<'a>(
    rows: impl IntoIterator<Item = &'a AuditRow>,
    seen: &Head,
    end: &AuditHead,
) -> Result<(), BrokenChain> {
    let record = seen.record.to_string();
    let mut foreign = None;
    let mut hash = None;
    let mut length = 0;
    let rows = rows.into_iter().inspect(|row| {
        length += 1;
        if row.record != record {
            foreign = foreign.or(Some(length));
        }
        if length == seen.sequence {
            hash = Some(row.hash.clone());
        }
    });
    let whole = verify_chain(rows, end);
    let foreign = foreign.map(|sequence| BrokenChain { sequence, fault: "it is of another record" });
    let gone = match hash {
        Some(hash) if hash == seen.hash => None,
        Some(_) => Some(BrokenChain { sequence: seen.sequence, fault: "it is not the row that the checkpoint saw" }),
        None => Some(BrokenChain { sequence: length + 1, fault: "it was cut off: the checkpoint saw more rows" }),
    };
    [whole.err(), foreign, gone].into_iter().flatten().min_by_key(|broken| broken.sequence).map_or(Ok(()), Err)
}

/// A key as text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::{fmt::Display, str::FromStr};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}
