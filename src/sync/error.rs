//! What can go wrong while a release is fetched.

use crate::Digest;
use crate::release::ReleaseError;

/// An error of the sync stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The head is older than one that was accepted before.
    #[error(
        "head: version {found}, expected at least {trusted}, which was seen before; a cache serves an old head: ask again"
    )]
    Rollback {
        /// The version of the head.
        found: u64,
        /// The highest version that was accepted.
        trusted: u64,
    },
    /// Two heads of one version name different manifests or overlays.
    #[error(
        "head: version {version} names the object {found}, expected {trusted} as before; publish the release again, \
         with a new version"
    )]
    Conflict {
        /// The version of both.
        version: u64,
        /// What the new head names.
        found: Digest,
        /// What the head named that was accepted.
        trusted: Digest,
    },
    /// An object that nobody asked for.
    #[error("object {found}: expected one that the release lacks; fetch what the plan names")]
    Unexpected {
        /// The digest under which it came.
        found: Digest,
    },
    /// The head or an object is damaged, or does not belong to the release.
    #[error(transparent)]
    Release(#[from] ReleaseError),
}

impl SyncError {
    /// The kind of error, `stage/what`: a name that stays the same when its text changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rollback { .. } => "sync/rollback",
            Self::Conflict { .. } => "sync/conflict",
            Self::Unexpected { .. } => "sync/unexpected",
            Self::Release(error) => error.code(),
        }
    }
}
