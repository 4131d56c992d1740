//! A shop's files as tables: the one place that knows formats.
//!
//! Parquet is registered as it is. Text is landed first: record by record turned into a Parquet file of text columns, so that every
//! plan after it reads Parquet only, and a row that cannot be parsed is a row with a fault and not the end of the run. A further
//! format or an object store is one more arm of [`register`].
//!
//! Every registered table has, before the source's own columns:
//!
//! | column | type | holds |
//! |---|---|---|
//! | `__record` | Int64 | line of a text file (the header is line 1), row of a Parquet file (the first is 1) |
//! | `__fault` | Utf8 | why the row could not be read at all; null for a whole row |
//! | `__fault_value` | Utf8 | what was found instead |

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::ByteRecord;
use datafusion::arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext};

use super::DataError;
use super::sink::{BATCH_ROWS, progress, query};

pub(super) const RECORD: &str = "__record";
pub(super) const FAULT: &str = "__fault";
pub(super) const FAULT_VALUE: &str = "__fault_value";

/// A longer record is taken for a quote that is never closed.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// Appended to every text as a last record: if it does not come back as one, a quote before it is still open.
const END: &str = "\u{1e}end of the text";

/// One source, ready to be queried.
pub(super) struct Source {
    /// The shop's file, for messages.
    pub(super) path: PathBuf,
    /// Rows of the file.
    pub(super) rows: u64,
    /// The rows, with the three columns of the module's table.
    pub(super) frame: DataFrame,
}

fn lower_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether plans read the file itself, and not what was landed of it.
pub(super) fn is_parquet(path: &Path) -> bool {
    lower_name(path).ends_with(".parquet")
}

/// Makes the file at `path` a table of `ctx`, named `name`. `stage` takes what has to be landed.
pub(super) async fn register(ctx: &SessionContext, name: &str, path: &Path, stage: &Path) -> Result<Source, DataError> {
    let file_name = lower_name(path);
    let size = std::fs::metadata(path).map_err(DataError::io(path))?.len();
    let landed = stage.join(format!("{name}.landed.parquet"));
    let as_it_is = format!("SELECT * FROM {name}_file");
    let (parquet, sql) = if is_parquet(path) {
        let numbered = format!(
            "SELECT CAST(row_number() OVER () AS BIGINT) AS {RECORD}, CAST(NULL AS VARCHAR) AS {FAULT}, \
             CAST(NULL AS VARCHAR) AS {FAULT_VALUE}, * FROM {name}_file"
        );
        (path, numbered)
    } else if file_name.ends_with(".csv") || file_name.ends_with(".csv.gz") {
        land_csv(path, size, file_name.ends_with(".gz"), &landed)?;
        (landed.as_path(), as_it_is)
    } else {
        let found = Path::new(&file_name).extension().map(|e| e.to_string_lossy().into_owned());
        return Err(DataError::UnknownFormat { path: path.into(), found: found.unwrap_or_default() });
    };
    let rows = parquet_rows(parquet, size).map_err(|error| match error {
        DataError::Empty { .. } => DataError::Empty { path: path.into() },
        other => other,
    })?;
    let table = format!("{name}_file");
    let extension = parquet.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let options = ParquetReadOptions { file_extension: &extension, ..Default::default() };
    ctx.register_parquet(&table, parquet.to_string_lossy(), options).await.map_err(query("opening the source"))?;
    let frame = ctx.sql(&sql).await.map_err(query("opening the source"))?;
    Ok(Source { path: path.into(), rows, frame })
}

/// Rows by the footer, which is at the end: a cut file is noticed here.
fn parquet_rows(path: &Path, size: u64) -> Result<u64, DataError> {
    if size == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let file = File::open(path).map_err(DataError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(DataError::unreadable(path, "Parquet"))?;
    match builder.metadata().file_metadata().num_rows() {
        rows if rows > 0 => Ok(rows as u64),
        _ => Err(DataError::Empty { path: path.into() }),
    }
}

fn land_csv(path: &Path, size: u64, gzip: bool, landed: &Path) -> Result<(), DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let bar = progress("reading", Some(size));
    let file = bar.wrap_read(BufReader::new(file));
    let read: Box<dyn Read> = if gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(ended(UnixLines::new(read)));
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(source) if gzip => {
            DataError::Unreadable { path: path.into(), format: "gzip", reason: source.to_string() }
        }
        csv::ErrorKind::Io(source) => DataError::Io { path: path.into(), source },
        other => DataError::Unreadable { path: path.into(), format: "CSV", reason: format!("{other:?}") },
    };
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(failed)? || is_end(&record) {
        return Err(DataError::Empty { path: path.into() });
    }
    let header = header(path, &record)?;
    let mut rows = Landing::create(landed, &header)?;
    let mut line = 1;
    loop {
        let (bytes, next) = (record.as_slice().len(), reader.position().line());
        let more = bytes <= MAX_RECORD_BYTES && reader.read_byte_record(&mut record).map_err(failed)?;
        if !more {
            let found = format!("a record of {bytes} bytes without an end");
            return Err(DataError::Malformed { path: path.into(), line, found, expected: "every quote to be closed" });
        }
        if is_end(&record) {
            break;
        }
        line = next;
        // The reader says where it was before it skipped blank lines; from behind the record its own lines are known.
        let of_record = record.as_slice().split(|&byte| byte == b'\n').count() as u64;
        rows.push(reader.position().line().saturating_sub(of_record), &record)?;
    }
    bar.finish_and_clear();
    rows.finish()
}

