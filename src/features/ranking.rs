//! What the ranker reads of a candidate: what it is to a shopper at a moment, as a few numbers.
//!
//! A [`Shopper`] is counted event by event, the same way in training and where it is served, and [`Shopper::numbers`] says what an item
//! is to that shopper. The slot is none of the numbers: it says where an item was shown, and nothing of whether it should be.

/// Names of the numbers, in their order.
pub const FEATURES: [&str; 20] = [
    "score",
    "place",
    "price_rank",
    "usual_price_rank",
    "price_distance",
    "popularity",
    "recent_popularity",
    "shelf_affinity",
    "shelf_lately",
    "brand_affinity",
    "times_bought",
    "bought_lately",
    "bought_share",
    "days_since",
    "due",
    "times_seen",
    "seen_lately",
    "purchases",
    "hour_sine",
    "hour_cosine",
];

/// Purchases that the usual share counts as, against those of the shopper.
const PRIOR: f32 = 10.0;

/// Days after which an event is two thirds forgotten.
const FORGET_DAYS: f32 = 30.0;

const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Whether events of this type are purchases, as those without a type are.
pub fn is_purchase(event_type: &str) -> bool {
    event_type.is_empty() || event_type == "purchase"
}

/// Steps from the cheapest item of a category to the dearest: what a shard stores of a price rank.
pub const PRICE_STEPS: u8 = 32;

/// What an item is, whoever looks at it; the default where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ItemFacts {
    /// The number of its shelf.
    pub shelf: Option<u32>,
    /// The number of its brand.
    pub brand: Option<u32>,
    /// Price rank of the item in its category, -1 cheapest to 1 dearest, 0 unknown.
    pub price_rank: f32,
    /// Events of the item in the training.
    pub events: u64,
    /// Those of its last thirty days.
    pub recent: u64,
}

/// The step of a price rank, 0 to [`PRICE_STEPS`].
pub fn price_step(rank: f32) -> u8 {
    libm::roundf((rank.clamp(-1.0, 1.0) + 1.0) * f32::from(PRICE_STEPS / 2)) as u8
}

/// The price rank of a step.
pub fn price_rank(step: u8) -> f32 {
    f32::from(step.min(PRICE_STEPS)) / f32::from(PRICE_STEPS / 2) - 1.0
}

/// The shares of shelves and brands in the purchases of all shoppers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usual {
    /// By the number of the shelf.
    pub shelves: Vec<f32>,
    /// By the number of the brand.
    pub brands: Vec<f32>,
}

/// What a shopper did, in the order of time. Items are told apart by `K`.
#[derive(Debug, Clone, PartialEq)]
pub struct Shopper<K> {
    purchases: u32,
    price_ranks: f32,
    /// Days with a purchase, as far as times are known.
    days: u32,
    last_day: Option<i64>,
    shelves: Vec<Part>,
    brands: Vec<Part>,
    items: Vec<(K, Known)>,
}

/// A shelf or a brand that a shopper bought from.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    number: u32,
    count: u32,
    last_ms: Option<i64>,
}

/// An item that a shopper had to do with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Known {
    bought: u32,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    seen: u32,
    seen_ms: Option<i64>,
}

/// What retrieval said of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Retrieved {
    /// Inner product of query and candidate embedding; 0 where the ranker was trained without.
    pub score: f32,
    /// Candidates before it.
    pub place: u32,
}

// Not derived: that would ask it of `K`, too.
impl<K> Default for Shopper<K> {
    fn default() -> Self {
        let (shelves, brands, items) = (Vec::new(), Vec::new(), Vec::new());
        Self { purchases: 0, price_ranks: 0.0, days: 0, last_day: None, shelves, brands, items }
    }
}

impl<K: Copy + PartialEq> Shopper<K> {
    /// Adds an event, none of which is older than those before: a purchase, or a look at an item.
    pub fn count(&mut self, item: K, facts: &ItemFacts, is_purchase: bool, at_ms: Option<i64>) {
        let place = self.items.iter().position(|(known, _)| *known == item).unwrap_or_else(|| {
            self.items.push((item, Known::default()));
            self.items.len() - 1
        });
        let known = &mut self.items[place].1;
        if !is_purchase {
            known.seen += 1;
            known.seen_ms = at_ms;
            return;
        }
        known.bought += 1;
        known.first_ms = known.first_ms.or(at_ms);
        known.last_ms = at_ms;
        self.purchases += 1;
        self.price_ranks += facts.price_rank;
        let day = at_ms.map(|at| at.div_euclid(DAY_MS));
        if day.is_none() || day != self.last_day {
            self.days += 1;
        }
        self.last_day = day;
        add(&mut self.shelves, facts.shelf, at_ms);
        add(&mut self.brands, facts.brand, at_ms);
    }

