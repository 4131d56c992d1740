//! What can be wrong with an overlay.

use super::{FORMAT_VERSION, OLDEST_READABLE};
use crate::Digest;
use crate::show;

/// An error of an overlay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// The bytes do not start as an overlay does.
    #[error(
        "overlay at byte 0: found {found_text}, expected the magic \"NSOV\"; this is not an overlay, check the URL or the path",
        found_text = show::bytes(found))]
    Magic {
        /// The first bytes, four of them unless the file is shorter.
        found: Vec<u8>,
    },
    /// The format is older or newer than this build reads.
    #[error(
        "overlay format {found}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; {}",
        if *found > FORMAT_VERSION { "update the package" } else { "run nearshelf overlay again" }
    )]
    Version {
        /// The format of the file.
        found: u16,
    },
    /// A field holds what it must not.
    #[error(
        "overlay: {what} is {found}, expected {low}..={high}; the file is damaged, download it again or run nearshelf overlay again"
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
    /// The table is cut, counts more rows than there are, or lists of other lengths follow.
    #[error(
        "overlay: found a table that is cut or counts too much, expected three numbers for each shard; run nearshelf overlay again"
    )]
    Table,
    /// A list is cut, goes on too long, or names rows that there are not.
    #[error(
        "overlay: found lists of shard {shard} that are cut or name too much, expected rows of it; run nearshelf overlay again"
    )]
    Lists {
        /// The shard's place in the manifest.
        shard: usize,
    },
    /// The overlay is for another release.
    #[error("overlay: made for the manifest {found}, expected {expected}; run nearshelf overlay again")]
    Manifest {
        /// The manifest that it is for.
        found: Digest,
        /// The manifest of the release.
        expected: Digest,
    },
}

impl OverlayError {
    /// The kind of error: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "overlay/magic",
            Self::Version { .. } => "overlay/version",
            Self::Field { .. } => "overlay/field",
            Self::Table => "overlay/table",
            Self::Lists { .. } => "overlay/lists",
            Self::Manifest { .. } => "overlay/manifest",
        }
    }

    /// Checks that `found` lies in `low..=high`.
    #[inline(never)]
    pub(super) fn check(what: &'static str, found: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&found) { Ok(()) } else { Err(Self::Field { what, found, low, high }) }
    }
}
