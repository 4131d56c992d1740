//! `nearshelf.toml`: what a shop's data look like, and how its towers are trained.

mod content;
mod lists;
mod ranker;
mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use serde::{Deserialize, Serialize};

use super::{DataError, Holdout};
use crate::Digest;
pub use content::{ContentConfig, TextConfig, VectorsConfig};
pub use lists::ListsConfig;
pub use ranker::{RankerConfig, TaskWeights};
pub use training::{
    Decay, EarlyStopping, EncoderConfig, Examples, Loss, ModelConfig, Optimizer, PriorConfig, RateConfig, Targets,
    TrainConfig, UserVectorConfig, WarmStartConfig,
};

/// A whole `nearshelf.toml`. Unknown keys are errors: a misspelt knob must not be ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A short name for reports and releases.
    pub name: String,
    /// The events: one row per view, cart or purchase.
    pub events: EventsConfig,
    /// The catalogue: one row per item.
    pub catalogue: CatalogueConfig,
    /// Demographics, where the shop has them: one row per user.
    pub users: Option<UsersConfig>,
    /// Limits of the preparation.
    #[serde(default)]
    pub prepare: PrepareConfig,
    /// Where time is cut into training and test.
    pub split: SplitConfig,
    /// Towers that were trained elsewhere; without it, `nearshelf train` trains them.
    pub towers: Option<TowersConfig>,
    /// Content vectors of items, which the candidate tower takes beside what the catalogue says.
    pub content: Option<ContentConfig>,
    /// Shapes of the towers.
    #[serde(default)]
    pub model: ModelConfig,
    /// How the towers are trained.
    #[serde(default)]
    pub train: TrainConfig,
    /// The ranker, and how it is trained.
    #[serde(default)]
    pub ranker: RankerConfig,
    /// How the candidates are indexed.
    #[serde(default)]
    pub index: IndexConfig,
    /// What a release says of its candidates beside their vectors.
    #[serde(default)]
    pub columns: ColumnsConfig,
    /// What it lists beside what the towers recommend.
    #[serde(default)]
    pub lists: ListsConfig,
    /// The shop's rules, a file of their own ([docs/rules.md](../../docs/rules.md)).
    pub rules: Option<PathBuf>,
    /// The folder that relative paths start from: the one that holds the file.
    #[serde(skip)]
    pub base: PathBuf,
}

/// How a column of times is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// ISO 8601 text (`2017-01-01 11:53:26`, with or without `T`), or a typed timestamp column.
    #[default]
    Iso,
    /// Seconds since 1970-01-01.
    Seconds,
    /// Milliseconds since 1970-01-01.
    Milliseconds,
}

/// The events of a shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// `.csv`, `.csv.gz` or `.parquet`; relative to the configuration file.
    pub path: PathBuf,
    /// How `columns.time` is written. Times are the shop's local time.
    #[serde(default)]
    pub time_format: TimeFormat,
    /// An SQL condition over the source's columns; rows for which it is not true are left out and counted, not rejected. Events of
    /// items that [`CatalogueConfig::condition`] leaves out need no condition of their own: they are left out with their item.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// The type of every event where there is no `columns.type`.
    #[serde(default = "default_event_type")]
    pub default_type: String,
    /// Which column holds what.
    pub columns: EventColumns,
}

fn default_event_type() -> String {
    "purchase".to_owned()
}

/// Names of the source's columns.
///
/// An entry here, in [`CatalogueColumns`] and in [`UsersConfig`] is the name of a column, spelt as in the file, or else an SQL
/// expression over columns: `price = "sales_value / quantity"`. Names with blanks are quoted inside an expression. Functions are
/// spelt in lower case. In CSV every column is text; a value that a cast or comparison cannot convert counts as missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventColumns {
    /// Who: any text or number.
    pub user: String,
    /// What: an id of the catalogue.
    pub item: String,
    /// When, as `time_format` says.
    pub time: String,
    /// `view`, `cart`, `purchase`, ...
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// A unique id; the second row with the same one is rejected.
    pub id: Option<String>,
    /// What was bought together.
    pub basket: Option<String>,
    /// How many; must be above 0 where present.
    pub quantity: Option<String>,
    /// Price of one piece; must not be negative or NaN.
    pub price: Option<String>,
    /// A store, region or country; or a path from the widest part down, as SQL: `country || '/' || region || '/' || city`. The towers
    /// read a path at each of its resolutions.
    pub location: Option<String>,
    /// What the shopper uses: `phone`, `desktop`, `app`.
    pub device: Option<String>,
}

