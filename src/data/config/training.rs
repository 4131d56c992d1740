//! What towers look like, and how they are trained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Shapes of the towers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Length of query and candidate embeddings, a multiple of 8 up to 512. Up: quality on large catalogues, bytes.
    pub dim: usize,
    /// What makes one vector of a history.
    pub encoder: EncoderConfig,
    /// Width of the hidden layer of either tower. Up: capacity, size of the query tower, training time.
    pub hidden: usize,
    /// How many distinct items of the history enter the query tower, 1 to 1024, the newest first.
    pub history: usize,
    /// Factor by which a history item's weight falls with each newer one, above 0 to 1; 1 is the plain mean.
    pub history_decay: f32,
    /// An item that came `n` times weighs `n^history_count_power`, 0 to 1.
    pub history_count_power: f32,
    /// Whether the query tower reads the types of events, where the data have several.
    pub history_types: bool,
    /// Whether it reads how old events are: with `encoder = "mean"` until the query, which makes old ones count less, or more; with the
    /// others until the next event.
    pub history_ages: bool,
    /// Whether items that the shopper has had get a number on their score, by how often and how long ago. For shops where people buy
    /// the same again.
    pub repeats: bool,
    /// A long-term vector of the shopper as an input; without it the tower reads none.
    pub user_vector: Option<UserVectorConfig>,
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

/// What makes one vector of the candidate embeddings of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EncoderConfig {
    /// Their weighted mean: an order only as `history_decay` gives one. A query of 25 microseconds in a browser.
    #[default]
    Mean,
    /// A gated recurrent unit (Cho et al. 2014) from the oldest to the newest item, as GRU4Rec (Hidasi et al. 2016).
    Gru {
        /// Numbers of its state, 1 to 512.
        hidden: usize,
    },
    /// Long short-term memory (Hochreiter, Schmidhuber 1997) from the oldest to the newest item.
    Lstm {
        /// Numbers of its state, 1 to 512.
        hidden: usize,
    },
    /// Causal self-attention (SASRec, Kang and McAuley 2018), layer norms first, with a learned bias per distance in the place of
    /// positions (Raffel et al. 2020).
    Attention {
        /// Blocks, 1 to 8.
        layers: usize,
        /// Heads of a block, a divisor of `dim`.
        heads: usize,
        /// Width of the hidden layer of a block, 1 to 4096.
        feed_forward: usize,
    },
}

/// Long-term vectors of shoppers: their whole histories, folded into a factorisation of the training events. The origin makes them; a
/// request without one takes a trained default. The last three knobs are those of the factorisation, as in [`WarmStartConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserVectorConfig {
    /// Numbers of a vector, 1 to 512.
    pub factors: usize,
    /// Confidence of one unit of interest, above 0.
    pub alpha: f32,
    /// Pull towards zero, above 0.
    pub regularization: f32,
    /// The pull of a row is `regularization * pairs^exponent`, 0 to 1.
    pub frequency_exponent: f32,
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
            encoder: EncoderConfig::Mean,
            hidden: 128,
            history: 10,
            history_decay: 1.0,
            history_count_power: 0.5,
            history_types: true,
            history_ages: false,
            repeats: false,
            user_vector: None,
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

/// What a training query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Examples {
    /// A shopper at the moment of a basket; its targets are items of the basket.
    #[default]
    Baskets,
    /// A shopper at the moment of an event; its target is the item of the event. An encoder reads a whole sequence at once and answers
    /// at each of its events, many sequences in a row: far cheaper per target than baskets are, for all encoders but `mean`.
    Sequences,
}

/// What targets compete with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Targets of the step's other queries, and `uniform_negatives` more.
    #[default]
    Sampled,
    /// All items. A step takes time in proportion to the catalogue: up to some 20,000 items.
    Full,
}

/// What turns gradients into steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Rates of 0.01 to 1, falling by itself: sparse tables.
    #[default]
    Adagrad,
    /// Rates of 0.0003 to 0.003: encoders.
    Adam,
}

/// How a rate falls after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// In a straight line.
    #[default]
    Linear,
    /// As half a wave of the cosine: slowly, then fast, then slowly.
    Cosine,
}

