//! What can be wrong with a release.

use super::overlay::OverlayError;
use super::{FORMAT_VERSION, OLDEST_READABLE, ObjectKind};
use crate::Digest;
use crate::shard::ShardError;
use crate::shard::delta::DeltaError;
use crate::shard::directory::DirectoryError;
use crate::show;
use crate::towers::TowerError;

/// An error of the release stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A file is larger than its kind may be.
    #[error("{what}: {found} bytes, expected at most {limit}; publish a release within the limit")]
    TooLarge {
        /// Which file.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A file is not the JSON that it should be.
    #[error("{what}: {reason}; download it again, or publish the release again")]
    Json {
        /// Which file.
        what: &'static str,
        /// What was found and expected, with line and column.
        reason: String,
    },
    /// A format that this build does not read.
    #[error(
        "{what}: format {found}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; {}",
        if *found > u64::from(FORMAT_VERSION) { "update the package" } else { "publish the release again" }
    )]
    Format {
        /// Which file.
        what: &'static str,
        /// Its format.
        found: u64,
    },
    /// The file needs a reader that understands more.
    #[error("{what}: requires {found_text}, which this build does not understand; update the package", found_text = show::text(found))]
    Requires {
        /// Which file.
        what: &'static str,
        /// What it requires, at most 80 characters of it.
        found: String,
    },
    /// A field holds what it must not.
    #[error("{what}: {field} is {found}, expected {expected}; publish the release again")]
    Field {
        /// Which file.
        what: &'static str,
        /// Which field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Too few of the keys that count have signed a file.
    #[error(
        "{what}: {found} of the keys that count have signed it, expected {expected}; it is not from this shop, or its keys were changed: publish with the newest keys"
    )]
    Signatures {
        /// Which file.
        what: &'static str,
        /// Keys whose signature is right.
        found: usize,
        /// How many it takes.
        expected: usize,
    },
    /// An object is not as long as the release states.
    #[error("{kind} {object}: {found} bytes, expected {expected}; download it again")]
    Size {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        object: Digest,
        /// Its length.
        found: u64,
        /// The stated length.
        expected: u64,
    },
    /// The bytes of an object are not those that it is named after.
    #[error("{kind} {expected}: its digest is {found}; the file is damaged, download it again")]
    Digest {
        /// What it is.
        kind: ObjectKind,
        /// The digest of the bytes.
        found: Digest,
        /// Its name.
        expected: Digest,
    },
    /// The query tower is not of the towers that the manifest names.
    #[error(
        "query tower: made by towers {found}, expected towers {expected}; publish the tower and the shards of one training \
         together"
    )]
    Towers {
        /// The towers of the query tower.
        found: Digest,
        /// The towers of the release.
        expected: Digest,
    },
    /// A shard is damaged or does not belong to the release.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A delta is damaged or does not belong to the release.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// A bucket of the directory is damaged or does not belong to the release.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The overlay is damaged or is for another release.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The query tower is damaged.
    #[error(transparent)]
    Tower(#[from] TowerError),
    /// The cards are not those of the candidates.
    #[error(
        "cards: {missing} candidates have no card and {extra} cards no candidate, for example {example_text}, expected one \
         card per candidate; write the cards from the items that were published", example_text = show::text(example))]
    Cards {
        /// Candidates without a card.
        missing: usize,
        /// Cards without a candidate, or a second card.
        extra: usize,
        /// One of these ids.
        example: String,
    },
    /// A release that is cut by a column has nothing for this client.
    #[error("segment: found {found_text}, expected a value of {by}, one of {known_text}; pass one of these as segment", found_text = show::text(found), known_text = show::list(known))]
    Segment {
        /// The column.
        by: String,
        /// The client's segment.
        found: String,
        /// The values there are.
        known: Vec<String>,
    },
    /// A file that is no part of a release.
    #[error(
        "the file begins with {found_text}, expected a head, manifest, shard, query tower or cards; check which file was \
         opened", found_text = show::bytes(found))]
    Unknown {
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },
    /// A file could not be read or written.
    #[cfg(feature = "origin")]
    #[error("{}: {source}; check the path, its permissions and the space on the disk", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What makes releases would replace a head that somebody signed.
    #[cfg(feature = "origin")]
    #[error("{}: is signed, expected the unsigned head of a build folder; work in the build folder, and run nearshelf publish from there", path.display())]
    SignedHead {
        /// The head.
        path: std::path::PathBuf,
    },
    /// There already is a head, but it cannot be read, so that its version is not known.
    #[cfg(feature = "origin")]
    #[error(
        "{}: {source}. Nothing was written: restore this file, or move it away to start again at version 1, which clients \
         that hold a higher version refuse",
        path.display()
    )]
    OldHead {
        /// The head.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: Box<ReleaseError>,
    },
}

impl ReleaseError {
    /// The kind of error, `stage/what`: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "release/too-large",
            Self::Json { .. } => "release/json",
            Self::Format { .. } => "release/format",
            Self::Requires { .. } => "release/requires",
            Self::Field { .. } => "release/field",
            Self::Signatures { .. } => "release/signatures",
            Self::Size { .. } => "release/size",
            Self::Digest { .. } => "release/digest",
            Self::Towers { .. } => "release/towers",
            Self::Shard(error) => error.code(),
            Self::Delta(error) => error.code(),
            Self::Directory(error) => error.code(),
            Self::Overlay(error) => error.code(),
            Self::Tower(error) => tower_code(error),
            Self::Cards { .. } => "release/cards",
            Self::Segment { .. } => "request/segment",
            Self::Unknown { .. } => "release/unknown",
            #[cfg(feature = "origin")]
            Self::Io { .. } => "release/io",
            #[cfg(feature = "origin")]
            Self::OldHead { .. } => "release/old-head",
            #[cfg(feature = "origin")]
            Self::SignedHead { .. } => "release/signed-head",
        }
    }

    pub(super) fn json(what: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self::Json { what, reason: error.to_string() }
    }

    #[cfg(feature = "origin")]
    pub(super) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

fn tower_code(error: &TowerError) -> &'static str {
    match error {
        TowerError::Truncated { .. } => "towers/truncated",
        TowerError::Magic { .. } => "towers/magic",
        TowerError::Version { .. } => "towers/version",
        TowerError::Digest { .. } => "towers/digest",
        TowerError::Program { .. } => "towers/program",
        TowerError::Input { .. } => "towers/input",
        TowerError::Features(_) => "towers/features",
        TowerError::Engine => "towers/engine",
        #[cfg(feature = "tract-engine")]
        TowerError::Graph { .. } => "towers/graph",
        #[cfg(feature = "origin")]
        _ => "towers/origin",
    }
}
