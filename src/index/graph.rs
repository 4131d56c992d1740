//! The links of an HNSW graph.
//!
//! Layer 0 holds every node. Layer `l >= 1` holds the nodes `0..layer_sizes[l - 1]`: nodes are numbered so that those of the
//! higher layers come first, and no layer needs a table of its members. Layer sizes never grow upwards, and the entry point
//! is a node of the highest layer.

use super::{IndexError, NodeId};
use crate::bytes::{put_varint, read_varint};

/// Most links that a node may have above layer 0; twice as many on layer 0, where a count must fit in one byte.
pub const MAX_M: usize = 64;

/// Most layers above layer 0.
pub const MAX_LAYERS: usize = 16;

/// Lists of links, as formats store them and searches read them.
///
/// A list is ascending; each link is the distance from the one before, less one, and the first its own number, as LEB128: seven
/// bits to a byte, the lowest first, the top bit set in all but the last. List `i` is `links[ends[i - 1]..ends[i]]`.
#[derive(Debug, Clone, Copy)]
pub struct Adjacency<'a> {
    ends: &'a [u32],
    links: &'a [u8],
}

impl<'a> Adjacency<'a> {
    /// Joins list ends and links, whose lists are well formed.
    ///
    /// # Panics
    /// If the last end is not the number of bytes.
    pub fn new(ends: &'a [u32], links: &'a [u8]) -> Self {
        assert_eq!(ends.last().map_or(0, |&end| end as usize), links.len(), "list ends do not match the links");
        Self { ends, links }
    }

    /// Calls `visit` with each link of list `list`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn for_each(&self, list: usize, mut visit: impl FnMut(u32)) {
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let mut bytes = &self.links[start..self.ends[list] as usize];
        let mut next = 0;
        while let Some((gap, rest)) = read_varint(bytes) {
            let link = gap.wrapping_add(next);
            visit(link);
            next = link.wrapping_add(1);
            bytes = rest;
        }
    }
}

/// Reads `count` links of a list from the front of `bytes`, each of which must be below `limit`; the bytes behind them.
pub(crate) fn check_list(mut bytes: &[u8], count: u8, limit: u32) -> Option<&[u8]> {
    let mut next = 0u64;
    for _ in 0..count {
        let (gap, rest) = read_varint(bytes)?;
        next += u64::from(gap);
        if next >= u64::from(limit) {
            return None;
        }
        next += 1;
        bytes = rest;
    }
    Some(bytes)
}

/// A graph as searches read it.
#[derive(Debug, Clone, Copy)]
pub struct GraphView<'a> {
    entry_point: NodeId,
    base: Adjacency<'a>,
    upper: Adjacency<'a>,
    layer_sizes: &'a [u32],
}

impl<'a> GraphView<'a> {
    /// Joins the parts of a graph: `base` has a list per node, `upper` a list per node of layer 1, then of layer 2, and so on.
    ///
    /// # Panics
    /// If the numbers of lists do not match.
    pub fn new(entry_point: NodeId, base: Adjacency<'a>, upper: Adjacency<'a>, layer_sizes: &'a [u32]) -> Self {
        assert_eq!(layer_sizes.iter().map(|&n| n as usize).sum::<usize>(), upper.ends.len(), "lists of upper layers");
        assert!(entry_point.row() < base.ends.len(), "the entry point is not a node");
        Self { entry_point, base, upper, layer_sizes }
    }

    /// Nodes.
    pub fn len(&self) -> usize {
        self.base.ends.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.base.ends.is_empty()
    }

    /// Where searches start.
    pub fn entry_point(&self) -> NodeId {
        self.entry_point
    }

    /// Layers above layer 0.
    pub fn upper_layers(&self) -> usize {
        self.layer_sizes.len()
    }

    /// Calls `visit` with each neighbour of `node` on `layer`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn for_each_neighbour(&self, layer: usize, node: u32, visit: impl FnMut(u32)) {
        match layer.checked_sub(1) {
            None => self.base.for_each(node as usize, visit),
            Some(upper) => {
                let before: usize = self.layer_sizes[..upper].iter().map(|&n| n as usize).sum();
                self.upper.for_each(before + node as usize, visit);
            }
        }
    }
}

