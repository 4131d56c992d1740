//! What was shown, or could have been, becomes rows of numbers: what was known of shopper and item at that moment.

use std::collections::HashSet;

use super::catalogue::Names;
use super::gradient::Batch;
use super::network::Sizes;
use super::{RankerError, Retrieval};
use crate::Digest;
use crate::data::config::RankerConfig;
use crate::data::{Dataset, Impression, Impressions, Task};
use crate::features::ranking::{FEATURES, ItemFacts, Retrieved, Shopper, is_purchase};
use crate::towers::ranker::name_rows;

/// All rows as the network takes them; those that are trained with come first.
pub(super) struct Inputs<'d> {
    /// [`FEATURES`] of each.
    numbers: Vec<f32>,
    /// What the catalogue says of each item.
    facts: Vec<ItemFacts>,
    retrieval: Option<Retrieval<'d>>,
    /// To whom and what.
    pub(super) pairs: Vec<(Option<u32>, u32)>,
    /// Row of the table of slots of each; 0 is no slot.
    pub(super) slots: Vec<u32>,
    /// How far each went.
    pub(super) furthest: Vec<Option<Task>>,
    /// Rows that are trained with; the rest is judged on.
    pub(super) trained: usize,
    pub(super) sizes: Sizes,
    /// Of no shopper or item, where there are no towers.
    nothing: Vec<f32>,
}

/// Share of the time's impressions that a ranker is trained with.
const TRAINED: f64 = 0.8;

/// A row before its numbers are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) user: Option<u32>,
    pub(super) item: u32,
    pub(super) time_ms: i64,
    pub(super) retrieved: Retrieved,
    pub(super) slot: u32,
    pub(super) furthest: Option<Task>,
}

impl<'d> Inputs<'d> {
    /// Those of impressions, in order of time.
    pub(super) fn of(
        impressions: &Impressions,
        dataset: &Dataset,
        (names, retrieval): (&Names, Option<Retrieval<'d>>),
        config: &RankerConfig,
    ) -> Result<Self, RankerError> {
        let shown = &impressions.rows;
        // Popularity and the towers' scores know what happened until the split.
        if let Some(first) = shown.first().filter(|row| row.time_ms < dataset.test_from_ms) {
            return Err(RankerError::BeforeSplit { first_ms: first.time_ms, from_ms: dataset.test_from_ms });
        }
        let trained = cut(shown);
        if trained == 0 || trained == shown.len() {
            return Err(RankerError::Few { found: shown.len() });
        }
        let scores = retrieval.map(|retrieval| scores(shown, dataset, &retrieval));
        let row = |(at, shown): (usize, &Impression)| {
            let score = scores.as_ref().map_or(0.0, |scores| scores[at]);
            let slot = 1 + usize::from(shown.position).min(config.positions - 1) as u32;
            let (user, item, time_ms, furthest) = (shown.user, shown.item, shown.time_ms, shown.furthest);
            Row { user, item, time_ms, retrieved: Retrieved { score, place: 0 }, slot, furthest }
        };
        let rows: Vec<Row> = shown.iter().enumerate().map(row).collect();
        Ok(Self::of_rows(&rows, trained, dataset, (names, retrieval), config.history))
    }

    /// Those of rows, of which the first `trained` are trained with.
    pub(super) fn of_rows(
        rows: &[Row],
        trained: usize,
        dataset: &Dataset,
        (names, retrieval): (&Names, Option<Retrieval<'d>>),
        history: usize,
    ) -> Self {
        let facts = names.facts(dataset);
        let mut counted = History::of(dataset, &facts, history);
        let usual = names.usual();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&at| (rows[at].user, rows[at].time_ms));
        let mut numbers = vec![0.0; rows.len() * FEATURES.len()];
        for at in order {
            let row = &rows[at];
            let shopper = counted.until(row.user, row.time_ms);
            let item = (row.item, &facts[row.item as usize]);
            let found = shopper.numbers(item, row.retrieved, Some(row.time_ms), &usual);
            numbers[at * FEATURES.len()..][..FEATURES.len()].copy_from_slice(&found);
        }
        let dim = retrieval.map_or(0, |retrieval| retrieval.dim);
        Self {
            numbers,
            facts,
            retrieval,
            pairs: rows.iter().map(|row| (row.user, row.item)).collect(),
            slots: rows.iter().map(|row| row.slot).collect(),
            furthest: rows.iter().map(|row| row.furthest).collect(),
            trained,
            sizes: Sizes { dim, shelves: names.shelves.len(), brands: names.brands.len() },
            nothing: vec![0.0; dim],
        }
    }

    /// Rows that weights are fitted to, the first ones; those up to `trained` say when to stop.
    pub(super) fn fitted(&self) -> usize {
        let at = self.trained - self.trained / 8;
        // Candidates of one shopper stay together, as their moments do.
        let shopper = self.pairs[at].0;
        self.pairs[..at].iter().rposition(|(user, _)| *user != shopper).map_or(at, |last| last + 1)
    }

    /// Adds the rows of another, earlier split that are trained with, in front. Neither reads embeddings, or both those of the same towers.
    pub(super) fn with_earlier(mut self, earlier: &Self) -> Self {
        let rows = earlier.trained;
        self.numbers.splice(0..0, earlier.numbers[..rows * FEATURES.len()].iter().copied());
        self.pairs.splice(0..0, earlier.pairs[..rows].iter().copied());
        self.slots.splice(0..0, earlier.slots[..rows].iter().copied());
        self.furthest.splice(0..0, earlier.furthest[..rows].iter().copied());
        self.trained += rows;
        self
    }

    /// Rows there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The towers whose vectors these are.
    pub(super) fn towers(&self) -> Option<Digest> {
        self.retrieval.map(|retrieval| retrieval.towers)
    }

    /// The numbers of a row.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * FEATURES.len()..][..FEATURES.len()]
    }

