//! Small data sets for the tests of this folder and of `evaluate`.

use crate::data::{Dataset, Event, Item, User};

/// A data set of `(user, item, time, event type)`, cut at `test_from_ms`, with the types `purchase` and `view`.
pub(crate) fn dataset(events: &[(u32, u32, i64, u16)], test_from_ms: i64) -> Dataset {
    let users = events.iter().map(|event| event.0 + 1).max().unwrap_or(0);
    let items = events.iter().map(|event| event.1 + 1).max().unwrap_or(0);
    let mut events: Vec<Event> = events
        .iter()
        .map(|&(user, item, time_ms, event_type)| Event {
            user,
            item,
            time_ms,
            location: u32::MAX,
            device: u16::MAX,
            event_type,
            quantity: 1.0,
            basket: 0,
        })
        .collect();
    events.sort_by_key(|event| (event.user, event.time_ms));
    let item = |index: u32| Item {
        id: index.to_string(),
        title: String::new(),
        category: Vec::new(),
        brand: None,
        price: None,
        events: events.iter().filter(|event| event.item == index && event.time_ms < test_from_ms).count() as u32,
        attributes: Vec::new(),
    };
    Dataset {
        items: (0..items).map(item).collect(),
        users: (0..users).map(|index| User { id: index.to_string(), attributes: Vec::new() }).collect(),
        event_types: vec!["purchase".to_owned(), "view".to_owned()],
        user_offsets: (0..=users).map(|user| events.partition_point(|event| event.user < user)).collect(),
        events,
        test_from_ms,
        ..Dataset::default()
    }
}

/// A training matrix with planted groups: users of group `g` take most items of group `g` and none of the others.
pub(crate) fn planted(groups: u32, users_per_group: u32, items_per_group: u32) -> Dataset {
    let mut events = Vec::new();
    for user in 0..groups * users_per_group {
        let group = user / users_per_group;
        for place in 0..items_per_group {
            // Every user lacks one item in five, another one each: what a recommender should find.
            if (user + place) % 5 != 0 {
                let item = group * items_per_group + place;
                events.extend((0..=(user * 7 + place) % 3).map(|_| (user, item, 0, 0)));
            }
        }
    }
    dataset(&events, 1)
}
