//! Audit checkpoints: every night, also a quiet one, one signed number for all audit chains of all sources and kinds.
//!
//! A chain alone proves that nothing inside it was touched, not that its end is still there: whoever may write the
//! tables can cut rows off a chain and set its head back. A checkpoint is kept elsewhere, and remembers every head.
//!
//! ```text
//! heads, in their order --Tree--> size, rows, root --next--> Checkpoint --seal--> Stored (signed, if there is a key)
//!                           \--> Inclusion: that one record's head was among them
//! ```
//!
//! # What is proven
//!
//! - **One checkpoint** ([`SignedCheckpoint::verify`]): whoever holds the signing key has seen exactly these heads. A
//!   list of heads that gives the checkpoint's [`Summary`] is the very list, and an [`Inclusion`] shows one head of it
//!   without the others.
//! - **The row of checkpoints** ([`verify_history`]): each names the hash of the one before, so their order is what it
//!   was, and none was changed, left out, swapped or put in. No count of records or rows went down, and none stood
//!   still under another root.
//! - **Two checkpoints, with the heads of both** ([`verify_extends`]): no record vanished, no chain became shorter, and
//!   a chain of the same length ends in the same row.
//! - **One record, with its rows** ([`verify_through`]): its chain leads through the very row that the checkpoint saw.
//!   This, and not the longer sequence, shows that the new end grew out of the old one.
//! - **All rows, with all checkpoints and their heads** ([`Witness`], [`Examination`]): all of the above at once, however
//!   many there are.
//!
//! The list of heads must be kept with its checkpoint: without it, only the numbers of two checkpoints can be compared.
//!
//! Together they prove every row up to the last checkpoint, and name the first that was edited, removed or cut off. A
//! chain that was rewritten whole, every hash of it anew, is named by the row that the checkpoint saw: the first lie
//! may stand before it.
//!
//! # What is not
//!
//! - What is newer than the last checkpoint: it rests on IAM, and on the alarm at the audit table's stream.
//! - That the last checkpoint shown is the last one made. Somebody who cuts checkpoints off the end leaves a whole
//!   history. A hash noted elsewhere ([`verify_history`] takes one), the last one's time, and Object Lock are against
//!   that.
//! - What the signing key's holder may do, who could write another history and sign it. Notes and Object Lock again.
//! - When it was: the time is our clock's.
//! - Anything at all, where there is no signing key: an unsigned checkpoint finds accidents, not intent. Once
//!   checkpoints are signed, the first signed one also vouches for the unsigned ones before it, as they then were.

mod heads;
mod signing;
mod tree;
mod witness;

pub use heads::{BrokenHead, Extension, Head, HeadFault, Place, verify_extends, verify_through};
pub use signing::{KeyError, PublicKey, Signature, Signer};
pub use tree::{Hash, Inclusion, InvalidHash, NotIncluded, Summary, Tree, verify_inclusion};
pub use witness::{Examination, Listening, ProofFault, Proven, RowFault, Scope, Witness};

use crate::{error::StoreError, ports::Scanned};
use certbridge_mapping::digest::canonical_json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, future::Future};

/// Where the newest checkpoint stands in the archive.
pub const LATEST: &str = "checkpoints/latest.json";

/// Where the checkpoint of this number stands in the archive.
pub fn path(number: u64) -> String {
    format!("checkpoints/{number:08}.json")
}

/// The ends of all chains, as the tables have them.
pub trait Heads: Send + Sync {
    /// The heads of the records that have audit rows, of every kind and source, page by page, in no order that means
    /// anything. What was committed before the first page was asked for is in them.
    fn heads(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Scanned<Head>, StoreError>> + Send;
}

/// All heads, in one number. Its canonical JSON (RFC 8785) is what is signed and what the next one names by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The version of this form.
    pub schema: u32,
    /// Its place in the history, from 1 on.
    pub number: u64,
    /// When the heads began to be read, by our clock: what was committed before is in it.
    pub time: Timestamp,
    /// How many records have audit rows.
    pub size: u64,
    /// How many audit rows there are: the sum of the sequences.
    pub rows: u64,
    /// The root of the Merkle tree (RFC 6962) over all heads.
    pub root: Hash,
    /// The hash of the checkpoint before; `None` in the first.
    pub previous: Option<Hash>,
    /// The id of the key that signs it; `None` says that none does.
    pub key_id: Option<String>,
}

