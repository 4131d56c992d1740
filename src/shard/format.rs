//! # Shard file, format 3
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
//! |     16 |    4 | `cells`          | `1..=`[`MAX_CELLS`]                                                   |
//! |     20 |    1 | `fine_bits`      | 0, 2 or 4: bits per component beyond the coarse four                  |
//! |     21 |    1 | `metric`         | 0: inner product                                                      |
//! |     22 |    1 | `step_exponent`  | `i8` in [`EXPONENTS`]                                                 |
//! |     23 |    1 | `id_kind`        | 0: text, 1: decimal numbers                                           |
//! |     24 |    2 | `m`              | `0..=`[`MAX_M`]; 0: no graph                                          |
//! |     26 |    2 | `upper_layers`   | `0..=`[`MAX_LAYERS`]                                                  |
//! |     28 |    4 | `probes`         | `1..=`[`MAX_CELLS`]: cells that a search scans by default             |
//! |     32 |   32 | `towers`         | SHA-256 of the towers that made the vectors                           |
//! |     64 |    4 | `ef_search`      | `1..=`[`MAX_EF_SEARCH`]: the default width of a walk over rows        |
//! |     68 |    4 | `entry_point`    | a node of the highest layer, or `u32::MAX` without a graph            |
//! |     72 |    4 | `id_bytes`       | length of the section `ids`                                           |
//! |     76 |    4 | `base_bytes`     | length of the section `base_links`                                    |
//! |     80 |    4 | `upper_nodes`    | sum of `layer_sizes`                                                  |
//! |     84 |    4 | `upper_bytes`    | length of the section `upper_links`                                   |
//! |     88 |    4 | `columns_bytes`  | length of the section `columns`                                       |
//! |     92 |    4 | `reserved`       | zero                                                                  |
//! |     96 |      | `sections`       | below, in this order                                                  |
//! |      … |   32 | `digest`         | SHA-256 of all bytes before; then the file ends                       |
//!
//! | section            | size                        | content                                                        |
//! |--------------------|-----------------------------|----------------------------------------------------------------|
//! | `centroid_codes`   | `cells * dim`               | `i8`, row-major by cell                                        |
//! | `centroid_scales`  | `4 * cells`                 | `f32`, `0..=`[`MAX_SCALE`]; a component is `scale * code`      |
//! | `cell_ends`        | `4 * cells`                 | `u32`: where the rows of each cell end, never less than before, at last `count` |
//! | `steps`            | `count`                     | a byte per row, see [`ResidualCodes`](crate::index::ResidualCodes) |
//! | `coarse`           | `count *` [`nibble_stride`] | the upper four bits of each code plus 8, 32 components to a block of 16 bytes, as [`nibble_place`](crate::kernels::scalar::nibble_place) says |
//! | `fine`             | `count * ceil(dim * fine_bits / 8)` | the lower bits of each code, the first component lowest |
//! | `ids`              | `id_bytes`                  | below                                                          |
//! | `base_counts`      | `nodes`, 0 if no graph      | `u8`: links of each node on layer 0, at most `2 * m`           |
//! | `base_links`       | `base_bytes`                | the lists of layer 0, by node, as [`Adjacency`](crate::index::Adjacency) has them |
//! | `layer_sizes`      | `4 * upper_layers`          | `u32`: nodes of layer 1, 2, …: not 0, never more than below    |
//! | `upper_counts`     | `upper_nodes`               | `u8`: links of each node of layer 1, then layer 2, …, at most `m` |
//! | `upper_links`      | `upper_bytes`               | their lists; each link names a node of its layer               |
//! | `columns`          | `columns_bytes`             | nothing, or [columns](super::columns::format) of `count` rows, in the order of the rows |
//!
//! The nodes of the graph are the cells, or the rows if there is one cell. Layer `l >= 1` holds the nodes
//! `0..layer_sizes[l - 1]`. Without a graph all its sections are empty.
//!
//! Ids stand in the order of the rows, in blocks of [`ID_BLOCK`]; numbers are LEB128.
//!
//! - Text: the length of what the id shares with the one before in its block (0 for the first), the length of the rest, the
//!   rest. An id is UTF-8, at most [`MAX_ID_BYTES`].
//! - Decimal numbers up to `u64::MAX` without leading zeros: the difference from the one before in its block (0 for the
//!   first), modulo 2^64, zigzag-coded.
//!
//! No id occurs twice; a reader that trusts the publisher of the file need not check that.

use std::ops::Range;

