//! A builder of HNSW graphs on all threads, whose result does not depend on how many there are.
//!
//! Algorithms and symbols are those of Malkov and Yashunin (2016). Nodes are numbered in the order of their insertion, and
//! those of the higher layers are inserted first; so every layer is a prefix, node 0 is the entry point from the start, and
//! a search needs no table of members. What a row's hash says decides both its place and its layers.
//!
//! Insertion goes by batches (Manohar, Shen, Blelloch, Dhulipala, Gu, Simhadri and Sun, "ParlayANN: Scalable and deterministic
//! parallel graph-based approximate nearest neighbor search algorithms", 2024): all nodes of a batch search the graph as it
//! was before the batch, each for itself. The links back to them are then sorted by the node that gets them, and each such
//! node's list is cut by itself. No step sees what another thread does at the same time. Nodes of one batch are not linked
//! with each other, unless through later nodes; see [`IN_PER_NEW`].

mod beam;
mod layers;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use self::beam::Beam;
use self::layers::{Layer, List};
use super::graph::MAX_LAYERS;
use super::points::Points;
use super::prune::{Selection, connect};
use super::random::SplitMix64;
use super::{Graph, GraphParams, IndexError, Key, NodeId};

/// A batch has one node for so many that are in. On 30,000 vectors of 64 dimensions at `ef_search` 128, batches of a quarter
/// of this size gain .0002 of recall@100 if the vectors are clustered and .003 if they are not; batches of 2.5 times the size
/// lose nothing and .002.
const IN_PER_NEW: u32 = 50;

/// What a list may hold beyond its limit until it is cut, as one part in so many of the limit: cutting seldom, and many links
/// at once. On the vectors of [`IN_PER_NEW`], room for .3 more took a quarter of the time of linking back that no room took,
/// and the same recall within .0003.
const SLACK: usize = 4;

/// No link: less than every key of a node.
const NONE: Key = Key(0);

/// A link back to a new node: the node that gets it, and the new node with its score.
type Back = (u32, Key);

/// The row of each node, and the graph. There must be rows.
pub(super) fn link(vectors: &[f32], dim: usize, params: &GraphParams) -> Result<(Vec<u32>, Graph), IndexError> {
    let (order, layer_sizes) = order(vectors.len() / dim, params);
    let points = Points::lift(vectors, dim, &order);
    let shared = Shared { points: &points, params, pool: Mutex::default() };
    let mut layers: Vec<Layer> = std::iter::once(order.len() as u32)
        .chain(layer_sizes.iter().copied())
        .enumerate()
        .map(|(level, size)| Layer::new(size as usize, shared.limit(level) + shared.limit(level) / SLACK))
        .collect();
    for batch in batches(order.len() as u32, &layer_sizes) {
        shared.insert(&mut layers, batch);
    }
    Ok((order, shared.finish(&layers)?))
}

/// The row of each node, and how many nodes each layer above layer 0 holds.
///
/// A row lies on layer `l` if its hash is below `2^64 / m^l`: the paper's `floor(-ln(unif(0..1)) * mL)` with
/// `mL = 1 / ln(m)`, without a logarithm that may differ between machines.
fn order(count: usize, params: &GraphParams) -> (Vec<u32>, Vec<u32>) {
    let mut rows: Vec<(u64, u32)> = (0..count as u32).map(|row| (SplitMix64::nth(params.seed, row), row)).collect();
    rows.par_sort_unstable();
    let thresholds = std::iter::successors(Some(u64::MAX), |above| Some(above / params.m as u64)).skip(1);
    let sizes = thresholds.map(|threshold| rows.partition_point(|&(hash, _)| hash < threshold) as u32);
    let sizes = sizes.take(MAX_LAYERS).take_while(|&size| size > 0).collect();
    (rows.into_iter().map(|(_, row)| row).collect(), sizes)
}

/// Nodes to insert at a time, behind node 0. All of a batch are on the same layers.
fn batches(count: u32, layer_sizes: &[u32]) -> impl Iterator<Item = Range<u32>> {
    let mut start = 1;
    std::iter::from_fn(move || {
        let highest = layer_sizes.iter().copied().filter(|&size| size > start).min().unwrap_or(count);
        let batch = start..highest.min(start + (start / IN_PER_NEW).max(1));
        start = batch.end;
        (!batch.is_empty()).then_some(batch)
    })
}

/// The working memory of one thread, kept so that an insertion allocates nothing.
#[derive(Debug, Default)]
struct Scratch {
    beam: Beam,
    selection: Selection,
    candidates: Vec<Key>,
    scores: Vec<f32>,
}

/// What all threads read.
struct Shared<'a> {
    points: &'a Points,
    params: &'a GraphParams,
    /// Working memory that no thread is using.
    pool: Mutex<Vec<Scratch>>,
}

