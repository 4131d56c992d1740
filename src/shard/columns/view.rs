//! One column, read row by row or asked for the rows of which something holds.

use std::ops::Range;
use std::str::SplitTerminator;

use super::ColumnsError;
use super::dictionary::path_text;
use super::format::{ColumnKind, PATH_END, missing, popularity_count};
use super::read::Column;
use crate::index::{NodeId, RowSet};

/// What is asked of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Predicate<'a> {
    /// Of any kind: the value is missing.
    Missing,
    /// Of any kind: the value is there.
    Present,
    /// Of `unsigned`, `price` and `popularity`: [`ColumnView::u64_at`] is in `low..=high`.
    Between {
        /// The smallest number.
        low: u64,
        /// The largest number.
        high: u64,
    },
    /// Of `float`: the number is in `low..=high`.
    FloatBetween {
        /// The smallest number.
        low: f32,
        /// The largest number.
        high: f32,
    },
    /// Of `text`: the value is one of these.
    AnyOf(&'a [&'a str]),
    /// Of `path`: the path is this one or below it.
    Under(&'a [&'a str]),
}

impl Predicate<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing values",
            Self::Present => "values",
            Self::Between { .. } => "a range of whole numbers",
            Self::FloatBetween { .. } => "a range of fractions",
            Self::AnyOf(_) => "texts",
            Self::Under(_) => "a path",
        }
    }
}

/// A column of checked [columns](super::ColumnsView).
///
/// What is asked of a row that is not there is answered as for a missing value.
#[derive(Debug, Clone, Copy)]
pub struct ColumnView<'a> {
    pub(super) column: &'a Column,
    values: &'a [u8],
    rows: usize,
}

impl<'a> ColumnView<'a> {
    pub(super) fn new(column: &'a Column, values: &'a [u8], rows: usize) -> Self {
        Self { column, values, rows }
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        &self.column.name
    }

    /// What the column holds.
    pub fn kind(&self) -> ColumnKind {
        self.column.descriptor.kind
    }

    /// Bytes of a value.
    pub fn width(&self) -> usize {
        self.column.descriptor.width.into()
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The value as it is stored: a number, the bits of an `f32`, an entry of the dictionary, a step of popularity.
    pub fn code_at(&self, node: NodeId) -> Option<u64> {
        if node.row() >= self.rows {
            return None;
        }
        let value = self.stored(node.row());
        let is_missing = self.column.descriptor.nullable && value == missing(self.column.descriptor.width);
        (!is_missing).then_some(value)
    }

    /// A number without sign, a price, or the smallest count of the step of a popularity.
    pub fn u64_at(&self, node: NodeId) -> Option<u64> {
        let code = self.code_at(node)?;
        match self.kind() {
            ColumnKind::Unsigned | ColumnKind::Price => Some(code),
            ColumnKind::Popularity => Some(popularity_count(code as u8)),
            ColumnKind::Float | ColumnKind::Text | ColumnKind::Path => None,
        }
    }

    /// A number of a column of `float`.
    pub fn f32_at(&self, node: NodeId) -> Option<f32> {
        let code = self.code_at(node)?;
        (self.kind() == ColumnKind::Float).then(|| f32::from_bits(code as u32))
    }

    /// A text of a column of `text`.
    pub fn text_at(&self, node: NodeId) -> Option<&'a str> {
        let code = self.code_at(node)?;
        if self.kind() == ColumnKind::Text { self.column.dictionary.get(code as usize) } else { None }
    }

