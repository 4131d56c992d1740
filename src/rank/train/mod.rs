//! Training of the ranker: one network, a head per step of the funnel, on what shoppers were shown and did, or on what retrieval would
//! have shown and shoppers did all the same.
//!
//! Impressions or candidates become numbers (`inputs`, `candidates`), the network (`network`) gives log odds for each step, and the loss
//! (`loss`) is that of each task over all rows. The first four fifths of the time, or of the shoppers, are trained with, the last fifth
//! is judged on (`report`), by the program that clients would run, lowered from the ONNX file that was written (`export`).
//!
//! The same seed, configuration and data give the same files, bit for bit, on the same machine.

mod candidates;
mod catalogue;
mod chart;
mod error;
mod export;
mod gradient;
mod inputs;
mod loss;
mod network;
pub mod objective;
mod published;
mod report;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Digest;
use crate::data::config::{Optimizer, RankerConfig};
use crate::data::{Dataset, Impressions, Task, Truth};
use crate::features::ranking::FEATURES;
use crate::platform::files::write_atomically;
use crate::towers::Program;
use crate::towers::lower;
use crate::towers::train::optimizer::Rule;
use crate::towers::train::progress::Progress;

pub use candidates::candidates;
pub use catalogue::Names;
pub use error::RankerError;
use gradient::Batch;
pub use inputs::History;
use inputs::Inputs;
use network::Network;
pub use published::TrainedRanker;
pub use report::{OrderReport, RankerReport, TaskReport, TruthReport};

/// What trained towers say of users and items, as of the split.
#[derive(Clone, Copy)]
pub struct Retrieval<'s> {
    /// Which towers: a ranker goes with them.
    pub towers: Digest,
    /// Length of embeddings.
    pub dim: usize,
    /// Query embeddings by user, `[users, dim]`.
    pub queries: &'s [f32],
    /// Candidate embeddings, `[items, dim]`.
    pub items: &'s [f32],
    /// The scores of all items for a user, as candidates are found by.
    pub scores: &'s (dyn Fn(u32, &mut [f32]) + Sync),
}

/// File names in a run folder.
pub mod files {
    /// The ranker.
    pub const RANKER: &str = "ranker.onnx";
    /// The numbers of shelves and brands.
    pub const NAMES: &str = "ranker-names.json";
    /// What it reads and gives, and how good it is.
    pub const REPORT: &str = "ranker.json";
    /// What was predicted against what happened.
    pub const CHART: &str = "ranker-calibration.svg";
}

/// What a ranker is trained with.
#[derive(Clone, Copy)]
pub struct Logged<'l> {
    /// Histories and catalogue.
    pub dataset: &'l Dataset,
    /// What was shown.
    pub impressions: &'l Impressions,
    /// How probable it really was, where that is known; judged with, never trained with.
    pub truth: Option<&'l Truth>,
    /// The towers' scores.
    pub retrieval: Option<Retrieval<'l>>,
}

/// Trains a ranker on impressions, and writes its [`files`] into the run folder.
///
/// # Errors
/// [`RankerError`] for impressions that cannot be trained with, and if the folder cannot be written.
pub fn train_ranker(logged: Logged<'_>, config: &RankerConfig, run: &Path) -> Result<RankerReport, RankerError> {
    let names = Names::of(&logged.dataset.items);
    let inputs = Inputs::of(logged.impressions, logged.dataset, (&names, logged.retrieval), config)?;
    let known = logged.truth.map(|truth| report::Known { truth, impressions: logged.impressions });
    let counts = [logged.impressions.read, logged.impressions.outside];
    Training { inputs: &inputs, names: &names, tasks: config.tasks.trained(), config, run }.run(counts, known)
}

/// Trains a ranker on the candidates that retrieval finds for those who came back after the split of a data set, and on what they did
/// then; writes its [`files`] into the run folder. There may be several such splits of one data set, the latest first: on the shoppers
/// of that one it is judged. The towers must not have seen what came after theirs and, of several, must be the same or read no embeddings.
///
/// # Errors
/// [`RankerError`] for too few shoppers or events, and if the folder cannot be written.
pub fn train_on_candidates(
    splits: &[(&Dataset, Retrieval<'_>)],
    config: &RankerConfig,
    run: &Path,
) -> Result<RankerReport, RankerError> {
    let Some((dataset, retrieval)) = splits.first() else { return Err(RankerError::Shoppers { found: 0 }) };
    let names = Names::of(&dataset.items);
    let mut inputs = candidates::inputs(dataset, &names, *retrieval, config)?;
    for (dataset, retrieval) in &splits[1..] {
        inputs = inputs.with_earlier(&candidates::inputs(dataset, &names, *retrieval, config)?);
    }
    let tasks = candidates::known(dataset, config.tasks.trained());
    Training { inputs: &inputs, names: &names, tasks, config, run }.run([inputs.len(), 0], None)
}

/// One training.
struct Training<'t> {
    inputs: &'t Inputs<'t>,
    names: &'t Names,
    tasks: Vec<Task>,
    config: &'t RankerConfig,
    run: &'t Path,
}

impl Training<'_> {
    /// Trains, writes and judges. `counts`: rows read, and those of unknown items.
    fn run(&self, counts: [usize; 2], known: Option<report::Known<'_>>) -> Result<RankerReport, RankerError> {
        let Self { inputs, names, tasks, config, run } = self;
        let (mut network, loss) = fit(inputs, tasks, config)?;
        network.halve();
        write(run, files::RANKER, &export::ranker_onnx(&network))?;
        write(run, files::NAMES, &serde_json::to_vec(names).unwrap_or_default())?;
        let program = lower::compile(&run.join(files::RANKER))?;
        let judged = report::Judged {
            program: &program,
            inputs,
            tasks,
            vectors: config.vector > 0,
            known,
            history: config.history,
        };
        let (report, bins) = judged.report((counts, config.positions, loss))?;
        write(run, files::CHART, chart::calibration(&bins)?.as_bytes())?;
        write(run, files::REPORT, &serde_json::to_vec_pretty(&report).unwrap_or_default())?;
        Ok(report)
    }
}