    /// Query and candidate embedding of a row; nothing without towers.
    pub(super) fn vectors(&self, row: usize) -> [&[f32]; 2] {
        let (user, item) = self.pairs[row];
        let of = |vectors: &'d [f32], at: u32| &vectors[at as usize * self.sizes.dim..][..self.sizes.dim];
        self.retrieval.map_or([&self.nothing, &self.nothing], |retrieval| {
            [user.map_or(&self.nothing, |user| of(retrieval.queries, user)), of(retrieval.items, item)]
        })
    }

    /// The rows of shelf and brand of a row in their tables.
    pub(super) fn names(&self, row: usize) -> [u32; 2] {
        name_rows(&self.facts[self.pairs[row].1 as usize])
    }

    /// Some rows together, with the given slots.
    pub(super) fn batch(&self, rows: &[usize], slots: Vec<u32>) -> Batch {
        let mut batch = Batch { slots, ..Batch::default() };
        for &row in rows {
            batch.numbers.extend_from_slice(self.row(row));
            let [query, item] = self.vectors(row);
            batch.queries.extend_from_slice(query);
            batch.items.extend_from_slice(item);
            for (all, number) in batch.names.iter_mut().zip(self.names(row)) {
                all.push(number);
            }
        }
        batch
    }

    /// Whether each row of the training, or of the rest, reached a step.
    pub(super) fn reached(&self, rows: std::ops::Range<usize>, task: Task) -> Vec<bool> {
        self.furthest[rows].iter().map(|furthest| *furthest >= Some(task)).collect()
    }
}

/// The score that retrieval has for each impression; 0 for somebody without events.
fn scores(shown: &[Impression], dataset: &Dataset, retrieval: &Retrieval<'_>) -> Vec<f32> {
    let mut order: Vec<usize> = (0..shown.len()).filter(|&at| shown[at].user.is_some()).collect();
    order.sort_by_key(|&at| shown[at].user);
    let (mut scores, mut of_user) = (vec![0.0; shown.len()], vec![0.0; dataset.items.len()]);
    for rows in order.chunk_by(|a, b| shown[*a].user == shown[*b].user) {
        let Some(user) = shown[rows[0]].user else { continue };
        (retrieval.scores)(user, &mut of_user);
        rows.iter().for_each(|&at| scores[at] = of_user[shown[at].item as usize]);
    }
    scores
}

/// Rows before the cut: no moment is on both sides.
fn cut(rows: &[Impression]) -> usize {
    let at = (rows.len() as f64 * TRAINED) as usize;
    rows.get(at).map_or(0, |row| rows.partition_point(|other| other.time_ms < row.time_ms))
}

