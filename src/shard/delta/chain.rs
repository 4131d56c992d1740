//! A shard with the deltas that bring it up to date.

use std::sync::Arc;

use super::Delta;
use crate::index::{Filter, Hit, NodeId, QueryCode, RowSet, Scratch, SearchParams, best};
use crate::shard::{Shard, Verified};

/// A shard and its deltas, which answer as one shard would. Rows are numbered through: first those of the shard, then those
/// that each delta adds; a [`NodeId`] of a chain is such a number, and stays what it is when deltas follow.
#[derive(Debug, Clone)]
pub struct Chain {
    base: Arc<Shard<Verified>>,
    deltas: Vec<Arc<Delta>>,
    rows: usize,
    /// The rows that are there; nothing if all are.
    live: Option<RowSet>,
}

impl From<Arc<Shard<Verified>>> for Chain {
    fn from(base: Arc<Shard<Verified>>) -> Self {
        Self { rows: base.len(), base, deltas: Vec::new(), live: None }
    }
}

impl Chain {
    /// Joins a shard and its deltas, oldest first. What a delta removes that is not there is passed over.
    pub fn new(base: Arc<Shard<Verified>>, deltas: Vec<Arc<Delta>>) -> Self {
        let rows = base.len() + deltas.iter().map(|delta| delta.added().len()).sum::<usize>();
        let mut live = RowSet::full(rows);
        deltas.iter().flat_map(|delta| delta.removed()).for_each(|&row| live.remove(NodeId(row)));
        let live = (live.count_ones() < rows).then_some(live);
        Self { base, deltas, rows, live }
    }

    /// The shard.
    pub fn base(&self) -> &Arc<Shard<Verified>> {
        &self.base
    }

    /// The deltas, oldest first.
    pub fn deltas(&self) -> &[Arc<Delta>] {
        &self.deltas
    }

    /// The shards that hold the rows, each with the number of its first row.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &Shard<Verified>)> {
        let shards = std::iter::once(&*self.base).chain(self.deltas.iter().map(|delta| delta.added()));
        shards.scan(0, |next, shard| {
            let start = *next;
            *next += shard.len() as u32;
            Some((start, shard))
        })
    }

    /// Rows, those among them that are not there any more.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Candidates: rows that are there.
    pub fn len(&self) -> usize {
        self.live.as_ref().map_or(self.rows, RowSet::count_ones)
    }

    /// Whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a row is there.
    pub fn is_live(&self, node: NodeId) -> bool {
        self.live.as_ref().map_or(node.row() < self.rows, |live| live.contains(node))
    }

    /// The rows that are there, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.rows as u32).map(NodeId).filter(|&node| self.is_live(node))
    }

    /// The ids of the candidates, by row.
    pub fn ids(&self) -> impl Iterator<Item = String> + '_ {
        self.nodes().map(|node| self.id(node))
    }

    /// The id of a row.
    ///
    /// # Panics
    /// If `node` is not of this chain.
    pub fn id(&self, node: NodeId) -> String {
        let (shard, node) = self.of(node);
        shard.id(node)
    }

    /// The row with this id, if it is there.
    pub fn node_of(&self, id: &str) -> Option<NodeId> {
        // Where an id was removed and added again both rows have it, and only one of them is there.
        self.segments().find_map(|(start, shard)| {
            let node = NodeId(start + shard.node_of(id)?.0);
            self.is_live(node).then_some(node)
        })
    }

    /// The row with this id, which may be `hint`.
    pub fn node_near(&self, hint: NodeId, id: &str) -> Option<NodeId> {
        if self.is_live(hint) && self.id(hint) == id { Some(hint) } else { self.node_of(id) }
    }

    /// Decodes the vector of a row into `out`, which has as many places as the shard has dimensions.
    ///
    /// # Panics
    /// If `out` has another length, or `node` is not of this chain.
    pub fn vector_into(&self, node: NodeId, out: &mut [f32]) {
        let (shard, node) = self.of(node);
        shard.vector_into(node, out);
    }

    /// The segment of a row, and its number there.
    ///
    /// # Panics
    /// If `node` is not of this chain.
    pub fn of(&self, node: NodeId) -> (&Shard<Verified>, NodeId) {
        let found = self.segments().find(|(start, shard)| node.row() < *start as usize + shard.len());
        let (start, shard) = found.unwrap_or_else(|| panic!("row {} of a chain of {} rows", node.0, self.rows));
        (shard, NodeId(node.0 - start))
    }

    /// The `k` best candidates for a query embedding that pass `filter`, the best first, ties by row. `params` is how far the
    /// search of the shard goes; `None` takes its default.
    ///
    /// # Panics
    /// If the query has another number of dimensions than the shard.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        params: Option<SearchParams>,
        scratch: &mut Scratch,
        filter: Filter<'_>,
    ) -> Vec<Hit> {
        if self.deltas.is_empty() {
            return self.base.search(query, k, params, scratch, filter);
        }
        let mut hits = self.search_segment((0, &self.base), query, k, params, scratch, filter);
        for segment in self.segments().skip(1) {
            hits.extend(self.search_segment(segment, query, k, None, scratch, filter));
        }
        best(&hits, k)
    }

    /// The `k` best candidates for a query embedding by a scan over all codes, the best first, ties by row.
    ///
    /// # Panics
    /// If the query has another number of dimensions than the shard.
    pub fn exact(&self, query: &[f32], k: usize, scratch: &mut Scratch) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (start, shard) in self.segments() {
            let live = part(self.live.as_ref(), start, shard);
            let found = shard.index().exact(&QueryCode::new(query), k, scratch, live.as_ref());
            hits.extend(found.into_iter().map(|hit| numbered(hit, start)));
        }
        best(&hits, k)
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn search_segment(
        &self,
        (start, shard): (u32, &Shard<Verified>),
        query: &[f32],
        k: usize,
        params: Option<SearchParams>,
        scratch: &mut Scratch,
        filter: Filter<'_>,
    ) -> Vec<Hit> {
        let mut hits = Vec::new();
        if filter.is_none() {
            // Few rows are gone: to ask for some more and drop those costs less than a test of every row.
            let spare = if self.live.is_some() { SPARE + k / 4 } else { 0 };
            hits = shard.search(query, k + spare, params, scratch, None);
            hits.retain(|hit| self.is_live(numbered(*hit, start).node));
            hits.truncate(k);
        }
        if hits.len() < k.min(shard.len()) {
            let mut passing = part(filter, start, shard);
            let live = part(self.live.as_ref(), start, shard);
            match (&mut passing, &live) {
                (Some(passing), Some(live)) => passing.and(live),
                (None, _) => passing = live,
                _ => {}
            }
            hits = shard.search(query, k, params, scratch, passing.as_ref());
        }
        hits.into_iter().map(|hit| numbered(hit, start)).collect()
    }
}

/// What a set of all rows says of a segment.
fn part(rows: Option<&RowSet>, start: u32, shard: &Shard<Verified>) -> Option<RowSet> {
    Some(rows?.part(start..start + shard.len() as u32))
}

fn numbered(hit: Hit, start: u32) -> Hit {
    Hit { node: NodeId(start + hit.node.0), ..hit }
}

/// Rows that are asked for beyond `k`, and a quarter of `k`, where rows are gone.
const SPARE: usize = 8;
