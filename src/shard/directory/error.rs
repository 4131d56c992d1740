//! What can be wrong with a directory.

use super::Place;
use super::format::{FORMAT_VERSION, MAX_BUCKET_BYTES, OLDEST_READABLE};
use crate::show;

/// An error of the directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The bytes do not start as a bucket of a directory does.
    #[error(
        "directory at byte 0: found {found_text}, expected the magic \"NSDR\"; this is not a bucket of a directory, check \
         the URL or the path", found_text = show::bytes(found))]
    Magic {
        /// The first bytes, four of them unless the file is shorter.
        found: Vec<u8>,
    },
    /// The format is older or newer than this build reads.
    #[error(
        "directory format {found}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; {}",
        if *found > FORMAT_VERSION { "update the package" } else { "build the release again" }
    )]
    Version {
        /// The format of the file.
        found: u16,
    },
    /// The file needs something that this build does not know.
    #[error(
        "directory at byte 6: found unknown reader flags {found:#06x}, expected only {known:#06x}; update the package"
    )]
    Flags {
        /// The flags of the file.
        found: u16,
        /// The flags that this build knows.
        known: u16,
    },
    /// Bytes are missing.
    #[error("directory truncated in {what}: need {need} bytes, have {have}; download it again")]
    Truncated {
        /// The section that is cut.
        what: &'static str,
        /// Bytes up to the end of that section.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// Bytes follow the end.
    #[error("directory has {have} bytes, expected {need}: {} more than its header says; download it again", have - need)]
    Trailing {
        /// Bytes that the header states.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A field holds what it must not.
    #[error(
        "directory: {what} is {found}, expected {low}..={high}; the file is damaged, download it again or build it again"
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
    /// A stored id is not text, is out of order, or belongs to another entry.
    #[error("directory: the id of entry {entry} is not {expected}; the file is damaged, download it again")]
    Id {
        /// Which entry.
        entry: u32,
        /// What it should be.
        expected: &'static str,
    },
    /// One id has two places.
    #[error(
        "directory: found the id {id_text} at {first} and at {second}, expected one place per id; remove the duplicate", id_text = show::text(id))]
    DuplicateId {
        /// The id.
        id: String,
        /// One of its places.
        first: Place,
        /// The other.
        second: Place,
    },
    /// The entries of a bucket do not fit into a file however many buckets there are.
    #[error(
        "directory: the bucket of {id_text} has {found} bytes in {entries} entries when there are {buckets} buckets, expected \
         at most {MAX_BUCKET_BYTES}; its ids have one hash and are stored in full: shorten or rename them", id_text = show::text(id))]
    Full {
        /// The first id of the bucket.
        id: String,
        /// Bytes of the bucket.
        found: u64,
        /// Entries of the bucket.
        entries: u64,
        /// Buckets of the directory.
        buckets: u32,
    },
    /// The file is another bucket, or of a directory that is cut otherwise.
    #[error(
        "directory: this is bucket {found} of {found_buckets}, expected bucket {expected} of {expected_buckets}; check \
         which file was opened"
    )]
    Bucket {
        /// The file's bucket.
        found: u32,
        /// The file's number of buckets.
        found_buckets: u32,
        /// The bucket that was asked for.
        expected: u32,
        /// The number of buckets that was asked for.
        expected_buckets: u32,
    },
}

impl DirectoryError {
    /// The kind of error: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "directory/magic",
            Self::Version { .. } => "directory/version",
            Self::Flags { .. } => "directory/flags",
            Self::Truncated { .. } => "directory/truncated",
            Self::Trailing { .. } => "directory/trailing",
            Self::Field { .. } => "directory/field",
            Self::Id { .. } => "directory/id",
            Self::DuplicateId { .. } => "directory/duplicate-id",
            Self::Full { .. } => "directory/full",
            Self::Bucket { .. } => "directory/bucket",
        }
    }

    /// Checks that `found` lies in `low..=high`.
    pub(super) fn check(what: &'static str, found: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&found) { Ok(()) } else { Err(Self::Field { what, found, low, high }) }
    }
}
