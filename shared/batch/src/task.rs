use certbridge_archive::Segment;
use certbridge_mapping::Kind;
use certbridge_sync::{
    audit::Actor,
    batches::{BatchId, Mode},
    notice::Notice,
    ports::Trail,
    reconcile::{Outcome, Side, Verdict},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the state machine asks for. Everything that is large stands in the archive; what is passed on is small.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Begin a batch, once no other runs.
    Begin(Start),
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
        /// What was found, of each partition.
        compared: Vec<Compared>,
    },
    /// Repair one partition, from where it was left.
    Repair {
        /// The batch.
        batch: Batch,
        /// Which partition.
        partition: u16,
        /// How far it was repaired.
        #[serde(default)]
        repaired: Repaired,
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
    /// Put on record that a batch came to nothing.
    Fail {
        /// What was to begin.
        start: Start,
        /// Why it came to nothing, as the state machine caught it.
        error: Caught,
    },
}

/// How an execution of the state machine was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// What it was given.
    pub input: Input,
    /// The execution, by which it is told from another one of the same batch.
    pub execution: String,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What an execution is given: the id of a batch that is on record, or what a schedule wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The batch. A schedule names none, and one is put on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// The source that a schedule wants reconciled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The kind of its records.
    #[serde(default)]
    pub kind: Kind,
    /// Whether a schedule wants nothing but a report.
    #[serde(default)]
    pub dry_run: bool,
}

/// An error as a state machine catches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Caught {
    /// Its name.
    pub error: String,
    /// What is known of it: of a function's error, JSON with an `errorMessage`.
    pub cause: String,
}

/// A batch that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// The execution that works on it.
    pub execution: String,
    /// On whose account it runs.
    pub actor: Actor,
    /// When it began.
    pub started_at: Timestamp,
    /// What it does.
    pub mode: Mode,
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
    /// The digest of the request, under which the records of a caller stand in the archive.
    pub request_digest: String,
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
    /// The listings: of a reconciliation nothing was read yet, of an upsert there is nothing to read.
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

/// What was found in one partition, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Which one.
    pub partition: u16,
    /// How many records it has.
    pub records: u64,
    /// How many of them a repair would touch.
    pub repairs: u64,
    /// How the canary came out, if it is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Outcome>,
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

/// How far a partition was repaired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repaired {
    /// How many of its rows are done with.
    pub rows: usize,
    /// Whether that is all of them.
    pub done: bool,
    /// How many seconds to wait before going on: the destination wants less of us.
    pub wait_seconds: u64,
    /// How many times in a row it was waited for the same rows.
    pub waits: u32,
}

/// How a batch came out, for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The batch.
    pub batch_id: BatchId,
    /// How it came out.
    pub verdict: Verdict,
    /// Which share of the records differed, if both sides were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<f64>,
    /// Where the report stands in the archive, without its ending: `.json`, `.csv`, `.html`. None of what came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// What a mail about it says.
    pub mail: Mail,
    /// What the bus is told of it. An execution that ended before there were notices has none.
    #[serde(default)]
    pub notice: Option<Notice>,
}

/// A mail in plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// One line of at most 100 ASCII characters, which is what SNS takes.
    pub subject: String,
    /// The text.
    pub text: String,
}
