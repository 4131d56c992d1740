//! Popularity prior: what a recommender that knows nothing about the shopper would say.

use std::collections::HashMap;

use super::mlp::AFFINITY;
use super::moments::{DAY_MS, recency};
use crate::data::Dataset;
use crate::data::config::{PriorConfig, Targets, TrainConfig};

/// The last number of every candidate embedding, row 0 for the unknown item, which has the mean of all: `temperature * strength / AFFINITY` times
/// the log-popularity against the most popular item, so 0 at most. Multiplied by an affinity and divided by the
/// temperature it is on the scale of the softmax.
pub(super) fn priors(dataset: &Dataset, config: &PriorConfig, train: &TrainConfig) -> Vec<f32> {
    let since = dataset.end_of_training_ms() - (f64::from(config.recent_days) * DAY_MS) as i64;
    let targets = train.targets_of_basket;
    let all = buyers(dataset, targets, |time_ms| recency(time_ms, dataset.end_of_training_ms(), train));
    let recent = buyers(dataset, targets, |time_ms| f64::from(u8::from(time_ms >= since)));
    let share = f64::from(config.recent_weight);
    let scale = f64::from(train.temperature) * f64::from(config.strength) / f64::from(AFFINITY);
    let rows = all.iter().zip(&recent);
    let mut priors: Vec<f32> =
        rows.map(|(all, recent)| (scale * ((1.0 - share) * all + share * recent)) as f32).collect();
    // Nobody has bought what is new, and that says nothing: the least popular item's number would keep it from every list.
    priors[0] = priors[1..].iter().sum::<f32>() / (priors.len() - 1).max(1) as f32;
    priors
}

/// Logarithm of each item's number of buyers against that of the most popular one, one more buyer added to each.
///
/// A buyer counts as the latest event does. Where targets are first purchases, as the first one does: what everybody buys again
/// and again finds few who have not bought it yet.
fn buyers(dataset: &Dataset, targets: Targets, weight: impl Fn(i64) -> f64) -> Vec<f64> {
    let mut counts = vec![1.0; dataset.items.len() + 1];
    for user in 0..dataset.users.len() as u32 {
        let times = dataset.training_events(user).iter().map(|event| (event.item, event.time_ms));
        // Of several times of an item the last one that comes is kept.
        let counted: HashMap<u32, i64> = match targets {
            Targets::All => times.collect(),
            Targets::New => times.rev().collect(),
        };
        for (item, time_ms) in counted {
            counts[item as usize + 1] += weight(time_ms);
        }
    }
    let most = counts.iter().copied().fold(1.0, f64::max);
    counts.iter().map(|count| (count / most).ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    #[test]
    fn a_buyer_counts_once_and_for_discovery_as_the_first_purchase_does() {
        // Item 0: two buyers, both first before 5, one again after it. Item 1: one buyer, after 5.
        let data = dataset(&[(0, 0, 1, 0), (0, 0, 6, 0), (1, 0, 2, 0), (1, 1, 7, 0), (1, 1, 8, 0)], 10);
        let after_five = |time_ms: i64| f64::from(u8::from(time_ms >= 5));
        let ln = |counts: [f64; 3]| counts.map(|count| (count / 2.0).ln()).to_vec();
        assert_eq!(buyers(&data, Targets::All, after_five), ln([1.0, 2.0, 2.0]));
        assert_eq!(buyers(&data, Targets::New, after_five), ln([1.0, 1.0, 2.0]));
    }
}
