//! Matrix factorisation for implicit feedback by alternating least squares (Hu, Koren, Volinsky 2008).
//!
//! With the preference `p_ui` (1 where the user has the item, else 0) and the confidence `c_ui = 1 + alpha r_ui`, user
//! vectors `x` and item vectors `y` minimise `sum_ui c_ui (p_ui - x_u y_i)^2 + sum_u l_u |x_u|^2 + sum_i l_i |y_i|^2`. With
//! one side fixed the other has a closed form, row by row: `(Y^T Y + Y^T (C_u - I) Y + l_u I) x_u = Y^T C_u p_u`. Rows are
//! independent and `Y^T Y` is summed in fixed blocks, so the result does not depend on the number of threads.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::solve::Normal;
use super::{Interactions, Weighting, progress};

/// Knobs of [`Als`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlsParams {
    /// Length of the vectors, 1 and up. Up: detail; time grows with its square and its cube.
    pub factors: usize,
    /// Confidence of one unit of strength against an unseen pair, above 0, usually 0.5 to 40. Up: what users did counts more
    /// than what they did not do, lists are less popular.
    pub alpha: f32,
    /// Pull towards zero, above 0, usually 0.01 to 100. Up: smoother, more popular.
    pub regularization: f32,
    /// The pull of a row is `regularization * pairs^exponent`, 0 to 1: 0 is the paper's constant; 1 pulls heavy users and
    /// popular items more, as for explicit ratings (Zhou et al. 2008, Rendle et al. 2022).
    pub frequency_exponent: f32,
    /// Passes over both sides, 1 and up; little changes after 15.
    pub iterations: usize,
    /// Strength of interest `r`.
    pub weighting: Weighting,
    /// Start of the random vectors.
    pub seed: u64,
}

impl Default for AlsParams {
    fn default() -> Self {
        Self {
            factors: 64,
            alpha: 5.0,
            regularization: 10.0,
            frequency_exponent: 0.0,
            iterations: 15,
            weighting: Weighting::Binary,
            seed: 1,
        }
    }
}

/// Passes of a factorisation that a training begins with: it hardly changes after them.
const PASSES: usize = 10;

impl AlsParams {
    /// For a training: strengths by the logarithm of counts; the knobs are `alpha`, `regularization` and `frequency_exponent`.
    pub(crate) fn for_training(factors: usize, knobs: [f32; 3], seed: u64) -> Self {
        let [alpha, regularization, frequency_exponent] = knobs;
        let weighting = Weighting::Log;
        Self { factors, alpha, regularization, frequency_exponent, iterations: PASSES, weighting, seed }
    }
}

/// A fitted factorisation.
#[derive(Debug, Clone)]
pub struct Als {
    factors: usize,
    users: Vec<f32>,
    items: Vec<f32>,
}

/// Rows per task; also the blocks of `Y^T Y`, so it must not follow the number of threads.
const BLOCK: usize = 256;

impl Als {
    /// Factorises `history`, users by items.
    pub fn fit(history: &Interactions, params: &AlsParams) -> Self {
        let by_user = params.weighting.apply(history);
        let by_item = by_user.transpose();
        let mut model = Self::start(by_user.rows(), by_item.rows(), params);
        let bar = progress("matrix factorisation", params.iterations);
        for _ in 0..params.iterations {
            half_step(&by_user, &model.items, &mut model.users, params);
            half_step(&by_item, &model.users, &mut model.items, params);
            bar.inc(1);
        }
        half_step(&by_user, &model.items, &mut model.users, params);
        bar.finish_and_clear();
        model
    }

    /// Finds the vectors of users from other histories, with the items' as they are.
    #[must_use]
    pub fn fold_in(mut self, queries: &Interactions, params: &AlsParams) -> Self {
        half_step(&params.weighting.apply(queries), &self.items, &mut self.users, params);
        self
    }

