//! # Columns of a shard, format 1
//!
//! Integers are little-endian, `f32` is IEEE-754, nothing is padded. The file carries no digest of its own: it is a section of a
//! [shard](crate::shard::format), which has one.
//!
//! | offset | size | field            | rule                                                                        |
//! |-------:|-----:|------------------|-----------------------------------------------------------------------------|
//! |      0 |    4 | `magic`          | `NSCL`                                                                      |
//! |      4 |    2 | `format_version` | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                                  |
//! |      6 |    2 | `reader_flags`   | a set bit outside [`READER_FLAGS`] is an error                              |
//! |      8 |    4 | `rows`           | `0..=`[`MAX_ROWS`]                                                          |
//! |     12 |    2 | `columns`        | `0..=`[`MAX_COLUMNS`]                                                       |
//! |     14 |    2 | `reserved`       | zero                                                                        |
//! |     16 |      | `descriptors`    | one per column, below                                                       |
//! |      … |      | `names`          | the names of the columns, UTF-8, one after the other, all different         |
//! |      … |      | `parts`          | per column its dictionary and its values; then the file ends                |
//!
//! A descriptor:
//!
//! | offset | size | field              | rule                                                                      |
//! |-------:|-----:|--------------------|---------------------------------------------------------------------------|
//! |      0 |    1 | `kind`             | [`ColumnKind`]: 0 unsigned, 1 float, 2 price, 3 text, 4 path, 5 popularity |
//! |      1 |    1 | `width`            | bytes of a value: 1, 2, 4 or 8; see below                                 |
//! |      2 |    1 | `nullable`         | 1: a value of which all bits are set is missing; 0: none is missing       |
//! |      3 |    1 | `name_bytes`       | `1..=`[`MAX_NAME_BYTES`]                                                  |
//! |      4 |    4 | `entries`          | entries of the dictionary; 0 without one                                  |
//! |      8 |    4 | `dictionary_bytes` | at least `2 * entries`; 0 without one                                     |
//! |     12 |    4 | `text_bytes`       | bytes of all entries, at most [`MAX_EXPANSION`]` * dictionary_bytes`; of all columns at most [`MAX_TEXT_BYTES`] |
//!
//! | kind         | `width`    | a value is                                                                              |
//! |--------------|------------|-----------------------------------------------------------------------------------------|
//! | `unsigned`   | 1, 2, 4, 8 | the number                                                                              |
//! | `float`      | 4          | `f32`, finite                                                                           |
//! | `price`      | 1, 2, 4    | the price in the currency's smallest unit                                               |
//! | `text`       | 1, 2, 4    | an entry of the dictionary                                                              |
//! | `path`       | 1, 2, 4    | an entry of the dictionary: the parts of the path, each with a NUL (`U+0000`) behind it |
//! | `popularity` | 1          | the step of a count, see [`popularity_step`]                                            |
//!
//! The entries of a dictionary ascend by their bytes and differ. Each is stored as two [LEB128](https://en.wikipedia.org/wiki/LEB128)
//! numbers, how many bytes it shares with the entry before and how many follow, and the bytes that follow. Since NUL is less than
//! any other character of a path, the paths below another one are neighbours.

use super::ColumnsError;

/// The first bytes of columns.
pub const MAGIC: [u8; 4] = *b"NSCL";
/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest format that this build reads.
pub const OLDEST_READABLE: u16 = 1;
/// The reader flags that this build knows.
pub const READER_FLAGS: u16 = 0;
/// Most rows: as many as a shard has candidates.
pub const MAX_ROWS: u32 = crate::shard::format::MAX_COUNT;
/// Most columns.
pub const MAX_COLUMNS: u16 = 256;
/// Longest name of a column, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Most bytes of a dictionary when it is read, as a multiple of what it takes in the file: entries that share nearly everything with the
/// one before would make 16 MB of some KB. Addresses and paths take some five times.
pub const MAX_EXPANSION: u64 = 32;
/// Most bytes of all dictionaries when they are read: a small file can state a large one.
pub const MAX_TEXT_BYTES: u64 = 1 << 24;
/// Bytes before the descriptors.
pub const HEADER_LEN: usize = 16;
/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 16;
/// Ends each part of a path.
pub const PATH_END: char = '\0';
/// The largest step of a popularity: the step of [`popularity_count`]`(MAX_STEP)`, some 15 thousand million, and of all above.
pub const MAX_STEP: u8 = 254;

