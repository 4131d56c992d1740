//! The objects that are held, by digest.

use std::sync::Arc;

use crate::Digest;
use crate::release::ObjectKind;
use crate::release::rules::Rules;
use crate::shard::delta::Delta;
use crate::shard::directory::DirectoryBucket;
use crate::shard::{Shard, Verified};
use crate::towers::{QueryTower, Ranker};

#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) size: u64,
    pub(super) object: Object,
}

#[derive(Debug, Clone)]
pub(super) enum Object {
    Tower(Arc<QueryTower>),
    Routing(Arc<Shard<Verified>>),
    Shard(Arc<Shard<Verified>>),
    Delta(Arc<Delta>),
    Directory(Arc<DirectoryBucket>),
    /// Cards and lists are for the page: that they came is all that is kept.
    Cards,
    Lists,
    Rules(Arc<Rules>),
    Ranker(Arc<Ranker>),
}

impl Object {
    pub(super) fn kind(&self) -> ObjectKind {
        match self {
            Self::Tower(_) => ObjectKind::Tower,
            Self::Routing(_) => ObjectKind::Routing,
            Self::Shard(_) => ObjectKind::Shard,
            Self::Delta(_) => ObjectKind::Delta,
            Self::Directory(_) => ObjectKind::Directory,
            Self::Cards => ObjectKind::Cards,
            Self::Lists => ObjectKind::Lists,
            Self::Rules(_) => ObjectKind::Rules,
            Self::Ranker(_) => ObjectKind::Ranker,
        }
    }
}

/// Objects in the order of their digests: a list, since a tree of maps is some KB of what a client downloads.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldObjects(Vec<(Digest, Held)>);

impl HeldObjects {
    fn place(&self, digest: Digest) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.cmp(&digest))
    }

    pub(super) fn contains(&self, digest: Digest) -> bool {
        self.place(digest).is_ok()
    }

    pub(super) fn get(&self, digest: Digest) -> Option<&Held> {
        self.place(digest).ok().map(|place| &self.0[place].1)
    }

    /// Bytes of all, cards and lists aside, which the page holds.
    pub(super) fn bytes(&self) -> u64 {
        let computed = self.0.iter().filter(|(_, held)| !matches!(held.object, Object::Cards | Object::Lists));
        computed.map(|(_, held)| held.size).sum()
    }

    /// Adds an object that is not held.
    pub(super) fn insert(&mut self, digest: Digest, held: Held) {
        let (Ok(place) | Err(place)) = self.place(digest);
        self.0.insert(place, (digest, held));
    }

    /// Keeps those whose digest is `wanted`.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Digest) -> bool) {
        self.0.retain(|(digest, _)| wanted(digest));
    }

    #[cfg(test)]
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.0.iter().map(|(digest, _)| *digest)
    }
}
