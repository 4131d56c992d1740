//! What a training left in a run folder, as a release takes it.

use std::path::Path;

use super::catalogue::Names;
use super::report::RankerReport;
use super::{RankerError, files, objective};
use crate::data::config::RankerConfig;
use crate::towers::{InputKind, Program, Ranker, RankerSchema, lower};

/// A trained ranker, and how its catalogue is numbered.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedRanker {
    /// The ranker.
    pub ranker: Ranker,
    /// The numbers of shelves and brands.
    pub names: Names,
}

impl TrainedRanker {
    /// Reads the ranker of a run folder; nothing where none was trained, or one without towers, which nothing can serve.
    ///
    /// # Errors
    /// [`RankerError`] for files that do not belong together, and an objective that is not right.
    pub fn read(run: &Path, config: &RankerConfig) -> Result<Option<Self>, RankerError> {
        if !run.join(files::RANKER).exists() {
            return Ok(None);
        }
        let report: RankerReport = read(run, files::REPORT)?;
        let names: Names = read(run, files::NAMES)?;
        let Some(towers) = report.towers.as_ref().and_then(|towers| towers.parse().ok()) else { return Ok(None) };
        let program = lower::compile(&run.join(files::RANKER))?;
        let tasks: Vec<String> = report.tasks.iter().map(|task| task.task.clone()).collect();
        let schema = RankerSchema {
            dim: dim(&program),
            vectors: program.inputs().len() > 2,
            own: config.own,
            objective: objective::parse(config.objective.as_deref(), &tasks)?,
            usual: names.usual(),
            tasks,
        };
        Ok(Some(Self { ranker: Ranker::new(schema, program, towers)?, names }))
    }
}

/// Length of the embeddings that a program reads: the second of two inputs of numbers.
fn dim(program: &Program) -> usize {
    match program.inputs().get(1) {
        Some((InputKind::Float, length)) => *length,
        _ => 0,
    }
}

fn read<T: serde::de::DeserializeOwned>(run: &Path, name: &str) -> Result<T, RankerError> {
    let path = run.join(name);
    let bytes = std::fs::read(&path).map_err(|source| RankerError::Io { path: path.clone(), source })?;
    serde_json::from_slice(&bytes).map_err(|error| RankerError::Stale { path, found: error.to_string() })
}
