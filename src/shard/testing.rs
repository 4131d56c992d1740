//! Small shards for tests, with graphs that need no builder.

use super::ShardContent;
use super::columns::Columns;
use crate::Digest;
use crate::index::testing::Random;
use crate::index::{Codes, FineBits, Graph, Index, NodeId, ResidualCodes, SearchParams};
use crate::kernels::{dot_f32, nibble_stride};

/// A shard of `count` candidates with ids of different lengths, `item-0` and on, and residuals of any value; with a graph if
/// `m` is not 0, over the rows of one cell or over the cells.
pub(crate) fn content(seed: u64, count: usize, dim: usize, m: usize) -> ShardContent {
    content_in_cells(seed, count, dim, m, 1)
}

/// [`content`] in so many cells, which hold about equally many rows.
pub(crate) fn content_in_cells(seed: u64, count: usize, dim: usize, m: usize, cells: usize) -> ShardContent {
    let mut random = Random::new(seed);
    let fine_bits = FineBits::ALL[seed as usize % 3];
    let mut bytes = |len: usize| -> Vec<u8> { (0..len).map(|_| (random.next() >> 56) as u8).collect() };
    let coarse = bytes(count * nibble_stride(dim));
    let fine = bytes(count * fine_bits.stride(dim));
    // The largest step is 1/8, and centroids are of about unit length.
    let codes = ResidualCodes::from_parts((dim, fine_bits, -3), coarse, fine, bytes(count));
    let centroids = random.vector(cells * dim);
    let graph = (m > 0 && count > 0).then(|| {
        let rows = random.vector(if cells == 1 { count } else { cells } * dim);
        graph(&rows, dim, m)
    });
    ShardContent {
        towers: Digest::of(b"towers"),
        params: SearchParams { probes: 3, ef_search: 32 },
        ids: (0..count).map(|node| format!("item-{node}")).collect(),
        index: Index {
            centroids: Codes::encode(&centroids, dim).unwrap(),
            cell_ends: (1..=cells).map(|cell| (count * cell / cells) as u32).collect(),
            codes,
            graph,
        },
        columns: Vec::new(),
    }
}

/// A file of columns for so many rows, of which every value is made of the row's number and the seed.
pub(crate) fn columns(seed: u64, rows: usize) -> Vec<u8> {
    let numbers = || (0..rows as u64).map(move |row| row + seed % 7);
    let price: Vec<_> = numbers().map(|number| (number % 5 != 0).then_some(100 + number as u32 * 40)).collect();
    let brand: Vec<_> = numbers().map(|number| (number % 4 != 0).then(|| format!("maker {}", number % 3))).collect();
    let category: Vec<_> = numbers()
        .map(|number| {
            (number % 9 != 0)
                .then(|| vec![["Home", "Garden"][number as usize % 2].to_owned(), format!("shelf {}", number % 5)])
        })
        .collect();
    let popularity: Vec<_> = numbers().map(|number| Some(number * number)).collect();
    let weight: Vec<_> = numbers().map(|number| Some(number as f32 / 4.0)).collect();
    Columns::builder(rows)
        .price("price", &price)
        .text("brand", &brand)
        .path("category", &category)
        .popularity("popularity", &popularity)
        .float("weight", &weight)
        .write()
        .unwrap()
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
