//! Training of both towers on one machine.
//!
//! Tables start at random, that of items' own vectors also from a factorisation (`warm_start`). One step (`step`): draw queries from
//! baskets (`sampler`) or whole sequences (`sequences`), run the candidate tower on the distinct items of the batch (`graph`), make one
//! vector of each history (pooled, or by an `encoder`), run the query tower's network, take the fused softmax ([`head`]), send its
//! gradients back through all of it, and let the optimizer step (`optimizer`): dense weights wholly, tables only where the
//! batch touched them. Networks and encoders are differentiated by burn.
//!
//! The same seed and configuration give the same towers, bit for bit, on the same machine; a training that was
//! interrupted goes on from its last checkpoint to the same end.

mod batch;
mod checkpoint;
mod curve;
mod dropout;
mod encoder;
mod export;
mod graph;
pub mod head;
mod model;
mod optimizer;
mod prior;
mod progress;
mod rows;
mod sampler;
mod sequences;
mod step;
mod warm_start;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use batch::Content;
pub(crate) use graph::{AFFINITY, Last, NORM_FLOOR, mask};
use model::{Model, Rates, Shape};
use optimizer::Rule;
use progress::Progress;
use sampler::{Drawn, Sampler, StreamingFrequency};
pub(crate) use sampler::{context, training_events};
use sequences::Sequences;
use step::Stepper;

use super::TowerError;
use super::candidate::TowerSchemas;
use crate::Digest;
use crate::data::config::{Examples, Loss, TrainConfig};
use crate::data::{Config, Dataset};
use crate::features::content::ContentSchema;
use crate::features::items::{ItemSchema, KnownItems};
use crate::features::{Categorical, FeatureSchema, HistorySchema};
use crate::platform::files::write_atomically;

/// File names in a run folder.
pub mod files {
    /// The query tower.
    pub const QUERY: &str = "query.onnx";
    /// The candidate tower.
    pub const CANDIDATE: &str = "candidate.onnx";
    /// The items that were trained on.
    pub const CATALOGUE: &str = "catalogue.json";
    /// Schemas of both towers and their digest.
    pub const SCHEMAS: &str = "schemas.json";
    /// State to go on from.
    pub const CHECKPOINT: &str = "checkpoint.safetensors";
    /// Loss curve.
    pub const CURVE: &str = "loss.svg";
    /// A folder of texts' vectors, which may be deleted at any time.
    pub const CONTENT: &str = "content";
    /// Figures of the run.
    pub const METRICS: &str = "training.json";
}

/// Steps that are drawn, not trained, so that the first logQ is an estimate already.
const FREQUENCY_WARM_UP: usize = 40;

/// Figures of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Steps done, earlier runs included.
    pub steps: usize,
    /// Steps asked for.
    pub of: usize,
    /// Targets seen by this run.
    pub examples: u64,
    /// Wall seconds of this run.
    pub seconds: f64,
    /// Wall seconds of this run's steps, from drawing queries to the optimizer: no start, checkpoint or file.
    pub step_seconds: f64,
    /// Mean loss of the last tenth of this run's steps, nats per target.
    pub loss: f32,
    /// Most memory that the process had, in MiB, where the system tells.
    pub peak_memory_mib: Option<u64>,
    /// Digest of the towers.
    pub towers: Digest,
}

/// Trains both towers and writes the run folder.
///
/// `stop` ends the training after the step that runs; what has been trained is written all the same.
///
/// # Errors
/// [`TowerError::Train`] without training data, [`TowerError::Io`] if the folder cannot be written.
pub fn train(dataset: &Dataset, config: &Config, run: &Path, stop: &AtomicBool) -> Result<TrainReport, TowerError> {
    let items = ItemSchema::of(&dataset.items, config.model.token_buckets, config.model.max_tokens);
    let query = query_schema(dataset, config);
    query.validate()?;
    let known = KnownItems::of(&dataset.items);
    let features = items.features(&dataset.items, &known);
    let priors = config.model.prior.as_ref().map(|prior| prior::priors(dataset, prior, &config.train));
    let (content_schema, rows) = ContentSchema::fit(config, &dataset.items, &run.join(files::CONTENT))?;
    let content = Content { width: content_schema.width(), rows: &rows };
    let shape = Shape { query: &query, items: &items, count: dataset.items.len(), content: content.width };
    let mut model = Model::new(&config.model, shape, priors, &config.train);
    if let Some(warm) = &config.train.warm_start {
        warm_start::warm_start(&mut model, dataset, warm, &config.train);
    }
    let source = Source::new(dataset, &query, config)?;
    let settings = settings(config, &content_schema, dataset);
    let checkpoint = run.join(files::CHECKPOINT);
    let first = checkpoint::load(&checkpoint, &mut model, &settings)?.unwrap_or(0);

    let started = Instant::now();
    let mut progress = Progress::new(first, config.train.steps);
    let encoded = model.encoder.is_some().then(|| [source.row_length(), config.model.history]);
    let mut stepper = Stepper::new(&model, &features, content, &config.train, encoded);
    let mut frequency = StreamingFrequency::new(dataset.items.len());
    if config.train.loss == Loss::Sampled {
        for step in (0..FREQUENCY_WARM_UP + first).take_while(|_| !stop.load(Ordering::Relaxed)) {
            frequency.observe(&source.step(step).queries);
        }
    }
    let (mut done, mut stepping) = (first, Duration::ZERO);
    while done < config.train.steps && !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let drawn = source.step(FREQUENCY_WARM_UP + done);
        frequency.observe(&drawn.queries);
        let loss = stepper.step(&mut model, &drawn, &frequency, done, rates(&config.train, done));
        stepping += began.elapsed();
        if !loss.is_finite() {
            return Err(diverged(done, loss));
        }
        done += 1;
        progress.step(loss, drawn.queries.iter().map(|query| query.targets.len()).sum());
        if done.is_multiple_of(config.train.checkpoint_every.max(1)) {
            checkpoint::save(&checkpoint, &model, done, &settings)?;
        }
    }
    checkpoint::save(&checkpoint, &model, done, &settings)?;
    let towers = write_towers(run, &model, (query, (items, content_schema), &known), config)?;
    let report = TrainReport {
        steps: done,
        of: config.train.steps,
        examples: progress.examples,
        seconds: started.elapsed().as_secs_f64(),
        step_seconds: stepping.as_secs_f64(),
        loss: progress.recent_loss(),
        peak_memory_mib: crate::platform::files::peak_memory_mib(),
        towers,
    };
    // A run that was finished before has the figures of that training.
    if done > first || !run.join(files::METRICS).exists() {
        write(run, files::CURVE, curve::loss_curve(&progress.losses)?.as_bytes())?;
        write(run, files::METRICS, &serde_json::to_vec_pretty(&report).unwrap_or_default())?;
    }
    Ok(report)
}

