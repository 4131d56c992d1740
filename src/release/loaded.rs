//! A release in memory.

use std::sync::Arc;

use super::{Manifest, Part, ReleaseError};
use crate::Digest;
use crate::index::{NodeId, Scratch};
use crate::shard::directory::{DirectoryBucket, Place, bucket_of};
use crate::shard::{Shard, Verified};
use crate::towers::QueryTower;

/// A checked release: everything that its layout needs at once, and what has been fetched of the rest. Copies share it.
///
/// The cards are not here: they are what a page shows, and nothing is computed from them.
#[derive(Debug, Clone)]
pub struct Release {
    version: u64,
    digest: Digest,
    manifest: Arc<Manifest>,
    query_tower: Arc<QueryTower>,
    /// Whose shards queries visit, of a release by column.
    segment: Option<String>,
    routing: Option<Arc<Shard<Verified>>>,
    shards: Vec<Option<Arc<Shard<Verified>>>>,
    directory: Vec<Option<Arc<DirectoryBucket>>>,
}

/// A part of a release that a query needs and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent(pub Part);

/// Where an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The shard's place in the manifest.
    pub shard: usize,
    /// The item's node there.
    pub node: NodeId,
}

impl Release {
    /// Joins what the manifest's own checks have accepted; `None` unless every part that is needed at once is there.
    pub(crate) fn new(
        (version, digest): (u64, Digest),
        manifest: Arc<Manifest>,
        query_tower: Arc<QueryTower>,
        segment: Option<String>,
        routing: Option<Arc<Shard<Verified>>>,
        shards: Vec<Option<Arc<Shard<Verified>>>>,
    ) -> Option<Self> {
        let is_there = |at: usize| shards[at].is_some() || !manifest.is_of(at, segment.as_deref());
        let whole = match &manifest.routing {
            None => (0..shards.len()).all(is_there),
            Some(_) => routing.is_some(),
        };
        let directory = vec![None; manifest.directory.len()];
        whole.then_some(Self { version, digest, manifest, query_tower, segment, routing, shards, directory })
    }

    /// Adds a shard at its place in the manifest, whose checks have accepted it.
    pub(crate) fn add_shard(&mut self, at: usize, shard: Arc<Shard<Verified>>) {
        self.shards[at] = Some(shard);
    }

    /// Adds a bucket of the directory at its place in the manifest, whose checks have accepted it.
    pub(crate) fn add_bucket(&mut self, at: usize, bucket: Arc<DirectoryBucket>) {
        self.directory[at] = Some(bucket);
    }

    /// This release under another version: a new head may name the same manifest.
    pub(crate) fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// This release for another segment, whose shards have to be there: of a release that was opened whole, any.
    ///
    /// # Errors
    /// [`ReleaseError::Segment`] with the values there are.
    pub fn for_segment(&self, segment: &str) -> Result<Self, ReleaseError> {
        self.manifest.check_segment(Some(segment))?;
        Ok(Self { segment: Some(segment.to_owned()), ..self.clone() })
    }

    /// The segment whose shards queries visit, if it was stated.
    pub fn segment(&self) -> Option<&str> {
        self.segment.as_deref()
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

    /// The shards, in the order of the manifest; of clusters those that have been fetched.
    pub fn shards(&self) -> &[Option<Arc<Shard<Verified>>>] {
        &self.shards
    }

    /// The shards that a query visits, by their places in the manifest, the nearest first: of clusters so many times as many as
    /// the manifest says.
    pub fn visited(&self, query: &[f32], times: usize, scratch: &mut Scratch) -> Vec<usize> {
        let (Some(routing), Some(named)) = (&self.routing, &self.manifest.routing) else {
            return (0..self.shards.len()).filter(|&at| self.manifest.is_of(at, self.segment())).collect();
        };
        let hits = routing.search(query, (named.probes as usize).saturating_mul(times), None, scratch, None);
        // The routing has been checked: its ids are places.
        hits.iter().filter_map(|hit| routing.id(hit.node).parse().ok()).collect()
    }

    /// Where the item with this id is; `None` if the release has no such item.
    ///
    /// # Errors
    /// [`Absent`] with what has to be fetched to tell: the directory's bucket, or the item's shard.
    pub fn find(&self, id: &str) -> Result<Option<Found>, Absent> {
        let Some(buckets) = u32::try_from(self.directory.len()).ok().filter(|&buckets| buckets > 0) else {
            return Ok(self.find_held(id));
        };
        let at = bucket_of(id, buckets) as usize;
        let Some(bucket) = &self.directory[at] else {
            return self.find_held(id).map(Some).ok_or(Absent(Part::Directory(at)));
        };
        let Some(Place { shard, slot }) = bucket.find(id) else { return Ok(None) };
        let (place, node) = (shard as usize, NodeId(slot));
        let shard = self.shards[place].as_ref().ok_or(Absent(Part::Shard(place)))?;
        // Ids that the release does not have may share a place with one that it has.
        Ok((shard.id(node) == id).then_some(Found { shard: place, node }))
    }

    fn find_held(&self, id: &str) -> Option<Found> {
        let node_of = |shard: &Option<Arc<Shard<Verified>>>| shard.as_ref()?.node_of(id);
        // What a client of this segment does not hold is not found by who holds everything either.
        let mut shards = self.shards.iter().enumerate().filter(|(at, _)| self.manifest.is_of(*at, self.segment()));
        shards.find_map(|(shard, held)| Some(Found { shard, node: node_of(held)? }))
    }
}
