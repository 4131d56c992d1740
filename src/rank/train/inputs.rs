//! Impressions become rows of numbers: what was known of shopper and item at that moment.

use std::collections::HashMap;

use super::RankerError;
use crate::Digest;
use crate::data::{Dataset, Event, Impression, Impressions, Task};
use crate::features::shelves::Shelves;
use crate::rank::features::{FEATURES, Facts, Share};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What towers say of a user and an item, as of the split.
#[derive(Clone, Copy)]
pub struct Retrieval<'s> {
    /// Which towers: a ranker goes with them.
    pub towers: Digest,
    /// Inner product of the user's query embedding and the item's candidate embedding.
    pub score: &'s dyn Fn(Option<u32>, u32) -> f32,
}

/// All impressions as the network takes them, in order of time.
pub(super) struct Inputs {
    /// [`FEATURES`] of each.
    pub(super) numbers: Vec<f32>,
    /// Row of the table of slots of each; 0 is no slot.
    pub(super) slots: Vec<u32>,
    /// How far each went.
    pub(super) furthest: Vec<Option<Task>>,
    /// Rows that are trained with; the rest is judged on.
    pub(super) trained: usize,
}

/// Share of the time's impressions that a ranker is trained with.
const TRAINED: f64 = 0.8;

impl Inputs {
    /// `slots`: those that are told apart.
    pub(super) fn of(
        impressions: &Impressions,
        dataset: &Dataset,
        retrieval: Option<Retrieval<'_>>,
        slots: usize,
    ) -> Result<Self, RankerError> {
        let rows = &impressions.rows;
        // Popularity and the towers' scores know what happened until the split.
        if let Some(first) = rows.first().filter(|row| row.time_ms < dataset.test_from_ms) {
            return Err(RankerError::BeforeSplit { first_ms: first.time_ms, from_ms: dataset.test_from_ms });
        }
        let trained = cut(rows);
        if trained == 0 || trained == rows.len() {
            return Err(RankerError::Few { found: rows.len() });
        }
        let mut counted = Counted::of(dataset);
        // Histories are read user by user, from the oldest impression to the newest.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|at| rows[*at].user);
        let mut numbers = vec![0.0; rows.len() * FEATURES.len()];
        for at in order {
            let row = &rows[at];
            let mut facts = counted.facts(row);
            facts.score = retrieval.map_or(0.0, |retrieval| (retrieval.score)(row.user, row.item));
            numbers[at * FEATURES.len()..][..FEATURES.len()].copy_from_slice(&facts.numbers());
        }
        let slot = |row: &Impression| 1 + usize::from(row.position).min(slots - 1) as u32;
        let (slots, furthest) = (rows.iter().map(slot).collect(), rows.iter().map(|row| row.furthest).collect());
        Ok(Self { numbers, slots, furthest, trained })
    }

    /// The numbers of a row.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * FEATURES.len()..][..FEATURES.len()]
    }

    /// Whether each row of the training, or of the rest, reached a step.
    pub(super) fn reached(&self, rows: std::ops::Range<usize>, task: Task) -> Vec<bool> {
        self.furthest[rows].iter().map(|furthest| *furthest >= Some(task)).collect()
    }
}

/// Rows before the cut: no moment is on both sides.
fn cut(rows: &[Impression]) -> usize {
    let at = (rows.len() as f64 * TRAINED) as usize;
    rows.get(at).map_or(0, |row| rows.partition_point(|other| other.time_ms < row.time_ms))
}

/// What is counted as time goes on.
struct Counted<'d> {
    dataset: &'d Dataset,
    shelves: Shelves,
    /// Shares of shelves and brands in all training events.
    usual: [Vec<f32>; 2],
    /// The type of event that counts as bought; `None` where all do.
    purchase: Option<u16>,
    user: Option<u32>,
    /// Events of the user that have been counted.
    done: usize,
    own: Own,
}

/// What one user bought.
#[derive(Default)]
struct Own {
    purchases: u32,
    price_ranks: f64,
    shelves: HashMap<u32, u32>,
    brands: HashMap<u32, u32>,
    items: HashMap<u32, (u32, i64)>,
}

impl<'d> Counted<'d> {
    fn of(dataset: &'d Dataset) -> Self {
        let shelves = Shelves::of(&dataset.items);
        let (mut of_shelves, mut of_brands) = (vec![0.0_f64; shelves.shelves], vec![0.0_f64; shelves.brands]);
        let mut total = 0.0;
        for (item, known) in dataset.items.iter().enumerate() {
            let events = f64::from(known.events);
            total += events;
            of_shelves[shelves.shelf[item] as usize] += events;
            if let Some(brand) = shelves.brand[item] {
                of_brands[brand as usize] += events;
            }
        }
        let share = |counts: Vec<f64>| counts.into_iter().map(|count| (count / f64::max(total, 1.0)) as f32).collect();
        let purchase = dataset.event_types.iter().position(|name| name == Task::Purchase.name());
        Self {
            dataset,
            shelves,
            usual: [share(of_shelves), share(of_brands)],
            purchase: purchase.map(|at| at as u16),
            user: None,
            done: 0,
            own: Own::default(),
        }
    }

