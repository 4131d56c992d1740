//! From the content of a shard to its bytes.

use super::format::{Header, MAX_SCALE, NO_ENTRY_POINT, Section};
use super::read::read_columns;
use super::{ShardError, ids};
use crate::Digest;
use crate::index::{Index, SearchParams};

/// What a shard says. Node `i` has the id `ids[i]` and row `i` of the index.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardContent {
    /// The towers that made the vectors.
    pub towers: Digest,
    /// How far a search goes unless it is told otherwise: probes up to [`MAX_CELLS`](super::format::MAX_CELLS), a width up to
    /// [`MAX_EF_SEARCH`](super::format::MAX_EF_SEARCH), neither 0.
    pub params: SearchParams,
    /// One id per node, each one once.
    pub ids: Vec<String>,
    /// The vectors.
    pub index: Index,
    /// The file of [columns](super::columns), one row per node, or nothing.
    pub columns: Vec<u8>,
}

impl ShardContent {
    /// The bytes of the shard: the same content gives the same bytes.
    ///
    /// # Errors
    /// If the parts disagree in length, an id occurs twice, the columns are none, or a limit of the [format](super::format) is
    /// exceeded.
    pub fn write(&self) -> Result<Vec<u8>, ShardError> {
        self.check_ids()?;
        read_columns(&self.columns, self.ids.len())?;
        let (id_kind, ids) = ids::write(&self.ids)?;
        let header = Header { id_kind, id_bytes: u32_of("id_bytes", ids.len())?, ..self.header()? };
        header.check()?;
        let mut bytes = header.to_bytes().to_vec();
        bytes.reserve_exact((header.file_len() as usize).saturating_sub(bytes.len()));
        for section in Section::ALL {
            let start = bytes.len() as u64;
            self.put(section, &ids, &mut bytes);
            debug_assert_eq!(bytes.len() as u64 - start, header.section_len(section), "{}", section.name());
        }
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// The header, but for what the ids decide.
    fn header(&self) -> Result<Header, ShardError> {
        let (count, view) = (self.ids.len(), self.index.view());
        if view.len() != count {
            return Err(ShardError::Content { what: "index", found: view.len(), expected: count });
        }
        let mut header = Header {
            dim: u32_of("dim", view.dim())?,
            count: u32_of("count", count)?,
            cells: u32_of("cells", view.cells())?,
            fine_bits: self.index.codes.fine_bits(),
            step_exponent: self.index.codes.exponent(),
            id_kind: super::format::IdKind::Text,
            m: 0,
            upper_layers: 0,
            probes: u32_of("probes", self.params.probes)?,
            towers: self.towers,
            ef_search: u32_of("ef_search", self.params.ef_search)?,
            entry_point: NO_ENTRY_POINT,
            id_bytes: 0,
            base_bytes: 0,
            upper_nodes: 0,
            upper_bytes: 0,
            columns_bytes: u32_of("columns_bytes", self.columns.len())?,
        };
        let scales = self.index.centroids.view().scales();
        if let Some(cell) = scales.iter().position(|scale| !(0.0..=MAX_SCALE).contains(scale)) {
            return Err(ShardError::Scale { cell: cell as u32, found: scales[cell] });
        }
        if let Some(graph) = &self.index.graph {
            header.m = u16::try_from(graph.m()).map_err(|_| field("m", graph.m()))?;
            header.entry_point = graph.view().entry_point().0;
            header.upper_layers = graph.layer_sizes().len() as u16;
            header.base_bytes = u32_of("base_bytes", graph.base().1.len())?;
            header.upper_nodes = u32_of("upper_nodes", graph.upper().0.len())?;
            header.upper_bytes = u32_of("upper_bytes", graph.upper().1.len())?;
        }
        Ok(header)
    }

    fn check_ids(&self) -> Result<(), ShardError> {
        let mut sorted: Vec<u32> = (0..self.ids.len() as u32).collect();
        sorted.sort_by_key(|&node| &self.ids[node as usize]);
        match sorted.windows(2).find(|pair| self.ids[pair[0] as usize] == self.ids[pair[1] as usize]) {
            Some(pair) => {
                let id = self.ids[pair[0] as usize].clone();
                Err(ShardError::DuplicateId { id, first: pair[0], second: pair[1] })
            }
            None => Ok(()),
        }
    }

    fn put(&self, section: Section, ids: &[u8], bytes: &mut Vec<u8>) {
        let (index, graph) = (&self.index, self.index.graph.as_ref());
        let (centroids, (coarse, fine, steps)) = (index.centroids.view(), index.codes.parts());
        match section {
            Section::CentroidCodes => bytes.extend_from_slice(bytemuck::cast_slice(centroids.codes())),
            Section::CentroidScales => bytes.extend(centroids.scales().iter().flat_map(|scale| scale.to_le_bytes())),
            Section::CellEnds => bytes.extend(index.cell_ends.iter().flat_map(|end| end.to_le_bytes())),
            Section::Steps => bytes.extend_from_slice(steps),
            Section::Coarse => bytes.extend_from_slice(coarse),
            Section::Fine => bytes.extend_from_slice(fine),
            Section::Ids => bytes.extend_from_slice(ids),
            Section::BaseCounts => bytes.extend(graph.iter().flat_map(|graph| graph.base().0)),
            Section::BaseLinks => bytes.extend(graph.iter().flat_map(|graph| graph.base().1)),
            Section::LayerSizes => {
                bytes.extend(graph.iter().flat_map(|graph| graph.layer_sizes()).flat_map(|size| size.to_le_bytes()));
            }
            Section::UpperCounts => bytes.extend(graph.iter().flat_map(|graph| graph.upper().0)),
            Section::UpperLinks => bytes.extend(graph.iter().flat_map(|graph| graph.upper().1)),
            Section::Columns => bytes.extend_from_slice(&self.columns),
        }
    }
}

fn u32_of(what: &'static str, n: usize) -> Result<u32, ShardError> {
    u32::try_from(n).map_err(|_| field(what, n))
}

fn field(what: &'static str, found: usize) -> ShardError {
    ShardError::Field { what, found: found as u64, low: 0, high: u32::MAX.into() }
}
