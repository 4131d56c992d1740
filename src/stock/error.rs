//! What can be wrong with a feed of stock and prices.

use std::fmt;

/// An error of a feed. Nothing is published then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StockError {
    /// A place that is no file and no address of a kind that is read.
    #[error(
        "{found:?}: expected a CSV file, or an address that begins with http://, https:// or redis://; name one with --from"
    )]
    Source {
        /// What was named.
        found: String,
    },
    /// The place does not answer, or breaks off.
    #[error("{place}: {reason}; check the address and that the service runs. What is published stays as it is")]
    Unreachable {
        /// File or address, without a password.
        place: String,
        /// What went wrong.
        reason: String,
    },
    /// The columns are not those of a feed.
    #[error(
        "{place}: found the columns {found:?}, expected item and stock, price or both, each once; name them so in the first line"
    )]
    Columns {
        /// File or address.
        place: String,
        /// The names in the first line.
        found: Vec<String>,
    },
    /// A value is not what its column holds.
    #[error(
        "{place}, {at}: {column} is {found:?}, expected {expected}; correct the feed. What is published stays as it is"
    )]
    Value {
        /// File or address.
        place: String,
        /// Line or item.
        at: String,
        /// The column.
        column: &'static str,
        /// The value, at most 80 characters of it.
        found: String,
        /// What the column holds.
        expected: &'static str,
    },
    /// A record that cannot be read.
    #[error("{place}: {reason}; correct the feed. What is published stays as it is")]
    Record {
        /// File or address.
        place: String,
        /// What was found, and where.
        reason: String,
    },
    /// There is nothing in it.
    #[error("{place}: no item, expected some; check that {hint}. What is published stays as it is")]
    Empty {
        /// File or address.
        place: String,
        /// What may be the reason.
        hint: &'static str,
    },
    /// It is too large.
    #[error(
        "{place}: more than {limit} {what}, expected at most so many; send what changed, or the items of this shop alone"
    )]
    TooLarge {
        /// File or address.
        place: String,
        /// Items or bytes.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl StockError {
    pub(super) fn unreachable(place: &str, reason: &dyn fmt::Display) -> Self {
        Self::Unreachable { place: place.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn value(place: &str, at: String, column: &'static str, found: &str, expected: &'static str) -> Self {
        let found = found.chars().take(80).collect();
        Self::Value { place: place.to_owned(), at, column, found, expected }
    }
}
