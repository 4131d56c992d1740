//! An index: cells of residual codes, and a graph where one pays.
//!
//! Rows are numbered by cell. A search scores the centroids, scans the coarse codes of the best cells, and scores the best of
//! what it saw again, with whole codes (an inverted file, Jégou, Douze and Schmid, "Product quantization for nearest
//! neighbor search", 2011, with scalar codes). With many cells a graph over the centroids finds the best ones; an index of
//! one cell may have a graph over its rows instead.
//!
//! Scores leave out the query's scale until the end: it changes no order.

use super::residual::FineScratch;
use super::search::{WalkScratch, walk};
use super::top::{Top, best_first};
use super::{Codes, CodesView, Graph, GraphView, Hit, Key, NodeId, QueryCode, ResidualCodes, ResidualView, RowSet};
use crate::kernels;

/// Rows whose dot products are computed at a time.
const BLOCK: usize = 256;

/// An index that owns its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// One centroid per cell.
    pub centroids: Codes,
    /// Where the rows of each cell end.
    pub cell_ends: Vec<u32>,
    /// The rows, by cell.
    pub codes: ResidualCodes,
    /// Over the cells, or over the rows if there is one cell.
    pub graph: Option<Graph>,
}

impl Index {
    /// The index, as searches read it.
    pub fn view(&self) -> IndexView<'_> {
        let graph = self.graph.as_ref().map(Graph::view);
        IndexView::new(self.centroids.view(), &self.cell_ends, self.codes.view(), graph)
    }
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchParams {
    /// Cells that are scanned. Up: recall and time. 1 and up.
    pub probes: usize,
    /// Width of the walk over the rows of an index that has one cell and a graph. Up: recall and time. 1 and up.
    pub ef_search: usize,
}

/// The working memory of searches, kept between them so that a search allocates little but its result.
#[derive(Debug, Default)]
pub struct Scratch {
    walk: WalkScratch,
    dots: Vec<i32>,
    cells: Vec<Key>,
    top_cells: Top,
    rows: Vec<u32>,
    fine: FineScratch,
    top: Top,
}

/// Which rows may be results; without one, all.
pub type Filter<'f> = Option<&'f RowSet>;

/// A borrowed [`Index`].
#[derive(Debug, Clone, Copy)]
pub struct IndexView<'a> {
    centroids: CodesView<'a>,
    cell_ends: &'a [u32],
    codes: ResidualView<'a>,
    graph: Option<GraphView<'a>>,
}

impl<'a> IndexView<'a> {
    /// Joins the parts of an index.
    ///
    /// # Panics
    /// If their numbers do not agree.
    pub fn new(
        centroids: CodesView<'a>,
        cell_ends: &'a [u32],
        codes: ResidualView<'a>,
        graph: Option<GraphView<'a>>,
    ) -> Self {
        assert_eq!(centroids.len(), cell_ends.len(), "one centroid per cell");
        assert_eq!(cell_ends.last().map_or(0, |&end| end as usize), codes.len(), "cells do not hold all rows");
        assert_eq!(centroids.dim(), codes.dim(), "centroids and codes differ in dimensions");
        let nodes = if cell_ends.len() == 1 { codes.len() } else { cell_ends.len() };
        assert!(graph.is_none_or(|graph| graph.len() == nodes), "the graph has another number of nodes");
        Self { centroids, cell_ends, codes, graph }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Dimensions of the vectors.
    pub fn dim(&self) -> usize {
        self.codes.dim()
    }

    /// Cells.
    pub fn cells(&self) -> usize {
        self.cell_ends.len()
    }

    #[cfg(feature = "build")]
    pub(super) fn centroids(&self) -> CodesView<'a> {
        self.centroids
    }

