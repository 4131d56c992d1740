//! Opening the objects that a manifest names: each is checked to be the one that is named, and to belong to the release.

use super::{ENGINE_TRACT, Manifest, Part, check_range, field};
use crate::Digest;
use crate::release::rules::Rules;
use crate::release::{ObjectKind, ReleaseError};
use crate::shard::columns::{ColumnFilter, ColumnsView};
use crate::shard::delta::{Delta, DeltaError};
use crate::shard::directory::DirectoryBucket;
use crate::shard::{Shard, ShardError, Verified};
use crate::towers::{QueryTower, Ranker, Runner};

impl Manifest {
    /// Opens the rules, and checks that they are the ones that are named here and ask for columns of the release.
    ///
    /// # Errors
    /// If they are not, or are damaged.
    pub fn open_rules(&self, bytes: &[u8], computed: Digest) -> Result<Rules, ReleaseError> {
        let Some(object) = &self.rules else { return Err(field("rules", "none".to_owned(), "some")) };
        object.check_digested(ObjectKind::Rules, bytes, computed)?;
        let rules = Rules::parse(bytes).map_err(|error| ReleaseError::json("rules", &error))?;
        self.check_rules(&rules)?;
        Ok(rules)
    }

    /// Opens the ranker, and checks that it is the one that is named here and goes with the towers.
    ///
    /// # Errors
    /// If it does not, or is damaged.
    pub fn open_ranker(&self, bytes: &[u8], computed: Digest) -> Result<Ranker, ReleaseError> {
        let Some(object) = &self.ranker else { return Err(field("ranker", "none".to_owned(), "one")) };
        object.check_digested(ObjectKind::Ranker, bytes, computed)?;
        let ranker = Ranker::open(bytes)?;
        self.check_ranker(&ranker)?;
        Ok(ranker)
    }

    /// Checks that a ranker goes with the towers.
    pub(crate) fn check_ranker(&self, ranker: &Ranker) -> Result<(), ReleaseError> {
        let (found, expected) = (ranker.towers(), self.towers);
        if found != expected {
            return Err(ReleaseError::Towers { found, expected });
        }
        let (dim, most) = (ranker.schema().dim as u64, self.dim as u64);
        check_range("dim of the ranker", dim, if dim == 0 { 0 } else { most }, most)
    }

    /// Checks that rules ask for columns of the release.
    pub(crate) fn check_rules(&self, rules: &Rules) -> Result<(), ReleaseError> {
        let check = |filter: &ColumnFilter| filter.check(&|name| self.column(name), &self.columns);
        rules.filters().try_for_each(check).map_err(|error| ReleaseError::json("rules", &error))
    }

    /// Opens the query tower, and checks that it is the one that is named here and belongs to the release. `computed` is the
    /// SHA-256 of `bytes`, here and below: the caller vouches for its having been computed over exactly these.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    pub fn open_tower(&self, bytes: &[u8], computed: Digest) -> Result<QueryTower, ReleaseError> {
        self.query_tower.check_digested(ObjectKind::Tower, bytes, computed)?;
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
    pub fn open_shard(&self, at: usize, bytes: Vec<u8>, computed: Digest) -> Result<Shard<Verified>, ReleaseError> {
        self.shards[at].object.check_digested(ObjectKind::Shard, &bytes, computed)?;
        let shard = Shard::open(bytes)?;
        self.check_shard(at, &shard)?;
        let shard = shard.verify_values(computed)?;
        self.check_columns(&shard)?;
        Ok(shard)
    }

