//! Deltas: what changed in a shard since it was written, as a small file.
//!
//! A catalogue changes every day and its shards would all be other files, although nearly all of their rows are the same. While
//! the towers stay, a shard is left as it is, and what changed goes into a [`Delta`]: rows that it adds, and rows of before that
//! it removes (a changed item is removed and added). A [`Chain`] is a shard with its deltas, and answers as one shard would.
//!
//! The bytes are laid out in [`mod@format`].

mod chain;
mod error;
pub mod format;

pub use chain::Chain;
pub use error::DeltaError;

use crate::Digest;
use crate::bytes::put_varint;
use crate::shard::{Shard, Verified};
use format::{HEADER_LEN, Header};

/// One delta, every byte of which has been checked.
#[derive(Debug)]
pub struct Delta {
    header: Header,
    removed: Vec<u32>,
    added: Shard<Verified>,
}

impl Delta {
    /// Checks the file of a delta, whose digest is `digest`, so that nothing later can fail. The digest is the caller's to
    /// check.
    ///
    /// # Errors
    /// If the bytes are not a delta, are cut or too long, a value breaks a rule of the [format](mod@format), or this build
    /// cannot read them.
    pub fn open(bytes: &[u8], digest: Digest) -> Result<Self, DeltaError> {
        let header = Header::parse(bytes)?;
        let rest = &bytes[HEADER_LEN..];
        let Some((list, added)) = rest.split_at_checked(header.removed_bytes as usize) else {
            let need = HEADER_LEN as u64 + u64::from(header.removed_bytes);
            return Err(DeltaError::Truncated { what: "removed_rows", need, have: bytes.len() as u64 });
        };
        let removed = header.read_removed(list)?;
        let added = Shard::open(added.to_vec())?.verify_values(digest)?;
        Ok(Self { header, removed, added })
    }

    /// The bytes of a delta of the shard `base`: of `before` rows it removes `removed`, which ascend, and adds those of the
    /// shard whose bytes are `added`.
    pub fn write(base: Digest, before: u32, removed: &[u32], added: &[u8]) -> Vec<u8> {
        let mut list = Vec::new();
        let mut next = 0;
        for &row in removed {
            put_varint(row - next, &mut list);
            next = row + 1;
        }
        let header = Header { base, before, removed: removed.len() as u32, removed_bytes: list.len() as u32 };
        [&header.to_bytes(), &*list, added].concat()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The rows that it removes, ascending.
    pub fn removed(&self) -> &[u32] {
        &self.removed
    }

    /// The rows that it adds.
    pub fn added(&self) -> &Shard<Verified> {
        &self.added
    }

    /// The bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        Self::write(self.header.base, self.header.before, &self.removed, self.added.bytes())
    }
}

#[cfg(test)]
mod tests;
