//! The overlay: what is out of stock right now, and what costs other than the catalogue says.
//!
//! A release is built once a day, stock changes by the minute. An overlay is one small object beside the manifest, which the
//! [head](super) names: new stock is a new head and a new overlay, and a client fetches nothing else. It speaks of rows of the
//! manifest's shards, so it is of one manifest and refused by every other.
//!
//! # Overlay, format 1
//! Integers are little-endian, bits are read from the lowest of each byte. The file carries no digest of its own: it is named by
//! its digest, as every object of a release is.
//!
//! | offset | size | field            | rule                                                                        |
//! |-------:|-----:|------------------|-----------------------------------------------------------------------------|
//! |      0 |    4 | `magic`          | `NSOV`                                                                      |
//! |      4 |    2 | `format_version` | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                                  |
//! |      6 |    2 | `reader_flags`   | zero; a set bit is an error                                                 |
//! |      8 |    8 | `made`           | milliseconds since 1970-01-01 UTC, at most [`MAX_MOMENT`]                   |
//! |     16 |   32 | `manifest`       | digest of the manifest whose rows these are                                 |
//! |     48 |    4 | `shards`         | as many as the manifest has                                                 |
//! |     52 |      | `table`          | for each shard three LEB128 numbers: rows out of stock, times two, and one more where its slots are exact; rows with another price; bytes of its lists |
//! |      … |      | `lists`          | of each shard in order, up to the end of the file                           |
//!
//! Rows are those of a shard with all its deltas, numbered through; slots are exact where the
//! [directory](crate::shard::directory) names the row of every item of the shard. The lists of a shard are bits, the last byte filled with
//! zeros: the rows out of stock, ascending, each as the number of rows between it and the one before; then the rows with another
//! price, each the same way and followed by its price in cents, as 6 bits of length and so many bits. Gaps are Rice codes, the
//! high part as so many zeros and a one; how many low bits they have follows from the rows and the length of the list.

mod bits;
mod error;
#[cfg(any(feature = "build", test))]
mod write;

#[cfg(test)]
mod tests;

pub use error::OverlayError;
#[cfg(any(feature = "build", test))]
pub use write::{OverlayContent, ShardStock};

use super::{Manifest, ObjectKind, ObjectRef, ReleaseError};
use crate::Digest;
use crate::bytes::read_varint;
use crate::index::{NodeId, RowSet};
use bits::{BitReader, width};

/// The first bytes of an overlay.
pub const MAGIC: [u8; 4] = *b"NSOV";
/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest format that this build reads.
pub const OLDEST_READABLE: u16 = 1;
/// The last moment that an overlay can be of: the last one of dates in JavaScript.
pub const MAX_MOMENT: u64 = 8_640_000_000_000_000;
/// The highest price, in cents: every JSON reader holds it exactly.
pub const MAX_PRICE: u64 = (1 << 53) - 1;
/// The column that prices are of.
pub const PRICE: &str = "price";

/// Rows out of stock that are read one after the other, at most, to tell whether one is: a list may have millions.
const STRIDE: u32 = 256;
/// Bits of the highest price.
const PRICE_BITS: u64 = 53;
/// Bits of a price's length.
const LENGTH_BITS: u32 = 6;
/// Bytes of the header.
const HEADER_LEN: usize = 52;

/// A checked overlay. It keeps the lists as they are: a client decodes those of the shards that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    object: ObjectRef,
    made_ms: u64,
    manifest: Digest,
    bytes: Vec<u8>,
    shards: Vec<Entry>,
    /// Row and price, by shard and row.
    prices: Vec<(NodeId, u64)>,
    /// By shard and row, where lists of rows out of stock may be entered: every [`STRIDE`] rows, the least row that may follow, and the bits
    /// before it.
    doors: Vec<(NodeId, u64)>,
}

/// What an overlay has of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    rows: u32,
    out: u32,
    has_exact_slots: bool,
    /// Where its lists begin and end.
    lists: (u32, u32),
    /// Where its prices begin and end.
    prices: (u32, u32),
    /// Where its doors begin and end.
    doors: (u32, u32),
}

impl Overlay {
    /// Reads an overlay of the manifest with the digest `of`, which names it `object`; `computed` is the SHA-256 of `bytes`: the caller
    /// vouches for its having been computed over exactly these.
    ///
    /// # Errors
    /// If it is another object, of another manifest, or damaged.
    #[inline(never)]
    pub fn open(
        object: ObjectRef,
        bytes: Vec<u8>,
        computed: Digest,
        (manifest, of): (&Manifest, Digest),
    ) -> Result<Self, ReleaseError> {
        object.check_limit(ObjectKind::Overlay)?;
        object.check_digested(ObjectKind::Overlay, &bytes, computed)?;
        Ok(Self::parse(object, bytes, manifest, of)?)
    }

