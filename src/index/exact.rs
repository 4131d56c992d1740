//! Exact search: what recall is measured against.

use super::top::{Top, best_first};
use super::{Hit, Key};
use crate::kernels;

/// The `k` best rows of `vectors` (row-major, `dim` columns) by their `f32` inner product with `query`, the best first, ties
/// by row: the oracle.
///
/// # Panics
/// If the shapes disagree.
pub fn top_k_f32(vectors: &[f32], dim: usize, query: &[f32], k: usize) -> Vec<Hit> {
    assert!(query.len() == dim && dim > 0 && vectors.len().is_multiple_of(dim), "vectors are not [rows, dim]");
    let mut top = Top::default();
    top.start(k);
    for (row, vector) in vectors.chunks_exact(dim).enumerate() {
        top.offer(Key::new(kernels::dot_f32(vector, query), row as u32));
    }
    let keys = top.finish();
    best_first(keys);
    keys.iter().map(|key| key.hit(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_scan_equals_sorting_all_products(
            rows in prop::collection::vec(prop::collection::vec(-3i8..=3, 5), 0..200), k in 0usize..30,
        ) {
            let vectors: Vec<f32> = rows.iter().flatten().map(|&x| f32::from(x)).collect();
            let query = [1.0, -2.0, 0.5, 3.0, -1.5];
            let mut expected: Vec<(f32, u32)> = vectors
                .chunks_exact(5)
                .zip(0..)
                .map(|(row, at)| (kernels::scalar::dot_f32(row, &query), at))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            let found: Vec<_> = top_k_f32(&vectors, 5, &query, k).iter().map(|hit| (hit.score.0, hit.node.0)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
