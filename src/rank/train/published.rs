//! What a training left in a run folder, as a release takes it.

use std::path::Path;

use super::catalogue::Names;
use super::report::RankerReport;
use super::{RankerError, files, objective};
use crate::Digest;
use crate::data::Dataset;
use crate::data::config::RankerConfig;
use crate::features::ranking::{ItemFacts, price_step};
use crate::release::{RankerColumns, RankerInput};
use crate::towers::{InputKind, Program, Ranker, RankerSchema, Term, lower};

/// A trained ranker, and how its catalogue is numbered.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedRanker {
    /// The ranker.
    pub ranker: Ranker,
    /// The numbers of shelves and brands.
    pub names: Names,
}

impl TrainedRanker {
    /// Reads the ranker of a run folder for towers; nothing where none was trained.
    ///
    /// # Errors
    /// [`RankerError`] for files that do not belong together, and an objective that is not right.
    pub fn read(run: &Path, config: &RankerConfig, towers: Digest) -> Result<Option<Self>, RankerError> {
        if !run.join(files::RANKER).exists() {
            return Ok(None);
        }
        let report: RankerReport = read(run, files::REPORT)?;
        let names: Names = read(run, files::NAMES)?;
        let program = lower::compile(&run.join(files::RANKER))?;
        // Scores mean the same for all towers of a kind, embeddings only for those that made them.
        let trained = report.towers.unwrap_or_default();
        let stale = |found| Err(RankerError::Stale { path: run.join(files::RANKER), found });
        if dim(&program) > 0 && trained != towers.to_string() {
            return stale(format!("found a ranker that reads embeddings of towers {trained}, expected {towers}"));
        }
        let (found, expected) = (report.history, config.history);
        if found != expected {
            return stale(format!(
                "found a ranker of histories of {found} items, expected ranker.history = {expected}"
            ));
        }
        let tasks: Vec<String> = report.tasks.iter().map(|task| task.task.clone()).collect();
        let schema = RankerSchema {
            dim: dim(&program),
            vectors: program.inputs().len() > 2,
            history: config.history,
            own: config.own,
            objective: objective::parse(config.objective.as_deref(), &tasks)?,
            usual: names.usual(),
            tasks,
        };
        Ok(Some(Self { ranker: Ranker::new(schema, program, towers)?, names }))
    }

    /// What a release of a catalogue has of it.
    pub fn input(&self, dataset: &Dataset) -> RankerInput {
        let facts = self.names.facts(dataset);
        let each = |of: &dyn Fn(&ItemFacts) -> Option<u64>| facts.iter().map(of).collect();
        let columns = RankerColumns {
            shelves: each(&|facts| facts.shelf.map(u64::from)),
            brands: each(&|facts| facts.brand.map(u64::from)),
            price_steps: each(&|facts| Some(price_step(facts.price_rank).into())),
            recent: each(&|facts| Some(facts.recent)),
        };
        let terms = self.ranker.schema().objective.terms().iter();
        let objective = terms.filter_map(|term| if let Term::Column(name) = term { Some(name.clone()) } else { None });
        RankerInput { file: self.ranker.write(), columns, objective: objective.collect() }
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
