//! The places of a manifest.

use crate::release::ObjectKind;

/// The place of an object in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The query tower.
    Tower,
    /// The centroids of the clusters.
    Routing,
    /// The shard at this place of the list.
    Shard(usize),
    /// The delta at the second place of the list of the shard at the first.
    Delta(usize, usize),
    /// This bucket of the directory.
    Directory(usize),
    /// This bucket of the directory of recent changes.
    Recent(usize),
    /// The cards at this place of their list.
    Cards(usize),
    /// This bucket of the lists.
    Lists(usize),
    /// The rules.
    Rules,
    /// The ranker.
    Ranker,
}

impl Part {
    /// What stands at such a place.
    pub const fn kind(self) -> ObjectKind {
        match self {
            Self::Tower => ObjectKind::Tower,
            Self::Routing => ObjectKind::Routing,
            Self::Shard(_) => ObjectKind::Shard,
            Self::Delta(..) => ObjectKind::Delta,
            Self::Directory(_) | Self::Recent(_) => ObjectKind::Directory,
            Self::Cards(_) => ObjectKind::Cards,
            Self::Lists(_) => ObjectKind::Lists,
            Self::Rules => ObjectKind::Rules,
            Self::Ranker => ObjectKind::Ranker,
        }
    }
}