    /// Small random vectors.
    fn start(users: usize, items: usize, params: &AlsParams) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        let scale = 0.1 / (params.factors as f32).sqrt();
        let mut draw = |rows: usize| -> Vec<f32> {
            (0..rows * params.factors).map(|_| scale * (2.0 * rng.random::<f32>() - 1.0)).collect()
        };
        Self { factors: params.factors, users: draw(users), items: draw(items) }
    }

    /// Writes the inner products of one user with all items.
    pub fn score(&self, user: u32, scores: &mut [f32]) {
        let user = &self.users[user as usize * self.factors..(user as usize + 1) * self.factors];
        for (score, item) in scores.iter_mut().zip(self.items.chunks_exact(self.factors)) {
            *score = dot(user, item);
        }
    }

    /// Users by factors.
    pub fn user_factors(&self) -> &[f32] {
        &self.users
    }

    /// Items by factors.
    pub fn item_factors(&self) -> &[f32] {
        &self.items
    }
}

/// Finds vectors of single histories, with the items' as they are.
#[derive(Debug, Clone)]
pub struct FoldIn {
    items: Vec<f32>,
    params: AlsParams,
    gram: Normal,
}

impl FoldIn {
    /// `items` are the vectors of a factorisation with these knobs, row by row.
    pub fn new(items: Vec<f32>, params: AlsParams) -> Self {
        let gram = gram(&items, params.factors);
        Self { items, params, gram }
    }

    /// The items' vectors, row by row.
    pub fn items(&self) -> &[f32] {
        &self.items
    }

    /// The knobs.
    pub fn params(&self) -> &AlsParams {
        &self.params
    }

    /// The vector of a history, given its items, ascending, and the strengths of interest in them; zeros for an empty one.
    ///
    /// # Panics
    /// If an item is none of the factorisation.
    pub fn vector(&self, items: &[u32], strengths: &[f32]) -> Vec<f32> {
        let mut solution = vec![0.0; self.params.factors];
        let mut normal = Normal::zeros(self.params.factors);
        solve_row(&mut normal, &self.gram, (items, strengths), &self.items, &self.params, &mut solution);
        solution
    }
}

/// Solves every row of `solved` with `fixed` held: `weights` has a row per row of `solved`, a column per row of `fixed`.
fn half_step(weights: &Interactions, fixed: &[f32], solved: &mut [f32], params: &AlsParams) {
    let dim = params.factors;
    let gram = gram(fixed, dim);
    solved.par_chunks_mut(BLOCK * dim).enumerate().for_each_init(
        || Normal::zeros(dim),
        |normal, (block, rows)| {
            for (offset, solution) in rows.chunks_exact_mut(dim).enumerate() {
                solve_row(normal, &gram, weights.row(block * BLOCK + offset), fixed, params, solution);
            }
        },
    );
}

fn solve_row(
    normal: &mut Normal,
    gram: &Normal,
    (columns, strengths): (&[u32], &[f32]),
    fixed: &[f32],
    params: &AlsParams,
    solution: &mut [f32],
) {
    solution.fill(0.0);
    if columns.is_empty() {
        return;
    }
    let dim = params.factors;
    let vector = |column: u32| &fixed[column as usize * dim..(column as usize + 1) * dim];
    normal.copy_from(gram);
    normal.add_outer(columns.iter().zip(strengths).map(|(&column, r)| (vector(column), params.alpha * r)));
    normal.add_diagonal(params.regularization * (columns.len() as f32).powf(params.frequency_exponent));
    for (&column, r) in columns.iter().zip(strengths) {
        let confidence = 1.0 + params.alpha * r;
        solution.iter_mut().zip(vector(column)).for_each(|(sum, value)| *sum += confidence * value);
    }
    normal.solve(solution);
}

