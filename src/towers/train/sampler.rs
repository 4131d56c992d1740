//! Draws training queries: a shopper at the moment of a basket, with items of that basket as targets.
//!
//! Step `s` of seed `x` is the same whatever came before: training can be resumed anywhere, on any number of threads.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::rows::Token;
use crate::data::config::{Targets, TrainConfig};
use crate::data::{Dataset, Event};
use crate::features::{Context, FeatureSchema};

/// Longest history that [`TrainConfig::history_dropout`] leaves: what a new shopper's first minutes look like.
const SHORT_HISTORY: usize = 10;
pub(crate) const DAY_MS: f64 = 86_400_000.0;

/// What is drawn for a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) queries: Vec<Query>,
    /// Rows of tokens that hold the histories; `None` where each query has its own.
    pub(crate) tokens: Option<Vec<Token>>,
}

/// One training query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// Distinct items of the history with their weights, the newest first; empty where [`Drawn::tokens`] hold it.
    pub(crate) history: Vec<(u32, f32)>,
    /// The last token of the history in [`Drawn::tokens`].
    pub(crate) place: usize,
    /// Rows of the merged context table.
    pub(crate) context: Vec<u32>,
    /// Items to be found.
    pub(crate) targets: Vec<u32>,
    /// Items that are no negatives, sorted: all of the basket, and what [`Targets`] leaves out.
    pub(crate) known: Vec<u32>,
    /// Weight of its loss.
    pub(crate) weight: f32,
}

/// A basket that can be drawn: its events are `start..end` of the user's, the history is what came before.
#[derive(Debug, Clone, Copy)]
struct Basket {
    user: u32,
    start: u32,
    end: u32,
}

/// The baskets of the training events and how likely each is drawn.
#[derive(Debug)]
pub(crate) struct Sampler<'d> {
    dataset: &'d Dataset,
    schema: &'d FeatureSchema,
    config: &'d TrainConfig,
    baskets: Vec<Basket>,
    /// Rows of the context table that stand for missing values.
    missing: Vec<u32>,
    /// Running sums of the baskets' weights.
    cumulative: Vec<f64>,
}

impl<'d> Sampler<'d> {
    /// Collects the baskets before the test; `None` without any.
    pub(crate) fn new(dataset: &'d Dataset, schema: &'d FeatureSchema, config: &'d TrainConfig) -> Option<Self> {
        let mut baskets = Vec::new();
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        for user in 0..dataset.users.len() as u32 {
            let events = training_events(dataset, user);
            let mut start = 0;
            let mut bought = HashSet::new();
            for basket in events.chunk_by(|a, b| a.basket == b.basket && a.time_ms == b.time_ms) {
                let end = start + basket.len();
                let targets = targets(basket, &bought, config.targets_of_basket).len();
                if targets > 0 {
                    baskets.push(Basket { user, start: start as u32, end: end as u32 });
                    sum += weight(targets, basket[0].time_ms, dataset.end_of_training_ms(), config);
                    cumulative.push(sum);
                }
                bought.extend(basket.iter().map(|event| event.item));
                start = end;
            }
        }
        let missing = schema.category_indices(&Context::default());
        (sum > 0.0).then_some(Self { dataset, schema, config, baskets, missing, cumulative })
    }

    /// All queries of one step.
    pub(crate) fn step(&self, step: usize) -> Drawn {
        let queries = (0..self.config.queries)
            .into_par_iter()
            .map(|position| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
                rng.set_stream((step * self.config.queries + position) as u64);
                self.query(&mut rng)
            })
            .collect();
        Drawn { queries, tokens: None }
    }

    fn query(&self, rng: &mut ChaCha8Rng) -> Query {
        let Basket { user, start, end } = self.baskets[self.draw(rng)];
        let events = self.dataset.events_of(user);
        let (before, basket) = (&events[..start as usize], &events[start as usize..end as usize]);
        let history = self.history(before, rng);
        let of_basket = self.config.targets_of_basket;
        let masked = if of_basket == Targets::New { before } else { &[] };
        let bought: HashSet<u32> = masked.iter().map(|event| event.item).collect();
        let mut targets = targets(basket, &bought, of_basket);
        let mut known: Vec<u32> = bought.into_iter().chain(basket.iter().map(|event| event.item)).collect();
        known.sort_unstable();
        known.dedup();
        let (targets, _) = targets.partial_shuffle(rng, self.config.targets);
        let mut context = self.schema.category_indices(&context(self.dataset, user, &basket[0]));
        drop_context(&mut context, &self.missing, self.config, rng);
        Query { history, place: 0, context, targets: targets.to_vec(), known, weight: 1.0 }
    }

    /// A basket, with a probability in proportion to its weight.
    fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let point = rng.random_range(0.0..self.cumulative.last().copied().unwrap_or(1.0));
        self.cumulative.partition_point(|sum| *sum <= point).min(self.baskets.len() - 1)
    }

    fn history(&self, before: &[Event], rng: &mut ChaCha8Rng) -> Vec<(u32, f32)> {
        let mut items = self.schema.history.distinct(before.iter().rev().map(|event| event.item));
        if rng.random_bool(f64::from(self.config.history_dropout)) {
            items.truncate(rng.random_range(0..=SHORT_HISTORY));
        }
        let weighted = items.iter().enumerate();
        weighted.map(|(newer, (item, count))| (*item, self.schema.history.weight(newer, *count))).collect()
    }
}

