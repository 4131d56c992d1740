//! Where plans end: one file per table, the same bytes for the same rows.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::{BatchCoalescer, cast};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::DataError;
use super::source::is_parquet;

/// Rows per batch, everywhere.
pub(super) const BATCH_ROWS: usize = 8192;

/// A bar on standard error; without a length, a count.
pub(super) fn progress(what: &'static str, bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{msg} {wide_bar} {bytes}/{total_bytes} {eta}"),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {human_pos} rows {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}

/// For `map_err`: names the step; [`limit`] later tells a memory limit from the rest.
pub(super) fn query(step: &'static str) -> impl FnOnce(DataFusionError) -> DataError {
    move |source| DataError::Query { step, source: Box::new(source) }
}

/// The typed error behind an error of the query engine: `sources` are the files it may have been reading.
pub(super) fn explain(error: DataError, mib: usize, sources: &[&Path]) -> DataError {
    let DataError::Query { step, source } = error else { return error };
    match source.find_root() {
        DataFusionError::ResourcesExhausted(reason) => DataError::Memory { step, mib, reason: reason.clone() },
        root if is_damage(root) => {
            let reason = root.to_string();
            let path = sources.iter().find(|path| is_parquet(path) && damaged(path)).copied();
            match path {
                Some(path) => DataError::Unreadable { path: path.into(), format: "Parquet", reason },
                None => DataError::Query { step, source },
            }
        }
        _ => DataError::Query { step, source },
    }
}

fn is_damage(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::ParquetError(_) => true,
        DataFusionError::ArrowError(error, _) => {
            matches!(**error, ArrowError::ParquetError(_) | ArrowError::ExternalError(_) | ArrowError::IoError(..))
        }
        DataFusionError::External(error) => error.is::<ParquetError>(),
        _ => false,
    }
}

/// Whether reading the whole file fails: only asked once something has already failed.
fn damaged(path: &Path) -> bool {
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let Ok(file) = File::open(path) else { return true };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
    reader.map_or(true, |mut batches| batches.any(|batch| batch.is_err()))
}

/// A schema of nullable columns.
pub(super) fn schema<'a>(columns: impl IntoIterator<Item = (&'a str, DataType)>) -> SchemaRef {
    Arc::new(Schema::new(columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>()))
}

/// Runs the plan and hands over its rows in batches of [`BATCH_ROWS`] (the last one may be shorter), cast to `schema`.
///
/// How rows arrive in batches depends on spills and threads; what leaves here does not.
async fn for_each_batch(
    frame: DataFrame,
    schema: &SchemaRef,
    step: &'static str,
    mut each: impl FnMut(&RecordBatch) -> Result<(), DataError>,
) -> Result<u64, DataError> {
    let bar = progress(step, None);
    let mut stream = frame.execute_stream().await.map_err(query(step))?;
    let mut coalescer = BatchCoalescer::new(Arc::clone(schema), BATCH_ROWS);
    let mut rows = 0;
    loop {
        let next = stream.next().await.transpose().map_err(query(step))?;
        let ended = next.is_none();
        match next {
            Some(batch) => {
                let batch = typed(&batch, schema).map_err(|e| query(step)(e.into()))?;
                coalescer.push_batch(batch).map_err(|e| query(step)(e.into()))?;
            }
            None => coalescer.finish_buffered_batch().map_err(|e| query(step)(e.into()))?,
        }
        while let Some(batch) = coalescer.next_completed_batch() {
            rows += batch.num_rows() as u64;
            bar.set_position(rows);
            each(&batch)?;
        }
        if ended {
            bar.finish_and_clear();
            return Ok(rows);
        }
    }
}

fn typed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// How Parquet is written.
pub(super) fn properties() -> Result<WriterPropertiesBuilder, ParquetError> {
    Ok(WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?)))
}

/// Writes the rows of a plan as one Parquet file and counts them.
pub(super) async fn write_parquet(
    frame: DataFrame,
    schema: &SchemaRef,
    path: &Path,
    step: &'static str,
) -> Result<u64, DataError> {
    let file = File::create(path).map_err(DataError::io(path))?;
    let properties = properties().map_err(DataError::unreadable(path, "Parquet"))?.build();
    let mut writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))
        .map_err(DataError::unreadable(path, "Parquet"))?;
    let rows = for_each_batch(frame, schema, step, |batch| {
        writer.write(batch).map_err(DataError::unreadable(path, "Parquet"))
    })
    .await?;
    writer.close().map_err(DataError::unreadable(path, "Parquet"))?;
    Ok(rows)
}

/// Appends the rows of a plan of text columns and integers to a CSV file.
pub(super) async fn append_csv<W: Write>(
    frame: DataFrame,
    schema: &SchemaRef,
    writer: &mut csv::Writer<W>,
    path: &Path,
) -> Result<u64, DataError> {
    let failed = |error: csv::Error| DataError::Io { path: path.into(), source: error.into() };
    for_each_batch(frame, schema, "listing rejected rows", |batch| {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                writer.write_field(text(column, row)).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
        Ok(())
    })
    .await
}

fn text(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    }
}

/// A small result: name and count per row.
pub(super) async fn counts(frame: DataFrame, step: &'static str) -> Result<Vec<(String, u64)>, DataError> {
    let schema = schema([("name", DataType::Utf8), ("count", DataType::Int64)]);
    let mut found = Vec::new();
    for_each_batch(frame, &schema, step, |batch| {
        let (names, counts) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        found.extend((0..batch.num_rows()).map(|row| (names.value(row).to_owned(), counts.value(row) as u64)));
        Ok(())
    })
    .await?;
    Ok(found)
}
