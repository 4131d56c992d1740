//! # Shard file, format 1
//!
//! Integers are little-endian, `f32` is IEEE-754, nothing is padded.
//!
//! | offset | size | field            | rule                                                                  |
//! |-------:|-----:|------------------|-----------------------------------------------------------------------|
//! |      0 |    4 | `magic`          | `NSSH`                                                                |
//! |      4 |    2 | `format_version` | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                            |
//! |      6 |    2 | `reader_flags`   | a set bit outside [`READER_FLAGS`] is an error                        |
//! |      8 |    4 | `dim`            | `1..=`[`MAX_DIM`]                                                     |
//! |     12 |    4 | `count`          | `0..=`[`MAX_COUNT`]                                                   |
//! |     16 |    2 | `m`              | `0..=`[`MAX_M`]; 0: no graph, the shard is scanned                    |
//! |     18 |    1 | `metric`         | 0: inner product                                                      |
//! |     19 |    1 | `encoding`       | 0: int8 and one `f32` scale per vector                                |
//! |     20 |    4 | `entry_point`    | a node of the highest layer, or `u32::MAX` without a graph            |
//! |     24 |    4 | `ef_search`      | `1..=`[`MAX_EF_SEARCH`]: the default width of a search                |
//! |     28 |    4 | `upper_layers`   | `0..=`[`MAX_LAYERS`]                                                  |
//! |     32 |   32 | `towers`         | SHA-256 of the towers that made the vectors                           |
//! |     64 |    4 | `id_bytes`       | length of the section `id_text`                                       |
//! |     68 |    4 | `base_links`     | links on layer 0, at most `count * 2 * m`                             |
//! |     72 |    4 | `upper_nodes`    | sum of `layer_sizes`                                                  |
//! |     76 |    4 | `upper_links`    | links above layer 0, at most `upper_nodes * m`                        |
//! |     80 |   16 | `reserved`       | zero                                                                  |
//! |     96 |      | `sections`       | below, in this order                                                  |
//! |      … |   32 | `digest`         | SHA-256 of all bytes before; then the file ends                       |
//!
//! | section          | size                    | content                                                          |
//! |------------------|-------------------------|------------------------------------------------------------------|
//! | `id_ends`        | `4 * count`             | end of each id in `id_text`, never less than the one before       |
//! | `id_text`        | `id_bytes`              | the ids, UTF-8, each one once, by node                           |
//! | `codes`          | `count * dim`           | `i8`, row-major by node                                          |
//! | `scales`         | `4 * count`             | `f32`, finite, >= 0; a component is `scale * code`               |
//! | `base_counts`    | `count`, 0 if no graph  | `u8`: links of each node on layer 0, at most `2 * m`             |
//! | `base_links`     | `width * base_links`    | the links, by node; each names a node                            |
//! | `layer_sizes`    | `4 * upper_layers`      | `u32`: nodes of layer 1, 2, …: not 0, never more than below      |
//! | `upper_counts`   | `upper_nodes`           | `u8`: links of each node of layer 1, then layer 2, …, at most `m`|
//! | `upper_links`    | `width * upper_links`   | the links, in that order; each names a node of its layer         |
//!
//! `width` is 2 while `count <= 65536`, else 4. Layer `l >= 1` holds the nodes `0..layer_sizes[l - 1]`. Without a graph
//! `upper_layers`, `base_links`, `upper_nodes` and `upper_links` are 0.

use std::ops::Range;

use super::ShardError;
use crate::Digest;
pub use crate::index::{MAX_LAYERS, MAX_M};
pub use crate::kernels::MAX_DIM;

/// The first bytes of a shard.
pub const MAGIC: [u8; 4] = *b"NSSH";
/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest format that this build reads.
pub const OLDEST_READABLE: u16 = 1;
/// The reader flags that this build knows.
pub const READER_FLAGS: u16 = 0;
/// Most candidates of a shard.
pub const MAX_COUNT: u32 = 1 << 24;
/// Largest default width of a search: a bound on the work of a query that a shard may ask for.
pub const MAX_EF_SEARCH: u32 = 4096;
/// Bytes before the sections.
pub const HEADER_LEN: usize = 96;
/// The entry point of a shard without a graph.
pub const NO_ENTRY_POINT: u32 = u32::MAX;

