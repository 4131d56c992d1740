//! How far an estimate may be off: of means over users by the percentile bootstrap (Efron 1979), of ratios of sums by the delta method;
//! and how probable a difference is by chance alone.

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

/// The normal deviate of [`CONFIDENCE`]: so many standard errors to either side.
const DEVIATE: f64 = 1.959_963_984_540_054;

/// An estimate with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// What was estimated; no number where there was nothing to estimate from.
    pub value: f64,
    /// Standard error.
    pub error: f64,
}

impl Estimate {
    /// The ratio of two sums over clusters, such as the clicks and impressions of visitors, with the standard error by the delta method
    /// (Deng, Knoblich and Lu 2018): what a cluster holds may depend on each other, clusters do not.
    pub fn ratio(clusters: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let (count, above, below) =
            clusters.clone().fold((0.0, 0.0, 0.0), |(count, above, below), (y, n)| (count + 1.0, above + y, below + n));
        let value = above / below;
        let squares: f64 = clusters.map(|(y, n)| (y - value * n) * (y - value * n)).sum();
        let error = libm::sqrt(squares * count / (count - 1.0)) / below.abs();
        Self { value, error }
    }

    /// The interval of [`CONFIDENCE`], by the normal distribution.
    pub fn interval(self) -> (f64, f64) {
        (self.value - DEVIATE * self.error, self.value + DEVIATE * self.error)
    }

    /// What another estimate, from other clusters, is larger by.
    pub fn less_than(self, other: Self) -> Self {
        Self { value: other.value - self.value, error: libm::hypot(self.error, other.error) }
    }

    /// What another estimate is larger by, as a share of this one, with its interval: by the delta method for the logarithm of their ratio,
    /// so that it never reaches -1.
    pub fn lift(self, other: Self) -> (f64, (f64, f64)) {
        let ratio = other.value / self.value;
        let error = libm::hypot(self.error / self.value, other.error / other.value);
        let end = |deviates: f64| ratio * libm::exp(deviates * error) - 1.0;
        (ratio - 1.0, (end(-DEVIATE), end(DEVIATE)))
    }

    /// How probable an estimate at least so far from 0 is where the truth is 0: two-sided, by the normal distribution.
    pub fn p_value(self) -> f64 {
        libm::erfc((self.value / self.error).abs() / std::f64::consts::SQRT_2)
    }
}

/// Pearson's statistic of counts against shares that sum to 1, and how probable one at least so large is where the shares hold.
pub fn chi_squared(counts: &[f64], shares: &[f64]) -> (f64, f64) {
    let total: f64 = counts.iter().sum();
    let term = |(count, share): (&f64, &f64)| (count - share * total) * (count - share * total) / (share * total);
    let statistic: f64 = counts.iter().zip(shares).map(term).sum();
    // The upper incomplete gamma function at half the degrees of freedom, from 1/2 or 1 upwards by steps of 1 (DLMF 8.8.2).
    let (freedom, x) = (counts.len().saturating_sub(1), statistic / 2.0);
    let (mut a, mut upper) = if freedom % 2 == 1 { (0.5, libm::erfc(libm::sqrt(x))) } else { (1.0, libm::exp(-x)) };
    if freedom == 0 {
        return (statistic, 1.0);
    }
    while a < freedom as f64 / 2.0 {
        upper += libm::exp(a * libm::log(x) - x - libm::lgamma(a + 1.0));
        a += 1.0;
    }
    (statistic, upper)
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

    #[test]
    fn ratios_agree_with_the_bootstrap_over_clusters() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let clusters: Vec<(f64, f64)> = (0..800)
            .map(|_| {
                // Of every visitor a rate of its own: impressions of one are alike.
                let (rate, count) = (0.3 * rng.random::<f64>(), rng.random_range(1..40));
                (f64::from((0..count).filter(|_| rng.random::<f64>() < rate).count() as u32), f64::from(count))
            })
            .collect();
        let found = Estimate::ratio(clusters.iter().copied());
        let resampled: Vec<f64> = (0..2000)
            .map(|_| {
                let drawn = (0..800).map(|_| clusters[rng.random_range(0..800)]);
                let (above, below) = drawn.fold((0.0, 0.0), |(above, below), (y, n)| (above + y, below + n));
                above / below
            })
            .collect();
        let mean = resampled.iter().sum::<f64>() / 2000.0;
        let error = (resampled.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2000.0).sqrt();
        assert!((found.value - mean).abs() < 0.001 && (found.error / error - 1.0).abs() < 0.06, "{found:?} {error}");
    }

    #[test]
    fn p_values_are_those_of_the_tables() {
        let near = |found: f64, table: f64| assert!((found - table).abs() < 5e-4, "{found}, the table has {table}");
        near(Estimate { value: -1.96, error: 1.0 }.p_value(), 0.05);
        near(Estimate { value: 2.576, error: 1.0 }.p_value(), 0.01);
        // Two to five counts; upper 5 % points of 1 to 4 degrees of freedom.
        for (freedom, point) in [(1, 3.841), (2, 5.991), (3, 7.815), (4, 9.488)] {
            let cells = f64::from(freedom) + 1.0;
            // Off by as much up as down in two cells of equal shares: the statistic is 2 d^2 / expected.
            let d = (point * 1000.0 / 2.0_f64).sqrt();
            let mut counts = vec![1000.0; freedom as usize + 1];
            counts[0] += d;
            counts[1] -= d;
            let (statistic, p) = chi_squared(&counts, &vec![1.0 / cells; counts.len()]);
            near(statistic, point);
            near(p, 0.05);
        }
        assert_eq!(chi_squared(&[10.0], &[1.0]), (0.0, 1.0));
    }

    #[test]
    fn a_lift_excludes_nought_where_the_difference_is_clear() {
        let [a, b] = [Estimate { value: 0.10, error: 0.002 }, Estimate { value: 0.12, error: 0.002 }];
        let (lift, (low, high)) = a.lift(b);
        assert!((lift - 0.2).abs() < 1e-12 && low > 0.13 && high < 0.27, "{low} {high}");
        assert_eq!(a.less_than(b).error, libm::hypot(0.002, 0.002));
    }
}
