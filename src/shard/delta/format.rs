//! # Delta of a shard, format 1
//!
//! Integers are little-endian, nothing is padded. The file carries no digest of its own: it is named by its digest, as every
//! object of a release is.
//!
//! | offset | size | field            | rule                                                                         |
//! |-------:|-----:|------------------|------------------------------------------------------------------------------|
//! |      0 |    4 | `magic`          | `NSDL`                                                                       |
//! |      4 |    2 | `format_version` | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                                   |
//! |      6 |    2 | `reader_flags`   | a set bit outside [`READER_FLAGS`] is an error                               |
//! |      8 |   32 | `base`           | digest of the shard that is changed                                          |
//! |     40 |    4 | `before`         | rows that there are without this delta: the shard's, and those of the deltas before |
//! |     44 |    4 | `removed`        | how many of them it removes, at most `before`                                |
//! |     48 |    4 | `removed_bytes`  | length of `removed_rows`                                                     |
//! |     52 |      | `removed_rows`   | the rows, ascending: each as the LEB128 number of rows that lie between it and the one before |
//! |      … |      | `added`          | a [shard](crate::shard::format) of the rows that it adds, up to the end of the file |
//!
//! Rows are numbered through: first those of the shard, then those that the first delta adds, and so on.

use super::DeltaError;
use crate::Digest;
use crate::bytes::read_varint;
use crate::shard::format::MAX_COUNT;

/// The first bytes of a delta.
pub const MAGIC: [u8; 4] = *b"NSDL";
/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest format that this build reads.
pub const OLDEST_READABLE: u16 = 1;
/// The reader flags that this build knows.
pub const READER_FLAGS: u16 = 0;
/// Bytes before the removed rows.
pub const HEADER_LEN: usize = 52;

/// The header of a delta: the fields of the table above that are not fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The shard that is changed.
    pub base: Digest,
    /// Rows without this delta.
    pub before: u32,
    /// How many of them it removes.
    pub removed: u32,
    /// Length of their list.
    pub removed_bytes: u32,
}

impl Header {
    /// Reads and checks the header at the start of `bytes`.
    ///
    /// # Errors
    /// If the bytes are not a header that this build reads.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeltaError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(DeltaError::Magic { found: bytes[..bytes.len().min(4)].to_vec() });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(DeltaError::Truncated { what: "header", need: HEADER_LEN as u64, have: bytes.len() as u64 });
        };
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let version = u16_at(4);
        if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
            return Err(DeltaError::Version { found: version });
        }
        if u16_at(6) & !READER_FLAGS != 0 {
            return Err(DeltaError::Flags { found: u16_at(6), known: READER_FLAGS });
        }
        let mut base = [0; Digest::LEN];
        base.copy_from_slice(&header[8..40]);
        let header =
            Self { base: Digest::from_bytes(base), before: u32_at(40), removed: u32_at(44), removed_bytes: u32_at(48) };
        DeltaError::check("before", header.before.into(), 0, MAX_COUNT.into())?;
        DeltaError::check("removed", header.removed.into(), 0, header.before.into())?;
        Ok(header)
    }

    /// The bytes of the header.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(4, &FORMAT_VERSION.to_le_bytes());
        put(8, self.base.as_bytes());
        put(40, &self.before.to_le_bytes());
        put(44, &self.removed.to_le_bytes());
        put(48, &self.removed_bytes.to_le_bytes());
        bytes
    }

    /// Reads the removed rows, which `list` must hold exactly.
    pub(super) fn read_removed(&self, mut list: &[u8]) -> Result<Vec<u32>, DeltaError> {
        let mut rows = Vec::with_capacity(list.len().min(self.removed as usize));
        let mut next = 0u64;
        for _ in 0..self.removed {
            let Some((between, rest)) = read_varint(list) else {
                return Err(DeltaError::Removed { at: rows.len() });
            };
            let row = next + u64::from(between);
            DeltaError::check("a removed row", row, 0, u64::from(self.before) - 1)?;
            rows.push(row as u32);
            (next, list) = (row + 1, rest);
        }
        DeltaError::check("bytes behind the last removed row", list.len() as u64, 0, 0)?;
        Ok(rows)
    }
}
