//! What can go wrong between a shop's files and a [`Dataset`](super::Dataset).

use std::path::PathBuf;

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
    /// A configuration file is not valid.
    #[error("{}: {source}; CONTRIBUTING.md and the docs of nearshelf::data::Config list every key", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
}
