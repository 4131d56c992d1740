//! Search in the graph: algorithms 2 and 5 of Malkov and Yashunin (2016).
//!
//! A greedy walk descends to layer 0, where a beam of width `ef_search` collects the results. A filter decides what may be
//! a result, not where the beam may walk, so it does not tear the graph apart; the fewer nodes pass, the further the beam
//! walks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::codes::gather_scores;
use super::{CodesView, GraphView, Hit, Key, NodeId, QueryCode};

/// A width that reaches recall@100 of .98 with room to spare on catalogues of some ten thousands; see `measure`.
pub const DEFAULT_EF_SEARCH: usize = 256;

/// The working memory of searches, kept between them so that a search allocates only its result.
#[derive(Debug, Default)]
pub struct Scratch {
    visited: Vec<u64>,
    frontier: BinaryHeap<Key>,
    nearest: BinaryHeap<Reverse<Key>>,
    nodes: Vec<u32>,
    dots: Vec<i32>,
}

impl Scratch {
    fn start(&mut self, count: usize) {
        self.visited.clear();
        self.visited.resize(count.div_ceil(64), 0);
        self.frontier.clear();
        self.nearest.clear();
    }

    /// Marks `node`; whether it was unmarked.
    fn visit(visited: &mut [u64], node: u32) -> bool {
        let word = &mut visited[node as usize / 64];
        let bit = 1 << (node % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

/// The `k` best nodes for `query` that pass `filter`, the best first, ties by node.
///
/// `ef_search` is the width of the beam, at least `k` in effect. Up: recall and time. Fewer than `k` hits come back only if
/// fewer nodes can be reached or pass.
///
/// # Panics
/// If the query, the codes and the graph do not belong together.
pub fn search(
    codes: &CodesView<'_>,
    graph: &GraphView<'_>,
    query: &QueryCode,
    k: usize,
    ef_search: usize,
    scratch: &mut Scratch,
    filter: Option<&dyn Fn(NodeId) -> bool>,
) -> Vec<Hit> {
    assert_eq!(query.code().len(), codes.dim(), "the query has another number of dimensions");
    scratch.start(codes.len());
    if k == 0 {
        return Vec::new();
    }
    let search = Search { codes, graph, query };
    let entry = search.descend(scratch);
    search.beam(entry, ef_search.max(k), scratch, filter);
    let mut keys: Vec<Key> = scratch.nearest.drain().map(|Reverse(key)| key).collect();
    keys.sort_unstable_by(|a, b| b.cmp(a));
    keys.into_iter().take(k).map(|key| key.hit(query.scale())).collect()
}

struct Search<'a> {
    codes: &'a CodesView<'a>,
    graph: &'a GraphView<'a>,
    query: &'a QueryCode,
}

impl Search<'_> {
    /// Scores `scratch.nodes`, and gives each with its key to `take`.
    fn score_nodes(&self, nodes: &[u32], dots: &mut Vec<i32>, mut take: impl FnMut(Key)) {
        gather_scores(self.codes, self.query, nodes, dots);
        let scales = self.codes.scales();
        for (&node, &dot) in nodes.iter().zip(dots.iter()) {
            take(Key::new(dot as f32 * scales[node as usize], node));
        }
    }

    /// Walks from the entry point to the best node of layer 1 that greedy steps reach.
    fn descend(&self, scratch: &mut Scratch) -> Key {
        let Scratch { nodes, dots, .. } = scratch;
        let entry = self.graph.entry_point().0;
        let mut best = Key::new(0.0, entry);
        self.score_nodes(&[entry], dots, |key| best = key);
        for layer in (1..=self.graph.upper_layers()).rev() {
            loop {
                let start = best;
                nodes.clear();
                self.graph.for_each_neighbour(layer, start.node(), |node| nodes.push(node));
                self.score_nodes(nodes, dots, |key| best = best.max(key));
                if best == start {
                    break;
                }
            }
        }
        best
    }

    /// Fills `scratch.nearest` with the `ef` best nodes found on layer 0 that pass the filter.
    fn beam(&self, entry: Key, ef: usize, scratch: &mut Scratch, filter: Option<&dyn Fn(NodeId) -> bool>) {
        let Scratch { visited, frontier, nearest, nodes, dots } = scratch;
        let passes = |key: Key| filter.is_none_or(|filter| filter(NodeId(key.node())));
        Scratch::visit(visited, entry.node());
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
                if Scratch::visit(visited, node) {
                    nodes.push(node);
                }
            });
            self.score_nodes(nodes, dots, |key| {
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