/// A graph that owns its links, as builders make it and the shard writer stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    m: usize,
    entry_point: NodeId,
    base: Lists,
    upper: Lists,
    layer_sizes: Vec<u32>,
}

/// Owned lists of links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lists {
    counts: Vec<u8>,
    ends: Vec<u32>,
    links: Vec<u8>,
}

impl Lists {
    /// Appends a list, which is ascending and holds nothing twice.
    fn push(&mut self, list: &[u32]) {
        let mut next = 0;
        for &link in list {
            put_varint(link - next, &mut self.links);
            next = link + 1;
        }
        self.counts.push(list.len() as u8);
        self.ends.push(self.links.len() as u32);
    }

    fn view(&self) -> Adjacency<'_> {
        Adjacency::new(&self.ends, &self.links)
    }
}

impl Graph {
    /// Joins the layers of a graph: `layers[0]` has one list of links per node, `layers[l]` one per node of layer `l`.
    ///
    /// # Errors
    /// [`IndexError::Limit`] if `m`, the number of layers, the length of a list, a link or the size of a layer is not what
    /// the module's rules allow.
    pub fn new(m: usize, entry_point: NodeId, layers: &[Vec<Vec<u32>>]) -> Result<Self, IndexError> {
        IndexError::check("m", m, 1, MAX_M)?;
        IndexError::check("number of layers", layers.len(), 1, MAX_LAYERS + 1)?;
        let (mut base, mut upper, mut layer_sizes) = (Lists::default(), Lists::default(), Vec::new());
        let mut below = layers[0].len();
        for (level, layer) in layers.iter().enumerate() {
            IndexError::check("size of a layer", layer.len(), 1, below)?;
            below = layer.len();
            let (lists, cap) = if level == 0 { (&mut base, 2 * m) } else { (&mut upper, m) };
            for list in layer {
                IndexError::check("links of a node", list.len(), 0, cap)?;
                for &link in list {
                    IndexError::check("link", link as usize, 0, layer.len() - 1)?;
                }
                let mut ascending = list.clone();
                ascending.sort_unstable();
                ascending.dedup();
                lists.push(&ascending);
            }
            if level > 0 {
                layer_sizes.push(layer.len() as u32);
            }
        }
        IndexError::check("entry point", entry_point.row(), 0, below - 1)?;
        Ok(Self { m, entry_point, base, upper, layer_sizes })
    }

    /// Copies a graph whose nodes have at most `m` links above layer 0.
    pub(crate) fn from_view(m: usize, view: &GraphView<'_>) -> Self {
        let copy = |adjacency: &Adjacency<'_>| {
            let mut lists = Lists::default();
            let mut list = Vec::new();
            for i in 0..adjacency.ends.len() {
                list.clear();
                adjacency.for_each(i, |link| list.push(link));
                lists.push(&list);
            }
            lists
        };
        let (base, upper) = (copy(&view.base), copy(&view.upper));
        Self { m, entry_point: view.entry_point, base, upper, layer_sizes: view.layer_sizes.to_vec() }
    }

    /// The graph, as searches read it.
    pub fn view(&self) -> GraphView<'_> {
        GraphView::new(self.entry_point, self.base.view(), self.upper.view(), &self.layer_sizes)
    }

    /// Most links of a node above layer 0.
    pub fn m(&self) -> usize {
        self.m
    }

    /// Nodes.
    pub fn len(&self) -> usize {
        self.base.ends.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.base.ends.is_empty()
    }

    /// Nodes of layer 1, layer 2, and so on.
    pub fn layer_sizes(&self) -> &[u32] {
        &self.layer_sizes
    }

    /// The lists of layer 0: the number of links of each node, and the links as an [`Adjacency`] has them.
    pub fn base(&self) -> (&[u8], &[u8]) {
        (&self.base.counts, &self.base.links)
    }

    /// The lists of the upper layers, of each node of layer 1, then of layer 2, and so on, as in [`Graph::base`].
    pub fn upper(&self) -> (&[u8], &[u8]) {
        (&self.upper.counts, &self.upper.links)
    }
}
