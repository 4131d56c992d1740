//! From typed values to the bytes of columns.

use std::collections::{BTreeMap, BTreeSet};

use super::dictionary::{Dictionary, path_text};
use super::format::{
    ColumnKind, Descriptor, FORMAT_VERSION, HEADER_LEN, MAGIC, MAX_COLUMNS, MAX_NAME_BYTES, MAX_ROWS, MAX_TEXT_BYTES,
    missing, most_text, popularity_step,
};
use super::{Columns, ColumnsError};

/// Takes the columns of a shard, one after the other, and writes them. What is wrong with one is said by
/// [`ColumnsBuilder::write`].
#[derive(Debug)]
pub struct ColumnsBuilder {
    rows: usize,
    columns: Vec<Column>,
    /// The first that occurred.
    error: Option<ColumnsError>,
}

#[derive(Debug)]
struct Column {
    name: String,
    descriptor: Descriptor,
    dictionary: Vec<u8>,
    values: Vec<u8>,
}

impl Columns {
    /// Starts columns of `rows` rows each: one row per node of the shard, in that order.
    pub fn builder(rows: usize) -> ColumnsBuilder {
        ColumnsBuilder { rows, columns: Vec::new(), error: None }
    }
}

impl ColumnsBuilder {
    /// Adds numbers without sign, in as few bytes each as the largest takes.
    ///
    /// Where one is missing, `u64::MAX` cannot be stored.
    pub fn unsigned(mut self, name: &str, values: &[Option<u64>]) -> Self {
        let largest = values.iter().position(|&value| value == Some(u64::MAX));
        if let (Some(row), true) = (largest, values.contains(&None)) {
            let expected = "less than 2^64 - 1, which marks the missing values of this column";
            self.fail(ColumnsError::Input { column: name.to_owned(), row, expected });
        }
        self.narrow(name, ColumnKind::Unsigned, values)
    }

    /// Adds prices in the currency's smallest unit (cents), in as few bytes each as the largest takes.
    pub fn price(self, name: &str, values: &[Option<u32>]) -> Self {
        self.narrow(name, ColumnKind::Price, &values.iter().map(|value| value.map(u64::from)).collect::<Vec<_>>())
    }

    /// Adds finite numbers.
    pub fn float(mut self, name: &str, values: &[Option<f32>]) -> Self {
        if let Some(row) = values.iter().position(|value| value.is_some_and(|value| !value.is_finite())) {
            self.fail(ColumnsError::Input { column: name.to_owned(), row, expected: "a finite number" });
        }
        let bits: Vec<Option<u64>> = values.iter().map(|value| value.map(|value| value.to_bits().into())).collect();
        self.push(name, ColumnKind::Float, 4, &bits, &[])
    }

    /// Adds counts, each as a step of one byte: see [`popularity_step`]. For exact counts take
    /// [`ColumnsBuilder::unsigned`].
    pub fn popularity(self, name: &str, counts: &[Option<u64>]) -> Self {
        let steps: Vec<Option<u64>> =
            counts.iter().map(|count| count.map(|count| popularity_step(count).into())).collect();
        self.push(name, ColumnKind::Popularity, 1, &steps, &[])
    }

    /// Adds texts, each different one stored once.
    pub fn text(self, name: &str, values: &[Option<impl AsRef<str>>]) -> Self {
        let texts: Vec<Option<&str>> = values.iter().map(|value| value.as_ref().map(AsRef::as_ref)).collect();
        self.indexed(name, ColumnKind::Text, &texts)
    }

