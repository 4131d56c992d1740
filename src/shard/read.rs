//! From the bytes of a shard to its content, in place.

use super::format::{Header, Section};
use super::ids::IdTable;
use super::{ShardContent, ShardError};
use crate::Digest;
use crate::index::{
    Adjacency, Codes, CodesView, Graph, GraphView, Hit, Links, NodeId, QueryCode, Scratch, exact, search,
};

/// The state of a shard whose header alone has been read.
#[derive(Debug)]
pub struct Unverified;

/// The state of a shard whose every byte has been checked, with what a search needs beside the bytes.
#[derive(Debug)]
pub struct Verified {
    scales: Vec<f32>,
    lists: ListEnds,
    ids: IdTable,
}

/// Where the lists of the graph end. All empty without a graph.
#[derive(Debug, Default)]
struct ListEnds {
    base: Vec<u32>,
    upper: Vec<u32>,
    layer_sizes: Vec<u32>,
}

/// One shard, held as the bytes of its file.
#[derive(Debug)]
pub struct Shard<State> {
    bytes: Vec<u8>,
    header: Header,
    state: State,
}

impl<State> Shard<State> {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The towers that made the vectors.
    pub fn towers(&self) -> Digest {
        self.header.towers
    }

    /// Checks that the vectors are of these towers.
    ///
    /// # Errors
    /// [`ShardError::Towers`] if they are not.
    pub fn check_towers(&self, expected: Digest) -> Result<(), ShardError> {
        let found = self.towers();
        if found == expected { Ok(()) } else { Err(ShardError::Towers { found, expected }) }
    }

    /// Candidates.
    pub fn len(&self) -> usize {
        self.header.count as usize
    }

    /// Whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// Dimensions of the vectors.
    pub fn dim(&self) -> usize {
        self.header.dim as usize
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn section(&self, section: Section) -> &[u8] {
        &self.bytes[self.header.section_range(section)]
    }

    fn words(&self, section: Section) -> impl Iterator<Item = u32> + '_ {
        self.section(section).as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word))
    }

    /// Bytes of the id of `node` within `id_text`, once the ends have been checked.
    fn id_bytes(&self, node: u32) -> &[u8] {
        let ends = self.section(Section::IdEnds).as_chunks::<4>().0;
        let end_of = |node: u32| u32::from_le_bytes(ends[node as usize]) as usize;
        let start = node.checked_sub(1).map_or(0, end_of);
        &self.section(Section::IdText)[start..end_of(node)]
    }
}

impl Shard<Unverified> {
    /// Reads the header of a shard, and checks that the file is exactly as long as the header states. Nothing is copied.
    ///
    /// # Errors
    /// If the bytes are not a shard, are cut or too long, or this build cannot read them.
    pub fn open(bytes: Vec<u8>) -> Result<Self, ShardError> {
        let header = Header::parse(&bytes)?;
        header.check_file_len(bytes.len() as u64)?;
        Ok(Self { bytes, header, state: Unverified })
    }

    /// Checks the digest and every value, so that nothing later can fail.
    ///
    /// # Errors
    /// If the digest is wrong, or a value breaks a rule of the [format](super::format).
    pub fn verify(self) -> Result<Shard<Verified>, ShardError> {
        let content = self.bytes.len() - Digest::LEN;
        let (found, stored) = (Digest::of(&self.bytes[..content]), &self.bytes[content..]);
        if found.as_bytes() != stored {
            let mut expected = [0; Digest::LEN];
            expected.copy_from_slice(stored);
            return Err(ShardError::Digest { found, expected: Digest::from_bytes(expected) });
        }
        self.verify_values()
    }

    /// Checks every value but not the digest at the end: for bytes whose digest as a whole has just been compared with a
    /// trusted one, so that they are not digested twice.
    pub(crate) fn verify_values(self) -> Result<Shard<Verified>, ShardError> {
        let scales = self.check_scales()?;
        let lists = self.check_graph()?;
        let ids = self.check_ids()?;
        let state = Verified { scales, lists, ids };
        Ok(Shard { bytes: self.bytes, header: self.header, state })
    }

