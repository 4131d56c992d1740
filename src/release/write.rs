//! Writing a release.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::manifest::columns_of;
use super::verify::{check_all_cards, check_directory, read_limited};
use super::{
    ENGINE, FORMAT_VERSION, HEAD_FILE, HEAD_LIMIT, Head, LAYOUT_BY_COLUMN, LAYOUT_CLUSTERS, LAYOUT_SINGLE, Manifest,
    ManifestShard, ObjectRef, ReleaseError, Routing,
};
use crate::Digest;
use crate::platform::files::write_atomically;
use crate::shard::{Shard, Verified};
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
    /// The routing and the clusters that a query visits, if the shards are clusters.
    pub routing: Option<(Vec<u8>, u32)>,
    /// The column and each shard's value of it, if the shards are by column.
    pub by: Option<(String, Vec<String>)>,
    /// The buckets of the directory, or none.
    pub directory: Vec<Vec<u8>>,
    /// One card per candidate, or none: in one object, or, of clusters, in one per shard.
    pub cards: Vec<Vec<u8>>,
}

/// Writes releases into one folder.
///
/// Everything is checked before anything is written, objects are written before the head that needs them, and each file
/// appears whole: whatever fails, the release that was there stays as it was.
#[derive(Debug, Clone)]
pub struct ReleaseWriter {
    dir: PathBuf,
}

/// What [`ReleaseWriter::write`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
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

    /// Makes `content` the release of the folder. The same content gives the same bytes, and no new version.
    ///
    /// # Errors
    /// If a part is damaged, the parts do not belong together, the folder has a head that cannot be read, or a file cannot
    /// be written.
    pub fn write(&self, content: &ReleaseContent) -> Result<Written, ReleaseError> {
        let manifest = manifest(content)?.to_bytes()?;
        let object = ObjectRef::of(&manifest);
        let old = self.old_head()?;
        let changed = old.as_ref().is_none_or(|old| old.manifest != object);
        let version = old.as_ref().map_or(0, |old| old.version) + u64::from(changed);
        let head = Head { version, manifest: object, signatures: Vec::new() }.to_bytes()?;

        let mut written = Written { version, manifest: object.digest, changed, objects: 0, bytes: 0 };
        let routing = content.routing.iter().map(|(bytes, _)| bytes);
        let parts = std::iter::once(&content.query_tower).chain(routing).chain(&content.shards);
        let parts = parts.chain(&content.directory).chain(&content.cards);
        for bytes in parts.chain([&manifest]) {
            if self.put(bytes)? {
                written.objects += 1;
                written.bytes += bytes.len() as u64;
            }
        }
        if changed {
            write(&self.dir.join(HEAD_FILE), &head)?;
        }
        Ok(written)
    }

    fn old_head(&self) -> Result<Option<Head>, ReleaseError> {
        let path = self.dir.join(HEAD_FILE);
        match read_limited(&path, HEAD_LIMIT as u64).and_then(|bytes| Head::parse(&bytes)) {
            Ok(head) => Ok(Some(head)),
            Err(ReleaseError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReleaseError::OldHead { path, source: Box::new(source) }),
        }
    }

    /// Writes an object unless it is there, whole.
    fn put(&self, bytes: &[u8]) -> Result<bool, ReleaseError> {
        let path = self.dir.join(ObjectRef::of(bytes).path());
        if read_limited(&path, bytes.len() as u64).is_ok_and(|there| there == bytes) {
            return Ok(false);
        }
        write(&path, bytes)?;
        Ok(true)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    write_atomically(path, bytes).map_err(|error| ReleaseError::io(path, error))
}

/// The manifest of `content`, every part of which has been checked.
fn manifest(content: &ReleaseContent) -> Result<Manifest, ReleaseError> {
    let query_tower = QueryTower::open(&content.query_tower)?;
    let open = |bytes: &Vec<u8>| Shard::open(bytes.clone())?.verify();
    let shards: Vec<Shard<Verified>> = content.shards.iter().map(open).collect::<Result<_, _>>()?;
    let entry = |(shard, bytes): (&Shard<Verified>, &Vec<u8>)| ManifestShard {
        object: ObjectRef::of(bytes),
        count: shard.header().count,
        value: None,
    };
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
        engine: ENGINE.to_owned(),
        query_tower: ObjectRef::of(&content.query_tower),
        layout: layout.to_owned(),
        by: content.by.as_ref().map(|(by, _)| by.clone()),
        routing,
        directory: content.directory.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
        shards: shards.iter().zip(&content.shards).map(entry).collect(),
        cards: content.cards.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
        items: shards.iter().map(|shard| shard.len() as u64).sum(),
        columns: shards.first().map(columns_of).unwrap_or_default(),
        requires: Vec::new(),
    };
    let values = content.by.iter().flat_map(|(_, values)| values);
    manifest.shards.iter_mut().zip(values).for_each(|(shard, value)| shard.value = Some(value.clone()));
    for (at, shard) in shards.iter().enumerate() {
        manifest.check_shard(at, shard)?;
        manifest.check_columns(shard)?;
    }
    if let Some((routing, _)) = &content.routing {
        manifest.open_routing(routing.clone())?;
    }
    check_directory(&manifest, &shards, content.directory.iter().cloned())?;
    check_all_cards(&manifest, &shards, content.cards.iter().cloned())?;
    Ok(manifest)
}
