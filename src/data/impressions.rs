//! What shoppers were shown, and how far each of them went with it.
//!
//! | column | type | holds |
//! |---|---|---|
//! | `user` | text | who; null, or nobody of the events: a shopper without a history |
//! | `item` | text | an id of the catalogue; rows of other items are counted and left out |
//! | `time` | timestamp, or milliseconds since 1970 | when, in the shop's local time |
//! | `position` | integer | slot of the slate, from 0 |
//! | `click`, `cart`, `purchase` | boolean, or 0 and 1 | a funnel: what was bought was in the cart, what was in the cart was clicked |
//!
//! A simulation's truth is a table of its own, so that no training reads it by accident: `p_click`, `p_cart` and `p_purchase` for each
//! row of the impressions, in their order, with `item` and `position` to check it by.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt16Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType, UInt16Type};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::file::metadata::KeyValue;

use super::Dataset;
use super::sink;
use crate::platform::files::write_atomically;

/// What a shopper may do with an item that is shown, in the order of the funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Look at it.
    Click,
    /// Put it into the cart.
    Cart,
    /// Buy it.
    Purchase,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Click, Self::Cart, Self::Purchase];

    /// Its name, which is that of its column.
    pub fn name(self) -> &'static str {
        ["click", "cart", "purchase"][self as usize]
    }

    /// The truth's column.
    fn truth(self) -> &'static str {
        ["p_click", "p_cart", "p_purchase"][self as usize]
    }
}

/// One item that was shown. `item` indexes [`Dataset::items`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impression {
    /// To whom, in [`Dataset::users`]; `None` for somebody without events.
    pub user: Option<u32>,
    /// What.
    pub item: u32,
    /// When: milliseconds since 1970-01-01, in the shop's local time.
    pub time_ms: i64,
    /// Slot of the slate, from 0.
    pub position: u16,
    /// The last step of the funnel that the shopper took.
    pub furthest: Option<Task>,
    /// Row of the file.
    pub row: u32,
}

impl Impression {
    /// Whether the shopper took this step of the funnel.
    pub fn reached(&self, task: Task) -> bool {
        self.furthest >= Some(task)
    }
}

/// A file of impressions, in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Impressions {
    /// In order of time, then row.
    pub rows: Vec<Impression>,
    /// Rows of the file.
    pub read: usize,
    /// Rows of items that are not in the catalogue.
    pub outside: usize,
}

/// Impressions or a truth that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImpressionsError {
    /// A file could not be read or written.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What it holds is not such a table.
    #[error("{}: {place}: found {found}, expected {expected}; write the file again", path.display())]
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

type Outcome<T> = Result<T, ImpressionsError>;

impl Impressions {
    /// Reads a Parquet file.
    ///
    /// # Errors
    /// [`ImpressionsError`] naming the row or column.
    pub fn read(path: &Path, dataset: &Dataset) -> Outcome<Self> {
        let user_of: HashMap<&str, u32> = dataset.users.iter().map(|user| user.id.as_str()).zip(0..).collect();
        let item_of: HashMap<&str, u32> = dataset.items.iter().map(|item| item.id.as_str()).zip(0..).collect();
        let mut found = Self::default();
        for_each_batch(path, |batch| {
            let table = Table { path, batch, first: found.read };
            let users = table.column("user", &DataType::Utf8, "text")?;
            let items = table.required("item", &DataType::Utf8, "ids")?;
            let times = table.times()?;
            let positions = table.required("position", &DataType::UInt16, "slots from 0 to 65535")?;
            let [clicks, carts, purchases] =
                Task::ALL.map(|task| table.required(task.name(), &DataType::Boolean, "true or false"));
            let (clicks, carts, purchases) = (clicks?, carts?, purchases?);
            let (users, items) = (users.as_string::<i32>(), items.as_string::<i32>());
            let (times, positions) = (times.as_primitive::<Int64Type>(), positions.as_primitive::<UInt16Type>());
            for row in 0..batch.num_rows() {
                let steps = [&clicks, &carts, &purchases].map(|column| column.as_boolean().value(row));
                let furthest = table.furthest(row, steps)?;
                let Some(&item) = item_of.get(items.value(row)) else {
                    found.outside += 1;
                    continue;
                };
                let user = users.is_valid(row).then(|| user_of.get(users.value(row)).copied()).flatten();
                let row_of_file =
                    u32::try_from(found.read + row).map_err(|_| table.wrong("rows", "more", "at most 4294967296"))?;
                let (time_ms, position) = (times.value(row), positions.value(row));
                found.rows.push(Impression { user, item, time_ms, position, furthest, row: row_of_file });
            }
            found.read += batch.num_rows();
            Ok(())
        })?;
        found.rows.sort_by_key(|impression| (impression.time_ms, impression.row));
        Ok(found)
    }

