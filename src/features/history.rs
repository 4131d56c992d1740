//! What a shopper did, as the query tower reads it: distinct items, the newest first, each with what is known of its newest event.

use serde::{Deserialize, Serialize};

use super::schema::MAX_CATEGORIES;
use crate::json::{Json, JsonError};

/// Where the buckets of ages end, in milliseconds: ten minutes, one hour, six hours, then days. An age at or above the last end has a
/// bucket too.
const AGE_ENDS: [i64; 12] = [
    600_000,
    HOUR_MS,
    6 * HOUR_MS,
    DAY_MS,
    3 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
    28 * DAY_MS,
    56 * DAY_MS,
    112 * DAY_MS,
    224 * DAY_MS,
    448 * DAY_MS,
];
pub(super) const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// Values of an age: unknown, and the buckets.
pub const AGES: u32 = 2 + AGE_ENDS.len() as u32;

/// Where the buckets of counts begin, from the second on.
const COUNT_STARTS: [u32; 9] = [2, 3, 4, 5, 7, 10, 15, 25, 50];

/// Values of a count.
pub const COUNTS: u32 = 1 + COUNT_STARTS.len() as u32;

/// What an age is counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ages {
    /// The moment of the query.
    Now,
    /// The next newer event of the history; that of the newest one, the moment of the query. It does not change while time passes, so
    /// one pass of an encoder answers at every event of a history.
    Next,
}

/// How the events of a history are weighted when they are pooled, and what the tower reads of them beside their items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistorySchema {
    /// At most this many of the latest distinct items enter the tower, 1 to [`MAX_HISTORY`](super::schema::MAX_HISTORY).
    pub length: usize,
    /// The weight of an item falls by this factor with each item that is newer, 0 < decay <= 1; 1 is the plain mean.
    pub decay: f32,
    /// An item that came `n` times weighs `n^count_power` as much, 0 to 1; 0 counts every item once.
    pub count_power: f32,
    /// Event types that the tower tells apart; type `i` has the mark `i + 1`, others and unknown ones 0. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Whether it reads ages, and of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages: Option<Ages>,
    /// What is added to the score of an item that the shopper has had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
}

/// What is added to the score of an item that the shopper has had: a number by how often and one by how long ago, both trained. Shoppers
/// buy again (`RepeatNet`, Ren et al. 2019), and an inner product of some dozen numbers cannot hold what everybody has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Repeats {
    /// By count, [`COUNTS`] numbers, and then by the age of the newest event, [`AGES`] numbers.
    pub numbers: Vec<f32>,
}

/// One event of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastEvent<T> {
    /// What.
    pub item: T,
    /// The mark of its type, [`HistorySchema::type_mark`].
    pub event_type: u32,
    /// When, in milliseconds since 1970-01-01, local time.
    pub at_ms: Option<i64>,
}

/// One distinct item of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastItem<T> {
    /// Its newest event.
    pub newest: PastEvent<T>,
    /// Its events.
    pub count: u32,
}

impl HistorySchema {
    /// A history that is read by items alone.
    pub fn of_items(length: usize, decay: f32, count_power: f32) -> Self {
        Self { length, decay, count_power, types: Vec::new(), ages: None, repeats: None }
    }

