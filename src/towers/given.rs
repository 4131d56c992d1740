//! Towers that were trained elsewhere: a query tower as ONNX, and candidate embeddings as a table.
//!
//! | file | holds |
//! |---|---|
//! | `.parquet` | `item`: ids; `embedding`: lists of `dim` numbers |
//! | `.npy` | numbers `[items, dim]`, row-major; the ids are the lines of a text file |

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::npy::Npy;
use super::{QueryTower, TowerError, lower};
use crate::Digest;
use crate::data::{Config, Item, TowersConfig};
use crate::features::{FeatureSchema, HistorySchema};

/// Candidate embeddings by item.
#[derive(Debug)]
pub(super) struct GivenEmbeddings {
    path: PathBuf,
    rows: HashMap<String, usize>,
    /// `[rows, dim]`
    vectors: Vec<f32>,
    dim: usize,
}

/// Reads both towers that a configuration names.
pub(super) fn read(config: &Config, given: &TowersConfig) -> Result<(QueryTower, GivenEmbeddings), TowerError> {
    let (query, candidates) = (config.resolve(&given.query), config.resolve(&given.candidates));
    let dim = config.model.dim;
    let (ids, vectors) = match &given.ids {
        Some(ids) => read_npy(&candidates, &config.resolve(ids), dim)?,
        None => read_parquet(&candidates, dim)?,
    };
    let embeddings = GivenEmbeddings::new(candidates, ids, vectors, dim)?;
    let history = HistorySchema::of(&config.model);
    let schema = FeatureSchema { dim, history, categories: Vec::new() };
    let program = lower::compile(&query)?;
    // The epoch is the query tower's alone: an item that is embedded later is an update of the same release.
    let towers = Digest::of(&bytes_of(&query)?);
    let tower = QueryTower::new(schema, program, towers).map_err(|error| {
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
    Ok((tower, embeddings))
}

impl GivenEmbeddings {
    fn new(path: PathBuf, ids: Vec<String>, vectors: Vec<f32>, dim: usize) -> Result<Self, TowerError> {
        if let Some(at) = vectors.iter().position(|number| !number.is_finite()) {
            let (row, column) = (at / dim, at % dim);
            return Err(wrong(&path, format!("row {row}, column {column}"), vectors[at].to_string(), "finite numbers"));
        }
        let mut rows = HashMap::with_capacity(ids.len());
        for (row, id) in ids.into_iter().enumerate() {
            if let Some(before) = rows.insert(id.clone(), row) {
                return Err(wrong(
                    &path,
                    format!("rows {before} and {row}"),
                    format!("item {id:?} twice"),
                    "each once",
                ));
            }
        }
        Ok(Self { path, rows, vectors, dim })
    }

    /// The embeddings of a catalogue, `[items, dim]`.
    pub(super) fn of(&self, items: &[Item]) -> Result<Vec<f32>, TowerError> {
        let absent = || items.iter().filter(|item| !self.rows.contains_key(&item.id));
        if let Some(first) = absent().next() {
            let found =
                format!("no embedding of {} of {} items, {:?} among them", absent().count(), items.len(), first.id);
            return Err(wrong(&self.path, "items".to_owned(), found, "one of each item of the prepared catalogue"));
        }
        let row = |item: &Item| &self.vectors[self.rows[&item.id] * self.dim..][..self.dim];
        Ok(items.iter().flat_map(row).copied().collect())
    }
}

fn read_npy(path: &Path, ids: &Path, dim: usize) -> Result<(Vec<String>, Vec<f32>), TowerError> {
    let npy = Npy::read(&bytes_of(path)?)
        .map_err(|(place, found, expected)| wrong(path, place.to_owned(), found, expected))?;
    let Npy { shape: [rows, columns], numbers: vectors } = npy;
    if columns != dim {
        return Err(wrong(path, "shape".to_owned(), format!("[{rows}, {columns}]"), &format!("[items, {dim}]")));
    }
    let text = std::fs::read_to_string(ids).map_err(|source| TowerError::Io { path: ids.to_owned(), source })?;
    let ids_of: Vec<String> = text.lines().map(str::to_owned).collect();
    if ids_of.len() != rows {
        return Err(wrong(ids, "lines".to_owned(), ids_of.len().to_string(), &format!("{rows}, as rows of the array")));
    }
    Ok((ids_of, vectors))
}

fn read_parquet(path: &Path, dim: usize) -> Result<(Vec<String>, Vec<f32>), TowerError> {
    let file = File::open(path).map_err(|source| TowerError::Io { path: path.to_owned(), source })?;
    let unreadable = |found: String| wrong(path, "table".to_owned(), found, "a whole Parquet file");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(error.to_string()))?;
    let (mut ids, mut vectors) = (Vec::new(), Vec::new());
    for batch in batches {
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        read_batch(path, &batch, dim, (&mut ids, &mut vectors))?;
    }
    Ok((ids, vectors))
}

fn read_batch(
    path: &Path,
    batch: &RecordBatch,
    dim: usize,
    (ids, vectors): (&mut Vec<String>, &mut Vec<f32>),
) -> Result<(), TowerError> {
    let column = |name: &str, kind: &DataType, expected: &str| {
        let wrong = |found: String| wrong(path, format!("column '{name}'"), found, expected);
        let column = batch.column_by_name(name).ok_or_else(|| wrong("none".to_owned()))?;
        cast(column, kind).map_err(|_| wrong(column.data_type().to_string()))
    };
    let list = DataType::List(Field::new_list_field(DataType::Float32, true).into());
    let items = column("item", &DataType::Utf8, "ids, text or numbers")?;
    let lists = column("embedding", &list, "lists of numbers")?;
    let (items, lists) = (items.as_string::<i32>(), lists.as_list::<i32>());
    for row in 0..batch.num_rows() {
        let place = || format!("row {}", ids.len());
        if items.is_null(row) || lists.is_null(row) {
            return Err(wrong(path, place(), "null".to_owned(), "an id and an embedding"));
        }
        let embedding = lists.value(row);
        let numbers = embedding.as_primitive::<Float32Type>();
        if numbers.len() != dim || numbers.null_count() > 0 {
            let found = format!("{} numbers, {} of them null", numbers.len(), numbers.null_count());
            return Err(wrong(path, place(), found, &format!("{dim} numbers, as model.dim says")));
        }
        vectors.extend_from_slice(numbers.values());
        ids.push(items.value(row).to_owned());
    }
    Ok(())
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, TowerError> {
    std::fs::read(path).map_err(|source| TowerError::Io { path: path.to_owned(), source })
}

fn wrong(path: &Path, place: String, found: String, expected: &str) -> TowerError {
    TowerError::Embeddings { path: path.to_owned(), place, found, expected: expected.to_owned() }
}
