//! A release in memory.

use std::sync::Arc;

use super::overlay::Overlay;
use super::rules::Rules;
use super::{Manifest, Part, ReleaseError};
use crate::Digest;
use crate::index::{NodeId, Scratch};
use crate::shard::delta::Chain;
use crate::shard::directory::{DirectoryBucket, Place, bucket_of};
use crate::shard::{Shard, Verified};
use crate::towers::{QueryTower, Ranker};

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
    rules: Option<Arc<Rules>>,
    ranker: Option<Arc<Ranker>>,
    shards: Vec<Option<Arc<Chain>>>,
    directory: Vec<Option<Arc<DirectoryBucket>>>,
    recent: Vec<Option<Arc<DirectoryBucket>>>,
    overlay: Option<Arc<Overlay>>,
}

/// A part of a release that a query needs and that is not there; for a shard, it or one of its deltas.
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
        shards: Vec<Option<Arc<Chain>>>,
    ) -> Option<Self> {
        let is_there = |at: usize| shards[at].is_some() || !manifest.is_of(at, segment.as_deref());
        let whole = match &manifest.routing {
            None => (0..shards.len()).all(is_there),
            Some(_) => routing.is_some(),
        };
        let (directory, recent) = (vec![None; manifest.directory.len()], vec![None; manifest.recent.len()]);
        whole.then_some(Self {
            version,
            digest,
            manifest,
            query_tower,
            segment,
            routing,
            rules: None,
            ranker: None,
            shards,
            directory,
            recent,
            overlay: None,
        })
    }

    /// Adds rules and ranker, which the manifest's checks have accepted.
    pub(crate) fn with(self, rules: Option<Arc<Rules>>, ranker: Option<Arc<Ranker>>) -> Self {
        Self { rules, ranker, ..self }
    }

    /// What orders candidates, if the release has that.
    pub fn ranker(&self) -> Option<&Arc<Ranker>> {
        self.ranker.as_ref()
    }

    /// What the shop demands of its rows, if the release says.
    pub fn rules(&self) -> Option<&Rules> {
        self.rules.as_deref()
    }

    /// This release with what is out of stock right now, or without: an overlay of another manifest counts as none.
    #[must_use]
    pub fn with_overlay(mut self, overlay: Option<Arc<Overlay>>) -> Self {
        self.set_overlay(overlay);
        self
    }

    /// As [`Release::with_overlay`].
    pub(crate) fn set_overlay(&mut self, overlay: Option<Arc<Overlay>>) {
        self.overlay = overlay.filter(|overlay| overlay.manifest() == self.digest);
    }

    /// What is out of stock right now, if the release says.
    pub fn overlay(&self) -> Option<&Overlay> {
        self.overlay.as_deref()
    }

    /// Adds a shard with its deltas at its place in the manifest, whose checks have accepted them.
    pub(crate) fn add_shard(&mut self, at: usize, shard: Arc<Chain>) {
        self.shards[at] = Some(shard);
    }

    /// Adds a bucket of one of the directories at its place in the manifest, whose checks have accepted it.
    pub(crate) fn add_bucket(&mut self, part: Part, bucket: Arc<DirectoryBucket>) {
        match part {
            Part::Directory(at) => self.directory[at] = Some(bucket),
            Part::Recent(at) => self.recent[at] = Some(bucket),
            _ => {}
        }
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

    /// The shards with their deltas, in the order of the manifest; of clusters those that have been fetched.
    pub fn shards(&self) -> &[Option<Arc<Chain>>] {
        &self.shards
    }

    /// The shard of the clusters' centroids, if the shards are clusters.
    pub fn routing(&self) -> Option<&Arc<Shard<Verified>>> {
        self.routing.as_ref()
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
    /// What has to be fetched to tell: buckets of the directories, or a shard.
    pub fn find(&self, id: &str) -> Result<Option<Found>, Vec<Absent>> {
        if self.directory.is_empty() {
            return Ok(self.find_held(id));
        }
        let at = |directory: &[_]| bucket_of(id, directory.len() as u32) as usize;
        let recent = self.recent.get(at(&self.recent)).map(|bucket| (Part::Recent(at(&self.recent)), bucket));
        let base = (Part::Directory(at(&self.directory)), &self.directory[at(&self.directory)]);
        let buckets = recent.into_iter().chain([base]);
        let absent: Vec<Absent> =
            buckets.clone().filter(|(_, bucket)| bucket.is_none()).map(|(part, _)| Absent(part)).collect();
        if !absent.is_empty() {
            // Who holds everything needs no directory.
            return match self.find_held(id) {
                None if self.shards.iter().any(Option::is_none) => Err(absent),
                found => Ok(found),
            };
        }
        for place in buckets.filter_map(|(_, bucket)| bucket.as_ref()?.find(id)) {
            let shard = place.shard as usize;
            let chain = self.shards[shard].as_ref().ok_or_else(|| vec![Absent(Part::Shard(shard))])?;
            // Ids that a directory does not have may share a place with one that it has.
            if let Some(node) = chain.node_near(NodeId(place.slot), id) {
                return Ok(Some(Found { shard, node }));
            }
        }
        Ok(None)
    }

    /// The shard that the directories lead to for this id, and the slot that they name there, where the buckets are held.
    pub fn place(&self, id: &str) -> Option<Place> {
        let place = |buckets: &[Option<Arc<DirectoryBucket>>]| {
            buckets.get(bucket_of(id, buckets.len() as u32) as usize)?.as_ref()?.find(id)
        };
        place(&self.recent).or_else(|| place(&self.directory))
    }

    fn find_held(&self, id: &str) -> Option<Found> {
        let node_of = |shard: &Option<Arc<Chain>>| shard.as_ref()?.node_of(id);
        // What a client of this segment does not hold is not found by who holds everything either.
        let mut shards = self.shards.iter().enumerate().filter(|(at, _)| self.manifest.is_of(*at, self.segment()));
        shards.find_map(|(shard, held)| Some(Found { shard, node: node_of(held)? }))
    }
}
