//! What is bought together with an item: pairs of a basket, by the cosine of their baskets (Deshpande and Karypis 2004), `baskets
//! of both / sqrt(baskets of one * baskets of the other)`, 0 to 1.
//!
//! Only pairs that share more baskets than chance would give them count: else what everybody buys would be bought with everything.

use rayon::prelude::*;

use super::{List, best, name, purchases};
use crate::data::{Dataset, ListsConfig};
use crate::factors::progress;

/// Items of a basket, at most. Larger ones, wholesale say, are passed over: their pairs say little and take the square of the time.
const LARGEST: usize = 100;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Baskets, each with its shopper and its distinct items.
#[derive(Debug, Default)]
struct Baskets {
    shoppers: Vec<u32>,
    ends: Vec<usize>,
    items: Vec<u32>,
}

impl Baskets {
    /// The baskets of the training events: those that the shop names or, without `has_baskets`, what one shopper bought on one day.
    fn of(dataset: &Dataset, has_baskets: bool) -> Self {
        let is_purchase = purchases(dataset);
        let mut baskets = Self::default();
        for user in 0..dataset.users.len() as u32 {
            let mut bought: Vec<(i64, u32)> = dataset
                .training_events(user)
                .iter()
                .filter(|event| is_purchase(event))
                .map(|event| {
                    (if has_baskets { event.basket.into() } else { event.time_ms.div_euclid(DAY_MS) }, event.item)
                })
                .collect();
            bought.sort_unstable();
            bought.dedup();
            for basket in bought.chunk_by(|a, b| a.0 == b.0).filter(|basket| basket.len() <= LARGEST) {
                baskets.items.extend(basket.iter().map(|(_, item)| item));
                baskets.ends.push(baskets.items.len());
                baskets.shoppers.push(user);
            }
        }
        baskets
    }

    fn items_of(&self, basket: usize) -> &[u32] {
        let start = basket.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[start..self.ends[basket]]
    }

    /// By item: its baskets, those of one shopper together.
    fn by_item(&self, items: usize) -> Vec<Vec<u32>> {
        let mut by_item = vec![Vec::new(); items];
        for basket in 0..self.ends.len() {
            for &item in self.items_of(basket) {
                by_item[item as usize].push(basket as u32);
            }
        }
        by_item
    }
}

/// What is counted of an item beside another one.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    baskets: u32,
    shoppers: u32,
    /// One more than the last of them.
    last: u32,
}

/// A list `together` of every item that is bought together with others.
pub fn together(dataset: &Dataset, has_baskets: bool, config: &ListsConfig) -> Vec<List> {
    let baskets = Baskets::of(dataset, has_baskets);
    let by_item = baskets.by_item(dataset.items.len());
    let bar = progress("bought together", by_item.len());
    let lists = by_item.par_iter().enumerate().map_init(
        || (vec![Pair::default(); by_item.len()], Vec::new()),
        |(pairs, touched), (item, of_item)| {
            count(&baskets, item as u32, of_item, pairs, touched);
            let all = baskets.ends.len() as f64;
            let scored = touched.drain(..).filter_map(|other: u32| {
                let pair = std::mem::take(&mut pairs[other as usize]);
                let chance = of_item.len() as f64 * by_item[other as usize].len() as f64;
                let counts = pair.shoppers >= config.min_shoppers && f64::from(pair.baskets) * all > chance;
                counts.then(|| (other, (f64::from(pair.baskets) / chance.sqrt()) as f32))
            });
            let items = best(scored.collect(), config.together);
            bar.inc(1);
            (!items.is_empty()).then(|| List { name: name("together", [dataset.items[item].id.as_str()]), items })
        },
    );
    let lists = lists.flatten().collect();
    bar.finish_and_clear();
    lists
}

/// Counts what is in the baskets of an item beside it; `touched` lists what was there.
fn count(baskets: &Baskets, item: u32, of_item: &[u32], pairs: &mut [Pair], touched: &mut Vec<u32>) {
    for &basket in of_item {
        let shopper = baskets.shoppers[basket as usize] + 1;
        for &other in baskets.items_of(basket as usize).iter().filter(|&&other| other != item) {
            let pair = &mut pairs[other as usize];
            if pair.baskets == 0 {
                touched.push(other);
            }
            pair.baskets += 1;
            pair.shoppers += u32::from(pair.last != shopper);
            pair.last = shopper;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    fn names(lists: &[List]) -> Vec<(String, Vec<u32>)> {
        lists
            .iter()
            .map(|list| (list.name.replace('\u{1f}', " "), list.items.iter().map(|item| item.0).collect()))
            .collect()
    }

    /// Shoppers 0 to 3 buy 0 and 1 together on a day, and 2 on every day; shopper 4 buys 2 and 3 over and over.
    fn sample() -> Dataset {
        let mut events = Vec::new();
        for user in 0..4 {
            let day = i64::from(user) * DAY_MS;
            events.extend([(user, 0, day, 0), (user, 1, day + 5, 0), (user, 2, day + 6, 0)]);
            events.extend((1..4).map(|other| (user, 2, day + other * 10 * DAY_MS, 0)));
        }
        events.extend((0..9).flat_map(|day| [(4, 2, day * DAY_MS, 0), (4, 3, day * DAY_MS, 0)]));
        events.push((4, 1, 3, 1));
        dataset(&events, i64::MAX)
    }

    #[test]
    fn pairs_of_enough_shoppers_beyond_chance_are_bought_together() {
        let lists = together(&sample(), false, &ListsConfig::default());
        // 2 is in every basket, which is no more than chance; 2 and 3 are one shopper's; a view is no purchase.
        assert_eq!(names(&lists), [("together 0".into(), vec![1]), ("together 1".into(), vec![0])]);
        assert_eq!(lists[0].items[0].1, 1.0);
    }

    #[test]
    fn baskets_of_the_shop_are_taken_as_they_are() {
        let mut data = sample();
        // One basket for each event: nothing is together.
        data.events.iter_mut().zip(0..).for_each(|(event, basket)| event.basket = basket);
        assert_eq!(together(&data, true, &ListsConfig::default()), []);
    }

    #[test]
    fn what_the_test_is_asked_for_is_not_counted() {
        let mut data = sample();
        data.test_from_ms = 2 * DAY_MS;
        assert_eq!(together(&data, false, &ListsConfig::default()), []);
    }
}