use super::ShardError;
use crate::Digest;
use crate::index::{EXPONENTS, FineBits};
pub use crate::index::{MAX_LAYERS, MAX_M};
pub use crate::kernels::{MAX_DIM, nibble_stride};

/// The first bytes of a shard.
pub const MAGIC: [u8; 4] = *b"NSSH";
/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 3;
/// The oldest format that this build reads.
pub const OLDEST_READABLE: u16 = 3;
/// The reader flags that this build knows.
pub const READER_FLAGS: u16 = 0;
/// Most candidates of a shard.
pub const MAX_COUNT: u32 = 1 << 24;
/// Most cells of a shard.
pub const MAX_CELLS: u32 = 1 << 16;
/// Largest default width of a search: a bound on the work of a query that a shard may ask for.
pub const MAX_EF_SEARCH: u32 = 4096;
/// Largest scale of a centroid: a score stays finite.
pub const MAX_SCALE: f32 = 1e27;
/// Bytes before the sections.
pub const HEADER_LEN: usize = 96;
/// The entry point of a shard without a graph.
pub const NO_ENTRY_POINT: u32 = u32::MAX;
/// Ids that are coded against each other: to read one, those before it in its block are read.
pub const ID_BLOCK: usize = 16;
/// Most bytes of an id. In the file it may be a few bytes beside the one before, and a row reads thousands.
pub const MAX_ID_BYTES: usize = 1 << 10;

/// How ids are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// Any text.
    Text,
    /// Decimal numbers without leading zeros.
    Decimal,
}

/// The sections, in their order in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Codes of the centroids.
    CentroidCodes,
    /// Scales of the centroids.
    CentroidScales,
    /// Ends of the cells.
    CellEnds,
    /// Steps of the rows' codes.
    Steps,
    /// Coarse plane.
    Coarse,
    /// Fine plane.
    Fine,
    /// Ids.
    Ids,
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
    /// Columns.
    Columns,
}

impl Section {
    /// All sections, in their order in the file.
    pub const ALL: [Self; 13] = [
        Self::CentroidCodes,
        Self::CentroidScales,
        Self::CellEnds,
        Self::Steps,
        Self::Coarse,
        Self::Fine,
        Self::Ids,
        Self::BaseCounts,
        Self::BaseLinks,
        Self::LayerSizes,
        Self::UpperCounts,
        Self::UpperLinks,
        Self::Columns,
    ];

