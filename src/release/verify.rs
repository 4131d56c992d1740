//! Checking a whole release on a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::{HEAD_FILE, HEAD_LIMIT, Head, Manifest, ObjectKind, ObjectRef, Part, Release, ReleaseError, card_ids};
use crate::Digest;
use crate::shard::directory::{Place, bucket_of};
use crate::shard::{Shard, Verified};

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
    let shards: Vec<&Shard<Verified>> = release.shards().iter().flatten().map(AsRef::as_ref).collect();
    let buckets = manifest.directory.iter().map(|object| read_object(dir, ObjectKind::Directory, object));
    check_directory(manifest, &shards, buckets.collect::<Result<Vec<_>, _>>()?)?;
    let cards = manifest.cards.iter().map(|object| read_object(dir, ObjectKind::Cards, object));
    check_all_cards(manifest, &shards, cards.collect::<Result<Vec<_>, _>>()?)?;
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
        cards: !manifest.cards.is_empty(),
        objects: 1 + sizes().count(),
        bytes: manifest_size + sizes().sum::<u64>(),
    })
}

/// Opens the release in `dir` with all its shards, and every check but those of directory and cards. Of a release by column,
/// [`Release::for_segment`] is what answers queries.
///
/// # Errors
/// The first thing that is wrong.
#[expect(clippy::missing_panics_doc, reason = "every part that a release needs has been read before it is joined")]
pub fn open(dir: &Path) -> Result<Release, ReleaseError> {
    let head = Head::parse(&read_limited(&dir.join(HEAD_FILE), HEAD_LIMIT as u64)?)?;
    let manifest = Manifest::parse(&read_object(dir, ObjectKind::Manifest, &head.manifest)?)?;
    let query_tower = manifest.open_tower(&read_object(dir, ObjectKind::Tower, &manifest.query_tower)?)?;
    let (mut routing, mut shards) = (None, Vec::with_capacity(manifest.shards.len()));
    for (part, object) in manifest.parts() {
        match part {
            Part::Routing => {
                routing = Some(Arc::new(manifest.open_routing(read_object(dir, ObjectKind::Routing, &object)?)?));
            }
            Part::Shard(at) => {
                let shard = Shard::open(read_object(dir, ObjectKind::Shard, &object)?)?;
                manifest.check_shard(at, &shard)?;
                let shard = shard.verify()?;
                manifest.check_columns(&shard)?;
                shards.push(Some(Arc::new(shard)));
            }
            Part::Tower | Part::Directory(_) | Part::Cards(_) => {}
        }
    }
    let version = (head.version, head.manifest.digest);
    let release = Release::new(version, Arc::new(manifest), Arc::new(query_tower), None, routing, shards);
    Ok(release.expect("every part has been read"))
}

/// Checks that every id of the shards is found in the directory at its own place, if there is a directory.
pub(super) fn check_directory<S: std::borrow::Borrow<Shard<Verified>>>(
    manifest: &Manifest,
    shards: &[S],
    buckets: impl IntoIterator<Item = Vec<u8>>,
) -> Result<(), ReleaseError> {
    let open = |(at, bytes)| manifest.open_bucket(at, bytes);
    let buckets = buckets.into_iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
    let Some(count) = u32::try_from(buckets.len()).ok().filter(|&count| count > 0) else { return Ok(()) };
    for (shard, content) in (0..).zip(shards) {
        for (slot, id) in (0..).zip(content.borrow().ids()) {
            let found = buckets[bucket_of(&id, count) as usize].find(&id);
            if found != Some(Place { shard, slot }) {
                let expected = format!("shard {shard}, slot {slot}");
                return Err(ReleaseError::Field {
                    what: "directory",
                    field: "place of an item",
                    found: format!("{id:?} at {found:?}"),
                    expected,
                });
            }
        }
    }
    Ok(())
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

/// Checks that each candidate has one card: in the one object that is for all, or in the one of its shard.
pub(super) fn check_all_cards<S: std::borrow::Borrow<Shard<Verified>>>(
    manifest: &Manifest,
    shards: &[S],
    cards: impl IntoIterator<Item = Vec<u8>>,
) -> Result<(), ReleaseError> {
    for (at, bytes) in cards.into_iter().enumerate() {
        let of = if manifest.has_cards_by_shard() { &shards[at..=at] } else { shards };
        check_cards(of.iter().flat_map(|shard| shard.borrow().ids()), card_ids(&bytes)?)?;
    }
    Ok(())
}

/// Checks that there is exactly one card for each of `ids`.
fn check_cards(ids: impl Iterator<Item = String>, cards: Vec<String>) -> Result<(), ReleaseError> {
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
