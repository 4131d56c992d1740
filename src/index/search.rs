//! Search in the graph: algorithms 2 and 5 of Malkov and Yashunin (2016).
//!
//! A greedy walk descends to layer 0, where a beam of a given width collects the results. A filter decides what may be
//! a result, not where the beam may walk, so it does not tear the graph apart; the fewer nodes pass, the further the beam
//! walks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::top::best_first;
use super::{CodesView, Filter, GraphView, Key, NodeId, QueryCode, ResidualView};
use crate::kernels;

/// The working memory of walks, kept between them.
#[derive(Debug, Default)]
pub(super) struct WalkScratch {
    visited: Vec<u64>,
    frontier: BinaryHeap<Key>,
    nearest: BinaryHeap<Reverse<Key>>,
    nodes: Vec<u32>,
    dots: Vec<i32>,
}

impl WalkScratch {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn start(&mut self, count: usize) {
        self.visited.clear();
        self.visited.resize(count.div_ceil(64), 0);
        self.frontier.clear();
        self.nearest.clear();
    }

    /// Marks `node`; whether it was unmarked.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn visit(visited: &mut [u64], node: u32) -> bool {
        let word = &mut visited[node as usize / 64];
        let bit = 1 << (node % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

/// What a walk scores: the vectors of a graph's nodes.
pub(super) trait Scored {
    fn len(&self) -> usize;

    /// Gives `take` the key of each of `nodes`; the scores leave out the query's scale.
    fn score(&self, query: &QueryCode, nodes: &[u32], dots: &mut Vec<i32>, take: impl FnMut(Key));
}

impl Scored for CodesView<'_> {
    fn len(&self) -> usize {
        CodesView::len(self)
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn score(&self, query: &QueryCode, nodes: &[u32], dots: &mut Vec<i32>, mut take: impl FnMut(Key)) {
        kernels::gather_i16_i8(query.code(), self.codes(), nodes, dots);
        for (&node, &dot) in nodes.iter().zip(dots.iter()) {
            take(Key::new(dot as f32 * self.scales()[node as usize], node));
        }
    }
}

/// Rows of one cell by their coarse codes: what the centroid adds is the same for all.
impl Scored for ResidualView<'_> {
    fn len(&self) -> usize {
        ResidualView::len(self)
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn score(&self, query: &QueryCode, nodes: &[u32], dots: &mut Vec<i32>, mut take: impl FnMut(Key)) {
        let coarse = self.coarse_scores(query);
        kernels::gather_i16_u4(query.nibbles(), self.coarse, nodes, dots);
        for (&node, &dot) in nodes.iter().zip(dots.iter()) {
            take(Key::new(coarse.score(0.0, dot, self.bytes[node as usize]), node));
        }
    }
}

/// Fills `scratch` with the best nodes for `query` that a beam of width `ef` finds and that pass `filter`; the best first,
/// ties by node.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn walk(
    rows: &impl Scored,
    graph: &GraphView<'_>,
    query: &QueryCode,
    ef: usize,
    scratch: &mut WalkScratch,
    filter: Filter<'_>,
) -> Vec<Key> {
    scratch.start(rows.len());
    let walk = Walk { rows, graph, query };
    let entry = walk.descend(scratch);
    walk.beam(entry, ef, scratch, filter);
    let mut keys: Vec<Key> = scratch.nearest.drain().map(|Reverse(key)| key).collect();
    best_first(&mut keys);
    keys
}

struct Walk<'a, R> {
    rows: &'a R,
    graph: &'a GraphView<'a>,
    query: &'a QueryCode,
}

impl<R: Scored> Walk<'_, R> {
    /// Walks from the entry point to the best node of layer 1 that greedy steps reach.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn descend(&self, scratch: &mut WalkScratch) -> Key {
        let WalkScratch { nodes, dots, .. } = scratch;
        let entry = self.graph.entry_point().0;
        let mut best = Key::new(0.0, entry);
        self.rows.score(self.query, &[entry], dots, |key| best = key);
        for layer in (1..=self.graph.upper_layers()).rev() {
            loop {
                let start = best;
                nodes.clear();
                self.graph.for_each_neighbour(layer, start.node(), |node| nodes.push(node));
                self.rows.score(self.query, nodes, dots, |key| best = best.max(key));
                if best == start {
                    break;
                }
            }
        }
        best
    }

    /// Fills `scratch.nearest` with the `ef` best nodes found on layer 0 that pass the filter.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn beam(&self, entry: Key, ef: usize, scratch: &mut WalkScratch, filter: Filter<'_>) {
        let WalkScratch { visited, frontier, nearest, nodes, dots } = scratch;
        let passes = |key: Key| filter.is_none_or(|filter| filter.contains(NodeId(key.node())));
        WalkScratch::visit(visited, entry.node());
        frontier.push(entry);
        if passes(entry) {
            nearest.push(Reverse(entry));
        }
        while let Some(next) = frontier.pop() {
            if nearest.len() >= ef && nearest.peek().is_some_and(|&Reverse(worst)| next < worst) {
                break;
            }
            nodes.clear();
            self.graph.for_each_neighbour(0, next.node(), |node| {
                if WalkScratch::visit(visited, node) {
                    nodes.push(node);
                }
            });
            self.rows.score(self.query, nodes, dots, |key| {
                let full = nearest.len() >= ef;
                if full && nearest.peek().is_some_and(|&Reverse(worst)| key < worst) {
                    return;
                }
                frontier.push(key);
                if passes(key) {
                    if full {
                        nearest.pop();
                    }
                    nearest.push(Reverse(key));
                }
            });
        }
    }
}
