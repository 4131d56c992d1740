//! Writing a release.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::columns_of;
use super::publish::overlay_of;
use super::stock::{RowsById, stock_of};
use super::verify::{check_all_cards, check_chains, check_directories, check_lists, open_of, read_limited};
use super::{
    ENGINE, ENGINE_TRACT, FORMAT_VERSION, HEAD_FILE, HEAD_LIMIT, Head, LAYOUT_BY_COLUMN, LAYOUT_CLUSTERS,
    LAYOUT_SINGLE, Manifest, ManifestDelta, ManifestShard, ObjectRef, Part, REQUIRES_DELTAS, REQUIRES_RANKER,
    REQUIRES_RULES, ReleaseError, Routing,
};
use crate::Digest;
use crate::platform::files::{locked, write_atomically};
use crate::shard::Shard;
use crate::shard::delta::Chain;
use crate::shard::directory::DirectoryBucket;
use crate::towers::QueryTower;

/// What a release is made of: the bytes of its objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseContent {
    /// What the shop calls the release.
    pub name: String,
    /// The query tower.
    pub query_tower: Vec<u8>,
    /// The shards.
    pub shards: Vec<Vec<u8>>,
    /// The deltas of each shard, oldest first; may be shorter than `shards`.
    pub deltas: Vec<Vec<Vec<u8>>>,
    /// The routing and the clusters that a query visits, if the shards are clusters.
    pub routing: Option<(Vec<u8>, u32)>,
    /// The column and each shard's value of it, if the shards are by column.
    pub by: Option<(String, Vec<String>)>,
    /// The buckets of the directory, or none.
    pub directory: Vec<Vec<u8>>,
    /// The buckets of the directory of recent changes, or none.
    pub recent: Vec<Vec<u8>>,
    /// One card per candidate, or none: in one object, or, of clusters, in one per shard.
    pub cards: Vec<Vec<u8>>,
    /// The buckets of lists, or none.
    pub lists: Vec<Vec<u8>>,
    /// The rules, or none.
    pub rules: Option<Vec<u8>>,
    /// The ranker, or none.
    pub ranker: Option<Vec<u8>>,
    /// As [`Manifest::recall`].
    pub recall: Option<u32>,
}

/// Writes releases into one folder.
///
/// Everything is checked before anything is written, objects are written before the head that needs them, and each file
/// appears whole: whatever fails, the release that was there stays as it was.
#[derive(Debug, Clone)]
pub struct ReleaseWriter {
    dir: PathBuf,
}

/// What became of an overlay when the release was written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// There was none.
    None,
    /// It says the same of the items that are still there.
    Kept,
    /// It, or the release that it was of, could not be read: there is none until the next one is published.
    Dropped,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Kept => writeln!(f, "overlay      the one before, for the items that are still there"),
            Self::Dropped => writeln!(f, "overlay      none: the one before could not be read, run nearshelf overlay"),
        }
    }
}

