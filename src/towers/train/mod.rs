//! Training of both towers on one machine.
//!
//! Tables start at random, that of items' own vectors also from a factorisation (`warm_start`). One step (`step`): draw queries from
//! baskets (`sampler`) or whole sequences (`sequences`), run the candidate tower on the distinct items of the batch (`mlp`), make one
//! vector of each history (pooled, or by an `encoder`), run the query tower's network, take the fused softmax ([`head`]), send its
//! gradients back through all of it, and let the optimizer step (`optimizer`): dense weights wholly, tables only where the
//! batch touched them. The gradients of networks are written out, encoders are differentiated by burn.
//!
//! The same seed and configuration give the same towers, bit for bit, on the same machine; a training that was
//! interrupted goes on from its last checkpoint to the same end.

mod batch;
mod checkpoint;
mod curve;
mod dropout;
mod encoder;
mod export;
mod hard;
pub mod head;
pub mod long_term;
mod mlp;
mod model;
mod moments;
pub(crate) mod optimizer;
mod output;
mod prior;
pub(crate) mod progress;
mod rows;
mod run;
mod sampler;
mod schema;
mod sequences;
mod snapshot;
mod source;
mod step;
mod sums;
mod validation;
mod warm_start;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use batch::Content;
use long_term::LongTerm;
pub(crate) use mlp::{AFFINITY, Last, NORM_FLOOR, mask};
use model::{Model, Shape};
use moments::Moments;
pub(crate) use moments::{context, past_event};
use output::{write, write_towers};
use run::Training;
use schema::{query_schema, settings, trained_schema};
use snapshot::Catalogue;
use source::Source;
use validation::Validation;

use super::TowerError;
use crate::Digest;
use crate::data::{Config, Dataset};
use crate::features::content::ContentSchema;
use crate::features::items::{ItemSchema, KnownItems};

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
    /// The state whose index hard negatives are mined from.
    pub const MINED: &str = "mined.safetensors";
    /// The best state of a training that may stop early.
    pub const BEST: &str = "best.safetensors";
    /// The factorisation that long-term vectors of shoppers are made with, where the query tower reads them.
    pub const USER_FACTORS: &str = "user_factors.safetensors";
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
    /// Steps and R@20 of the validations of this run, where it may stop early.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<(usize, f64)>,
    /// The step with the best of them, whose weights the towers have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<usize>,
    /// Whether it ended before all steps because no better state was to be expected.
    #[serde(default)]
    pub stopped_early: bool,
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
    check_event_weights(dataset, config)?;
    let earlier = validation::without_held_back(dataset, &config.train);
    let (whole, dataset) = (dataset, earlier.as_ref().unwrap_or(dataset));
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
    let settings = settings(config, (&content_schema, &rows), dataset);
    if let Some(report) = finished(run, &settings, config.train.steps)? {
        return Ok(report);
    }
    // What an earlier run has left has moved on from there.
    let is_fresh = checkpoint::steps(&run.join(files::CHECKPOINT), &settings)?.is_none();
    if let Some(warm) = config.train.warm_start.as_ref().filter(|_| is_fresh) {
        warm_start::warm_start(&mut model, dataset, warm, &config.train);
    }
    let long_term = config.model.user_vector.as_ref().map(|user| LongTerm::fit(dataset, user, &config.train));
    let judged = |stop| Validation::new(whole, dataset, &query, (&config.train, stop), long_term.as_ref());
    let mut training = Training {
        model,
        schema: &query,
        config: &config.train,
        catalogue: Catalogue { features: &features, content, config: &config.model },
        source: Source::new(Moments::new(dataset, &query, &config.train, long_term.as_ref()))?,
        validation: config.train.early_stopping.map(judged).transpose()?,
        run,
        settings,
    };
    let started = Instant::now();
    let outcome = training.run(stop)?;
    let trained = trained_schema(query.clone(), &training.model);
    let schemas = (trained, (items, content_schema), &known);
    let towers = write_towers(run, &training.model, schemas, long_term.as_ref(), config)?;
    let report = TrainReport {
        steps: outcome.done,
        of: config.train.steps,
        examples: outcome.progress.examples,
        seconds: started.elapsed().as_secs_f64(),
        step_seconds: outcome.stepping.as_secs_f64(),
        loss: outcome.progress.recent_loss(),
        validations: outcome.validations,
        best_step: outcome.best,
        stopped_early: outcome.stopped_early,
        peak_memory_mib: crate::platform::files::peak_memory_mib(),
        towers,
    };
    // A run that was finished before has the figures of that training.
    if outcome.done > outcome.first || !run.join(files::METRICS).exists() {
        write(run, files::CURVE, curve::loss_curve(&outcome.progress.losses)?.as_bytes())?;
        write(run, files::METRICS, &serde_json::to_vec_pretty(&report).unwrap_or_default())?;
    }
    Ok(report)
}

/// The report of a training that has ended, whose files are all there; it saw nothing this time.
fn finished(run: &Path, settings: &str, steps: usize) -> Result<Option<TrainReport>, TowerError> {
    let done = checkpoint::steps(&run.join(files::CHECKPOINT), settings)?;
    let report = std::fs::read(run.join(files::METRICS)).ok();
    let Some(report) = report.and_then(|text| serde_json::from_slice::<TrainReport>(&text).ok()) else {
        return Ok(None);
    };
    let is_whole =
        [files::QUERY, files::CANDIDATE, files::CATALOGUE, files::SCHEMAS].iter().all(|file| run.join(file).is_file());
    let has_ended = done == Some(report.steps) && report.of == steps && (report.steps == steps || report.stopped_early);
    Ok((has_ended && is_whole).then_some(TrainReport { examples: 0, ..report }))
}

/// That weights are given to event types that there are: a misspelt one would go unnoticed.
fn check_event_weights(dataset: &Dataset, config: &Config) -> Result<(), TowerError> {
    let unknown = |name: &&String| !dataset.event_types.contains(name);
    match config.train.event_weights.keys().find(unknown) {
        None => Ok(()),
        Some(name) => Err(TowerError::Train {
            what: "train.event_weights",
            found: format!("{name:?}"),
            expected: format!("types of the events: {}", dataset.event_types.join(", ")),
            remedy: "correct the name, or delete it",
        }),
    }
}