/// What happens to a second row with the same item id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// It is rejected.
    #[default]
    Reject,
    /// The last row wins: for a catalogue that is read off the events.
    Last,
}

/// The catalogue of a shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueConfig {
    /// `.csv`, `.csv.gz` or `.parquet`; may be the file of the events.
    pub path: PathBuf,
    /// As in [`EventsConfig::condition`].
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// What happens to a second row with the same item id.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// Items with fewer training events are neither trained nor published; with `split.leave_one_out` all events count, because the
    /// protocol has all items as candidates. Higher gives a smaller index; 0 also publishes what is sold only in the test, which
    /// the towers place by its content, and which `nearshelf evaluate` then judges apart.
    #[serde(default = "default_min_events")]
    pub min_events: u32,
    /// Which column holds what.
    pub columns: CatalogueColumns,
}

fn default_min_events() -> u32 {
    1
}

/// Names of the catalogue's columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueColumns {
    /// The id that events use.
    pub item: String,
    /// Columns that make up the name, joined with a blank.
    pub title: Vec<String>,
    /// The category path, the widest first.
    #[serde(default)]
    pub category: Vec<String>,
    /// Maker or brand.
    pub brand: Option<String>,
    /// Price; without it the median price of the item's training events is taken.
    pub price: Option<String>,
    /// What else filters ask for, by names of letters, digits, `_` and `-`: numbers where the entry is one, text elsewhere. In CSV
    /// every column is text: `weight = "CAST(weight AS DOUBLE)"`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// Demographics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    /// `.csv`, `.csv.gz` or `.parquet`.
    pub path: PathBuf,
    /// The column of the user id.
    pub user: String,
    /// Categorical columns; missing values are trained as such. None may be called `user`.
    pub attributes: Vec<String>,
}

/// Limits of the preparation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareConfig {
    /// More than this share of rejected rows of one source stops the run, 0 to 1.
    pub max_reject_share: f64,
    /// Memory of the preparation in MiB; it spills to disk beyond.
    pub memory_mib: usize,
}

impl Default for PrepareConfig {
    fn default() -> Self {
        Self { max_reject_share: 0.01, memory_mib: 1024 }
    }
}

/// What training does not see: one of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// Events at or after this local time are the test, e.g. `2011-10-01`.
    #[serde(default, deserialize_with = "text_or_date")]
    pub test_from: Option<String>,
    /// The last event of each user is the test, and the one before it the validation: the protocol of sequential recommenders, for
    /// data without usable times. Users with fewer than three events are trained and not tested.
    #[serde(default)]
    pub leave_one_out: bool,
}

/// A time in quotes, or as TOML writes dates.
fn text_or_date<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Text(String),
        Date(toml::value::Datetime),
    }
    Ok(Some(match Time::deserialize(deserializer)? {
        Time::Text(text) => text,
        Time::Date(date) => date.to_string(),
    }))
}

/// Towers that were trained elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TowersConfig {
    /// The query tower, ONNX of opset 17. Its inputs are `history [batch, model.history, model.dim]`, the candidate embeddings of the
    /// latest distinct items, the newest first, and `weights [batch, model.history]`, 0 where there is no item; its output is the
    /// query embedding, `[batch, model.dim]`.
    pub query: PathBuf,
    /// The candidate embeddings: `.parquet` with the columns `item` and `embedding` (lists of `model.dim` numbers), or `.npy`,
    /// `[items, model.dim]`.
    pub candidates: PathBuf,
    /// With `.npy`, a text file with the id of each row in a line.
    pub ids: Option<PathBuf>,
}

