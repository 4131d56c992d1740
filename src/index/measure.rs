//! What an index of some embeddings finds, and how fast.
//!
//! All recalls here are against exact `f32` search of the embeddings, not against what shoppers did.

use std::fmt;
use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::codes::check_vectors;
use super::{Built, Hit, IndexError, NodeId, QueryCode, Scratch, SearchParams, exact};
use crate::metrics::search_recall_at_k;

/// Queries and what exact search finds for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    dim: usize,
    queries: Vec<f32>,
    /// For each query the rows of the best 100, the best first.
    best: Vec<Vec<u32>>,
}

impl Truth {
    /// Searches `embeddings` for each of `queries`, both row-major with `dim` columns.
    ///
    /// # Errors
    /// [`IndexError::NotFinite`], [`IndexError::Shape`] or [`IndexError::Limit`] if either is not such a matrix.
    pub fn of(embeddings: &[f32], queries: &[f32], dim: usize) -> Result<Self, IndexError> {
        check_vectors(embeddings, dim)?;
        check_vectors(queries, dim)?;
        let best = |query| {
            exact::top_k_f32(embeddings, dim, query, 100).into_iter().map(|Hit { node: NodeId(row), .. }| row).collect()
        };
        Ok(Self { dim, queries: queries.to_vec(), best: queries.par_chunks_exact(dim).map(best).collect() })
    }

    /// The queries, row-major.
    pub fn queries(&self) -> &[f32] {
        &self.queries
    }

    /// For each query the rows of the best 100, the best first.
    pub fn best(&self) -> &[Vec<u32>] {
        &self.best
    }

    /// Recall of what `search` finds for each query: rows, the best first.
    pub fn recall(&self, mut search: impl FnMut(&[f32]) -> Vec<u32>) -> Recall {
        let mut sum = Recall::default();
        for (query, exact) in self.queries.chunks_exact(self.dim).zip(&self.best) {
            let found = search(query);
            sum.at_10 += search_recall_at_k(&found, exact, 10);
            sum.at_100 += search_recall_at_k(&found, exact, 100);
        }
        let queries = self.best.len().max(1) as f64;
        Recall { at_10: sum.at_10 / queries, at_100: sum.at_100 / queries }
    }
}

/// Recall of one search against another, averaged over the queries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recall {
    /// Recall@10.
    pub at_10: f64,
    /// Recall@100.
    pub at_100: f64,
}

/// An index searched in one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// How far the search goes.
    pub params: SearchParams,
    /// What it finds.
    pub recall: Recall,
    /// Microseconds per query for the best 10.
    pub micros_at_10: f64,
    /// Microseconds per query for the best 100.
    pub micros_at_100: f64,
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
    /// Cells.
    pub cells: usize,
    /// Bits per component.
    pub bits: usize,
    /// An exact scan of all codes: what the codes cost.
    pub codes: Recall,
    /// The searches.
    pub points: Vec<Point>,
}

/// Searches an index in each of some ways, each query `rounds` times, of which the fastest counts.
///
/// # Errors
/// [`IndexError::Shape`] if the queries are not of the index's dimensions.
pub fn measure(built: &Built, truth: &Truth, ways: &[SearchParams], rounds: usize) -> Result<IndexReport, IndexError> {
    let view = built.index.view();
    let points = measure_points(built, truth, ways, rounds)?;
    let mut scratch = Scratch::default();
    let codes = truth.recall(|query| built.rows(&view.exact(&QueryCode::new(query), 100, &mut scratch, None)));
    Ok(IndexReport {
        items: view.len(),
        dim: truth.dim,
        queries: truth.best.len(),
        cells: view.cells(),
        bits: 4 + built.index.codes.fine_bits().bits(),
        codes,
        points,
    })
}

/// The searches of [`measure`].
pub(super) fn measure_points(
    built: &Built,
    truth: &Truth,
    ways: &[SearchParams],
    rounds: usize,
) -> Result<Vec<Point>, IndexError> {
    let view = built.index.view();
    if view.dim() != truth.dim {
        return Err(IndexError::Shape { found: truth.dim, dim: view.dim() });
    }
    let mut scratch = Scratch::default();
    let mut points = Vec::with_capacity(ways.len());
    for &params in ways {
        let mut search = |query: &[f32], k| view.search(&QueryCode::new(query), k, params, &mut scratch, None);
        let at_10 = truth.recall(|query| built.rows(&search(query, 10))).at_10;
        let at_100 = truth.recall(|query| built.rows(&search(query, 100))).at_100;
        let mut micros = |k| truth.micros(rounds, |query| drop(black_box(search(query, k))));
        points.push(Point {
            params,
            recall: Recall { at_10, at_100 },
            micros_at_10: micros(10),
            micros_at_100: micros(100),
        });
    }
    Ok(points)
}

impl Truth {
    /// The mean over the queries of the fastest of `rounds` runs of each.
    pub fn micros(&self, rounds: usize, mut run: impl FnMut(&[f32])) -> f64 {
        let mut fastest = vec![f64::INFINITY; self.best.len()];
        for _ in 0..rounds.max(1) {
            for (query, fastest) in self.queries.chunks_exact(self.dim).zip(&mut fastest) {
                let start = Instant::now();
                run(query);
                *fastest = fastest.min(start.elapsed().as_secs_f64() * 1e6);
            }
        }
        fastest.iter().sum::<f64>() / fastest.len().max(1) as f64
    }
}

