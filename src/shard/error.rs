//! What can be wrong with a shard.

use super::columns::ColumnsError;
use super::format::{FORMAT_VERSION, MAX_ID_BYTES, MAX_SCALE, OLDEST_READABLE};
use crate::Digest;
use crate::json::decimal;
use crate::show;

/// An error of the shard stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The bytes do not start as a shard does.
    #[error(
        "shard at byte 0: found {found_text}, expected the magic \"NSSH\"; this is not a shard, check the URL or the path", found_text = show::bytes(found))]
    Magic {
        /// The first bytes, four of them unless the file is shorter.
        found: Vec<u8>,
    },
    /// The format is older or newer than this build reads.
    #[error(
        "shard format {found}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; {}",
        if *found > FORMAT_VERSION { "update the package" } else { "build the release again" }
    )]
    Version {
        /// The format of the shard.
        found: u16,
    },
    /// The shard needs something that this build does not know.
    #[error("shard at byte 6: found unknown reader flags {found:#06x}, expected only {known:#06x}; update the package")]
    Flags {
        /// The flags of the shard.
        found: u16,
        /// The flags that this build knows.
        known: u16,
    },
    /// Bytes are missing.
    #[error("shard truncated in {what}: need {need} bytes, have {have}; download it again")]
    Truncated {
        /// The section that is cut.
        what: &'static str,
        /// Bytes up to the end of that section.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// Bytes follow the end.
    #[error("shard has {have} bytes, expected {need}: {} more than its header says; download it again", have - need)]
    Trailing {
        /// Bytes that the header states.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A field holds what it must not.
    #[error(
        "shard: {what} is {found}, expected {low}..={high}; the file is damaged, download it again or build it again"
    )]
    Field {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
    /// The exponent of the steps is out of range.
    #[error(
        "shard: step_exponent is {found}, expected {low}..={high}; the file is damaged, download it again or build it again"
    )]
    StepExponent {
        /// Its value.
        found: i8,
        /// The smallest allowed value.
        low: i8,
        /// The largest allowed value.
        high: i8,
    },
    /// A scale is NaN, infinite, negative or too large.
    #[error(
        "shard: the scale of centroid {cell} is {}, expected 0..={}; build the release again",
        decimal(*found),
        decimal(MAX_SCALE)
    )]
    Scale {
        /// Whose.
        cell: u32,
        /// The scale.
        found: f32,
    },
    /// An id cannot be read.
    #[error("shard: the id of node {node} {reason}; the file is damaged, download it again or build it again")]
    Id {
        /// Which node.
        node: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// An id is too long.
    #[error("shard: the id {start_text}… has {found} bytes, expected at most {MAX_ID_BYTES}; give the item a shorter id", start_text = show::text(start))]
    IdLength {
        /// How it begins.
        start: String,
        /// Its length.
        found: usize,
    },
    /// The links of a node are not a list of nodes of its layer.
    #[error(
        "shard: links of node {node} in {what}: found no ascending list of nodes below {limit}; download it again or build it again"
    )]
    Links {
        /// Which node.
        node: u32,
        /// In which section.
        what: &'static str,
        /// Nodes of the layer.
        limit: u32,
    },
    /// Two nodes have one id.
    #[error(
        "shard: nodes {first} and {second} have the same id {id_text}, expected one node per id; remove the duplicate item", id_text = show::text(id))]
    DuplicateId {
        /// The id.
        id: String,
        /// One of the nodes.
        first: u32,
        /// The other.
        second: u32,
    },
    /// The content does not have the digest that was stored with it.
    #[error("shard digest: found {found}, expected {expected}; the file is damaged, download it again")]
    Digest {
        /// The digest of the content.
        found: Digest,
        /// The digest at the end of the file.
        expected: Digest,
    },
    /// The columns cannot be read, or not of these candidates.
    #[error("shard: {0}")]
    Columns(#[from] ColumnsError),
    /// The vectors were made by other towers.
    #[error(
        "shard: made by towers {found}, expected towers {expected}; vectors of two trainings do not mix: build the release \
         again from one training"
    )]
    Towers {
        /// The towers of the shard.
        found: Digest,
        /// The towers of the release.
        expected: Digest,
    },
    /// The content cannot be written as a shard.
    #[error("shard: {what} has {found} entries, expected {expected}; pass one per candidate")]
    Content {
        /// Which part.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that the other parts have.
        expected: usize,
    },
}

impl ShardError {
    /// The kind of error: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "shard/magic",
            Self::Version { .. } => "shard/version",
            Self::Flags { .. } => "shard/flags",
            Self::Truncated { .. } => "shard/truncated",
            Self::Trailing { .. } => "shard/trailing",
            Self::Field { .. } | Self::StepExponent { .. } => "shard/field",
            Self::Scale { .. } => "shard/scale",
            Self::Id { .. } => "shard/id",
            Self::IdLength { .. } => "shard/id-length",
            Self::Links { .. } => "shard/links",
            Self::DuplicateId { .. } => "shard/duplicate-id",
            Self::Digest { .. } => "shard/digest",
            Self::Towers { .. } => "shard/towers",
            Self::Content { .. } => "shard/content",
            Self::Columns(error) => error.code(),
        }
    }

    /// Checks that `found` lies in `low..=high`.
    #[inline(never)]
    pub(crate) fn check(what: &'static str, found: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&found) { Ok(()) } else { Err(Self::Field { what, found, low, high }) }
    }
}