    /// Writes a Parquet file: the rows in their order, and what they are in its metadata under `origin`.
    ///
    /// # Errors
    /// [`ImpressionsError::Io`] if it cannot be written.
    pub fn write(rows: &[Impression], dataset: &Dataset, path: &Path, origin: &str) -> Outcome<()> {
        let user = |row: &Impression| row.user.map(|user| dataset.users[user as usize].id.as_str());
        let users: StringArray = rows.iter().map(user).collect();
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.time_ms));
        let steps = Task::ALL.map(|task| {
            let column: BooleanArray = rows.iter().map(|row| Some(row.reached(task))).collect();
            (task.name(), Arc::new(column) as ArrayRef)
        });
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("user", Arc::new(users)), ("item", items(rows, dataset)), ("time", Arc::new(times))];
        columns.push(("position", positions(rows)));
        columns.extend(steps);
        write_table(path, columns, origin)
    }
}

/// Probabilities of the three tasks, for each row of a file of impressions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// By row of that file.
    pub rows: Vec<[f64; 3]>,
}

impl Truth {
    /// Reads the truth of impressions.
    ///
    /// # Errors
    /// [`ImpressionsError`] naming the row or column, also where it is the truth of other impressions.
    pub fn read(path: &Path, impressions: &Impressions, dataset: &Dataset) -> Outcome<Self> {
        let mut found = Self::default();
        let by_row: HashMap<u32, &Impression> = impressions.rows.iter().map(|row| (row.row, row)).collect();
        for_each_batch(path, |batch| {
            let table = Table { path, batch, first: found.rows.len() };
            let items = table.required("item", &DataType::Utf8, "ids")?;
            let positions = table.required("position", &DataType::UInt16, "slots from 0 to 65535")?;
            let columns = Task::ALL.map(|task| table.required(task.truth(), &DataType::Float64, "probabilities"));
            let [click, cart, purchase] = columns;
            let columns = [click?, cart?, purchase?];
            for row in 0..batch.num_rows() {
                let (item, position) =
                    (items.as_string::<i32>().value(row), positions.as_primitive::<UInt16Type>().value(row));
                let shown = by_row.get(&(found.rows.len() as u32));
                if let Some(shown) =
                    shown.filter(|shown| dataset.items[shown.item as usize].id != item || shown.position != position)
                {
                    let expected =
                        format!("item {:?} in slot {}", dataset.items[shown.item as usize].id, shown.position);
                    return Err(table.bad_row(row, &format!("item {item:?} in slot {position}"), &expected));
                }
                let probabilities = columns.each_ref().map(|column| column.as_primitive::<Float64Type>().value(row));
                if let Some(wrong) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
                    return Err(table.bad_row(row, &wrong.to_string(), "a probability"));
                }
                found.rows.push(probabilities);
            }
            Ok(())
        })?;
        if found.rows.len() == impressions.read {
            return Ok(found);
        }
        let expected = format!("{}, as impressions", impressions.read);
        Err(wrong(path, "rows".to_owned(), found.rows.len().to_string(), &expected))
    }

    /// Writes the truth of impressions.
    ///
    /// # Errors
    /// [`ImpressionsError::Io`] if it cannot be written.
    pub fn write(&self, rows: &[Impression], dataset: &Dataset, path: &Path, origin: &str) -> Outcome<()> {
        let mut columns = vec![("item", items(rows, dataset)), ("position", positions(rows))];
        columns.extend(Task::ALL.map(|task| {
            let column = Float64Array::from_iter_values(self.rows.iter().map(|row| row[task as usize]));
            (task.truth(), Arc::new(column) as ArrayRef)
        }));
        write_table(path, columns, origin)
    }
}