/// How the candidates are indexed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexConfig {
    /// Bits per component of a vector: 4, 6 or 8. Up: recall and bytes. Left out: the fewest that are measured to be able to find 99 % of
    /// what exact search finds, in recall@100.
    pub bits: Option<usize>,
    /// How the catalogue is cut; left out: into one shard of up to 3.5 MB, into clusters beyond.
    pub layout: Option<Layout>,
    /// With `layout = "by column"`, the column: `brand`, `category` (its outermost level) or a text of `[catalogue.columns] attributes`,
    /// of which every item has a value.
    pub by: Option<String>,
    /// Cells that a single shard is cut into; left out: about twice the square root of the items.
    pub cells: Option<usize>,
    /// Items of a cluster, on average. Up: fewer files, and more bytes for a first query.
    pub cluster_items: usize,
    /// Cells that a search scans by default, or clusters that it visits; left out: what is measured to find 99 % of what the
    /// codes can, or 95 % in clusters, where each one is fetched.
    pub probes: Option<usize>,
}

/// What a release says of its candidates beside their vectors: for filters, in the shards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnsConfig {
    /// Which of `price`, `category`, `brand`, `popularity` and the catalogue's attributes; left out: all that some item has. Each
    /// costs a byte or two per item.
    pub names: Option<Vec<String>>,
}

impl ColumnsConfig {
    /// The columns that every shop has.
    pub const OWN: [&str; 4] = ["price", "category", "brand", "popularity"];
}

/// How a catalogue is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One shard, which a client fetches whole.
    Single,
    /// Clusters, of which a client fetches those that its queries visit.
    Clusters,
    /// An index for each value of a column, say a market, of which a client fetches the one of its own.
    #[serde(rename = "by column")]
    ByColumn,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self { bits: None, layout: None, by: None, cells: None, cluster_items: 500, probes: None }
    }
}

/// Below, plans fail for want of a sort buffer.
const MIN_MEMORY_MIB: usize = 64;
const MAX_MEMORY_MIB: usize = 1 << 24;

impl SplitConfig {
    /// [`Self::test_from`] in milliseconds since 1970-01-01, local time; `None` with [`Self::leave_one_out`].
    ///
    /// # Errors
    /// [`DataError::ConfigValue`] if it is not a date or a time, or if there are both or neither.
    pub fn test_from_ms(&self) -> Result<Option<i64>, DataError> {
        let wrong = |key, found: &str, expected| DataError::ConfigValue { key, found: found.to_owned(), expected };
        let Some(test_from) = &self.test_from else {
            let expected = "test_from = \"2017-12-04\", or leave_one_out = true";
            return if self.leave_one_out { Ok(None) } else { Err(wrong("split", "neither", expected)) };
        };
        if self.leave_one_out {
            return Err(wrong("split", "test_from and leave_one_out", "one of them: delete the other"));
        }
        let expected = "a date or time such as 2017-12-04 or 2017-12-04T12:00:00";
        string_to_timestamp_nanos(test_from)
            .map(|nanos| Some(nanos.div_euclid(1_000_000)))
            .map_err(|_| wrong("split.test_from", &format!("'{test_from}'"), expected))
    }

    /// What training does not see.
    ///
    /// # Errors
    /// As [`Self::test_from_ms`].
    pub fn holdout(&self) -> Result<Holdout, DataError> {
        Ok(self.test_from_ms()?.map_or(Holdout::LeaveOneOut { untrained: 2 }, |_| Holdout::Time))
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be read, [`DataError::Config`] if it is not what this type describes,
    /// [`DataError::ConfigValue`] for a value of `[content]`, `[model]`, `[train]`, `[ranker]`, `[index]`, `[columns]` or `[lists]` out of its range.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.into(), source })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|source| DataError::Config { path: path.into(), source: Box::new(source) })?;
        path.parent().unwrap_or(Path::new("")).clone_into(&mut config.base);
        super::ranges::check(&config)?;
        Ok(config)
    }

