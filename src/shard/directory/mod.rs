//! The directory: from the id of a candidate to its shard and its slot there.
//!
//! A catalogue of a million items is many shards, and a client that knows an id (an item of its history, the product on the
//! page) must find that item's vector without holding them all. [`write_directory`] spreads the ids over buckets, one file
//! of at most [`MAX_BUCKET_BYTES`](format::MAX_BUCKET_BYTES) each. [`bucket_of`] says which of them to fetch;
//! [`DirectoryBucket::open`] checks it and [`DirectoryBucket::find`] gives the [`Place`].
//!
//! A bucket stores no ids but fingerprints of them: a few bits of their hash. The ids of the few entries that share a
//! fingerprint are stored beside. So:
//!
//! - an id that was written is always found, and found at its own place;
//! - an id that was not written gives `None`, or by chance the place of another, in less than one of 2,048 lookups. **The
//!   caller compares** the id with the one that the shard has in that slot.
//!
//! Ids are any text of any length, the empty one included. The hash is fixed for ever and needs no key; who may choose ids
//! can choose some of equal hash. These are stored in full, and when they do not fit into a bucket the writer refuses them.
//!
//! The bytes are laid out in [`mod@format`].

mod error;
pub mod format;
mod read;
mod write;

use std::fmt;

pub use error::DirectoryError;
pub use read::DirectoryBucket;
pub use write::write_directory;

use crate::features::hashing::hash64;

/// Where a candidate lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which shard of the release.
    pub shard: u32,
    /// Which node of the shard.
    pub slot: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {} of shard {}", self.slot, self.shard)
    }
}

/// The bucket that has `id`, if any has it: one of `0..buckets`, or 0 if there are none.
///
/// Bucket and number of buckets are part of the [format](mod@format): this function never changes.
pub fn bucket_of(id: &str, buckets: u32) -> u32 {
    format::bucket_of_hash(hash64(id), buckets)
}

#[cfg(test)]
mod tests;
