//! The steps of a training from where it stands to its end, and what it looks at between them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::hard::Miner;
use super::model::{Model, Rates};
use super::optimizer::Rule;
use super::progress::Progress;
use super::sampler::StreamingFrequency;
use super::schema::trained_schema;
use super::snapshot::{Catalogue, Snapshot};
use super::source::Source;
use super::step::Stepper;
use super::validation::Validation;
use super::{FREQUENCY_WARM_UP, checkpoint, files};
use crate::data::config::{Loss, TrainConfig};
use crate::features::FeatureSchema;
use crate::towers::TowerError;

/// The rate of the numbers on what shoppers have had while towers learn, as a share of `table_rate`. As fast as tables they take over what
/// the towers should learn: on Online Retail's validation month R@20 of new items falls from .1203 to .1172, and that of all rises from
/// .3230 to .3266.
const REPEATS_RATE: f32 = 0.2;

/// The share of the steps after which towers hardly move, and those numbers find their place, at a rate that is this many times the
/// peak of `table_rate`: on the same month R@20 of all rises from .3322 to .3395, and that of new items stays at .129; 15 times are
/// no better.
const SETTLED: f32 = 0.7;
const SETTLED_REPEATS_RATE: f32 = 4.0;

/// What a training has while it runs.
pub(super) struct Training<'d> {
    pub(super) model: Model,
    pub(super) schema: &'d FeatureSchema,
    pub(super) config: &'d TrainConfig,
    pub(super) catalogue: Catalogue<'d>,
    pub(super) source: Source<'d>,
    pub(super) validation: Option<Validation>,
    /// The run folder.
    pub(super) run: &'d Path,
    /// Identifies configuration and data.
    pub(super) settings: String,
}

/// How it went.
pub(super) struct Outcome {
    pub(super) first: usize,
    pub(super) done: usize,
    /// In steps, from drawing queries to the optimizer.
    pub(super) stepping: Duration,
    pub(super) progress: Progress,
    /// Steps and R@20 of the validations.
    pub(super) validations: Vec<(usize, f64)>,
    /// The step whose weights were kept.
    pub(super) best: Option<usize>,
    /// Whether no better state is to be expected.
    pub(super) stopped_early: bool,
}

