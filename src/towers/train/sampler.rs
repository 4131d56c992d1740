//! Draws training queries: a shopper at the moment of a basket, with items of that basket as targets.
//!
//! Step `s` of seed `x` is the same whatever came before: training can be resumed anywhere, on any number of threads.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::moments::{Marks, Moments, Past, weighted_items};
use super::rows::Token;
use crate::data::Event;
use crate::data::config::{Targets, TrainConfig};

/// Longest history that [`TrainConfig::history_dropout`] leaves: what a new shopper's first minutes look like.
const SHORT_HISTORY: usize = 10;

/// What is drawn for a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) queries: Vec<Query>,
    /// Rows of tokens that hold the histories, with the marks of each; `None` where each query has its own.
    pub(crate) tokens: Option<(Vec<Token>, Vec<Marks>)>,
}

impl Drawn {
    pub(crate) fn has_targets(&self) -> bool {
        self.queries.iter().any(|query| !query.targets.is_empty())
    }
}

/// One training query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// Distinct items of the history, the newest first; empty where [`Drawn::tokens`] hold it.
    pub(crate) history: Vec<Past>,
    /// The last token of the history in [`Drawn::tokens`].
    pub(crate) place: usize,
    /// Rows of the merged context table.
    pub(crate) context: Vec<u32>,
    /// The long-term vector; empty where there is none.
    pub(crate) user: Vec<f32>,
    /// Items that the shopper has had, ascending, each with the rows of the numbers that are added to its score.
    pub(crate) repeats: Vec<(u32, [u32; 2])>,
    /// Items to be found.
    pub(crate) targets: Vec<u32>,
    /// Items that are no negatives, sorted: all of the basket, and what [`Targets`] leaves out.
    pub(crate) known: Vec<u32>,
    /// Items that the index finds for the query and that are no targets.
    pub(crate) hard: Vec<u32>,
    /// Weight of each target's loss.
    pub(crate) weights: Vec<f32>,
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
    moments: Moments<'d>,
    baskets: Vec<Basket>,
    /// Running sums of the baskets' weights.
    cumulative: Vec<f64>,
}

impl<'d> Sampler<'d> {
    /// Collects the baskets before the test; `None` without any.
    pub(crate) fn new(moments: Moments<'d>) -> Option<Self> {
        let mut baskets = Vec::new();
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        let dataset = moments.dataset;
        for user in 0..dataset.users.len() as u32 {
            let events = dataset.training_events(user);
            let mut start = 0;
            let mut bought = HashSet::new();
            for basket in events.chunk_by(|a, b| a.basket == b.basket && a.time_ms == b.time_ms) {
                let end = start + basket.len();
                let targets = targets(&moments, basket, &bought).len();
                if targets > 0 {
                    baskets.push(Basket { user, start: start as u32, end: end as u32 });
                    sum += weight(targets, moments.config) * moments.recency(&basket[0]);
                    cumulative.push(sum);
                }
                bought.extend(moments.bought(basket));
                start = end;
            }
        }
        (sum > 0.0).then_some(Self { moments, baskets, cumulative })
    }

    /// All queries of one step.
    pub(crate) fn step(&self, step: usize) -> Drawn {
        let config = self.moments.config;
        let queries = (0..config.queries)
            .into_par_iter()
            .map(|position| {
                let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
                rng.set_stream((step * config.queries + position) as u64);
                self.query(&mut rng)
            })
            .collect();
        Drawn { queries, tokens: None }
    }

    fn query(&self, rng: &mut ChaCha8Rng) -> Query {
        let Self { moments, .. } = self;
        let Basket { user, start, end } = self.baskets[self.draw(rng)];
        let events = moments.dataset.events_of(user);
        let (before, basket) = (&events[..start as usize], &events[start as usize..end as usize]);
        let items = moments.distinct(before);
        let mut read = items.len();
        if rng.random_bool(f64::from(moments.config.history_dropout)) {
            read = read.min(rng.random_range(0..=SHORT_HISTORY));
        }
        let masked = if moments.config.targets_of_basket == Targets::New { before } else { &[] };
        let bought: HashSet<u32> = moments.bought(masked).collect();
        let mut targets = targets(moments, basket, &bought);
        let mut known: Vec<u32> = bought.into_iter().chain(basket.iter().map(|event| event.item)).collect();
        known.sort_unstable();
        known.dedup();
        let (targets, _) = targets.partial_shuffle(rng, moments.config.targets);
        let (targets, weights) = targets.iter().copied().unzip();
        let context = moments.context(user, &basket[0], rng);
        let now = moments.now(&basket[0], rng);
        let (history, repeats) = (moments.past(&items[..read], now), moments.repeats(&items[..read], now));
        let user = moments.user(before, rng);
        Query { history, place: 0, context, user, repeats, targets, known, hard: Vec::new(), weights }
    }

