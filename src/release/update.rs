//! What changed in a catalogue since a release of it, as deltas.
//!
//! While the towers stay, so do the centroids: a new item goes to the shard whose centroid is nearest, and an item has changed if
//! what the release holds of it is not, bit for bit, what would be written of it now. What changed in a shard becomes one more
//! delta. Shards whose deltas have become many or large are written again by themselves, and where that is not enough the
//! catalogue is cut anew.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{MAX_DELTAS, Manifest, ManifestDelta, ManifestShard, ObjectRef, REQUIRES_DELTAS, Release, ReleaseError};
use crate::Digest;
use crate::index::{FineBits, NodeId, is_coded_as, nearest};
use crate::shard::clusters::{add_columns, in_order, shard};
use crate::shard::delta::{Chain, Delta};
use crate::shard::directory::{DirectoryBucket, Place, bucket_of, write_directory};
use crate::shard::{ClusterParams, ColumnsOf, CutError, Shard};

/// A catalogue as it is now.
pub struct Catalogue<'a> {
    /// The ids, all different.
    pub ids: &'a [String],
    /// The embedding of each, row-major, by the towers of the release.
    pub vectors: &'a [f32],
    /// Query embeddings, row-major.
    pub queries: &'a [f32],
    /// The towers of both.
    pub towers: Digest,
    /// What the shards say of the items beside their vectors.
    pub columns: &'a ColumnsOf<'a>,
    /// Whether the item `row` differs in more than its vector from what a shard says at a node.
    pub differs: &'a dyn Fn(usize, &Chain, NodeId) -> bool,
}

impl Catalogue<'_> {
    /// The bytes of a shard of some of the items, in their order.
    fn shard(&self, release: &Release, rows: &[u32], params: &ClusterParams) -> Result<Vec<u8>, CutError> {
        let shard = shard(self.vectors, dim(release), self.ids, self.towers, rows, params)?;
        Ok(add_columns(shard, rows, self.columns)?.bytes().to_vec())
    }
}

impl fmt::Debug for Catalogue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("items", &self.ids.len()).finish_non_exhaustive()
    }
}

/// How far changes go before something is written again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateParams {
    /// How shards are written.
    pub cluster: ClusterParams,
    /// The share of a shard's rows that its deltas may add or remove; beyond it the shard is written again. 0 to 1.
    pub fold: f64,
    /// Deltas of a shard; one more, and they become one. At most [`MAX_DELTAS`].
    pub deltas: usize,
}

impl UpdateParams {
    /// Folding at a fifth, merging at eight deltas.
    pub fn new(fine_bits: FineBits, seed: u64) -> Self {
        Self { cluster: ClusterParams { items: 1, fine_bits, seed }, fold: 0.2, deltas: 8 }
    }
}

/// What becomes of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it stays with its deltas.
    Kept,
    /// It has these deltas, of which the ones before the last are those that it had, or none of them.
    Deltas(Vec<Vec<u8>>),
    /// It is written again, without deltas.
    Folded(Vec<u8>),
}

/// A release brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What becomes of each shard.
    pub changes: Vec<Change>,
    /// The buckets of the directory, if it is written again.
    pub directory: Option<Vec<Vec<u8>>>,
    /// The buckets of the directory of recent changes.
    pub recent: Vec<Vec<u8>>,
    /// The items of each shard, as rows of the catalogue.
    pub rows: Vec<Vec<u32>>,
    /// Items that the release did not have.
    pub added: usize,
    /// Items that it has no more.
    pub removed: usize,
    /// Items that are others than they were.
    pub changed: usize,
}

impl Update {
    /// The manifest of the release that it makes of one with the manifest `before`.
    ///
    /// # Errors
    /// If the update is of another release.
    pub fn manifest(&self, before: &Manifest) -> Result<Manifest, ReleaseError> {
        let mut manifest = before.clone();
        for (entry, change) in manifest.shards.iter_mut().zip(&self.changes) {
            match change {
                Change::Kept => {}
                Change::Deltas(deltas) => {
                    entry.deltas = deltas.iter().map(|bytes| ManifestDelta::of(bytes)).collect::<Result<_, _>>()?;
                }
                Change::Folded(bytes) => {
                    let count = Shard::open(bytes.clone())?.header().count;
                    *entry = ManifestShard {
                        object: ObjectRef::of(bytes),
                        count,
                        deltas: Vec::new(),
                        value: entry.value.take(),
                    };
                }
            }
        }
        let refs = |buckets: &[Vec<u8>]| buckets.iter().map(|bytes| ObjectRef::of(bytes)).collect();
        if let Some(directory) = &self.directory {
            manifest.directory = refs(directory);
        }
        manifest.recent = refs(&self.recent);
        manifest.items = manifest.shards.iter().map(ManifestShard::items).sum();
        manifest.requires.retain(|name| name != REQUIRES_DELTAS);
        if !manifest.recent.is_empty() || manifest.shards.iter().any(|shard| !shard.deltas.is_empty()) {
            manifest.requires.push(REQUIRES_DELTAS.to_owned());
        }
        Ok(manifest)
    }

