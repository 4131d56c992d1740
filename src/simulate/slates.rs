//! What shoppers are shown, and what they do with it.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::shoppers::Shopper;
use super::truth::{Signals, probabilities};
use super::{FunnelParams, SimulateError};
use crate::data::{Dataset, Impression, Task};
use crate::features::shelves::Shelves;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Shares of what a slot holds: what the shopper bought before, a bestseller, something of a loved shelf; else anything.
const OWN: f64 = 0.15;
const BESTSELLERS: f64 = 0.4;
const LOVED: f64 = 0.3;

/// How much the shop's order of a slate goes by popularity: what is high up is also better, as everywhere.
const ORDER_BY_POPULARITY: f64 = 0.5;

/// Draws after which a slot takes the next item that the slate does not hold.
const DRAWS: usize = 32;

/// The shop while it is watched.
pub(super) struct Window<'d> {
    params: &'d FunnelParams,
    /// Midnight of the first day.
    start_ms: i64,
    /// Items with training events.
    sold: Vec<u32>,
    /// Sums of their events.
    cumulative: Vec<u64>,
    /// The sold items of each shelf.
    by_shelf: Vec<Vec<u32>>,
    /// By item, the logarithm of its events less the mean, over the deviation.
    popularity: Vec<f64>,
}

impl<'d> Window<'d> {
    pub(super) fn of(dataset: &Dataset, params: &'d FunnelParams) -> Result<Self, SimulateError> {
        let sold: Vec<u32> =
            (0..dataset.items.len() as u32).filter(|item| dataset.items[*item as usize].events > 0).collect();
        let least = 2 * usize::from(params.slots);
        if sold.len() < least {
            return Err(SimulateError::Items { found: sold.len(), least });
        }
        let shelves = Shelves::of(&dataset.items);
        let mut by_shelf = vec![Vec::new(); shelves.shelves];
        let mut sum = 0;
        let mut cumulative = Vec::with_capacity(sold.len());
        for item in &sold {
            by_shelf[shelves.shelf[*item as usize] as usize].push(*item);
            sum += u64::from(dataset.items[*item as usize].events);
            cumulative.push(sum);
        }
        let logs: Vec<f64> = dataset.items.iter().map(|item| libm::log1p(f64::from(item.events))).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let deviation = libm::sqrt(logs.iter().map(|log| (log - mean) * (log - mean)).sum::<f64>() / logs.len() as f64);
        let popularity = logs.iter().map(|log| (log - mean) / deviation.max(f64::MIN_POSITIVE)).collect();
        let start_ms = dataset.end_of_training_ms().div_euclid(DAY_MS) * DAY_MS;
        let start_ms = if start_ms < dataset.end_of_training_ms() { start_ms + DAY_MS } else { start_ms };
        Ok(Self { params, start_ms, sold, cumulative, by_shelf, popularity })
    }

    /// All that a shopper sees, with the truth of each impression.
    pub(super) fn slates(&self, shopper: &Shopper<'_>, rng: &mut ChaCha8Rng) -> Vec<(Impression, [f64; 3])> {
        let mut rows = Vec::with_capacity(self.params.slates * usize::from(self.params.slots));
        for time_ms in self.times(shopper, rng) {
            let slate = self.slate(shopper, rng);
            rows.extend(slate.into_iter().zip(0..).map(|(item, position)| {
                let steps = self.steps(shopper, item, time_ms, position);
                let took = Task::ALL.into_iter().zip(steps).take_while(|(_, step)| rng.random::<f64>() < *step);
                let furthest = took.map(|(task, _)| task).last();
                let row = Impression { user: Some(shopper.user), item, time_ms, position, furthest, row: 0 };
                (row, probabilities(steps))
            }));
        }
        rows
    }

    /// When a shopper comes, in order.
    pub(super) fn times(&self, shopper: &Shopper<'_>, rng: &mut ChaCha8Rng) -> Vec<i64> {
        let mut times: Vec<i64> = (0..self.params.slates).map(|_| self.time(shopper, rng)).collect();
        times.sort_unstable();
        // A shopper looks at one slate at a time.
        (1..times.len()).for_each(|at| times[at] = times[at].max(times[at - 1] + 1000));
        times
    }

    /// The day of a moment, from the first one on.
    pub(super) fn day(&self, time_ms: i64) -> i64 {
        (time_ms - self.start_ms).div_euclid(DAY_MS)
    }

    /// How probable it is that each step of the funnel follows the one before.
    pub(super) fn steps(&self, shopper: &Shopper<'_>, item: u32, time_ms: i64, position: u16) -> [f64; 3] {
        let signals = self.signals(shopper, item, time_ms, position);
        self.params.weights.map(|weights| weights.probability(&signals))
    }

    /// A day at random, at an hour at which the user shopped.
    fn time(&self, shopper: &Shopper<'_>, rng: &mut ChaCha8Rng) -> i64 {
        let day = rng.random_range(0..self.params.days);
        let hour = shopper.events[rng.random_range(0..shopper.events.len())].time_ms.rem_euclid(DAY_MS) / HOUR_MS;
        self.start_ms + day * DAY_MS + hour * HOUR_MS + rng.random_range(0..HOUR_MS / 1000) * 1000
    }

    /// Distinct items, in the order of the slots.
    fn slate(&self, shopper: &Shopper<'_>, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut slate: Vec<(f64, u32)> = Vec::with_capacity(usize::from(self.params.slots));
        while slate.len() < usize::from(self.params.slots) {
            let holds = |slate: &[(f64, u32)], item| slate.iter().any(|(_, held)| *held == item);
            let drawn = (0..DRAWS).map(|_| self.draw(shopper, rng)).find(|item| !holds(&slate, *item));
            let item = drawn.or_else(|| self.sold.iter().copied().find(|item| !holds(&slate, *item)));
            // There are twice as many items as slots.
            let Some(item) = item else { break };
            let noise = -libm::log(-libm::log(rng.random::<f64>().max(f64::MIN_POSITIVE)));
            slate.push((ORDER_BY_POPULARITY * self.popularity[item as usize] + noise, item));
        }
        slate.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        slate.into_iter().map(|(_, item)| item).collect()
    }

    fn draw(&self, shopper: &Shopper<'_>, rng: &mut ChaCha8Rng) -> u32 {
        let (what, which): (f64, f64) = (rng.random(), rng.random());
        let anything = self.sold[rng.random_range(0..self.sold.len())];
        if what < OWN {
            shopper.events[rng.random_range(0..shopper.events.len())].item
        } else if what < OWN + BESTSELLERS {
            let point = rng.random_range(0..self.cumulative.last().copied().unwrap_or(1));
            self.sold[self.cumulative.partition_point(|sum| *sum <= point)]
        } else if what < OWN + BESTSELLERS + LOVED {
            let shelf = &self.by_shelf[shopper.shelf(which) as usize];
            if shelf.is_empty() { anything } else { shelf[rng.random_range(0..shelf.len())] }
        } else {
            anything
        }
    }

    fn signals(&self, shopper: &Shopper<'_>, item: u32, time_ms: i64, position: u16) -> Signals {
        let hour = time_ms.rem_euclid(DAY_MS) as f64 / HOUR_MS as f64;
        let [known, lately] = shopper.knows(item, time_ms);
        Signals {
            taste: shopper.taste(item),
            price: shopper.price(item),
            loyalty: shopper.loyalty(item),
            popularity: self.popularity[item as usize],
            known,
            lately,
            evening: libm::cos((hour - 20.0) / 24.0 * std::f64::consts::TAU),
            position: libm::log1p(f64::from(position)),
        }
    }
}