/// Hides some values of a query's context behind the rows of `missing`.
pub(crate) fn drop_context(context: &mut [u32], missing: &[u32], config: &TrainConfig, rng: &mut ChaCha8Rng) {
    for (row, missing) in context.iter_mut().zip(missing) {
        if rng.random_bool(f64::from(config.context_dropout)) {
            *row = *missing;
        }
    }
}

/// The distinct items of a basket that can be targets, ascending.
fn targets(basket: &[Event], bought: &HashSet<u32>, of_basket: Targets) -> Vec<u32> {
    let mut items: Vec<u32> = basket.iter().map(|event| event.item).collect();
    items.sort_unstable();
    items.dedup();
    if of_basket == Targets::New {
        items.retain(|item| !bought.contains(item));
    }
    items
}

/// The events of a user that training sees.
pub(crate) fn training_events(dataset: &Dataset, user: u32) -> &[Event] {
    dataset.training_events(user)
}

/// What was known of the user at an event.
pub(crate) fn context(dataset: &Dataset, user: u32, event: &Event) -> Context {
    let values = &dataset.users[user as usize].attributes;
    let named = dataset.attributes.iter().zip(values);
    Context {
        now_ms: Some(event.time_ms),
        location: dataset.locations.get(event.location as usize).cloned(),
        attributes: named.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
    }
}

fn weight(targets: usize, time_ms: i64, end_ms: i64, config: &TrainConfig) -> f64 {
    (targets as f64).powf(f64::from(config.basket_power)) * recency(time_ms, end_ms, config)
}

/// How much an event counts, given its age at the end of the training events.
pub(crate) fn recency(time_ms: i64, end_ms: i64, config: &TrainConfig) -> f64 {
    if config.half_life_days == 0.0 {
        return 1.0;
    }
    let age_days = (end_ms - time_ms) as f64 / DAY_MS;
    0.5_f64.powf(age_days / f64::from(config.half_life_days))
}

/// How often each item is drawn as a target, counted while training runs.
///
/// The sampler does not change while it runs, so the running mean is the streaming estimate; a moving average of the
/// steps between two sightings (Yi et al., algorithm 2) saturates at one sighting per step.
#[derive(Debug, Clone)]
pub(crate) struct StreamingFrequency {
    counts: Vec<u32>,
    total: u64,
}

impl StreamingFrequency {
    pub(crate) fn new(items: usize) -> Self {
        Self { counts: vec![0; items], total: 0 }
    }

    pub(crate) fn observe(&mut self, queries: &[Query]) {
        for item in queries.iter().flat_map(|query| &query.targets) {
            self.counts[*item as usize] += 1;
            self.total += 1;
        }
    }

    /// Logarithm of the probability that a target is `item`; unseen items count as half a sighting.
    pub(crate) fn log_q(&self, item: u32) -> f32 {
        self.share(item).ln() as f32
    }

    /// The same for a candidate that is one of `targets` targets or of `uniform` items drawn uniformly.
    pub(crate) fn log_q_mixed(&self, item: u32, [targets, uniform]: [usize; 2]) -> f32 {
        if uniform == 0 {
            return self.log_q(item);
        }
        let drawn = targets as f64 * self.share(item) + uniform as f64 / self.counts.len() as f64;
        (drawn / (targets + uniform) as f64).ln() as f32
    }

