//! What can go wrong between a shop's files and a [`Dataset`](super::Dataset).

use std::path::{Path, PathBuf};

/// An error of the data stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There are no prepared tables.
    #[error("{}: not there, expected what `nearshelf prepare` writes; run it first, with the same --work", path.display())]
    Unprepared {
        /// The file.
        path: PathBuf,
    },
    /// A configuration file is not valid.
    #[error("{}: {source}; docs/configuration.md lists every key", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value of the configuration is out of its range.
    #[error("configuration: {key} is {found}, expected {expected}; change it in the configuration file")]
    ConfigValue {
        /// The key, with its section.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The name of a source does not end in a format that is read.
    #[error("{}: format '{found}' is not read, expected .csv, .csv.gz or .parquet; convert or rename the file", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What its name ends in.
        found: String,
    },
    /// A file without a row.
    #[error("{}: found no row, expected a header and at least one row; export it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file that was cut or is not of its format.
    #[error("{}: not a whole {format} file: {reason}; copy or export it again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Parquet, gzip or JSON.
        format: &'static str,
        /// What the reader said.
        reason: String,
    },
    /// A text file that stops making sense at a line.
    #[error("{}, line {line}: found {found}, expected {expected}; mend that line", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is there.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A configured column is not in its file.
    #[error("{}: found no column '{column}' for {key}, the file has {}; correct {key} in nearshelf.toml", path.display(), columns.join(", "))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The key of the configuration.
        key: String,
        /// The name it gives.
        column: String,
        /// What the file has.
        columns: Vec<String>,
    },
    /// A configured column has a type that cannot hold what it is taken for.
    #[error("{}: column '{column}' for {key} is of type {found}, expected {expected}; name another column or convert it", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The key of the configuration.
        key: String,
        /// The column or expression.
        column: String,
        /// Its Arrow type.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// An SQL condition or expression of the configuration is not valid.
    #[error("{}: {key} = \"{expression}\" is not an SQL expression over its columns: {reason}; correct {key} in nearshelf.toml", path.display())]
    Expression {
        /// The file whose columns it is over.
        path: PathBuf,
        /// The key of the configuration.
        key: String,
        /// The expression.
        expression: String,
        /// What the planner said.
        reason: String,
    },
    /// More rows of one source were rejected than the configuration allows.
    #[error(
        "{table}: {rejected} of {read} rows rejected ({reasons}), at most {limit} allowed; see {}, mend the source, \
         name its noise in `where`, or raise prepare.max_reject_share",
        rejects.display()
    )]
    TooManyRejects {
        /// `events`, `catalogue` or `users`.
        table: &'static str,
        /// Rejected rows.
        rejected: u64,
        /// All rows.
        read: u64,
        /// How many rows the configuration allows.
        limit: u64,
        /// Count per reason.
        reasons: String,
        /// Where every rejected row is listed.
        rejects: PathBuf,
    },
    /// Nothing to train on is left.
    #[error(
        "no training event is left: {read} rows read, {left_out} left out, {rejected} rejected, {outside} of items outside the catalogue; \
         check events.where, split.test_from and catalogue.min_events"
    )]
    NothingLeft {
        /// Rows of the events' source.
        read: u64,
        /// By a condition.
        left_out: u64,
        /// Rejected.
        rejected: u64,
        /// Events of items that are not published.
        outside: u64,
    },
    /// The output folder holds something that preparation did not write.
    #[error("{}: found '{found}', expected a folder of prepared tables only; choose another output folder", path.display())]
    ForeignFile {
        /// The folder.
        path: PathBuf,
        /// A file in it.
        found: String,
    },
    /// The memory limit does not suffice.
    #[error("{step}: more than prepare.memory_mib = {mib} MiB needed: {reason}; raise it")]
    Memory {
        /// What was being computed.
        step: &'static str,
        /// The limit.
        mib: usize,
        /// What the query engine said.
        reason: String,
    },
    /// A plan failed for another reason.
    #[error("{step}: {source}; check the source and the disk, then run prepare again")]
    Query {
        /// What was being computed.
        step: &'static str,
        /// What the query engine said.
        source: Box<datafusion::error::DataFusionError>,
    },
    /// A prepared folder contradicts itself or the configuration.
    #[error("{}: {place} is {found}, expected {expected}; run `nearshelf prepare` again", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// Row, column or key.
        place: String,
        /// What is there.
        found: String,
        /// What belongs there.
        expected: String,
    },
}

impl DataError {
    /// For `map_err` on file operations.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// For `map_err` on Parquet and Arrow operations on one file.
    pub(super) fn unreadable<'a, E>(path: &'a Path, format: &'static str) -> impl FnOnce(E) -> Self + 'a
    where
        E: std::fmt::Display + 'a,
    {
        move |reason| Self::Unreadable { path: path.to_owned(), format, reason: reason.to_string() }
    }
}
