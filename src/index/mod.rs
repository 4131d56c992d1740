//! Candidate embeddings become an index, and a query embedding becomes its best candidates.
//!
//! An [`Index`] cuts its rows into cells around centroids and holds what each row is beyond its centroid as
//! [`ResidualCodes`]; a search scans a few cells. A [`Graph`], over the centroids where there are thousands or over the rows
//! of an index of one cell, is a hierarchical navigable small world graph (Malkov and Yashunin, "Efficient and robust
//! approximate nearest neighbor search using hierarchical navigable small world graphs", 2016). [`IndexView::exact`] scans
//! all codes, [`exact::top_k_f32`] all vectors: the oracles that recall is measured against. With the feature `build`, the
//! function of that name makes an index from embeddings.
//!
//! Scores are inner products: larger is better. Vectors may have any norm. Equal inputs give equal results on every
//! machine: the integer products are exact, and ties are broken by node.

mod cells;
mod codes;
mod error;
pub mod exact;
mod graph;
mod residual;
mod row_set;
mod search;
mod top;

#[cfg(feature = "build")]
mod build;
#[cfg(feature = "build")]
mod encode;
#[cfg(feature = "build")]
pub mod generate;
#[cfg(feature = "build")]
mod hnsw;
#[cfg(feature = "build")]
mod instant;
#[cfg(feature = "build")]
mod link;
#[cfg(feature = "build")]
mod measure;
#[cfg(feature = "build")]
mod metric;
#[cfg(feature = "build")]
mod partition;
#[cfg(feature = "build")]
mod plan;
#[cfg(feature = "build")]
mod points;
#[cfg(feature = "build")]
mod prune;
#[cfg(any(feature = "build", test))]
mod random;

#[cfg(feature = "build")]
pub use build::{BuildParams, Built, build};
pub use cells::{Filter, Index, IndexView, Scratch, SearchParams};
#[cfg(feature = "build")]
pub(crate) use codes::check_vectors;
pub use codes::{Codes, CodesView, QueryCode};
#[cfg(feature = "build")]
pub(crate) use encode::is_coded_as;
pub use error::IndexError;
pub(crate) use graph::check_list;
pub use graph::{Adjacency, Graph, GraphView, MAX_LAYERS, MAX_M};
#[cfg(feature = "build")]
pub use link::{Builder, GraphParams};
#[cfg(feature = "build")]
pub use measure::{IndexReport, Point, Recall, Truth, measure};
#[cfg(feature = "build")]
pub(crate) use partition::nearest;
#[cfg(feature = "build")]
pub use partition::{Partition, PartitionParams, partition};
#[cfg(feature = "build")]
pub use plan::{SHARE_OF_CODES, choose_search};
pub use residual::{EXPONENTS, FineBits, ResidualCodes, ResidualView, Steps};
pub use row_set::RowSet;

/// A row of one index: it means nothing in any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The row as an index into the columns of its index.
    pub const fn row(self) -> usize {
        self.0 as usize
    }
}

/// An inner product: larger is better. Ordered by [`f32::total_cmp`].
#[derive(Debug, Clone, Copy)]
pub struct Score(pub f32);

impl PartialEq for Score {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// One result of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Which candidate.
    pub node: NodeId,
    /// Its inner product with the query.
    pub score: Score,
}

/// A node and its score in one integer that orders as results do: by score, then, among equals, the smaller node first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn new(score: f32, node: u32) -> Self {
        let bits = score.to_bits();
        // The order of `total_cmp` as an unsigned integer: negative numbers have all bits flipped, others the sign.
        let ordered = bits ^ ((((bits as i32) >> 31) as u32) | 0x8000_0000);
        Self((u64::from(ordered) << 32) | u64::from(!node))
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn node(self) -> u32 {
        !(self.0 as u32)
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn score(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(ordered ^ ((((!ordered as i32) >> 31) as u32) | 0x8000_0000))
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn hit(self, query_scale: f32) -> Hit {
        Hit { node: NodeId(self.node()), score: Score(self.score() * query_scale) }
    }
}

/// The `k` best of some hits, the best first, ties by node.
pub(crate) fn best(hits: &[Hit], k: usize) -> Vec<Hit> {
    let mut keys: Vec<Key> = hits.iter().map(|hit| Key::new(hit.score.0, hit.node.0)).collect();
    top::best_first(&mut keys);
    keys.iter().take(k).map(|key| key.hit(1.0)).collect()
}

/// The score at place `nth` from the best, from 0 on. There are more scores than that.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(crate) fn nth_best(scores: impl Iterator<Item = f32>, nth: usize) -> f32 {
    let mut keys: Vec<Key> = scores.zip(0..).map(|(score, at)| Key::new(score, at)).collect();
    top::select(&mut keys, nth).score()
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_order_as_scores_and_then_nodes(a in any::<(f32, u32)>(), b in any::<(f32, u32)>()) {
            let key = |(score, node): (f32, u32)| Key::new(score, node);
            prop_assert_eq!(key(a).cmp(&key(b)), a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            prop_assert_eq!((key(a).score().to_bits(), key(a).node()), (a.0.to_bits(), a.1));
        }
    }
}
