//! A small invented shop with taste: shoppers of one of four kinds buy mostly from one of four shelves.

use nearshelf::data::{Config, Dataset, Event, Item, User};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const KINDS: u32 = 4;
pub(crate) const ITEMS: u32 = 240;
const USERS: u32 = 120;
const BASKETS: i64 = 12;
const DAY_MS: i64 = 86_400_000;

/// The shelf of an item; also the kind of a user.
pub(crate) fn kind(number: u32) -> u32 {
    number % KINDS
}

pub(crate) fn config() -> Config {
    let text = r#"
        name = "invented"
        [events]
        path = "events.csv"
        [events.columns]
        user = "user"
        item = "item"
        time = "time"
        [catalogue]
        path = "items.csv"
        [catalogue.columns]
        item = "item"
        title = ["title"]
        [split]
        test_from = "1970-03-22"
        [model]
        dim = 16
        hidden = 16
        history = 6
        history_ages = true
        repeats = true
        user_vector = { factors = 8, alpha = 1.0, regularization = 0.1, frequency_exponent = 0.0 }
        prior = { strength = 0.5, recent_days = 30, recent_weight = 0.5 }
        [train]
        steps = 60
        queries = 64
        targets = 4
        checkpoint_every = 5
    "#;
    toml::from_str(text).expect("the configuration is right")
}

/// The shop of a seed.
pub(crate) fn dataset(seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let items = (0..ITEMS).map(|item| Item {
        id: format!("item-{item:04}"),
        title: format!("shelf {} thing {item}", kind(item)),
        category: vec![format!("shelf {}", kind(item))],
        brand: (item % 3 == 0).then(|| format!("maker {}", item % 7)),
        price: (item % 5 != 0).then(|| f64::from(item) / 8.0 + 0.25),
        events: 0,
        attributes: Vec::new(),
    });
    let users = (0..USERS).map(|user| User {
        id: format!("user-{user:04}"),
        attributes: vec![(user % 2 == 0).then(|| format!("group {}", user % 6))],
    });
    let mut dataset = Dataset {
        items: items.collect(),
        users: users.collect(),
        attributes: vec!["group".into()],
        locations: vec!["land/here".into(), "land/there".into()],
        devices: vec!["desktop".into(), "phone".into()],
        event_types: vec!["purchase".into(), "view".into()],
        events: vec![],
        user_offsets: vec![0],
        test_from_ms: 80 * DAY_MS,
        ..Dataset::default()
    };
    for user in 0..USERS {
        for basket in 0..BASKETS {
            let time_ms = basket * 8 * DAY_MS + i64::from(user) * 60_000;
            for _ in 0..rng.random_range(1..6) {
                let shelf = if rng.random_bool(0.9) { kind(user) } else { rng.random_range(0..KINDS) };
                // Squared: some things sell better than others.
                let rank = rng.random_range(0.0..1.0_f32).powi(2) * (ITEMS / KINDS) as f32;
                let item = rank as u32 * KINDS + shelf;
                let location = user % 3;
                dataset.events.push(Event {
                    user,
                    item,
                    time_ms,
                    location: if location == 2 { u32::MAX } else { location },
                    device: user as u16 % 3,
                    event_type: u16::from(item.is_multiple_of(5)),
                    quantity: 1.0,
                    basket: user * BASKETS as u32 + basket as u32,
                });
                dataset.items[item as usize].events += u32::from(time_ms < dataset.test_from_ms);
            }
        }
        dataset.user_offsets.push(dataset.events.len());
    }
    dataset
}
