//! What can go wrong while a release is fetched.

use crate::Digest;
use crate::release::{ReleaseError, RootPin};

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
    /// A head has ended longer ago than the application allows.
    #[error(
        "head: version {version} ended {} hours ago, expected at most {} after its end; publish the release again, or look at this device's clock",
        now.saturating_sub(*ended) / 3600,
        hard_limit / 3600
    )]
    Expired {
        /// The version of the head.
        version: u64,
        /// When it, or the root, ended, in seconds since 1970-01-01 UTC.
        ended: u64,
        /// What the device's clock shows.
        now: u64,
        /// Seconds that are allowed after the end.
        hard_limit: u64,
    },
    /// A release needs more at once than this client may hold.
    #[error(
        "manifest: needs {found} bytes at once, expected at most {expected}; publish the release in clusters, or allow more with the option memory"
    )]
    Budget {
        /// What it needs.
        found: u64,
        /// What is allowed.
        expected: u64,
    },
    /// A root that is not the next one.
    #[error("root: version {found}, expected {expected}; publish every root under its own version")]
    RootVersion {
        /// Its version.
        found: u64,
        /// The next version.
        expected: u64,
    },
    /// A root that is not the one that the application knows.
    #[error(
        "root: found {found}, expected {expected}; pass the publicKey that nearshelf keys show prints for this release"
    )]
    RootPin {
        /// What would pin the root that was found.
        found: RootPin,
        /// The pin.
        expected: RootPin,
    },
    /// A head came before the root that says whose signatures count.
    #[error("head: found no root, expected the one that publicKey names; fetch it first")]
    NoRoot,
    /// A root came where signatures do not count.
    #[error("root: found one, expected none without a publicKey; pass it")]
    NoPin,
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
            Self::Expired { .. } => "sync/expired",
            Self::Budget { .. } => "sync/budget",
            Self::RootVersion { .. } => "sync/root-version",
            Self::RootPin { .. } => "sync/root-pin",
            Self::NoRoot => "sync/no-root",
            Self::NoPin => "sync/no-pin",
            Self::Unexpected { .. } => "sync/unexpected",
            Self::Release(error) => error.code(),
        }
    }
}