/// Text whose lines end as on Unix, also those inside of quotes: a reader that meets `\r\n` counts the line only when it goes on.
struct UnixLines<R> {
    text: R,
    /// A `\r` at the end of what was read last: a part of a line's end if `\n` follows.
    held: bool,
}

impl<R: Read> UnixLines<R> {
    fn new(text: R) -> Self {
        Self { text, held: false }
    }
}

impl<R: Read> Read for UnixLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.len() < 2 {
            return Err(std::io::Error::other("a buffer without room for the two bytes of a line's end"));
        }
        loop {
            let start = usize::from(self.held);
            let len = self.text.read(&mut buffer[start..])?;
            if len == 0 {
                let rest = usize::from(std::mem::take(&mut self.held));
                buffer[..rest].fill(b'\r');
                return Ok(rest);
            }
            if self.held {
                buffer[0] = b'\r';
            }
            let (mut kept, end) = (0, start + len);
            self.held = buffer[end - 1] == b'\r';
            for at in 0..end - usize::from(self.held) {
                if buffer[at] != b'\r' || buffer[at + 1] != b'\n' {
                    buffer[kept] = buffer[at];
                    kept += 1;
                }
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

fn ended(text: impl Read) -> impl Read {
    text.chain(b"\n".as_slice()).chain(END.as_bytes())
}

fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && record.as_slice() == END.as_bytes()
}

fn header(path: &Path, record: &ByteRecord) -> Result<Vec<String>, DataError> {
    let mut names: Vec<String> = Vec::new();
    for (position, bytes) in record.iter().enumerate() {
        let bytes = if position == 0 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        let name = String::from_utf8_lossy(bytes).trim().to_owned();
        if name.starts_with("__") || names.contains(&name) {
            let found = format!("column name '{name}'");
            let expected = "column names that differ and do not start with two underscores";
            return Err(DataError::Malformed { path: path.into(), line: 1, found, expected });
        }
        names.push(name);
    }
    Ok(names)
}

/// Text rows on their way into a Parquet file.
struct Landing<'a> {
    path: &'a Path,
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    record: Int64Builder,
    /// Fault, its value, then the source's columns.
    columns: Vec<StringBuilder>,
    rows: usize,
}

impl<'a> Landing<'a> {
    fn create(path: &'a Path, header: &[String]) -> Result<Self, DataError> {
        let names = [FAULT, FAULT_VALUE].into_iter().chain(header.iter().map(String::as_str));
        let fields = names.map(|name| Field::new(name, DataType::Utf8, true));
        let fields: Vec<_> = [Field::new(RECORD, DataType::Int64, false)].into_iter().chain(fields).collect();
        let columns = (1..fields.len()).map(|_| StringBuilder::new()).collect();
        let schema = Arc::new(Schema::new(fields));
        let file = File::create(path).map_err(DataError::io(path))?;
        let writer =
            ArrowWriter::try_new(file, Arc::clone(&schema), None).map_err(DataError::unreadable(path, "Parquet"))?;
        Ok(Self { path, writer, schema, record: Int64Builder::new(), columns, rows: 0 })
    }

    fn push(&mut self, line: u64, record: &ByteRecord) -> Result<(), DataError> {
        let expected = self.columns.len() - 2;
        let not_text = record.iter().position(|field| std::str::from_utf8(field).is_err());
        let (fault, value) = if record.len() != expected {
            (Some("wrong number of fields"), Some(record.len().to_string()))
        } else if let Some(position) = not_text {
            (Some("not UTF-8"), record.get(position).map(|f| String::from_utf8_lossy(f).into_owned()))
        } else {
            (None, None)
        };
        self.record.append_value(line as i64);
        self.columns[0].append_option(fault);
        self.columns[1].append_option(value);
        for (position, column) in self.columns[2..].iter_mut().enumerate() {
            let field = record.get(position).filter(|f| !f.is_empty());
            column.append_option(field.map(String::from_utf8_lossy));
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), DataError> {
        self.rows = 0;
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(self.record.finish())];
        arrays.extend(self.columns.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(DataError::unreadable(self.path, "Parquet"))?;
        self.writer.write(&batch).map_err(DataError::unreadable(self.path, "Parquet"))
    }

    fn finish(mut self) -> Result<(), DataError> {
        self.flush()?;
        self.writer.close().map_err(DataError::unreadable(self.path, "Parquet"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives as few bytes at a time as it is told, so that the ends of lines fall between reads.
    struct Slow<'t>(&'t [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let len = self.1.min(buffer.len());
            self.0.read(&mut buffer[..len])
        }
    }

    #[test]
    fn lines_end_as_on_unix_wherever_reads_are_cut() {
        let (text, expected) = ("a\r\nb\r\r\n\r\nc\rd\n\r", "a\nb\r\n\nc\rd\n\r");
        for step in 1..=text.len() {
            for room in [2, 3, 64] {
                let mut lines = UnixLines::new(Slow(text.as_bytes(), step));
                let (mut read, mut buffer) = (Vec::new(), vec![0; room]);
                loop {
                    match lines.read(&mut buffer).unwrap() {
                        0 => break,
                        len => read.extend_from_slice(&buffer[..len]),
                    }
                }
                assert_eq!(String::from_utf8(read).unwrap(), expected, "{step} bytes at a time into {room}");
            }
        }
    }
}
