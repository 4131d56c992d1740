//! Small shards for tests, with graphs that need no builder.

use super::ShardContent;
use crate::Digest;
use crate::index::testing::Random;
use crate::index::{Codes, Graph, NodeId};
use crate::kernels::dot_f32;

/// A shard of `count` candidates with ids of different lengths, `item-0` and on; with a graph if `m` is not 0.
pub(crate) fn content(seed: u64, count: usize, dim: usize, m: usize) -> ShardContent {
    let vectors = Random(seed).vector(count * dim);
    ShardContent {
        towers: Digest::of(b"towers"),
        ef_search: 32,
        ids: (0..count).map(|node| format!("item-{node}")).collect(),
        codes: Codes::encode(&vectors, dim).unwrap(),
        graph: (m > 0 && count > 0).then(|| graph(&vectors, dim, m)),
    }
}

/// Every node is linked with the next one, so that all are in reach, and with its nearest.
fn graph(vectors: &[f32], dim: usize, m: usize) -> Graph {
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    let layer = |size: usize, cap: usize| -> Vec<Vec<u32>> {
        (0..size)
            .map(|node| {
                let mut others: Vec<u32> = (0..size as u32).filter(|&other| other as usize != node).collect();
                let next = ((node + 1) % size) as u32;
                let product = |&other: &u32| dot_f32(rows[node], rows[other as usize]);
                others.sort_by(|a, b| (*b == next).cmp(&(*a == next)).then(product(b).total_cmp(&product(a))));
                others.truncate(cap);
                others
            })
            .collect()
    };
    let mut layers = vec![layer(rows.len(), 2 * m)];
    let mut size = rows.len() / 4;
    while size > 0 {
        layers.push(layer(size, m));
        size /= 4;
    }
    Graph::new(m, NodeId(0), &layers).unwrap()
}