/// What [`ReleaseWriter::write`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// What became of the overlay.
    pub overlay: Carried,
    /// The version of the release: one more than before if it changed.
    pub version: u64,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// Whether the release is another than before.
    pub changed: bool,
    /// Objects that were not there yet.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl ReleaseWriter {
    /// A writer into `dir`, which is made when it is first needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes `content` the release of the folder. The same content gives the same bytes, and no new version. An overlay that the release
    /// before had is written again, for the items that are still there: what is out of stock stays so.
    ///
    /// # Errors
    /// If a part is damaged, the parts do not belong together, the folder has a head that cannot be read, or a file cannot
    /// be written.
    pub fn write(&self, content: &ReleaseContent) -> Result<Written, ReleaseError> {
        let (manifest, chains) = manifest(content)?;
        let manifest = manifest.to_bytes()?;
        let _lock = locked(&self.dir);
        let object = ObjectRef::of(&manifest);
        let old = self.old_head()?;
        let changed = old.as_ref().is_none_or(|old| old.manifest != object);
        let version = old.as_ref().map_or(0, |old| old.version) + u64::from(changed);
        let (overlay, bytes_of_overlay) = match &old {
            Some(old) if changed && old.overlay.is_some() => self.carried(old, content, &chains, object.digest),
            _ => (Carried::None, None),
        };
        let named = bytes_of_overlay.as_ref().map(|bytes| ObjectRef::of(bytes));
        let head = Head::unsigned(version, object, named).to_bytes()?;

        let mut written = Written { overlay, version, manifest: object.digest, changed, objects: 0, bytes: 0 };
        let routing = content.routing.iter().map(|(bytes, _)| bytes);
        let parts = std::iter::once(&content.query_tower).chain(routing).chain(&content.shards);
        let parts = parts.chain(content.deltas.iter().flatten());
        let parts = parts.chain(&content.directory).chain(&content.recent).chain(&content.cards).chain(&content.lists);
        let parts = parts.chain(&content.rules).chain(&content.ranker).chain(&bytes_of_overlay);
        for bytes in parts.chain([&manifest]) {
            if put(&self.dir, bytes)? {
                written.objects += 1;
                written.bytes += bytes.len() as u64;
            }
        }
        if changed {
            write(&self.dir.join(HEAD_FILE), &head)?;
        }
        Ok(written)
    }

    /// The head that is there; one that must not be replaced is an error.
    pub(super) fn old_head(&self) -> Result<Option<Head>, ReleaseError> {
        let path = self.dir.join(HEAD_FILE);
        match read_limited(&path, HEAD_LIMIT as u64).and_then(|bytes| Head::parse(&bytes)) {
            Ok(head) if head.terms.is_some() => Err(ReleaseError::SignedHead { path }),
            Ok(head) => Ok(Some(head)),
            Err(ReleaseError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReleaseError::OldHead { path, source: Box::new(source) }),
        }
    }

    /// The overlay that the release `old` has, for the one of these chains.
    fn carried(
        &self,
        old: &Head,
        content: &ReleaseContent,
        chains: &[Chain],
        manifest: Digest,
    ) -> (Carried, Option<Vec<u8>>) {
        let open = |bytes: &Vec<u8>| Ok(DirectoryBucket::open(bytes.clone())?);
        let carry = || -> Result<Option<Vec<u8>>, ReleaseError> {
            let before = open_of(&self.dir, old)?;
            let Some(overlay) = overlay_of(&self.dir, old, &before)? else { return Ok(None) };
            let held: Vec<&Chain> = before.shards().iter().flatten().map(AsRef::as_ref).collect();
            let stock = stock_of(&held, &overlay);
            let buckets = |buckets: &[Vec<u8>]| buckets.iter().map(open).collect::<Result<Vec<_>, ReleaseError>>();
            let (directory, recent) = (buckets(&content.directory)?, buckets(&content.recent)?);
            let rows = RowsById::of(chains, &directory, &recent);
            Ok(Some(rows.overlay(manifest, overlay.made_ms(), &stock).0.to_bytes()?))
        };
        match carry() {
            Ok(None) => (Carried::None, None),
            Ok(Some(bytes)) => (Carried::Kept, Some(bytes)),
            Err(_) => (Carried::Dropped, None),
        }
    }
}

/// Writes an object unless it is there, whole.
pub(super) fn put(dir: &Path, bytes: &[u8]) -> Result<bool, ReleaseError> {
    let path = dir.join(ObjectRef::of(bytes).path());
    if read_limited(&path, bytes.len() as u64).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    write(&path, bytes)?;
    Ok(true)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    write_atomically(path, bytes).map_err(|error| ReleaseError::io(path, error))
}

