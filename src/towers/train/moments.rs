//! What a tower may know of a shopper at a moment: the same for every kind of training query.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::long_term::LongTerm;
use crate::data::config::TrainConfig;
use crate::data::{Dataset, Event};
use crate::features::history::repeat_rows;
use crate::features::{Context, FeatureSchema, PastEvent, PastItem};

pub(crate) const DAY_MS: f64 = 86_400_000.0;

/// Rows of the table of marks of one item, as many as the schema says.
pub(crate) type Marks = [u32; 2];

/// An item of a history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Past {
    pub(crate) item: u32,
    /// Before it is divided by the sum of the history's.
    pub(crate) weight: f32,
    pub(crate) marks: Marks,
}

/// What queries share.
#[derive(Debug)]
pub(crate) struct Moments<'d> {
    pub(crate) dataset: &'d Dataset,
    pub(crate) schema: &'d FeatureSchema,
    pub(crate) config: &'d TrainConfig,
    long_term: Option<&'d LongTerm>,
    /// Weight of a target by the type of its event.
    of_type: Vec<f32>,
    /// Rows of the context table that stand for missing values.
    missing: Vec<u32>,
}

impl<'d> Moments<'d> {
    pub(crate) fn new(
        dataset: &'d Dataset,
        schema: &'d FeatureSchema,
        config: &'d TrainConfig,
        long_term: Option<&'d LongTerm>,
    ) -> Self {
        let of_type = event_weights(dataset, &config.event_weights);
        Self { dataset, schema, config, long_term, of_type, missing: schema.category_indices(&Context::default()) }
    }

    /// What a target of this event counts; 0 if it is none.
    pub(crate) fn weight(&self, event: &Event) -> f32 {
        self.of_type.get(usize::from(event.event_type)).copied().unwrap_or(1.0)
    }

    /// The items of those events that are of a type that can be a target.
    pub(crate) fn bought<'e>(&'e self, events: &'e [Event]) -> impl Iterator<Item = u32> + use<'e, 'd> {
        events.iter().filter(|event| self.weight(event) > 0.0).map(|event| event.item)
    }

    /// How much an event counts, given its age at the end of the training events.
    pub(crate) fn recency(&self, event: &Event) -> f64 {
        recency(event.time_ms, self.dataset.end_of_training_ms(), self.config)
    }

    /// The moment of an event, now and then unknown. Nothing is drawn where nobody asks.
    pub(crate) fn now(&self, event: &Event, rng: &mut ChaCha8Rng) -> Option<i64> {
        let history = &self.schema.history;
        let asks = history.ages.is_some() || history.repeats.is_some();
        let hidden = asks && rng.random_bool(f64::from(self.config.context_dropout));
        (!hidden).then_some(event.time_ms)
    }

    /// The distinct items of some events, the newest first.
    pub(crate) fn distinct(&self, before: &[Event]) -> Vec<PastItem<u32>> {
        let history = &self.schema.history;
        history.distinct(before.iter().rev().map(|event| past_event(self.schema, event)))
    }

    /// The history that a tower reads.
    pub(crate) fn past(&self, items: &[PastItem<u32>], now: Option<i64>) -> Vec<Past> {
        let history = &self.schema.history;
        let past = items.iter().zip(history.marks_of(items, now)).enumerate().map(|(newer, (item, marks))| Past {
            item: item.newest.item,
            weight: history.weight(newer, item.count),
            marks,
        });
        past.collect()
    }

    /// Rows of the numbers that are added to the scores of what the shopper has had, by item; none where the tower has no such numbers.
    pub(crate) fn repeats(&self, items: &[PastItem<u32>], now: Option<i64>) -> Vec<(u32, [u32; 2])> {
        if self.schema.history.repeats.is_none() {
            return Vec::new();
        }
        let mut rows: Vec<_> = items.iter().map(|item| (item.newest.item, repeat_rows(item, now))).collect();
        rows.sort_unstable();
        rows
    }

    /// The categorical features at an event, some of them hidden.
    pub(crate) fn context(&self, user: u32, event: &Event, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut context = self.schema.category_indices(&context(self.dataset, user, event));
        for (row, missing) in context.iter_mut().zip(&self.missing) {
            if rng.random_bool(f64::from(self.config.context_dropout)) {
                *row = *missing;
            }
        }
        context
    }

    /// The long-term vector of a shopper with these events; nothing where the tower reads none, or now and then.
    pub(crate) fn user(&self, before: &[Event], rng: &mut ChaCha8Rng) -> Vec<f32> {
        let Some(long_term) = self.long_term else { return Vec::new() };
        if rng.random_bool(f64::from(self.config.user_dropout)) {
            return Vec::new();
        }
        long_term.vector(before)
    }
}

/// An event as towers read it.
pub(crate) fn past_event(schema: &FeatureSchema, event: &Event) -> PastEvent<u32> {
    // The types of a schema are those of the data, in their order.
    let event_type = if schema.history.types.is_empty() { 0 } else { u32::from(event.event_type) + 1 };
    PastEvent { item: event.item, event_type, at_ms: Some(event.time_ms) }
}

/// The weights of a configuration, by the data's event types; 1 where it says nothing.
pub(super) fn event_weights(dataset: &Dataset, weights: &BTreeMap<String, f32>) -> Vec<f32> {
    dataset.event_types.iter().map(|name| weights.get(name).copied().unwrap_or(1.0)).collect()
}

/// What was known of the user at an event.
pub(crate) fn context(dataset: &Dataset, user: u32, event: &Event) -> Context {
    let values = &dataset.users[user as usize].attributes;
    let named = dataset.attributes.iter().zip(values);
    let attributes = named.filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let device = dataset.devices.get(usize::from(event.device)).map(|device| (DEVICE.to_owned(), device.clone()));
    Context {
        now_ms: Some(event.time_ms),
        location: dataset.locations.get(event.location as usize).cloned(),
        attributes: attributes.chain(device).collect(),
        ..Context::default()
    }
}

/// The attribute of a context that names the shopper's device.
pub(crate) const DEVICE: &str = "device";

/// How much an event counts, given its age at the end of the training events.
pub(crate) fn recency(time_ms: i64, end_ms: i64, config: &TrainConfig) -> f64 {
    if config.half_life_days == 0.0 {
        return 1.0;
    }
    let age_days = (end_ms - time_ms) as f64 / DAY_MS;
    0.5_f64.powf(age_days / f64::from(config.half_life_days))
}

/// The items of some events with the largest weight of each, ascending; those of weight 0 are left out.
pub(crate) fn weighted_items(events: &[Event], weight: impl Fn(&Event) -> f32) -> Vec<(u32, f32)> {
    let mut items: Vec<_> = events.iter().map(|event| (event.item, weight(event))).collect();
    items.retain(|(_, weight)| *weight > 0.0);
    items.sort_unstable_by(|(a, less), (b, more)| a.cmp(b).then(more.total_cmp(less)));
    items.dedup_by_key(|(item, _)| *item);
    items
}
