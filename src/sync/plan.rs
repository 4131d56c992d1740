//! What to fetch.

use serde::Serialize;

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

/// What is missing of a release before any query is asked, what is needed first at the front: the manifest, while it is not
/// held; then the query tower, the routing or the shards in the manifest's order, of a release by column those of the client's
/// segment, of clusters those that `is_shown` (by place) with their deltas, and the cards of a release that is held whole.
pub fn plan(
    head: &ObjectRef,
    manifest: Option<&Manifest>,
    segment: Option<&str>,
    is_shown: impl Fn(usize) -> bool,
    held: impl Fn(&Digest) -> bool,
) -> Vec<Fetch> {
    match manifest {
        None => vec![Fetch::new(*head, ObjectKind::Manifest)],
        Some(manifest) => manifest
            .parts()
            .filter(|(part, _)| {
                let is_wanted = match *part {
                    Part::Cards(_) => !manifest.has_cards_by_shard(),
                    Part::Shard(at) | Part::Delta(at, _) => is_shown(at),
                    _ => false,
                };
                is_wanted || manifest.is_needed_at_once(*part, segment)
            })
            .filter(|(_, object)| !held(&object.digest))
            .map(|(part, object)| Fetch::new(object, part.kind()))
            .collect(),
    }
}