/// The manifest of `content`, every part of which has been checked, and its shards with their deltas.
fn manifest(content: &ReleaseContent) -> Result<(Manifest, Vec<Chain>), ReleaseError> {
    let query_tower = QueryTower::open(&content.query_tower)?;
    let routing =
        content.routing.as_ref().map(|(bytes, probes)| Routing { object: ObjectRef::of(bytes), probes: *probes });
    let layout = match (&routing, &content.by) {
        (Some(_), _) => LAYOUT_CLUSTERS,
        (None, Some(_)) => LAYOUT_BY_COLUMN,
        (None, None) => LAYOUT_SINGLE,
    };
    let mut manifest = Manifest {
        format: FORMAT_VERSION,
        name: content.name.clone(),
        towers: query_tower.towers(),
        dim: query_tower.schema().dim,
        engine: if query_tower.runner().is_graph() { ENGINE_TRACT } else { ENGINE }.to_owned(),
        query_tower: ObjectRef::of(&content.query_tower),
        layout: layout.to_owned(),
        by: content.by.as_ref().map(|(by, _)| by.clone()),
        routing,
        directory: content.directory.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
        recent: content.recent.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
        shards: Vec::with_capacity(content.shards.len()),
        cards: content.cards.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
        lists: content.lists.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
        rules: content.rules.as_ref().map(|bytes| ObjectRef::of(bytes)),
        ranker: content.ranker.as_ref().map(|bytes| ObjectRef::of(bytes)),
        items: 0,
        recall: content.recall,
        columns: Vec::new(),
        requires: Vec::new(),
    };
    let mut values = content.by.iter().flat_map(|(_, values)| values);
    let mut chains = Vec::with_capacity(content.shards.len());
    for (at, bytes) in content.shards.iter().enumerate() {
        let base = Shard::open(bytes.clone())?.verify()?;
        let named = content.deltas.get(at).map_or(&[][..], Vec::as_slice);
        let entries = named.iter().map(|bytes| ManifestDelta::of(bytes)).collect::<Result<Vec<_>, _>>()?;
        manifest.shards.push(ManifestShard {
            object: ObjectRef::of(bytes),
            count: base.header().count,
            deltas: entries,
            value: values.next().cloned(),
        });
        if at == 0 {
            manifest.columns = columns_of(&base);
        }
        manifest.check_shard(at, &base)?;
        manifest.check_columns(&base)?;
        let open =
            |(nth, bytes): (usize, &Vec<u8>)| manifest.open_delta((at, nth), bytes, Digest::of(bytes)).map(Arc::new);
        let deltas = named.iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
        chains.push(Chain::new(Arc::new(base), deltas));
    }
    manifest.items = manifest.shards.iter().map(ManifestShard::items).sum();
    if content.deltas.iter().any(|deltas| !deltas.is_empty()) || !content.recent.is_empty() {
        manifest.requires.push(REQUIRES_DELTAS.to_owned());
    }
    if let Some(rules) = &content.rules {
        manifest.requires.push(REQUIRES_RULES.to_owned());
        manifest.open_rules(rules, Digest::of(rules))?;
    }
    if let Some(ranker) = &content.ranker {
        manifest.requires.push(REQUIRES_RANKER.to_owned());
        manifest.open_ranker(ranker, Digest::of(ranker))?;
    }
    if let Some((routing, _)) = &content.routing {
        manifest.open_routing(routing.clone(), Digest::of(routing))?;
    }
    let open = |part: Part, bytes: &Vec<u8>| manifest.open_bucket(part, bytes.clone(), Digest::of(bytes));
    let directory = content.directory.iter().enumerate().map(|(at, bytes)| open(Part::Directory(at), bytes));
    let recent = content.recent.iter().enumerate().map(|(at, bytes)| open(Part::Recent(at), bytes));
    check_chains(&manifest, &chains)?;
    check_directories(&chains, &directory.collect::<Result<Vec<_>, _>>()?, &recent.collect::<Result<Vec<_>, _>>()?)?;
    check_all_cards(&manifest, &chains, content.cards.iter().cloned())?;
    check_lists(&chains, &content.lists)?;
    Ok((manifest, chains))
}