/// The sections, in their order in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Ends of the ids.
    IdEnds,
    /// Text of the ids.
    IdText,
    /// Int8 codes.
    Codes,
    /// Scales of the codes.
    Scales,
    /// Numbers of links on layer 0.
    BaseCounts,
    /// Links on layer 0.
    BaseLinks,
    /// Sizes of the upper layers.
    LayerSizes,
    /// Numbers of links above layer 0.
    UpperCounts,
    /// Links above layer 0.
    UpperLinks,
}

impl Section {
    /// All sections, in their order in the file.
    pub const ALL: [Self; 9] = [
        Self::IdEnds,
        Self::IdText,
        Self::Codes,
        Self::Scales,
        Self::BaseCounts,
        Self::BaseLinks,
        Self::LayerSizes,
        Self::UpperCounts,
        Self::UpperLinks,
    ];

    /// The name in the table above.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdEnds => "id_ends",
            Self::IdText => "id_text",
            Self::Codes => "codes",
            Self::Scales => "scales",
            Self::BaseCounts => "base_counts",
            Self::BaseLinks => "base_links",
            Self::LayerSizes => "layer_sizes",
            Self::UpperCounts => "upper_counts",
            Self::UpperLinks => "upper_links",
        }
    }
}

/// The header of a shard: the fields of the table above that are not fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Dimensions of the vectors.
    pub dim: u32,
    /// Candidates.
    pub count: u32,
    /// Most links of a node above layer 0, or 0 without a graph.
    pub m: u16,
    /// Where searches start, or [`NO_ENTRY_POINT`].
    pub entry_point: u32,
    /// Default width of a search.
    pub ef_search: u32,
    /// Layers above layer 0.
    pub upper_layers: u32,
    /// The towers that made the vectors.
    pub towers: Digest,
    /// Length of the ids.
    pub id_bytes: u32,
    /// Links on layer 0.
    pub base_links: u32,
    /// Sum of the sizes of the upper layers.
    pub upper_nodes: u32,
    /// Links above layer 0.
    pub upper_links: u32,
}

