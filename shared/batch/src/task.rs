use certbridge_archive::Segment;
use certbridge_mapping::Kind;
use certbridge_sync::{audit::Actor, ports::Trail, reconcile::Side};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the state machine asks for. Everything that is large stands in the archive; what is passed on is small.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Begin a batch.
    Begin {
        /// What somebody wants of it.
        wish: Wish,
    },
    /// Read on in a listing.
    List {
        /// The batch.
        batch: Batch,
        /// Which listing.
        side: Inventory,
        /// How far it was read.
        #[serde(default)]
        walk: Walk,
    },
    /// Compare one partition, and write nothing but what was found.
    Compare {
        /// The batch.
        batch: Batch,
        /// What was listed.
        walks: Walks,
        /// Which partition.
        partition: u16,
    },
    /// Decide whether what was found may be repaired.
    Decide {
        /// The batch.
        batch: Batch,
        /// What was listed.
        walks: Walks,
    },
    /// Repair one partition.
    Repair {
        /// The batch.
        batch: Batch,
        /// Which partition.
        partition: u16,
    },
    /// Write the report.
    Report {
        /// The batch.
        batch: Batch,
        /// What was listed.
        walks: Walks,
        /// What was decided.
        decision: Decision,
    },
}

/// What somebody wants of a batch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Its id; one is made if it has none.
    #[serde(default)]
    pub batch_id: Option<String>,
    /// Who wants it: the owner of an API key. The schedule, if nobody.
    #[serde(default)]
    pub owner: Option<String>,
    /// The source to reconcile.
    pub source: String,
    /// Whether to write nothing but a report.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether to repair however much differs.
    #[serde(default)]
    pub force: bool,
}

/// A batch that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id.
    pub id: String,
    /// On whose account it runs.
    pub actor: Actor,
    /// When it began.
    pub started_at: Timestamp,
    /// The source.
    pub source: String,
    /// The kind of record.
    pub kind: Kind,
    /// Whether to write nothing but a report.
    pub dry_run: bool,
    /// Whether to repair however much differs.
    pub force: bool,
    /// How many partitions it is cut into.
    pub partitions: u16,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inventory {
    /// The source's records.
    Source,
    /// The destination's.
    Destination,
    /// Ours: last, once both sides were read.
    Own,
}

impl Inventory {
    /// As it stands in a path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Own => "own",
        }
    }
}

/// A batch that has begun, with what the state machine goes through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// The batch.
    pub batch: Batch,
    /// Each of its partitions.
    pub each: Vec<u16>,
    /// The listings, of which nothing was read yet.
    pub walks: Walks,
}

/// How far a listing was read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Walk {
    /// Whether there is no more to read.
    pub done: bool,
    /// Whether there is such a listing at all.
    pub unlisted: bool,
    /// The next page.
    pub cursor: Option<String>,
    /// What tells that the pages go round in a circle.
    pub trail: Trail,
    /// When it began.
    pub began_at: Option<Timestamp>,
    /// What was written so far.
    pub segments: Vec<Segment>,
    /// The numbers so far.
    pub side: Side,
    /// How many times it had to start over.
    pub restarts: u32,
    /// Why it is not complete, for the report.
    pub remark: Option<String>,
}

/// The three listings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Walks {
    /// Of the source.
    pub source: Walk,
    /// Of the destination.
    pub destination: Walk,
    /// Of our own records.
    pub own: Walk,
}

/// Whether what was found may be repaired.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Whether.
    pub repair: bool,
    /// What a person must decide, if not.
    #[serde(default)]
    pub remarks: Vec<String>,
}