impl Checkpoint {
    /// The form that is written.
    pub const SCHEMA: u32 = 1;

    /// The checkpoint that follows `previous`. Refused if the heads cannot have grown out of those before: then
    /// something is gone, and a person must look before a new history is begun with no `previous`.
    pub fn next(previous: Option<&Self>, time: Timestamp, heads: &Summary) -> Result<Self, Fault> {
        let Summary { size, rows, root } = *heads;
        let next = Self {
            schema: Self::SCHEMA,
            number: previous.map_or(0, |previous| previous.number) + 1,
            time,
            size,
            rows,
            root,
            previous: previous.map(Self::hash),
            key_id: None,
        };
        next.follows(previous)?;
        Ok(next)
    }

    /// What it says of the heads.
    pub fn summary(&self) -> Summary {
        Summary { size: self.size, rows: self.rows, root: self.root }
    }

    /// SHA-256 of its canonical JSON. A signature is no part of it.
    pub fn hash(&self) -> Hash {
        Hash::of(canonical_json(self).as_bytes())
    }

    /// Whether it names `previous` as the one before it, and may have grown out of it, as far as its numbers tell.
    pub fn follows(&self, previous: Option<&Self>) -> Result<(), Fault> {
        if self.schema != Self::SCHEMA {
            return Err(Fault::Schema);
        }
        let place = previous.map_or(0, |previous| previous.number).saturating_add(1);
        if self.number > place {
            return Err(Fault::Missing);
        }
        if self.number != place || self.previous != previous.map(Self::hash) {
            return Err(Fault::OutOfPlace);
        }
        let Some(previous) = previous else { return Ok(()) };
        if self.time < previous.time {
            return Err(Fault::Earlier);
        }
        // A new record has a row at least.
        let records = self.size.checked_sub(previous.size).ok_or(Fault::Shrunk)?;
        let rows = self.rows.checked_sub(previous.rows).ok_or(Fault::Shrunk)?;
        if rows < records {
            return Err(Fault::Shrunk);
        }
        if rows == 0 && self.root != previous.root {
            return Err(Fault::Rewritten);
        }
        Ok(())
    }

    /// The checkpoint as it is kept: signed, or saying that it is not.
    pub fn seal(self, signer: Option<&Signer>) -> Stored {
        match signer {
            Some(signer) => Stored::Signed(self.sign(signer)),
            None => Stored::Unsigned { checkpoint: Self { key_id: None, ..self } },
        }
    }

    /// The checkpoint with the signer's key id in it, and its signature.
    pub fn sign(self, signer: &Signer) -> SignedCheckpoint {
        let checkpoint = Self { key_id: Some(signer.public_key().id()), ..self };
        let signature = signer.sign(canonical_json(&checkpoint).as_bytes());
        SignedCheckpoint { checkpoint, signature }
    }
}

/// A checkpoint with its proof. Whether that holds, [`SignedCheckpoint::verify`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signature: Signature,
}

impl SignedCheckpoint {
    /// The checkpoint, if one of the keys proves it. Where the key was rotated, the old ones stay in the list.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<&Checkpoint, Fault> {
        let unknown = || Fault::UnknownKey { key_id: self.checkpoint.key_id.clone().unwrap_or_default() };
        let named = |key: &&PublicKey| self.checkpoint.key_id.as_deref() == Some(&*key.id());
        let key = keys.iter().find(named).ok_or_else(unknown)?;
        let signed = canonical_json(&self.checkpoint);
        if key.proves(signed.as_bytes(), &self.signature) { Ok(&self.checkpoint) } else { Err(Fault::Forged) }
    }

    /// What it says, proven or not.
    pub fn unproven(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// A checkpoint as it stands in object storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Stored {
    /// With its signature.
    Signed(SignedCheckpoint),
    /// Without: there was no signing key.
    Unsigned {
        /// What nothing proves.
        checkpoint: Checkpoint,
    },
}

