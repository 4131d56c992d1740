//! What can be wrong with the inputs of a tower.

/// An error of the features stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// A schema that no build of this crate writes.
    #[error("feature schema: {field} is {found}, expected {expected}; build the release again")]
    Schema {
        /// Which field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A history entry that is not a candidate embedding of these towers.
    #[error(
        "history entry {position}: found {found} values, expected {expected} finite ones; use embeddings of this release"
    )]
    Embedding {
        /// Counted from the newest event.
        position: usize,
        /// Its length.
        found: usize,
        /// The embedding length of the towers.
        expected: usize,
    },
    /// A long-term vector that is not one of these towers.
    #[error("long-term vector: found {found} values, expected {expected} finite ones; use one of this release")]
    User {
        /// Its length.
        found: usize,
        /// The length that the towers read.
        expected: usize,
    },
}