    /// The parts of a path of a column of `path`, the outermost first. The root has none.
    pub fn path_at(&self, node: NodeId) -> Option<SplitTerminator<'a, char>> {
        self.path_of(u32::try_from(self.code_at(node)?).ok()?)
    }

    /// The entries of the dictionary of a column of `text` or `path`: the numbers below this one.
    pub fn entries(&self) -> u32 {
        self.column.descriptor.entries
    }

    /// The text of an entry.
    pub fn text_of(&self, entry: u32) -> Option<&'a str> {
        if self.kind() == ColumnKind::Text { self.column.dictionary.get(entry as usize) } else { None }
    }

    /// The parts of the path of an entry.
    pub fn path_of(&self, entry: u32) -> Option<SplitTerminator<'a, char>> {
        if self.kind() != ColumnKind::Path {
            return None;
        }
        self.column.dictionary.get(entry as usize).map(|text| text.split_terminator(PATH_END))
    }

    /// The entry of a text.
    pub fn entry_of(&self, text: &str) -> Option<u32> {
        if self.kind() == ColumnKind::Text { self.column.dictionary.find(text) } else { None }
    }

    /// The entries that are the path `prefix` or below it; of a column of another kind, none.
    pub fn prefix_range(&self, prefix: &[&str]) -> Range<u32> {
        match path_text(prefix.iter().copied()) {
            Some(prefix) if self.kind() == ColumnKind::Path => self.column.dictionary.starting_with(&prefix),
            _ => 0..0,
        }
    }

    /// The rows of which `predicate` holds. It holds of no missing value, [`Predicate::Missing`] aside.
    ///
    /// # Errors
    /// [`ColumnsError::Predicate`] if the column holds values of another kind.
    pub fn rows_where(&self, predicate: Predicate<'_>) -> Result<RowSet, ColumnsError> {
        use ColumnKind::{Float, Path, Popularity, Price, Text, Unsigned};
        Ok(match (predicate, self.kind()) {
            (Predicate::Missing, _) => {
                let mut rows = self.rows_with(&|_| true);
                rows.not();
                rows
            }
            (Predicate::Present, _) => self.rows_with(&|_| true),
            (Predicate::Between { low, high }, Unsigned | Price) => {
                self.rows_with(&|number| (low..=high).contains(&number))
            }
            (Predicate::Between { low, high }, Popularity) => {
                self.rows_with(&|step| (low..=high).contains(&popularity_count(step as u8)))
            }
            (Predicate::FloatBetween { low, high }, Float) => {
                self.rows_with(&|bits| (low..=high).contains(&f32::from_bits(bits as u32)))
            }
            (Predicate::AnyOf(texts), Text) => {
                let ranges: Vec<_> = texts.iter().map(|text| self.text_range(text)).collect();
                self.rows_within(&ranges)
            }
            (Predicate::Under(prefix), Path) => self.rows_within(&[self.prefix_range(prefix)]),
            (predicate, kind) => {
                let name = self.name().to_owned();
                return Err(ColumnsError::Predicate { name, kind: kind.name(), test: predicate.name() });
            }
        })
    }

    /// The rows of a column of `text` or `path` that have one of these texts, as paths of one part, or are at one of these paths or below.
    pub(super) fn rows_of_paths(&self, paths: &[Vec<String>]) -> RowSet {
        let mut ranges = Vec::with_capacity(paths.len());
        for path in paths {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            ranges.push(match self.kind() {
                ColumnKind::Text => self.text_range(parts.first().copied().unwrap_or_default()),
                _ => self.prefix_range(&parts),
            });
        }
        self.rows_within(&ranges)
    }

    /// The entry of a text, or none.
    fn text_range(&self, text: &str) -> Range<u32> {
        self.entry_of(text).map_or(0..0, |entry| entry..entry + 1)
    }

    /// The rows whose entry is in one of these ranges. The time is that of one walk over the rows, however many ranges there are.
    #[inline(never)]
    fn rows_within(&self, ranges: &[Range<u32>]) -> RowSet {
        // At each entry, how many ranges begin there less how many have ended.
        let mut begins = vec![0_i32; self.entries() as usize + 1];
        for range in ranges {
            begins[range.start as usize] += 1;
            begins[range.end as usize] -= 1;
        }
        let mut open = 0;
        for count in &mut begins {
            open += *count;
            *count = open;
        }
        self.rows_with(&|entry| begins[entry as usize] > 0)
    }

    /// The rows whose value is there and passes a test as it is stored.
    fn rows_with(&self, test: &dyn Fn(u64) -> bool) -> RowSet {
        RowSet::of(self.rows, |node| self.code_at(node).is_some_and(test))
    }

    /// The bits of a row, the mark of a missing value included.
    pub(super) fn stored(&self, row: usize) -> u64 {
        let values = self.values;
        match self.column.descriptor.width {
            1 => values[row].into(),
            2 => u16::from_le_bytes(values.as_chunks().0[row]).into(),
            4 => u32::from_le_bytes(values.as_chunks().0[row]).into(),
            _ => u64::from_le_bytes(values.as_chunks().0[row]),
        }
    }
}
