//! A shop that publishes signed releases into a folder, a host that serves it, and a client that has nothing but the public interface.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ed25519_compact::{KeyPair, Seed};
use nearshelf::Digest;
use nearshelf::features::{FeatureSchema, HistorySchema};
use nearshelf::index::{Codes, FineBits, Index, ResidualCodes, SearchParams};
use nearshelf::kernels::nibble_stride;
use nearshelf::recommend::{HistoryEvent, Recommender, Request};
use nearshelf::release::{
    ENGINE, FORMAT_VERSION, HEAD_FILE, Head, LAYOUT_SINGLE, Manifest, ManifestShard, ObjectRef, PublicKey, Release,
    Role, Root, RootPin, Signature, Terms,
};
use nearshelf::shard::{Shard, ShardContent};
use nearshelf::sync::{Assembly, DEFAULT_HARD_LIMIT, Trust};
use nearshelf::towers::{InputKind, Op, Program, QueryTower, Unary};

/// The moment at which a test begins, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;
/// How long what is signed counts.
pub(crate) const LIFE: u64 = 7 * DAY;

/// The key of a number: keys are secrets of the shop, here of the test.
pub(crate) fn key(number: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([number; 32]))
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_bytes(*key(number).pk)
}

/// The signature of a key, by number, over a message.
pub(crate) fn signature(number: u8, message: &[u8]) -> Signature {
    Signature { key: public(number), bytes: *key(number).sk.sign(message, None) }
}

/// The keys of these numbers, of which so many must sign.
pub(crate) fn role(numbers: &[u8], threshold: usize) -> Role {
    Role { keys: numbers.iter().map(|&number| public(number)).collect(), threshold }
}

/// What serves paths, or not: a host.
pub(crate) trait Host {
    /// The bytes at a path, at most one more than `limit`; what was wrong where they do not come.
    fn get(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, &'static str>;
}

/// A shop's folder, and what its next root and head will say.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    /// What the host serves.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The roles of the root, and when it ends.
    pub(crate) root: Role,
    pub(crate) head: Role,
    pub(crate) root_expires: u64,
    pub(crate) root_version: u64,
    /// Who signs heads.
    pub(crate) head_signers: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) made: u64,
    pub(crate) expires: u64,
    pub(crate) name: String,
    /// The seed of the release that the head names.
    pub(crate) content: u64,
}

impl Host for Shop {
    fn get(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, &'static str> {
        let bytes = self.files.get(path).ok_or("404")?;
        Ok(bytes[..bytes.len().min(limit as usize + 1)].to_vec())
    }
}

/// One key for roots, 1, and one for heads, 2.
pub(crate) fn shop() -> Shop {
    let mut shop = Shop {
        files: BTreeMap::new(),
        root: role(&[1], 1),
        head: role(&[2], 1),
        root_expires: NOW + 365 * DAY,
        root_version: 0,
        head_signers: vec![2],
        version: 0,
        made: NOW,
        expires: NOW + LIFE,
        name: "shop".to_owned(),
        content: 0,
    };
    shop.publish_root(&[1]);
    shop.publish(1);
    shop
}

impl Shop {
    /// The next root, signed by these.
    pub(crate) fn publish_root(&mut self, signers: &[u8]) {
        self.root_version += 1;
        let mut root = Root::new(&self.name, self.root_version, self.root_expires, [&self.root, &self.head]).unwrap();
        for &number in signers {
            let signature = signature(number, root.message());
            root.sign(signature);
        }
        self.files.insert(Root::path(self.root_version), root.to_bytes());
    }

    /// The objects of the release of this seed, and a head of the next version that names it.
    pub(crate) fn publish(&mut self, content: u64) {
        self.version += 1;
        self.content = content;
        self.files.extend(objects(content));
        self.publish_head();
    }

    /// The head as things are, signed as they are.
    pub(crate) fn publish_head(&mut self) {
        self.files.insert(HEAD_FILE.to_owned(), self.signed_head(&self.head_signers));
    }

    pub(crate) fn signed_head(&self, signers: &[u8]) -> Vec<u8> {
        let mut head = self.unsigned_head();
        let message = head.message().unwrap();
        head.signatures = signers.iter().map(|&number| signature(number, &message)).collect();
        head.to_bytes().unwrap()
    }

