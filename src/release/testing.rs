//! Small releases for tests, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::manifest::columns_of;
use super::overlay::{OverlayContent, ShardStock};
use super::{ENGINE, FORMAT_VERSION, Head, LAYOUT_SINGLE, Manifest, ManifestShard, ObjectRef, Part, ReleaseError};
use crate::Digest;
use crate::features::{FeatureSchema, HistorySchema};
use crate::shard::delta::{Chain, Delta};
use crate::shard::testing::{columns, content};
use crate::shard::{Shard, ShardContent};
use crate::towers::{InputKind, Op, Program, QueryTower, Unary};

/// Dimensions of all test releases.
pub(crate) const DIM: usize = 8;

/// A query tower that negates the newest item of the history.
pub(crate) fn tower(towers: Digest) -> Vec<u8> {
    let history = HistorySchema::of_items(1, 1.0, 0.0);
    let schema = FeatureSchema { dim: DIM, history, categories: Vec::new(), user: None };
    let inputs = vec![(InputKind::Float, DIM), (InputKind::Float, 1)];
    let program = Program::new(inputs, Vec::new(), vec![Op::Unary { function: Unary::Neg, a: 0 }]).unwrap();
    QueryTower::new(schema, program, towers).unwrap().write()
}

/// A shard of `count` candidates, another one for every seed.
pub(crate) fn shard(seed: u64, count: usize) -> Vec<u8> {
    let mut content = content(seed, count, DIM, 2);
    content.ids.iter_mut().for_each(|id| *id = format!("{seed}-{id}"));
    content.write().unwrap()
}

/// [`shard`] with columns.
pub(crate) fn shard_with_columns(seed: u64, count: usize) -> Vec<u8> {
    let shard = Shard::open(shard(seed, count)).unwrap().verify().unwrap();
    ShardContent { columns: columns(seed, count), ..shard.content() }.write().unwrap()
}

/// Cards of these ids.
pub(crate) fn cards(ids: impl IntoIterator<Item = String>) -> Vec<u8> {
    let items: Vec<_> = ids.into_iter().map(|id| serde_json::json!([id, "title", 0, 0, 199, 3])).collect();
    serde_json::to_vec(&serde_json::json!({"format": 1, "brands": [], "categories": [[]], "items": items})).unwrap()
}

/// The files of a release.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) version: u64,
    pub(crate) manifest: Manifest,
    pub(crate) objects: BTreeMap<Digest, Vec<u8>>,
    pub(crate) overlay: Option<Vec<u8>>,
}

impl Files {
    /// A release of these shards, and with cards if they should be.
    pub(crate) fn new(version: u64, shards: &[Vec<u8>], with_cards: bool) -> Self {
        let opened: Vec<_> = shards.iter().map(|bytes| Shard::open(bytes.clone()).unwrap().verify().unwrap()).collect();
        let towers = opened[0].towers();
        let cards = with_cards.then(|| cards(opened.iter().flat_map(Shard::ids)));
        let tower = tower(towers);
        let entry = |bytes: &Vec<u8>, count| ManifestShard {
            object: ObjectRef::of(bytes),
            count,
            deltas: Vec::new(),
            value: None,
        };
        let manifest = Manifest {
            format: FORMAT_VERSION,
            name: "test".to_owned(),
            towers,
            dim: DIM,
            engine: ENGINE.to_owned(),
            query_tower: ObjectRef::of(&tower),
            layout: LAYOUT_SINGLE.to_owned(),
            by: None,
            routing: None,
            directory: Vec::new(),
            recent: Vec::new(),
            shards: shards.iter().zip(&opened).map(|(bytes, shard)| entry(bytes, shard.header().count)).collect(),
            cards: cards.iter().map(|bytes| ObjectRef::of(bytes)).collect(),
            lists: Vec::new(),
            rules: None,
            ranker: None,
            recall: None,
            items: opened.iter().map(|shard| shard.len() as u64).sum(),
            columns: columns_of(&opened[0]),
            requires: Vec::new(),
        };
        let objects = shards.iter().cloned().chain([tower]).chain(cards).map(|bytes| (Digest::of(&bytes), bytes));
        Self { version, manifest, objects: objects.collect(), overlay: None }
    }