    /// A basket, with a probability in proportion to its weight.
    fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let point = rng.random_range(0.0..self.cumulative.last().copied().unwrap_or(1.0));
        self.cumulative.partition_point(|sum| *sum <= point).min(self.baskets.len() - 1)
    }
}

/// The distinct items of a basket that can be targets, ascending, with their weights.
fn targets(moments: &Moments<'_>, basket: &[Event], bought: &HashSet<u32>) -> Vec<(u32, f32)> {
    let mut items = weighted_items(basket, |event| moments.weight(event));
    if moments.config.targets_of_basket == Targets::New {
        items.retain(|(item, _)| !bought.contains(item));
    }
    items
}

fn weight(targets: usize, config: &TrainConfig) -> f64 {
    (targets as f64).powf(f64::from(config.basket_power))
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

    /// The same for a candidate that is one of `targets` targets or of `uniform` items drawn uniformly among `seen`.
    pub(crate) fn log_q_mixed(&self, item: u32, [targets, uniform]: [usize; 2], seen: usize) -> f32 {
        if uniform == 0 {
            return self.log_q(item);
        }
        let drawn = targets as f64 * self.share(item) + uniform as f64 / seen as f64;
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
    use crate::data::Dataset;
    use crate::features::{FeatureSchema, HistorySchema};

    fn dataset() -> Dataset {
        let event = |item, basket: u32, time_ms| Event {
            user: 0,
            item,
            time_ms,
            location: u32::MAX,
            device: u16::MAX,
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
        let history = HistorySchema::of_items(10, 1.0, 0.0);
        let schema = FeatureSchema { dim: 8, history, categories: vec![], user: None };
        let config = TrainConfig { queries: 64, targets: 1, history_dropout: 0.0, ..TrainConfig::default() };
        let sampler = Sampler::new(Moments::new(&dataset, &schema, &config, None)).unwrap();
        let queries = sampler.step(7).queries;
        assert_eq!(queries, sampler.step(7).queries);
        assert_ne!(queries, sampler.step(8).queries);
        for query in &queries {
            match query.known[..] {
                [1, 2] => assert!(query.history.is_empty()),
                [1, 3] => assert_eq!(query.history, [2, 1].map(|item| Past { item, weight: 1.0, marks: [0, 0] })),
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
        let history = HistorySchema::of_items(1, 1.0, 0.0);
        let schema = FeatureSchema { dim: 8, history, categories: vec![], user: None };
        let config =
            TrainConfig { basket_power: 1.0, half_life_days: 0.0, queries: 20_000, seed: 5, ..TrainConfig::default() };
        let sampler = Sampler::new(Moments::new(&dataset, &schema, &config, None)).unwrap();
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
    fn an_event_type_of_weight_0_is_history_only() {
        let mut dataset = dataset();
        dataset.event_types = vec!["purchase".into(), "view".into()];
        // Item 2 is only seen; item 1 is seen in the basket in which it is bought.
        let viewed = Event { event_type: 1, ..dataset.events[1] };
        dataset.events =
            vec![dataset.events[0], Event { item: 1, ..viewed }, viewed, dataset.events[2], dataset.events[3]];
        dataset.user_offsets = vec![0, 5];
        let schema =
            FeatureSchema { dim: 8, history: HistorySchema::of_items(10, 1.0, 0.0), categories: vec![], user: None };
        let event_weights = [("view".to_owned(), 0.0), ("purchase".to_owned(), 2.0)].into();
        let config = TrainConfig { event_weights, history_dropout: 0.0, ..TrainConfig::default() };
        let sampler = Sampler::new(Moments::new(&dataset, &schema, &config, None)).unwrap();
        for query in sampler.step(0).queries {
            match query.known[..] {
                [1, 2] => assert_eq!((query.targets, query.weights), (vec![1], vec![2.0])),
                [1, 3] => assert_eq!((query.history.len(), query.weights), (2, vec![2.0, 2.0])),
                _ => panic!("{query:?}"),
            }
        }
    }

    #[test]
    fn targets_can_be_new_items_only() {
        let dataset = dataset();
        let history = HistorySchema::of_items(10, 1.0, 0.0);
        let schema = FeatureSchema { dim: 8, history, categories: vec![], user: None };
        let config = TrainConfig { targets_of_basket: Targets::New, ..TrainConfig::default() };
        for query in Sampler::new(Moments::new(&dataset, &schema, &config, None)).unwrap().step(0).queries {
            match query.known[..] {
                [1, 2] => assert_eq!(query.targets.len(), 2),
                [1, 2, 3] => assert_eq!(query.targets, [3]),
                _ => panic!("{query:?}"),
            }
        }
    }
}
