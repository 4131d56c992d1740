//! # Bucket of a directory, format 1
//!
//! Integers are little-endian, nothing is padded but the last byte of `records`. The file carries no digest of its own: it
//! is named by its digest, as every object of a release is.
//!
//! | offset | size | field              | rule                                                                      |
//! |-------:|-----:|--------------------|---------------------------------------------------------------------------|
//! |      0 |    4 | `magic`            | `NSDR`                                                                    |
//! |      4 |    2 | `format_version`   | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                                |
//! |      6 |    2 | `reader_flags`     | a set bit outside [`READER_FLAGS`] is an error                            |
//! |      8 |    4 | `bucket`           | below `buckets`                                                           |
//! |     12 |    4 | `buckets`          | a power of two, at most [`MAX_BUCKETS`]                                   |
//! |     16 |    4 | `count`            | entries, `0..=`[`MAX_COUNT`]                                              |
//! |     20 |    1 | `fingerprint_bits` | [`MIN_FINGERPRINT_BITS`]`..=`[`MAX_FINGERPRINT_BITS`]                     |
//! |     21 |    1 | `group_bits`       | `0..=`[`MAX_GROUP_BITS`]                                                  |
//! |     22 |    1 | `shard_bits`       | `0..=32`                                                                  |
//! |     23 |    1 | `slot_bits`        | `0..=32`                                                                  |
//! |     24 |    4 | `id_count`         | stored ids, at most `count`                                               |
//! |     28 |    4 | `id_bytes`         | length of the section `id_text`                                           |
//! |     32 |      | `sections`         | below, in this order; then the file ends, with at most [`MAX_BUCKET_BYTES`]|
//!
//! | section      | size                            | content                                                            |
//! |--------------|---------------------------------|--------------------------------------------------------------------|
//! | `group_ends` | `2 << group_bits`               | `u16`: end of each group in the entries, never less than before     |
//! | `records`    | `count * record_bits` bits      | per entry `tail`, `shard`, `slot`; then zero bits up to a whole byte|
//! | `id_ends`    | `2 * id_count`                  | `u16`: end of each stored id in `id_text`, never less than before   |
//! | `id_text`    | `id_bytes`                      | the stored ids, UTF-8                                              |
//!
//! Bits are counted from the lowest bit of the first byte. The 64 bits of [`hash64`](crate::features::hashing::hash64) of an id
//! are used from the highest on: `log2(buckets)` of them say the bucket, the next `fingerprint_bits` are the fingerprint. Of
//! the fingerprint, the first `group_bits` say the group, the others are the `tail`. `record_bits` is `fingerprint_bits -
//! group_bits + shard_bits + slot_bits`.
//!
//! Entries are in the order of their hashes, those of one hash in the order of their ids. Where several have one fingerprint,
//! the ids of just these entries are stored, in the order of the entries.

use std::ops::Range;

use super::DirectoryError;

/// The first bytes of a bucket.
pub const MAGIC: [u8; 4] = *b"NSDR";
/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest format that this build reads.
pub const OLDEST_READABLE: u16 = 1;
/// The reader flags that this build knows.
pub const READER_FLAGS: u16 = 0;
/// Most bytes of a bucket: what a client fetches to find one item.
pub const MAX_BUCKET_BYTES: usize = 16 * 1024;
/// Most buckets of a directory.
pub const MAX_BUCKETS: u32 = 1 << 20;
/// Fewest bits of a fingerprint.
pub const MIN_FINGERPRINT_BITS: u32 = 16;
/// Most bits of a fingerprint. With those of the bucket they stay within the 64 bits of a hash.
pub const MAX_FINGERPRINT_BITS: u32 = 40;
/// Most bits of a group: fewer than those of any fingerprint, so that a record is never empty.
pub const MAX_GROUP_BITS: u32 = 12;
/// Most entries of a bucket: as many as fit with the narrowest record.
pub const MAX_COUNT: u32 = MAX_BUCKET_BYTES as u32 * 8 / (MIN_FINGERPRINT_BITS - MAX_GROUP_BITS);
/// Bytes before the sections.
pub const HEADER_LEN: usize = 32;

