//! The reference builder: instant-distance, whose `M` is a constant 32, cut down to `m` links.
//!
//! One thread builds, because the result depends on the order in which threads insert.

use serde::{Deserialize, Serialize, Serializer};

use super::graph::MAX_LAYERS;
use super::points::Points;
use super::prune::{Selection, connect};
use super::{Graph, GraphParams, IndexError, Key, NodeId};
use crate::kernels::dot_f32;

/// A row of [`Points`].
#[derive(Clone)]
struct Point<'a>(&'a [f32]);

impl instant_distance::Point for Point<'_> {
    /// Half the squared distance, less the square of the largest norm: it orders as the distance does.
    fn distance(&self, other: &Self) -> f32 {
        -dot_f32(self.0, other.0)
    }
}

/// Nothing: the graph is read out of its serialised form, and the vectors are known.
impl Serialize for Point<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// The part of a serialised instant-distance graph that is read. A list ends at the first [`u32::MAX`] or at its end; layer
/// `l` is `layers[l - 1]` and holds the first points.
#[derive(Deserialize)]
struct Serialised {
    zero: Vec<Vec<u32>>,
    layers: Vec<Vec<Vec<u32>>>,
}

/// The row of each node, and the graph, by instant-distance.
pub(super) fn link(vectors: &[f32], dim: usize, params: &GraphParams) -> Result<(Vec<u32>, Graph), IndexError> {
    let rows: Vec<u32> = (0..(vectors.len() / dim) as u32).collect();
    let points = Points::lift(vectors, dim, &rows);
    let points: Vec<Point<'_>> = rows.iter().map(|&row| Point(points.row(row))).collect();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let one_thread = one_thread.map_err(|_| IndexError::Builder { what: "thread to run on" })?;
    let (graph, ids) = one_thread.install(|| {
        instant_distance::Builder::default()
            .seed(params.seed)
            .ef_construction(params.ef_construction)
            // A layer holds about one in `m` of the nodes below it, as mL = 1 / ln(m) gives in the paper.
            .ml(1.0 / params.m as f32)
            .build_hnsw(points.clone())
    });
    let text = serde_json::to_vec(&graph).map_err(|_| IndexError::Builder { what: "serialised form" })?;
    drop(graph);
    let Serialised { zero, layers } =
        serde_json::from_slice(&text).map_err(|_| IndexError::Builder { what: "fields `zero` and `layers`" })?;
    let mut order = vec![0; points.len()];
    for (row, id) in ids.iter().enumerate() {
        order[id.into_inner() as usize] = row as u32;
    }
    let mut layers: Vec<_> = std::iter::once(zero).chain(layers.into_iter().take(MAX_LAYERS)).collect();
    for list in layers.iter_mut().flatten() {
        let end = list.iter().position(|&link| link == u32::MAX).unwrap_or(list.len());
        list.truncate(end);
    }
    let points: Vec<Point<'_>> = order.iter().map(|&row| points[row as usize].clone()).collect();
    let graph = cut(&layers, &points, params.m)?;
    Ok((order, graph))
}

/// Cuts every list down to `m` links, `2 * m` on layer 0, and keeps all nodes in reach there.
fn cut(layers: &[Vec<Vec<u32>>], points: &[Point<'_>], m: usize) -> Result<Graph, IndexError> {
    let score = |a: u32, b: u32| dot_f32(points[a as usize].0, points[b as usize].0);
    let shadowed = |key: Key, kept: &[u32]| kept.iter().any(|&other| score(key.node(), other) >= key.score());
    let (mut selection, mut candidates) = (Selection::default(), Vec::new());
    let mut cut = Vec::with_capacity(layers.len());
    for (level, layer) in layers.iter().enumerate() {
        let limit = if level == 0 { 2 * m } else { m };
        let lists = layer.iter().enumerate().map(|(node, list)| {
            candidates.clear();
            candidates.extend(list.iter().map(|&link| Key::new(score(node as u32, link), link)));
            candidates.sort_unstable_by(|a, b| b.cmp(a));
            candidates.dedup();
            selection.select(&candidates, limit, shadowed).iter().map(|key| key.node()).collect()
        });
        cut.push(lists.collect::<Vec<_>>());
    }
    connect(&mut cut[0], 0, 2 * m, |a, b| -score(a, b));
    Graph::new(m, NodeId(0), &cut)
}
