//! The manifest: what a release consists of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FORMAT_VERSION, OLDEST_READABLE, ObjectKind, ObjectRef, ReleaseError, UNDERSTOOD};
use crate::Digest;
use crate::shard::columns::{ColumnKind, ColumnsView};
use crate::shard::directory::format::MAX_BUCKETS;
use crate::shard::directory::{DirectoryBucket, Place};
use crate::shard::format::{MAX_COUNT, MAX_DIM};
use crate::shard::{Shard, ShardError, Verified};
use crate::towers::QueryTower;

/// The engine that runs the query tower: a compact [`Program`](crate::towers::Program).
pub const ENGINE: &str = "program";
/// The layout of a release whose shards every query visits.
pub const LAYOUT_SINGLE: &str = "single";
/// The layout of a release whose shards are clusters: a query visits those that the routing names.
pub const LAYOUT_CLUSTERS: &str = "clusters";
/// The layout of a release whose shards are of values of a column: a client states its own, and queries visit the shards of that.
pub const LAYOUT_BY_COLUMN: &str = "by column";
/// Most bytes of a release's name.
pub const MAX_NAME: usize = 200;
/// Most shards of a release.
pub const MAX_SHARDS: usize = 4096;

const WHAT: &str = "manifest";

/// The content of a manifest. Its fields are described in the [format](super).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format.
    pub format: u16,
    /// What the shop calls the release.
    pub name: String,
    /// The towers that made all vectors.
    pub towers: Digest,
    /// Dimensions of the embeddings.
    pub dim: usize,
    /// What runs the query tower.
    pub engine: String,
    /// The query tower.
    pub query_tower: ObjectRef,
    /// How the catalogue is cut.
    pub layout: String,
    /// The column that tells which shard a candidate is in, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The shards.
    pub shards: Vec<ManifestShard>,
    /// Which shards a query visits, if they are clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// The buckets of the directory, in order; none in a release whose shards a client holds anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory: Vec<ObjectRef>,
    /// What a page shows of each candidate: nothing, one object for all, or, of clusters, one per shard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<ObjectRef>,
    /// Candidates.
    pub items: u64,
    /// The columns that every shard has, in their order: name and kind, as in `brand: text`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// What a reader must understand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

/// A shard of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestShard {
    /// The shard.
    pub object: ObjectRef,
    /// Its candidates.
    pub count: u32,
    /// The value that all of them have in the column [`Manifest::by`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Which shards a query visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// A shard with the centroid of each cluster; the id of a candidate is the place of the cluster's shard in the list.
    pub object: ObjectRef,
    /// Clusters that a query visits.
    pub probes: u32,
}

/// The place of an object in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The query tower.
    Tower,
    /// The centroids of the clusters.
    Routing,
    /// The shard at this place of the list.
    Shard(usize),
    /// This bucket of the directory.
    Directory(usize),
    /// The cards at this place of their list.
    Cards(usize),
}

impl Part {
    /// What stands at such a place.
    pub const fn kind(self) -> ObjectKind {
        match self {
            Self::Tower => ObjectKind::Tower,
            Self::Routing => ObjectKind::Routing,
            Self::Shard(_) => ObjectKind::Shard,
            Self::Directory(_) => ObjectKind::Directory,
            Self::Cards(_) => ObjectKind::Cards,
        }
    }
}

/// What says whether the rest can be read.
#[derive(Deserialize)]
pub(super) struct Probe {
    pub(super) format: u64,
}

pub(super) fn check_format(what: &'static str, found: u64) -> Result<(), ReleaseError> {
    if (u64::from(OLDEST_READABLE)..=u64::from(FORMAT_VERSION)).contains(&found) {
        Ok(())
    } else {
        Err(ReleaseError::Format { what, found })
    }
}

