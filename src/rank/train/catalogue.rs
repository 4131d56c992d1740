//! A catalogue as the ranker knows it: names become numbers, and stay the same numbers when the catalogue changes.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Item};
use crate::features::items::KnownItems;
use crate::features::ranking::{DAY_MS, ItemFacts, Usual, price_rank, price_step};
use crate::features::shelves::shelf_name;
use crate::shard::columns::format::{popularity_count, popularity_step};

/// Most shelves and brands that are told apart: those that sell most.
const MOST: [usize; 2] = [2000, 1000];

/// Days whose events count as recent.
const RECENT_DAYS: i64 = 30;

/// Digits that usual shares are stored with.
const DIGITS: f64 = 1e6;

/// The names of shelves and brands, in the order of their numbers, with their shares of all sales.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Names {
    /// Shelves.
    pub shelves: Vec<(String, f32)>,
    /// Brands.
    pub brands: Vec<(String, f32)>,
}

impl Names {
    /// Those of a catalogue, with the shares of its training events.
    pub fn of(items: &[Item]) -> Self {
        let shelves = items.iter().map(|item| (Some(shelf_name(item)), item.events));
        let brands = items.iter().map(|item| (item.brand.clone(), item.events));
        Self { shelves: frequent(shelves, MOST[0]), brands: frequent(brands, MOST[1]) }
    }

    /// The shares by number.
    pub fn usual(&self) -> Usual {
        let shares = |names: &[(String, f32)]| names.iter().map(|(_, share)| *share).collect();
        Usual { shelves: shares(&self.shelves), brands: shares(&self.brands) }
    }

    /// What each item of a data set is, as of the end of its training.
    pub fn facts(&self, dataset: &Dataset) -> Vec<ItemFacts> {
        let numbers = |names: &[(String, f32)]| -> HashMap<String, u32> {
            names.iter().map(|(name, _)| name.clone()).zip(0..).collect()
        };
        let (shelves, brands) = (numbers(&self.shelves), numbers(&self.brands));
        let known = KnownItems::of(&dataset.items);
        let recent = recent(dataset);
        let of = |(item, recent): (&Item, u64)| {
            let facts = ItemFacts {
                shelf: shelves.get(&shelf_name(item)).copied(),
                brand: item.brand.as_ref().and_then(|brand| brands.get(brand)).copied(),
                price_rank: known.rank(item),
                events: item.events.into(),
                recent,
            };
            in_steps(facts)
        };
        dataset.items.iter().zip(recent).map(of).collect()
    }
}

/// What an item is with the few steps that a shard stores, so that what is trained is what is served.
fn in_steps(facts: ItemFacts) -> ItemFacts {
    let count = |count| popularity_count(popularity_step(count));
    let price_rank = price_rank(price_step(facts.price_rank));
    ItemFacts { price_rank, events: count(facts.events), recent: count(facts.recent), ..facts }
}

/// The names that have most events, in the order of names, with their shares.
fn frequent(names: impl Iterator<Item = (Option<String>, u32)>, most: usize) -> Vec<(String, f32)> {
    let (mut counts, mut total) = (HashMap::<String, u64>::new(), 0);
    for (name, events) in names {
        total += u64::from(events);
        if let Some(name) = name {
            *counts.entry(name).or_default() += u64::from(events);
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(most);
    counts.sort_unstable();
    let share = |count: u64| ((count as f64 / total.max(1) as f64 * DIGITS).round() / DIGITS) as f32;
    counts.into_iter().map(|(name, count)| (name, share(count))).collect()
}

/// Events of each item in the last days of the training.
fn recent(dataset: &Dataset) -> Vec<u64> {
    let mut counts = vec![0; dataset.items.len()];
    let from = dataset.end_of_training_ms() - RECENT_DAYS * DAY_MS;
    for user in 0..dataset.users.len() as u32 {
        for event in dataset.training_events(user).iter().filter(|event| event.time_ms >= from) {
            counts[event.item as usize] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;
    use crate::features::ranking::PRICE_STEPS;

    #[test]
    fn steps_are_what_they_were_when_they_are_read_again() {
        for step in 0..=PRICE_STEPS {
            assert_eq!(price_step(price_rank(step)), step);
        }
        let facts = in_steps(ItemFacts { price_rank: 0.71, events: 12_345, recent: 99, ..ItemFacts::default() });
        assert_eq!(facts, in_steps(facts));
        assert!((facts.price_rank - 0.71).abs() <= 0.04 && facts.events.abs_diff(12_345) < 1600, "{facts:?}");
    }

    #[test]
    fn rare_names_have_no_number_and_the_last_days_count_apart() {
        let names = [("a", 3), ("b", 1), ("c", 4)].map(|(name, events)| (Some(name.to_owned()), events));
        let found = frequent(names.into_iter().chain([(None, 2)]), 2);
        assert_eq!(found, [("a".to_owned(), 0.3), ("c".to_owned(), 0.4)]);
        let day = |days: i64| days * DAY_MS;
        let data = dataset(&[(0, 0, day(1), 0), (0, 1, day(60), 0), (1, 0, day(70), 0), (1, 0, day(90), 0)], day(80));
        assert_eq!(recent(&data), [1, 1]);
        let facts = Names::of(&data.items).facts(&data);
        assert_eq!((facts[0].events, facts[0].recent, facts[1].events), (2, 1, 1));
    }
}