    /// Of impressions of one user, older ones first.
    fn facts(&mut self, row: &Impression) -> Facts {
        if row.user != self.user {
            (self.user, self.done, self.own) = (row.user, 0, Own::default());
        }
        let events: &[Event] = row.user.map_or(&[], |user| self.dataset.training_events(user));
        while let Some(event) = events.get(self.done).filter(|event| event.time_ms < row.time_ms) {
            self.done += 1;
            if self.purchase.is_none_or(|purchase| purchase == event.event_type) {
                self.own.count(event, &self.shelves);
            }
        }
        let (own, item) = (&self.own, row.item as usize);
        let (shelf, brand) = (self.shelves.shelf[item], self.shelves.brand[item]);
        let share = |counts: &HashMap<u32, u32>, of: u32, usual: f32| Share {
            own: counts.get(&of).copied().unwrap_or(0),
            of: own.purchases,
            usual,
        };
        let [of_shelves, of_brands] = &self.usual;
        let bought = own.items.get(&row.item);
        let days = |(_, last): &(u32, i64)| (row.time_ms - last) as f32 / DAY_MS as f32;
        Facts {
            score: 0.0,
            price_rank: self.shelves.price_rank[item],
            usual_price_rank: (own.purchases > 0).then(|| (own.price_ranks / f64::from(own.purchases)) as f32),
            events: self.dataset.items[item].events,
            shelf: share(&own.shelves, shelf, of_shelves[shelf as usize]),
            brand: brand.map_or(Share::default(), |brand| share(&own.brands, brand, of_brands[brand as usize])),
            times_bought: bought.map_or(0, |(count, _)| *count),
            days_since: bought.map(days),
            hour: Some((row.time_ms.rem_euclid(DAY_MS) / HOUR_MS) as u8),
        }
    }
}

impl Own {
    fn count(&mut self, event: &Event, shelves: &Shelves) {
        let item = event.item as usize;
        self.purchases += 1;
        self.price_ranks += f64::from(shelves.price_rank[item]);
        *self.shelves.entry(shelves.shelf[item]).or_default() += 1;
        if let Some(brand) = shelves.brand[item] {
            *self.brands.entry(brand).or_default() += 1;
        }
        let (count, last) = self.items.entry(event.item).or_insert((0, event.time_ms));
        (*count, *last) = (*count + 1, event.time_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    #[test]
    fn a_history_is_what_was_bought_before_the_impression() {
        let day = |days: i64| days * DAY_MS;
        // Bought on days 1 and 3, viewed on day 2, and bought after the split.
        let data = dataset(&[(0, 0, day(1), 0), (0, 1, day(2), 1), (0, 0, day(3), 0), (0, 1, day(9), 0)], day(8));
        let mut counted = Counted::of(&data);
        let shown = |user, item, time_ms| Impression { user, item, time_ms, position: 0, furthest: None, row: 0 };
        let facts = counted.facts(&shown(Some(0), 0, day(1)));
        assert_eq!((facts.times_bought, facts.days_since, facts.shelf.of), (0, None, 0));
        let facts = counted.facts(&shown(Some(0), 0, day(2) + 5 * HOUR_MS));
        assert_eq!((facts.times_bought, facts.shelf.of, facts.hour), (1, 1, Some(5)));
        let facts = counted.facts(&shown(Some(0), 0, day(10)));
        assert_eq!((facts.times_bought, facts.days_since, facts.shelf.of), (2, Some(7.0), 2));
        let facts = counted.facts(&shown(Some(0), 1, day(10)));
        assert_eq!((facts.times_bought, facts.events), (0, 1));
        let nobody = counted.facts(&shown(None, 0, day(10)));
        assert_eq!((nobody.times_bought, nobody.shelf.of, nobody.usual_price_rank), (0, 0, None));
    }

    #[test]
    fn no_moment_is_trained_with_and_judged_on() {
        let shown = |time_ms| Impression { user: None, item: 0, time_ms, position: 0, furthest: None, row: 0 };
        let rows: Vec<Impression> = [1, 2, 3, 3, 3, 3, 3, 3, 3, 4].map(shown).into();
        assert_eq!(cut(&rows), 2);
        assert_eq!(cut(&rows[2..9]), 0);
    }
}
