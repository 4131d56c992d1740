//! From the bytes of a shard to its content, in place.

use super::columns::{ColumnsView, Table};
use super::format::{Header, MAX_SCALE, Section};
use super::ids::IdTable;
use super::{ShardContent, ShardError};
use crate::Digest;
use crate::index::{
    Adjacency, Codes, CodesView, Filter, Graph, GraphView, Hit, Index, IndexView, NodeId, QueryCode, ResidualCodes,
    ResidualView, Scratch, SearchParams, Steps, check_list,
};

/// The state of a shard whose header alone has been read.
#[derive(Debug)]
pub struct Unverified;

/// The state of a shard whose every byte has been checked, with what a search needs beside the bytes.
#[derive(Debug)]
pub struct Verified {
    scales: Vec<f32>,
    cell_ends: Vec<u32>,
    steps: Steps,
    lists: ListEnds,
    ids: IdTable,
    columns: Option<Table>,
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

    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn section(&self, section: Section) -> &[u8] {
        &self.bytes[self.header.section_range(section)]
    }

    fn words(&self, section: Section) -> impl Iterator<Item = u32> + '_ {
        self.section(section).as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word))
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
        let shard = self.verify_values(found)?;
        shard.state.ids.check_unique(shard.section(Section::Ids))?;
        Ok(shard)
    }

    /// Checks every value, but neither the digest at the end nor that each id occurs once: for bytes whose digest as a whole,
    /// `digest`, has just been compared with a trusted one. Whoever published that has checked both, and a client waits for
    /// this. In a shard with an id twice all the same, the first is found.
    ///
    /// # Errors
    /// If a value breaks a rule of the [format](super::format).
    pub fn verify_values(self, digest: Digest) -> Result<Shard<Verified>, ShardError> {
        let scales = self.check_scales()?;
        let cell_ends = self.check_cells()?;
        let lists = self.check_graph()?;
        let seed = digest.as_bytes().first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first));
        let ids = IdTable::open(self.header.id_kind, self.section(Section::Ids), self.header.count, seed)?;
        let columns = read_columns(self.section(Section::Columns), self.len())?;
        let state = Verified { scales, cell_ends, steps: Steps::new(self.header.step_exponent), lists, ids, columns };
        Ok(Shard { bytes: self.bytes, header: self.header, state })
    }

    fn check_scales(&self) -> Result<Vec<f32>, ShardError> {
        let scales: Vec<f32> = self.words(Section::CentroidScales).map(f32::from_bits).collect();
        match scales.iter().position(|scale| !(0.0..=MAX_SCALE).contains(scale)) {
            Some(cell) => Err(ShardError::Scale { cell: cell as u32, found: scales[cell] }),
            None => Ok(scales),
        }
    }

    fn check_cells(&self) -> Result<Vec<u32>, ShardError> {
        let (mut before, count) = (0, u64::from(self.header.count));
        let mut ends = Vec::with_capacity(self.header.cells as usize);
        for end in self.words(Section::CellEnds) {
            ShardError::check("end of a cell", end.into(), before, count)?;
            before = end.into();
            ends.push(end);
        }
        ShardError::check("end of the last cell", before, count, count)?;
        Ok(ends)
    }

    fn check_graph(&self) -> Result<ListEnds, ShardError> {
        let header = &self.header;
        if !header.has_graph() {
            return Ok(ListEnds::default());
        }
        let layer_sizes: Vec<u32> = self.words(Section::LayerSizes).collect();
        let mut below = header.nodes();
        for &size in &layer_sizes {
            ShardError::check("size of a layer", size.into(), 1, below.into())?;
            below = size;
        }
        ShardError::check("entry_point", header.entry_point.into(), 0, u64::from(below) - 1)?;
        let sum: u64 = layer_sizes.iter().map(|&size| u64::from(size)).sum();
        ShardError::check("upper_nodes", header.upper_nodes.into(), sum, sum)?;

        let m = header.m as u8;
        let base = [header.nodes()];
        Ok(ListEnds {
            base: self.check_links((Section::BaseCounts, Section::BaseLinks), 2 * m, &base)?,
            upper: self.check_links((Section::UpperCounts, Section::UpperLinks), m, &layer_sizes)?,
            layer_sizes,
        })
    }

    /// Checks the lists of some layers, and gives where each list ends.
    fn check_links(
        &self,
        (counts, links): (Section, Section),
        cap: u8,
        layers: &[u32],
    ) -> Result<Vec<u32>, ShardError> {
        let (counts, all) = (self.section(counts), self.section(links));
        let mut ends = Vec::with_capacity(counts.len());
        let (mut rest, mut counts) = (all, counts.iter());
        for &limit in layers {
            for (node, &count) in (0..limit).zip(&mut counts) {
                ShardError::check("number of links of a node", count.into(), 0, cap.into())?;
                let what = links.name();
                rest = check_list(rest, count, limit).ok_or(ShardError::Links { node, what, limit })?;
                ends.push((all.len() - rest.len()) as u32);
            }
        }
        ShardError::check("bytes behind the last link", rest.len() as u64, 0, 0)?;
        Ok(ends)
    }
}