    pub(crate) fn unsigned_head(&self) -> Head {
        let terms = Terms { name: self.name.clone(), root: self.root_version, made: self.made, expires: self.expires };
        Head { terms: Some(terms), ..Head::unsigned(self.version, ObjectRef::of(&manifest(self.content)), None) }
    }

    /// What an application pins: the first root.
    pub(crate) fn pin(&self) -> RootPin {
        RootPin::of(&Root::parse(&self.files[&Root::path(1)]).unwrap())
    }

    /// New keys for heads; the old ones count no more.
    pub(crate) fn rotate_head(&mut self, number: u8) {
        self.head = role(&[number], 1);
        self.head_signers = vec![number];
        self.publish_root(&[1]);
    }
}

/// What a client keeps between visits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// A client as the package is one: it fetches what the library asks for, keeps what it accepted, and begins with that.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) assembly: Assembly,
    pub(crate) asked: Vec<String>,
}

impl Client {
    pub(crate) fn of(shop: &Shop) -> Self {
        Self::pinned(shop.pin(), DEFAULT_HARD_LIMIT)
    }

    pub(crate) fn pinned(pin: RootPin, hard_limit: u64) -> Self {
        let mut assembly = Assembly::default();
        assembly.set_trust(Trust::pinned(pin, hard_limit));
        Self { assembly, asked: Vec::new() }
    }

    /// Brings what the host has; the code of what was wrong.
    pub(crate) fn refresh_at(&mut self, host: &mut impl Host, now: u64) -> Result<(), &'static str> {
        self.asked.clear();
        let head = self.ask(host, HEAD_FILE, 2048)?;
        while let Some(version) = self.assembly.trust().root_before(&head) {
            let root = self.ask(host, &Root::path(version), 16 << 10)?;
            self.assembly.add_root(&root).map_err(|error| error.code())?;
        }
        let mut missing = self.assembly.set_head_at(&head, now).map_err(|error| error.code())?;
        while let Some(next) = missing.first() {
            let bytes = self.ask(host, &next.path, next.size)?;
            missing = self.assembly.accept(next.digest, bytes).map_err(|error| error.code())?;
        }
        Ok(())
    }

    pub(crate) fn refresh(&mut self, host: &mut impl Host) -> Result<(), &'static str> {
        self.refresh_at(host, NOW)
    }

    fn ask(&mut self, host: &mut impl Host, path: &str, limit: u64) -> Result<Vec<u8>, &'static str> {
        self.asked.push(path.to_owned());
        let bytes = host.get(path, limit)?;
        if bytes.len() as u64 > limit { Err("too-large") } else { Ok(bytes) }
    }

    /// The version that serves, 0 before the first.
    pub(crate) fn version(&self) -> u64 {
        self.assembly.ready().map_or(0, Release::version)
    }

    pub(crate) fn answer(&self) -> Option<Vec<(String, u32)>> {
        self.assembly.ready().map(answer)
    }
}

/// What a release recommends: ids and the bits of their scores.
pub(crate) fn answer(release: &Release) -> Vec<(String, u32)> {
    let mut recommender = Recommender::of(release);
    let id = release.shards().iter().flatten().next().unwrap().ids().next().unwrap();
    let event = HistoryEvent { id, ..HistoryEvent::default() };
    let exclude = vec![event.id.clone()];
    let request = Request { limit: 12, history: vec![event], exclude, ..Request::default() };
    let items = recommender.recommend(&request).unwrap();
    items.into_iter().map(|item| (item.id, item.score.to_bits())).collect()
}

/// Dimensions of all embeddings.
const DIM: usize = 8;

/// The shards of the release of a seed: one to three, some of which its neighbours have, too.
fn shards(seed: u64) -> Vec<Vec<u8>> {
    (seed..=seed + seed % 3).map(shard).collect()
}

/// A shard of 20 to 39 items, with codes of any value.
fn shard(seed: u64) -> Vec<u8> {
    let count = 20 + (seed as usize * 7) % 20;
    let byte = |at: usize| (((seed as usize + 1) * (at + 3) * 2_654_435_761) >> 13) as u8;
    let bytes = |length: usize| (0..length).map(byte).collect::<Vec<u8>>();
    let bits = FineBits::Four;
    let codes = ResidualCodes::from_parts(
        (DIM, bits, -3),
        bytes(count * nibble_stride(DIM)),
        bytes(count * bits.stride(DIM)),
        bytes(count),
    );
    let centroid: Vec<f32> = (0..DIM).map(|at| (byte(at) as f32 - 128.0) / 256.0).collect();
    let index =
        Index { centroids: Codes::encode(&centroid, DIM).unwrap(), cell_ends: vec![count as u32], codes, graph: None };
    ShardContent {
        towers: Digest::of(b"towers"),
        params: SearchParams { probes: 1, ef_search: 32 },
        ids: (0..count).map(|node| format!("{seed}-{node}")).collect(),
        index,
        columns: Vec::new(),
    }
    .write()
    .unwrap()
}

