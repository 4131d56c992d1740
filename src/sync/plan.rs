//! What to fetch.

use serde::Serialize;

use super::SyncError;
use crate::Digest;
use crate::release::{Manifest, ObjectKind, ObjectRef, Part};

/// One object to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetch {
    /// Where it lies, from the folder of the release.
    pub path: String,
    /// Its digest, under which it is handed over.
    pub digest: Digest,
    /// Its length in bytes; reading more is a waste.
    pub size: u64,
    /// What it is.
    pub kind: ObjectKind,
}

impl Fetch {
    pub(super) fn new(object: ObjectRef, kind: ObjectKind) -> Self {
        Self { path: object.path(), digest: object.digest, size: object.size, kind }
    }
}

/// What a client wants of a release before any query is asked: all but clusters; of a release by column the shards of its segment; and the clusters that
/// it shows.
#[derive(Clone, Copy)]
pub struct Wants<'w> {
    /// Its segment, where the release is by column.
    pub segment: Option<&'w str>,
    /// Whether it shows the cluster at a place.
    pub is_shown: &'w dyn Fn(usize) -> bool,
    /// Most bytes that it may hold.
    pub budget: u64,
}

impl Wants<'_> {
    fn of<'m>(&'m self, manifest: &'m Manifest) -> impl Iterator<Item = (Part, ObjectRef)> {
        manifest.parts().filter(move |(part, _)| {
            let is_shown = match *part {
                Part::Cards(_) => !manifest.has_cards_by_shard(),
                Part::Shard(at) | Part::Delta(at, _) => (self.is_shown)(at),
                _ => false,
            };
            is_shown || manifest.is_needed_at_once(*part, self.segment)
        })
    }

    /// That what is wanted fits into the budget: to know before anything of it is fetched. Cards are the page's.
    ///
    /// # Errors
    /// [`SyncError::Budget`].
    pub fn check(&self, manifest: &Manifest) -> Result<(), SyncError> {
        let wanted = self.of(manifest).filter(|(part, _)| !matches!(part, Part::Cards(_)));
        let found = wanted.fold(0_u64, |sum, (_, object)| sum.saturating_add(object.size));
        if found > self.budget { Err(SyncError::Budget { found, expected: self.budget }) } else { Ok(()) }
    }
}

/// What is missing, what is needed first at the front: the manifest, while it is not held; then the query tower, the routing or the shards in the manifest's
/// order with their deltas, and the cards of a release that is held whole.
pub fn plan(
    head: &ObjectRef,
    manifest: Option<&Manifest>,
    wants: &Wants<'_>,
    held: impl Fn(&Digest) -> bool,
) -> Vec<Fetch> {
    match manifest {
        None => vec![Fetch::new(*head, ObjectKind::Manifest)],
        Some(manifest) => wants
            .of(manifest)
            .filter(|(_, object)| !held(&object.digest))
            .map(|(part, object)| Fetch::new(object, part.kind()))
            .collect(),
    }
}

/// As many of these, in order, as a client may hold beside what it holds.
pub(super) fn within(budget: u64, held: u64, fetches: impl Iterator<Item = Fetch>) -> Vec<Fetch> {
    let mut room = budget.saturating_sub(held);
    let mut fits = |fetch: &Fetch| {
        let is_room = fetch.size <= room;
        room -= if is_room { fetch.size } else { 0 };
        is_room
    };
    fetches.filter(|fetch| fits(fetch)).collect()
}