impl Shared<'_> {
    /// Most links of a node on a layer (Mmax0 and Mmax in the paper).
    fn limit(&self, level: usize) -> usize {
        if level == 0 { 2 * self.params.m } else { self.params.m }
    }

    fn with_scratch<T>(&self, run: impl FnOnce(&mut Scratch) -> T) -> T {
        let pool = || self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        let result = run(&mut scratch);
        pool().push(scratch);
        result
    }

    /// Algorithm 1 for all of `batch`.
    fn insert(&self, layers: &mut [Layer], batch: Range<u32>) {
        let m = self.params.m;
        let levels = layers.iter().take_while(|layer| layer.len() > batch.start as usize).count();
        // For each node, from layer 0 upwards, `m` places.
        let mut found = vec![NONE; batch.len() * levels * m];
        found.par_chunks_mut(levels * m).zip(batch.clone()).for_each(|(found, node)| {
            self.with_scratch(|scratch| self.find(layers, node, found, scratch));
        });
        let mut back: Vec<Back> = Vec::with_capacity(batch.len() * m);
        for (level, layer) in layers.iter_mut().enumerate().take(levels) {
            back.clear();
            let lists = found.chunks(m).skip(level).step_by(levels);
            for ((node, list), mut links) in batch.clone().zip(lists).zip(layer.lists_mut(batch.clone())) {
                let list = &list[..list.iter().position(|&key| key == NONE).unwrap_or(m)];
                links.replace(list.iter().map(|key| key.node()));
                back.extend(list.iter().map(|key| (key.node(), Key::new(key.score(), node))));
            }
            self.link_back(layer, &mut back, self.limit(level));
        }
    }

    /// Finds the neighbours of a new `node` on each of its layers.
    fn find(&self, layers: &[Layer], node: u32, found: &mut [Key], scratch: &mut Scratch) {
        let Scratch { beam, selection, scores, .. } = scratch;
        let (m, x) = (self.params.m, self.points.row(node));
        let levels = found.len() / m;
        beam.start(self.points, x, 0);
        for layer in layers[levels..].iter().rev() {
            beam.descend(self.points, layer, x);
        }
        for (layer, found) in layers[..levels].iter().zip(found.chunks_mut(m)).rev() {
            beam.widen(self.points, layer, x, self.params.ef_construction);
            let kept = self.select(beam.nearest(), m, selection, scores);
            found[..kept.len()].copy_from_slice(kept);
        }
    }

    /// Algorithm 4.
    fn select<'s>(
        &self,
        candidates: &[Key],
        limit: usize,
        selection: &'s mut Selection,
        scores: &mut Vec<f32>,
    ) -> &'s [Key] {
        selection.select(candidates, limit, |key, kept| {
            let x = self.points.row(key.node());
            // Most candidates fall to one of the first that were kept; four are scored in little more time than one.
            kept.chunks(4).any(|kept| {
                self.points.scores(x, kept, scores);
                scores.iter().any(|&score| score >= key.score())
            })
        })
    }

    /// Gives each node of `layer` its links of `back`, and cuts the lists that have no room for them to `limit`.
    fn link_back(&self, layer: &mut Layer, back: &mut [Back], limit: usize) {
        back.par_sort_unstable();
        let groups: Vec<&[Back]> = back.chunk_by(|a, b| a.0 == b.0).collect();
        let lists: Vec<List<'_>> = layer.lists_mut(groups.iter().map(|group| group[0].0)).collect();
        groups.into_par_iter().zip(lists).for_each(|(group, mut list)| {
            if !list.append(group.iter().map(|(_, key)| key.node())) {
                self.with_scratch(|scratch| {
                    let kept = self.cut(group[0].0, list.links(), group, limit, scratch);
                    list.replace(kept.iter().map(|key| key.node()));
                });
            }
        });
    }

    /// At most `limit` of the `links` of `node` and of `more`, the nearest first.
    fn cut<'s>(&self, node: u32, links: &[u32], more: &[Back], limit: usize, scratch: &'s mut Scratch) -> &'s [Key] {
        let Scratch { selection, candidates, scores, .. } = scratch;
        self.points.scores(self.points.row(node), links, scores);
        candidates.clear();
        candidates.extend(links.iter().zip(scores.iter()).map(|(&link, &score)| Key::new(score, link)));
        candidates.extend(more.iter().map(|&(_, key)| key));
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        if candidates.len() <= limit { candidates } else { self.select(candidates, limit, selection, scores) }
    }

    /// Cuts all lists to their limits, puts the nearest first, and brings every node into reach.
    fn finish(&self, layers: &[Layer]) -> Result<Graph, IndexError> {
        let cut = |(level, layer): (usize, &Layer)| -> Vec<Vec<u32>> {
            let list = |node| {
                self.with_scratch(|scratch| {
                    let kept = self.cut(node, layer.links(node), &[], self.limit(level), scratch);
                    kept.iter().map(|key| key.node()).collect()
                })
            };
            (0..layer.len() as u32).into_par_iter().map(list).collect()
        };
        let mut layers: Vec<_> = layers.iter().enumerate().map(cut).collect();
        connect(&mut layers[0], 0, self.limit(0), |a, b| -self.points.score(a, b));
        Graph::new(self.params.m, NodeId(0), &layers)
    }
}