impl Header {
    /// Reads and checks the header at the start of `bytes`, without looking at the sections.
    ///
    /// # Errors
    /// If the bytes are not a header that this build reads.
    pub fn parse(bytes: &[u8]) -> Result<Self, ShardError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ShardError::Magic { found: bytes[..bytes.len().min(4)].to_vec() });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(ShardError::Truncated { what: "header", need: HEADER_LEN as u64, have: bytes.len() as u64 });
        };
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let version = u16_at(4);
        if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
            return Err(ShardError::Version { found: version });
        }
        if u16_at(6) & !READER_FLAGS != 0 {
            return Err(ShardError::Flags { found: u16_at(6), known: READER_FLAGS });
        }
        ShardError::check("metric", header[18].into(), 0, 0)?;
        ShardError::check("encoding", header[19].into(), 0, 0)?;
        for &reserved in &header[80..HEADER_LEN] {
            ShardError::check("reserved byte", reserved.into(), 0, 0)?;
        }
        let mut towers = [0; Digest::LEN];
        towers.copy_from_slice(&header[32..64]);
        let header = Self {
            dim: u32_at(8),
            count: u32_at(12),
            m: u16_at(16),
            entry_point: u32_at(20),
            ef_search: u32_at(24),
            upper_layers: u32_at(28),
            towers: Digest::from_bytes(towers),
            id_bytes: u32_at(64),
            base_links: u32_at(68),
            upper_nodes: u32_at(72),
            upper_links: u32_at(76),
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
        put(8, &self.dim.to_le_bytes());
        put(12, &self.count.to_le_bytes());
        put(16, &self.m.to_le_bytes());
        put(20, &self.entry_point.to_le_bytes());
        put(24, &self.ef_search.to_le_bytes());
        put(28, &self.upper_layers.to_le_bytes());
        put(32, self.towers.as_bytes());
        put(64, &self.id_bytes.to_le_bytes());
        put(68, &self.base_links.to_le_bytes());
        put(72, &self.upper_nodes.to_le_bytes());
        put(76, &self.upper_links.to_le_bytes());
        bytes
    }

    /// Checks every rule of the table that the header alone decides.
    ///
    /// # Errors
    /// [`ShardError::Field`] with the field that breaks its rule.
    pub fn check(&self) -> Result<(), ShardError> {
        let (count, m) = (u64::from(self.count), u64::from(self.m));
        ShardError::check("dim", self.dim.into(), 1, MAX_DIM as u64)?;
        ShardError::check("count", count, 0, MAX_COUNT.into())?;
        ShardError::check("m", m, 0, MAX_M as u64)?;
        ShardError::check("ef_search", self.ef_search.into(), 1, MAX_EF_SEARCH.into())?;
        if self.has_graph() {
            ShardError::check("count of a shard with a graph", count, 1, MAX_COUNT.into())?;
            ShardError::check("entry_point", self.entry_point.into(), 0, count - 1)?;
        } else {
            ShardError::check("entry_point", self.entry_point.into(), NO_ENTRY_POINT.into(), NO_ENTRY_POINT.into())?;
        }
        let layers = u64::from(self.upper_layers);
        ShardError::check("upper_layers", layers, 0, if self.has_graph() { MAX_LAYERS as u64 } else { 0 })?;
        ShardError::check("base_links", self.base_links.into(), 0, count * 2 * m)?;
        ShardError::check("upper_nodes", self.upper_nodes.into(), layers, layers * count)?;
        ShardError::check("upper_links", self.upper_links.into(), 0, u64::from(self.upper_nodes) * m)
    }

    /// Whether the shard holds a graph.
    pub fn has_graph(&self) -> bool {
        self.m > 0
    }

    /// Bytes of a link.
    pub fn link_width(&self) -> u64 {
        if self.count <= 1 << 16 { 2 } else { 4 }
    }

    /// Bytes of a section.
    pub fn section_len(&self, section: Section) -> u64 {
        let count = u64::from(self.count);
        match section {
            Section::IdEnds | Section::Scales => 4 * count,
            Section::IdText => self.id_bytes.into(),
            Section::Codes => count * u64::from(self.dim),
            Section::BaseCounts => {
                if self.has_graph() {
                    count
                } else {
                    0
                }
            }
            Section::BaseLinks => self.link_width() * u64::from(self.base_links),
            Section::LayerSizes => 4 * u64::from(self.upper_layers),
            Section::UpperCounts => self.upper_nodes.into(),
            Section::UpperLinks => self.link_width() * u64::from(self.upper_links),
        }
    }

    /// Bytes of the whole file. The fields' limits keep it far below `u64::MAX`.
    pub fn file_len(&self) -> u64 {
        HEADER_LEN as u64
            + Section::ALL.map(|section| self.section_len(section)).iter().sum::<u64>()
            + Digest::LEN as u64
    }

    /// Checks that a file of `have` bytes is exactly as long as the header states.
    pub(super) fn check_file_len(&self, have: u64) -> Result<(), ShardError> {
        let mut need = HEADER_LEN as u64;
        let parts = Section::ALL.map(|section| (section.name(), self.section_len(section)));
        for (what, len) in parts.into_iter().chain([("digest", Digest::LEN as u64)]) {
            need += len;
            if have < need {
                return Err(ShardError::Truncated { what, need, have });
            }
        }
        if have > need { Err(ShardError::Trailing { need, have }) } else { Ok(()) }
    }

    /// Where a section lies in a file whose length [`Header::check_file_len`] accepted: every offset then fits `usize`,
    /// because the file itself is in memory.
    pub(super) fn section_range(&self, section: Section) -> Range<usize> {
        let before = Section::ALL.into_iter().take_while(|&s| s != section).map(|s| self.section_len(s)).sum::<u64>();
        let start = HEADER_LEN + before as usize;
        start..start + self.section_len(section) as usize
    }
}
