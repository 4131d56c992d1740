//! A release in memory.

use std::sync::Arc;

use super::Manifest;
use crate::Digest;
use crate::shard::{Shard, Verified};
use crate::towers::QueryTower;

/// A whole, checked release. Copies share the tower and the shards.
///
/// The cards are not here: they are what a page shows, and nothing is computed from them.
#[derive(Debug, Clone)]
pub struct Release {
    version: u64,
    digest: Digest,
    manifest: Arc<Manifest>,
    query_tower: Arc<QueryTower>,
    shards: Vec<Arc<Shard<Verified>>>,
}

impl Release {
    /// Joins parts that the manifest's own checks have accepted.
    pub(crate) fn new(
        (version, digest): (u64, Digest),
        manifest: Arc<Manifest>,
        query_tower: Arc<QueryTower>,
        shards: Vec<Arc<Shard<Verified>>>,
    ) -> Self {
        Self { version, digest, manifest, query_tower, shards }
    }

    /// This release under another version: a new head may name the same manifest.
    pub(crate) fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// The version, as the head states it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The digest of the manifest: equal digests are equal releases.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the release consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn shared_manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest)
    }

    /// The query tower.
    pub fn query_tower(&self) -> &Arc<QueryTower> {
        &self.query_tower
    }

    /// The shards, in the order of the manifest.
    pub fn shards(&self) -> &[Arc<Shard<Verified>>] {
        &self.shards
    }
}
