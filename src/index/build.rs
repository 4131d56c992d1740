//! From embeddings to codes and a graph.

use std::time::Duration;

use indicatif::ProgressBar;

use super::codes::check_vectors;
use super::graph::MAX_M;
use super::{Codes, Graph, IndexError, hnsw, instant};

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildParams {
    /// Most links per node above layer 0; layer 0 keeps twice as many. Up: recall, bytes, time. `2..=`[`MAX_M`].
    pub m: usize,
    /// Width of the search while building. Up: recall and build time. `1..=4096`.
    pub ef_construction: usize,
    /// Decides the order of insertion. Equal seeds and vectors give equal graphs.
    pub seed: u64,
    /// Who links the nodes.
    pub builder: Builder,
}

/// Who links the nodes of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Builder {
    /// This crate, on all threads of the current pool of rayon.
    #[default]
    Own,
    /// instant-distance, on one thread: what tests compare with. It takes some ten times the CPU time.
    InstantDistance,
}

/// Measured on 40,000 clustered unit vectors of 64 dimensions, at [`DEFAULT_EF_SEARCH`](super::DEFAULT_EF_SEARCH):
/// recall@100 of .9987 against the exact scan. Half of `ef_construction` builds in half of the time and loses .0005, `m` of 12
/// saves 13 bytes per candidate and loses .0016.
impl Default for BuildParams {
    fn default() -> Self {
        Self { m: 16, ef_construction: 200, seed: 1, builder: Builder::Own }
    }
}

/// Codes and graph over the same nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// For each node, the row of the embeddings that it holds.
    pub order: Vec<u32>,
    /// The vectors, by node.
    pub codes: Codes,
    /// The links, by node; `None` if there are no nodes.
    pub graph: Option<Graph>,
}

/// Builds codes and graph of `vectors`, row-major with `dim` columns, of any norm.
///
/// # Errors
/// [`IndexError::NotFinite`] or [`IndexError::Shape`] for vectors that are not such a matrix, [`IndexError::Limit`] for a
/// parameter out of range.
pub fn build(vectors: &[f32], dim: usize, params: &BuildParams) -> Result<Built, IndexError> {
    check_vectors(vectors, dim)?;
    IndexError::check("m", params.m, 2, MAX_M)?;
    IndexError::check("ef_construction", params.ef_construction, 1, 4096)?;
    if vectors.is_empty() {
        return Ok(Built { order: Vec::new(), codes: Codes::encode(vectors, dim)?, graph: None });
    }
    let progress = ProgressBar::new_spinner().with_message(format!("graph of {} candidates", vectors.len() / dim));
    progress.enable_steady_tick(Duration::from_millis(200));
    let (order, graph) = match params.builder {
        Builder::Own => hnsw::link(vectors, dim, params)?,
        Builder::InstantDistance => instant::link(vectors, dim, params)?,
    };
    let rows: Vec<f32> = order.iter().flat_map(|&row| &vectors[row as usize * dim..][..dim]).copied().collect();
    let codes = Codes::encode(&rows, dim)?;
    progress.finish_and_clear();
    Ok(Built { order, codes, graph: Some(graph) })
}
