//! Choosing how far a search goes, by measuring it.

use super::measure::{IndexReport, Truth, measure, measure_points};
use super::{Built, IndexError, SearchParams};

/// What a default search must find of what a scan of all codes finds, in recall@100. The rest costs more time than it is
/// worth: the last hundredth doubles the cells.
pub const SHARE_OF_CODES: f64 = 0.99;

/// Widths of walks over rows that are tried.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 1024];

/// Runs of each query, of which the fastest counts.
const ROUNDS: usize = 3;

/// Measures an index, doubling how far the search goes until it finds [`SHARE_OF_CODES`] of what its codes can; that search,
/// and the curve.
///
/// # Errors
/// As [`measure`].
pub fn choose_search(built: &Built, truth: &Truth) -> Result<(SearchParams, IndexReport), IndexError> {
    let cells = built.index.view().cells();
    let ways: Vec<SearchParams> = if cells == 1 {
        WIDTHS.map(|ef_search| SearchParams { probes: 1, ef_search }).to_vec()
    } else {
        let probes = std::iter::successors(Some(1), |probes| Some(probes * 2)).take_while(|&probes| probes < cells);
        probes.chain([cells]).map(|probes| SearchParams { probes, ef_search: WIDTHS[0] }).collect()
    };
    let mut report = measure(built, truth, &[], 1)?;
    let enough = report.codes.at_100 * SHARE_OF_CODES;
    for way in ways {
        report.points.extend(measure_points(built, truth, &[way], ROUNDS)?);
        if report.points.last().is_some_and(|point| point.recall.at_100 >= enough) {
            break;
        }
    }
    let chosen =
        report.points.last().map_or(SearchParams { probes: cells, ef_search: WIDTHS[0] }, |point| point.params);
    Ok((chosen, report))
}