    fn check_scales(&self) -> Result<Vec<f32>, ShardError> {
        let scales: Vec<f32> = self.words(Section::Scales).map(f32::from_bits).collect();
        match scales.iter().position(|scale| !scale.is_finite() || *scale < 0.0) {
            Some(node) => Err(ShardError::Scale { node: node as u32, found: scales[node] }),
            None => Ok(scales),
        }
    }

    fn check_ids(&self) -> Result<IdTable, ShardError> {
        let mut before = 0;
        for end in self.words(Section::IdEnds) {
            ShardError::check("end of an id", end.into(), before, self.header.id_bytes.into())?;
            before = end.into();
        }
        ShardError::check("end of the last id", before, self.header.id_bytes.into(), self.header.id_bytes.into())?;
        for node in 0..self.header.count {
            std::str::from_utf8(self.id_bytes(node)).map_err(|_| ShardError::IdText { node })?;
        }
        let id = |node| std::str::from_utf8(self.id_bytes(node)).unwrap_or_default();
        let seed = self.bytes.last_chunk::<8>().map_or(0, |last| u64::from_le_bytes(*last));
        IdTable::build(self.header.count, seed, id).map_err(|(first, second)| ShardError::DuplicateId {
            id: id(second).to_owned(),
            first,
            second,
        })
    }

    fn check_graph(&self) -> Result<ListEnds, ShardError> {
        let header = &self.header;
        if !header.has_graph() {
            return Ok(ListEnds::default());
        }
        let m = u64::from(header.m);
        let layer_sizes: Vec<u32> = self.words(Section::LayerSizes).collect();
        let mut below = header.count;
        for &size in &layer_sizes {
            ShardError::check("size of a layer", size.into(), 1, below.into())?;
            below = size;
        }
        ShardError::check("entry_point", header.entry_point.into(), 0, u64::from(below) - 1)?;
        let sum: u64 = layer_sizes.iter().map(|&size| u64::from(size)).sum();
        ShardError::check("upper_nodes", header.upper_nodes.into(), sum, sum)?;

        let base = list_ends(self.section(Section::BaseCounts), 2 * m, header.base_links)?;
        self.check_links(Section::BaseLinks, 0, header.base_links, header.count)?;
        let upper = list_ends(self.section(Section::UpperCounts), m, header.upper_links)?;
        let (mut first_list, mut first_link) = (0, 0);
        for &size in &layer_sizes {
            first_list += size as usize;
            let end = upper[first_list - 1];
            self.check_links(Section::UpperLinks, first_link, end, size)?;
            first_link = end;
        }
        Ok(ListEnds { base, upper, layer_sizes })
    }

    /// Checks that the links `start..end` of a section name nodes below `limit`.
    fn check_links(&self, section: Section, start: u32, end: u32, limit: u32) -> Result<(), ShardError> {
        let largest = match links(&self.header, self.section(section)) {
            Links::U16(links) => {
                links[start as usize..end as usize].iter().map(|&link| u32::from(u16::from_le_bytes(link))).max()
            }
            Links::U32(links) => links[start as usize..end as usize].iter().map(|&link| u32::from_le_bytes(link)).max(),
        };
        largest.map_or(Ok(()), |largest| ShardError::check("link", largest.into(), 0, u64::from(limit) - 1))
    }
}

/// Running sums of the lengths of lists, which must end at `links`.
fn list_ends(counts: &[u8], cap: u64, links: u32) -> Result<Vec<u32>, ShardError> {
    let mut end = 0u64;
    let mut ends = Vec::with_capacity(counts.len());
    for &count in counts {
        ShardError::check("number of links of a node", count.into(), 0, cap)?;
        end += u64::from(count);
        ShardError::check("number of all links", end, 0, links.into())?;
        ends.push(end as u32);
    }
    ShardError::check("number of all links", end, links.into(), links.into())?;
    Ok(ends)
}

