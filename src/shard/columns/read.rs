//! From the bytes of columns to their values, in place.

use std::ops::Range;

use super::dictionary::Dictionary;
use super::format::{
    ColumnKind, DESCRIPTOR_LEN, Descriptor, FORMAT_VERSION, HEADER_LEN, MAGIC, MAX_COLUMNS, MAX_ROWS, MAX_STEP,
    MAX_TEXT_BYTES, OLDEST_READABLE, READER_FLAGS, missing,
};
use super::view::{ColumnView, Predicate};
use super::{ColumnsError, format};
use crate::index::RowSet;

/// The columns of one shard, held as the bytes of their file, every one of which has been checked.
#[derive(Debug, Clone)]
pub struct Columns {
    bytes: Vec<u8>,
    table: Table,
}

/// Checked columns whose bytes somebody else holds: a [`Columns`], or a shard.
#[derive(Debug, Clone, Copy)]
pub struct ColumnsView<'a> {
    bytes: &'a [u8],
    table: &'a Table,
}

/// What reading columns needs beside their bytes.
#[derive(Debug, Clone)]
pub(in crate::shard) struct Table {
    rows: u32,
    list: Vec<Column>,
}

/// What reading a column needs beside the bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) descriptor: Descriptor,
    pub(super) dictionary: Dictionary,
    values: Range<usize>,
}

impl Columns {
    /// Checks the file of columns, so that nothing later can fail. Its digest is the caller's to check.
    ///
    /// # Errors
    /// If the bytes are not columns, are cut or too long, a value breaks a rule of the [format](super::format), or this build
    /// cannot read them.
    pub fn open(bytes: Vec<u8>) -> Result<Self, ColumnsError> {
        let table = Table::parse(&bytes)?;
        Ok(Self { bytes, table })
    }

    /// The columns, as they are read.
    pub fn view(&self) -> ColumnsView<'_> {
        self.table.view(&self.bytes)
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Table {
    /// See [`Columns::open`].
    pub(in crate::shard) fn parse(bytes: &[u8]) -> Result<Self, ColumnsError> {
        let (rows, count) = parse_header(bytes)?;
        let mut parts = Parts { bytes, end: HEADER_LEN as u64 };
        let descriptors = parts.take("descriptors", DESCRIPTOR_LEN as u64 * u64::from(count))?;
        let (mut list, mut text_bytes) = (Vec::<Column>::with_capacity(count.into()), 0);
        for descriptor in bytes[descriptors].as_chunks().0 {
            let descriptor = Descriptor::parse(descriptor)?;
            text_bytes += u64::from(descriptor.text_bytes);
            list.push(Column { descriptor, ..Column::default() });
        }
        ColumnsError::check("bytes of all dictionaries", text_bytes, 0, MAX_TEXT_BYTES)?;
        for at in 0..list.len() {
            let name = parts.take("names", list[at].descriptor.name_bytes.into())?;
            list[at].name = read_name(&list[..at], &bytes[name])?;
        }
        // Where everything lies is known before anything is read.
        let mut dictionaries = Vec::with_capacity(list.len());
        for column in &mut list {
            dictionaries.push(parts.take("dictionary", column.descriptor.dictionary_bytes.into())?);
            column.values = parts.take("values", u64::from(rows) * u64::from(column.descriptor.width))?;
        }
        let (need, have) = (parts.end, bytes.len() as u64);
        if have > need {
            return Err(ColumnsError::Trailing { need, have });
        }
        for (column, dictionary) in list.iter_mut().zip(dictionaries) {
            let Descriptor { entries, text_bytes, .. } = column.descriptor;
            match Dictionary::parse(&bytes[dictionary], entries, text_bytes) {
                Ok(dictionary) => column.dictionary = dictionary,
                Err((entry, expected)) => {
                    return Err(ColumnsError::Dictionary { column: column.name.clone(), entry, expected });
                }
            }
        }
        let table = Self { rows, list };
        for column in table.view(bytes).iter() {
            column.check()?;
        }
        Ok(table)
    }

    /// Checks that there is one row for each of `expected` candidates.
    pub(in crate::shard) fn check_rows(&self, expected: usize) -> Result<(), ColumnsError> {
        let found = self.rows as usize;
        if found == expected {
            return Ok(());
        }
        Err(ColumnsError::Rows { column: "every column".to_owned(), found, expected })
    }

    /// The columns, in the bytes that they were read from.
    pub(in crate::shard) fn view<'a>(&'a self, bytes: &'a [u8]) -> ColumnsView<'a> {
        ColumnsView { bytes, table: self }
    }

    /// Bytes of memory beside the file.
    pub(in crate::shard) fn memory(&self) -> usize {
        let of_one = |column: &Column| size_of::<Column>() + column.name.capacity() + column.dictionary.memory();
        self.list.iter().map(of_one).sum()
    }
}

impl<'a> ColumnsView<'a> {
    /// Rows of each column.
    pub fn rows(&self) -> usize {
        self.table.rows as usize
    }