    /// The objects that it makes; those that were there already among them.
    pub fn objects(&self) -> impl Iterator<Item = &[u8]> {
        let shards = self.changes.iter().flat_map(|change| match change {
            Change::Kept => &[][..],
            Change::Deltas(deltas) => deltas,
            Change::Folded(bytes) => std::slice::from_ref(bytes),
        });
        shards.chain(self.directory.iter().flatten()).chain(&self.recent).map(Vec::as_slice)
    }
}

/// Why a release has to be built anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anew {
    /// There is no release.
    NoRelease,
    /// The release is cut or coded otherwise than it should be.
    Layout {
        /// How it is.
        found: String,
        /// How it should be.
        expected: String,
    },
    /// The release is of other towers.
    Towers {
        /// Its towers.
        found: Digest,
        /// The towers that there are now.
        expected: Digest,
    },
    /// Too much changed for one shard, which would be written again whole.
    Share {
        /// Rows that its deltas would add or remove, the more of both.
        changed: usize,
        /// Its rows.
        of: usize,
    },
    /// So many deltas would be named that a client would not take the manifest.
    Manifest {
        /// Bytes of the manifest.
        found: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// A cluster would be too large or too small.
    Balance {
        /// Items of the cluster.
        found: usize,
        /// Items of a cluster on average.
        mean: usize,
    },
}

impl fmt::Display for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRelease => f.write_str("there is no release yet"),
            Self::Layout { found, expected } => write!(f, "the release has {found}, and {expected} are configured"),
            Self::Towers { found, expected } => {
                write!(f, "the release is of the towers {found}, and these are {expected}")
            }
            Self::Share { changed, of } => {
                write!(f, "{changed} of {of} rows would have changed since the shard was written")
            }
            Self::Manifest { found, limit } => {
                write!(f, "a manifest of all deltas would have {found} bytes, and {limit} are allowed")
            }
            Self::Balance { found, mean } => {
                write!(f, "a cluster would have {found} items, and {mean} are the mean")
            }
        }
    }
}

/// The largest and the smallest cluster that stay, in means.
const BALANCE: std::ops::RangeInclusive<f64> = 0.1..=2.0;
/// The share of the items that the directory of recent changes may have.
const RECENT: f64 = 0.2;

/// Brings a release up to date, all of whose shards and buckets are held, or says why it has to be built anew.
///
/// # Errors
/// A [`CutError`] if vectors or ids cannot be written.
pub fn update(
    release: &Release,
    buckets: &[DirectoryBucket],
    catalogue: &Catalogue<'_>,
    params: &UpdateParams,
) -> Result<Result<Update, Anew>, CutError> {
    let (found, expected) = (towers(release), catalogue.towers);
    if found != expected {
        return Ok(Err(Anew::Towers { found, expected }));
    }
    let chains: Vec<&Chain> = release.shards().iter().flatten().map(AsRef::as_ref).collect();
    let mut difference = Difference::of(&chains, catalogue);
    difference.assign(release, catalogue);
    let mut changes = Vec::with_capacity(chains.len());
    let (sizes, clusters) = (difference.sizes(), release.routing().is_some());
    let mean = sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64;
    for (at, chain) in chains.iter().enumerate() {
        let (added, removed) = (&difference.added[at], &difference.removed[at]);
        if added.is_empty() && removed.is_empty() {
            changes.push(Change::Kept);
            continue;
        }
        let balance = sizes[at] as f64 / mean.max(1.0);
        if clusters && !BALANCE.contains(&balance) {
            return Ok(Err(Anew::Balance { found: sizes[at], mean: mean as usize }));
        }
        let base = chain.base().len();
        let gone = chain.rows() - chain.len() + removed.len();
        let changed = gone.max(chain.rows() - base + added.len());
        if changed as f64 <= base as f64 * params.fold {
            changes.push(Change::Deltas(deltas(release, at, chain, &difference, catalogue, params)?));
        } else if clusters {
            let rows = difference.live_rows(at, catalogue);
            changes.push(Change::Folded(catalogue.shard(release, &rows, &params.cluster)?));
        } else {
            return Ok(Err(Anew::Share { changed, of: base }));
        }
    }
    let (directory, recent) = difference.directories(buckets, catalogue)?;
    let rows = (0..chains.len()).map(|at| difference.live_rows(at, catalogue)).collect();
    let Difference { unchanged_ids, new_ids, gone_ids, .. } = difference;
    let changed = catalogue.ids.len() - unchanged_ids - new_ids;
    Ok(Ok(Update { changes, directory, recent, rows, added: new_ids, removed: gone_ids, changed }))
}

