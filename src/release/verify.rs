//! Checking a whole release on a disk.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::lists::Lists;
use super::publish::overlay_of;
use super::{HEAD_FILE, HEAD_LIMIT, Head, Manifest, ObjectKind, ObjectRef, Part, Release, ReleaseError, card_ids};
use crate::Digest;
use crate::shard::Shard;
use crate::shard::delta::Chain;
use crate::shard::directory::{DirectoryBucket, bucket_of};

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
    /// Deltas of all shards.
    pub deltas: usize,
    /// Whether there are cards.
    pub cards: bool,
    /// Lists that a page asks for by name.
    pub lists: usize,
    /// Sets of rules.
    pub scenarios: usize,
    /// Items out of stock, and items with another price, where the head names an overlay.
    pub overlay: Option<(u64, usize)>,
    /// Objects, the manifest and the overlay among them.
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
        let deltas = if self.deltas == 0 { String::new() } else { format!(" and {} deltas", self.deltas) };
        writeln!(f, "candidates   {} x {} in {} shards{deltas}, {cards}", self.items, self.dim, self.shards)?;
        writeln!(f, "lists        {}", self.lists)?;
        writeln!(f, "scenarios    {}", self.scenarios)?;
        match self.overlay {
            Some((out, priced)) => writeln!(f, "overlay      {out} out of stock, {priced} with another price")?,
            None => writeln!(f, "overlay      none")?,
        }
        writeln!(f, "objects      {}, {} bytes", self.objects, self.bytes)?;
        writeln!(f, "checked      sizes, digests, every value, towers")
    }
}

/// Checks the release in `dir`: the head, the manifest, and of every object that they name the size, the digest, every
/// value, and that it belongs to the same towers; that there is one card per candidate, that lists name candidates only, and
/// that the overlay is of this release.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(dir: &Path) -> Result<Report, ReleaseError> {
    verify_head(dir, &read_head(dir)?)
}

/// As [`verify`], of a head that was read.
pub(crate) fn verify_head(dir: &Path, head: &Head) -> Result<Report, ReleaseError> {
    let release = open_of(dir, head)?;
    let manifest = release.manifest();
    let overlay = overlay_of(dir, head, &release)?;
    let chains: Vec<&Chain> = release.shards().iter().flatten().map(AsRef::as_ref).collect();
    check_chains(manifest, &chains)?;
    let buckets = |of: fn(Part) -> bool| read_buckets(dir, manifest, of);
    let directory = buckets(|part| matches!(part, Part::Directory(_)))?;
    check_directories(&chains, &directory, &buckets(|part| matches!(part, Part::Recent(_)))?)?;
    let cards = manifest.cards.iter().map(|object| read_object(dir, ObjectKind::Cards, object));
    check_all_cards(manifest, &chains, cards.collect::<Result<Vec<_>, _>>()?)?;
    let lists = manifest.lists.iter().map(|object| read_object(dir, ObjectKind::Lists, object));
    let lists = check_lists(&chains, &lists.collect::<Result<Vec<_>, _>>()?)?;
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
        deltas: manifest.shards.iter().map(|shard| shard.deltas.len()).sum(),
        cards: !manifest.cards.is_empty(),
        lists,
        scenarios: release.rules().map_or(0, |rules| rules.names().count()),
        objects: 1 + sizes().count() + usize::from(overlay.is_some()),
        bytes: manifest_size + sizes().sum::<u64>() + overlay.as_ref().map_or(0, |overlay| overlay.object().size),
        overlay: overlay.map(|overlay| (overlay.out(), overlay.priced())),
    })
}

/// Opens the release in `dir` with all its shards and their deltas, and every check but those of directories and cards. Of a release
/// by column, [`Release::for_segment`] is what answers queries. It counts everything as in stock, so that what is measured of it is
/// the release's; `overlay` reads what [`Release::with_overlay`] takes.
///
/// # Errors
/// The first thing that is wrong.
pub fn open(dir: &Path) -> Result<Release, ReleaseError> {
    open_of(dir, &read_head(dir)?)
}

pub(crate) fn read_head(dir: &Path) -> Result<Head, ReleaseError> {
    Head::parse(&read_limited(&dir.join(HEAD_FILE), HEAD_LIMIT as u64)?)
}

