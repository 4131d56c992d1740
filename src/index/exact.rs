//! Exact search: what recall is measured against, and the faster way in a small shard.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CodesView, Hit, Key, NodeId, QueryCode};
use crate::kernels;

/// Rows that are scored at a time: their products stay in the first cache.
const BLOCK: usize = 256;

/// The `k` best rows of `codes` for `query` that pass `filter`, the best first, ties by node.
///
/// # Panics
/// If the query has another number of dimensions.
pub fn top_k(codes: &CodesView<'_>, query: &QueryCode, k: usize, filter: Option<&dyn Fn(NodeId) -> bool>) -> Vec<Hit> {
    assert_eq!(query.code().len(), codes.dim(), "the query has another number of dimensions");
    let mut best = Best::new(k);
    let mut dots = [0; BLOCK];
    let blocks = codes.codes().chunks(BLOCK * codes.dim()).zip(codes.scales().chunks(BLOCK));
    for (block, (rows, scales)) in blocks.enumerate() {
        let dots = &mut dots[..scales.len()];
        kernels::scan_i16_i8(query.code(), rows, dots);
        for (i, (&dot, scale)) in dots.iter().zip(scales).enumerate() {
            let key = Key::new(dot as f32 * scale, (block * BLOCK + i) as u32);
            if best.wants(key) && filter.is_none_or(|filter| filter(NodeId(key.node()))) {
                best.offer(key);
            }
        }
    }
    best.into_hits(query.scale())
}

/// The `k` best rows of `vectors` (row-major, `dim` columns) by their `f32` inner product with `query`, the best first, ties
/// by row: the oracle.
///
/// # Panics
/// If the shapes disagree.
pub fn top_k_f32(vectors: &[f32], dim: usize, query: &[f32], k: usize) -> Vec<Hit> {
    assert!(query.len() == dim && dim > 0 && vectors.len().is_multiple_of(dim), "vectors are not [rows, dim]");
    let mut best = Best::new(k);
    for (row, vector) in vectors.chunks_exact(dim).enumerate() {
        best.offer(Key::new(kernels::dot_f32(vector, query), row as u32));
    }
    best.into_hits(1.0)
}

/// The best keys so far.
struct Best {
    k: usize,
    keys: BinaryHeap<Reverse<Key>>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, keys: BinaryHeap::new() }
    }

    fn wants(&self, key: Key) -> bool {
        self.keys.len() < self.k || self.keys.peek().is_some_and(|worst| worst.0 < key)
    }

    fn offer(&mut self, key: Key) {
        if self.keys.len() < self.k {
            self.keys.push(Reverse(key));
        } else if let Some(mut worst) = self.keys.peek_mut()
            && worst.0 < key
        {
            *worst = Reverse(key);
        }
    }

    fn into_hits(self, query_scale: f32) -> Vec<Hit> {
        self.keys.into_sorted_vec().into_iter().map(|Reverse(key)| key.hit(query_scale)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::Codes;

    proptest! {
        #[test]
        fn the_scan_equals_sorting_all_decoded_products(
            rows in prop::collection::vec(prop::collection::vec(-3i8..=3, 5), 0..600), k in 0usize..30,
        ) {
            let vectors: Vec<f32> = rows.iter().flatten().map(|&x| f32::from(x)).collect();
            let query = [1.0, -2.0, 0.5, 3.0, -1.5];
            let codes = Codes::encode(&vectors, 5).unwrap();
            let code = QueryCode::new(&query);
            let mut keys: Vec<Key> = (0..rows.len())
                .map(|row| {
                    let dot = kernels::dot_i16_i8(code.code(), &codes.view().codes()[row * 5..][..5]);
                    Key::new(dot as f32 * codes.view().scales()[row], row as u32)
                })
                .collect();
            keys.sort_by(|a, b| b.cmp(a));
            let expected: Vec<Hit> = keys.iter().take(k).map(|key| key.hit(code.scale())).collect();
            prop_assert_eq!(top_k(&codes.view(), &code, k, None), expected);

            let exact = top_k_f32(&vectors, 5, &query, k);
            prop_assert_eq!(exact.len(), k.min(rows.len()));
            prop_assert!(exact.windows(2).all(|pair| (pair[0].score, pair[1].node) > (pair[1].score, pair[0].node)));
        }
    }
}
