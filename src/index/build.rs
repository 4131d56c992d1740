//! From embeddings to an index.

use std::time::Duration;

use indicatif::ProgressBar;

use super::codes::check_vectors;
use super::encode::Encoder;
use super::link::link_graph;
use super::partition::{Partition, PartitionParams, grouped, partition};
use super::{Codes, FineBits, GraphParams, Hit, Index, IndexError};

/// How an index is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildParams {
    /// Cells to cut the rows into; 1 for an index that is scanned whole, or walked. Up: fewer rows are scanned for the same
    /// recall; time for the centroids, and `dim + 4` bytes each.
    pub cells: usize,
    /// The fine plane of the codes. Up: recall and bytes.
    pub fine_bits: FineBits,
    /// The graph: over the centroids, or over the rows if there is one cell.
    pub graph: Option<GraphParams>,
    /// Decides where centroids start. Equal seeds and vectors give equal indexes.
    pub seed: u64,
}

impl BuildParams {
    /// What fits most catalogues: 8 bits per component, and twice the square root of the rows as cells.
    pub fn for_rows(rows: usize) -> Self {
        let cells = if rows < SCANNED { 1 } else { (2.0 * (rows as f64).sqrt()) as usize };
        let graph = (cells >= GRAPH_CELLS).then(GraphParams::default);
        Self { cells, fine_bits: FineBits::Four, graph, seed: 1 }
    }
}

/// Up to so many rows a scan of all of them takes no longer than choosing cells.
const SCANNED: usize = 2000;
/// From so many cells on a walk finds the best ones faster than a scan of all centroids.
const GRAPH_CELLS: usize = 3000;

/// An index and where its rows came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// For each node, the row of the embeddings that it holds. Within a cell rows keep their order.
    pub order: Vec<u32>,
    /// The index.
    pub index: Index,
}

impl Built {
    /// The rows of the embeddings that a search found.
    pub fn rows(&self, hits: &[Hit]) -> Vec<u32> {
        hits.iter().map(|hit| self.order[hit.node.row()]).collect()
    }
}

/// Builds an index of `vectors`, row-major with `dim` columns, of any norm, for queries like `queries`, of the same form; none
/// are needed, but where queries share a direction searches find more for them. The number of threads changes nothing.
///
/// # Errors
/// [`IndexError::NotFinite`] or [`IndexError::Shape`] for vectors that are not such a matrix, [`IndexError::Limit`] for a
/// parameter out of range.
pub fn build(vectors: &[f32], queries: &[f32], dim: usize, params: &BuildParams) -> Result<Built, IndexError> {
    check_vectors(vectors, dim)?;
    check_vectors(queries, dim)?;
    let count = vectors.len() / dim;
    let progress = if count < NOTICED { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    progress.set_message(format!("index of {count} candidates"));
    progress.enable_steady_tick(Duration::from_millis(200));
    let cut = PartitionParams { cells: params.cells, largest: LARGEST, smallest: 0.0, seed: params.seed };
    let built = build_cells(vectors, dim, partition(vectors, queries, dim, &cut), params);
    progress.finish_and_clear();
    built
}

/// From so many rows on a build takes seconds.
const NOTICED: usize = 10_000;

/// The largest cell, in means.
const LARGEST: f32 = 2.0;

fn build_cells(
    vectors: &[f32],
    dim: usize,
    Partition { mut centroids, mut cells }: Partition,
    params: &BuildParams,
) -> Result<Built, IndexError> {
    let count = centroids.len() / dim;
    let mut graph = None;
    if let Some(graph_params) = params.graph.filter(|_| count > 1) {
        // A graph numbers its nodes by layer: the cells take its numbers.
        let (order, linked) = link_graph(&centroids, dim, &graph_params)?;
        let mut number = vec![0; count];
        order.iter().zip(0..).for_each(|(&cell, new)| number[cell as usize] = new);
        centroids = order.iter().flat_map(|&cell| &centroids[cell as usize * dim..][..dim]).copied().collect();
        cells.iter_mut().for_each(|cell| *cell = number[*cell as usize]);
        graph = Some(linked);
    }
    let (mut order, cell_ends) = grouped(&cells, count);
    if let Some(graph_params) = params.graph.filter(|_| count == 1 && !cells.is_empty()) {
        let (by_layer, linked) = link_graph(vectors, dim, &graph_params)?;
        order = by_layer;
        graph = Some(linked);
    }
    let centroids = Codes::encode(&centroids, dim)?;
    let cells: Vec<u32> = order.iter().map(|&row| cells[row as usize]).collect();
    let codes =
        Encoder { dim, fine_bits: params.fine_bits, centroids: centroids.view() }.encode(vectors, &order, &cells);
    Ok(Built { order, index: Index { centroids, cell_ends, codes, graph } })
}
