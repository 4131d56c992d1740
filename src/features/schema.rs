//! What a query is made of, and how it becomes numbers.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::FeatureError;
use super::hashing::bucket;
use crate::json::{Json, JsonError};

/// Most categorical features that a schema may have.
pub const MAX_CATEGORIES: usize = 64;
/// Most entries of one categorical feature.
pub const MAX_CARDINALITY: u32 = 1 << 20;
/// Most events that a history may hold.
pub const MAX_HISTORY: usize = 1024;
/// Longest embedding, a limit of the search kernels too.
pub const MAX_DIM: usize = 512;

/// Where the value of a categorical feature comes from, and how it becomes an index. Index 0 is always "missing".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Categorical {
    /// A store, region or country, hashed: any value has a bucket, so nothing is unknown.
    Location {
        /// Number of buckets; indices run from 1 to `buckets`.
        buckets: u32,
    },
    /// The hour of the shopper's local time, 24 values.
    Hour,
    /// The day of the week of the shopper's local time, 7 values, Monday first.
    Weekday,
    /// A named attribute of the shopper. A value that is not in the list counts as missing.
    Attribute {
        /// As the application names it.
        name: String,
        /// Known values, sorted; value `i` has index `i + 1`.
        values: Vec<String>,
    },
}

impl Categorical {
    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let kind = json.field("kind");
        let (read, fields): (Self, &[&str]) = match kind.text()? {
            "location" => (Self::Location { buckets: json.field("buckets").u32()? }, &["kind", "buckets"]),
            "hour" => (Self::Hour, &["kind"]),
            "weekday" => (Self::Weekday, &["kind"]),
            "attribute" => {
                let values = json.field("values").list()?;
                let values = values.iter().map(|value| value.text().map(str::to_owned)).collect::<Result<_, _>>()?;
                (Self::Attribute { name: json.field("name").text()?.to_owned(), values }, &["kind", "name", "values"])
            }
            _ => return Err(kind.wrong("location, hour, weekday or attribute")),
        };
        json.has_only(fields)?;
        Ok(read)
    }

    /// Number of indices, "missing" included.
    pub fn cardinality(&self) -> u32 {
        1 + match self {
            Self::Location { buckets } => *buckets,
            Self::Hour => 24,
            Self::Weekday => 7,
            Self::Attribute { values, .. } => values.len() as u32,
        }
    }

    fn index(&self, context: &Context) -> u32 {
        match self {
            Self::Location { buckets } => context.location.as_ref().map_or(0, |place| 1 + bucket(place, *buckets)),
            Self::Hour => context.now_ms.map_or(0, |now| 1 + now.rem_euclid(DAY_MS) as u32 / HOUR_MS as u32),
            // 1970-01-01 was a Thursday.
            Self::Weekday => context.now_ms.map_or(0, |now| 1 + (now.div_euclid(DAY_MS) + 3).rem_euclid(7) as u32),
            Self::Attribute { name, values } => context
                .attributes
                .iter()
                .find(|(key, _)| key == name)
                .and_then(|(_, value)| values.binary_search(value).ok())
                .map_or(0, |at| at as u32 + 1),
        }
    }
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How the events of a history are weighted when they are pooled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistorySchema {
    /// At most this many of the latest distinct items enter the tower, 1 to [`MAX_HISTORY`].
    pub length: usize,
    /// The weight of an item falls by this factor with each item that is newer, 0 < decay <= 1; 1 is the plain mean.
    pub decay: f32,
    /// An item that came `n` times weighs `n^count_power` as much, 0 to 1; 0 counts every item once.
    pub count_power: f32,
}

impl HistorySchema {
    /// As a configuration has it.
    #[cfg(feature = "origin")]
    pub fn of(model: &crate::data::config::ModelConfig) -> Self {
        Self { length: model.history, decay: model.history_decay, count_power: model.history_count_power }
    }

    /// The weight of an item that came `count` times and than which `newer` items are newer.
    pub fn weight(&self, newer: usize, count: u32) -> f32 {
        libm::powf(self.decay, newer as f32) * libm::powf(count as f32, self.count_power)
    }

    /// The distinct items of a history, the newest first, at most `length`, each with its number of events.
    pub fn distinct<T: Clone + Eq + Hash>(&self, newest_first: impl IntoIterator<Item = T>) -> Vec<(T, u32)> {
        let mut items: Vec<(T, u32)> = Vec::new();
        let mut places = HashMap::new();
        for item in newest_first {
            match places.get(&item) {
                Some(place) => {
                    let (_, count): &mut (T, u32) = &mut items[*place];
                    *count += 1;
                }
                None if items.len() < self.length => {
                    places.insert(item.clone(), items.len());
                    items.push((item, 1));
                }
                None => {}
            }
        }
        items
    }
}