/// A shopper who is counted as time goes on.
pub struct History<'d> {
    dataset: &'d Dataset,
    facts: &'d [ItemFacts],
    /// By type of event: whether it is a purchase.
    is_purchase: Vec<bool>,
    /// How many of the items that were had last are counted.
    most: usize,
    user: Option<u32>,
    /// Events of the user that have been counted.
    done: usize,
    shopper: Shopper<u32>,
}

impl<'d> History<'d> {
    /// Of the users of a data set. `facts` are by item; of a user the `most` items count that were had last, as where it is served.
    pub fn of(dataset: &'d Dataset, facts: &'d [ItemFacts], most: usize) -> Self {
        let is_purchase = dataset.event_types.iter().map(|name| is_purchase(name)).collect();
        Self { dataset, facts, is_purchase, most, user: None, done: 0, shopper: Shopper::default() }
    }

    /// What the user did before a moment: of one user, older moments come first.
    pub fn until(&mut self, user: Option<u32>, time_ms: i64) -> &Shopper<u32> {
        if user != self.user {
            (self.user, self.done, self.shopper) = (user, 0, Shopper::default());
        }
        let events = user.map_or(&[][..], |user| self.dataset.query_events(user));
        let before = &events[..events.partition_point(|event| event.time_ms < time_ms)];
        if before.len() == self.done {
            return &self.shopper;
        }
        (self.done, self.shopper) = (before.len(), Shopper::default());
        let mut latest = HashSet::new();
        for event in before.iter().rev() {
            if latest.len() == self.most {
                break;
            }
            latest.insert(event.item);
        }
        for event in before.iter().filter(|event| latest.contains(&event.item)) {
            let is_purchase = self.is_purchase.get(usize::from(event.event_type)).is_none_or(|is| *is);
            let facts = &self.facts[event.item as usize];
            self.shopper.count(event.item, facts, is_purchase, Some(event.time_ms));
        }
        &self.shopper
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;
    use crate::features::ranking::{DAY_MS, Usual};

    #[test]
    fn a_history_is_what_was_bought_before_the_impression() {
        let day = |days: i64| days * DAY_MS;
        // Bought on days 1 and 3, viewed on day 2, and bought after the split.
        let data = dataset(&[(0, 0, day(1), 0), (0, 1, day(2), 1), (0, 0, day(3), 0), (0, 1, day(9), 0)], day(8));
        let facts = vec![ItemFacts::default(); data.items.len()];
        let mut counted = History::of(&data, &facts, 2);
        let mut of = |user, item, time_ms| {
            let numbers = counted.until(user, time_ms).numbers(
                (item, &ItemFacts::default()),
                Retrieved::default(),
                Some(time_ms),
                &Usual::default(),
            );
            ["times_bought", "days_since", "times_seen", "purchases"].map(|name| {
                let number = numbers[FEATURES.iter().position(|feature| *feature == name).unwrap()];
                number.exp_m1().round() as u32
            })
        };
        assert_eq!(of(Some(0), 0, day(1)), [0, 0, 0, 0]);
        assert_eq!(of(Some(0), 0, day(2) + DAY_MS / 4), [1, 1, 0, 1]);
        assert_eq!(of(Some(0), 0, day(10)), [2, 7, 0, 2]);
        assert_eq!(of(Some(0), 1, day(10)), [0, 0, 1, 2]);
        assert_eq!(of(None, 0, day(10)), [0, 0, 0, 0]);
        // Of item 0 alone, which was had last.
        let mut last = History::of(&data, &facts, 1);
        assert_eq!(last.until(Some(0), day(10)).items().collect::<Vec<_>>(), [(0, [2, 0])]);
    }

    #[test]
    fn no_moment_is_trained_with_and_judged_on() {
        let shown = |time_ms| Impression { user: None, item: 0, time_ms, position: 0, furthest: None, row: 0 };
        let rows: Vec<Impression> = [1, 2, 3, 3, 3, 3, 3, 3, 3, 4].map(shown).into();
        assert_eq!(cut(&rows), 2);
        assert_eq!(cut(&rows[2..9]), 0);
    }
}
