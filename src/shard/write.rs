//! From the content of a shard to its bytes.

use super::ShardError;
use super::format::{Header, NO_ENTRY_POINT, Section};
use crate::Digest;
use crate::index::{Codes, Graph};

/// What a shard says. Node `i` has the id `ids[i]`, row `i` of the codes, and the links of node `i` in the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardContent {
    /// The towers that made the vectors.
    pub towers: Digest,
    /// Default width of a search, `1..=`[`MAX_EF_SEARCH`](super::format::MAX_EF_SEARCH).
    pub ef_search: usize,
    /// One id per node, each one once.
    pub ids: Vec<String>,
    /// One vector per node.
    pub codes: Codes,
    /// The links; without them the shard is scanned.
    pub graph: Option<Graph>,
}

impl ShardContent {
    /// The bytes of the shard: the same content gives the same bytes.
    ///
    /// # Errors
    /// If the parts disagree in length, an id occurs twice, or a limit of the [format](super::format) is exceeded.
    pub fn write(&self) -> Result<Vec<u8>, ShardError> {
        let header = self.header()?;
        let mut bytes = header.to_bytes().to_vec();
        bytes.reserve_exact((header.file_len() as usize).saturating_sub(bytes.len()));
        for section in Section::ALL {
            let start = bytes.len() as u64;
            self.put(section, header.link_width() == 2, &mut bytes);
            debug_assert_eq!(bytes.len() as u64 - start, header.section_len(section), "{}", section.name());
        }
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    fn header(&self) -> Result<Header, ShardError> {
        let count = self.ids.len();
        let same = |what, found| {
            if found == count { Ok(()) } else { Err(ShardError::Content { what, found, expected: count }) }
        };
        same("codes", self.codes.len())?;
        same("graph", self.graph.as_ref().map_or(count, Graph::len))?;
        self.check_ids()?;
        let u32_of = |what, n: usize| u32::try_from(n).map_err(|_| field(what, n));
        let id_bytes = self.ids.iter().try_fold(0usize, |sum, id| sum.checked_add(id.len())).unwrap_or(usize::MAX);
        let mut header = Header {
            dim: u32_of("dim", self.codes.view().dim())?,
            count: u32_of("count", count)?,
            m: 0,
            entry_point: NO_ENTRY_POINT,
            ef_search: u32_of("ef_search", self.ef_search)?,
            upper_layers: 0,
            towers: self.towers,
            id_bytes: u32_of("id_bytes", id_bytes)?,
            base_links: 0,
            upper_nodes: 0,
            upper_links: 0,
        };
        if let Some(graph) = &self.graph {
            header.m = u16::try_from(graph.m()).map_err(|_| field("m", graph.m()))?;
            header.entry_point = graph.view().entry_point().0;
            header.upper_layers = u32_of("upper_layers", graph.layer_sizes().len())?;
            header.base_links = u32_of("base_links", graph.base().1.len())?;
            header.upper_nodes = u32_of("upper_nodes", graph.upper().0.len())?;
            header.upper_links = u32_of("upper_links", graph.upper().1.len())?;
        }
        header.check()?;
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

    fn put(&self, section: Section, narrow: bool, bytes: &mut Vec<u8>) {
        let graph = self.graph.as_ref();
        match section {
            Section::IdEnds => {
                let mut end = 0u32;
                for id in &self.ids {
                    end += id.len() as u32;
                    bytes.extend(end.to_le_bytes());
                }
            }
            Section::IdText => self.ids.iter().for_each(|id| bytes.extend(id.as_bytes())),
            Section::Codes => bytes.extend_from_slice(bytemuck::cast_slice(self.codes.view().codes())),
            Section::Scales => bytes.extend(self.codes.view().scales().iter().flat_map(|scale| scale.to_le_bytes())),
            Section::BaseCounts => bytes.extend(graph.iter().flat_map(|graph| counts(graph.base().0))),
            Section::BaseLinks => graph.iter().for_each(|graph| put_links(graph.base().1, narrow, bytes)),
            Section::LayerSizes => {
                bytes.extend(graph.iter().flat_map(|graph| graph.layer_sizes()).flat_map(|size| size.to_le_bytes()));
            }
            Section::UpperCounts => bytes.extend(graph.iter().flat_map(|graph| counts(graph.upper().0))),
            Section::UpperLinks => graph.iter().for_each(|graph| put_links(graph.upper().1, narrow, bytes)),
        }
    }
}

/// Lengths of lists from their ends; a graph's lists are at most `2 * MAX_M` long.
fn counts(ends: &[u32]) -> impl Iterator<Item = u8> + '_ {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(starts).map(|(end, start)| (end - start) as u8)
}

fn put_links(links: &[[u8; 4]], narrow: bool, bytes: &mut Vec<u8>) {
    let width = if narrow { 2 } else { 4 };
    bytes.extend(links.iter().flat_map(|link| &link[..width]));
}

fn field(what: &'static str, found: usize) -> ShardError {
    ShardError::Field { what, found: found as u64, low: 0, high: u32::MAX.into() }
}