/// All inputs of a query tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSchema {
    /// Length of candidate embeddings, and so of each history entry.
    pub dim: usize,
    /// The history.
    pub history: HistorySchema,
    /// Categorical features. Their embedding tables lie one behind the other in one table, in this order.
    pub categories: Vec<Categorical>,
}

impl FeatureSchema {
    /// Reads the JSON that [`serde`] writes of a schema.
    pub(crate) fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        json.has_only(&["dim", "history", "categories"])?;
        let (history, size) = (json.field("history"), u32::MAX.into());
        history.has_only(&["length", "decay", "count_power"])?;
        let history = HistorySchema {
            length: history.field("length").number(size)? as usize,
            decay: history.field("decay").float()? as f32,
            count_power: history.field("count_power").float()? as f32,
        };
        let categories =
            json.field("categories").list()?.iter().map(Categorical::from_json).collect::<Result<_, _>>()?;
        Ok(Self { dim: json.field("dim").number(size)? as usize, history, categories })
    }
}

/// What the application knows about the moment and the shopper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Local time in milliseconds since 1970-01-01, i.e. the shopper's clock read as if it were UTC.
    pub now_ms: Option<i64>,
    /// A store, region or country, named as in training.
    pub location: Option<String>,
    /// Attributes by name.
    pub attributes: Vec<(String, String)>,
}

/// One query, ready for the tower. All lengths follow from the [`FeatureSchema`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureVector {
    /// Candidate embeddings of the history, newest first, `[length, dim]` row by row, zero where there is no event.
    pub history: Vec<f32>,
    /// Weights of the history's rows, `[length]`, 0 where there is no event.
    pub weights: Vec<f32>,
    /// Rows of the merged embedding table, `[categories]`.
    pub categories: Vec<u32>,
}

impl FeatureSchema {
    /// Checks what a file claims.
    ///
    /// # Errors
    /// [`FeatureError::Schema`] naming the field, what was found and what is allowed.
    pub fn validate(&self) -> Result<(), FeatureError> {
        let check = |ok: bool, field, found: String, expected| {
            if ok { Ok(()) } else { Err(FeatureError::Schema { field, found, expected }) }
        };
        let dim_ok = self.dim.is_multiple_of(8) && (8..=MAX_DIM).contains(&self.dim);
        check(dim_ok, "dim", self.dim.to_string(), "a multiple of 8 from 8 to 512")?;
        let length = self.history.length;
        check((1..=MAX_HISTORY).contains(&length), "history.length", length.to_string(), "1 to 1024")?;
        let decay = self.history.decay;
        check(decay > 0.0 && decay <= 1.0, "history.decay", decay.to_string(), "above 0, at most 1")?;
        let power = self.history.count_power;
        check((0.0..=1.0).contains(&power), "history.count_power", power.to_string(), "0 to 1")?;
        let count = self.categories.len();
        check(count <= MAX_CATEGORIES, "categories", count.to_string(), "at most 64 features")?;
        for category in &self.categories {
            let (cardinality, sorted) = match category {
                Categorical::Location { buckets } => (u64::from(*buckets) + 1, true),
                Categorical::Attribute { values, .. } => (values.len() as u64 + 1, values.is_sorted_by(|a, b| a < b)),
                Categorical::Hour | Categorical::Weekday => (25, true),
            };
            let size_ok = (2..=u64::from(MAX_CARDINALITY)).contains(&cardinality);
            check(size_ok, "categories", cardinality.to_string(), "2 to 1048576 values per feature")?;
            check(sorted, "categories.values", "unsorted or repeated values".to_owned(), "sorted, each once")?;
        }
        Ok(())
    }

    /// Rows of the merged embedding table.
    pub fn category_rows(&self) -> u32 {
        self.categories.iter().map(Categorical::cardinality).sum()
    }

    /// Rows of the merged embedding table that belong to `context`, one per feature.
    pub fn category_indices(&self, context: &Context) -> Vec<u32> {
        let mut offset = 0;
        self.categories
            .iter()
            .map(|category| {
                let index = offset + category.index(context);
                offset += category.cardinality();
                index
            })
            .collect()
    }

