//! What can be wrong with columns.

use super::format::{FORMAT_VERSION, OLDEST_READABLE};
use crate::show;

/// An error of the columns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// The bytes do not start as columns do.
    #[error("columns at byte 0: found {found_text}, expected the magic \"NSCL\"; these are not columns", found_text = show::bytes(found))]
    Magic {
        /// The first bytes, four of them unless the file is shorter.
        found: Vec<u8>,
    },
    /// The format is older or newer than this build reads.
    #[error(
        "columns format {found}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; {}",
        if *found > FORMAT_VERSION { "update the package" } else { "build the release again" }
    )]
    Version {
        /// The format of the file.
        found: u16,
    },
    /// The file needs something that this build does not know.
    #[error(
        "columns at byte 6: found unknown reader flags {found:#06x}, expected only {known:#06x}; update the package"
    )]
    Flags {
        /// The flags of the file.
        found: u16,
        /// The flags that this build knows.
        known: u16,
    },
    /// Bytes are missing.
    #[error("columns truncated in {what}: need {need} bytes, have {have}; download them again")]
    Truncated {
        /// The part that is cut.
        what: &'static str,
        /// Bytes up to the end of that part.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// Bytes follow the end.
    #[error("columns have {have} bytes, expected {need}: {} more than the header says; download them again", have - need)]
    Trailing {
        /// Bytes that the header states.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A field holds what it must not.
    #[error("columns: {what} is {found}, expected {low}..={high}; download the file again, or change what is written")]
    Field {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
    /// A value of a row breaks the rule of its column.
    #[error("columns: row {row} of {column_text} is {found}, expected {expected}; download the file again", column_text = show::text(column))]
    Value {
        /// Which column.
        column: String,
        /// Which row.
        row: u32,
        /// The stored bits.
        found: u64,
        /// What they should be.
        expected: &'static str,
    },
    /// A dictionary is not one.
    #[error("columns: entry {entry} of the dictionary of {column_text} is not {expected}; download the file again", column_text = show::text(column))]
    Dictionary {
        /// Which column.
        column: String,
        /// Which entry.
        entry: u32,
        /// What it should be.
        expected: &'static str,
    },
    /// The name of a column is not text, or an earlier column has it.
    #[error("columns: the name of column {column} is not {expected}; give each column a name of its own")]
    Name {
        /// Which column, from 0 on.
        column: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// A column cannot be written as it was given.
    #[error("columns: row {row} of {column_text} is not {expected}; leave the value out or correct it in the catalogue", column_text = show::text(column))]
    Input {
        /// Which column.
        column: String,
        /// Which row.
        row: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// Columns of different lengths.
    #[error("columns: {column_text} has {found} rows, expected {expected}; pass one value per candidate", column_text = show::text(column))]
    Rows {
        /// Which column, or what else was compared.
        column: String,
        /// Its rows.
        found: usize,
        /// The rows of the others.
        expected: usize,
    },
    /// A question about a column that is not there.
    #[error("columns: found no column {name_text}, expected one of {known_text}; correct the name, or add it to the release", name_text = show::text(name), known_text = show::list(known))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A condition that is none.
    #[error(
        "columns: the condition on {column_text} is {found}, expected an array of texts, of paths or of numbers, or an object of \
         the numbers min, max or both; correct the request", column_text = show::text(column))]
    Condition {
        /// Which column.
        column: String,
        /// What was asked of it.
        found: &'static str,
    },
    /// A question that a column of this kind cannot answer.
    #[error("columns: {name_text} is a column of {kind}, which cannot be tested for {test}; ask for what it holds", name_text = show::text(name))]
    Predicate {
        /// Which column.
        name: String,
        /// What it holds.
        kind: &'static str,
        /// What it was asked for.
        test: &'static str,
    },
}

impl ColumnsError {
    /// The kind of error: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "columns/magic",
            Self::Version { .. } => "columns/version",
            Self::Flags { .. } => "columns/flags",
            Self::Truncated { .. } => "columns/truncated",
            Self::Trailing { .. } => "columns/trailing",
            Self::Field { .. } => "columns/field",
            Self::Value { .. } => "columns/value",
            Self::Dictionary { .. } => "columns/dictionary",
            Self::Name { .. } => "columns/name",
            Self::Input { .. } => "columns/input",
            Self::Rows { .. } => "columns/rows",
            Self::Unknown { .. } => "columns/unknown",
            Self::Condition { .. } => "columns/condition",
            Self::Predicate { .. } => "columns/predicate",
        }
    }

    /// Checks that `found` lies in `low..=high`.
    #[inline(never)]
    pub(super) fn check(what: &'static str, found: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&found) { Ok(()) } else { Err(Self::Field { what, found, low, high }) }
    }
}
