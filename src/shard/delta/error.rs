//! What can be wrong with a delta.

use super::format::{FORMAT_VERSION, OLDEST_READABLE};
use crate::Digest;
use crate::shard::ShardError;
use crate::show;

/// An error of a delta.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The bytes do not start as a delta does.
    #[error(
        "delta at byte 0: found {found_text}, expected the magic \"NSDL\"; this is not a delta, check the URL or the path", found_text = show::bytes(found))]
    Magic {
        /// The first bytes, four of them unless the file is shorter.
        found: Vec<u8>,
    },
    /// The format is older or newer than this build reads.
    #[error(
        "delta format {found}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; {}",
        if *found > FORMAT_VERSION { "update the package" } else { "build the release again" }
    )]
    Version {
        /// The format of the file.
        found: u16,
    },
    /// The file needs something that this build does not know.
    #[error("delta at byte 6: found unknown reader flags {found:#06x}, expected only {known:#06x}; update the package")]
    Flags {
        /// The flags of the file.
        found: u16,
        /// The flags that this build knows.
        known: u16,
    },
    /// Bytes are missing.
    #[error("delta truncated in {what}: need {need} bytes, have {have}; download it again")]
    Truncated {
        /// The part that is cut.
        what: &'static str,
        /// Bytes up to the end of that part.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A field holds what it must not.
    #[error(
        "delta: {what} is {found}, expected {low}..={high}; the file is damaged, download it again or build it again"
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
    /// The list of removed rows is cut, or a number in it is too long.
    #[error(
        "delta: removed row {at} is not a LEB128 number of at most 32 bits; the file is damaged, download it again"
    )]
    Removed {
        /// Which row of the list.
        at: usize,
    },
    /// The delta changes another shard.
    #[error("delta: changes the shard {found}, expected the shard {expected}; build the release again")]
    Base {
        /// The shard that it changes.
        found: Digest,
        /// The shard that stands in its place.
        expected: Digest,
    },
    /// The rows that it adds are damaged.
    #[error("rows that a delta adds: {0}")]
    Added(#[from] ShardError),
}

impl DeltaError {
    /// The kind of error: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "delta/magic",
            Self::Version { .. } => "delta/version",
            Self::Flags { .. } => "delta/flags",
            Self::Truncated { .. } => "delta/truncated",
            Self::Field { .. } => "delta/field",
            Self::Removed { .. } => "delta/removed",
            Self::Base { .. } => "delta/base",
            Self::Added(error) => error.code(),
        }
    }

    /// Checks that `found` lies in `low..=high`.
    pub(crate) fn check(what: &'static str, found: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&found) { Ok(()) } else { Err(Self::Field { what, found, low, high }) }
    }
}