    /// A release of these clusters, of which a query visits `probes`.
    #[cfg(feature = "build")]
    pub(crate) fn of_clusters(version: u64, cut: &crate::shard::Clusters, probes: u32) -> Self {
        let shards: Vec<Vec<u8>> = cut.shards.iter().map(|shard| shard.bytes().to_vec()).collect();
        let mut files = Self::new(version, &shards, false);
        let mut add = |bytes: Vec<u8>| {
            let object = ObjectRef::of(&bytes);
            files.objects.insert(object.digest, bytes);
            object
        };
        let object = add(cut.routing.bytes().to_vec());
        files.manifest.routing = Some(super::Routing { object, probes });
        files.manifest.directory = cut.directory.iter().cloned().map(&mut add).collect();
        files.manifest.cards = cut.shards.iter().map(|shard| add(cards(shard.ids()))).collect();
        files.manifest.layout = super::LAYOUT_CLUSTERS.to_owned();
        files
    }

    /// These files after an update.
    #[cfg(feature = "build")]
    pub(crate) fn updated(&self, update: &super::Update) -> Self {
        let manifest = update.manifest(&self.manifest).unwrap();
        let mut files = Self { version: self.version + 1, manifest, objects: self.objects.clone(), overlay: None };
        files.objects.extend(update.objects().map(|bytes| (Digest::of(bytes), bytes.to_vec())));
        files
    }

    /// The release with everything, and the buckets of its directory.
    #[cfg(feature = "build")]
    pub(crate) fn load(&self) -> (super::Release, Vec<crate::shard::directory::DirectoryBucket>) {
        let manifest = &self.manifest;
        let get = |object: ObjectRef| self.objects[&object.digest].clone();
        let tower = manifest.open_tower(&get(manifest.query_tower), manifest.query_tower.digest).unwrap();
        let routing = manifest
            .routing
            .as_ref()
            .map(|routing| manifest.open_routing(get(routing.object), routing.object.digest).unwrap());
        let chain = |(at, entry): (usize, &ManifestShard)| {
            let base = manifest.open_shard(at, get(entry.object), entry.object.digest).unwrap();
            let delta = |nth: usize| {
                {
                    let object = entry.deltas[nth].object;
                    manifest.open_delta((at, nth), &get(object), object.digest)
                }
                .unwrap()
            };
            let deltas = (0..entry.deltas.len()).map(delta).map(Arc::new).collect();
            Some(Arc::new(Chain::new(Arc::new(base), deltas)))
        };
        let shards = manifest.shards.iter().enumerate().map(chain).collect();
        let digest = Digest::of(&self.manifest_bytes());
        let mut release = super::Release::new(
            (self.version, digest),
            Arc::new(manifest.clone()),
            Arc::new(tower),
            None,
            routing.map(Arc::new),
            shards,
        )
        .unwrap();
        let mut buckets = Vec::new();
        for (part, object) in manifest.parts().filter(|(part, _)| part.kind() == crate::release::ObjectKind::Directory)
        {
            let bucket = manifest.open_bucket(part, get(object), object.digest).unwrap();
            release.add_bucket(part, Arc::new(bucket.clone()));
            if let Part::Directory(_) = part {
                buckets.push(bucket);
            }
        }
        (release, buckets)
    }