    fn parse(object: ObjectRef, bytes: Vec<u8>, manifest: &Manifest, of: Digest) -> Result<Self, OverlayError> {
        let Header { made_ms, manifest: found, shards } = Header::parse(&bytes)?;
        if found != of {
            return Err(OverlayError::Manifest { found, expected: of });
        }
        let expected = manifest.shards.len() as u64;
        OverlayError::check("number of shards", shards.into(), expected, expected)?;
        let (shards, prices, doors) = Default::default();
        let mut overlay = Self { object, made_ms, manifest: of, shards, prices, doors, bytes };
        let mut rows = manifest.shards.iter().map(|shard| shard.rows(shard.deltas.len()) as u32);
        let table = read_table(&overlay.bytes[HEADER_LEN..], &mut rows).ok_or(OverlayError::Table)?;
        overlay.shards = table.0;
        let start = HEADER_LEN as u32 + table.1;
        for entry in &mut overlay.shards {
            entry.lists = (entry.lists.0 + start, entry.lists.1 + start);
        }
        for at in 0..overlay.shards.len() {
            overlay.check_lists(at).ok_or(OverlayError::Lists { shard: at })?;
        }
        Ok(overlay)
    }

    /// Walks through the lists of a shard, so that later walks need no checks, and takes the prices; nothing where they are damaged.
    fn check_lists(&mut self, at: usize) -> Option<()> {
        let entry = self.shards[at];
        // Taken out while the lists are borrowed; of an overlay that is damaged nothing is left.
        let (mut prices, mut doors) = (std::mem::take(&mut self.prices), std::mem::take(&mut self.doors));
        let (start, count, first_door) = (prices.len() as u32, entry.prices.1, doors.len() as u32);
        let mut rows = Rows { bits: self.lists(at), next: 0, width: width(entry.rows, entry.out), left: entry.out };
        for nth in 0..entry.out {
            if nth.is_multiple_of(STRIDE) {
                doors.push((NodeId(rows.next as u32), rows.bits.position()));
            }
            rows.next().filter(|row| row.0 < entry.rows)?;
        }
        rows = Rows { bits: rows.bits, next: 0, width: width(entry.rows, count), left: count };
        for _ in 0..count {
            let row = rows.next().filter(|row| row.0 < entry.rows)?;
            let length = rows.bits.bits(LENGTH_BITS).filter(|&length| length <= PRICE_BITS)?;
            prices.push((row, rows.bits.bits(length as u32)?));
        }
        let is_whole = rows.bits.is_at_end();
        self.shards[at].prices = (start, start + count);
        self.shards[at].doors = (first_door, doors.len() as u32);
        (self.prices, self.doors) = (prices, doors);
        is_whole.then_some(())
    }

    fn lists(&self, at: usize) -> BitReader<'_> {
        let (start, end) = self.shards[at].lists;
        BitReader::new(&self.bytes[start as usize..end as usize])
    }

    /// The object that this is.
    pub fn object(&self) -> ObjectRef {
        self.object
    }

    /// The digest of the manifest that it is for.
    pub fn manifest(&self) -> Digest {
        self.manifest
    }

    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub fn made_ms(&self) -> u64 {
        self.made_ms
    }

    /// Rows out of stock.
    pub fn out(&self) -> u64 {
        self.shards.iter().map(|entry| u64::from(entry.out)).sum()
    }

    /// Rows with another price.
    pub fn priced(&self) -> usize {
        self.prices.len()
    }

    /// How many rows of the shard at place `at` are out of stock.
    pub fn out_of(&self, at: usize) -> usize {
        self.shards.get(at).map_or(0, |entry| entry.out as usize)
    }

    /// Whether the directory names the row of every item of this shard.
    pub fn has_exact_slots(&self, at: usize) -> bool {
        self.shards.get(at).is_some_and(|entry| entry.has_exact_slots)
    }

    /// The rows of a shard that are out of stock, ascending.
    pub fn out_rows(&self, at: usize) -> impl Iterator<Item = NodeId> + '_ {
        self.rows(at)
    }

    /// Takes the rows of a shard that are out of stock out of a set of its rows.
    pub fn remove_out(&self, at: usize, rows: &mut RowSet) {
        for row in self.rows(at) {
            rows.remove(row);
        }
    }

    /// Whether a row is out of stock.
    pub fn is_out(&self, at: usize, node: NodeId) -> bool {
        let doors = self.doors_of(at);
        let behind = doors.partition_point(|(row, _)| *row <= node);
        self.rows_from(at, behind.saturating_sub(1)).take(STRIDE as usize).any(|row| row == node)
    }

    fn doors_of(&self, at: usize) -> &[(NodeId, u64)] {
        let (start, end) = self.shards.get(at).map_or((0, 0), |entry| entry.doors);
        &self.doors[start as usize..end as usize]
    }

    fn rows(&self, at: usize) -> Rows<'_> {
        self.rows_from(at, 0)
    }

    /// The rows of a shard that are out of stock from this door on.
    #[inline(never)]
    fn rows_from(&self, at: usize, nth: usize) -> Rows<'_> {
        let Some((next, position)) = self.doors_of(at).get(nth).copied() else {
            return Rows { bits: BitReader::new(&[]), next: 0, width: 0, left: 0 };
        };
        let Entry { rows, out, .. } = self.shards[at];
        Rows {
            bits: self.lists(at).at(position),
            next: next.0.into(),
            width: width(rows, out),
            left: out - nth as u32 * STRIDE,
        }
    }

    /// The rows of a shard that have another price, ascending, each with that price in cents.
    pub fn prices(&self, at: usize) -> &[(NodeId, u64)] {
        let (start, end) = self.shards.get(at).map_or((0, 0), |entry| entry.prices);
        &self.prices[start as usize..end as usize]
    }

    /// The price of a row in cents, if it is another than the catalogue's.
    pub fn price(&self, at: usize, node: NodeId) -> Option<u64> {
        let prices = self.prices(at);
        prices.binary_search_by_key(&node, |(row, _)| *row).ok().map(|place| prices[place].1)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a number from the front.
#[inline(never)]
fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = read_varint(rest)?;
    *rest = after;
    Some(number)
}

