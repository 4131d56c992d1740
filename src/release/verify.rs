//! Checking a whole release on a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::{HEAD_FILE, HEAD_LIMIT, Head, Manifest, ObjectKind, ObjectRef, Part, Release, ReleaseError, card_ids};
use crate::Digest;
use crate::shard::Shard;

/// What a release that is whole consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The version of the head.
    pub version: u64,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// The release's name.
    pub name: String,
    /// The towers that made all vectors.
    pub towers: Digest,
    /// Candidates.
    pub items: u64,
    /// Dimensions of the embeddings.
    pub dim: usize,
    /// Shards.
    pub shards: usize,
    /// Whether there are cards.
    pub cards: bool,
    /// Objects, the manifest among them.
    pub objects: usize,
    /// Bytes of all objects.
    pub bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "release      {}, version {}", self.name, self.version)?;
        writeln!(f, "manifest     {}", self.manifest)?;
        writeln!(f, "towers       {}", self.towers)?;
        let cards = if self.cards { "one card each" } else { "no cards" };
        writeln!(f, "candidates   {} x {} in {} shards, {cards}", self.items, self.dim, self.shards)?;
        writeln!(f, "objects      {}, {} bytes", self.objects, self.bytes)?;
        writeln!(f, "checked      sizes, digests, every value, towers; signatures are not checked by this build")
    }
}

/// Checks the release in `dir`: the head, the manifest, and of every object that they name the size, the digest, every
/// value, and that it belongs to the same towers; and that there is one card per candidate.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(dir: &Path) -> Result<Report, ReleaseError> {
    let release = open(dir)?;
    let manifest = release.manifest();
    if let Some(cards) = manifest.cards {
        let cards = card_ids(&read_object(dir, ObjectKind::Cards, &cards)?)?;
        let ids = release.shards().iter().flat_map(|shard| shard.ids());
        check_cards(ids, cards)?;
    }
    let sizes = || manifest.parts().map(|(_, object)| object.size);
    let manifest_size = manifest.to_bytes()?.len() as u64;
    Ok(Report {
        version: release.version(),
        manifest: release.digest(),
        name: manifest.name.clone(),
        towers: manifest.towers,
        items: manifest.items,
        dim: manifest.dim,
        shards: manifest.shards.len(),
        cards: manifest.cards.is_some(),
        objects: 1 + sizes().count(),
        bytes: manifest_size + sizes().sum::<u64>(),
    })
}

/// Opens the release in `dir`, with every check but that of the cards.
///
/// # Errors
/// The first thing that is wrong.
pub fn open(dir: &Path) -> Result<Release, ReleaseError> {
    let head = Head::parse(&read_limited(&dir.join(HEAD_FILE), HEAD_LIMIT as u64)?)?;
    let manifest = Manifest::parse(&read_object(dir, ObjectKind::Manifest, &head.manifest)?)?;
    let query_tower = manifest.open_tower(&read_object(dir, ObjectKind::Tower, &manifest.query_tower)?)?;
    let mut shards = Vec::with_capacity(manifest.shards.len());
    for (part, object) in manifest.parts() {
        if let Part::Shard(at) = part {
            let shard = Shard::open(read_object(dir, ObjectKind::Shard, &object)?)?;
            manifest.check_shard(at, &shard)?;
            shards.push(Arc::new(shard.verify()?));
        }
    }
    Ok(Release::new((head.version, head.manifest.digest), Arc::new(manifest), Arc::new(query_tower), shards))
}

/// Reads an object, no further than one byte beyond its stated size, and checks that it is the one that is named.
pub(super) fn read_object(dir: &Path, kind: ObjectKind, object: &ObjectRef) -> Result<Vec<u8>, ReleaseError> {
    object.check_limit(kind)?;
    let bytes = read_limited(&dir.join(object.path()), object.size)?;
    object.check(kind, &bytes)?;
    Ok(bytes)
}

/// Reads a file up to one byte beyond `limit`: enough to see that it is too large.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ReleaseError> {
    let io = |error| ReleaseError::io(path, error);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Checks that there is exactly one card for each of `ids`.
pub(super) fn check_cards(ids: impl Iterator<Item = String>, cards: Vec<String>) -> Result<(), ReleaseError> {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    for id in ids {
        *balance.entry(id).or_default() += 1;
    }
    for id in cards {
        *balance.entry(id).or_default() -= 1;
    }
    let sum = |sign: i64| balance.values().map(|n| (n * sign).max(0) as usize).sum();
    let Some((example, _)) = balance.iter().find(|(_, n)| **n != 0) else { return Ok(()) };
    Err(ReleaseError::Cards { missing: sum(1), extra: sum(-1), example: example.clone() })
}