    /// Reads the JSON that [`serde`] writes of a schema.
    pub(super) fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        json.has_only(&["length", "decay", "count_power", "types", "ages", "repeats"])?;
        let ages = match json.field("ages").optional() {
            None => None,
            Some(ages) => Some(match ages.text()? {
                "now" => Ages::Now,
                "next" => Ages::Next,
                _ => return Err(ages.wrong("now or next")),
            }),
        };
        let repeats = json.field("repeats").optional().map(|repeats| repeats.floats()).transpose()?;
        Ok(Self {
            length: json.field("length").number(u32::MAX.into())? as usize,
            decay: json.field("decay").float()? as f32,
            count_power: json.field("count_power").float()? as f32,
            types: json.field("types").texts()?,
            ages,
            repeats: repeats.map(|numbers| Repeats { numbers }),
        })
    }

    /// What is wrong with the types or the numbers of repeats: field, found, expected.
    pub(super) fn check_marks(&self) -> Result<(), (&'static str, String, &'static str)> {
        let types = self.types.len();
        if types > MAX_CATEGORIES {
            return Err(("history.types", types.to_string(), "at most 64 types"));
        }
        if let Some(Repeats { numbers }) = &self.repeats
            && numbers.len() != (COUNTS + AGES) as usize
        {
            return Err(("history.repeats", numbers.len().to_string(), "24 numbers"));
        }
        Ok(())
    }

    /// The weight of an item that came `count` times and than which `newer` items are newer.
    pub fn weight(&self, newer: usize, count: u32) -> f32 {
        libm::powf(self.decay, newer as f32) * libm::powf(count as f32, self.count_power)
    }

    /// The mark of an event type.
    pub fn type_mark(&self, name: &str) -> u32 {
        self.types.iter().position(|known| known == name).map_or(0, |at| at as u32 + 1)
    }

    /// Marks of each item of a history: rows of a table that holds the types, if there are any, and then the ages.
    pub fn marks_per_item(&self) -> usize {
        usize::from(!self.types.is_empty()) + usize::from(self.ages.is_some())
    }

    /// Rows of the table of marks.
    pub fn mark_rows(&self) -> u32 {
        let types = if self.types.is_empty() { 0 } else { self.types.len() as u32 + 1 };
        types + if self.ages.is_some() { AGES } else { 0 }
    }

    /// The marks of an event, given how old it is: rows of the table, as many as [`HistorySchema::marks_per_item`] says, and zeros.
    pub fn marks(&self, event_type: u32, age_ms: Option<i64>) -> [u32; 2] {
        let types = self.types.len() as u32;
        let age = if self.ages.is_some() { age_bucket(age_ms) } else { 0 };
        if types == 0 {
            [age, 0]
        } else {
            [event_type.min(types), if self.ages.is_some() { types + 1 + age } else { 0 }]
        }
    }

    /// The marks of all items of a history.
    pub fn marks_of<T>(&self, items: &[PastItem<T>], now_ms: Option<i64>) -> Vec<[u32; 2]> {
        let mut until = now_ms;
        let mut marks = Vec::with_capacity(items.len());
        for PastItem { newest, .. } in items {
            marks.push(self.marks(newest.event_type, age(newest.at_ms, until)));
            if self.ages == Some(Ages::Next) {
                until = newest.at_ms;
            }
        }
        marks
    }

    /// The marks of a history as a tower reads them: those of one kind for all of its places, then those of the next.
    pub fn planes(&self, marks: &[[u32; 2]]) -> Vec<u32> {
        let mut planes = vec![0; self.marks_per_item() * self.length];
        for (kind, plane) in planes.chunks_exact_mut(self.length).enumerate() {
            plane.iter_mut().zip(marks).for_each(|(place, marks)| *place = marks[kind]);
        }
        planes
    }

    /// What is added to the score of an item of the history; 0 without [`HistorySchema::repeats`].
    pub fn bonus<T>(&self, item: &PastItem<T>, now_ms: Option<i64>) -> f32 {
        self.repeats.as_ref().map_or(0.0, |repeats| {
            let [count, age] = repeat_rows(item, now_ms);
            repeats.numbers[count as usize] + repeats.numbers[(COUNTS + age) as usize]
        })
    }

    /// The distinct items of a history, the newest first, at most `length`.
    ///
    /// They are looked through for every event: a hash table is some KB of code in a client, for some hundred events.
    pub fn distinct<T: Copy + Eq>(&self, newest_first: impl IntoIterator<Item = PastEvent<T>>) -> Vec<PastItem<T>> {
        let mut items: Vec<PastItem<T>> = Vec::new();
        for event in newest_first {
            match items.iter().position(|item| item.newest.item == event.item) {
                Some(place) => items[place].count += 1,
                None if items.len() < self.length => items.push(PastItem { newest: event, count: 1 }),
                None => {}
            }
        }
        items
    }
}

/// How old an event is; `None` where either moment is unknown. What lies ahead is new.
pub fn age(at_ms: Option<i64>, now_ms: Option<i64>) -> Option<i64> {
    Some(now_ms?.saturating_sub(at_ms?).max(0))
}

