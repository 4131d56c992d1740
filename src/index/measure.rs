//! What an index of some embeddings finds, how fast, and how large it is.
//!
//! Three lists per query are compared: the best by `f32` inner products, the best by an exact scan of the int8 codes, and
//! what the graph finds in the codes. All recalls here are against exact search, not against what shoppers did.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use super::codes::check_vectors;
use super::{BuildParams, Built, Hit, IndexError, NodeId, QueryCode, Scratch, build, exact, search};
use crate::metrics::search_recall_at_k;

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasureParams {
    /// How the graph is built.
    pub build: BuildParams,
    /// Widths of the search, one row of the report each.
    pub ef_search: Vec<usize>,
    /// Each query is timed once per round, and the fastest round counts. 1 and up.
    pub rounds: usize,
}

/// Recall of one search against another, averaged over the queries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recall {
    /// Recall@10.
    pub at_10: f64,
    /// Recall@100.
    pub at_100: f64,
}

/// The graph at one width of the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphRow {
    /// The width.
    pub ef_search: usize,
    /// Against the exact scan of the codes: what the graph costs.
    pub against_codes: Recall,
    /// Against `f32` products: what graph and codes cost together.
    pub against_f32: Recall,
    /// Microseconds per query for the best 100.
    pub micros: f64,
}

/// The result of [`measure`].
#[derive(Debug, Clone, PartialEq)]
pub struct IndexReport {
    /// Candidates.
    pub items: usize,
    /// Dimensions of the embeddings.
    pub dim: usize,
    /// Queries.
    pub queries: usize,
    /// Most links of a node above layer 0.
    pub m: usize,
    /// The exact scan of the codes against `f32` products: what the codes cost.
    pub codes_against_f32: Recall,
    /// Microseconds per query of the exact scan, for the best 100.
    pub scan_micros: f64,
    /// The graph, by width of the search.
    pub graph: Vec<GraphRow>,
    /// Seconds to build the graph, on all threads of the builder.
    pub build_seconds: f64,
    /// Bytes per candidate of code and scale, as a shard stores them.
    pub code_bytes: f64,
    /// Bytes per candidate of links, as a shard stores them.
    pub link_bytes: f64,
}

impl fmt::Display for IndexReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, links) = (self.code_bytes, self.link_bytes);
        writeln!(f, "{} candidates x {}, {} queries, m {}", self.items, self.dim, self.queries, self.m)?;
        writeln!(f, "{:.1} bytes per candidate: {code:.1} code, {links:.1} links", code + links)?;
        writeln!(f, "graph built in {:.1} s", self.build_seconds)?;
        writeln!(
            f,
            "{:<22}{:>12}{:>12}{:>12}{:>12}{:>10}",
            "", "r@10 codes", "r@100 codes", "r@10 f32", "r@100 f32", "us"
        )?;
        let mut row = |name: String, codes: Recall, f32: Recall, micros: f64| {
            let Recall { at_10, at_100 } = f32;
            writeln!(
                f,
                "{name:<22}{:>12.4}{:>12.4}{at_10:>12.4}{at_100:>12.4}{micros:>10.1}",
                codes.at_10, codes.at_100
            )
        };
        row("scan".to_owned(), Recall { at_10: 1.0, at_100: 1.0 }, self.codes_against_f32, self.scan_micros)?;
        for graph in &self.graph {
            row(format!("graph, ef_search {}", graph.ef_search), graph.against_codes, graph.against_f32, graph.micros)?;
        }
        Ok(())
    }
}

/// Builds an index of `embeddings` and searches it for each of `queries`, both row-major with `dim` columns.
///
/// # Errors
/// Those of [`build`], for the embeddings and for the queries.
pub fn measure(
    embeddings: &[f32],
    queries: &[f32],
    dim: usize,
    params: &MeasureParams,
) -> Result<IndexReport, IndexError> {
    check_vectors(queries, dim)?;
    let start = Instant::now();
    let built = build(embeddings, dim, &params.build)?;
    let build_seconds = start.elapsed().as_secs_f64();
    let Built { order, codes, graph } = &built;
    let codes = codes.view();
    let rows = |hits: Vec<Hit>| -> Vec<u32> { hits.into_iter().map(|hit| order[hit.node.row()]).collect() };

    let queries: Vec<&[f32]> = queries.chunks_exact(dim).collect();
    let by_f32 = |query: &&[f32]| {
        exact::top_k_f32(embeddings, dim, query, 100).into_iter().map(|Hit { node: NodeId(row), .. }| row).collect()
    };
    let by_f32: Vec<Vec<u32>> = queries.iter().map(by_f32).collect();
    let scan = |query: &[f32]| exact::top_k(&codes, &QueryCode::new(query), 100, None);
    let by_codes: Vec<Vec<u32>> = queries.iter().map(|query| rows(scan(query))).collect();

    let mut report = IndexReport {
        items: codes.len(),
        dim,
        queries: queries.len(),
        m: params.build.m,
        codes_against_f32: recall(&by_codes, &by_f32),
        scan_micros: micros(&queries, params.rounds, |query| drop(black_box(scan(query)))),
        graph: Vec::new(),
        build_seconds,
        code_bytes: (dim + size_of::<f32>()) as f64,
        link_bytes: link_bytes(&built),
    };
    let Some(graph) = graph else { return Ok(report) };
    let mut scratch = Scratch::default();
    for &ef_search in &params.ef_search {
        let mut walk =
            |query: &[f32]| search(&codes, &graph.view(), &QueryCode::new(query), 100, ef_search, &mut scratch, None);
        let found: Vec<Vec<u32>> = queries.iter().map(|query| rows(walk(query))).collect();
        report.graph.push(GraphRow {
            ef_search,
            against_codes: recall(&found, &by_codes),
            against_f32: recall(&found, &by_f32),
            micros: micros(&queries, params.rounds, |query| drop(black_box(walk(query)))),
        });
    }
    Ok(report)
}