const _: () = assert!(MAX_COUNT <= u16::MAX as u32 && MAX_BUCKET_BYTES <= u16::MAX as usize);
const _: () = assert!(MAX_FINGERPRINT_BITS + MAX_BUCKETS.trailing_zeros() <= u64::BITS);

/// The sections, in their order in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Ends of the groups.
    GroupEnds,
    /// Rests of the fingerprints, and places.
    Records,
    /// Ends of the stored ids.
    IdEnds,
    /// Text of the stored ids.
    IdText,
}

impl Section {
    /// All sections, in their order in the file.
    pub const ALL: [Self; 4] = [Self::GroupEnds, Self::Records, Self::IdEnds, Self::IdText];

    /// The name in the table above.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GroupEnds => "group_ends",
            Self::Records => "records",
            Self::IdEnds => "id_ends",
            Self::IdText => "id_text",
        }
    }
}

/// The header of a bucket: the fields of the table above that are not fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Which bucket this is.
    pub bucket: u32,
    /// Buckets of the directory.
    pub buckets: u32,
    /// Entries.
    pub count: u32,
    /// Bits of a fingerprint.
    pub fingerprint_bits: u8,
    /// Those of them that say the group.
    pub group_bits: u8,
    /// Bits of a shard.
    pub shard_bits: u8,
    /// Bits of a slot.
    pub slot_bits: u8,
    /// Stored ids.
    pub id_count: u32,
    /// Length of the stored ids.
    pub id_bytes: u32,
}