    /// The name in the table above.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CentroidCodes => "centroid_codes",
            Self::CentroidScales => "centroid_scales",
            Self::CellEnds => "cell_ends",
            Self::Steps => "steps",
            Self::Coarse => "coarse",
            Self::Fine => "fine",
            Self::Ids => "ids",
            Self::BaseCounts => "base_counts",
            Self::BaseLinks => "base_links",
            Self::LayerSizes => "layer_sizes",
            Self::UpperCounts => "upper_counts",
            Self::UpperLinks => "upper_links",
            Self::Columns => "columns",
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
    /// Cells that they lie in.
    pub cells: u32,
    /// Bits beyond the coarse four.
    pub fine_bits: FineBits,
    /// Exponent of the steps.
    pub step_exponent: i8,
    /// How ids are coded.
    pub id_kind: IdKind,
    /// Most links of a node above layer 0, or 0 without a graph.
    pub m: u16,
    /// Layers above layer 0.
    pub upper_layers: u16,
    /// Cells that a search scans by default.
    pub probes: u32,
    /// The towers that made the vectors.
    pub towers: Digest,
    /// Default width of a walk over rows.
    pub ef_search: u32,
    /// Where walks start, or [`NO_ENTRY_POINT`].
    pub entry_point: u32,
    /// Length of the ids.
    pub id_bytes: u32,
    /// Length of the links on layer 0.
    pub base_bytes: u32,
    /// Sum of the sizes of the upper layers.
    pub upper_nodes: u32,
    /// Length of the links above layer 0.
    pub upper_bytes: u32,
    /// Length of the columns.
    pub columns_bytes: u32,
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
        let unknown = |what, found: u8, high| ShardError::Field { what, found: found.into(), low: 0, high };
        let fine_bits = FineBits::from_bits(header[20].into()).ok_or_else(|| unknown("fine_bits", header[20], 4))?;
        ShardError::check("metric", header[21].into(), 0, 0)?;
        let id_kind = match header[23] {
            0 => IdKind::Text,
            1 => IdKind::Decimal,
            found => return Err(unknown("id_kind", found, 1)),
        };
        for &reserved in &header[92..HEADER_LEN] {
            ShardError::check("reserved byte", reserved.into(), 0, 0)?;
        }
        let mut towers = [0; Digest::LEN];
        towers.copy_from_slice(&header[32..64]);
        let header = Self {
            dim: u32_at(8),
            count: u32_at(12),
            cells: u32_at(16),
            fine_bits,
            step_exponent: header[22] as i8,
            id_kind,
            m: u16_at(24),
            upper_layers: u16_at(26),
            probes: u32_at(28),
            towers: Digest::from_bytes(towers),
            ef_search: u32_at(64),
            entry_point: u32_at(68),
            id_bytes: u32_at(72),
            base_bytes: u32_at(76),
            upper_nodes: u32_at(80),
            upper_bytes: u32_at(84),
            columns_bytes: u32_at(88),
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
        put(16, &self.cells.to_le_bytes());
        put(20, &[self.fine_bits.bits() as u8, 0, self.step_exponent as u8, self.id_kind as u8]);
        put(24, &self.m.to_le_bytes());
        put(26, &self.upper_layers.to_le_bytes());
        put(28, &self.probes.to_le_bytes());
        put(32, self.towers.as_bytes());
        put(64, &self.ef_search.to_le_bytes());
        put(68, &self.entry_point.to_le_bytes());
        put(72, &self.id_bytes.to_le_bytes());
        put(76, &self.base_bytes.to_le_bytes());
        put(80, &self.upper_nodes.to_le_bytes());
        put(84, &self.upper_bytes.to_le_bytes());
        put(88, &self.columns_bytes.to_le_bytes());
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
        ShardError::check("cells", self.cells.into(), 1, MAX_CELLS.into())?;
        if !EXPONENTS.contains(&self.step_exponent) {
            let (found, low, high) = (self.step_exponent, *EXPONENTS.start(), *EXPONENTS.end());
            return Err(ShardError::StepExponent { found, low, high });
        }
        ShardError::check("m", m, 0, MAX_M as u64)?;
        ShardError::check("probes", self.probes.into(), 1, MAX_CELLS.into())?;
        ShardError::check("ef_search", self.ef_search.into(), 1, MAX_EF_SEARCH.into())?;
        let (nodes, layers) = (u64::from(self.nodes()), u64::from(self.upper_layers));
        if self.has_graph() {
            ShardError::check("nodes of a graph", nodes, 1, MAX_COUNT.into())?;
            ShardError::check("entry_point", self.entry_point.into(), 0, nodes - 1)?;
        } else {
            ShardError::check("entry_point", self.entry_point.into(), NO_ENTRY_POINT.into(), NO_ENTRY_POINT.into())?;
        }
        ShardError::check("upper_layers", layers, 0, if self.has_graph() { MAX_LAYERS as u64 } else { 0 })?;
        // A link takes at most five bytes.
        ShardError::check("base_bytes", self.base_bytes.into(), 0, nodes * 2 * m * 5)?;
        ShardError::check("upper_nodes", self.upper_nodes.into(), layers, layers * nodes)?;
        ShardError::check("upper_bytes", self.upper_bytes.into(), 0, u64::from(self.upper_nodes) * m * 5)
    }

    /// Whether the shard holds a graph.
    pub fn has_graph(&self) -> bool {
        self.m > 0
    }

    /// What a graph has as nodes: the cells, or the rows of a single one.
    pub fn nodes(&self) -> u32 {
        if self.cells == 1 { self.count } else { self.cells }
    }

    /// Bytes of a section.
    pub fn section_len(&self, section: Section) -> u64 {
        let (count, cells, dim) = (u64::from(self.count), u64::from(self.cells), self.dim as usize);
        match section {
            Section::CentroidCodes => cells * dim as u64,
            Section::CentroidScales | Section::CellEnds => 4 * cells,
            Section::Steps => count,
            Section::Coarse => count * nibble_stride(dim) as u64,
            Section::Fine => count * self.fine_bits.stride(dim) as u64,
            Section::Ids => self.id_bytes.into(),
            Section::BaseCounts => u64::from(self.has_graph()) * u64::from(self.nodes()),
            Section::BaseLinks => self.base_bytes.into(),
            Section::LayerSizes => 4 * u64::from(self.upper_layers),
            Section::UpperCounts => self.upper_nodes.into(),
            Section::UpperLinks => self.upper_bytes.into(),
            Section::Columns => self.columns_bytes.into(),
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
