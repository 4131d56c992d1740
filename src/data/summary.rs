//! What preparation read, kept and left: `summary.json`, and a small table for people.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DataError;

/// Name of the summary in a prepared folder.
pub(super) const SUMMARY_FILE: &str = "summary.json";

/// Counts of one preparation. Every row that was read is counted in exactly one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareSummary {
    /// [`Config::name`](super::Config::name).
    pub name: String,
    /// Identifies the configuration of the sources; other ones need another preparation.
    #[serde(default)]
    pub sources: String,
    /// Events at or after this time are the test; milliseconds since 1970-01-01, local time. `None` where one is left out.
    pub test_from_ms: Option<i64>,
    /// Time of the first event kept, in milliseconds since 1970-01-01, local time.
    pub first_time_ms: i64,
    /// Time of the last event kept.
    pub last_time_ms: i64,
    /// Rows of `users.parquet`: users with at least one event.
    pub user_rows: u64,
    /// The events.
    pub events: EventCounts,
    /// The catalogue.
    pub catalogue: CatalogueCounts,
    /// The demographics, where configured.
    pub users: Option<UserCounts>,
}

/// `read = left_out + left_out_with_item + rejected + outside_training + outside_test + training + test`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventCounts {
    /// Rows of the source.
    pub read: u64,
    /// Rows for which `events.where` is not true.
    pub left_out: u64,
    /// Valid rows of items that `catalogue.where` leaves out.
    pub left_out_with_item: u64,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Training events of items that are too rare to be published.
    pub outside_training: u64,
    /// Test events of items that are not published: too rare, or never sold before the test.
    pub outside_test: u64,
    /// Training events of `events.parquet`.
    pub training: u64,
    /// Test events of `events.parquet`.
    pub test: u64,
    /// Rows of `events.parquet` by type.
    #[serde(default)]
    pub by_type: BTreeMap<String, u64>,
}

/// `read = left_out + rejected + replaced + rare + only_in_test + never_sold + kept`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CatalogueCounts {
    /// Rows of the source.
    pub read: u64,
    /// Rows for which `catalogue.where` is not true.
    pub left_out: u64,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Rows whose item has a later row, with `duplicates = "last"`.
    pub replaced: u64,
    /// Items with events that count, but fewer than `catalogue.min_events`.
    pub rare: u64,
    /// Items that are sold in the test, but not before it.
    pub only_in_test: u64,
    /// Items without an event.
    pub never_sold: u64,
    /// Rows of `items.parquet`.
    pub kept: u64,
}

/// `read = rejected + without_events + kept`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserCounts {
    /// Rows of the source.
    pub read: u64,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Users without an event kept.
    pub without_events: u64,
    /// Users of `users.parquet` whose demographics are known.
    pub kept: u64,
}

impl EventCounts {
    /// Rows of `events.parquet`.
    pub fn kept(&self) -> u64 {
        self.training + self.test
    }
}

impl PrepareSummary {
    /// Reads the summary of a prepared folder.
    ///
    /// # Errors
    /// [`DataError::Io`] if it is missing, [`DataError::Unreadable`] if it is cut.
    pub fn read(prepared: &Path) -> Result<Self, DataError> {
        let path = prepared.join(SUMMARY_FILE);
        let text = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => DataError::Unprepared { path: path.clone() },
            _ => DataError::io(&path)(error),
        })?;
        serde_json::from_slice(&text).map_err(DataError::unreadable(&path, "JSON"))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), DataError> {
        let path = folder.join(SUMMARY_FILE);
        let text = serde_json::to_string_pretty(self).map_err(DataError::unreadable(&path, "JSON"))?;
        std::fs::write(&path, text + "\n").map_err(DataError::io(&path))
    }
}

impl PrepareSummary {
    /// What is right and probably not meant.
    fn notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<&str> =
            self.events.by_type.keys().map(String::as_str).filter(|name| !CLIENT_TYPES.contains(name)).collect();
        if !others.is_empty() {
            let (others, known) = (others.join(", "), CLIENT_TYPES.join(", "));
            writeln!(
                f,
                "note: shoppers' devices have no events of type {others}: they send {known}; rename yours in [events.columns] type"
            )?;
        }
        if self.events.test == 0 {
            let from = self.test_from_ms.map_or_else(String::new, |time| format!(" from {} on", date(time)));
            writeln!(f, "note: no event is in the test{from}: nothing can be evaluated")?;
        }
        Ok(())
    }
}

/// What the npm package tracks.
const CLIENT_TYPES: [&str; 3] = ["cart", "purchase", "view"];

/// A time as people write it.
pub(super) fn date(time_ms: i64) -> String {
    let time = datafusion::arrow::temporal_conversions::timestamp_ms_to_datetime(time_ms);
    time.map_or_else(|| format!("{time_ms} ms"), |time| time.format("%Y-%m-%d %H:%M").to_string())
}

/// Sum over all reasons.
pub(super) fn total(rejected: &BTreeMap<String, u64>) -> u64 {
    rejected.values().sum()
}

/// `3 unknown item, 1 negative price`: for one line of text.
pub(super) fn by_reason(rejected: &BTreeMap<String, u64>) -> String {
    rejected.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for PrepareSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (e, c) = (&self.events, &self.catalogue);
        let line =
            |f: &mut fmt::Formatter<'_>, name: &str, read, kept, left, rejected: &BTreeMap<String, u64>, outside| {
                writeln!(f, "{name:<10}{read:>12}{kept:>12}{left:>12}{:>12}{outside:>12}", total(rejected))
            };
        writeln!(
            f,
            "{:<10}{:>12}{:>12}{:>12}{:>12}{:>12}",
            self.name, "read", "kept", "left out", "rejected", "outside"
        )?;
        let outside = e.outside_training + e.outside_test;
        line(f, "events", e.read, e.kept(), e.left_out + e.left_out_with_item, &e.rejected, outside)?;
        line(
            f,
            "catalogue",
            c.read,
            c.kept,
            c.left_out + c.replaced,
            &c.rejected,
            c.rare + c.only_in_test + c.never_sold,
        )?;
        if let Some(u) = &self.users {
            line(f, "users", u.read, u.kept, 0, &u.rejected, u.without_events)?;
        }
        writeln!(f, "events: {} training, {} test, of {} users", e.training, e.test, self.user_rows)?;
        writeln!(
            f,
            "events: {}, from {} to {}",
            by_reason(&e.by_type),
            date(self.first_time_ms),
            date(self.last_time_ms)
        )?;
        self.notes(f)?;
        writeln!(
            f,
            "items outside: {} rare, {} sold only in the test, {} never sold",
            c.rare, c.only_in_test, c.never_sold
        )?;
        let users = self.users.iter().map(|u| ("users", &u.rejected));
        for (table, rejected) in [("events", &e.rejected), ("catalogue", &c.rejected)].into_iter().chain(users) {
            for (reason, count) in rejected {
                writeln!(f, "rejected from {table}: {count} {reason}")?;
            }
        }
        Ok(())
    }
}
