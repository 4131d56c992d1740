//! The links of an HNSW graph.
//!
//! Layer 0 holds every node. Layer `l >= 1` holds the nodes `0..layer_sizes[l - 1]`: nodes are numbered so that those of the
//! higher layers come first, and no layer needs a table of its members. Layer sizes never grow upwards, and the entry point
//! is a node of the highest layer.

use super::{IndexError, NodeId};

/// Most links that a node may have above layer 0; twice as many on layer 0, where a count must fit in one byte.
pub const MAX_M: usize = 64;

/// Most layers above layer 0.
pub const MAX_LAYERS: usize = 16;

/// Links as formats store them: node ids, little-endian.
#[derive(Debug, Clone, Copy)]
pub enum Links<'a> {
    /// For at most 65,536 nodes.
    U16(&'a [[u8; 2]]),
    /// For more.
    U32(&'a [[u8; 4]]),
}

impl Links<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(links) => links.len(),
            Self::U32(links) => links.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lists of links: list `i` is `links[ends[i - 1]..ends[i]]`, where the first starts at 0.
#[derive(Debug, Clone, Copy)]
pub struct Adjacency<'a> {
    ends: &'a [u32],
    links: Links<'a>,
}

impl<'a> Adjacency<'a> {
    /// Joins list ends and links.
    ///
    /// # Panics
    /// If the last end is not the number of links.
    pub fn new(ends: &'a [u32], links: Links<'a>) -> Self {
        assert_eq!(ends.last().map_or(0, |&end| end as usize), links.len(), "list ends do not match the links");
        Self { ends, links }
    }

    /// Calls `visit` with each link of list `list`.
    pub(super) fn for_each(&self, list: usize, mut visit: impl FnMut(u32)) {
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let end = self.ends[list] as usize;
        match self.links {
            Links::U16(links) => links[start..end].iter().for_each(|&link| visit(u32::from(u16::from_le_bytes(link)))),
            Links::U32(links) => links[start..end].iter().for_each(|&link| visit(u32::from_le_bytes(link))),
        }
    }
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

    /// Where searches start.
    pub fn entry_point(&self) -> NodeId {
        self.entry_point
    }

    /// Layers above layer 0.
    pub fn upper_layers(&self) -> usize {
        self.layer_sizes.len()
    }

    /// Calls `visit` with each neighbour of `node` on `layer`.
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
    ends: Vec<u32>,
    links: Vec<[u8; 4]>,
}

impl Lists {
    fn push(&mut self, list: &[u32]) {
        self.links.extend(list.iter().map(|link| link.to_le_bytes()));
        self.ends.push(self.links.len() as u32);
    }

    fn view(&self) -> Adjacency<'_> {
        Adjacency::new(&self.ends, Links::U32(&self.links))
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
                lists.push(list);
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

    /// The lists of layer 0: one end per node, and the links.
    pub fn base(&self) -> (&[u32], &[[u8; 4]]) {
        (&self.base.ends, &self.base.links)
    }

    /// The lists of the upper layers: one end per node of layer 1, then of layer 2, and so on, and the links.
    pub fn upper(&self) -> (&[u32], &[[u8; 4]]) {
        (&self.upper.ends, &self.upper.links)
    }
}
