//! The name of an object: its digest and its size.

use std::fmt;

use serde::Serialize;

use super::ReleaseError;
use crate::Digest;
use crate::json::{Json, JsonError};
use crate::shard::directory::format::MAX_BUCKET_BYTES;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// The list of the other objects.
    Manifest,
    /// The query tower.
    Tower,
    /// A shard.
    Shard,
    /// What changed in a shard.
    Delta,
    /// The shard whose candidates are the clusters.
    Routing,
    /// A bucket of the directory.
    Directory,
    /// What a page shows of each candidate.
    Cards,
    /// A bucket of lists that a page shows.
    Lists,
    /// What the shop demands of its rows.
    Rules,
    /// What orders candidates.
    Ranker,
    /// What is out of stock right now, and other prices.
    Overlay,
}

impl ObjectKind {
    /// The most bytes that an object of this kind may have: a bound on what a head or a manifest can make a reader fetch.
    pub const fn limit(self) -> u64 {
        match self {
            Self::Manifest | Self::Rules => 1 << 20,
            Self::Tower | Self::Routing | Self::Ranker => 1 << 26,
            Self::Shard | Self::Delta => 1 << 30,
            Self::Directory => MAX_BUCKET_BYTES as u64,
            Self::Cards => 1 << 28,
            Self::Lists => 1 << 24,
            // Lists of a few bits a row, of which prices take up to 18 times as much in memory.
            Self::Overlay => 1 << 22,
        }
    }

    /// The kind as files and answers have it.
    #[cfg(any(feature = "wasm", test))]
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Tower => "tower",
            Self::Shard => "shard",
            Self::Delta => "delta",
            Self::Routing => "routing",
            Self::Directory => "directory",
            Self::Cards => "cards",
            Self::Lists => "lists",
            Self::Rules => "rules",
            Self::Ranker => "ranker",
            Self::Overlay => "overlay",
        }
    }

    /// The kind in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Tower => "query tower",
            Self::Shard => "shard",
            Self::Delta => "delta",
            Self::Routing => "routing",
            Self::Directory => "directory bucket",
            Self::Cards => "cards",
            Self::Lists => "lists",
            Self::Rules => "rules",
            Self::Ranker => "ranker",
            Self::Overlay => "overlay",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ObjectRef {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl ObjectRef {
    /// Names these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    pub(super) fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let digest = json.field("digest");
        let parsed = digest.text()?.parse().map_err(|_| digest.wrong("64 lower-case hexadecimal digits"))?;
        Ok(Self { digest: parsed, size: json.field("size").number(u64::MAX)? })
    }

    /// Where the object lies, from the folder of the release.
    pub fn path(&self) -> String {
        format!("objects/{}", self.digest)
    }

    /// Checks that an object of this kind may be so large, before anything is fetched or read.
    ///
    /// # Errors
    /// [`ReleaseError::TooLarge`].
    pub fn check_limit(&self, kind: ObjectKind) -> Result<(), ReleaseError> {
        let limit = kind.limit();
        if self.size > limit {
            return Err(ReleaseError::TooLarge { what: kind.name(), found: self.size, limit });
        }
        Ok(())
    }

    /// Checks that these bytes are the object: first the size, then the digest.
    ///
    /// # Errors
    /// [`ReleaseError::Size`] or [`ReleaseError::Digest`].
    pub fn check(&self, kind: ObjectKind, bytes: &[u8]) -> Result<(), ReleaseError> {
        self.check_digested(kind, bytes, Digest::of(bytes))
    }

    /// As [`ObjectRef::check`], with the SHA-256 of these bytes as `computed`: the caller vouches for its having been computed
    /// over exactly these.
    ///
    /// # Errors
    /// [`ReleaseError::Size`] or [`ReleaseError::Digest`].
    // In one place: it is called for every kind of object, and copies of it took 1 KB of what a client downloads.
    #[inline(never)]
    pub fn check_digested(&self, kind: ObjectKind, bytes: &[u8], computed: Digest) -> Result<(), ReleaseError> {
        let found = bytes.len() as u64;
        if found != self.size {
            return Err(ReleaseError::Size { kind, object: self.digest, found, expected: self.size });
        }
        if computed != self.digest {
            return Err(ReleaseError::Digest { kind, found: computed, expected: self.digest });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_called_as_serde_writes_it() {
        let mut kinds = vec![ObjectKind::Manifest, ObjectKind::Tower, ObjectKind::Shard, ObjectKind::Delta];
        kinds.extend([ObjectKind::Routing, ObjectKind::Directory, ObjectKind::Cards, ObjectKind::Overlay]);
        for kind in kinds {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.key());
        }
    }
}