    /// A release by the column `market`: two shards of `de`, one of `fr`, each with cards of its own.
    pub(crate) fn by_market(version: u64) -> Self {
        let shards = [shard(1, 20), shard(2, 9), shard(3, 5)];
        let mut files = Self::new(version, &shards, false);
        for (bytes, (entry, value)) in shards.iter().zip(files.manifest.shards.iter_mut().zip(["de", "de", "fr"])) {
            entry.value = Some(value.to_owned());
            let cards = cards(Shard::open(bytes.clone()).unwrap().verify().unwrap().ids());
            files.manifest.cards.push(ObjectRef::of(&cards));
            files.objects.insert(Digest::of(&cards), cards);
        }
        files.manifest.by = Some("market".to_owned());
        files.manifest.layout = super::LAYOUT_BY_COLUMN.to_owned();
        files
    }

    /// These files with another version and an overlay: what is out, and what has another price. `exact` is whether slots of the
    /// directory are.
    pub(crate) fn stocked(
        &self,
        version: u64,
        out: &dyn Fn(&str) -> bool,
        price: &dyn Fn(&str) -> Option<u64>,
        exact: bool,
    ) -> Self {
        let shards = self.manifest.shards.iter().map(|entry| {
            let base = Shard::open(self.objects[&entry.object.digest].clone()).unwrap().verify().unwrap();
            let deltas = entry
                .deltas
                .iter()
                .map(|delta| Arc::new(Delta::open(&self.objects[&delta.object.digest], delta.object.digest).unwrap()));
            let chain = Chain::new(Arc::new(base), deltas.collect());
            let prices = chain.nodes().filter_map(|node| Some((node.0, price(&chain.id(node))?)));
            ShardStock {
                rows: chain.rows() as u32,
                out: chain.nodes().filter(|&node| out(&chain.id(node))).map(|node| node.0).collect(),
                prices: prices.collect(),
                has_exact_slots: exact,
            }
        });
        let manifest = Digest::of(&self.manifest_bytes());
        let content = OverlayContent { made_ms: version, manifest, shards: shards.collect() };
        Self { version, overlay: Some(content.to_bytes().unwrap()), ..self.clone() }
    }

    /// The manifest's bytes.
    pub(crate) fn manifest_bytes(&self) -> Vec<u8> {
        self.manifest.to_bytes().unwrap()
    }

    /// The head's bytes.
    pub(crate) fn head(&self) -> Vec<u8> {
        let overlay = self.overlay.as_ref().map(|bytes| ObjectRef::of(bytes));
        let manifest = ObjectRef::of(&self.manifest_bytes());
        Head::unsigned(self.version, manifest, overlay).to_bytes().unwrap()
    }

    /// Any object, the manifest among them.
    pub(crate) fn get(&self, digest: Digest) -> Vec<u8> {
        let manifest = self.manifest_bytes();
        let own = self.overlay.iter().chain([&manifest]).find(|bytes| Digest::of(bytes) == digest);
        if let Some(own) = own { own.clone() } else { self.objects[&digest].clone() }
    }

    /// The query tower and the shards, opened.
    pub(crate) fn open(&self) -> Result<(), ReleaseError> {
        for (part, object) in self.manifest.parts() {
            let bytes = self.objects[&object.digest].clone();
            let computed = Digest::of(&bytes);
            match part {
                Part::Tower => drop(self.manifest.open_tower(&bytes, computed)?),
                Part::Shard(at) => drop(self.manifest.open_shard(at, bytes, computed)?),
                Part::Routing => drop(self.manifest.open_routing(bytes, computed)?),
                Part::Delta(at, nth) => drop(self.manifest.open_delta((at, nth), &bytes, computed)?),
                Part::Directory(_) | Part::Recent(_) => drop(self.manifest.open_bucket(part, bytes, computed)?),
                Part::Cards(_) | Part::Lists(_) | Part::Rules | Part::Ranker => object.check(part.kind(), &bytes)?,
            }
        }
        Ok(())
    }
}

/// A head that names this manifest.
pub(crate) fn head(version: u64, manifest: &[u8]) -> Vec<u8> {
    Head::unsigned(version, ObjectRef::of(manifest), None).to_bytes().unwrap()
}
