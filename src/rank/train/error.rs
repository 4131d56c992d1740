//! What can be wrong with the training of a ranker.

use crate::data::ImpressionsError;
use crate::towers::TowerError;

/// An error of the training of a ranker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RankerError {
    /// Too few impressions, or all of one moment.
    #[error(
        "ranker: found {found} impressions that do not divide by time, expected some before and some in the last fifth; log for longer"
    )]
    Few {
        /// Impressions of items in the catalogue.
        found: usize,
    },
    /// Too few shoppers who came back.
    #[error(
        "ranker: found {found} shoppers with events before and after the validation split, expected some to train with and some to judge \
         on; log for longer, or give impressions"
    )]
    Shoppers {
        /// How many.
        found: usize,
    },
    /// A task that never happened, or always did.
    #[error(
        "ranker: found {found} of {of} training impressions with a {task}, expected some with and some without; \
         log for longer, or set ranker.tasks.{task} = 0"
    )]
    Constant {
        /// The task.
        task: &'static str,
        /// How often it happened.
        found: usize,
        /// Among so many.
        of: usize,
    },
    /// What is known of items and towers has seen what happened after these impressions.
    #[error(
        "ranker: found impressions from {first_ms} ms on, expected none before split.test_from = {from_ms} ms: popularity and the towers' \
         scores know what happened until then; leave the earlier ones out, or set an earlier split and prepare again"
    )]
    BeforeSplit {
        /// The first one.
        first_ms: i64,
        /// The split.
        from_ms: i64,
    },
    /// An objective that is no formula.
    #[error("ranker.objective, character {column}: found {found}, expected {expected}; see docs/configuration.md")]
    Objective {
        /// From 1.
        column: usize,
        /// What is there.
        found: String,
        /// What could be.
        expected: String,
    },
    /// A file of a training by another version, or with other towers.
    #[error("{}: {found}; train the ranker again", path.display())]
    Stale {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        found: String,
    },
    /// Somebody stopped the training of its towers.
    #[error("ranker: stopped while its towers were trained, and nothing has changed; run it again to go on")]
    Stopped,
    /// The loss is no number any more.
    #[error("ranker: found a loss of {found} in step {step}, expected a finite number; lower ranker.rate.peak")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        found: f32,
    },
    /// A picture that could not be drawn.
    #[error("ranker: chart of calibration: found {found}, expected a drawing; report this as a defect")]
    Chart {
        /// What went wrong.
        found: String,
    },
    /// Impressions that cannot be used.
    #[error(transparent)]
    Impressions(#[from] ImpressionsError),
    /// The network could not be lowered or run.
    #[error(transparent)]
    Tower(#[from] TowerError),
    /// A file could not be written.
    #[error("{}: {source}; check the folder", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
