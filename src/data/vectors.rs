//! Vectors of items that were computed elsewhere.
//!
//! | file | holds |
//! |---|---|
//! | `.parquet` | `item`: ids; `embedding`: lists of equally many numbers |
//! | `.npy` | numbers `[items, width]`, row-major; the ids are the lines of a text file |

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListBuilder, Float32Builder, RecordBatch, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::npy::Npy;

/// A table of vectors that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    /// A file could not be read.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What it holds is not such a table.
    #[error("{}: {place}: found {found}, expected {expected}; write the vectors again", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Row, column or part.
        place: String,
        /// What is there.
        found: String,
        /// What is needed.
        expected: String,
    },
}

/// Writes vectors as Parquet: `name`, the ids, and `embedding`, lists of `width` numbers.
///
/// # Errors
/// [`VectorsError::Io`] if the file cannot be written.
pub fn write_vectors<'i>(
    path: &Path,
    (name, ids): (&str, impl Iterator<Item = &'i str>),
    vectors: &[f32],
    width: usize,
) -> Result<(), VectorsError> {
    let failed = |source: std::io::Error| VectorsError::Io { path: path.to_owned(), source };
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
    let mut lists = FixedSizeListBuilder::new(Float32Builder::with_capacity(vectors.len()), width as i32);
    for vector in vectors.chunks_exact(width) {
        lists.values().append_slice(vector);
        lists.append(true);
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let batch = RecordBatch::try_from_iter([(name, ids), ("embedding", lists)]).map_err(|e| failed(io(e)))?;
    let file = File::create(path).map_err(failed)?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(|e| failed(io(e)))?;
    writer.write(&batch).and_then(|()| writer.close().map(drop)).map_err(|e| failed(io(e)))
}

fn io(error: impl std::error::Error + Send + Sync + 'static) -> std::io::Error {
    std::io::Error::other(error)
}

/// How long vectors have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// As the first one.
    Any,
    /// As long as `model.dim` says.
    Dim(usize),
}

impl Width {
    fn fits(self, found: usize) -> bool {
        found > 0 && (self == Self::Any || self == Self::Dim(found))
    }

    fn shape(self) -> String {
        match self {
            Self::Any => "[items, width]".to_owned(),
            Self::Dim(dim) => format!("[items, {dim}]"),
        }
    }
}

/// Vectors by item.
#[derive(Debug)]
pub(crate) struct VectorTable {
    pub(crate) path: PathBuf,
    rows: HashMap<String, usize>,
    /// `[rows, width]`
    vectors: Vec<f32>,
    pub(crate) width: usize,
}

impl VectorTable {
    /// Reads a `.npy` file with its `ids`, or else Parquet.
    pub(crate) fn read(path: PathBuf, ids: Option<&Path>, width: Width) -> Result<Self, VectorsError> {
        let (ids, vectors, width) = match ids {
            Some(ids) => read_npy(&path, ids, width)?,
            None => read_parquet(&path, width)?,
        };
        if let Some(at) = vectors.iter().position(|number| !number.is_finite()) {
            let place = format!("row {}, column {}", at / width, at % width);
            return Err(wrong(&path, place, vectors[at].to_string(), "finite numbers"));
        }
        let mut rows = HashMap::with_capacity(ids.len());
        for (row, id) in ids.into_iter().enumerate() {
            if let Some(before) = rows.insert(id.clone(), row) {
                let found = format!("item {id:?} twice");
                return Err(wrong(&path, format!("rows {before} and {row}"), found, "each once"));
            }
        }
        Ok(Self { path, rows, vectors, width })
    }

    /// The vector of an item, if it has one.
    pub(crate) fn of(&self, id: &str) -> Option<&[f32]> {
        self.rows.get(id).map(|row| &self.vectors[row * self.width..][..self.width])
    }
}

/// Ids, vectors and their width.
type Read = Result<(Vec<String>, Vec<f32>, usize), VectorsError>;

fn read_npy(path: &Path, ids: &Path, width: Width) -> Read {
    let bytes = std::fs::read(path).map_err(|source| VectorsError::Io { path: path.to_owned(), source })?;
    let npy = Npy::read(&bytes).map_err(|(place, found, expected)| wrong(path, place.to_owned(), found, expected))?;
    let Npy { shape: [rows, columns], numbers: vectors } = npy;
    if !width.fits(columns) {
        return Err(wrong(path, "shape".to_owned(), format!("[{rows}, {columns}]"), &width.shape()));
    }
    let text = std::fs::read_to_string(ids).map_err(|source| VectorsError::Io { path: ids.to_owned(), source })?;
    let ids_of: Vec<String> = text.lines().map(str::to_owned).collect();
    if ids_of.len() != rows {
        return Err(wrong(ids, "lines".to_owned(), ids_of.len().to_string(), &format!("{rows}, as rows of the array")));
    }
    Ok((ids_of, vectors, columns))
}

fn read_parquet(path: &Path, mut width: Width) -> Read {
    let file = File::open(path).map_err(|source| VectorsError::Io { path: path.to_owned(), source })?;
    let unreadable = |found: String| wrong(path, "table".to_owned(), found, "a whole Parquet file");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(error.to_string()))?;
    let (mut ids, mut vectors) = (Vec::new(), Vec::new());
    for batch in batches {
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        read_batch(path, &batch, &mut width, (&mut ids, &mut vectors))?;
    }
    match width {
        Width::Dim(width) => Ok((ids, vectors, width)),
        Width::Any => Err(wrong(path, "table".to_owned(), "no row".to_owned(), "a vector at least")),
    }
}

fn read_batch(
    path: &Path,
    batch: &RecordBatch,
    width: &mut Width,
    (ids, vectors): (&mut Vec<String>, &mut Vec<f32>),
) -> Result<(), VectorsError> {
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
        if !width.fits(numbers.len()) || numbers.null_count() > 0 {
            let found = format!("{} numbers, {} of them null", numbers.len(), numbers.null_count());
            let expected = match width {
                Width::Any => "numbers".to_owned(),
                Width::Dim(dim) => format!("{dim} numbers, as in every row"),
            };
            return Err(wrong(path, place(), found, &expected));
        }
        *width = Width::Dim(numbers.len());
        vectors.extend_from_slice(numbers.values());
        ids.push(items.value(row).to_owned());
    }
    Ok(())
}

fn wrong(path: &Path, place: String, found: String, expected: &str) -> VectorsError {
    VectorsError::Content { path: path.to_owned(), place, found, expected: expected.to_owned() }
}