    /// Opens the routing, and checks that it is the one that is named here and names every shard once.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    pub fn open_routing(&self, bytes: Vec<u8>, computed: Digest) -> Result<Shard<Verified>, ReleaseError> {
        let Some(routing) = &self.routing else { return Err(field("routing", "none".to_owned(), "one")) };
        routing.object.check_digested(ObjectKind::Routing, &bytes, computed)?;
        let shard = Shard::open(bytes)?.verify_values(computed)?;
        self.check_routing(&shard)?;
        Ok(shard)
    }

    /// Checks that a routing belongs to the release.
    pub(crate) fn check_routing(&self, shard: &Shard<Verified>) -> Result<(), ReleaseError> {
        let (dim, clusters) = (self.dim as u64, self.shards.len() as u64);
        shard.check_towers(self.towers)?;
        ShardError::check("dim", shard.dim() as u64, dim, dim)?;
        ShardError::check("count", shard.len() as u64, clusters, clusters)?;
        // So many ids, each of another place: each place is named once.
        let mut named = vec![false; self.shards.len()];
        let mut names_place = |id: &String| {
            let place = id.parse().ok().filter(|place: &usize| place.to_string() == *id);
            place.and_then(|place| named.get_mut(place)).is_some_and(|named| !std::mem::replace(named, true))
        };
        match shard.ids().find(|id| !names_place(id)) {
            Some(id) => Err(field("id of a cluster", id, &format!("the place of one of {clusters} shards, each once"))),
            None => Ok(()),
        }
    }

    /// Opens the delta at place `nth` of the shard at place `at`, and checks that it is the one that is named here and belongs
    /// to that shard.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    ///
    /// # Panics
    /// If there is no such delta.
    pub fn open_delta(&self, (at, nth): (usize, usize), bytes: &[u8], computed: Digest) -> Result<Delta, ReleaseError> {
        let object = self.shards[at].deltas[nth].object;
        object.check_digested(ObjectKind::Delta, bytes, computed)?;
        let delta = Delta::open(bytes, object.digest)?;
        self.check_delta((at, nth), &delta)?;
        self.check_columns(delta.added())?;
        Ok(delta)
    }

    /// Checks that a delta belongs to its place.
    pub(crate) fn check_delta(&self, (at, nth): (usize, usize), delta: &Delta) -> Result<(), DeltaError> {
        let (shard, added) = (&self.shards[at], delta.added());
        let (found, expected) = (delta.header().base, shard.object.digest);
        if found != expected {
            return Err(DeltaError::Base { found, expected });
        }
        let check = |what, found: u64, expected: u64| DeltaError::check(what, found, expected, expected);
        check("before", delta.header().before.into(), shard.rows(nth))?;
        check("removed", delta.removed().len() as u64, shard.deltas[nth].removed.into())?;
        check("added", added.len() as u64, shard.deltas[nth].added.into())?;
        check("dim", added.dim() as u64, self.dim as u64)?;
        Ok(added.check_towers(self.towers)?)
    }

    /// Opens the bucket at `part` of one of the directories, and checks that it is the one that is named here.
    ///
    /// # Errors
    /// If it is not, or is damaged.
    pub fn open_bucket(&self, part: Part, bytes: Vec<u8>, computed: Digest) -> Result<DirectoryBucket, ReleaseError> {
        let Some(object) = self.object_of(part) else {
            return Err(field("bucket", part.kind().to_string(), "one there is"));
        };
        object.check_digested(ObjectKind::Directory, &bytes, computed)?;
        let bucket = DirectoryBucket::open(bytes)?;
        self.check_bucket(part, &bucket)?;
        Ok(bucket)
    }

    /// Checks that a bucket belongs to its place in one of the directories, and names shards that there are. The slots are
    /// hints: a shard that was written again has its rows elsewhere.
    pub(crate) fn check_bucket(&self, part: Part, bucket: &DirectoryBucket) -> Result<(), ReleaseError> {
        let (at, buckets) = match part {
            Part::Directory(at) => (at, self.directory.len()),
            Part::Recent(at) => (at, self.recent.len()),
            _ => return Err(field("bucket", part.kind().to_string(), "a part of a directory")),
        };
        bucket.check_bucket(at as u32, buckets as u32)?;
        match bucket.places().find(|place| place.shard as usize >= self.shards.len()) {
            Some(place) => Err(field(
                "place in the directory",
                ["shard ", &*place.shard.to_string()].concat(),
                "one of the shards",
            )),
            None => Ok(()),
        }
    }

    /// Checks that a tower belongs to the release.
    pub(crate) fn check_tower(&self, tower: &QueryTower) -> Result<(), ReleaseError> {
        let (found, expected) = (tower.towers(), self.towers);
        if found != expected {
            return Err(ReleaseError::Towers { found, expected });
        }
        // A build without the engine has refused either already.
        if Runner::has_engine() && tower.runner().is_graph() != (self.engine == ENGINE_TRACT) {
            return Err(field("engine", self.engine.clone(), "that of the query tower"));
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
}