fn items(rows: &[Impression], dataset: &Dataset) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &dataset.items[row.item as usize].id)))
}

fn positions(rows: &[Impression]) -> ArrayRef {
    Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.position)))
}

/// One batch of a file.
struct Table<'b> {
    path: &'b Path,
    batch: &'b RecordBatch,
    /// Rows of the batches before.
    first: usize,
}

impl Table<'_> {
    fn wrong(&self, place: &str, found: &str, expected: &str) -> ImpressionsError {
        wrong(self.path, place.to_owned(), found.to_owned(), expected)
    }

    fn bad_row(&self, row: usize, found: &str, expected: &str) -> ImpressionsError {
        self.wrong(&format!("row {}", self.first + row + 1), found, expected)
    }

    fn column(&self, name: &str, kind: &DataType, expected: &str) -> Outcome<ArrayRef> {
        let place = format!("column '{name}'");
        let column = self.batch.column_by_name(name).ok_or_else(|| self.wrong(&place, "none", expected))?;
        let cast = cast(column, kind).map_err(|_| self.wrong(&place, &column.data_type().to_string(), expected))?;
        // A cast makes null of what does not fit.
        match (0..cast.len()).find(|row| cast.is_null(*row) && column.is_valid(*row)) {
            Some(row) => Err(self.bad_row(row, &format!("a '{name}' that does not fit"), expected)),
            None => Ok(cast),
        }
    }

    /// A column without nulls.
    fn required(&self, name: &str, kind: &DataType, expected: &str) -> Outcome<ArrayRef> {
        let column = self.column(name, kind, expected)?;
        match (0..column.len()).find(|row| column.is_null(*row)) {
            Some(row) => Err(self.bad_row(row, &format!("null in '{name}'"), expected)),
            None => Ok(column),
        }
    }

    fn times(&self) -> Outcome<ArrayRef> {
        let expected = "timestamps, or milliseconds since 1970";
        let column = self.required("time", &DataType::Timestamp(TimeUnit::Millisecond, None), expected)?;
        let times = column.as_primitive::<TimestampMillisecondType>();
        Ok(Arc::new(times.reinterpret_cast::<Int64Type>()))
    }

    /// How far a row went.
    fn furthest(&self, row: usize, [click, cart, purchase]: [bool; 3]) -> Outcome<Option<Task>> {
        if (purchase && !cart) || (cart && !click) {
            let found = if purchase && !cart { "a purchase that was in no cart" } else { "a cart without a click" };
            return Err(self.bad_row(row, found, "purchases among carts among clicks"));
        }
        Ok(Task::ALL.into_iter().zip([click, cart, purchase]).rfind(|(_, took)| *took).map(|(task, _)| task))
    }
}

fn for_each_batch(path: &Path, mut each: impl FnMut(&RecordBatch) -> Outcome<()>) -> Outcome<()> {
    let file = File::open(path).map_err(|source| ImpressionsError::Io { path: path.to_owned(), source })?;
    let unreadable = |found: String| wrong(path, "table".to_owned(), found, "a whole Parquet file");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(error.to_string()))?;
    for batch in batches {
        each(&batch.map_err(|error| unreadable(error.to_string()))?)?;
    }
    Ok(())
}