/// The value of an age, below [`AGES`]; 0 is unknown.
pub fn age_bucket(age_ms: Option<i64>) -> u32 {
    age_ms.map_or(0, |age| 1 + AGE_ENDS.iter().filter(|end| age >= **end).count() as u32)
}

/// Places of an item among the numbers by count, and among those by age, of [`Repeats`].
pub fn repeat_rows<T>(item: &PastItem<T>, now_ms: Option<i64>) -> [u32; 2] {
    let count = COUNT_STARTS.iter().filter(|start| item.count >= **start).count() as u32;
    [count, age_bucket(age(item.newest.at_ms, now_ms))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(item: char, at_ms: i64) -> PastEvent<char> {
        PastEvent { item, event_type: 0, at_ms: Some(at_ms) }
    }

    #[test]
    fn repeated_items_are_folded_onto_their_newest_place() {
        let schema = HistorySchema::of_items(3, 0.5, 0.5);
        let events = "dcdbacca".chars().zip(0..).map(|(item, age)| event(item, -age));
        let found = schema.distinct(events);
        let expected = [('d', 0, 2), ('c', -1, 3), ('b', -3, 1)];
        assert_eq!(found, expected.map(|(item, at, count)| PastItem { newest: event(item, at), count }));
    }

    #[test]
    fn marks_are_rows_of_one_table_and_ages_count_to_the_query_or_to_the_next_event() {
        let plain = HistorySchema::of_items(9, 1.0, 0.0);
        let types = vec!["cart".to_owned(), "view".to_owned()];
        let to_now = HistorySchema { types, ages: Some(Ages::Now), ..plain.clone() };
        let to_next = HistorySchema { types: Vec::new(), ages: Some(Ages::Next), ..plain.clone() };
        let of = |item, kind: &str, at_ms| PastItem {
            newest: PastEvent { item, event_type: to_now.type_mark(kind), at_ms },
            count: 1,
        };
        let items = [of('a', "view", Some(100 * DAY_MS)), of('b', "?", Some(98 * DAY_MS)), of('c', "cart", None)];
        assert_eq!((to_now.marks_per_item(), to_now.mark_rows()), (2, 3 + AGES));
        // An hour, two days, unknown; 50 hours and 2 days are both below three days.
        let now = Some(100 * DAY_MS + HOUR_MS);
        assert_eq!(to_now.marks_of(&items, now), [[2, 3 + 3], [0, 3 + 5], [1, 3]]);
        assert_eq!(to_next.marks_of(&items, now), [[3, 0], [5, 0], [0, 0]]);
        assert_eq!(to_now.marks_of(&items, None), [[2, 3], [0, 3], [1, 3]]);
        assert_eq!(to_now.planes(&[[1, 5], [2, 6]])[..3], [1, 2, 0]);
        assert_eq!(to_now.planes(&[[1, 5], [2, 6]])[9..12], [5, 6, 0]);
        assert!(plain.planes(&plain.marks_of(&items, now)).is_empty());
        assert_eq!(age_bucket(Some(i64::MAX)), AGES - 1);
        // A clock that went back.
        assert_eq!(age_bucket(age(Some(5), Some(4))), 1);
    }

    #[test]
    fn what_the_shopper_has_had_gets_the_numbers_of_its_count_and_age() {
        let numbers = |count: u32, scale: f32| -> Vec<f32> { (0..count).map(|at| at as f32 * scale).collect() };
        let repeats = Repeats { numbers: [numbers(COUNTS, 1.0), numbers(AGES, 100.0)].concat() };
        let schema = HistorySchema { repeats: Some(repeats), ..HistorySchema::of_items(9, 1.0, 0.0) };
        assert!(schema.check_marks().is_ok());
        let bonus = |count, at_ms| {
            let newest = PastEvent { item: 'a', event_type: 0, at_ms };
            schema.bonus(&PastItem { newest, count }, Some(8 * DAY_MS))
        };
        assert_eq!([bonus(1, None), bonus(2, Some(0)), bonus(1000, Some(8 * DAY_MS))], [0.0, 701.0, 109.0]);
    }
}
