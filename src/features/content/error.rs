//! What can be wrong with content vectors.

use std::path::{Path, PathBuf};

use crate::data::VectorsError;

/// An error of content vectors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A file could not be read or written.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tokenizer, encoder or table that cannot be used.
    #[error("{}: {place}: found {found}, expected {expected}; {remedy}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// The tensor, token, node or part.
        place: String,
        /// What is there.
        found: String,
        /// What is needed.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The sources are not those that the towers were trained with.
    #[error(
        "[content]: {what} is {found}, the towers were trained with {expected}; run `nearshelf train` again, or put back what was there"
    )]
    Changed {
        /// Which source, or how many.
        what: String,
        /// What is there.
        found: String,
        /// As the run says.
        expected: String,
    },
    /// A table of ready-made vectors that cannot be used.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
}

impl ContentError {
    /// For `map_err` on file operations.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// That a place of a file is not what it should be.
    pub(super) fn wrong(
        path: &Path,
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        let (place, found, expected) = (place.into(), found.into(), expected.into());
        Self::Source { path: path.to_owned(), place, found, expected, remedy }
    }
}