    /// The items that the shopper had to do with, in the order of their first events, and how often each was bought and seen.
    pub fn items(&self) -> impl Iterator<Item = (K, [u32; 2])> {
        self.items.iter().map(|(item, known)| (*item, [known.bought, known.seen]))
    }

    /// Some of these items: those bought most often, then the latest.
    pub fn own(&self, most: usize) -> Vec<K> {
        let mut left: Vec<&(K, Known)> = self.items.iter().collect();
        let mut own = Vec::new();
        while own.len() < most {
            // One after the other: a sort is more code than a client needs here. Equal ones by who came last.
            let best = (0..left.len()).reduce(|a, b| if left[b].1.priority() >= left[a].1.priority() { b } else { a });
            let Some(best) = best else { break };
            own.push(left.remove(best).0);
        }
        own
    }

    /// The numbers that [`FEATURES`] names for an item at a moment, as the network takes them; it scales them itself.
    pub fn numbers(
        &self,
        (item, facts): (K, &ItemFacts),
        retrieved: Retrieved,
        now_ms: Option<i64>,
        usual: &Usual,
    ) -> [f32; FEATURES.len()] {
        let known = self.items.iter().find(|(known, _)| *known == item).map_or(Known::default(), |(_, known)| *known);
        let days = |at_ms: Option<i64>| {
            now_ms.zip(at_ms).map(|(now, at)| now.saturating_sub(at).max(0) as f32 / DAY_MS as f32)
        };
        let lately = |at_ms| days(at_ms).map_or(0.0, |days| libm::expf(-days / FORGET_DAYS));
        let log = |count: u32| log1p(count as f32);
        let shelf = part(&self.shelves, facts.shelf);
        let usual_price = if self.purchases > 0 { Some(self.price_ranks / self.purchases as f32) } else { None };
        let affinity = |own, number, shares| self.affinity(part(own, number), usual_share(shares, number));
        let hour = now_ms.map(|now| (now.rem_euclid(DAY_MS) / HOUR_MS) as usize);
        [
            retrieved.score,
            log(retrieved.place),
            facts.price_rank,
            usual_price.unwrap_or(0.0),
            usual_price.map_or(0.0, |usual| (facts.price_rank - usual).abs()),
            log1p(facts.events as f32),
            log1p(facts.recent as f32),
            affinity(&self.shelves, facts.shelf, &usual.shelves),
            lately(shelf.last_ms),
            affinity(&self.brands, facts.brand, &usual.brands),
            log(known.bought),
            lately(known.last_ms),
            known.bought as f32 / self.days.max(1) as f32,
            days(known.last_ms).map_or(0.0, log1p),
            known.due(days(known.last_ms)),
            log(known.seen),
            lately(known.seen_ms),
            log(self.purchases),
            hour.map_or(0.0, sine),
            hour.map_or(0.0, |hour| sine(hour + 6)),
        ]
    }

    /// Logarithm of how many times more of a part the shopper buys than others do, drawn towards 0 where little is known.
    fn affinity(&self, part: Part, usual: f32) -> f32 {
        if usual <= 0.0 {
            return 0.0;
        }
        libm::logf((part.count as f32 + PRIOR * usual) / ((self.purchases as f32 + PRIOR) * usual))
    }
}

impl Known {
    fn priority(&self) -> (u32, Option<i64>) {
        (self.bought, self.last_ms.max(self.seen_ms))
    }

    /// Logarithm of the days since the last purchase as a share of those that usually pass between two, -3 to 3; 0 where no two are known.
    fn due(&self, since: Option<f32>) -> f32 {
        let (Some(first), Some(last), Some(since)) = (self.first_ms, self.last_ms, since) else { return 0.0 };
        let between = last.saturating_sub(first) as f32 / DAY_MS as f32;
        if self.bought < 2 || between <= 0.0 {
            return 0.0;
        }
        let interval = between / (self.bought - 1) as f32;
        libm::logf((since + 0.5) / (interval + 0.5)).clamp(-3.0, 3.0)
    }
}

/// The logarithm of one more. The library's own function for it is more code than a client needs for counts.
fn log1p(count: f32) -> f32 {
    libm::logf(1.0 + count)
}