fn write_table(path: &Path, columns: Vec<(&str, ArrayRef)>, origin: &str) -> Outcome<()> {
    let failed = |reason: String| wrong(path, "table".to_owned(), reason, "a table that Parquet can hold");
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .map_err(|error| failed(error.to_string()))?;
    let properties = sink::properties().map_err(|error| failed(error.to_string()))?;
    let origin = KeyValue::new("origin".to_owned(), origin.to_owned());
    let properties = properties.set_key_value_metadata(Some(vec![origin])).build();
    let mut bytes = Vec::new();
    let written = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.close()
    });
    written.map_err(|error| failed(error.to_string()))?;
    write_atomically(path, &bytes).map_err(|source| ImpressionsError::Io { path: path.to_owned(), source })
}

fn wrong(path: &Path, place: String, found: String, expected: &str) -> ImpressionsError {
    ImpressionsError::Content { path: path.to_owned(), place, found, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    fn rows() -> Vec<Impression> {
        let row = |row: u32| Impression {
            user: (row != 2).then_some(row % 2),
            item: row % 3,
            time_ms: 1_000 - i64::from(row),
            position: row as u16,
            furthest: [None, Some(Task::Click), Some(Task::Cart), Some(Task::Purchase)][row as usize % 4],
            row,
        };
        (0..6).map(row).collect()
    }

    #[test]
    fn what_was_written_is_read_in_order_of_time() {
        let data = dataset(&[(0, 0, 1, 0), (1, 1, 1, 0), (1, 2, 1, 0)], 5);
        let folder = tempfile::tempdir().unwrap();
        let (path, truth_path) = (folder.path().join("impressions.parquet"), folder.path().join("truth.parquet"));
        Impressions::write(&rows(), &data, &path, "synthetic").unwrap();
        let found = Impressions::read(&path, &data).unwrap();
        let expected: Vec<Impression> = rows().into_iter().rev().collect();
        assert_eq!((&found.rows, found.read, found.outside), (&expected, 6, 0));

        let truth = Truth { rows: (0..6).map(|row| [0.9, 0.5, 0.1 * f64::from(row)]).collect() };
        truth.write(&rows(), &data, &truth_path, "synthetic").unwrap();
        assert_eq!(Truth::read(&truth_path, &found, &data).unwrap(), truth);

        let mut fewer = data.clone();
        fewer.items.truncate(2);
        let found = Impressions::read(&path, &fewer).unwrap();
        assert_eq!((found.rows.len(), found.read, found.outside), (4, 6, 2));
        assert_eq!(Truth::read(&truth_path, &found, &fewer).unwrap(), truth);
    }

    #[test]
    fn a_broken_funnel_and_a_truth_of_other_impressions_are_named() {
        let data = dataset(&[(0, 0, 1, 0), (1, 1, 1, 0), (1, 2, 1, 0)], 5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("impressions.parquet");
        let flags = |click: bool| {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("user", Arc::new(StringArray::from(vec!["0"]))),
                ("item", Arc::new(StringArray::from(vec!["0"]))),
                ("time", Arc::new(TimestampMillisecondArray::from(vec![1]))),
                ("position", Arc::new(UInt16Array::from(vec![0]))),
                ("click", Arc::new(BooleanArray::from(vec![click]))),
                ("cart", Arc::new(BooleanArray::from(vec![true]))),
            ];
            columns
        };
        write_table(&path, flags(true), "").unwrap();
        let error = Impressions::read(&path, &data).unwrap_err().to_string();
        assert!(error.contains("column 'purchase': found none"), "{error}");
        let mut columns = flags(false);
        columns.push(("purchase", Arc::new(BooleanArray::from(vec![false]))));
        write_table(&path, columns, "").unwrap();
        let error = Impressions::read(&path, &data).unwrap_err().to_string();
        assert!(error.contains("row 1: found a cart without a click, expected purchases among carts"), "{error}");

        Impressions::write(&rows(), &data, &path, "").unwrap();
        let shown = Impressions::read(&path, &data).unwrap();
        let mut others = rows();
        others[4].item = 2;
        let truth = Truth { rows: vec![[0.5; 3]; 6] };
        truth.write(&others, &data, &path, "").unwrap();
        let error = Truth::read(&path, &shown, &data).unwrap_err().to_string();
        assert!(error.contains("row 5: found item \"2\" in slot 4, expected item \"1\""), "{error}");
    }
}
