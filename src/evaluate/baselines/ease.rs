//! Embarrassingly shallow autoencoders: a linear model of items by items without a diagonal, in closed form (Steck 2019).
//!
//! With `X` the binary matrix of users by items and `P = (X^T X + lambda I)^-1`, the weights are `B_ij = -P_ij / P_jj` and 0 on the
//! diagonal; the score of a candidate is the sum of `B_ij` over the items `i` of the history. The matrix is dense: memory grows
//! with the square of the items, time with the cube. 12,101 items take 30 seconds of processor time, 1.1 GB at the peak and 0.6 GB
//! afterwards.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluate::{EvaluateError, Scorer};
use crate::factors::{Interactions, inverse};

/// The most items, for which the peak is about 3 GB.
pub const EASE_MAX_ITEMS: usize = 20_000;

/// Knobs of [`Ease`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EaseParams {
    /// Pull towards zero, above 0, usually 10 to 1000. Up: only what many users stand behind counts.
    pub lambda: f32,
}

impl Default for EaseParams {
    fn default() -> Self {
        Self { lambda: 300.0 }
    }
}

/// A fitted model.
#[derive(Debug, Clone)]
pub struct Ease {
    queries: Interactions,
    /// `B`, row by row.
    weights: Vec<f32>,
}

impl Ease {
    /// Fits to `history`, users by items; recommends from `queries`, of the same shape.
    ///
    /// # Errors
    /// [`EvaluateError::TooManyItems`] beyond [`EASE_MAX_ITEMS`].
    pub fn fit(history: &Interactions, queries: &Interactions, params: &EaseParams) -> Result<Self, EvaluateError> {
        let n = history.columns();
        if n > EASE_MAX_ITEMS {
            return Err(EvaluateError::TooManyItems { found: n, most: EASE_MAX_ITEMS });
        }
        let by_item = history.transpose();
        let mut gram = vec![0.0_f32; n * n];
        gram.par_chunks_mut(n.max(1)).enumerate().for_each(|(item, row)| {
            for &user in by_item.row(item).0 {
                history.row(user as usize).0.iter().for_each(|&other| row[other as usize] += 1.0);
            }
            row[item] += params.lambda;
        });
        let mut weights = inverse(gram, n);
        let pivots: Vec<f32> = (0..n).map(|item| -1.0 / weights[item * n + item]).collect();
        weights.par_chunks_mut(n.max(1)).enumerate().for_each(|(item, row)| {
            row.iter_mut().zip(&pivots).for_each(|(value, pivot)| *value *= pivot);
            row[item] = 0.0;
        });
        Ok(Self { queries: queries.clone(), weights })
    }
}

impl Scorer for Ease {
    fn name(&self) -> &str {
        "EASE"
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        scores.fill(0.0);
        for &item in self.queries.row(user as usize).0 {
            let row = &self.weights[item as usize * scores.len()..][..scores.len()];
            scores.iter_mut().zip(row).for_each(|(score, weight)| *score += weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    #[test]
    fn agrees_with_a_case_computed_by_hand() {
        // Users {0, 1}, {0, 1}, {1}: X^T X + I = [3 2; 2 4], its inverse [4 -2; -2 3] / 8.
        let data = dataset(&[(0, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (2, 1, 0, 0)], 1);
        let history = Interactions::of_training(&data);
        let model = Ease::fit(&history, &history, &EaseParams { lambda: 1.0 }).unwrap();
        let wanted = [0.0, 2.0 / 3.0, 2.0 / 4.0, 0.0];
        assert!(
            model.weights.iter().zip(wanted).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
            "{:?}",
            model.weights
        );
        let mut scores = [0.0; 2];
        model.score(2, &mut scores);
        assert_eq!(scores, [model.weights[2], 0.0]);
    }

    #[test]
    fn solves_the_regression_that_defines_it() {
        // With the diagonal fixed at 0, each column of B minimises |X b - x|^2 + lambda |b|^2: the gradient is 0 off the diagonal.
        let data = crate::factors::testing::planted(3, 9, 7);
        let history = Interactions::of_training(&data);
        let lambda = 2.5;
        let model = Ease::fit(&history, &history, &EaseParams { lambda }).unwrap();
        let n = history.columns();
        let has = |user: usize, item: usize| f64::from(u8::from(history.row(user).0.contains(&(item as u32))));
        for j in 0..n {
            let b = |i: usize| f64::from(model.weights[i * n + j]);
            let residual: Vec<f64> = (0..history.rows())
                .map(|user| (0..n).map(|i| has(user, i) * b(i)).sum::<f64>() - has(user, j))
                .collect();
            for i in (0..n).filter(|&i| i != j) {
                let dot: f64 = residual.iter().enumerate().map(|(user, residual)| has(user, i) * residual).sum();
                assert!((dot + f64::from(lambda) * b(i)).abs() < 1e-4, "{i}, {j}: {dot}");
            }
        }
    }

    #[test]
    fn too_many_items_are_refused_before_memory_is_taken() {
        let data = dataset(&[(0, EASE_MAX_ITEMS as u32, 0, 0)], 1);
        let history = Interactions::of_training(&data);
        let error = Ease::fit(&history, &history, &EaseParams::default()).unwrap_err();
        assert_eq!(error, EvaluateError::TooManyItems { found: EASE_MAX_ITEMS + 1, most: EASE_MAX_ITEMS });
    }
}