/// An update whose manifest has at most `limit` bytes: where the deltas of all updates would be too many, those of a shard are merged.
///
/// # Errors
/// As [`update()`], or if no manifest can be made of it.
#[cfg(feature = "origin")]
pub(super) fn update_within(
    release: &Release,
    buckets: &[DirectoryBucket],
    catalogue: &Catalogue<'_>,
    params: &UpdateParams,
    limit: u64,
) -> Result<Result<Update, Anew>, super::BuildError> {
    let mut found = 0;
    // A client fetches the manifest before its first query, so it stays well below the limit as long as it can.
    for (params, most) in [(*params, limit / 2), (UpdateParams { deltas: 1, ..*params }, limit)] {
        let update = match update(release, buckets, catalogue, &params)? {
            Ok(update) => update,
            Err(why) => return Ok(Err(why)),
        };
        found = update.manifest(release.manifest())?.to_bytes()?.len() as u64;
        if found <= most {
            return Ok(Ok(update));
        }
    }
    Ok(Err(Anew::Manifest { found, limit }))
}

fn dim(release: &Release) -> usize {
    release.manifest().dim
}

fn towers(release: &Release) -> Digest {
    release.manifest().towers
}

/// The buckets of the directory, if it is written again, and those of the directory of recent changes.
type Directories = (Option<Vec<Vec<u8>>>, Vec<Vec<u8>>);

/// What a catalogue has that a release has not, and the other way round.
struct Difference {
    /// By shard: the rows of the chain that go.
    removed: Vec<Vec<u32>>,
    /// By shard: the rows of the catalogue that come.
    added: Vec<Vec<u32>>,
    /// By row of the catalogue: its shard.
    places: Vec<Option<u32>>,
    new_ids: usize,
    gone_ids: usize,
    unchanged_ids: usize,
}

impl Difference {
    /// Compares, and leaves open where what comes goes to.
    fn of(chains: &[&Chain], catalogue: &Catalogue<'_>) -> Self {
        let row_of: HashMap<&str, usize> = catalogue.ids.iter().map(String::as_str).zip(0..).collect();
        let dim = chains.first().map_or(1, |chain| chain.base().dim());
        let mut difference = Self {
            removed: vec![Vec::new(); chains.len()],
            added: vec![Vec::new(); chains.len()],
            places: vec![None; catalogue.ids.len()],
            new_ids: 0,
            gone_ids: 0,
            unchanged_ids: 0,
        };
        let mut known = vec![false; catalogue.ids.len()];
        for (at, chain) in chains.iter().enumerate() {
            for node in chain.nodes() {
                let row = row_of.get(chain.id(node).as_str()).copied().filter(|&row| !known[row]);
                let stays = row.is_some_and(|row| {
                    let (shard, inner) = chain.of(node);
                    known[row] = true;
                    is_coded_as(&shard.index(), inner, &catalogue.vectors[row * dim..][..dim])
                        && !(catalogue.differs)(row, chain, node)
                });
                match row.filter(|_| stays) {
                    Some(row) => {
                        difference.places[row] = Some(at as u32);
                        difference.unchanged_ids += 1;
                    }
                    None => difference.removed[at].push(node.0),
                }
                difference.gone_ids += usize::from(row.is_none());
            }
        }
        difference.new_ids = known.iter().filter(|known| !**known).count();
        difference
    }