impl Header {
    /// Reads and checks the header at the start of `bytes`, without looking at the sections.
    ///
    /// # Errors
    /// If the bytes are not a header that this build reads.
    pub fn parse(bytes: &[u8]) -> Result<Self, DirectoryError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(DirectoryError::Magic { found: bytes[..bytes.len().min(4)].to_vec() });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(DirectoryError::Truncated {
                what: "header",
                need: HEADER_LEN as u64,
                have: bytes.len() as u64,
            });
        };
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let version = u16_at(4);
        if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
            return Err(DirectoryError::Version { found: version });
        }
        if u16_at(6) & !READER_FLAGS != 0 {
            return Err(DirectoryError::Flags { found: u16_at(6), known: READER_FLAGS });
        }
        let header = Self {
            bucket: u32_at(8),
            buckets: u32_at(12),
            count: u32_at(16),
            fingerprint_bits: header[20],
            group_bits: header[21],
            shard_bits: header[22],
            slot_bits: header[23],
            id_count: u32_at(24),
            id_bytes: u32_at(28),
        };
        header.check()?;
        Ok(header)
    }

    /// The bytes of the header.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(4, &FORMAT_VERSION.to_le_bytes());
        put(8, &self.bucket.to_le_bytes());
        put(12, &self.buckets.to_le_bytes());
        put(16, &self.count.to_le_bytes());
        put(20, &[self.fingerprint_bits, self.group_bits, self.shard_bits, self.slot_bits]);
        put(24, &self.id_count.to_le_bytes());
        put(28, &self.id_bytes.to_le_bytes());
        bytes
    }

    /// Checks every rule of the table that the header alone decides.
    ///
    /// # Errors
    /// [`DirectoryError::Field`] with the field that breaks its rule.
    pub fn check(&self) -> Result<(), DirectoryError> {
        let check = DirectoryError::check;
        check("buckets", self.buckets.into(), 1, MAX_BUCKETS.into())?;
        check("number of bits in buckets", self.buckets.count_ones().into(), 1, 1)?;
        check("bucket", self.bucket.into(), 0, u64::from(self.buckets) - 1)?;
        check("count", self.count.into(), 0, MAX_COUNT.into())?;
        let bits = self.fingerprint_bits.into();
        check("fingerprint_bits", bits, MIN_FINGERPRINT_BITS.into(), MAX_FINGERPRINT_BITS.into())?;
        check("group_bits", self.group_bits.into(), 0, MAX_GROUP_BITS.into())?;
        check("shard_bits", self.shard_bits.into(), 0, 32)?;
        check("slot_bits", self.slot_bits.into(), 0, 32)?;
        check("id_count", self.id_count.into(), 0, self.count.into())?;
        check("id_bytes", self.id_bytes.into(), 0, MAX_BUCKET_BYTES as u64)
    }

    /// Bits of the part of a fingerprint that its group does not say.
    pub fn tail_bits(&self) -> u32 {
        u32::from(self.fingerprint_bits) - u32::from(self.group_bits)
    }

    /// Bits of a record.
    pub fn record_bits(&self) -> u32 {
        self.tail_bits() + u32::from(self.shard_bits) + u32::from(self.slot_bits)
    }

    /// Bytes of a section.
    pub fn section_len(&self, section: Section) -> u64 {
        match section {
            Section::GroupEnds => 2 << self.group_bits,
            Section::Records => (u64::from(self.count) * u64::from(self.record_bits())).div_ceil(8),
            Section::IdEnds => 2 * u64::from(self.id_count),
            Section::IdText => self.id_bytes.into(),
        }
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        HEADER_LEN as u64 + Section::ALL.map(|section| self.section_len(section)).iter().sum::<u64>()
    }

    /// Checks that a file of `have` bytes is exactly as long as the header states, and not too long.
    pub(super) fn check_file_len(&self, have: u64) -> Result<(), DirectoryError> {
        let mut need = HEADER_LEN as u64;
        for section in Section::ALL {
            need += self.section_len(section);
            if have < need {
                return Err(DirectoryError::Truncated { what: section.name(), need, have });
            }
        }
        if have > need {
            return Err(DirectoryError::Trailing { need, have });
        }
        DirectoryError::check("number of bytes", have, 0, MAX_BUCKET_BYTES as u64)
    }

    /// Where a section lies in a file whose length [`Header::check_file_len`] accepted.
    pub(super) fn section_range(&self, section: Section) -> Range<usize> {
        let before = Section::ALL.into_iter().take_while(|&s| s != section).map(|s| self.section_len(s)).sum::<u64>();
        let start = HEADER_LEN + before as usize;
        start..start + self.section_len(section) as usize
    }

    /// The group and the tail of a hash.
    pub(super) fn split(&self, hash: u64) -> (u32, u64) {
        let rest = self.after_bucket(hash);
        let group = top(rest, self.group_bits.into());
        (group as u32, top(rest << self.group_bits, self.tail_bits()))
    }

    /// The bits of a hash that do not say the bucket, moved up to the highest.
    pub(super) fn after_bucket(&self, hash: u64) -> u64 {
        hash << self.buckets.trailing_zeros()
    }
}

/// The bucket of a hash: its highest `log2(buckets)` bits.
pub(super) fn bucket_of_hash(hash: u64, buckets: u32) -> u32 {
    // For a power of two, the product moves just these bits up; for any other number the result is still below it.
    (((hash >> 32) * u64::from(buckets)) >> 32) as u32
}

/// The highest `count` bits, `count <= 64`.
pub(super) fn top(bits: u64, count: u32) -> u64 {
    bits.checked_shr(u64::BITS - count).unwrap_or(0)
}

/// `width` bits from bit `at` on; bits beyond the end are zero. `width <= 57`.
pub(super) fn bits_at(bytes: &[u8], at: usize, width: u32) -> u64 {
    let rest = bytes.get(at / 8..).unwrap_or_default();
    let mut window = [0; 8];
    match rest.first_chunk::<8>() {
        Some(whole) => window = *whole,
        None => window[..rest.len()].copy_from_slice(rest),
    }
    (u64::from_le_bytes(window) >> (at % 8)) & ((1 << width) - 1)
}

/// Sets the bits from bit `at` on, which are zero, to those of `value`, which has at most 57.
pub(super) fn put_bits(bytes: &mut [u8], at: usize, value: u64) {
    let window = (value << (at % 8)).to_le_bytes();
    bytes.iter_mut().skip(at / 8).zip(window).for_each(|(byte, bits)| *byte |= bits);
}