fn recall(found: &[Vec<u32>], exact: &[Vec<u32>]) -> Recall {
    let mean = |k| {
        let sum: f64 = found.iter().zip(exact).map(|(found, exact)| search_recall_at_k(found, exact, k)).sum();
        sum / found.len().max(1) as f64
    };
    Recall { at_10: mean(10), at_100: mean(100) }
}

/// The mean time of a query in the fastest round.
fn micros(queries: &[&[f32]], rounds: usize, mut run: impl FnMut(&[f32])) -> f64 {
    let round = |_| {
        let start = Instant::now();
        for query in queries {
            run(query);
        }
        start.elapsed().as_secs_f64() * 1e6 / queries.len().max(1) as f64
    };
    (0..rounds.max(1)).map(round).fold(f64::INFINITY, f64::min)
}

/// Bytes of links and their counts: two bytes per link while nodes fit in them.
fn link_bytes(built: &Built) -> f64 {
    let Some(graph) = &built.graph else { return 0.0 };
    let width = if graph.len() <= 1 << 16 { 2 } else { 4 };
    let ((base, base_links), (upper, upper_links)) = (graph.base(), graph.upper());
    let bytes = base.len() + upper.len() + width * (base_links.len() + upper_links.len());
    bytes as f64 / graph.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_EF_SEARCH;
    use super::super::testing::mixture;
    use super::*;

    /// Floors of recall@100, well below what is measured, so that only a defect falls through.
    const GRAPH_FLOOR: f64 = 0.98;
    const CODES_FLOOR: f64 = 0.97;

    #[test]
    fn the_graph_finds_what_the_scan_finds_and_codes_what_floats_find() {
        for seed in [1, 2, 3] {
            let (embeddings, queries) = mixture(seed, 1500, 40, 32);
            let build = BuildParams { seed, ..BuildParams::default() };
            let params = MeasureParams { build, ef_search: vec![100, DEFAULT_EF_SEARCH], rounds: 1 };
            let report = measure(&embeddings, &queries, 32, &params).unwrap();
            let (narrow, default) = (report.graph[0].against_codes, report.graph[1].against_codes);
            assert!(default.at_100 >= GRAPH_FLOOR, "seed {seed}: {default:?}, expected {GRAPH_FLOOR}\n{report}");
            assert!(default.at_100 >= narrow.at_100, "seed {seed}: a wider search finds less\n{report}");
            let codes = report.codes_against_f32;
            assert!(codes.at_100 >= CODES_FLOOR, "seed {seed}: {codes:?}, expected {CODES_FLOOR}\n{report}");
            assert!(report.code_bytes + report.link_bytes > 36.0 && report.items == 1500, "seed {seed}\n{report}");
        }
    }

    #[test]
    fn norms_decide_too() {
        // The inner product prefers long vectors, which a graph of nearest points would miss.
        let (mut embeddings, queries) = mixture(4, 1500, 40, 16);
        for (row, vector) in embeddings.chunks_exact_mut(16).enumerate() {
            for x in vector {
                *x *= 0.5 + (row % 7) as f32 / 4.0;
            }
        }
        let params = MeasureParams { build: BuildParams::default(), ef_search: vec![DEFAULT_EF_SEARCH], rounds: 1 };
        let report = measure(&embeddings, &queries, 16, &params).unwrap();
        assert!(report.graph[0].against_codes.at_100 >= GRAPH_FLOOR, "{report}");
    }

    #[test]
    fn few_candidates_none_and_broken_ones() {
        let params = MeasureParams { build: BuildParams::default(), ef_search: vec![DEFAULT_EF_SEARCH], rounds: 1 };
        let one = measure(&[1.0, 0.0], &[0.0, 1.0, 1.0, 0.0], 2, &params).unwrap();
        assert_eq!((one.items, one.queries, one.graph[0].against_f32), (1, 2, Recall { at_10: 1.0, at_100: 1.0 }));
        let none = measure(&[], &[0.0, 1.0], 2, &params).unwrap();
        assert_eq!((none.items, none.graph.len()), (0, 0));
        assert!(matches!(measure(&[1.0], &[1.0, 0.0], 2, &params), Err(IndexError::Shape { .. })));
        assert!(matches!(measure(&[1.0, f32::NAN], &[1.0, 0.0], 2, &params), Err(IndexError::NotFinite { .. })));
    }

    #[test]
    fn building_again_gives_the_same_graph() {
        let (embeddings, _) = mixture(5, 400, 0, 8);
        let build = || build(&embeddings, 8, &BuildParams::default()).unwrap();
        assert_eq!(build(), build());
    }
}