    /// The columns, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ColumnView<'a>> + use<'a> {
        let Self { bytes, table } = *self;
        let view = |column: &'a Column| ColumnView::new(column, &bytes[column.values.clone()], table.rows as usize);
        table.list.iter().map(view)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<ColumnView<'a>> {
        self.iter().find(|column| column.name() == name)
    }

    /// The rows of which `predicate` holds. It holds of no missing value, [`Predicate::Missing`] aside.
    ///
    /// # Errors
    /// [`ColumnsError::Unknown`] if there is no such column, [`ColumnsError::Predicate`] if it holds values of another kind.
    pub fn rows_where(&self, name: &str, predicate: Predicate<'_>) -> Result<RowSet, ColumnsError> {
        self.named(name)?.rows_where(predicate)
    }

    /// The column of this name.
    pub(super) fn named(&self, name: &str) -> Result<ColumnView<'a>, ColumnsError> {
        let known = || self.iter().map(|column| column.name().to_owned()).collect();
        self.column(name).ok_or_else(|| ColumnsError::Unknown { name: name.to_owned(), known: known() })
    }
}

/// Rows and columns that the header states.
fn parse_header(bytes: &[u8]) -> Result<(u32, u16), ColumnsError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(ColumnsError::Magic { found: bytes[..bytes.len().min(4)].to_vec() });
    }
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(ColumnsError::Truncated { what: "header", need: HEADER_LEN as u64, have: bytes.len() as u64 });
    };
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let version = u16_at(4);
    if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
        return Err(ColumnsError::Version { found: version });
    }
    if u16_at(6) & !READER_FLAGS != 0 {
        return Err(ColumnsError::Flags { found: u16_at(6), known: READER_FLAGS });
    }
    let rows = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    ColumnsError::check("rows", rows.into(), 0, MAX_ROWS.into())?;
    ColumnsError::check("number of columns", u16_at(12).into(), 0, MAX_COLUMNS.into())?;
    ColumnsError::check("reserved field", u16_at(14).into(), 0, 0)?;
    Ok((rows, u16_at(12)))
}

/// Divides a file, from the front.
struct Parts<'a> {
    bytes: &'a [u8],
    end: u64,
}

impl Parts<'_> {
    fn take(&mut self, what: &'static str, len: u64) -> Result<Range<usize>, ColumnsError> {
        let start = self.end;
        let (need, have) = (start + len, self.bytes.len() as u64);
        if have < need {
            return Err(ColumnsError::Truncated { what, need, have });
        }
        self.end = need;
        // Both are at most the length of a slice.
        Ok(start as usize..need as usize)
    }
}

/// The name of the column behind these.
fn read_name(before: &[Column], bytes: &[u8]) -> Result<String, ColumnsError> {
    let wrong = |expected| ColumnsError::Name { column: before.len(), expected };
    let name = std::str::from_utf8(bytes).map_err(|_| wrong("UTF-8"))?;
    let is_new = before.iter().all(|column| column.name != name);
    if is_new { Ok(name.to_owned()) } else { Err(wrong("another than those before")) }
}

impl ColumnView<'_> {
    /// Checks every value, and that the entries of a dictionary of paths are paths.
    fn check(&self) -> Result<(), ColumnsError> {
        let Column { name, descriptor, dictionary, .. } = self.column;
        let Descriptor { kind, width, nullable, .. } = *descriptor;
        let is_path = |text: &str| text.is_empty() || text.ends_with(format::PATH_END);
        let entry = (0..dictionary.len()).find(|&entry| !dictionary.get(entry).is_some_and(is_path));
        if let (ColumnKind::Path, Some(entry)) = (kind, entry) {
            let expected = "a path whose parts end with U+0000";
            return Err(ColumnsError::Dictionary { column: name.clone(), entry: entry as u32, expected });
        }
        let is_value = |value: u64| match kind {
            ColumnKind::Unsigned | ColumnKind::Price => true,
            ColumnKind::Float => f32::from_bits(value as u32).is_finite(),
            ColumnKind::Text | ColumnKind::Path => value < dictionary.len() as u64,
            ColumnKind::Popularity => value <= MAX_STEP.into(),
        };
        for row in 0..self.len() as u32 {
            let found = self.stored(row as usize);
            let is_missing = nullable && found == missing(width);
            if !is_missing && !is_value(found) {
                let expected = match kind {
                    ColumnKind::Float => "a finite number or the mark of a missing one",
                    ColumnKind::Text | ColumnKind::Path => "an entry of the dictionary or the mark of a missing one",
                    _ => "a number below the mark of a missing one",
                };
                return Err(ColumnsError::Value { column: name.clone(), row, found, expected });
            }
        }
        Ok(())
    }
}