    #[cfg(feature = "build")]
    pub(super) fn codes(&self) -> ResidualView<'a> {
        self.codes
    }

    /// The graph.
    pub fn graph(&self) -> Option<GraphView<'a>> {
        self.graph
    }

    /// Decodes the vector of `node` into `out`.
    ///
    /// # Panics
    /// If `out` does not have [`IndexView::dim`] places, or `node` is not of this index.
    pub fn vector_into(&self, node: NodeId, out: &mut [f32]) {
        self.centroids.vector_into(NodeId(self.cell_of(node)), out);
        self.codes.add_residual(node, out);
    }

    /// The length of what the vector of a row is beyond the centroid of its cell.
    #[cfg(feature = "origin")]
    pub(crate) fn residual_norm(&self, node: NodeId) -> f32 {
        let mut residual = vec![0.0; self.dim()];
        self.codes.add_residual(node, &mut residual);
        residual.iter().map(|component| component * component).sum::<f32>().sqrt()
    }

    /// The cell of a row.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn cell_of(&self, node: NodeId) -> u32 {
        self.cell_ends.partition_point(|&end| end <= node.0) as u32
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn rows_of(&self, cell: u32) -> std::ops::Range<u32> {
        let start = (cell as usize).checked_sub(1).map_or(0, |before| self.cell_ends[before]);
        start..self.cell_ends[cell as usize]
    }

    /// The `k` best rows for `query` that pass `filter`, the best first, ties by node; fewer only where fewer pass, or the walk of a
    /// graph over the rows reaches fewer.
    ///
    /// A filter costs no recall: cells are scanned until as many rows have passed as would have been scanned without it, or
    /// all cells have been.
    ///
    /// # Panics
    /// If the query has another number of dimensions.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn search(
        &self,
        query: &QueryCode,
        k: usize,
        params: SearchParams,
        scratch: &mut Scratch,
        filter: Filter<'_>,
    ) -> Vec<Hit> {
        assert_eq!(query.code().len(), self.dim(), "the query has another number of dimensions");
        if k == 0 || self.is_empty() {
            return Vec::new();
        }
        if let Some(graph) = self.graph.filter(|_| self.cells() == 1) {
            let ef = params.ef_search.max(shortlist(k, 0));
            scratch.top.start(shortlist(k, 0));
            // Scores leave out the centroid's, which is the same for all.
            for key in walk(&self.codes, &graph, query, ef, &mut scratch.walk, filter) {
                scratch.top.offer(key);
            }
        } else {
            let probes = params.probes.clamp(1, self.cells());
            let enough = (probes * self.len().div_ceil(self.cells())).max(k);
            scratch.top.start(shortlist(k, enough));
            match filter {
                None => self.probe(query, probes, k, scratch),
                Some(filter) => self.probe_filtered(query, enough, scratch, filter),
            }
        }
        self.rescore(query, k, scratch)
    }

    /// The `k` best rows by a scan of all whole codes: what recall of a search in this index is measured against.
    ///
    /// # Panics
    /// If the query has another number of dimensions.
    pub fn exact(&self, query: &QueryCode, k: usize, scratch: &mut Scratch, filter: Filter<'_>) -> Vec<Hit> {
        assert_eq!(query.code().len(), self.dim(), "the query has another number of dimensions");
        scratch.top.start(self.len());
        let mut offer = |node| scratch.top.offer(Key::new(0.0, node));
        match filter {
            None => (0..self.len() as u32).for_each(&mut offer),
            Some(filter) => filter.within(0..self.len() as u32).for_each(&mut offer),
        }
        self.rescore(query, k, scratch)
    }

    /// Offers the rows of the `probes` best cells to `scratch.top`, and of more where these hold fewer than `k`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn probe(&self, query: &QueryCode, probes: usize, k: usize, scratch: &mut Scratch) {
        self.order_cells(query, probes, scratch);
        if scratch.cells.iter().map(|cell| self.rows_of(cell.node()).len()).sum::<usize>() < k {
            self.order_cells(query, self.cells(), scratch);
        }
        let cells = std::mem::take(&mut scratch.cells);
        let mut scanned = 0;
        for (nth, &cell) in cells.iter().enumerate() {
            if nth >= probes && scanned >= k {
                break;
            }
            let rows = self.rows_of(cell.node());
            scanned += rows.len();
            self.scan(query, rows, cell.score(), scratch);
        }
        scratch.cells = cells;
    }

    /// Offers what passes of the best cells to `scratch.top`, of so many that `enough` rows pass.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn probe_filtered(&self, query: &QueryCode, enough: usize, scratch: &mut Scratch, filter: &RowSet) {
        self.order_cells(query, self.cells(), scratch);
        let cells = std::mem::take(&mut scratch.cells);
        let mut passed = 0;
        for &cell in &cells {
            scratch.rows.clear();
            scratch.rows.extend(filter.within(self.rows_of(cell.node())));
            passed += scratch.rows.len();
            self.gather(query, cell.score(), scratch);
            if passed >= enough {
                break;
            }
        }
        scratch.cells = cells;
    }

    /// Fills `scratch.cells` with the `wanted` best cells, the best first.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn order_cells(&self, query: &QueryCode, wanted: usize, scratch: &mut Scratch) {
        if let Some(graph) = self.graph.filter(|_| wanted < self.cells()) {
            // Twice the cells that are wanted keep what the walk misses below a hundredth.
            scratch.cells = walk(&self.centroids, &graph, query, wanted * 2, &mut scratch.walk, None);
            scratch.cells.truncate(wanted);
            return;
        }
        let Scratch { dots, cells, top_cells, .. } = scratch;
        dots.resize(self.cells(), 0);
        kernels::scan_i16_i8(query.code(), self.centroids.codes(), dots);
        top_cells.start(wanted);
        for ((&dot, scale), cell) in dots.iter().zip(self.centroids.scales()).zip(0..) {
            top_cells.offer_scored(dot as f32 * scale, cell);
        }
        cells.clear();
        cells.extend_from_slice(top_cells.finish());
        best_first(cells);
    }

    /// Offers all rows of a range to `scratch.top`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn scan(&self, query: &QueryCode, rows: std::ops::Range<u32>, base: f32, scratch: &mut Scratch) {
        let Scratch { dots, top, .. } = scratch;
        let (scores, stride) = (self.codes.coarse_scores(query), kernels::nibble_stride(self.dim()));
        dots.resize(BLOCK, 0);
        for start in rows.clone().step_by(BLOCK) {
            let count = (rows.end - start).min(BLOCK as u32) as usize;
            let first = start as usize;
            let dots = &mut dots[..count];
            kernels::scan_i16_u4(query.nibbles(), &self.codes.coarse[first * stride..][..count * stride], dots);
            for ((&dot, &byte), row) in dots.iter().zip(&self.codes.bytes[first..][..count]).zip(start..) {
                top.offer_scored(scores.score(base, dot, byte), row);
            }
        }
    }

    /// Offers `scratch.rows`, all of one cell, to `scratch.top`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn gather(&self, query: &QueryCode, base: f32, scratch: &mut Scratch) {
        let Scratch { dots, top, rows, .. } = scratch;
        let scores = self.codes.coarse_scores(query);
        kernels::gather_i16_u4(query.nibbles(), self.codes.coarse, rows, dots);
        for (&dot, &row) in dots.iter().zip(rows.iter()) {
            top.offer_scored(scores.score(base, dot, self.codes.bytes[row as usize]), row);
        }
    }

    /// Scores what `scratch.top` holds by whole codes, and gives the best `k`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn rescore(&self, query: &QueryCode, k: usize, scratch: &mut Scratch) -> Vec<Hit> {
        let Scratch { dots, rows, fine, top, .. } = scratch;
        let keys = top.finish();
        // By row: those of a cell then follow each other, and its centroid is looked up and scored once.
        keys.iter_mut().for_each(|key| *key = Key::new(0.0, key.node()));
        best_first(keys);
        rows.clear();
        rows.extend(keys.iter().map(|key| key.node()));
        let scores = self.codes.whole_scores(query);
        let (mut base, mut end) = (0.0, 0);
        for (keys, rows) in keys.chunks_mut(BLOCK).zip(rows.chunks(BLOCK)) {
            kernels::gather_i16_u4(query.nibbles(), self.codes.coarse, rows, dots);
            self.codes.refine(query, rows, dots, fine);
            for ((key, &row), &dot) in keys.iter_mut().zip(rows).zip(dots.iter()) {
                if row >= end {
                    let cell = self.cell_of(NodeId(row));
                    (base, end) = (self.centroids.row_score(NodeId(cell), query), self.rows_of(cell).end);
                }
                *key = Key::new(scores.score(base, dot, self.codes.bytes[row as usize]), row);
            }
        }
        best_first(keys);
        keys.iter().take(k).map(|key| key.hit(query.scale())).collect()
    }
}

/// Rows that are scored by whole codes for `k` results out of so many rows that were scanned. The more of them compete, the more
/// lie closer to the `k`-th than coarse codes can tell. At a million rows of `bench-search`, 6 bits, a list that follows `k`
/// alone loses .024 of recall@10 and .021 of recall@100; with one more for [`PER_SHORTLISTED`] scanned it is .001 and .002.
fn shortlist(k: usize, scanned: usize) -> usize {
    k + k / 2 + 16 + scanned / PER_SHORTLISTED
}

/// Rows that are scanned for one more in the short list.
const PER_SHORTLISTED: usize = 64;
