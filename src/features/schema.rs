//! What a query is made of, and how it becomes numbers.

use serde::{Deserialize, Serialize};

use super::FeatureError;
use super::hashing::bucket;
use super::history::{DAY_MS, HOUR_MS, HistorySchema, PastItem};
use crate::json::{Json, JsonError, decimal};

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
    /// A place, hashed: any value has a bucket, so nothing is unknown. A place may be a path, the widest part first: `US/CA/Fresno`.
    Location {
        /// Number of buckets; indices run from 1 to `buckets`.
        buckets: u32,
        /// How many parts of the path count, from the widest on; a path with fewer is missing. 0: the place as it is.
        #[serde(default, skip_serializing_if = "is_zero")]
        level: u32,
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
            "location" => {
                let level = json.field("level").optional().map_or(Ok(0), |level| level.u32())?;
                (Self::Location { buckets: json.field("buckets").u32()?, level }, &["kind", "buckets", "level"])
            }
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
            Self::Location { buckets, .. } => *buckets,
            Self::Hour => 24,
            Self::Weekday => 7,
            Self::Attribute { values, .. } => values.len() as u32,
        }
    }

    fn index(&self, context: &Context) -> u32 {
        match self {
            Self::Location { buckets, level } => context
                .location
                .as_ref()
                .and_then(|place| part_of(place, *level))
                .map_or(0, |place| 1 + bucket(place, *buckets)),
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

/// Between the parts of a place.
pub const LOCATION_SEPARATOR: u8 = b'/';

/// The first `level` parts of a place, if it has as many; all of it for 0.
fn part_of(place: &str, level: u32) -> Option<&str> {
    let mut left = level;
    for (end, byte) in place.bytes().enumerate().filter(|_| level > 0) {
        if byte == LOCATION_SEPARATOR {
            left -= 1;
            if left == 0 {
                return Some(&place[..end]);
            }
        }
    }
    (left <= 1).then_some(place)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(level: &u32) -> bool {
    *level == 0
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
    /// The shopper's long-term vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserVector>,
}

/// A vector that the origin makes of all that a shopper ever did, where a device knows only the latest; optional at every request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserVector {
    /// What enters the tower for a shopper without one, trained; its length is that of all.
    pub default: Vec<f32>,
}

impl FeatureSchema {
    /// Reads the JSON that [`serde`] writes of a schema.
    pub(crate) fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        json.has_only(&["dim", "history", "categories", "user"])?;
        let history = HistorySchema::from_json(&json.field("history"))?;
        let categories =
            json.field("categories").list()?.iter().map(Categorical::from_json).collect::<Result<_, _>>()?;
        let user = json.field("user").optional().map(|user| user.floats()).transpose()?;
        let dim = json.field("dim").number(u32::MAX.into())? as usize;
        Ok(Self { dim, history, categories, user: user.map(|default| UserVector { default }) })
    }
}

/// What the application knows about the moment and the shopper.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// Local time in milliseconds since 1970-01-01, i.e. the shopper's clock read as if it were UTC.
    pub now_ms: Option<i64>,
    /// What ages of events are counted to where the time of day is not known; `now_ms` where it is.
    pub as_of_ms: Option<i64>,
    /// A store, region or country, named as in training.
    pub location: Option<String>,
    /// Attributes by name.
    pub attributes: Vec<(String, String)>,
    /// The long-term vector, where the origin made one with these towers.
    pub user: Option<Vec<f32>>,
}

impl Context {
    /// The moment that ages of events are counted to.
    pub fn moment(&self) -> Option<i64> {
        self.now_ms.or(self.as_of_ms)
    }
}

/// One query, ready for the tower. All lengths follow from the [`FeatureSchema`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureVector {
    /// Candidate embeddings of the history, newest first, `[length, dim]` row by row, zero where there is no event.
    pub history: Vec<f32>,
    /// Weights of the history's rows, `[length]`, 0 where there is no event.
    pub weights: Vec<f32>,
    /// Rows of the table of marks, `[marks, length]`: first the types of all items, then the ages; any where there is no event.
    pub marks: Vec<u32>,
    /// Rows of the merged embedding table, `[categories]`.
    pub categories: Vec<u32>,
    /// The long-term vector or its default, `[user]`.
    pub user: Vec<f32>,
}

