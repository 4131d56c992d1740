//! What can be wrong with a tower.

use crate::Digest;
use crate::features::FeatureError;
use crate::show;

/// An error of the towers stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TowerError {
    /// The file ends early.
    #[error("tower truncated in {what}: need {need} bytes, have {have}; download it again")]
    Truncated {
        /// The part that is cut.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// The file does not begin as a tower does.
    #[error("not a tower: it begins with {found_text}, expected {expected_text}; check which file was opened", found_text = show::bytes(found), expected_text = show::bytes(expected))]
    Magic {
        /// First bytes of the file.
        found: [u8; 4],
        /// The magic number.
        expected: [u8; 4],
    },
    /// A version that this build does not read.
    #[error("tower format {found}, this build reads {oldest} to {newest}; update nearshelf or build the release again")]
    Version {
        /// The file's.
        found: u16,
        /// Oldest readable.
        oldest: u16,
        /// Newest readable.
        newest: u16,
    },
    /// The content is not what the file's own digest says.
    #[error("tower damaged: its digest is {found}, expected {expected}; download it again")]
    Digest {
        /// Of the bytes that are there.
        found: Digest,
        /// As the file says.
        expected: Digest,
    },
    /// A program that no build of this crate writes.
    #[error("tower program: {what} is {found}, expected {expected}; build the release again")]
    Program {
        /// Which part.
        what: &'static str,
        /// What it holds.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Inputs that do not fit the program.
    #[error("tower input {input}: found {found}, expected {expected}; assemble it with the tower's own schema")]
    Input {
        /// Position of the input.
        input: usize,
        /// What was given.
        found: String,
        /// What the program takes.
        expected: String,
    },
    /// A query tower that only a build with the tract engine runs: `nearshelf/onnx`, or the feature `tract-engine`.
    #[error("query tower: found an ONNX graph, expected a program; load nearshelf/onnx")]
    Engine,
    /// A graph that the tract engine cannot read or run.
    #[cfg(feature = "tract-engine")]
    #[error("query tower: {place}: found {found}, expected {expected}; {remedy}")]
    Graph {
        /// The node with its operator, the input or the part.
        place: String,
        /// What is there.
        found: String,
        /// What can be run.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A schema or history that is not right.
    #[error(transparent)]
    Features(#[from] FeatureError),
    /// Content vectors of items that cannot be computed.
    #[cfg(feature = "origin")]
    #[error(transparent)]
    Content(#[from] crate::features::content::ContentError),
    /// An ONNX file that cannot be read as a tower.
    #[cfg(feature = "origin")]
    #[error("{}: {place}: found {found}, expected {expected}; {remedy}", path.display())]
    Onnx {
        /// The file.
        path: std::path::PathBuf,
        /// The node, input or part.
        place: String,
        /// What is there.
        found: String,
        /// What can be read.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A catalogue that the towers were not trained on.
    #[cfg(feature = "origin")]
    #[error(
        "catalogue: {known} of {of} items were trained on, expected half of them at least; train the towers on the prepared data"
    )]
    Catalogue {
        /// Items that the towers know.
        known: usize,
        /// Items.
        of: usize,
    },
    /// There are no trained towers, or those of another configuration.
    #[cfg(feature = "origin")]
    #[error("{}: found {found}, expected {expected}; run `nearshelf train` with this configuration", path.display())]
    Untrained {
        /// The file.
        path: std::path::PathBuf,
        /// What is there.
        found: String,
        /// What the configuration says.
        expected: String,
    },
    /// Candidate embeddings that cannot be used.
    #[cfg(feature = "origin")]
    #[error("{}: {place}: found {found}, expected {expected}; write the embeddings again", path.display())]
    Embeddings {
        /// The file.
        path: std::path::PathBuf,
        /// Row, column or part.
        place: String,
        /// What is there.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// A file could not be read or written.
    #[cfg(feature = "origin")]
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Training cannot go on.
    #[cfg(feature = "origin")]
    #[error("training: {what}: found {found}, expected {expected}; {remedy}")]
    Train {
        /// Which part.
        what: &'static str,
        /// What is there.
        found: String,
        /// What is needed.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
}