/// Where training queries come from.
enum Source<'d> {
    Baskets(Sampler<'d>),
    Sequences(Sequences<'d>),
}

impl<'d> Source<'d> {
    fn new(dataset: &'d Dataset, schema: &'d FeatureSchema, config: &'d Config) -> Result<Self, TowerError> {
        let source = match config.train.examples {
            Examples::Baskets => Sampler::new(dataset, schema, &config.train).map(Self::Baskets),
            Examples::Sequences => Sequences::new(dataset, schema, &config.train).map(Self::Sequences),
        };
        source.ok_or_else(|| TowerError::Train {
            what: "training events",
            found: "none".to_owned(),
            expected: "events before split.test_from".to_owned(),
            remedy: "check the split and what `nearshelf prepare` rejected",
        })
    }

    fn step(&self, step: usize) -> Drawn {
        match self {
            Self::Baskets(baskets) => baskets.step(step),
            Self::Sequences(sequences) => sequences.step(step),
        }
    }

    /// Tokens of a row that is drawn whole; 0 where none is.
    fn row_length(&self) -> usize {
        match self {
            Self::Baskets(_) => 0,
            Self::Sequences(sequences) => sequences.length(),
        }
    }
}

fn rates(train: &TrainConfig, step: usize) -> Rates {
    let rule = |rate| Rule { optimizer: train.optimizer, rate, step };
    let table = train.table_rate.rate(step, train.steps);
    Rates {
        table: rule(table),
        ids: rule(table * train.warm_start.map_or(1.0, |warm| warm.rate)),
        dense: rule(train.dense_rate.rate(step, train.steps)),
    }
}

fn diverged(step: usize, loss: f32) -> TowerError {
    TowerError::Train {
        what: "loss",
        found: format!("{loss} in step {step}"),
        expected: "a finite number".to_owned(),
        remedy: "lower train.table_rate.peak and train.dense_rate.peak",
    }
}

fn query_schema(dataset: &Dataset, config: &Config) -> FeatureSchema {
    let mut categories = Vec::new();
    if !dataset.locations.is_empty() {
        categories.push(Categorical::Location { buckets: config.model.location_buckets });
    }
    categories.extend([Categorical::Hour, Categorical::Weekday]);
    for (column, name) in dataset.attributes.iter().enumerate() {
        let values = dataset.users.iter().filter_map(|user| user.attributes[column].clone());
        let values: Vec<String> = values.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        categories.push(Categorical::Attribute { name: name.clone(), values });
    }
    // A feature with no value but "missing" says nothing.
    categories.retain(|category| category.cardinality() > 1);
    FeatureSchema { dim: config.model.dim, history: HistorySchema::of(&config.model), categories }
}

/// Identifies what a checkpoint was trained with: another configuration or other data start anew.
fn settings(config: &Config, content: &ContentSchema, dataset: &Dataset) -> String {
    let text = format!("{:?} {:?} {content:?}", config.model, config.train);
    let (items, users) = (format!("{:?}", dataset.items), format!("{:?}", dataset.users));
    let events = dataset.events.iter().map(|event| format!("{event:?}"));
    let events: Vec<u8> = events.flat_map(String::into_bytes).collect();
    let rest = format!("{:?} {:?} {}", dataset.locations, dataset.event_types, dataset.test_from_ms);
    Digest::of_parts([text.as_bytes(), items.as_bytes(), users.as_bytes(), &events, rest.as_bytes()]).to_string()
}

fn write(run: &Path, name: &str, bytes: &[u8]) -> Result<(), TowerError> {
    let path = run.join(name);
    write_atomically(&path, bytes).map_err(|source| TowerError::Io { path, source })
}

fn write_towers(
    run: &Path,
    model: &Model,
    (query, (items, content), known): (FeatureSchema, (ItemSchema, ContentSchema), &KnownItems),
    config: &Config,
) -> Result<Digest, TowerError> {
    let query_onnx = export::query_onnx(model, &query, &config.model);
    let candidate_onnx = export::candidate_onnx(model, &items, &config.model);
    let catalogue = known.to_json();
    let schemas = TowerSchemas::new(query, (items, content), &catalogue, &query_onnx, &candidate_onnx);
    write(run, files::CATALOGUE, &catalogue)?;
    write(run, files::QUERY, &query_onnx)?;
    write(run, files::CANDIDATE, &candidate_onnx)?;
    // Written last: it names the digests of the others, so a half-written run is noticed.
    write(run, files::SCHEMAS, &serde_json::to_vec_pretty(&schemas).unwrap_or_default())?;
    Ok(schemas.towers)
}