    /// Adds places in a tree of categories: the parts of each path, the outermost first. A path without parts is the root; no part
    /// may contain `U+0000`.
    pub fn path<P: AsRef<[S]>, S: AsRef<str>>(mut self, name: &str, values: &[Option<P>]) -> Self {
        let mut texts = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            let text = value.as_ref().map(|parts| path_text(parts.as_ref().iter().map(AsRef::as_ref)));
            if let Some(None) = text {
                self.fail(ColumnsError::Input { column: name.to_owned(), row, expected: "a path without U+0000" });
            }
            texts.push(text.flatten());
        }
        self.indexed(name, ColumnKind::Path, &texts.iter().map(Option::as_deref).collect::<Vec<_>>())
    }

    /// The bytes of the columns, in the order in which they were added: the same values give the same bytes.
    ///
    /// # Errors
    /// If columns differ in length or share a name, a value cannot be stored, or a limit of the [format](super::format) is
    /// exceeded.
    pub fn write(self) -> Result<Vec<u8>, ColumnsError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let check = ColumnsError::check;
        check("rows", self.rows as u64, 0, MAX_ROWS.into())?;
        check("number of columns", self.columns.len() as u64, 0, MAX_COLUMNS.into())?;
        let text_bytes = self.columns.iter().map(|column| u64::from(column.descriptor.text_bytes)).sum();
        check("bytes of all dictionaries", text_bytes, 0, MAX_TEXT_BYTES)?;
        let mut names = BTreeSet::new();
        if let Some(column) = self.columns.iter().position(|column| !names.insert(&column.name)) {
            return Err(ColumnsError::Name { column, expected: "another than those before" });
        }
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend((self.rows as u32).to_le_bytes());
        bytes.extend((self.columns.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        self.columns.iter().for_each(|column| bytes.extend(column.descriptor.to_bytes()));
        self.columns.iter().for_each(|column| bytes.extend(column.name.as_bytes()));
        for column in &self.columns {
            bytes.extend_from_slice(&column.dictionary);
            bytes.extend_from_slice(&column.values);
        }
        Ok(bytes)
    }

    fn fail(&mut self, error: ColumnsError) {
        self.error.get_or_insert(error);
    }

    /// Adds numbers in the fewest bytes that tell the largest of them from a missing one.
    fn narrow(self, name: &str, kind: ColumnKind, values: &[Option<u64>]) -> Self {
        let width = width_of(values);
        self.push(name, kind, width, values, &[])
    }

    fn indexed(self, name: &str, kind: ColumnKind, texts: &[Option<&str>]) -> Self {
        let mut entries: BTreeMap<&str, u64> = texts.iter().flatten().map(|text| (*text, 0)).collect();
        entries.values_mut().zip(0..).for_each(|(entry, number)| *entry = number);
        let values: Vec<Option<u64>> = texts.iter().map(|text| text.map(|text| entries[text])).collect();
        let width = width_of(&values);
        self.push(name, kind, width, &values, &entries.into_keys().collect::<Vec<_>>())
    }

    fn push(mut self, name: &str, kind: ColumnKind, width: u8, values: &[Option<u64>], entries: &[&str]) -> Self {
        if values.len() != self.rows {
            let (found, expected) = (values.len(), self.rows);
            self.fail(ColumnsError::Rows { column: name.to_owned(), found, expected });
        }
        let text_bytes = entries.iter().map(|text| text.len() as u64).sum();
        let limits = ColumnsError::check("length of a column's name", name.len() as u64, 1, MAX_NAME_BYTES as u64)
            .and_then(|()| ColumnsError::check("bytes of a dictionary", text_bytes, 0, MAX_TEXT_BYTES));
        if let Err(error) = limits {
            self.fail(error);
        }
        if self.error.is_some() {
            return self;
        }
        let dictionary = Dictionary::write(entries);
        let most = most_text(dictionary.len() as u32);
        if let Err(error) = ColumnsError::check("bytes of a dictionary", text_bytes, 0, most) {
            self.fail(error);
            return self;
        }
        let mut bytes = Vec::with_capacity(values.len() * width as usize);
        for value in values {
            bytes.extend(&value.unwrap_or(missing(width)).to_le_bytes()[..width as usize]);
        }
        let descriptor = Descriptor {
            kind,
            width,
            nullable: values.contains(&None),
            name_bytes: name.len() as u8,
            entries: entries.len() as u32,
            dictionary_bytes: dictionary.len() as u32,
            text_bytes: text_bytes as u32,
        };
        self.columns.push(Column { name: name.to_owned(), descriptor, dictionary, values: bytes });
        self
    }
}

/// The fewest bytes that hold every value and, where one is missing, the mark of that.
fn width_of(values: &[Option<u64>]) -> u8 {
    let largest = values.iter().flatten().max().copied().unwrap_or(0);
    let largest = largest.saturating_add(values.contains(&None).into());
    [1, 2, 4].into_iter().find(|&width| largest <= missing(width)).unwrap_or(8)
}