/// What a release of a seed is made of: its manifest, and all objects by path.
struct Content {
    manifest: Vec<u8>,
    objects: BTreeMap<String, Vec<u8>>,
}

/// Each is made once.
fn content(seed: u64) -> &'static Content {
    static MADE: [OnceLock<Content>; 16] = [const { OnceLock::new() }; 16];
    MADE[seed as usize].get_or_init(|| {
        let shards = shards(seed);
        let tower = tower(&Shard::open(shards[0].clone()).unwrap());
        let manifest = manifest_of(&shards);
        let all = shards.into_iter().chain([tower, manifest.clone()]);
        Content { manifest, objects: all.map(|bytes| (ObjectRef::of(&bytes).path(), bytes)).collect() }
    })
}

/// The manifest of the release of a seed.
pub(crate) fn manifest(seed: u64) -> Vec<u8> {
    content(seed).manifest.clone()
}

fn manifest_of(shards: &[Vec<u8>]) -> Vec<u8> {
    let first = Shard::open(shards[0].clone()).unwrap();
    let entry = |bytes: &Vec<u8>| {
        let count = Shard::open(bytes.clone()).unwrap().header().count;
        ManifestShard { object: ObjectRef::of(bytes), count, deltas: Vec::new(), value: None }
    };
    let shards: Vec<_> = shards.iter().map(entry).collect();
    let manifest = Manifest {
        format: FORMAT_VERSION,
        name: "test".to_owned(),
        towers: first.towers(),
        dim: first.dim(),
        engine: ENGINE.to_owned(),
        query_tower: ObjectRef::of(&tower(&first)),
        layout: LAYOUT_SINGLE.to_owned(),
        by: None,
        routing: None,
        directory: Vec::new(),
        recent: Vec::new(),
        items: shards.iter().map(|shard| u64::from(shard.count)).sum(),
        shards,
        cards: Vec::new(),
        lists: Vec::new(),
        rules: None,
        ranker: None,
        columns: Vec::new(),
        requires: Vec::new(),
        recall: None,
    };
    manifest.to_bytes().unwrap()
}

/// A query tower that negates the newest item of the history.
fn tower<S>(of: &Shard<S>) -> Vec<u8> {
    let schema = FeatureSchema {
        dim: of.dim(),
        history: HistorySchema::of_items(1, 1.0, 0.0),
        categories: Vec::new(),
        user: None,
    };
    let inputs = vec![(InputKind::Float, of.dim()), (InputKind::Float, 1)];
    let program = Program::new(inputs, Vec::new(), vec![Op::Unary { function: Unary::Neg, a: 0 }]).unwrap();
    QueryTower::new(schema, program, of.towers()).unwrap().write()
}

/// All objects of the release of a seed, by path.
pub(crate) fn objects(seed: u64) -> BTreeMap<String, Vec<u8>> {
    content(seed).objects.clone()
}

/// The item that its answer is for.
pub(crate) fn first(seed: u64) -> String {
    format!("{seed}-0")
}

/// What the release of a seed recommends.
pub(crate) fn expected(seed: u64) -> Vec<(String, u32)> {
    let mut assembly = Assembly::default();
    let (objects, manifest) = (objects(seed), manifest(seed));
    let head = Head::unsigned(1, ObjectRef::of(&manifest), None).to_bytes().unwrap();
    let mut missing = assembly.set_head(&head).unwrap();
    while let Some(next) = missing.first() {
        missing = assembly.accept(next.digest, objects[&next.path].clone()).unwrap();
    }
    answer(assembly.ready().unwrap())
}

/// The digests that a client asked for.
pub(crate) fn asked_objects(client: &Client) -> BTreeSet<Digest> {
    client.asked.iter().filter_map(|path| path.strip_prefix("objects/")).map(|name| name.parse().unwrap()).collect()
}