/// As [`open`], of a head that was read.
pub(super) fn open_of(dir: &Path, head: &Head) -> Result<Release, ReleaseError> {
    let manifest = Manifest::parse(&read_object(dir, ObjectKind::Manifest, &head.manifest)?)?;
    // What has been read has been compared with the digest that names it.
    let tower = manifest.query_tower;
    let query_tower = manifest.open_tower(&read_object(dir, ObjectKind::Tower, &tower)?, tower.digest)?;
    let routing = match manifest.routing.as_ref().map(|routing| routing.object) {
        Some(object) => Some(manifest.open_routing(read_object(dir, ObjectKind::Routing, &object)?, object.digest)?),
        None => None,
    };
    let rules = match manifest.rules {
        Some(object) => Some(manifest.open_rules(&read_object(dir, ObjectKind::Rules, &object)?, object.digest)?),
        None => None,
    };
    let ranker = match manifest.ranker {
        Some(object) => Some(manifest.open_ranker(&read_object(dir, ObjectKind::Ranker, &object)?, object.digest)?),
        None => None,
    };
    let mut chains = Vec::with_capacity(manifest.shards.len());
    for (at, named) in manifest.shards.iter().enumerate() {
        let shard = Shard::open(read_object(dir, ObjectKind::Shard, &named.object)?)?;
        manifest.check_shard(at, &shard)?;
        let shard = shard.verify()?;
        manifest.check_columns(&shard)?;
        let base = Arc::new(shard);
        let deltas = named.deltas.iter().enumerate().map(|(nth, delta)| {
            let bytes = read_object(dir, ObjectKind::Delta, &delta.object)?;
            manifest.open_delta((at, nth), &bytes, delta.object.digest).map(Arc::new)
        });
        chains.push(Some(Arc::new(Chain::new(base, deltas.collect::<Result<_, _>>()?))));
    }
    let version = (head.version, head.manifest.digest);
    let release = Release::new(version, Arc::new(manifest), Arc::new(query_tower), None, routing.map(Arc::new), chains);
    Ok(release.expect("every part has been read").with(rules.map(Arc::new), ranker.map(Arc::new)))
}

/// Reads and opens the buckets of one of the directories.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read_buckets(
    dir: &Path,
    manifest: &Manifest,
    of: fn(Part) -> bool,
) -> Result<Vec<DirectoryBucket>, ReleaseError> {
    let read = |(part, object): (Part, ObjectRef)| {
        manifest.open_bucket(part, read_object(dir, ObjectKind::Directory, &object)?, object.digest)
    };
    manifest.parts().filter(|(part, _)| of(*part)).map(read).collect()
}

/// Checks that every shard has as many candidates as the manifest counts, and every id once.
pub(super) fn check_chains<C: Borrow<Chain>>(manifest: &Manifest, chains: &[C]) -> Result<(), ReleaseError> {
    let mut seen = HashSet::new();
    for (chain, named) in chains.iter().map(Borrow::borrow).zip(&manifest.shards) {
        if chain.len() as u64 != named.items() {
            let (found, expected) = (chain.len().to_string(), named.items().to_string());
            let field = "number of candidates of a shard with its deltas";
            return Err(ReleaseError::Field { what: "manifest", field, found, expected });
        }
        if let Some(id) = chain.ids().find(|id| !seen.insert(id.clone())) {
            let found = format!("{id:?} twice");
            return Err(ReleaseError::Field { what: "release", field: "id", found, expected: "every id once".into() });
        }
    }
    Ok(())
}

/// Checks that the directories lead from every id to its shard, if there are any.
pub(super) fn check_directories<C: Borrow<Chain>>(
    chains: &[C],
    directory: &[DirectoryBucket],
    recent: &[DirectoryBucket],
) -> Result<(), ReleaseError> {
    if directory.is_empty() {
        return Ok(());
    }
    let place_in = |buckets: &[DirectoryBucket], id: &str| {
        buckets.get(bucket_of(id, buckets.len() as u32) as usize).and_then(|bucket| bucket.find(id))
    };
    for (shard, chain) in (0..).zip(chains) {
        for id in chain.borrow().ids() {
            let places = [place_in(recent, &id), place_in(directory, &id)];
            if !places.iter().flatten().any(|place| place.shard == shard) {
                let found = format!("{id:?} at {places:?}");
                let expected = format!("shard {shard}");
                return Err(ReleaseError::Field { what: "directory", field: "place of an item", found, expected });
            }
        }
    }
    Ok(())
}

/// Reads an object, no further than one byte beyond its stated size, and checks that it is the one that is named.
pub(crate) fn read_object(dir: &Path, kind: ObjectKind, object: &ObjectRef) -> Result<Vec<u8>, ReleaseError> {
    object.check_limit(kind)?;
    let bytes = read_limited(&dir.join(object.path()), object.size)?;
    object.check(kind, &bytes)?;
    Ok(bytes)
}

/// Reads a file up to one byte beyond `limit`: enough to see that it is too large.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ReleaseError> {
    crate::platform::files::read_limited(path, limit).map_err(|error| ReleaseError::io(path, error))
}

/// Checks that each candidate has one card: in the one object that is for all, or in the one of its shard.
pub(super) fn check_all_cards<C: Borrow<Chain>>(
    manifest: &Manifest,
    shards: &[C],
    cards: impl IntoIterator<Item = Vec<u8>>,
) -> Result<(), ReleaseError> {
    for (at, bytes) in cards.into_iter().enumerate() {
        let of = if manifest.has_cards_by_shard() { &shards[at..=at] } else { shards };
        check_cards(of.iter().flat_map(|shard| shard.borrow().ids()), card_ids(&bytes)?)?;
    }
    Ok(())
}

/// Checks that lists are in their buckets and hold candidates only; how many there are.
pub(super) fn check_lists<C: Borrow<Chain>>(chains: &[C], buckets: &[Vec<u8>]) -> Result<usize, ReleaseError> {
    let ids: HashSet<String> = chains.iter().flat_map(|chain| chain.borrow().ids()).collect();
    let mut count = 0;
    for (place, bytes) in buckets.iter().enumerate() {
        let bucket = Lists::parse(bytes)?;
        bucket.check(place, buckets.len(), &ids)?;
        count += bucket.lists.len();
    }
    Ok(count)
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