    /// Gives every row without a shard the one whose centroid is nearest.
    fn assign(&mut self, release: &Release, catalogue: &Catalogue<'_>) {
        let dim = dim(release);
        let rows: Vec<u32> =
            self.places.iter().zip(0..).filter(|(place, _)| place.is_none()).map(|(_, row)| row).collect();
        let nearest = match release.routing() {
            None => vec![0; rows.len()],
            Some(routing) => {
                let mut centroids = vec![0.0; routing.len() * dim];
                for (node, centroid) in (0..).zip(centroids.chunks_exact_mut(dim)) {
                    routing.vector_into(NodeId(node), centroid);
                }
                let vectors: Vec<f32> =
                    rows.iter().flat_map(|&row| &catalogue.vectors[row as usize * dim..][..dim]).copied().collect();
                // The routing has been checked: its ids are places.
                let places = |node: u32| routing.id(NodeId(node)).parse().unwrap_or(0);
                nearest(&vectors, &centroids, catalogue.queries, dim).into_iter().map(places).collect()
            }
        };
        for (row, place) in rows.into_iter().zip(nearest) {
            self.places[row as usize] = Some(place);
            self.added[place as usize].push(row);
        }
    }

    /// Items of each shard.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.added.len()];
        self.places.iter().flatten().for_each(|&at| sizes[at as usize] += 1);
        sizes
    }

    /// The rows of the catalogue that a shard has, in the order of a shard of clusters.
    fn live_rows(&self, at: usize, catalogue: &Catalogue<'_>) -> Vec<u32> {
        let rows = self.places.iter().zip(0..).filter(|(place, _)| **place == Some(at as u32)).map(|(_, row)| row);
        let mut rows: Vec<u32> = rows.collect();
        in_order(&mut rows, catalogue.ids);
        rows
    }

    /// The directory, if it has to be written again, and that of the items that it has not, or elsewhere.
    fn directories(&self, buckets: &[DirectoryBucket], catalogue: &Catalogue<'_>) -> Result<Directories, CutError> {
        if buckets.is_empty() {
            return Ok((None, Vec::new()));
        }
        let entries = || {
            let placed = catalogue.ids.iter().zip(&self.places);
            // Slots are hints, and these are not known before the shards are written.
            placed.filter_map(|(id, place)| Some((id.as_str(), Place { shard: (*place)?, slot: 0 })))
        };
        let known = |id: &str| buckets[bucket_of(id, buckets.len() as u32) as usize].find(id).map(|place| place.shard);
        let recent: Vec<_> = entries().filter(|(id, place)| known(id) != Some(place.shard)).collect();
        Ok(match recent.len() {
            0 => (None, Vec::new()),
            many if many as f64 > RECENT * catalogue.ids.len() as f64 => {
                (Some(write_directory(entries())?), Vec::new())
            }
            _ => (None, write_directory(recent)?),
        })
    }
}

/// The deltas of a shard: those that it has and one more, or one in place of all.
fn deltas(
    release: &Release,
    at: usize,
    chain: &Chain,
    difference: &Difference,
    catalogue: &Catalogue<'_>,
    params: &UpdateParams,
) -> Result<Vec<Vec<u8>>, CutError> {
    let base = release.manifest().shards[at].object.digest;
    let write = |before: usize, removed: &[u32], mut rows: Vec<u32>| -> Result<Vec<u8>, CutError> {
        in_order(&mut rows, catalogue.ids);
        let added = catalogue.shard(release, &rows, &params.cluster)?;
        Ok(Delta::write(base, before as u32, removed, &added))
    };
    let removed = &difference.removed[at];
    if chain.deltas().len() < params.deltas.min(MAX_DELTAS) {
        let kept = chain.deltas().iter().map(|delta| delta.to_bytes());
        let next = write(chain.rows(), removed, difference.added[at].clone())?;
        return Ok(kept.chain([next]).collect());
    }
    let going: HashSet<u32> = removed.iter().copied().collect();
    let stays = |row: &u32| chain.is_live(NodeId(*row)) && !going.contains(row);
    let base_rows = chain.base().len() as u32;
    let gone: Vec<u32> = (0..base_rows).filter(|row| !stays(row)).collect();
    let of_base: HashSet<String> = (0..base_rows).filter(stays).map(|row| chain.id(NodeId(row))).collect();
    let live = difference.live_rows(at, catalogue);
    let rows = live.into_iter().filter(|&row| !of_base.contains(&catalogue.ids[row as usize])).collect();
    Ok(vec![write(base_rows as usize, &gone, rows)?])
}

#[cfg(test)]
mod tests;