pub(super) fn check_requires(what: &'static str, requires: &[String]) -> Result<(), ReleaseError> {
    match requires.iter().find(|name| !UNDERSTOOD.contains(&name.as_str())) {
        Some(name) => Err(ReleaseError::Requires { what, found: name.chars().take(80).collect() }),
        None => Ok(()),
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// If the bytes are too many, not JSON, of a format or with a requirement that this build does not know, or break a
    /// rule of the [format](super).
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let limit = ObjectKind::Manifest.limit();
        if bytes.len() as u64 > limit {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit });
        }
        let json = |error| ReleaseError::json(WHAT, &error);
        let Probe { format } = serde_json::from_slice(bytes).map_err(json)?;
        check_format(WHAT, format)?;
        let manifest: Self = serde_json::from_slice(bytes).map_err(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes of the manifest: the same manifest gives the same bytes.
    ///
    /// # Errors
    /// If the manifest breaks a rule of the [format](super).
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| ReleaseError::json(WHAT, &error))
    }

    fn check(&self) -> Result<(), ReleaseError> {
        check_format(WHAT, self.format.into())?;
        check_requires(WHAT, &self.requires)?;
        check_range("length of name", self.name.len() as u64, 1, MAX_NAME as u64)?;
        check_range("dim", self.dim as u64, 1, MAX_DIM as u64)?;
        check_text("engine", &self.engine, ENGINE)?;
        check_range("number of shards", self.shards.len() as u64, 1, MAX_SHARDS as u64)?;
        for shard in &self.shards {
            check_range("count of a shard", shard.count.into(), 0, MAX_COUNT.into())?;
        }
        self.check_layout()?;
        let items = self.shards.iter().map(|shard| u64::from(shard.count)).sum();
        check_range("items", self.items, items, items)?;
        let mut seen = BTreeSet::new();
        for (part, object) in self.parts() {
            object.check_limit(part.kind())?;
            if !seen.insert(object.digest) {
                return Err(field("objects", object.digest.to_string() + " twice", "every object once"));
            }
        }
        Ok(())
    }

    fn check_layout(&self) -> Result<(), ReleaseError> {
        match &self.routing {
            None if self.by.is_some() => check_text("layout", &self.layout, LAYOUT_BY_COLUMN)?,
            None => check_text("layout", &self.layout, LAYOUT_SINGLE)?,
            Some(routing) => {
                check_text("layout", &self.layout, LAYOUT_CLUSTERS)?;
                check_range("probes", routing.probes.into(), 1, self.shards.len() as u64)?;
                // Without it, what is known of a history would depend on what was fetched before.
                check_range("directory buckets of clusters", self.directory.len() as u64, 1, MAX_BUCKETS.into())?;
            }
        }
        if self.shards.iter().any(|shard| shard.value.is_some() != self.by.is_some()) {
            return Err(field("value of a shard", "one too many or none".to_owned(), "one of each shard by a column"));
        }
        let cards = if self.has_cards_by_shard() { self.shards.len() } else { 1 };
        if !self.cards.is_empty() {
            check_range("number of cards objects", self.cards.len() as u64, cards as u64, cards as u64)?;
        }
        // Of no buckets, or of a power of two, there is an exact logarithm.
        let buckets = self.directory.len();
        if buckets > MAX_BUCKETS as usize || buckets.count_ones() > 1 {
            return Err(field("number of directory buckets", buckets.to_string(), "0 or a power of two up to 2^20"));
        }
        Ok(())
    }

    /// All objects, in the order in which a client needs them.
    pub fn parts(&self) -> impl Iterator<Item = (Part, ObjectRef)> + '_ {
        let shards = self.shards.iter().enumerate().map(|(at, shard)| (Part::Shard(at), shard.object));
        let directory = self.directory.iter().enumerate().map(|(at, object)| (Part::Directory(at), *object));
        std::iter::once((Part::Tower, self.query_tower))
            .chain(self.routing.iter().map(|routing| (Part::Routing, routing.object)))
            .chain(shards)
            .chain(directory)
            .chain(self.cards.iter().enumerate().map(|(at, object)| (Part::Cards(at), *object)))
    }

    /// Whether each shard has cards of its own.
    pub fn has_cards_by_shard(&self) -> bool {
        self.routing.is_some() || self.by.is_some()
    }

    /// Whether the shard at this place is for a client of this segment: of a release by column one value's, else every one.
    pub fn is_of(&self, at: usize, segment: Option<&str>) -> bool {
        self.by.is_none() || self.shards[at].value.as_deref() == segment
    }

    /// Checks that there is something for a client of this segment.
    ///
    /// # Errors
    /// [`ReleaseError::Segment`] with the values there are.
    pub fn check_segment(&self, segment: Option<&str>) -> Result<(), ReleaseError> {
        let Some(by) = self.by.clone() else { return Ok(()) };
        if (0..self.shards.len()).any(|at| self.is_of(at, segment)) {
            return Ok(());
        }
        let mut known: Vec<String> = self.shards.iter().filter_map(|shard| shard.value.clone()).collect();
        // Shards of one value are neighbours.
        known.dedup();
        Err(ReleaseError::Segment { by, found: segment.unwrap_or("nothing").to_owned(), known })
    }

    /// Whether a client of this segment fetches this part before any query asks for it, and the release waits for it.
    pub fn is_needed_at_once(&self, part: Part, segment: Option<&str>) -> bool {
        match part {
            Part::Tower | Part::Routing => true,
            Part::Shard(at) => self.routing.is_none() && self.is_of(at, segment),
            Part::Directory(_) | Part::Cards(_) => false,
        }
    }

    /// The object at such a place, if there is one.
    pub fn object_of(&self, part: Part) -> Option<ObjectRef> {
        match part {
            Part::Tower => Some(self.query_tower),
            Part::Routing => self.routing.as_ref().map(|routing| routing.object),
            Part::Shard(at) => self.shards.get(at).map(|shard| shard.object),
            Part::Directory(at) => self.directory.get(at).copied(),
            Part::Cards(at) => self.cards.get(at).copied(),
        }
    }

    /// The place of the object with this digest.
    pub fn part_of(&self, digest: Digest) -> Option<Part> {
        self.parts().find(|(_, object)| object.digest == digest).map(|(part, _)| part)
    }

    /// Opens the query tower, and checks that it is the one that is named here and belongs to the release.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    pub fn open_tower(&self, bytes: &[u8]) -> Result<QueryTower, ReleaseError> {
        self.query_tower.check(ObjectKind::Tower, bytes)?;
        let tower = QueryTower::open(bytes)?;
        self.check_tower(&tower)?;
        Ok(tower)
    }

    /// Opens the shard at place `at` of the list, and checks that it is the one that is named here and belongs to the
    /// release.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    ///
    /// # Panics
    /// If there is no shard `at`.
    pub fn open_shard(&self, at: usize, bytes: Vec<u8>) -> Result<Shard<Verified>, ReleaseError> {
        self.shards[at].object.check(ObjectKind::Shard, &bytes)?;
        let shard = Shard::open(bytes)?;
        self.check_shard(at, &shard)?;
        let shard = shard.verify_values(self.shards[at].object.digest)?;
        self.check_columns(&shard)?;
        Ok(shard)
    }

    /// Opens the routing, and checks that it is the one that is named here and names every shard once.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    pub fn open_routing(&self, bytes: Vec<u8>) -> Result<Shard<Verified>, ReleaseError> {
        let Some(routing) = &self.routing else { return Err(field("routing", "none".to_owned(), "one")) };
        routing.object.check(ObjectKind::Routing, &bytes)?;
        let shard = Shard::open(bytes)?.verify_values(routing.object.digest)?;
        self.check_routing(&shard)?;
        Ok(shard)
    }

    /// Checks that a routing belongs to the release.
    pub(crate) fn check_routing(&self, shard: &Shard<Verified>) -> Result<(), ReleaseError> {
        let (dim, clusters) = (self.dim as u64, self.shards.len() as u64);
        shard.check_towers(self.towers)?;
        ShardError::check("dim", shard.dim() as u64, dim, dim)?;
        ShardError::check("count", shard.len() as u64, clusters, clusters)?;
        // Ids are distinct: if so many are numbers below their number, each written in one way, each place is named once.
        let names_place = |id: &String| id.parse().is_ok_and(|place: u64| place < clusters && place.to_string() == *id);
        match shard.ids().find(|id| !names_place(id)) {
            Some(id) => Err(field("id of a cluster", id, &format!("the place of one of {clusters} shards"))),
            None => Ok(()),
        }
    }

    /// Opens a bucket of the directory, and checks that it is the one that is named here.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    ///
    /// # Panics
    /// If there is no bucket `at`.
    pub fn open_bucket(&self, at: usize, bytes: Vec<u8>) -> Result<DirectoryBucket, ReleaseError> {
        self.directory[at].check(ObjectKind::Directory, &bytes)?;
        let bucket = DirectoryBucket::open(bytes)?;
        self.check_bucket(at, &bucket)?;
        Ok(bucket)
    }

    /// Checks that a bucket belongs to place `at` of the directory, and names places that there are.
    pub(crate) fn check_bucket(&self, at: usize, bucket: &DirectoryBucket) -> Result<(), ReleaseError> {
        bucket.check_bucket(at as u32, self.directory.len() as u32)?;
        let exists =
            |place: &Place| self.shards.get(place.shard as usize).is_some_and(|shard| place.slot < shard.count);
        match bucket.places().find(|place| !exists(place)) {
            Some(place) => Err(field("place in the directory", format!("{place:?}"), "a slot of one of the shards")),
            None => Ok(()),
        }
    }

    /// Checks that a tower belongs to the release.
    pub(crate) fn check_tower(&self, tower: &QueryTower) -> Result<(), ReleaseError> {
        let (found, expected) = (tower.towers(), self.towers);
        if found != expected {
            return Err(ReleaseError::Towers { found, expected });
        }
        check_range("dim of the query tower", tower.schema().dim as u64, self.dim as u64, self.dim as u64)
    }

    /// Checks that a shard belongs to place `at` of the list.
    pub(crate) fn check_shard<S>(&self, at: usize, shard: &Shard<S>) -> Result<(), ShardError> {
        let (dim, count) = (self.dim as u64, u64::from(self.shards[at].count));
        shard.check_towers(self.towers)?;
        ShardError::check("dim", shard.dim() as u64, dim, dim)?;
        ShardError::check("count", shard.len() as u64, count, count)
    }

    /// Checks that a shard has the columns of the release.
    pub(crate) fn check_columns(&self, shard: &Shard<Verified>) -> Result<(), ReleaseError> {
        let mut count = 0;
        for column in shard.columns().iter().flat_map(ColumnsView::iter) {
            if self.column(column.name()) != Some(column.kind()) {
                let found = column.name().to_owned() + ": " + column.kind().name();
                return Err(field("column of a shard", found, "one that the manifest names, of that kind"));
            }
            count += 1;
        }
        let expected = self.columns.len() as u64;
        check_range("number of columns of a shard", count, expected, expected)
    }

    /// What the column of this name holds.
    pub fn column(&self, name: &str) -> Option<ColumnKind> {
        self.columns.iter().find_map(|column| ColumnKind::from_name(column.strip_prefix(name)?.strip_prefix(": ")?))
    }
}

/// The columns of a shard, as [`Manifest::columns`](struct@Manifest) has them.
#[cfg(any(feature = "origin", test))]
pub(super) fn columns_of(shard: &Shard<Verified>) -> Vec<String> {
    let text = |column: crate::shard::columns::ColumnView<'_>| [column.name(), ": ", column.kind().name()].concat();
    shard.columns().iter().flat_map(ColumnsView::iter).map(text).collect()
}

fn field(field: &'static str, found: String, expected: &str) -> ReleaseError {
    ReleaseError::Field { what: WHAT, field, found, expected: expected.to_owned() }
}

fn check_range(name: &'static str, found: u64, low: u64, high: u64) -> Result<(), ReleaseError> {
    let in_range = (low..=high).contains(&found);
    if in_range { Ok(()) } else { Err(field(name, found.to_string(), &format!("{low}..={high}"))) }
}

fn check_text(name: &'static str, found: &str, expected: &str) -> Result<(), ReleaseError> {
    if found == expected {
        return Ok(());
    }
    let found: String = found.chars().take(80).collect();
    Err(field(name, format!("{found:?}"), &format!("{expected:?}")))
}