fn links<'a>(header: &Header, section: &'a [u8]) -> Links<'a> {
    if header.link_width() == 2 { Links::U16(section.as_chunks().0) } else { Links::U32(section.as_chunks().0) }
}

impl Shard<Verified> {
    /// The id of a node.
    ///
    /// # Panics
    /// If `node` is not of this shard.
    pub fn id(&self, node: NodeId) -> &str {
        std::str::from_utf8(self.id_bytes(node.0)).unwrap_or_default()
    }

    /// The ids, by node.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.header.count).map(|node| self.id(NodeId(node)))
    }

    /// The node with this id.
    pub fn node_of(&self, id: &str) -> Option<NodeId> {
        self.state.ids.find(id, |node| self.id(NodeId(node))).ok().map(NodeId)
    }

    /// Decodes the vector of a node into `out`, which has [`Shard::dim`] places.
    ///
    /// # Panics
    /// If `out` has another length, or `node` is not of this shard.
    pub fn vector_into(&self, node: NodeId, out: &mut [f32]) {
        self.codes().vector_into(node, out);
    }

    /// The codes of all candidates.
    pub fn codes(&self) -> CodesView<'_> {
        CodesView::new(self.dim(), bytemuck::cast_slice(self.section(Section::Codes)), &self.state.scales)
    }

    /// The graph, if the shard holds one.
    pub fn graph(&self) -> Option<GraphView<'_>> {
        self.header.has_graph().then(|| {
            let ends = &self.state.lists;
            let lists = |ends, section| Adjacency::new(ends, links(&self.header, self.section(section)));
            GraphView::new(
                NodeId(self.header.entry_point),
                lists(&ends.base, Section::BaseLinks),
                lists(&ends.upper, Section::UpperLinks),
                &ends.layer_sizes,
            )
        })
    }

    /// The `k` best candidates for a query embedding, the best first: by the graph, or by a scan if there is none.
    ///
    /// `ef_search` is the width of the search; `None` takes the shard's default.
    ///
    /// # Panics
    /// If the query does not have [`Shard::dim`] components.
    pub fn search(&self, query: &[f32], k: usize, ef_search: Option<usize>, scratch: &mut Scratch) -> Vec<Hit> {
        self.search_filtered(query, k, ef_search, scratch, None)
    }

    /// [`Shard::search`] among the candidates that pass `filter`.
    ///
    /// # Panics
    /// If the query does not have [`Shard::dim`] components.
    pub fn search_filtered(
        &self,
        query: &[f32],
        k: usize,
        ef_search: Option<usize>,
        scratch: &mut Scratch,
        filter: Option<&dyn Fn(NodeId) -> bool>,
    ) -> Vec<Hit> {
        let code = QueryCode::new(query);
        match self.graph() {
            Some(graph) => {
                let ef_search = ef_search.unwrap_or(self.header.ef_search as usize);
                search(&self.codes(), &graph, &code, k, ef_search, scratch, filter)
            }
            None => exact::top_k(&self.codes(), &code, k, filter),
        }
    }

    /// The `k` best candidates for a query embedding by a scan over all codes, the best first.
    ///
    /// # Panics
    /// If the query does not have [`Shard::dim`] components.
    pub fn exact(&self, query: &[f32], k: usize) -> Vec<Hit> {
        exact::top_k(&self.codes(), &QueryCode::new(query), k, None)
    }

    /// What the shard says, so that it can be changed and written again.
    pub fn content(&self) -> ShardContent {
        let codes = self.codes();
        ShardContent {
            towers: self.towers(),
            ef_search: self.header.ef_search as usize,
            ids: self.ids().map(str::to_owned).collect(),
            codes: Codes::from_parts(self.dim(), codes.codes().to_vec(), codes.scales().to_vec()),
            graph: self.graph().map(|graph| Graph::from_view(self.header.m.into(), &graph)),
        }
    }
}