    fn share(&self, item: u32) -> f64 {
        let count = f64::from(self.counts[item as usize]).max(0.5);
        count / (self.total as f64 + 0.5 * self.counts.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::HistorySchema;

    fn dataset() -> Dataset {
        let event = |item, basket: u32, time_ms| Event {
            user: 0,
            item,
            time_ms,
            location: u32::MAX,
            event_type: 0,
            quantity: 1.0,
            basket,
        };
        Dataset {
            users: vec![crate::data::User { id: "u".into(), attributes: vec![] }],
            events: vec![event(1, 0, 0), event(2, 0, 0), event(1, 1, 5), event(3, 1, 5), event(4, 2, 10)],
            user_offsets: vec![0, 5],
            test_from_ms: 10,
            ..Dataset::default()
        }
    }

    #[test]
    fn queries_never_see_their_own_basket_or_the_test() {
        let dataset = dataset();
        let history = HistorySchema { length: 10, decay: 1.0, count_power: 0.0 };
        let schema = FeatureSchema { dim: 8, history, categories: vec![] };
        let config = TrainConfig { queries: 64, targets: 1, history_dropout: 0.0, ..TrainConfig::default() };
        let sampler = Sampler::new(&dataset, &schema, &config).unwrap();
        let queries = sampler.step(7).queries;
        assert_eq!(queries, sampler.step(7).queries);
        assert_ne!(queries, sampler.step(8).queries);
        for query in &queries {
            match query.known[..] {
                [1, 2] => assert!(query.history.is_empty()),
                [1, 3] => assert_eq!(query.history, [(2, 1.0), (1, 1.0)]),
                _ => panic!("{query:?}"),
            }
            assert!(query.targets.iter().all(|item| query.known.contains(item)), "{query:?}");
        }
        let mut frequency = StreamingFrequency::new(5);
        frequency.observe(&queries);
        let total: f32 = (0..5).map(|item| frequency.log_q(item).exp()).sum();
        // Two of the five items are never drawn, and smoothed.
        assert!((total - 1.0).abs() < 0.03, "{total}");
    }

    #[test]
    fn baskets_are_drawn_as_often_as_their_weights_say() {
        // Basket `i` of 40 has `i % 4 + 1` items, so with a power of 1 it is drawn that often.
        let mut dataset = dataset();
        let template = dataset.events[0];
        let items = |basket: u32| 0..=basket % 4;
        dataset.events = (0..40)
            .flat_map(|basket| {
                items(basket).map(move |item| Event { item, basket, time_ms: basket.into(), ..template })
            })
            .collect();
        dataset.user_offsets = vec![0, dataset.events.len()];
        dataset.test_from_ms = 40;
        let history = HistorySchema { length: 1, decay: 1.0, count_power: 0.0 };
        let schema = FeatureSchema { dim: 8, history, categories: vec![] };
        let config =
            TrainConfig { basket_power: 1.0, half_life_days: 0.0, queries: 20_000, seed: 5, ..TrainConfig::default() };
        let sampler = Sampler::new(&dataset, &schema, &config).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let mut drawn = [0.0; 40];
        for _ in 0..config.queries {
            drawn[sampler.draw(&mut rng)] += 1.0;
        }
        let chi_square: f64 = drawn
            .iter()
            .zip(0..)
            .map(|(drawn, basket): (&f64, u32)| {
                let expected = f64::from(config.queries as u32) * f64::from(basket % 4 + 1) / 100.0;
                (drawn - expected).powi(2) / expected
            })
            .sum();
        // The 99.9 % quantile for 39 degrees of freedom is 72.
        assert!(chi_square < 72.0, "seed {}: {chi_square} from {drawn:?}", config.seed);
    }

    #[test]
    fn targets_can_be_new_items_only() {
        let dataset = dataset();
        let history = HistorySchema { length: 10, decay: 1.0, count_power: 0.0 };
        let schema = FeatureSchema { dim: 8, history, categories: vec![] };
        let config = TrainConfig { targets_of_basket: Targets::New, ..TrainConfig::default() };
        for query in Sampler::new(&dataset, &schema, &config).unwrap().step(0).queries {
            match query.known[..] {
                [1, 2] => assert_eq!(query.targets.len(), 2),
                [1, 2, 3] => assert_eq!(query.targets, [3]),
                _ => panic!("{query:?}"),
            }
        }
    }
}