impl FeatureSchema {
    /// Checks what a file claims.
    ///
    /// # Errors
    /// [`FeatureError::Schema`] naming the field, what was found and what is allowed.
    pub fn validate(&self) -> Result<(), FeatureError> {
        // What was found becomes a text only where it is wrong.
        let check = |ok: bool, field, found: &dyn Fn() -> String, expected| {
            if ok { Ok(()) } else { Err(FeatureError::Schema { field, found: found(), expected }) }
        };
        let dim_ok = self.dim.is_multiple_of(8) && (8..=MAX_DIM).contains(&self.dim);
        check(dim_ok, "dim", &|| self.dim.to_string(), "a multiple of 8 from 8 to 512")?;
        let length = self.history.length;
        check((1..=MAX_HISTORY).contains(&length), "history.length", &|| length.to_string(), "1 to 1024")?;
        let decay = self.history.decay;
        check(decay > 0.0 && decay <= 1.0, "history.decay", &|| decimal(decay), "above 0, at most 1")?;
        let power = self.history.count_power;
        check((0.0..=1.0).contains(&power), "history.count_power", &|| decimal(power), "0 to 1")?;
        if let Err((field, found, expected)) = self.history.check_marks() {
            return Err(FeatureError::Schema { field, found, expected });
        }
        if let Some(UserVector { default }) = &self.user {
            let ok = (1..=MAX_DIM).contains(&default.len());
            check(ok, "user", &|| default.len().to_string(), "1 to 512 numbers")?;
        }
        let count = self.categories.len();
        check(count <= MAX_CATEGORIES, "categories", &|| count.to_string(), "at most 64 features")?;
        for category in &self.categories {
            let (cardinality, sorted) = match category {
                Categorical::Location { buckets, .. } => (u64::from(*buckets) + 1, true),
                Categorical::Attribute { values, .. } => (values.len() as u64 + 1, values.is_sorted_by(|a, b| a < b)),
                Categorical::Hour | Categorical::Weekday => (25, true),
            };
            let size_ok = (2..=u64::from(MAX_CARDINALITY)).contains(&cardinality);
            check(size_ok, "categories", &|| cardinality.to_string(), "2 to 1048576 values per feature")?;
            check(sorted, "categories.values", &|| "unsorted or repeated values".to_owned(), "sorted, each once")?;
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

    /// Puts a query together. `newest_first` yields the distinct items, as [`HistorySchema::distinct`] orders them, and their
    /// embeddings; what is beyond `history.length` is not read.
    ///
    /// # Errors
    /// [`FeatureError::Embedding`] for an embedding of another length or one that is not finite, [`FeatureError::User`] for such a
    /// long-term vector.
    pub fn assemble<'a, T: Copy>(
        &self,
        newest_first: impl IntoIterator<Item = (&'a [f32], PastItem<T>)>,
        context: &Context,
    ) -> Result<FeatureVector, FeatureError> {
        let length = self.history.length;
        let mut history = Vec::with_capacity(length * self.dim);
        let mut weights = Vec::with_capacity(length);
        let mut items = Vec::with_capacity(length);
        for (position, (embedding, item)) in newest_first.into_iter().take(length).enumerate() {
            if embedding.len() != self.dim || embedding.iter().any(|value| !value.is_finite()) {
                return Err(FeatureError::Embedding { position, found: embedding.len(), expected: self.dim });
            }
            history.extend_from_slice(embedding);
            weights.push(self.history.weight(position, item.count));
            items.push(item);
        }
        history.resize(length * self.dim, 0.0);
        weights.resize(length, 0.0);
        let marks = self.history.planes(&self.history.marks_of(&items, context.moment()));
        let (categories, user) = (self.category_indices(context), self.user_vector(context)?);
        Ok(FeatureVector { history, weights, marks, categories, user })
    }

    /// The long-term vector of a context or its default; nothing where the tower reads none.
    fn user_vector(&self, context: &Context) -> Result<Vec<f32>, FeatureError> {
        let Some(UserVector { default }) = &self.user else { return Ok(Vec::new()) };
        let user = context.user.as_ref().unwrap_or(default);
        if user.len() != default.len() || user.iter().any(|value| !value.is_finite()) {
            return Err(FeatureError::User { found: user.len(), expected: default.len() });
        }
        Ok(user.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Ages, PastEvent, Repeats};
    use crate::json::parse;

    fn schema() -> FeatureSchema {
        let age = Categorical::Attribute { name: "age".into(), values: vec!["19-24".into(), "65+".into()] };
        let location = Categorical::Location { buckets: 10, level: 0 };
        let categories = vec![location, Categorical::Hour, Categorical::Weekday, age];
        FeatureSchema { dim: 8, history: HistorySchema::of_items(3, 0.5, 0.5), categories, user: None }
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

    fn item(count: u32) -> PastItem<()> {
        PastItem { newest: PastEvent { item: (), event_type: 0, at_ms: None }, count }
    }

    #[test]
    fn histories_are_cut_padded_and_weighted_from_the_newest() {
        let rows: Vec<[f32; 8]> = (0..5).map(|i| [i as f32; 8]).collect();
        let counted = rows.iter().zip([1, 4, 1, 1, 1]).map(|(row, count)| (&row[..], item(count)));
        let query = schema().assemble(counted, &Context::default()).unwrap();
        assert_eq!(query.weights, [1.0, 1.0, 0.25]);
        assert_eq!(query.history[8..16], [1.0; 8]);
        let short = schema().assemble([(&rows[1][..], item(1))], &Context::default()).unwrap();
        assert_eq!(short.weights, [1.0, 0.0, 0.0]);
        assert_eq!(short.history[8..], [0.0; 16]);
        assert!(short.marks.is_empty() && short.user.is_empty());
    }

    #[test]
    fn a_path_of_places_is_read_at_each_of_its_resolutions() {
        let categories = (0..4).map(|level| Categorical::Location { buckets: 1000, level }).collect();
        let schema = FeatureSchema { categories, ..schema() };
        let at = |place: &str| schema.category_indices(&Context { location: Some(place.into()), ..Context::default() });
        let (fresno, oakland, country) = (at("US/CA/Fresno"), at("US/CA/Oakland"), at("US"));
        assert_eq!(fresno[1..3], oakland[1..3]);
        assert!(fresno[0] != oakland[0] && fresno[3] != oakland[3]);
        assert_eq!((country[1], country[2]), (fresno[1], 2 * 1001));
        // The whole path, by its own table or by the deepest level, is the same bucket.
        assert_eq!(fresno[0] + 3 * 1001, fresno[3]);
    }

    #[test]
    fn a_shopper_without_a_long_term_vector_has_the_trained_one() {
        let schema = FeatureSchema { user: Some(UserVector { default: vec![0.5, 2.0] }), ..schema() };
        let of = |user: Option<&[f32]>| {
            let context = Context { user: user.map(<[f32]>::to_vec), ..Context::default() };
            schema.assemble(std::iter::empty::<(&[f32], PastItem<()>)>(), &context).map(|query| query.user)
        };
        assert_eq!((of(None).unwrap(), of(Some(&[1.0, 3.0])).unwrap()), (vec![0.5, 2.0], vec![1.0, 3.0]));
        assert_eq!(of(Some(&[1.0])), Err(FeatureError::User { found: 1, expected: 2 }));
        assert_eq!(of(Some(&[1.0, f32::NAN])), Err(FeatureError::User { found: 2, expected: 2 }));
    }

    #[test]
    fn wrong_embeddings_and_schemas_are_refused() {
        let wrong = [&[0.0_f32; 7][..], &[f32::NAN; 8][..]];
        for embedding in wrong {
            assert!(schema().assemble([(embedding, item(1))], &Context::default()).is_err());
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
            vec![Categorical::Location { buckets: 500, level: 2 }, Categorical::Hour, Categorical::Weekday, attribute];
        let repeats = Some(Repeats { numbers: vec![0.25; 24] });
        let plain = HistorySchema::of_items(100, 0.9, 0.3);
        let history = HistorySchema { types: vec!["view".into()], ages: Some(Ages::Next), repeats, ..plain };
        let schema = FeatureSchema { dim: 64, history, categories, user: Some(UserVector { default: vec![0.5] }) };
        let value = serde_json::to_value(&schema).unwrap();
        let read = |value: &serde_json::Value| {
            let text = value.to_string();
            FeatureSchema::from_json(&Json::new(&parse(text.as_bytes()).unwrap(), "schema"))
        };
        assert_eq!(read(&value).unwrap(), schema);
        assert_eq!(serde_json::from_value::<FeatureSchema>(value.clone()).unwrap(), schema);
        for at in ["", "/history", "/categories/0", "/categories/1", "/categories/3"] {
            let mut more = value.clone();
            more.pointer_mut(at).unwrap()["colour"] = 1.into();
            assert!(read(&more).is_err(), "{at}");
        }
        for at in [
            "/dim",
            "/history/decay",
            "/categories/0/kind",
            "/categories/0/buckets",
            "/categories/3/values",
            "/history/ages",
            "/history/repeats",
            "/user",
        ] {
            let mut wrong = value.clone();
            *wrong.pointer_mut(at).unwrap() = serde_json::json!({});
            assert!(read(&wrong).is_err(), "{at}");
        }
    }
}