/// Reads a table, whose shards have so many rows; what it says, and its length. Lists are counted from its end, and all prices from 0.
/// Nothing where it is damaged, or lists of these lengths are not all that follows.
fn read_table(bytes: &[u8], rows: &mut dyn Iterator<Item = u32>) -> Option<(Vec<Entry>, u32)> {
    let (mut rest, mut end, mut entries) = (bytes, 0_u32, Vec::new());
    for rows in rows {
        let (out, priced) = (number(&mut rest)?, number(&mut rest)?);
        let (has_exact_slots, out, start) = (out % 2 == 1, out / 2, end);
        end = start.checked_add(number(&mut rest)?)?;
        if out > rows || priced > rows {
            return None;
        }
        entries.push(Entry { rows, out, has_exact_slots, lists: (start, end), prices: (0, priced), doors: (0, 0) });
    }
    (rest.len() as u64 == u64::from(end)).then_some((entries, (bytes.len() - rest.len()) as u32))
}

/// What an overlay says of itself, readable without its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub made_ms: u64,
    /// The digest of the manifest that it is for.
    pub manifest: Digest,
    /// Shards of that.
    pub shards: u32,
}

impl Header {
    /// Reads and checks the header at the start of `bytes`.
    ///
    /// # Errors
    /// If the bytes are not a header that this build reads.
    pub fn parse(bytes: &[u8]) -> Result<Self, OverlayError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(OverlayError::Magic { found: bytes[..bytes.len().min(4)].to_vec() });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            let (found, low) = (bytes.len() as u64, HEADER_LEN as u64);
            return Err(OverlayError::Field { what: "length", found, low, high: ObjectKind::Overlay.limit() });
        };
        let number = |at: usize, len: usize| {
            header[at..at + len].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        let version = number(4, 2) as u16;
        if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
            return Err(OverlayError::Version { found: version });
        }
        OverlayError::check("reader flags", number(6, 2), 0, 0)?;
        OverlayError::check("moment", number(8, 8), 0, MAX_MOMENT)?;
        let mut manifest = [0; Digest::LEN];
        manifest.copy_from_slice(&header[16..48]);
        Ok(Self { made_ms: number(8, 8), manifest: Digest::from_bytes(manifest), shards: number(48, 4) as u32 })
    }
}

/// What an overlay says without its manifest: a look at its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Its header.
    pub header: Header,
    /// Rows out of stock.
    pub out: u64,
    /// Rows with another price.
    pub priced: u64,
}

impl Outline {
    /// Reads header and table.
    ///
    /// # Errors
    /// If they are damaged, or the file is longer or shorter than they say.
    pub fn parse(bytes: &[u8]) -> Result<Self, OverlayError> {
        let header = Header::parse(bytes)?;
        let mut rows = (0..header.shards).map(|_| u32::MAX);
        let (table, _) = read_table(&bytes[HEADER_LEN..], &mut rows).ok_or(OverlayError::Table)?;
        let priced = table.iter().map(|entry| u64::from(entry.prices.1)).sum();
        Ok(Self { header, out: table.iter().map(|entry| u64::from(entry.out)).sum(), priced })
    }
}

/// Rows of a list, ascending. A list that was checked has so many.
#[derive(Debug, Clone)]
struct Rows<'a> {
    bits: BitReader<'a>,
    next: u64,
    width: u32,
    left: u32,
}

impl Iterator for Rows<'_> {
    type Item = NodeId;

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline(never)]
    fn next(&mut self) -> Option<NodeId> {
        self.left = self.left.checked_sub(1)?;
        let row = self.next.checked_add(self.bits.rice(self.width)?)?;
        self.next = row + 1;
        u32::try_from(row).ok().map(NodeId)
    }
}
