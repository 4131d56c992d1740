//! How probable it is that a shopper clicks, puts into the cart and buys what is shown.

use serde::Serialize;

/// What an impression is to a shopper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Signals {
    pub(super) taste: f64,
    pub(super) price: f64,
    pub(super) loyalty: f64,
    pub(super) popularity: f64,
    pub(super) known: f64,
    pub(super) lately: f64,
    pub(super) evening: f64,
    pub(super) position: f64,
}

/// A logistic model of one step of the funnel, given the step before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Weights {
    /// Log odds of an impression of which all else is 0.
    pub base: f64,
    /// Of liking the item's shelf more than others do.
    pub taste: f64,
    /// Of its price rank in its category, the cheap end, times the shopper's sensitivity.
    pub price: f64,
    /// Of the root of its brand's share in the shopper's purchases.
    pub loyalty: f64,
    /// Of its log-popularity in standard deviations.
    pub popularity: f64,
    /// Of `ln(1 + times bought)`.
    pub known: f64,
    /// Of having bought it just now, falling with time.
    pub lately: f64,
    /// Of the hour, 1 at eight in the evening, -1 at eight in the morning.
    pub evening: f64,
    /// Of `ln(1 + slot)`.
    pub position: f64,
}

impl Weights {
    /// Clicks, carts and purchases: taste fades and price comes to count; only clicks depend on the slot.
    pub const FUNNEL: [Self; 3] = [
        Self {
            base: -1.6,
            taste: 0.9,
            price: 0.2,
            loyalty: 0.8,
            popularity: 0.35,
            known: 0.5,
            lately: -0.8,
            evening: 0.3,
            position: -0.6,
        },
        Self {
            base: -1.6,
            taste: 0.7,
            price: 0.7,
            loyalty: 1.2,
            popularity: 0.15,
            known: 0.9,
            lately: -1.4,
            evening: -0.2,
            position: 0.0,
        },
        Self {
            base: -0.8,
            taste: 0.4,
            price: 1.0,
            loyalty: 0.6,
            popularity: 0.1,
            known: 0.7,
            lately: -1.2,
            evening: 0.4,
            position: 0.0,
        },
    ];

    pub(super) fn probability(&self, of: &Signals) -> f64 {
        let log_odds = self.base
            + self.taste * of.taste
            + self.price * of.price
            + self.loyalty * of.loyalty
            + self.popularity * of.popularity
            + self.known * of.known
            + self.lately * of.lately
            + self.evening * of.evening
            + self.position * of.position;
        1.0 / (1.0 + libm::exp(-log_odds))
    }
}

/// Those of each step, given the one before, become those of each step.
pub(super) fn probabilities([click, cart, purchase]: [f64; 3]) -> [f64; 3] {
    [click, click * cart, click * cart * purchase]
}