impl fmt::Display for IndexReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, dim, queries, cells, bits, codes, .. } = self;
        writeln!(f, "{items} candidates x {dim} in {cells} cells, {bits} bits per component, {queries} queries")?;
        writeln!(f, "{:<24}{:>12}{:>12}{:>12}{:>12}", "", "recall@10", "recall@100", "us, k=10", "us, k=100")?;
        writeln!(f, "{:<24}{:>12.4}{:>12.4}", "scan of all codes", codes.at_10, codes.at_100)?;
        for Point { params, recall, micros_at_10, micros_at_100 } in &self.points {
            let SearchParams { probes, ef_search } = params;
            let name = if *cells == 1 { format!("ef_search {ef_search}") } else { format!("{probes} probes") };
            writeln!(
                f,
                "{name:<24}{:>12.4}{:>12.4}{micros_at_10:>12.1}{micros_at_100:>12.1}",
                recall.at_10, recall.at_100
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::generate::Mixture;
    use super::super::testing::mixture;
    use super::super::{BuildParams, FineBits, GraphParams, RowSet, build};
    use super::*;

    /// Floors of recall@100, well below what is measured, so that only a defect falls through.
    const WHOLE: f64 = 0.985;
    const CODES: [(FineBits, f64); 3] = [(FineBits::None, 0.88), (FineBits::Two, 0.94), (FineBits::Four, 0.98)];

    fn params(probes: usize) -> SearchParams {
        SearchParams { probes, ef_search: 200 }
    }

    fn against_codes(built: &Built, truth: &Truth, way: SearchParams) -> (f64, f64) {
        let report = measure(built, truth, &[way], 1).unwrap();
        (report.codes.at_100, report.points[0].recall.at_100)
    }

    /// One cluster, denser than those of a million rows in the bench: a short list that follows the number of results alone finds
    /// 958.
    #[test]
    fn ten_results_of_dense_clusters_are_those_of_whole_codes() {
        let mixture = Mixture { clusters: 1, ..Mixture::standard(1) };
        let (rows, queries) = (mixture.draw(16_000, 0), mixture.draw(100, 1));
        let params_of = BuildParams { cells: 40, fine_bits: FineBits::Four, graph: None, seed: 1 };
        let built = build(&rows, &[], mixture.dim, &params_of).unwrap();
        let (view, mut scratch) = (built.index.view(), Scratch::default());
        let mut found = 0;
        for query in queries.chunks_exact(mixture.dim).map(QueryCode::new) {
            let expected = view.exact(&query, 10, &mut scratch, None);
            let hits = view.search(&query, 10, params(40), &mut scratch, None);
            found += hits.iter().filter(|hit| expected.contains(hit)).count();
        }
        assert!(found >= 990, "{found} of 1000");
    }

    #[test]
    fn as_many_are_found_as_are_asked_for_however_few_cells_hold_them() {
        let (rows, queries) = mixture(4, 2000, 10, 16);
        let params_of = BuildParams { cells: 50, fine_bits: FineBits::Four, graph: None, seed: 1 };
        let built = build(&rows, &[], 16, &params_of).unwrap();
        let (view, mut scratch) = (built.index.view(), Scratch::default());
        let odd = RowSet::of(2000, |node| node.0 % 2 == 1);
        for query in queries.chunks_exact(16).map(QueryCode::new) {
            for (k, filter) in [(1, None), (300, None), (2000, None), (300, Some(&odd)), (1000, Some(&odd))] {
                assert_eq!(view.search(&query, k, params(1), &mut scratch, filter).len(), k, "{filter:?}");
            }
            assert_eq!(view.search(&query, 1001, params(1), &mut scratch, Some(&odd)).len(), 1000);
        }
    }

    #[test]
    fn finer_codes_find_more_and_all_cells_find_what_the_scan_finds() {
        for seed in [1, 2, 3] {
            let (embeddings, queries) = mixture(seed, 3000, 40, 32);
            let truth = Truth::of(&embeddings, &queries, 32).unwrap();
            for (fine_bits, floor) in CODES {
                let params_of = BuildParams { cells: 40, fine_bits, graph: None, seed };
                let built = build(&embeddings, &[], 32, &params_of).unwrap();
                let (codes, all) = against_codes(&built, &truth, params(40));
                assert!(codes >= floor, "seed {seed}, {fine_bits:?}: {codes}, expected {floor}");
                assert!(all >= codes - 0.01, "seed {seed}, {fine_bits:?}: {all} of {codes}");
                let (_, some) = against_codes(&built, &truth, params(20));
                assert!(some >= floor * WHOLE && some <= all + 1e-9, "seed {seed}, {fine_bits:?}: {some} of {all}");
            }
        }
    }

    #[test]
    fn graphs_over_rows_and_over_centroids_find_what_scans_find() {
        for seed in [1, 2, 3] {
            let (embeddings, queries) = mixture(seed, 3000, 40, 32);
            let truth = Truth::of(&embeddings, &queries, 32).unwrap();
            for (cells, probes) in [(1, 1), (150, 50)] {
                let graph = Some(GraphParams { seed, ..GraphParams::default() });
                let with = BuildParams { cells, fine_bits: FineBits::Four, graph, seed };
                let (codes, walked) =
                    against_codes(&build(&embeddings, &[], 32, &with).unwrap(), &truth, params(probes));
                let without = build(&embeddings, &[], 32, &BuildParams { graph: None, ..with }).unwrap();
                let (_, scanned) = against_codes(&without, &truth, params(probes));
                assert!(walked >= scanned * WHOLE, "seed {seed}, {cells} cells: {walked} of {scanned}, codes {codes}");
            }
        }
    }

    #[test]
    fn norms_decide_too() {
        // The inner product prefers long vectors, which a search for nearest ones would miss.
        for seed in [1, 2, 3] {
            let (mut embeddings, queries) = mixture(seed, 3000, 40, 32);
            for (row, vector) in embeddings.chunks_exact_mut(32).enumerate() {
                let factor = 1.0 + (row % 7) as f32;
                vector.iter_mut().for_each(|x| *x *= factor);
            }
            let truth = Truth::of(&embeddings, &queries, 32).unwrap();
            let params_of = BuildParams { cells: 40, fine_bits: FineBits::Four, graph: None, seed };
            let (codes, found) = against_codes(&build(&embeddings, &[], 32, &params_of).unwrap(), &truth, params(20));
            assert!(found >= 0.95 && codes >= 0.97, "seed {seed}: {found}, codes {codes}");
        }
    }

    #[test]
    fn cells_for_queries_that_share_a_direction_need_few_probes() {
        for seed in [1, 2, 3] {
            let (mut embeddings, mut queries) = mixture(seed, 3000, 60, 32);
            // The last number is a popularity that has nothing to do with the rest, and every query asks for it.
            let mut random = super::super::testing::Random::new(seed);
            embeddings.chunks_exact_mut(32).for_each(|row| row[31] = random.component());
            queries.chunks_exact_mut(32).for_each(|query| query[31] = 2.0);
            let truth = Truth::of(&embeddings, &queries, 32).unwrap();
            let params_of = BuildParams { cells: 60, fine_bits: FineBits::Four, graph: None, seed };
            let found = |for_queries: &[f32]| {
                let built = build(&embeddings, for_queries, 32, &params_of).unwrap();
                against_codes(&built, &truth, params(10)).1
            };
            let (plain, turned) = (found(&[]), found(&queries));
            assert!(turned >= plain + 0.1, "seed {seed}: {turned} in the metric of the queries, {plain} without");
        }
    }

    #[test]
    fn a_filter_that_keeps_one_in_a_hundred_costs_no_recall() {
        for seed in [1, 2, 3] {
            let (embeddings, queries) = mixture(seed, 6000, 40, 32);
            let mut corner: Vec<u32> = (0..6000).collect();
            corner.sort_by(|&a, &b| embeddings[b as usize * 32].total_cmp(&embeddings[a as usize * 32]));
            let spread = (0..6000).filter(|row| row % 100 == 7).collect();
            let cases: [Vec<u32>; 2] = [spread, corner[..60].to_vec()];
            for kept in cases {
                let some: Vec<f32> =
                    kept.iter().flat_map(|&row| &embeddings[row as usize * 32..][..32]).copied().collect();
                let truth = Truth::of(&some, &queries, 32).unwrap();
                let params_of = BuildParams { cells: 60, fine_bits: FineBits::Four, graph: None, seed };
                let built = build(&embeddings, &[], 32, &params_of).unwrap();
                let passes = RowSet::of(built.index.view().len(), |node| kept.contains(&built.order[node.row()]));
                let mut scratch = Scratch::default();
                let recall = truth.recall(|query| {
                    let hits =
                        built.index.view().search(&QueryCode::new(query), 10, params(4), &mut scratch, Some(&passes));
                    let place = |row: u32| kept.iter().position(|&kept| kept == row).unwrap() as u32;
                    built.rows(&hits).into_iter().map(place).collect()
                });
                assert!(recall.at_10 >= 0.95, "seed {seed}: {recall:?}");
            }
        }
    }

    #[test]
    fn the_same_bytes_for_any_number_of_threads_and_none_too_few_rows() {
        let run = |threads, count: usize| {
            let (vectors, _) = mixture(5, count.max(1), 1, 16);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let params = BuildParams { cells: 20, fine_bits: FineBits::Two, graph: None, seed: 5 };
            pool.install(|| build(&vectors[..count * 16], &[], 16, &params).unwrap())
        };
        for count in [0, 1, 2, 2500] {
            let built = run(1, count);
            assert_eq!(built.index.view().len(), count);
            assert!(built == run(3, count), "{count} vectors");
            let hits =
                built.index.view().search(&QueryCode::new(&[1.0; 16]), 5, params(20), &mut Scratch::default(), None);
            assert_eq!(hits.len(), count.min(5));
        }
    }
}