/// What reading the columns of a shard of `count` candidates needs beside their section; `None` if that is empty.
pub(super) fn read_columns(section: &[u8], count: usize) -> Result<Option<Table>, ShardError> {
    if section.is_empty() {
        return Ok(None);
    }
    let table = Table::parse(section)?;
    table.check_rows(count)?;
    Ok(Some(table))
}

impl Shard<Verified> {
    /// The columns, a row per node, if the shard has any.
    pub fn columns(&self) -> Option<ColumnsView<'_>> {
        self.state.columns.as_ref().map(|table| table.view(self.section(Section::Columns)))
    }

    /// The id of a node.
    ///
    /// # Panics
    /// If `node` is not of this shard.
    pub fn id(&self, node: NodeId) -> String {
        self.state.ids.id(self.section(Section::Ids), node.0)
    }

    /// The ids, by node.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        (0..self.header.count).map(|node| self.id(NodeId(node)))
    }

    /// The node with this id.
    pub fn node_of(&self, id: &str) -> Option<NodeId> {
        self.state.ids.find(self.section(Section::Ids), id).map(NodeId)
    }

    /// Decodes the vector of a node into `out`, which has [`Shard::dim`] places.
    ///
    /// # Panics
    /// If `out` has another length, or `node` is not of this shard.
    pub fn vector_into(&self, node: NodeId, out: &mut [f32]) {
        self.index().vector_into(node, out);
    }

    /// The index of all candidates.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn index(&self) -> IndexView<'_> {
        let (header, state) = (&self.header, &self.state);
        let (dim, fine_bits) = (self.dim(), header.fine_bits);
        let centroids = CodesView::new(dim, bytemuck::cast_slice(self.section(Section::CentroidCodes)), &state.scales);
        let planes = [Section::Coarse, Section::Fine, Section::Steps].map(|section| self.section(section));
        let codes = ResidualView::new((dim, fine_bits), planes[0], planes[1], planes[2], &state.steps);
        let graph = header.has_graph().then(|| {
            let lists = |ends, section| Adjacency::new(ends, self.section(section));
            let base = lists(&state.lists.base, Section::BaseLinks);
            let upper = lists(&state.lists.upper, Section::UpperLinks);
            GraphView::new(NodeId(header.entry_point), base, upper, &state.lists.layer_sizes)
        });
        IndexView::new(centroids, &state.cell_ends, codes, graph)
    }

    /// How far a search goes unless it is told otherwise.
    pub fn search_params(&self) -> SearchParams {
        SearchParams { probes: self.header.probes as usize, ef_search: self.header.ef_search as usize }
    }

    /// The `k` best candidates for a query embedding that pass `filter`, the best first. `params` is how far the search
    /// goes; `None` takes the shard's default.
    ///
    /// # Panics
    /// If the query does not have [`Shard::dim`] components.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        params: Option<SearchParams>,
        scratch: &mut Scratch,
        filter: Filter<'_>,
    ) -> Vec<Hit> {
        let params = params.unwrap_or_else(|| self.search_params());
        self.index().search(&QueryCode::new(query), k, params, scratch, filter)
    }

    /// The `k` best candidates for a query embedding by a scan over all codes, the best first.
    ///
    /// # Panics
    /// If the query does not have [`Shard::dim`] components.
    pub fn exact(&self, query: &[f32], k: usize, scratch: &mut Scratch) -> Vec<Hit> {
        self.index().exact(&QueryCode::new(query), k, scratch, None)
    }

    /// Bytes of memory that the shard takes. The first look-up by id adds the table that it needs.
    pub fn memory(&self) -> usize {
        let Verified { scales, cell_ends, steps: _, lists: ListEnds { base, upper, layer_sizes }, ids, columns } =
            &self.state;
        let words =
            scales.capacity() + cell_ends.capacity() + base.capacity() + upper.capacity() + layer_sizes.capacity();
        size_of::<Self>()
            + self.bytes.capacity()
            + size_of::<u32>() * words
            + ids.memory()
            + columns.as_ref().map_or(0, Table::memory)
    }

    /// What the shard says, so that it can be changed and written again.
    pub fn content(&self) -> ShardContent {
        let header = &self.header;
        let section = |section| self.section(section).to_vec();
        let centroids = Codes::from_parts(
            self.dim(),
            bytemuck::cast_slice(self.section(Section::CentroidCodes)).to_vec(),
            self.state.scales.clone(),
        );
        let codes = ResidualCodes::from_parts(
            (self.dim(), header.fine_bits, header.step_exponent),
            section(Section::Coarse),
            section(Section::Fine),
            section(Section::Steps),
        );
        let graph = self.index().graph().map(|graph| Graph::from_view(header.m.into(), &graph));
        let index = Index { centroids, cell_ends: self.state.cell_ends.clone(), codes, graph };
        let (towers, params, columns) = (self.towers(), self.search_params(), section(Section::Columns));
        ShardContent { towers, params, ids: self.ids().collect(), index, columns }
    }
}
