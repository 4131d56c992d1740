//! What can be wrong with events of experiments.

use std::path::PathBuf;

/// An error of a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentsError {
    /// A file could not be read or written.
    #[error("{}: {source}; check the path", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing to report on.
    #[error("found no impression of a row among {events} events{}; give files of the events that the package posts", first.as_ref().map_or(String::new(), |why| format!(", {why}")))]
    Empty {
        /// Events that were read.
        events: usize,
        /// The first line that was left out.
        first: Option<String>,
    },
    /// Events of several experiments.
    #[error("found events of the experiments {}, expected one; name it", found.join(", "))]
    Several {
        /// Their names.
        found: Vec<String>,
    },
    /// Variants that were asked for and are not in the events, or shares that are none.
    #[error("{what}: found {found}, expected {expected}; change the call")]
    Asked {
        /// What was asked.
        what: &'static str,
        /// What it was.
        found: String,
        /// What it can be.
        expected: String,
    },
    /// A line of a policy's file.
    #[error("{}:{line}: found {found}, expected {expected}; correct the file", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What it holds.
        found: String,
        /// What it should.
        expected: &'static str,
    },
    /// The chart could not be drawn.
    #[error("the chart could not be drawn: {found}; report this")]
    Chart {
        /// What plotters said.
        found: String,
    },
}