/// Reads the program of a trained ranker.
///
/// # Errors
/// [`RankerError::Tower`] if there is none.
pub fn read_ranker(run: &Path) -> Result<Program, RankerError> {
    Ok(lower::compile(&run.join(files::RANKER))?)
}

/// The trained network of the step that was best on the last eighth of what is trained with, and the mean loss of the last tenth of the
/// steps.
fn fit(inputs: &Inputs<'_>, tasks: &[Task], config: &RankerConfig) -> Result<(Network, f32), RankerError> {
    let shares = step_shares(inputs, tasks)?;
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut network = Network::new(config, inputs.sizes, scaling(inputs), &shares, &mut rng);
    let weights: Vec<f32> = tasks.iter().map(|task| config.tasks.of(*task)).collect();
    let device = Device::flex().autodiff();
    let fitted = inputs.fitted();
    let validation = Validation::of(inputs, tasks, fitted..inputs.trained);
    let mut best: Option<(f32, Network)> = None;
    let mut progress = Progress::new(0, config.steps);
    for step in 0..config.steps {
        let rows: Vec<usize> = (0..config.batch).map(|_| rng.random_range(0..fitted)).collect();
        let mut slot = |row: &usize| {
            if rng.random_bool(f64::from(config.position_dropout)) { 0 } else { inputs.slots[*row] }
        };
        let slots: Vec<u32> = rows.iter().map(&mut slot).collect();
        let reached = |row: &usize| {
            let furthest = inputs.furthest[*row];
            tasks.iter().map(move |task| furthest >= Some(*task))
        };
        let labels: Vec<bool> = rows.iter().flat_map(reached).collect();
        let batch = inputs.batch(&rows, slots);
        let forward = network.forward(&batch, &device);
        let (loss, gradient) = loss::funnel_loss(&forward.log_odds, &labels, &weights);
        if !loss.is_finite() {
            return Err(RankerError::Diverged { step, found: loss });
        }
        let rule = Rule { optimizer: Optimizer::Adam, rate: config.rate.rate(step, config.steps), step };
        network.step(forward, &batch, gradient, rule);
        progress.step(loss, config.batch);
        if (step + 1) % VALIDATE_EVERY == 0 || step + 1 == config.steps {
            let loss = validation.loss(&network, &weights, &device);
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, network.clone()));
            }
        }
    }
    let network = best.map_or(network, |(_, best)| best);
    Ok((network, progress.recent_loss()))
}

/// Steps from one validation to the next.
const VALIDATE_EVERY: usize = 50;

/// Rows that a network is validated on, at most.
const VALIDATED: usize = 1 << 14;

/// Rows that are not fitted, as they would be served: without slots.
struct Validation {
    batch: Batch,
    labels: Vec<bool>,
}

impl Validation {
    fn of(inputs: &Inputs<'_>, tasks: &[Task], rows: Range<usize>) -> Self {
        let step = rows.len().div_ceil(VALIDATED).max(1);
        let rows: Vec<usize> = rows.step_by(step).collect();
        let labels = rows.iter().flat_map(|row| {
            let furthest = inputs.furthest[*row];
            tasks.iter().map(move |task| furthest >= Some(*task))
        });
        Self { labels: labels.collect(), batch: inputs.batch(&rows, vec![0; rows.len()]) }
    }

    fn loss(&self, network: &Network, weights: &[f32], device: &Device) -> f32 {
        if self.labels.is_empty() {
            return 0.0;
        }
        let forward = network.forward(&self.batch, device);
        loss::funnel_loss(&forward.log_odds, &self.labels, weights).0
    }
}

/// The share of each task among the rows that reached the one before.
fn step_shares(inputs: &Inputs<'_>, tasks: &[Task]) -> Result<Vec<f64>, RankerError> {
    let mut before = inputs.trained;
    let share = |task: &Task| {
        let found = inputs.reached(0..inputs.trained, *task).into_iter().filter(|reached| *reached).count();
        if found == 0 || found == inputs.trained {
            return Err(RankerError::Constant { task: task.name(), found, of: inputs.trained });
        }
        let share = found as f64 / before as f64;
        before = found;
        Ok(share)
    };
    tasks.iter().map(share).collect()
}

/// Mean of each number over the training, and the reciprocal of its deviation; 0 for one that is always the same.
fn scaling(inputs: &Inputs<'_>) -> [Vec<f32>; 2] {
    let column = |at: usize| (0..inputs.trained).map(move |row| f64::from(inputs.row(row)[at]));
    let scale = |at: usize| {
        let mean = column(at).sum::<f64>() / inputs.trained as f64;
        let variance = column(at).map(|number| (number - mean).powi(2)).sum::<f64>() / inputs.trained as f64;
        (mean as f32, if variance > 1e-12 { variance.sqrt().recip() as f32 } else { 0.0 })
    };
    let (means, scales) = (0..FEATURES.len()).map(scale).unzip();
    [means, scales]
}

fn write(run: &Path, name: &str, bytes: &[u8]) -> Result<(), RankerError> {
    let path = run.join(name);
    write_atomically(&path, bytes).map_err(|source| RankerError::Io { path, source })
}