/// How the towers are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Every random choice follows from it.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// What a query is.
    pub examples: Examples,
    /// Queries per step.
    pub queries: usize,
    /// At most this many targets per query of a basket.
    pub targets: usize,
    /// What targets compete with.
    pub loss: Loss,
    /// With `loss = "sampled"`, items drawn uniformly that every target of a step competes with too (mixed negative sampling, Yang et
    /// al. 2020). Up: rare items are told apart.
    pub uniform_negatives: usize,
    /// Share of a target's probability that the loss gives to all of its competitors alike, 0 to below 1. Up: smoother.
    pub label_smoothing: f32,
    /// Divides the inner products, above 0. Down: sharper, and overfitting.
    pub temperature: f32,
    /// Whether the temperature is trained, from `temperature` on.
    pub learn_temperature: bool,
    /// Strength of the logQ correction, 0 to 1: 1 is unbiased, 0 favours rare items.
    pub log_q: f32,
    /// Share of the items that a step sees by content only, 0 to 1. Up: better for new items.
    pub id_dropout: f32,
    /// Share of an encoder's numbers that a step leaves out, 0 to below 1. Up: less overfitting.
    pub dropout: f32,
    /// Share of the queries whose history is cut to a few of its newest items, 0 to 1. Up: better for new shoppers.
    pub history_dropout: f32,
    /// Share of the context's values that are hidden, each by itself, 0 to 1: what is missing at serving was then trained.
    pub context_dropout: f32,
    /// Share of the queries without their long-term vector, 0 to 1: what stands for a missing one is then trained.
    pub user_dropout: f32,
    /// A basket is half as likely to be drawn when it is this many days older; 0 draws all alike.
    pub half_life_days: f32,
    /// A basket of `n` targets is drawn `n^basket_power` times as often as one with one target, 0 to 1.
    pub basket_power: f32,
    /// Which items of a basket are targets.
    pub targets_of_basket: Targets,
    /// What a target counts by the type of its event, 0 or more: `{ purchase = 1.0, cart = 0.3, view = 0.0 }`. Events of weight 0 are
    /// history only; types that are not named weigh 1.
    pub event_weights: BTreeMap<String, f32>,
    /// With `loss = "sampled"` and `examples = "baskets"`, per query, items that the towers' own index finds for it and that are no
    /// targets: every target of the step competes with those of all queries (ANCE, Xiong et al. 2021). Up: the best are told apart,
    /// and what was not bought by chance is pushed away.
    pub hard_negatives: usize,
    /// Steps between two indexes for `hard_negatives`; there are none before the first.
    pub mine_every: usize,
    /// Ends the training when a validation says so, and keeps the best state; without it all steps are taken.
    pub early_stopping: Option<EarlyStopping>,
    /// Items' own vectors start from a factorisation of the training events; without it, at random.
    pub warm_start: Option<WarmStartConfig>,
    /// What turns gradients into steps.
    pub optimizer: Optimizer,
    /// The rate for embedding tables.
    pub table_rate: RateConfig,
    /// The rate for dense weights.
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

/// When a training ends before its last step. Of what training may see, the latest part is held back and judged: with
/// `split.test_from` the last `days`, with `split.leave_one_out` the validation item, which is not trained in any case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Steps between two validations, 1 and up.
    pub every: usize,
    /// Validations without a better one that end the training, 1 and up.
    pub patience: usize,
    /// Days that are held back, above 0, where the split is one by time. To publish, train once more without this table and with the
    /// number of steps that it found.
    #[serde(default = "four_weeks")]
    pub days: f32,
    /// Shoppers that are judged, at most; fewer are quicker.
    #[serde(default = "some_users")]
    pub users: usize,
}

fn four_weeks() -> f32 {
    28.0
}

fn some_users() -> usize {
    5_000
}

/// A learning rate over a training: a linear rise, then a fall.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// The highest rate. Up: faster, then unstable. 0.01 to 1 for Adagrad.
    pub peak: f32,
    /// Share of the steps in which the rate rises from 0 to `peak`, 0 to 1.
    pub warm_up: f32,
    /// Rate at the last step as a share of `peak`, 0 to 1.
    pub last: f32,
    /// How it falls.
    #[serde(default)]
    pub decay: Decay,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            steps: 1000,
            examples: Examples::Baskets,
            queries: 256,
            targets: 8,
            loss: Loss::Sampled,
            uniform_negatives: 0,
            label_smoothing: 0.0,
            temperature: 0.07,
            learn_temperature: false,
            log_q: 1.0,
            id_dropout: 0.1,
            dropout: 0.1,
            history_dropout: 0.1,
            context_dropout: 0.2,
            user_dropout: 0.3,
            half_life_days: 60.0,
            basket_power: 0.5,
            targets_of_basket: Targets::All,
            event_weights: BTreeMap::new(),
            hard_negatives: 0,
            mine_every: 200,
            early_stopping: None,
            warm_start: None,
            optimizer: Optimizer::Adagrad,
            table_rate: RateConfig { peak: 0.1, warm_up: 0.1, last: 0.05, decay: Decay::Linear },
            dense_rate: RateConfig { peak: 0.03, warm_up: 0.1, last: 0.05, decay: Decay::Linear },
            checkpoint_every: 200,
        }
    }
}
