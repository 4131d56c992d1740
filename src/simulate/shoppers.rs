//! A real user's history becomes a shopper with likings.

use std::collections::HashMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::{Dataset, Event};
use crate::features::shelves::Shelves;

/// Purchases that a shelf's share in all sales counts as, against those of the shopper.
const PRIOR: f64 = 8.0;

/// A taste is never worse or better than this.
const TASTES: [f64; 2] = [-1.5, 2.5];

/// Standard deviations of what a history does not tell of a shopper.
const TASTE_NOISE: f64 = 0.3;
const SENSITIVITY_NOISE: f64 = 0.2;

/// Days in which a need comes back.
const NEED_DAYS: f64 = 20.0;

const DAY_MS: i64 = 86_400_000;

/// What a shopper loves, and has.
pub(super) struct Shopper<'d> {
    pub(super) user: u32,
    pub(super) events: &'d [Event],
    shelves: &'d Shelves,
    /// Liking of each shelf, near 0 where the shopper is as all others.
    tastes: Vec<f64>,
    /// How much dearness repels, 1 for most.
    sensitivity: f64,
    /// Share of the brand in what was bought, by brand.
    loyalty: HashMap<u32, f64>,
    /// How often and when last, by item.
    bought: HashMap<u32, (f64, i64)>,
}

impl<'d> Shopper<'d> {
    /// Models a shopper on a user with training events.
    pub(super) fn of(dataset: &'d Dataset, shelves: &'d Shelves, user: u32, rng: &mut ChaCha8Rng) -> Self {
        let events = dataset.training_events(user);
        let total = events.len() as f64;
        let mut own = vec![0.0; shelves.shelves];
        let mut loyalty: HashMap<u32, f64> = HashMap::new();
        let mut bought: HashMap<u32, (f64, i64)> = HashMap::new();
        let mut price = 0.0;
        for event in events {
            own[shelves.shelf[event.item as usize] as usize] += 1.0;
            price += f64::from(shelves.price_rank[event.item as usize]) / total;
            if let Some(brand) = shelves.brand[event.item as usize] {
                *loyalty.entry(brand).or_default() += 1.0 / total;
            }
            let (count, last) = bought.entry(event.item).or_insert((0.0, event.time_ms));
            (*count, *last) = (*count + 1.0, event.time_ms.max(*last));
        }
        let usual = usual_shares(dataset, shelves);
        let taste = |(own, usual): (&f64, &f64)| {
            let liking = libm::log((own + PRIOR * usual) / ((total + PRIOR) * usual));
            liking.clamp(TASTES[0], TASTES[1]) + TASTE_NOISE * normal(rng)
        };
        let tastes = own.iter().zip(&usual).map(taste).collect();
        let sensitivity = 1.0 - price + SENSITIVITY_NOISE * normal(rng);
        Self { user, events, shelves, tastes, sensitivity, loyalty, bought }
    }

    pub(super) fn taste(&self, item: u32) -> f64 {
        self.tastes[self.shelves.shelf[item as usize] as usize]
    }

    /// How much the price attracts, 0 for one in the middle of its category.
    pub(super) fn price(&self, item: u32) -> f64 {
        -self.sensitivity * f64::from(self.shelves.price_rank[item as usize])
    }

    pub(super) fn loyalty(&self, item: u32) -> f64 {
        let brand = self.shelves.brand[item as usize];
        brand.and_then(|brand| self.loyalty.get(&brand)).map_or(0.0, |share| libm::sqrt(*share))
    }

    /// How well the shopper knows an item, and how lately it was bought, 1 for now.
    pub(super) fn knows(&self, item: u32, now_ms: i64) -> [f64; 2] {
        let Some((count, last)) = self.bought.get(&item) else { return [0.0; 2] };
        let days = (now_ms - last).max(0) as f64 / DAY_MS as f64;
        [libm::log1p(*count), libm::exp(-days / NEED_DAYS)]
    }

    /// Takes a purchase into what the shopper knows and has.
    pub(super) fn buys(&mut self, item: u32, time_ms: i64) {
        let (count, last) = self.bought.entry(item).or_insert((0.0, time_ms));
        (*count, *last) = (*count + 1.0, time_ms);
    }

    /// The shelf that a draw from 0 to 1 falls on, loved ones more often.
    pub(super) fn shelf(&self, draw: f64) -> u32 {
        let loves = || self.tastes.iter().map(|taste| libm::exp(*taste));
        let mut left = draw * loves().sum::<f64>();
        let at = loves().position(|love| {
            left -= love;
            left < 0.0
        });
        at.unwrap_or(self.tastes.len() - 1) as u32
    }
}

/// The share of each shelf in the sales, one sale more for each.
fn usual_shares(dataset: &Dataset, shelves: &Shelves) -> Vec<f64> {
    let mut sales = vec![1.0; shelves.shelves];
    for (item, shelf) in dataset.items.iter().zip(&shelves.shelf) {
        sales[*shelf as usize] += f64::from(item.events);
    }
    let total: f64 = sales.iter().sum();
    sales.iter().map(|sales| sales / total).collect()
}

/// A number of the standard normal distribution (Box and Muller 1958), with the same bits on any machine.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(std::f64::consts::TAU * angle)
}