    /// Identifies what preparation depends on beside the split, wherever the files lie.
    pub(super) fn sources(&self) -> String {
        let (mut events, mut catalogue, mut users) = (self.events.clone(), self.catalogue.clone(), self.users.clone());
        let paths =
            [&mut events.path, &mut catalogue.path].into_iter().chain(users.as_mut().map(|users| &mut users.path));
        paths.for_each(PathBuf::clear);
        Digest::of(format!("{events:?} {catalogue:?} {users:?}").as_bytes()).to_string()
    }

    /// A path of the configuration, from the working directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// Takes all source files, by their names, from another folder than the configured ones.
    pub fn use_folder(&mut self, folder: &Path) {
        let users = self.users.as_mut().map(|users| &mut users.path);
        for path in [&mut self.events.path, &mut self.catalogue.path].into_iter().chain(users) {
            *path = folder.join(path.file_name().unwrap_or_default());
        }
        // What is no source stays where it was.
        if let Some(content) = &mut self.content {
            content.rebase(&std::path::absolute(&self.base).unwrap_or_default());
        }
        // An absolute base makes a relative `folder` mean what it means to the caller.
        self.base = std::env::current_dir().unwrap_or_default();
    }

    /// Checks the ranges that preparation depends on.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let share = self.prepare.max_reject_share;
        if !(0.0..=1.0).contains(&share) {
            let (key, found) = ("prepare.max_reject_share", share.to_string());
            return Err(DataError::ConfigValue { key, found, expected: "a share from 0 to 1" });
        }
        let mib = self.prepare.memory_mib;
        if !(MIN_MEMORY_MIB..=MAX_MEMORY_MIB).contains(&mib) {
            let (key, found) = ("prepare.memory_mib", mib.to_string());
            return Err(DataError::ConfigValue { key, found, expected: "a number of MiB from 64 to 16777216" });
        }
        let attributes = self.users.as_ref().map_or(&[][..], |users| &users.attributes);
        for (position, name) in attributes.iter().enumerate() {
            if name == "user" || attributes[..position].contains(name) {
                let (key, found) = ("users.attributes", name.clone());
                return Err(DataError::ConfigValue {
                    key,
                    found,
                    expected: "names that differ, and none of them 'user'",
                });
            }
        }
        self.split.test_from_ms().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/configuration.md");

    #[test]
    fn a_date_may_stand_without_quotes() {
        let split = |text: &str| toml::from_str::<SplitConfig>(text);
        let day = |text| split(text).unwrap().test_from_ms().unwrap();
        assert_eq!(day("test_from = 2017-12-04"), day("test_from = \"2017-12-04\""));
        assert_eq!(day("test_from = 2017-12-04T10:30:00"), day("test_from = \"2017-12-04 10:30:00\""));
        assert!(split("test_from = 7").is_err());
        assert_eq!(split("leave_one_out = true").unwrap().test_from, None);
    }

    #[test]
    fn the_docs_list_every_key_and_their_example_is_right() {
        let sources = [
            include_str!("config.rs"),
            include_str!("config/content.rs"),
            include_str!("config/lists.rs"),
            include_str!("config/ranker.rs"),
            include_str!("config/training.rs"),
        ];
        let keys = sources.into_iter().flat_map(str::lines).filter_map(|line| {
            line.strip_prefix("    pub ")?.split_once(": ").map(|(key, _)| key).filter(|key| !key.contains(' '))
        });
        let renamed = [("base", None), ("condition", Some("where")), ("event_type", Some("type"))];
        let mut listed = 0;
        for key in keys {
            let name = renamed.iter().find(|(from, _)| *from == key).map_or(Some(key), |(_, to)| *to);
            let Some(name) = name else { continue };
            assert!(
                DOCS.contains(&format!("`{name}`")) || DOCS.contains(&format!("[{name}]")),
                "{key} is not in the docs"
            );
            listed += 1;
        }
        assert!(listed > 60, "{listed}");
        let example = DOCS.split("```").nth(1).and_then(|block| block.strip_prefix("toml")).unwrap();
        let config: Config = toml::from_str(example).unwrap();
        super::super::ranges::check(&config).unwrap();
    }
}