impl Stored {
    /// The checkpoint, if it is signed and one of the keys proves it.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<&Checkpoint, Fault> {
        match self {
            Self::Signed(signed) => signed.verify(keys),
            Self::Unsigned { checkpoint } if checkpoint.key_id.is_some() => Err(Fault::Stripped),
            Self::Unsigned { .. } => Err(Fault::Unsigned),
        }
    }

    /// What it says, proven or not.
    pub fn unproven(&self) -> &Checkpoint {
        match self {
            Self::Signed(signed) => signed.unproven(),
            Self::Unsigned { checkpoint } => checkpoint,
        }
    }
}

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is none here.
    #[error("there is no checkpoint here, and there should be")]
    Missing,
    /// It is of another form.
    #[error("its form is not one that this version reads")]
    Schema,
    /// Nothing proves it.
    #[error("it is not signed")]
    Unsigned,
    /// It names a key and has no signature.
    #[error("its signature was taken away")]
    Stripped,
    /// Its key is none of those that are trusted.
    #[error("it is signed by a key that is not trusted: {key_id:?}")]
    UnknownKey {
        /// The id of that key.
        key_id: String,
    },
    /// Its signature does not prove it.
    #[error("its signature does not prove what it says")]
    Forged,
    /// It names another as the one before.
    #[error("it does not follow the checkpoint before")]
    OutOfPlace,
    /// Its time is before that of the one before.
    #[error("it is older than the checkpoint before")]
    Earlier,
    /// It counts fewer records or rows than it must.
    #[error("records or rows are gone since the checkpoint before")]
    Shrunk,
    /// As many rows, and another root.
    #[error("rows were rewritten since the checkpoint before")]
    Rewritten,
}

/// A history that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// How many checkpoints it has.
    pub length: u64,
    /// How many of them are signed themselves; the others come first, and the first signed one vouches for them.
    pub signed: u64,
    /// The last one.
    pub last: Checkpoint,
}

/// Where a history breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the history breaks at checkpoint {place}: {fault}")]
pub struct BrokenHistory {
    /// The place of the first checkpoint that does not hold, from 1 on.
    pub place: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// Whether the checkpoints, the first of all first, are a whole history: each proven by one of the keys, and following
/// the one before. `known` is the hash of a checkpoint that was noted elsewhere, and must be among them.
///
/// Unsigned ones may stand only before the first signed one, which names them. With no keys, only the order is shown,
/// and nothing may be signed; with keys, the last must be signed.
pub fn verify_history<H>(history: H, keys: &[PublicKey], known: Option<&Hash>) -> Result<History, BrokenHistory>
where
    H: IntoIterator<Item: Borrow<Stored>>,
{
    let mut holds: Option<History> = None;
    let mut known = known;
    for stored in history {
        let stored = stored.borrow();
        let checkpoint = stored.unproven();
        let (length, mut signed) = holds.as_ref().map_or((0, 0), |holds| (holds.length, holds.signed));
        let broken = |fault| BrokenHistory { place: length + 1, fault };
        match stored.verify(keys) {
            Ok(_) => signed += 1,
            Err(Fault::Unsigned) if signed == 0 => {}
            Err(fault) => return Err(broken(fault)),
        }
        checkpoint.follows(holds.as_ref().map(|holds| &holds.last)).map_err(broken)?;
        known = known.filter(|known| **known != checkpoint.hash());
        holds = Some(History { length: length + 1, signed, last: checkpoint.clone() });
    }
    let length = holds.as_ref().map_or(0, |holds| holds.length);
    let missing = BrokenHistory { place: length + 1, fault: Fault::Missing };
    let Some(holds) = holds.filter(|_| known.is_none()) else { return Err(missing) };
    if holds.signed == 0 && !keys.is_empty() {
        return Err(BrokenHistory { place: length, fault: Fault::Unsigned });
    }
    Ok(holds)
}