/// What a column holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers without sign, up to 64 bits.
    #[default]
    Unsigned,
    /// Finite numbers.
    Float,
    /// Prices in the currency's smallest unit.
    Price,
    /// Texts of which many rows have the same.
    Text,
    /// Places in a tree of categories.
    Path,
    /// Counts of which the order of magnitude matters.
    Popularity,
}

impl ColumnKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 6] = [Self::Unsigned, Self::Float, Self::Price, Self::Text, Self::Path, Self::Popularity];

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in the table above.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Float => "float",
            Self::Price => "price",
            Self::Text => "text",
            Self::Path => "path",
            Self::Popularity => "popularity",
        }
    }

    /// Whether values are entries of a dictionary.
    pub const fn has_dictionary(self) -> bool {
        matches!(self, Self::Text | Self::Path)
    }

    fn widths(self) -> &'static [u8] {
        match self {
            Self::Unsigned => &[1, 2, 4, 8],
            Self::Float => &[4],
            Self::Price | Self::Text | Self::Path => &[1, 2, 4],
            Self::Popularity => &[1],
        }
    }
}

/// A descriptor of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) kind: ColumnKind,
    pub(super) width: u8,
    pub(super) nullable: bool,
    pub(super) name_bytes: u8,
    pub(super) entries: u32,
    pub(super) dictionary_bytes: u32,
    pub(super) text_bytes: u32,
}

impl Descriptor {
    pub(super) fn parse(bytes: &[u8; DESCRIPTOR_LEN]) -> Result<Self, ColumnsError> {
        let check = ColumnsError::check;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        check("kind", bytes[0].into(), 0, ColumnKind::ALL.len() as u64 - 1)?;
        let kind = ColumnKind::ALL[bytes[0] as usize];
        let width = bytes[1];
        if !kind.widths().contains(&width) {
            let (low, high) = (kind.widths()[0], kind.widths()[kind.widths().len() - 1]);
            return Err(ColumnsError::Field { what: "width", found: width.into(), low: low.into(), high: high.into() });
        }
        check("nullable", bytes[2].into(), 0, 1)?;
        check("name_bytes", bytes[3].into(), 1, MAX_NAME_BYTES as u64)?;
        let (entries, dictionary_bytes, text_bytes) = (u32_at(4), u32_at(8), u32_at(12));
        let most = if kind.has_dictionary() { u32::MAX } else { 0 };
        check("entries", entries.into(), 0, most.into())?;
        let most = if entries == 0 { 0 } else { u32::MAX };
        check("dictionary_bytes", dictionary_bytes.into(), 2 * u64::from(entries), most.into())?;
        check("text_bytes", text_bytes.into(), 0, most_text(dictionary_bytes))?;
        let nullable = bytes[2] == 1;
        Ok(Self { kind, width, nullable, name_bytes: bytes[3], entries, dictionary_bytes, text_bytes })
    }

    pub(super) fn to_bytes(self) -> [u8; DESCRIPTOR_LEN] {
        let mut bytes = [0; DESCRIPTOR_LEN];
        bytes[..4].copy_from_slice(&[self.kind as u8, self.width, self.nullable.into(), self.name_bytes]);
        bytes[4..8].copy_from_slice(&self.entries.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.dictionary_bytes.to_le_bytes());
        bytes[12..].copy_from_slice(&self.text_bytes.to_le_bytes());
        bytes
    }
}

/// Most bytes of a dictionary that takes so many in the file.
pub(super) fn most_text(dictionary_bytes: u32) -> u64 {
    (MAX_EXPANSION * u64::from(dictionary_bytes)).min(MAX_TEXT_BYTES)
}

/// The value of `width` bytes that says that none is there.
pub(super) const fn missing(width: u8) -> u64 {
    u64::MAX >> (64 - 8 * width as u32)
}

/// The step of a count on a scale that is exact below 16 and then has eight steps from each power of two to the next, so that a
/// step is at most an eighth above the one before.
///
/// With `shift` the place of the highest bit of `count`, less 3 and at least 0, the step is `8 * shift + (count >> shift)`; at most
/// [`MAX_STEP`].
pub const fn popularity_step(count: u64) -> u8 {
    let shift = (u64::BITS - count.leading_zeros()).saturating_sub(4);
    let step = 8 * shift as u64 + (count >> shift);
    if step > MAX_STEP as u64 { MAX_STEP } else { step as u8 }
}

/// The smallest count of a step.
pub const fn popularity_count(step: u8) -> u64 {
    let shift = (step as u64 / 8).saturating_sub(1);
    (step as u64 - 8 * shift) << shift
}
