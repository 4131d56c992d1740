//! A small invented shop for tests: users with a liking for some shelves and one brand.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::{Dataset, Event, Holdout, Item, User};

const ITEMS: u32 = 320;
const SHELVES: u32 = 10;
const BRANDS: u32 = 6;
const HOUR_MS: i64 = 3_600_000;
/// Days of the histories.
const DAYS: i64 = 100;

/// A shop with so many users, and 40 events of each.
pub(crate) fn shop(seed: u64, users: u32) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let item = |index: u32| Item {
        id: format!("item {index:04}"),
        title: format!("thing {index}"),
        category: vec![format!("hall {}", index % SHELVES % 3), format!("shelf {}", index % SHELVES)],
        brand: Some(format!("brand {}", index / 7 % BRANDS)),
        price: Some(1.0 + f64::from(index * 37 % 101)),
        events: 0,
        attributes: Vec::new(),
    };
    let items: Vec<Item> = (0..ITEMS).map(item).collect();
    let mut events = Vec::new();
    for user in 0..users {
        let loved = [0; 3].map(|_: u32| rng.random_range(0..SHELVES));
        let brand = format!("brand {}", rng.random_range(0..BRANDS));
        let mut times: Vec<i64> = (0..40).map(|_| rng.random_range(0..DAYS * 24) * HOUR_MS).collect();
        times.sort_unstable();
        for time_ms in times {
            // Some sell more than others.
            let any = |rng: &mut ChaCha8Rng| (f64::from(ITEMS) * rng.random::<f64>().powi(2)) as u32;
            let likes = |item: &u32| {
                loved.contains(&(item % SHELVES)) || items[*item as usize].brand.as_deref() == Some(brand.as_str())
            };
            let item = (0..6).map(|_| any(&mut rng)).find(likes).unwrap_or_else(|| any(&mut rng));
            let event = Event {
                user,
                item,
                time_ms,
                location: u32::MAX,
                device: u16::MAX,
                event_type: 0,
                quantity: 1.0,
                basket: 0,
            };
            events.push(Event { basket: events.len() as u32, ..event });
        }
    }
    let mut dataset = Dataset {
        items,
        users: (0..users).map(|user| User { id: format!("user {user:05}"), attributes: Vec::new() }).collect(),
        event_types: vec!["purchase".to_owned()],
        user_offsets: (0..=users as usize).map(|user| user * 40).collect(),
        events,
        ..Dataset::default()
    };
    dataset.hold_out(Holdout::Time, DAYS * 24 * HOUR_MS);
    dataset
}
