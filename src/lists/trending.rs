//! What sells better than it did: shoppers of the last days against those that the weeks before lead one to expect.
//!
//! With `r` shoppers in the last [`ListsConfig::days`] of the training events, and `e` expected from the four times as many days before
//! if the item had gone the way of the shop as a whole, the score is the signed root of the Poisson deviance, `sign(r - e) sqrt(2 (r ln(r / e) - (r - e)))`
//! (McCullagh and Nelder 1989): in standard deviations, so that neither one sale of a rare item nor the usual many of a bestseller
//! come first. At 0 or below there is no trend, so the item is not listed; nor is it where it sells less than it did while the shop
//! as a whole sells still less.

use std::collections::BTreeMap;

use super::{List, best, name, purchases};
use crate::data::{Dataset, ListsConfig};

/// How many times as long as the last days that is which they are compared with.
const BEFORE: i64 = 4;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Shoppers that an item is taken to have had beside those that were counted: nothing is expected never to sell.
const PRIOR: f64 = 0.5;

/// The list `trending` of all items, and that of each category, its path from the outermost down in the name.
pub fn trending(dataset: &Dataset, config: &ListsConfig) -> Vec<List> {
    let ([recent, before], stretches) = shoppers(dataset, config.days);
    let sum = |counts: &[u32]| counts.iter().map(|&count| f64::from(count)).sum::<f64>();
    let smoothed = sum(&before) + PRIOR * before.len() as f64;
    let share = sum(&recent) / smoothed.max(1.0);
    let mut lists: BTreeMap<String, Vec<(u32, f32)>> = BTreeMap::new();
    for (place, item) in dataset.items.iter().enumerate().filter(|(place, _)| recent[*place] >= config.min_shoppers) {
        let expected = (f64::from(before[place]) + PRIOR) * share;
        let score = deviance(recent[place].into(), expected) as f32;
        if score <= 0.0 || f64::from(recent[place]) < f64::from(before[place]) / stretches {
            continue;
        }
        let entry = (place as u32, score);
        for depth in 0..=item.category.len() {
            let path = item.category[..depth].iter().map(String::as_str);
            lists.entry(name("trending", path)).or_default().push(entry);
        }
    }
    lists.into_iter().map(|(name, items)| List { name, items: best(items, config.trending) }).collect()
}

/// The signed root of the deviance of `found` above 0 from `expected`.
fn deviance(found: f64, expected: f64) -> f64 {
    let twice = 2.0 * (found * (found / expected).ln() - (found - expected));
    twice.max(0.0).sqrt().copysign(found - expected)
}

/// By item: distinct shoppers who bought it in the days up to the last training event, and in the time before, where one counts again
/// in each stretch of as many days; and how many such stretches have events.
fn shoppers(dataset: &Dataset, days: u32) -> ([Vec<u32>; 2], f64) {
    let is_purchase = purchases(dataset);
    let users = 0..dataset.users.len() as u32;
    let last = users.filter_map(|user| dataset.training_events(user).iter().map(|event| event.time_ms).max()).max();
    let end = last.map_or(0, |last| last + 1);
    let window = i64::from(days) * DAY_MS;
    let mut stretches = 0;
    let mut counts = [vec![0; dataset.items.len()], vec![0; dataset.items.len()]];
    for user in 0..dataset.users.len() as u32 {
        let events = dataset.training_events(user).iter().filter(|event| is_purchase(event));
        let mut bought: Vec<(i64, u32)> = events
            // How many windows before the last one.
            .map(|event| ((end - 1 - event.time_ms).max(0) / window, event.item))
            .filter(|(ago, _)| *ago <= BEFORE)
            .collect();
        bought.sort_unstable();
        bought.dedup();
        stretches = bought.last().map_or(0, |(ago, _)| *ago).max(stretches);
        bought.iter().for_each(|&(ago, item)| counts[usize::from(ago > 0)][item as usize] += 1);
    }
    (counts, stretches.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    /// Of ten shoppers, item 0 is bought by all in every week, 1 by all in the last one only, 2 by two, 3 by five before.
    fn sample() -> Dataset {
        let (mut events, end) = (Vec::new(), 70 * DAY_MS);
        for user in 0..10 {
            events.extend((0..5).map(|week| (user, 0, end - 1 - week * 7 * DAY_MS, 0)));
            events.push((user, 1, end - DAY_MS, 0));
            events.push((user, 4, end - DAY_MS, 1));
            if user < 2 {
                events.push((user, 2, end - DAY_MS, 0));
            }
            if user < 5 {
                events.extend((0..5).map(|week| (user, 3, end - 1 - week * 7 * DAY_MS, 0)));
            }
            // After the end of training.
            events.push((user, 3, end, 0));
        }
        let mut data = dataset(&events, end);
        data.items[0].category = vec!["a".into(), "b".into()];
        data.items[1].category = vec!["a".into(), "c".into()];
        data
    }

    #[test]
    fn what_rises_comes_before_what_always_sells() {
        let lists = trending(&sample(), &ListsConfig::default());
        let items = |wanted: &str| {
            let found = lists.iter().find(|list| list.name.replace('\u{1f}', "/") == wanted).unwrap();
            found.items.iter().map(|item| item.0).collect::<Vec<_>>()
        };
        assert_eq!(lists.len(), 3);
        // Two shoppers are too few, and views and what came after the training do not count.
        // What sells as it always did is no trend.
        assert_eq!((items("trending"), items("trending/a"), items("trending/a/c")), (vec![1], vec![1], vec![1]));
        assert!(lists[0].items[0].1 > 1.0);
    }

    #[test]
    fn the_days_end_with_the_events_and_a_smaller_fall_than_the_shops_is_no_trend() {
        let mut data = sample();
        let lists = trending(&data, &ListsConfig::default());
        // A split long after the last event says nothing of the days.
        data.events.retain(|event| event.time_ms < data.test_from_ms);
        data.user_offsets = (0..=10).map(|user| data.events.partition_point(|event| event.user < user)).collect();
        data.test_from_ms += 300 * DAY_MS;
        assert_eq!(trending(&data, &ListsConfig::default()), lists);
        // Item 0 falls from ten shoppers a week to eight, everything else by two thirds.
        let mut events = Vec::new();
        for week in 0..5_i64 {
            let day = (4 - week) * 7 * DAY_MS;
            events.extend((0..if week == 4 { 8 } else { 10 }).map(|user| (user, 0, day, 0)));
            events.extend(
                (0..if week == 4 { 3 } else { 10 }).flat_map(|user| (1..9).map(move |item| (user, item, day, 0))),
            );
        }
        let newest: Vec<_> =
            events.iter().map(|&(user, item, day, kind)| (user, item, 28 * DAY_MS - day, kind)).collect();
        assert_eq!(trending(&dataset(&newest, i64::MAX), &ListsConfig::default()), []);
    }

    #[test]
    fn without_weeks_before_what_sells_most_comes_first() {
        let events: Vec<_> = (0..9).flat_map(|user| (0..3).map(move |item| (user, item, 1, 0))).collect();
        let kept: Vec<_> = events.into_iter().filter(|(user, item, ..)| *user < 9 - 2 * item).collect();
        let lists = trending(&dataset(&kept, 2), &ListsConfig::default());
        assert_eq!(lists[0].items.iter().map(|item| item.0).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn the_deviance_is_zero_where_all_is_as_expected() {
        assert_eq!(deviance(5.0, 5.0), 0.0);
        assert!((deviance(10.0, 5.0) - 1.965_6).abs() < 1e-3, "{}", deviance(10.0, 5.0));
        assert!(deviance(3.0, 5.0) < 0.0);
    }
}
