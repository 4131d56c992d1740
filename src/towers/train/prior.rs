//! Popularity prior: what a recommender that knows nothing about the shopper would say.

use std::collections::HashMap;

use super::graph::AFFINITY;
use super::sampler::{DAY_MS, recency, training_events};
use crate::data::Dataset;
use crate::data::config::{PriorConfig, TrainConfig};

/// The last number of every candidate embedding, row 0 for the unknown item: `temperature * strength / AFFINITY` times
/// the log-popularity against the most popular item, so 0 at most. Multiplied by an affinity and divided by the
/// temperature it is on the scale of the softmax.
pub(super) fn priors(dataset: &Dataset, config: &PriorConfig, train: &TrainConfig) -> Vec<f32> {
    let since = dataset.test_from_ms - (f64::from(config.recent_days) * DAY_MS) as i64;
    let all = buyers(dataset, |time_ms| recency(time_ms, dataset.test_from_ms, train));
    let recent = buyers(dataset, |time_ms| f64::from(u8::from(time_ms >= since)));
    let share = f64::from(config.recent_weight);
    let scale = f64::from(train.temperature) * f64::from(config.strength) / f64::from(AFFINITY);
    let rows = all.iter().zip(&recent);
    rows.map(|(all, recent)| (scale * ((1.0 - share) * all + share * recent)) as f32).collect()
}

/// Logarithm of each item's number of buyers against that of the most popular one, one more buyer added to each. A buyer
/// counts as the latest event does.
fn buyers(dataset: &Dataset, weight: impl Fn(i64) -> f64) -> Vec<f64> {
    let mut counts = vec![1.0; dataset.items.len() + 1];
    for user in 0..dataset.users.len() as u32 {
        let latest: HashMap<u32, i64> =
            training_events(dataset, user).iter().map(|event| (event.item, event.time_ms)).collect();
        for (item, time_ms) in latest {
            counts[item as usize + 1] += weight(time_ms);
        }
    }
    let most = counts.iter().copied().fold(1.0, f64::max);
    counts.iter().map(|count| (count / most).ln()).collect()
}