    /// Puts a query together. `newest_first` yields the embeddings of distinct items, each with its number of events,
    /// as [`HistorySchema::distinct`] orders them; what is beyond `history.length` is not read.
    ///
    /// # Errors
    /// [`FeatureError::Embedding`] for an embedding of another length or one that is not finite.
    pub fn assemble<'a>(
        &self,
        newest_first: impl IntoIterator<Item = (&'a [f32], u32)>,
        context: &Context,
    ) -> Result<FeatureVector, FeatureError> {
        let mut history = Vec::with_capacity(self.history.length * self.dim);
        let mut weights = Vec::with_capacity(self.history.length);
        for (position, (embedding, count)) in newest_first.into_iter().take(self.history.length).enumerate() {
            if embedding.len() != self.dim || embedding.iter().any(|value| !value.is_finite()) {
                return Err(FeatureError::Embedding { position, found: embedding.len(), expected: self.dim });
            }
            history.extend_from_slice(embedding);
            weights.push(self.history.weight(position, count));
        }
        history.resize(self.history.length * self.dim, 0.0);
        weights.resize(self.history.length, 0.0);
        Ok(FeatureVector { history, weights, categories: self.category_indices(context) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> FeatureSchema {
        let age = Categorical::Attribute { name: "age".into(), values: vec!["19-24".into(), "65+".into()] };
        FeatureSchema {
            dim: 8,
            history: HistorySchema { length: 3, decay: 0.5, count_power: 0.5 },
            categories: vec![Categorical::Location { buckets: 10 }, Categorical::Hour, Categorical::Weekday, age],
        }
    }

    #[test]
    fn missing_values_have_the_first_row_of_each_feature() {
        assert_eq!(schema().category_indices(&Context::default()), [0, 11, 36, 44]);
        assert_eq!(schema().category_rows(), 47);
    }

    #[test]
    fn local_time_gives_hour_and_weekday_also_before_1970() {
        let at = |now_ms| schema().category_indices(&Context { now_ms: Some(now_ms), ..Context::default() });
        // 2026-11-24 04:22 was a Tuesday.
        assert_eq!(at(1_795_494_120_000)[1..3], [11 + 1 + 4, 36 + 1 + 1]);
        // 1969-12-31 23:59:59.999 was a Wednesday.
        assert_eq!(at(-1)[1..3], [11 + 1 + 23, 36 + 1 + 2]);
    }

    #[test]
    fn known_attributes_are_found_and_others_count_as_missing() {
        let with = |value: &str| Context { attributes: vec![("age".into(), value.into())], ..Context::default() };
        assert_eq!(schema().category_indices(&with("65+"))[3], 44 + 2);
        assert_eq!(schema().category_indices(&with("66"))[3], 44);
    }

    #[test]
    fn histories_are_cut_padded_and_weighted_from_the_newest() {
        let rows: Vec<[f32; 8]> = (0..5).map(|i| [i as f32; 8]).collect();
        let counted = rows.iter().zip([1, 4, 1, 1, 1]).map(|(row, count)| (&row[..], count));
        let query = schema().assemble(counted, &Context::default()).unwrap();
        assert_eq!(query.weights, [1.0, 1.0, 0.25]);
        assert_eq!(query.history[8..16], [1.0; 8]);
        let short = schema().assemble([(&rows[1][..], 1)], &Context::default()).unwrap();
        assert_eq!(short.weights, [1.0, 0.0, 0.0]);
        assert_eq!(short.history[8..], [0.0; 16]);
    }

    #[test]
    fn repeated_items_are_folded_onto_their_newest_place() {
        let found = schema().history.distinct(["d", "c", "d", "b", "a", "c", "c", "a"]);
        assert_eq!(found, [("d", 2), ("c", 3), ("b", 1)]);
    }

    #[test]
    fn wrong_embeddings_and_schemas_are_refused() {
        let wrong = [&[0.0_f32; 7][..], &[f32::NAN; 8][..]];
        for embedding in wrong {
            assert!(schema().assemble([(embedding, 1)], &Context::default()).is_err());
        }
        assert!(schema().validate().is_ok());
        assert!(FeatureSchema { dim: 12, ..schema() }.validate().is_err());
        let unsorted = Categorical::Attribute { name: "age".into(), values: vec!["b".into(), "a".into()] };
        assert!(FeatureSchema { categories: vec![unsorted], ..schema() }.validate().is_err());
    }

    #[test]
    fn a_schema_is_read_as_serde_writes_it() {
        let attribute = Categorical::Attribute { name: "age".into(), values: vec!["19-24".into(), "65+".into()] };
        let categories =
            vec![Categorical::Location { buckets: 500 }, Categorical::Hour, Categorical::Weekday, attribute];
        let history = HistorySchema { length: 100, decay: 0.9, count_power: 0.3 };
        let schema = FeatureSchema { dim: 64, history, categories };
        let value = serde_json::to_value(&schema).unwrap();
        let read = |value: &serde_json::Value| FeatureSchema::from_json(&Json::new(value, "schema"));
        assert_eq!(read(&value).unwrap(), schema);
        assert_eq!(serde_json::from_value::<FeatureSchema>(value.clone()).unwrap(), schema);
        for at in ["", "/history", "/categories/0", "/categories/1", "/categories/3"] {
            let mut more = value.clone();
            more.pointer_mut(at).unwrap()["colour"] = 1.into();
            assert!(read(&more).is_err(), "{at}");
        }
        for at in ["/dim", "/history/decay", "/categories/0/kind", "/categories/0/buckets", "/categories/3/values"] {
            let mut wrong = value.clone();
            *wrong.pointer_mut(at).unwrap() = serde_json::json!({});
            assert!(read(&wrong).is_err(), "{at}");
        }
    }
}
