//! The Merkle tree (RFC 6962, section 2.1) over the heads, built leaf by leaf.
//!
//! What is held is the root of each complete subtree that waits for its sibling: one for each 1 among the binary digits
//! of the size. So a million heads take twenty hashes. A proof falls out of the same pass: whenever the subtree with
//! the sought leaf is joined with another, that one's root is the path's next.

use super::{
    Checkpoint,
    heads::{BrokenHead, Head, HeadFault, Place},
};
use certbridge_mapping::{RecordKey, digest::canonical_json};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// A SHA-256, as text in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

/// What is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lower-case hex digits")]
pub struct InvalidHash;

impl Hash {
    /// The hash of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash of a leaf.
    fn leaf(content: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0x00]).chain_update(content).finalize().into())
    }

    /// The hash of two subtrees.
    fn node(left: &Self, right: &Self) -> Self {
        Self(Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0).finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;
    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        // One hash has one text.
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidHash);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidHash)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = InvalidHash;
    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// All heads in three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many there are.
    pub size: u64,
    /// How many rows they stand for.
    pub rows: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// A tree that takes heads in the order of their [`Place`]s and forgets them.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The complete subtrees that wait for a sibling, the largest first.
    waiting: Vec<Subtree>,
    size: u64,
    rows: u64,
    last: Option<Place>,
    sought: Option<RecordKey>,
    /// The sought head and its index.
    found: Option<(Head, u64)>,
    /// The siblings of the subtrees that have held the sought leaf.
    path: Vec<Hash>,
}

#[derive(Debug, Clone, Copy)]
struct Subtree {
    root: Hash,
    /// Whether the sought leaf is in it.
    sought: bool,
}

impl Subtree {
    /// Both as one. If one of them holds the sought leaf, the other's root is the next of its path.
    fn join(self, right: Self, path: &mut Vec<Hash>) -> Self {
        if self.sought {
            path.push(right.root);
        } else if right.sought {
            path.push(self.root);
        }
        Self { root: Hash::node(&self.root, &right.root), sought: self.sought || right.sought }
    }
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty tree that will prove that the head of this record is in it.
    pub fn seeking(record: RecordKey) -> Self {
        Self { sought: Some(record), ..Self::default() }
    }

    /// Takes the next head, and says where it stands. A head that is refused changes nothing.
    pub fn push(&mut self, head: &Head) -> Result<&Place, BrokenHead> {
        let place = head.place();
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            return Err(head.broken(HeadFault::OutOfOrder));
        }
        let rows = self.rows.checked_add(head.sequence).filter(|rows| *rows <= Head::MAX_SEQUENCE);
        let Some(rows) = rows.filter(|_| head.sequence > 0) else { return Err(head.broken(HeadFault::Count)) };
        let sought = self.sought.as_ref() == Some(&head.record);
        if sought {
            self.found = Some((head.clone(), self.size));
        }
        let mut subtree = Subtree { root: Hash::leaf(canonical_json(head).as_bytes()), sought };
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.waiting.pop() {
                subtree = left.join(subtree, &mut self.path);
            }
        }
        self.waiting.push(subtree);
        self.size += 1;
        self.rows = rows;
        Ok(self.last.insert(place))
    }

    /// What the heads so far amount to.
    pub fn summary(&self) -> Summary {
        Summary { size: self.size, rows: self.rows, root: self.close(&mut Vec::new()) }
    }

    /// The proof that the sought head is among those so far; `None` if it is not.
    pub fn inclusion(&self) -> Option<Inclusion> {
        let (head, index) = self.found.clone()?;
        let mut path = self.path.clone();
        self.close(&mut path);
        Some(Inclusion { head, index, path })
    }

    /// The root: the subtrees that wait, joined from the smallest on. The root of nothing is the hash of nothing.
    fn close(&self, path: &mut Vec<Hash>) -> Hash {
        let joined = self.waiting.iter().rev().copied().reduce(|right, left| left.join(right, path));
        joined.map_or_else(|| Hash::of(&[]), |whole| whole.root)
    }
}

/// The proof that a head is among those of a checkpoint, without the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// The head.
    pub head: Head,
    /// Its place among the leaves, from 0 on.
    pub index: u64,
    /// The hashes beside its way to the root, from the leaf on.
    pub path: Vec<Hash>,
}

/// A proof that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead from the head of {record} to the checkpoint's root")]
pub struct NotIncluded {
    /// Whose head is not proven to be among the checkpoint's.
    pub record: RecordKey,
}

/// Whether the proof leads from its head to the checkpoint's root. It is worth what the checkpoint is worth: verify
/// that too.
pub fn verify_inclusion(inclusion: &Inclusion, checkpoint: &Checkpoint) -> Result<(), NotIncluded> {
    if inclusion.root(checkpoint.size) == Some(checkpoint.root) {
        Ok(())
    } else {
        Err(NotIncluded { record: inclusion.head.record.clone() })
    }
}

impl Inclusion {
    /// The root that the path leads to, in a tree of this size; `None` if it has none such path.
    fn root(&self, size: u64) -> Option<Hash> {
        let mut root = Hash::leaf(canonical_json(&self.head).as_bytes());
        let mut path = self.path.iter();
        // The indices of this subtree and of the last one, among the subtrees of their height.
        let mut index = self.index;
        let mut last = size.checked_sub(1).filter(|last| index <= *last)?;
        while last > 0 {
            if index % 2 == 1 {
                root = Hash::node(path.next()?, &root);
            } else if index < last {
                root = Hash::node(&root, path.next()?);
            }
            // Otherwise it is the last and has no sibling: it stands for itself one step higher.
            index /= 2;
            last /= 2;
        }
        path.next().is_none().then_some(root)
    }
}
