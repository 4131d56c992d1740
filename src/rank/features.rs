//! What the ranker reads of an impression: what an item is to a shopper at a moment, as a few numbers.
//!
//! Training and serving count [`Facts`] each in their own way, and turn them into numbers here. The slot is none of them: it says where
//! an item was shown, and nothing of whether it should be.

/// Names of the numbers, in their order.
pub const FEATURES: [&str; 11] = [
    "score",
    "price_rank",
    "usual_price_rank",
    "price_distance",
    "popularity",
    "shelf_affinity",
    "brand_affinity",
    "times_bought",
    "bought_lately",
    "hour_sine",
    "hour_cosine",
];

/// Purchases that the usual share counts as, against those of the shopper.
const PRIOR: f32 = 10.0;

/// Days after which a purchase is two thirds forgotten.
const FORGET_DAYS: f32 = 30.0;

/// What is counted for an item and a shopper before they meet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Facts {
    /// Inner product of query and candidate embedding; 0 where the ranker was trained without.
    pub score: f32,
    /// Price rank of the item in its category, -1 cheapest to 1 dearest, 0 unknown.
    pub price_rank: f32,
    /// Mean of the same over what the shopper bought; `None` without a purchase.
    pub usual_price_rank: Option<f32>,
    /// Events of the item in the training.
    pub events: u32,
    /// The item's shelf in what the shopper bought.
    pub shelf: Share,
    /// The item's brand in what the shopper bought; the default without a brand.
    pub brand: Share,
    /// How often the shopper bought the item.
    pub times_bought: u32,
    /// Days since the last time.
    pub days_since: Option<f32>,
    /// Hour of the shopper's local time, 0 to 23; `None` where unknown.
    pub hour: Option<u8>,
}

/// A part of what a shopper bought.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Share {
    /// Purchases in it.
    pub own: u32,
    /// All purchases of the shopper.
    pub of: u32,
    /// Its share in the purchases of all shoppers; 0 where there is no such part.
    pub usual: f32,
}

impl Share {
    /// Logarithm of how many times more of it the shopper buys than others do, drawn towards 0 where little is known.
    fn affinity(self) -> f32 {
        if self.usual <= 0.0 {
            return 0.0;
        }
        libm::logf((self.own as f32 + PRIOR * self.usual) / ((self.of as f32 + PRIOR) * self.usual))
    }
}

impl Facts {
    /// The numbers that [`FEATURES`] names, as the network takes them; it scales them itself.
    pub fn numbers(&self) -> [f32; FEATURES.len()] {
        let lately = |days: f32| libm::expf(-days.max(0.0) / FORGET_DAYS);
        let angle = self.hour.map(|hour| f32::from(hour) / 24.0 * std::f32::consts::TAU);
        [
            self.score,
            self.price_rank,
            self.usual_price_rank.unwrap_or(0.0),
            self.usual_price_rank.map_or(0.0, |usual| (self.price_rank - usual).abs()),
            libm::log1pf(self.events as f32),
            self.shelf.affinity(),
            self.brand.affinity(),
            libm::log1pf(self.times_bought as f32),
            self.days_since.map_or(0.0, lately),
            angle.map_or(0.0, libm::sinf),
            angle.map_or(0.0, libm::cosf),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_neutral() {
        assert_eq!(Facts::default().numbers(), [0.0; FEATURES.len()]);
    }

    #[test]
    fn affinity_is_how_many_times_more_of_a_part_is_bought() {
        let affinity = |own, of, usual| Share { own, of, usual }.affinity();
        assert_eq!(affinity(0, 0, 0.2), 0.0);
        // (50 + 10 * .1) / ((90 + 10) * .1) = 5.1
        assert!((affinity(50, 90, 0.1) - 5.1_f32.ln()).abs() < 1e-6);
        assert!(affinity(0, 1000, 0.1) < -4.0);
    }
}
