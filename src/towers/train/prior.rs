//! Popularity prior: what a recommender that knows nothing about the shopper would say.

use std::collections::HashMap;

use super::mlp::AFFINITY;
use super::moments::{DAY_MS, event_weights, recency};
use crate::data::config::{PriorConfig, Targets, TrainConfig};
use crate::data::{Dataset, Event};

/// The last number of every candidate embedding, row 0 for the unknown item, which has the mean of those that were bought: `temperature * strength / AFFINITY` times
/// the log-popularity against the most popular item, so 0 at most. Multiplied by an affinity and divided by the
/// temperature it is on the scale of the softmax.
pub(super) fn priors(dataset: &Dataset, config: &PriorConfig, train: &TrainConfig) -> Vec<f32> {
    let since = dataset.end_of_training_ms() - (f64::from(config.recent_days) * DAY_MS) as i64;
    let weights = event_weights(dataset, &train.event_weights);
    let bought = Bought { dataset, targets: train.targets_of_basket, weights };
    let all = bought.buyers(|time_ms| recency(time_ms, dataset.end_of_training_ms(), train));
    let recent = bought.buyers(|time_ms| f64::from(u8::from(time_ms >= since)));
    let share = f64::from(config.recent_weight);
    let scale = f64::from(train.temperature) * f64::from(config.strength) / f64::from(AFFINITY);
    let rows = all.iter().zip(&recent);
    let mut priors: Vec<f32> =
        rows.map(|(all, recent)| (scale * ((1.0 - share) * all + share * recent)) as f32).collect();
    // Nobody has bought what is new, and that says nothing: the least popular item's number would keep it from every list.
    let is_bought = bought.items();
    let of_bought = || priors[1..].iter().zip(&is_bought).filter(|(_, bought)| **bought).map(|(prior, _)| *prior);
    priors[0] = of_bought().sum::<f32>() / of_bought().count().max(1) as f32;
    priors
}

/// The training events that can be targets.
struct Bought<'d> {
    dataset: &'d Dataset,
    targets: Targets,
    /// By type; 0 for what is no target.
    weights: Vec<f32>,
}

impl<'d> Bought<'d> {
    fn events(&self, user: u32) -> impl DoubleEndedIterator<Item = &'d Event> {
        let counts =
            |event: &&Event| self.weights.get(usize::from(event.event_type)).is_none_or(|weight| *weight > 0.0);
        self.dataset.training_events(user).iter().filter(counts)
    }

    fn users(&self) -> std::ops::Range<u32> {
        0..self.dataset.users.len() as u32
    }

    /// Whether each item was bought.
    fn items(&self) -> Vec<bool> {
        let mut bought = vec![false; self.dataset.items.len()];
        self.users().flat_map(|user| self.events(user)).for_each(|event| bought[event.item as usize] = true);
        bought
    }

    /// Logarithm of each item's number of buyers against that of the most popular one, one more buyer added to each.
    ///
    /// A buyer counts as the latest event does. Where targets are first purchases, as the first one does: what everybody buys again
    /// and again finds few who have not bought it yet.
    fn buyers(&self, weight: impl Fn(i64) -> f64) -> Vec<f64> {
        let mut counts = vec![1.0; self.dataset.items.len() + 1];
        for user in self.users() {
            let times = self.events(user).map(|event| (event.item, event.time_ms));
            // Of several times of an item the last one that comes is kept.
            let counted: HashMap<u32, i64> = match self.targets {
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
        let bought = |targets, weights: &[f32]| Bought { dataset: &data, targets, weights: weights.to_vec() };
        assert_eq!(bought(Targets::All, &[1.0]).buyers(after_five), ln([1.0, 2.0, 2.0]));
        assert_eq!(bought(Targets::New, &[1.0]).buyers(after_five), ln([1.0, 1.0, 2.0]));
        assert_eq!(bought(Targets::All, &[0.0]).buyers(after_five), [0.0; 3]);
    }

    #[test]
    fn what_nobody_bought_has_the_mean_of_what_was() {
        // Items 2 and 3 have no event, and item 1 was looked at only.
        let data = dataset(&[(0, 0, 1, 0), (1, 0, 2, 0), (2, 0, 3, 0), (1, 1, 4, 1), (0, 3, 11, 0), (0, 2, 12, 0)], 10);
        let train = TrainConfig {
            half_life_days: 0.0,
            temperature: 1.0,
            event_weights: [("view".to_owned(), 0.0)].into(),
            ..TrainConfig::default()
        };
        let config = PriorConfig { strength: 1.0, recent_days: 1.0, recent_weight: 0.0 };
        let priors = priors(&data, &config, &train);
        assert_eq!(priors[0], priors[1]);
        assert!(priors[1] == 0.0 && priors[2] < 0.0 && priors[2] == priors[3], "{priors:?}");
    }
}
