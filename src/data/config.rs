//! `nearshelf.toml`: what a shop's data look like, and how its towers are trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use serde::{Deserialize, Serialize};

use super::DataError;

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
    /// Shapes of the towers.
    #[serde(default)]
    pub model: ModelConfig,
    /// How the towers are trained.
    #[serde(default)]
    pub train: TrainConfig,
    /// How the candidates are indexed.
    #[serde(default)]
    pub index: IndexConfig,
    /// What a release says of its candidates beside their vectors.
    #[serde(default)]
    pub columns: ColumnsConfig,
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
    /// A store, region or country.
    pub location: Option<String>,
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
    /// Items with fewer training events are neither trained nor published. 1 and up; higher gives a smaller index.
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

/// Where time is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// Events at or after this local time are the test, e.g. `2011-10-01`.
    pub test_from: String,
}

/// Shapes of the towers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Length of query and candidate embeddings, a multiple of 8 up to 512. Up: quality on large catalogues, bytes.
    pub dim: usize,
    /// Width of the hidden layer of either tower. Up: capacity, size of the query tower, training time.
    pub hidden: usize,
    /// How many distinct items of the history enter the query tower, 1 to 1024, the newest first.
    pub history: usize,
    /// Factor by which a history item's weight falls with each newer one, above 0 to 1; 1 is the plain mean.
    pub history_decay: f32,
    /// An item that came `n` times weighs `n^history_count_power`, 0 to 1.
    pub history_count_power: f32,
    /// Numbers per categorical feature of the query.
    pub context_dim: usize,
    /// Buckets of hashed locations.
    pub location_buckets: u32,
    /// Numbers per category level and brand of an item.
    pub label_dim: usize,
    /// Numbers per word of an item's name.
    pub token_dim: usize,
    /// Buckets of hashed words.
    pub token_buckets: u32,
    /// Words of a name that are read.
    pub max_tokens: usize,
    /// Popularity as the last number of an embedding; without it embeddings are unit vectors.
    pub prior: Option<PriorConfig>,
}

/// A popularity prior: the last number of a candidate embedding is a share of its log-popularity, the last one of a query
/// embedding says how mainstream the shopper is. The rest of the vectors then has only the personal part to learn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// Share of the log-popularity that enters, above 0 to 1. Up: closer to the bestsellers.
    pub strength: f32,
    /// Days before the split that count as recent.
    pub recent_days: f32,
    /// Weight of the recent popularity against that of all training events, 0 to 1. Up: follows seasons, and noise.
    pub recent_weight: f32,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            hidden: 128,
            history: 10,
            history_decay: 1.0,
            history_count_power: 0.5,
            context_dim: 8,
            location_buckets: 64,
            label_dim: 16,
            token_dim: 32,
            token_buckets: 4096,
            max_tokens: 8,
            prior: None,
        }
    }
}

/// Which items of a basket are targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// All of them: what will the shopper buy?
    #[default]
    All,
    /// Those that the shopper had not bought before: what might the shopper discover? What was bought before is then no
    /// negative either.
    New,
}

/// How the towers are trained. One query is a shopper at the moment of a basket; its targets are items of the basket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Every random choice follows from it.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// Queries per step.
    pub queries: usize,
    /// At most this many targets per query; all targets of a step are each other's negatives.
    pub targets: usize,
    /// Divides the inner products, above 0. Down: sharper, and overfitting.
    pub temperature: f32,
    /// Strength of the logQ correction, 0 to 1: 1 is unbiased, 0 favours rare items.
    pub log_q: f32,
    /// Share of the items that a step sees by content only, 0 to 1. Up: better for new items.
    pub id_dropout: f32,
    /// Share of the queries whose history is cut to a few of its newest items, 0 to 1. Up: better for new shoppers.
    pub history_dropout: f32,
    /// Share of the context's values that are hidden, each by itself, 0 to 1: what is missing at serving was then trained.
    pub context_dropout: f32,
    /// A basket is half as likely to be drawn when it is this many days older; 0 draws all alike.
    pub half_life_days: f32,
    /// A basket of `n` targets is drawn `n^basket_power` times as often as one with one target, 0 to 1.
    pub basket_power: f32,
    /// Which items of a basket are targets.
    pub targets_of_basket: Targets,
    /// Items' own vectors start from a factorisation of the training events; without it, at random.
    pub warm_start: Option<WarmStartConfig>,
    /// Adagrad's rate for embedding tables.
    pub table_rate: RateConfig,
    /// Adagrad's rate for dense weights.
    pub dense_rate: RateConfig,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
}

/// Where items' own vectors start: a matrix factorisation for implicit feedback knows in seconds what goes with what, from all
/// events at once; training then adds names, prices, moments and the order of events. For shops with few events per item.
///
/// The first three knobs are those of the factorisation; `nearshelf tune` chooses them for the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmStartConfig {
    /// Confidence of one unit of interest, above 0. Up: what shoppers did counts more against what they did not do.
    pub alpha: f32,
    /// Pull towards zero, above 0. Up: smoother, more popular.
    pub regularization: f32,
    /// The pull of a row is `regularization * pairs^exponent`, 0 to 1.
    pub frequency_exponent: f32,
    /// Rate of items' own vectors as a share of `table_rate`, above 0 to 1. Up: training forgets where it started, and overfits.
    pub rate: f32,
}

/// A learning rate over a training: a linear rise, then a linear fall.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// The highest rate. Up: faster, then unstable. 0.01 to 1 for Adagrad.
    pub peak: f32,
    /// Share of the steps in which the rate rises from 0 to `peak`, 0 to 1.
    pub warm_up: f32,
    /// Rate at the last step as a share of `peak`, 0 to 1.
    pub last: f32,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            steps: 1000,
            queries: 256,
            targets: 8,
            temperature: 0.07,
            log_q: 1.0,
            id_dropout: 0.1,
            history_dropout: 0.1,
            context_dropout: 0.2,
            half_life_days: 60.0,
            basket_power: 0.5,
            targets_of_basket: Targets::All,
            warm_start: None,
            table_rate: RateConfig { peak: 0.1, warm_up: 0.1, last: 0.05 },
            dense_rate: RateConfig { peak: 0.03, warm_up: 0.1, last: 0.05 },
            checkpoint_every: 200,
        }
    }
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
    /// [`Self::test_from`] in milliseconds since 1970-01-01, local time.
    ///
    /// # Errors
    /// [`DataError::ConfigValue`] if it is not a date or a time.
    pub fn test_from_ms(&self) -> Result<i64, DataError> {
        string_to_timestamp_nanos(&self.test_from).map(|nanos| nanos.div_euclid(1_000_000)).map_err(|_| {
            let (key, found) = ("split.test_from", format!("'{}'", self.test_from));
            DataError::ConfigValue { key, found, expected: "a date or time such as 2017-12-04 or 2017-12-04T12:00:00" }
        })
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be read, [`DataError::Config`] if it is not what this type describes,
    /// [`DataError::ConfigValue`] for a value of `[model]`, `[train]`, `[index]` or `[columns]` out of its range.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.into(), source })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|source| DataError::Config { path: path.into(), source: Box::new(source) })?;
        path.parent().unwrap_or(Path::new("")).clone_into(&mut config.base);
        super::ranges::check(&config)?;
        Ok(config)
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
        if self.catalogue.min_events == 0 {
            let (key, found) = ("catalogue.min_events", "0".to_owned());
            return Err(DataError::ConfigValue { key, found, expected: "1 or more" });
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
