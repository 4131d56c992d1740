//! How far a mean over users may be off: the percentile bootstrap (Efron 1979).

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Share of the resampled means inside the interval.
pub const CONFIDENCE: f64 = 0.95;

/// Half a percent of the interval's width is what another seed changes.
const RESAMPLES: u64 = 1000;

const SEED: u64 = 1;

/// The interval of [`CONFIDENCE`] for the mean of each column, over rows drawn with replacement; `(0, 0)` without rows.
///
/// Every resample has a stream of its own, so the result does not depend on the number of threads.
pub(super) fn intervals<const N: usize>(rows: &[[f64; N]]) -> [(f64, f64); N] {
    if rows.is_empty() {
        return [(0.0, 0.0); N];
    }
    let means: Vec<[f64; N]> = (0..RESAMPLES)
        .into_par_iter()
        .map(|resample| {
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            rng.set_stream(resample);
            let mut sums = [0.0; N];
            for _ in 0..rows.len() {
                let row = &rows[rng.random_range(0..rows.len())];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            sums.map(|sum| sum / rows.len() as f64)
        })
        .collect();
    let outside = ((1.0 - CONFIDENCE) / 2.0 * RESAMPLES as f64).round() as usize;
    std::array::from_fn(|column| {
        let mut sorted: Vec<f64> = means.iter().map(|row| row[column]).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        (sorted[outside], sorted[sorted.len() - 1 - outside])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_normal_approximation_and_with_itself() {
        // A share of 1/4 among 1200: the standard error is sqrt(.25 * .75 / 1200) = .0125.
        let rows: Vec<[f64; 2]> = (0..1200).map(|row| [f64::from(u8::from(row % 4 == 0)), 3.0]).collect();
        let [(low, high), constant] = intervals(&rows);
        assert!((low - (0.25 - 1.96 * 0.0125)).abs() < 0.003, "{low}");
        assert!((high - (0.25 + 1.96 * 0.0125)).abs() < 0.003, "{high}");
        assert_eq!(constant, (3.0, 3.0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| intervals(&rows)), [(low, high), constant]);
        assert_eq!(intervals::<1>(&[]), [(0.0, 0.0)]);
    }
}
