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
    /// Index into [`Dataset::event_types`].
    pub event_type: u16,
    /// Pieces.
    pub quantity: f32,
    /// Equal for events of one basket; events without a basket have their own number.
    pub basket: u32,
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
    /// Names of the event types.
    pub event_types: Vec<String>,
    /// All events that passed validation, training and test.
    pub events: Vec<Event>,
    /// `events[user_offsets[u]..user_offsets[u + 1]]` belong to user `u`.
    pub user_offsets: Vec<usize>,
    /// Events at or after this time are the test.
    pub test_from_ms: i64,
}

impl Dataset {
    /// The events of one user, oldest first.
    pub fn events_of(&self, user: u32) -> &[Event] {
        let user = user as usize;
        &self.events[self.user_offsets[user]..self.user_offsets[user + 1]]
    }
}