impl Training<'_> {
    /// Goes on from the last checkpoint; the model is then the one to be written.
    pub(super) fn run(&mut self, stop: &AtomicBool) -> Result<Outcome, TowerError> {
        let path = self.run.join(files::CHECKPOINT);
        let first = checkpoint::load(&path, &mut self.model, &self.settings)?.unwrap_or(0);
        let mut miner = self.earlier_miner(first)?;
        let mut best = self.earlier_best(first)?;
        let mut outcome = Outcome {
            first,
            done: first,
            stepping: Duration::ZERO,
            progress: Progress::new(first, self.config.steps),
            validations: best.iter().map(|(step, _, recall)| (*step, *recall)).collect(),
            best: None,
            stopped_early: self.has_stopped(first, best.as_ref()),
        };
        let encoded = self.model.encoder.is_some().then(|| [self.source.row_length(), self.schema.history.length]);
        let marks = self.schema.history.marks_per_item();
        let Catalogue { features, content, .. } = self.catalogue;
        let mut stepper = Stepper::new(&self.model, features, content, self.config, encoded, marks);
        let mut frequency = self.frequency(first, stop);
        let mut next = None;
        // One that had stopped early has ended.
        while !outcome.stopped_early && outcome.done < self.config.steps && !stop.load(Ordering::Relaxed) {
            let step = outcome.done;
            if self.mines_at(step) {
                // First, so that no interruption leaves an index that is newer than the checkpoint.
                checkpoint::save(&path, &self.model, step, &self.settings)?;
                checkpoint::save(&self.run.join(files::MINED), &self.model, step, &self.settings)?;
                miner = Some(Miner::of(self.snapshot()?)?);
            }
            let began = Instant::now();
            let mut drawn = next.take().unwrap_or_else(|| self.source.step(FREQUENCY_WARM_UP + step));
            if let Some(miner) = &miner {
                miner.mine(&mut drawn.queries, self.config.hard_negatives)?;
            }
            frequency.observe(&drawn.queries);
            let (model, source, following) = (&mut self.model, &self.source, step + 1);
            // What comes next is drawn where a step leaves a thread idle.
            let (loss, ahead) = rayon::join(
                // Rows of sequences may hold nothing but events that are no targets.
                || drawn.has_targets().then(|| stepper.step(model, &drawn, &frequency, step, rates(self.config, step))),
                || (following < self.config.steps).then(|| source.step(FREQUENCY_WARM_UP + following)),
            );
            next = ahead;
            outcome.stepping += began.elapsed();
            outcome.done += 1;
            if let Some(loss) = loss {
                if !loss.is_finite() {
                    return Err(diverged(step, loss));
                }
                outcome.progress.step(loss, drawn.queries.iter().map(|query| query.targets.len()).sum());
            }
            outcome.stopped_early = self.is_to_stop(&mut outcome, &mut best)?;
            if outcome.done.is_multiple_of(self.config.checkpoint_every.max(1)) {
                checkpoint::save(&path, &self.model, outcome.done, &self.settings)?;
            }
        }
        checkpoint::save(&path, &self.model, outcome.done, &self.settings)?;
        if let Some((step, model, _)) = best {
            self.model = model;
            outcome.best = Some(step);
        }
        Ok(outcome)
    }

    /// How often items were targets before the step that comes.
    fn frequency(&self, first: usize, stop: &AtomicBool) -> StreamingFrequency {
        let mut frequency = StreamingFrequency::new(self.catalogue.features.len());
        if self.config.loss == Loss::Sampled {
            for step in (0..FREQUENCY_WARM_UP + first).take_while(|_| !stop.load(Ordering::Relaxed)) {
                frequency.observe(&self.source.step(step).queries);
            }
        }
        frequency
    }

    fn snapshot(&self) -> Result<Snapshot, TowerError> {
        Snapshot::of(&self.model, trained_schema(self.schema.clone(), &self.model), self.catalogue)
    }

    fn mines_at(&self, step: usize) -> bool {
        self.config.hard_negatives > 0 && step > 0 && step.is_multiple_of(self.config.mine_every)
    }

    /// The index that a training had when it was interrupted.
    fn earlier_miner(&self, first: usize) -> Result<Option<Miner>, TowerError> {
        // At a step of its own it is made anew.
        if self.config.hard_negatives == 0 || self.mines_at(first) {
            return Ok(None);
        }
        let earlier = self.earlier(files::MINED, first)?;
        let snapshot = |(_, model): (usize, Model)| {
            Snapshot::of(&model, trained_schema(self.schema.clone(), &model), self.catalogue)
        };
        earlier.map(snapshot).transpose()?.map(Miner::of).transpose()
    }

    /// The best state so far of a training that was interrupted.
    fn earlier_best(&self, first: usize) -> Result<Option<(usize, Model, f64)>, TowerError> {
        let Some((validation, (step, model))) = self.validation.as_ref().zip(self.earlier(files::BEST, first)?) else {
            return Ok(None);
        };
        let schema = trained_schema(self.schema.clone(), &model);
        let recall = validation.judge(&model, schema, self.catalogue)?;
        Ok(Some((step, model, recall)))
    }

    /// A state that was kept at a step up to `first`.
    fn earlier(&self, name: &str, first: usize) -> Result<Option<(usize, Model)>, TowerError> {
        let mut model = self.model.clone();
        let step = checkpoint::load(&self.run.join(name), &mut model, &self.settings)?;
        Ok(step.filter(|step| (1..=first).contains(step)).map(|step| (step, model)))
    }

    /// Judges the model where it is time, and keeps the best one; whether the training should end.
    fn is_to_stop(&self, outcome: &mut Outcome, best: &mut Option<(usize, Model, f64)>) -> Result<bool, TowerError> {
        let Some(validation) = &self.validation else { return Ok(false) };
        let ([every, _], done) = (validation.rhythm(), outcome.done);
        if !done.is_multiple_of(every) && done < self.config.steps {
            return Ok(false);
        }
        let schema = trained_schema(self.schema.clone(), &self.model);
        let recall = validation.judge(&self.model, schema, self.catalogue)?;
        outcome.validations.push((done, recall));
        if best.as_ref().is_none_or(|(_, _, best)| recall > *best) {
            checkpoint::save(&self.run.join(files::BEST), &self.model, done, &self.settings)?;
            *best = Some((done, self.model.clone(), recall));
        }
        Ok(self.has_stopped(done, best.as_ref()))
    }

    /// Whether the best state is so old that there will be no better one.
    fn has_stopped(&self, done: usize, best: Option<&(usize, Model, f64)>) -> bool {
        let rhythm = self.validation.as_ref().map(Validation::rhythm);
        rhythm.zip(best).is_some_and(|([every, patience], (step, ..))| done - step >= every * patience)
    }
}

fn rates(train: &TrainConfig, step: usize) -> Rates {
    let rule = |rate| Rule { optimizer: train.optimizer, rate, step };
    let table = train.table_rate.rate(step, train.steps);
    let towers_are_settled = step as f32 >= train.steps as f32 * SETTLED;
    Rates {
        table: rule(table),
        ids: rule(table * train.warm_start.map_or(1.0, |warm| warm.rate)),
        repeats: rule(if towers_are_settled {
            train.table_rate.peak * SETTLED_REPEATS_RATE
        } else {
            table * REPEATS_RATE
        }),
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
