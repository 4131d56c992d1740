//! Item neighbours: people who bought this also bought that (Sarwar et al. 2001, Deshpande and Karypis 2004).
//!
//! The similarity of two items is the cosine of their columns of weights, shrunk where few users stand behind it:
//! `sum_u(w_ui w_uj) / (|w_i| |w_j| + shrinkage)`. Each item keeps its most similar `neighbours`, itself among them, and the
//! score of a candidate is the sum of `w_ui sim(i, candidate)` over the user's history.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluate::Scorer;
use crate::factors::{Interactions, Weighting, progress};

/// Knobs of [`ItemKnn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ItemKnnParams {
    /// Neighbours kept per item, itself included, 1 and up. Up: reach, memory, time; too many drown the signal in popular
    /// items.
    pub neighbours: usize,
    /// Added to the product of the norms, 0 and up, in the weights' squared unit (users, for binary weights). Up: pairs with
    /// little support count less.
    pub shrinkage: f32,
    /// Strength of interest.
    pub weighting: Weighting,
}

impl Default for ItemKnnParams {
    fn default() -> Self {
        Self { neighbours: 20, shrinkage: 10.0, weighting: Weighting::Binary }
    }
}

/// A fitted neighbourhood model.
#[derive(Debug, Clone)]
pub struct ItemKnn {
    queries: Interactions,
    /// Per item: neighbours by falling similarity.
    neighbours: Vec<Vec<(u32, f32)>>,
}

impl ItemKnn {
    /// Finds the neighbours of every item of `history`, users by items; recommends from `queries`, of the same shape.
    pub fn fit(history: &Interactions, queries: &Interactions, params: &ItemKnnParams) -> Self {
        let weights = params.weighting.apply(history);
        let by_item = weights.transpose();
        let norms: Vec<f32> =
            (0..by_item.rows()).map(|item| by_item.row(item).1.iter().map(|w| w * w).sum::<f32>().sqrt()).collect();
        let bar = progress("item neighbours", by_item.rows());
        let neighbours = (0..by_item.rows())
            .into_par_iter()
            .map_init(
                || (vec![0.0_f32; by_item.rows()], Vec::new()),
                |(dots, touched), item| {
                    accumulate(&weights, by_item.row(item), dots, touched);
                    let mut similar: Vec<(u32, f32)> = touched
                        .drain(..)
                        .map(|other: u32| {
                            let dot = std::mem::take(&mut dots[other as usize]);
                            (other, dot / (norms[item] * norms[other as usize] + params.shrinkage))
                        })
                        .collect();
                    keep_best(&mut similar, params.neighbours);
                    bar.inc(1);
                    similar
                },
            )
            .collect();
        bar.finish_and_clear();
        Self { queries: params.weighting.apply(queries), neighbours }
    }
}

/// Adds the products with one item to `dots`; `touched` lists the places that were zero before.
fn accumulate(weights: &Interactions, users: (&[u32], &[f32]), dots: &mut [f32], touched: &mut Vec<u32>) {
    for (&user, &weight) in users.0.iter().zip(users.1) {
        let (items, item_weights) = weights.row(user as usize);
        for (&other, &other_weight) in items.iter().zip(item_weights) {
            let dot = &mut dots[other as usize];
            let product = weight * other_weight;
            if product > 0.0 {
                if *dot == 0.0 {
                    touched.push(other);
                }
                *dot += product;
            }
        }
    }
}

/// Keeps the `limit` most similar, equal ones by index.
fn keep_best(similar: &mut Vec<(u32, f32)>, limit: usize) {
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if similar.len() > limit {
        similar.select_nth_unstable_by(limit, order);
        similar.truncate(limit);
    }
    similar.sort_unstable_by(order);
    similar.shrink_to_fit();
}

impl Scorer for ItemKnn {
    fn name(&self) -> &str {
        "ItemKNN"
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        scores.fill(0.0);
        let (items, weights) = self.queries.row(user as usize);
        for (&item, &weight) in items.iter().zip(weights) {
            for &(neighbour, similarity) in &self.neighbours[item as usize] {
                scores[neighbour as usize] += weight * similarity;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::planted;

    /// Scores by the formula of the module's documentation over dense matrices in f64.
    fn naive(history: &Interactions, params: &ItemKnnParams, user: usize) -> Vec<f64> {
        let weights = params.weighting.apply(history);
        let items = history.columns();
        let mut dense = vec![vec![0.0_f64; items]; history.rows()];
        for (user, row) in dense.iter_mut().enumerate() {
            let (columns, values) = weights.row(user);
            columns.iter().zip(values).for_each(|(&item, &weight)| row[item as usize] = weight.into());
        }
        let dot = |i: usize, j: usize| dense.iter().map(|row| row[i] * row[j]).sum::<f64>();
        let mut scores = vec![0.0; items];
        for i in (0..items).filter(|&i| dense[user][i] > 0.0) {
            let similarity = |j: usize| dot(i, j) / ((dot(i, i) * dot(j, j)).sqrt() + f64::from(params.shrinkage));
            let mut row: Vec<(usize, f64)> = (0..items).map(|j| (j, similarity(j))).filter(|s| s.1 > 0.0).collect();
            row.sort_by(|a, b| b.1.total_cmp(&a.1));
            row.iter().take(params.neighbours).for_each(|&(j, s)| scores[j] += dense[user][i] * s);
        }
        scores
    }

    #[test]
    fn agrees_with_the_formula_over_dense_matrices() {
        let mut data = planted(2, 7, 9);
        // Bridges between the groups, of different strengths, so that no two similarities are equal by symmetry.
        for (place, event) in data.events.iter_mut().enumerate() {
            if place % 11 == 3 {
                event.item = (event.item + 5) % 18;
            }
        }
        let history = Interactions::of_training(&data);
        for weighting in [Weighting::Binary, Weighting::Log, Weighting::Count, Weighting::Bm25] {
            let params = ItemKnnParams { neighbours: 18, shrinkage: 1.5, weighting };
            let model = ItemKnn::fit(&history, &history, &params);
            let mut scores = vec![0.0; history.columns()];
            for user in 0..history.rows() {
                model.score(user as u32, &mut scores);
                for (score, wanted) in scores.iter().zip(naive(&history, &params, user)) {
                    assert!(
                        (f64::from(*score) - wanted).abs() < 1e-4 * wanted.max(1.0),
                        "{weighting:?} {score} {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn keeps_the_most_similar_and_breaks_ties_by_index() {
        let mut similar = vec![(4, 0.5), (2, 0.7), (9, 0.5), (1, 0.1), (3, 0.5)];
        keep_best(&mut similar, 3);
        assert_eq!(similar, [(2, 0.7), (3, 0.5), (4, 0.5)]);
    }
}
