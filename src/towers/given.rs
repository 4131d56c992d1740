//! Towers that were trained elsewhere: a query tower as ONNX, and candidate embeddings as a [table](crate::data::vectors).

use std::path::Path;

use super::engine::Graph;
use super::{QueryTower, Runner, TowerError, lower};
use crate::Digest;
use crate::data::config::ModelConfig;
use crate::data::vectors::{VectorTable, Width};
use crate::data::{Config, Item, TowersConfig, VectorsError};
use crate::features::{FeatureSchema, HistorySchema};

/// Candidate embeddings by item.
#[derive(Debug)]
pub(super) struct GivenEmbeddings(VectorTable);

/// Reads both towers that a configuration names, and says what of the query tower has no lowering.
pub(super) fn read(
    config: &Config,
    given: &TowersConfig,
) -> Result<(QueryTower, Option<String>, GivenEmbeddings), TowerError> {
    let (query, candidates) = (config.resolve(&given.query), config.resolve(&given.candidates));
    let dim = config.model.dim;
    let ids = given.ids.as_ref().map(|ids| config.resolve(ids));
    let embeddings = GivenEmbeddings(VectorTable::read(candidates, ids.as_deref(), Width::Dim(dim))?);
    let ModelConfig { history, history_decay, history_count_power, .. } = config.model;
    let history = HistorySchema::of_items(history, history_decay, history_count_power);
    let schema = FeatureSchema { dim, history, categories: Vec::new(), user: None };
    let (runner, unlowered) = runner(&query)?;
    // The epoch is the query tower's alone: an item that is embedded later is an update of the same release.
    let bytes = std::fs::read(&query).map_err(|source| TowerError::Io { path: query.clone(), source })?;
    let towers = Digest::of(&bytes);
    let tower = QueryTower::new(schema, runner, towers).map_err(|error| {
        let length = config.model.history;
        TowerError::Onnx {
            path: query,
            place: "inputs and output".to_owned(),
            found: error.to_string(),
            expected: format!(
                "inputs history [batch, {length}, {dim}] and weights [batch, {length}], output [batch, {dim}]"
            ),
            remedy: "set dim and history of [model] to those of the tower, or export it with these inputs",
        }
    })?;
    if let Runner::Graph(graph) = tower.runner() {
        graph.trial().map_err(|error| lower::in_file(&config.resolve(&given.query), error))?;
    }
    Ok((tower, unlowered, embeddings))
}

/// The program that a query tower is lowered to, or its graph and what has no lowering.
fn runner(path: &Path) -> Result<(Runner, Option<String>), TowerError> {
    match lower::lower(path, &lower::read(path)?) {
        Ok(program) => Ok((program.into(), None)),
        Err(TowerError::Onnx { place, found, .. }) => {
            let bytes = std::fs::read(path).map_err(|source| TowerError::Io { path: path.to_owned(), source })?;
            let graph = Graph::open(&bytes).map_err(|error| lower::in_file(path, error))?;
            Ok((graph.into(), Some(format!("{place} is {found}"))))
        }
        Err(error) => Err(error),
    }
}

impl GivenEmbeddings {
    /// The embeddings of a catalogue, `[items, dim]`.
    pub(super) fn of(&self, items: &[Item]) -> Result<Vec<f32>, TowerError> {
        let Self(table) = self;
        let absent = || items.iter().filter(|item| table.of(&item.id).is_none());
        if let Some(first) = absent().next() {
            return Err(TowerError::Embeddings {
                path: table.path.clone(),
                place: "items".to_owned(),
                found: format!(
                    "no embedding of {} of {} items, {:?} among them",
                    absent().count(),
                    items.len(),
                    first.id
                ),
                expected: "one of each item of the prepared catalogue".to_owned(),
            });
        }
        Ok(items.iter().filter_map(|item| table.of(&item.id)).flatten().copied().collect())
    }
}

impl From<VectorsError> for TowerError {
    fn from(error: VectorsError) -> Self {
        match error {
            VectorsError::Io { path, source } => Self::Io { path, source },
            VectorsError::Content { path, place, found, expected } => Self::Embeddings { path, place, found, expected },
        }
    }
}
