//! What preparation wrote, in memory: dense indices, sorted events.

/// One item of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The shop's id.
    pub id: String,
    /// Name of the product.
    pub title: String,
    /// Category path, the widest first.
    pub category: Vec<String>,
    /// Maker or brand.
    pub brand: Option<String>,
    /// Price of one piece.
    pub price: Option<f64>,
    /// Training events.
    pub events: u32,
    /// One value per configured attribute, by their names; `None` where missing.
    pub attributes: Vec<Option<Attribute>>,
}

/// What else is known of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A finite number.
    Number(f64),
}

/// One user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The shop's id.
    pub id: String,
    /// One value per configured attribute; `None` where missing.
    pub attributes: Vec<Option<String>>,
}

/// One event. `user` and `item` index [`Dataset::users`] and [`Dataset::items`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Who.
    pub user: u32,
    /// What.
    pub item: u32,
    /// When: milliseconds since 1970-01-01, in the shop's local time.
    pub time_ms: i64,
    /// Index into [`Dataset::locations`]; `u32::MAX` where unknown.
    pub location: u32,
    /// Index into [`Dataset::devices`]; `u16::MAX` where unknown.
    pub device: u16,
    /// Index into [`Dataset::event_types`].
    pub event_type: u16,
    /// Pieces.
    pub quantity: f32,
    /// Equal for events of one basket; events without a basket have their own number.
    pub basket: u32,
}

/// Which events training does not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Holdout {
    /// Those from [`Dataset::test_from_ms`] on: what happened afterwards is to be predicted from what was before.
    #[default]
    Time,
    /// The last ones of each user, of which the very last is to be predicted from all before it. Users with no more events than
    /// these are trained with all of them and not tested.
    LeaveOneOut {
        /// How many: 2 for the test, where the other one is the validation item; 1 for the validation.
        untrained: usize,
    },
}

/// Prepared data: the events are sorted by user, then time, then source order.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// The catalogue, in order of id.
    pub items: Vec<Item>,
    /// The users, in order of id.
    pub users: Vec<User>,
    /// Names of the users' attributes.
    pub attributes: Vec<String>,
    /// Names of the locations.
    pub locations: Vec<String>,
    /// Names of the devices.
    pub devices: Vec<String>,
    /// Names of the event types.
    pub event_types: Vec<String>,
    /// All events that passed validation, training and test.
    pub events: Vec<Event>,
    /// `events[user_offsets[u]..user_offsets[u + 1]]` belong to user `u`.
    pub user_offsets: Vec<usize>,
    /// Which events are the test.
    pub holdout: Holdout,
    /// With [`Holdout::Time`], the first moment of the test. With the others the moment after the last training event, as
    /// [`Dataset::hold_out`] sets it.
    pub test_from_ms: i64,
}

impl Dataset {
    /// The events of one user, oldest first.
    pub fn events_of(&self, user: u32) -> &[Event] {
        let user = user as usize;
        &self.events[self.user_offsets[user]..self.user_offsets[user + 1]]
    }

    /// The events of a user that models are trained with, oldest first.
    pub fn training_events(&self, user: u32) -> &[Event] {
        let events = self.events_of(user);
        match self.holdout {
            Holdout::Time => &events[..events.partition_point(|event| event.time_ms < self.test_from_ms)],
            Holdout::LeaveOneOut { untrained } if events.len() > untrained => &events[..events.len() - untrained],
            Holdout::LeaveOneOut { .. } => events,
        }
    }

    /// The events of a user that a recommender may see when it is asked for the test, oldest first: the training events, and where
    /// one is left out the validation item.
    pub fn query_events(&self, user: u32) -> &[Event] {
        let events = self.events_of(user);
        match self.holdout {
            Holdout::Time => self.training_events(user),
            Holdout::LeaveOneOut { untrained } if events.len() > untrained => &events[..events.len() - 1],
            Holdout::LeaveOneOut { .. } => events,
        }
    }

    /// The events of a user that are to be predicted, oldest first.
    pub fn test_events(&self, user: u32) -> &[Event] {
        &self.events_of(user)[self.query_events(user).len()..]
    }

    /// The moment that the age of a training event is counted back from.
    pub fn end_of_training_ms(&self) -> i64 {
        self.test_from_ms
    }

    /// Holds out what `holdout` says, from `test_from_ms` on where it goes by time, and counts the training events of every item anew.
    pub fn hold_out(&mut self, holdout: Holdout, test_from_ms: i64) {
        (self.holdout, self.test_from_ms) = (holdout, test_from_ms);
        let (mut counts, mut last) = (vec![0; self.items.len()], None);
        for user in 0..self.users.len() as u32 {
            for event in self.training_events(user) {
                counts[event.item as usize] += 1;
                last = last.max(Some(event.time_ms));
            }
        }
        self.items.iter_mut().zip(counts).for_each(|(item, events)| item.events = events);
        if holdout != Holdout::Time {
            self.test_from_ms = last.map_or(0, |last| last + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    #[test]
    fn a_user_keeps_the_last_two_events_to_be_tested_and_validated_with() {
        let mut data = dataset(&[(0, 0, 1, 0), (0, 1, 2, 0), (0, 2, 3, 0), (1, 0, 1, 0), (1, 2, 9, 0)], 0);
        let items = |events: &[Event]| events.iter().map(|event| event.item).collect::<Vec<_>>();
        data.hold_out(Holdout::LeaveOneOut { untrained: 2 }, 0);
        assert_eq!(items(data.training_events(0)), [0]);
        assert_eq!(items(data.query_events(0)), [0, 1]);
        assert_eq!(items(data.test_events(0)), [2]);
        // Two events are too few: both are trained, none is tested.
        assert_eq!((items(data.training_events(1)), items(data.query_events(1))), (vec![0, 2], vec![0, 2]));
        assert!(data.test_events(1).is_empty());
        assert_eq!(data.items.iter().map(|item| item.events).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(data.end_of_training_ms(), 10);
    }

    #[test]
    fn a_split_by_time_asks_from_what_was_trained() {
        let mut data = dataset(&[(0, 0, 1, 0), (0, 1, 5, 0), (0, 1, 6, 0)], 5);
        data.hold_out(Holdout::Time, 6);
        assert_eq!((data.training_events(0).len(), data.query_events(0).len(), data.test_events(0).len()), (2, 2, 1));
        assert_eq!((data.end_of_training_ms(), data.items[1].events), (6, 1));
    }
}