/// The sine of an hour as a part of the day. For 24 angles a table is less code than a function.
fn sine(hour: usize) -> f32 {
    const QUARTER: [f32; 7] = [0.0, 0.258_819_04, 0.5, 0.707_106_77, 0.866_025_4, 0.965_925_8, 1.0];
    let rise = |hour: usize| if hour <= 6 { QUARTER[hour] } else { QUARTER[12 - hour] };
    let hour = hour % 24;
    if hour <= 12 { rise(hour) } else { -rise(hour - 12) }
}

fn add(parts: &mut Vec<Part>, number: Option<u32>, at_ms: Option<i64>) {
    let Some(number) = number else { return };
    match parts.iter_mut().find(|part| part.number == number) {
        Some(part) => (part.count, part.last_ms) = (part.count + 1, at_ms),
        None => parts.push(Part { number, count: 1, last_ms: at_ms }),
    }
}

fn part(parts: &[Part], number: Option<u32>) -> Part {
    let nothing = Part { number: 0, count: 0, last_ms: None };
    parts.iter().find(|part| Some(part.number) == number).map_or(nothing, |part| *part)
}

fn usual_share(shares: &[f32], number: Option<u32>) -> f32 {
    number.and_then(|number| shares.get(number as usize)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(numbers: &[f32], name: &str) -> f32 {
        numbers[FEATURES.iter().position(|feature| *feature == name).unwrap()]
    }

    #[test]
    fn what_is_unknown_is_neutral() {
        let shopper = Shopper::<u32>::default();
        let numbers = shopper.numbers((0, &ItemFacts::default()), Retrieved::default(), None, &Usual::default());
        assert_eq!(numbers, [0.0; FEATURES.len()]);
    }

    #[test]
    fn hours_go_round() {
        for hour in 0..30 {
            let angle = hour as f32 / 24.0 * std::f32::consts::TAU;
            assert!((sine(hour) - angle.sin()).abs() < 1e-6 && (sine(hour + 6) - angle.cos()).abs() < 1e-6, "{hour}");
        }
    }

    #[test]
    fn affinity_is_how_many_times_more_of_a_part_is_bought() {
        let affinity = |own, purchases, usual| {
            let part = Part { number: 0, count: own, last_ms: None };
            Shopper::<u32> { purchases, ..Shopper::default() }.affinity(part, usual)
        };
        assert_eq!(affinity(0, 0, 0.2), 0.0);
        // (50 + 10 * .1) / ((90 + 10) * .1) = 5.1
        assert!((affinity(50, 90, 0.1) - 5.1_f32.ln()).abs() < 1e-6);
        assert!(affinity(0, 1000, 0.1) < -4.0);
    }

    #[test]
    fn a_history_becomes_numbers() {
        let day = |days: i64| Some(days * DAY_MS);
        let facts = ItemFacts { shelf: Some(1), brand: None, price_rank: 0.5, events: 7, recent: 0 };
        let mut shopper = Shopper::default();
        shopper.count(3_u32, &facts, true, day(0));
        shopper.count(4, &ItemFacts { price_rank: -0.5, ..facts }, true, day(0));
        shopper.count(3, &facts, false, day(8));
        shopper.count(3, &facts, true, day(10));
        let usual = Usual { shelves: vec![0.5, 0.25], brands: Vec::new() };
        let now = Some(20 * DAY_MS + 6 * HOUR_MS);
        let of = |item| shopper.numbers((item, &facts), Retrieved::default(), now, &usual);
        let (known, other) = (of(3), of(5));
        let value = |name| number(&known, name);
        assert!((value("times_bought") - 3.0_f32.ln()).abs() < 1e-6 && value("bought_share") == 1.0, "{known:?}");
        assert!((value("due") - (10.75_f32 / 10.5).ln()).abs() < 1e-6, "{known:?}");
        assert!((value("usual_price_rank") - 0.5 / 3.0).abs() < 1e-6 && value("hour_sine") == 1.0, "{known:?}");
        assert!((value("seen_lately") - (-12.25_f32 / 30.0).exp()).abs() < 1e-6, "{known:?}");
        assert_eq!(["times_bought", "due", "times_seen"].map(|name| number(&other, name)), [0.0; 3]);
        // Of a shelf: (3 + 10 * .25) / ((3 + 10) * .25).
        assert!((number(&other, "shelf_affinity") - (5.5_f32 / 3.25).ln()).abs() < 1e-6);
        assert_eq!(shopper.items().collect::<Vec<_>>(), [(3, [2, 1]), (4, [1, 0])]);
    }
}