/// `rows^T rows`.
fn gram(rows: &[f32], dim: usize) -> Normal {
    let blocks: Vec<Normal> = rows
        .par_chunks(BLOCK * dim)
        .map(|block| {
            let mut sum = Normal::zeros(dim);
            sum.add_outer(block.chunks_exact(dim).map(|row| (row, 1.0)));
            sum
        })
        .collect();
    let mut total = Normal::zeros(dim);
    blocks.iter().for_each(|block| total.add(block));
    total
}

/// Eight running sums in a fixed order, which the compiler can keep in vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::planted;

    /// What is minimised, by its definition, over all pairs in f64.
    fn objective(weights: &Interactions, model: &Als, params: &AlsParams) -> f64 {
        let dim = params.factors;
        let vector = |side: &[f32], row: usize| -> Vec<f64> {
            side[row * dim..(row + 1) * dim].iter().map(|&value| value.into()).collect()
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let pull = |matrix: &Interactions, side: &[f32]| -> f64 {
            (0..matrix.rows())
                .map(|row| {
                    let pairs = matrix.row(row).0.len() as f32;
                    let strength = params.regularization * pairs.powf(params.frequency_exponent);
                    f64::from(strength) * dot(&vector(side, row), &vector(side, row))
                })
                .sum()
        };
        let mut sum = pull(weights, &model.users) + pull(&weights.transpose(), &model.items);
        for user in 0..weights.rows() {
            let (columns, strengths) = weights.row(user);
            for item in 0..weights.columns() {
                let strength = columns.binary_search(&(item as u32)).map_or(0.0, |place| f64::from(strengths[place]));
                let preference = f64::from(u8::from(strength > 0.0));
                let error = preference - dot(&vector(&model.users, user), &vector(&model.items, item));
                sum += (1.0 + f64::from(params.alpha) * strength) * error * error;
            }
        }
        sum
    }

    #[test]
    fn no_half_step_raises_the_objective() {
        let history = Interactions::of_training(&planted(3, 8, 10));
        for (weighting, frequency_exponent) in
            [(Weighting::Binary, 0.0), (Weighting::Count, 0.0), (Weighting::Log, 1.0)]
        {
            let params =
                AlsParams { factors: 5, regularization: 0.5, frequency_exponent, weighting, ..AlsParams::default() };
            let weights = params.weighting.apply(&history);
            let by_item = weights.transpose();
            let mut model = Als::start(weights.rows(), weights.columns(), &params);
            let mut before = objective(&weights, &model, &params);
            let start = before;
            for step in 0..12 {
                if step % 2 == 0 {
                    half_step(&weights, &model.items, &mut model.users, &params);
                } else {
                    half_step(&by_item, &model.users, &mut model.items, &params);
                }
                let after = objective(&weights, &model, &params);
                assert!(after <= before * (1.0 + 1e-5), "{weighting:?}, half step {step}: {before} to {after}");
                before = after;
            }
            assert!(before < 0.5 * start, "{weighting:?}: {start} to {before}");
        }
    }

    #[test]
    fn finds_the_missing_items_of_planted_groups() {
        let history = Interactions::of_training(&planted(4, 12, 10));
        let model = Als::fit(&history, &AlsParams { factors: 4, regularization: 0.1, ..AlsParams::default() });
        let mut scores = vec![0.0; history.columns()];
        for user in 0..history.rows() {
            model.score(user as u32, &mut scores);
            let group = user / 12;
            let inside = &scores[group * 10..(group + 1) * 10];
            let outside = scores.iter().enumerate().filter(|(item, _)| item / 10 != group).map(|(_, &score)| score);
            let (worst, best) = (inside.iter().copied().fold(f32::MAX, f32::min), outside.fold(f32::MIN, f32::max));
            assert!(worst > best + 0.3, "user {user}: {worst} inside, {best} outside");
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let history = Interactions::of_training(&planted(9, 70, 20));
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let params = AlsParams { factors: 12, iterations: 3, ..AlsParams::default() };
            pool.install(|| Als::fit(&history, &params).items)
        };
        assert_eq!(fit(1), fit(3));
    }
}
