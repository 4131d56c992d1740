//! Faults by chance: a host and a device that fail in every way, in a seeded order, and after each step the client serves what the shop signed, whole, or
//! nothing if it never had anything.
//!
//! `NEARSHELF_SCHEDULES` says how many orders (2,000 unless told), `NEARSHELF_SEED` from which on: a failure prints the seed that repeats it alone.

use std::collections::BTreeMap;

use nearshelf::release::{HEAD_FILE, Root};

use crate::world::{Client, DAY, Device, Host, LIFE, NOW, Shop, expected, objects, shop};

/// Releases that a shop changes between.
const CONTENTS: u64 = 12;
/// Steps of a schedule.
const STEPS: usize = 16;
/// Where a client keeps the highest head, and the last whose release was whole.
const TRUSTED: &str = "#trusted";
const WHOLE: &str = "#whole";

/// Numbers by SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A host with faults: how often of 16 answers one is none, and what it serves in place of its files.
struct Faulty<'h> {
    files: &'h BTreeMap<String, Vec<u8>>,
    faults: usize,
    random: &'h mut Random,
}

impl Host for Faulty<'_> {
    fn get(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, &'static str> {
        let found = self.files.get(path).cloned().ok_or("404");
        let bytes = if self.random.below(16) >= self.faults {
            found?
        } else {
            match self.random.below(9) {
                0 => return Err("reset"),
                1 => return Err("stalled"),
                2 => return Err("503"),
                3 => return Err("429"),
                4 => return Err("304"),
                5 => {
                    let bytes = found?;
                    bytes[..self.random.below(bytes.len())].to_vec()
                }
                6 => b"<!doctype html><title>Sign in</title>".to_vec(),
                7 => vec![0; limit as usize + 1],
                _ => {
                    let nth = self.random.below(self.files.len());
                    self.files.values().nth(nth).unwrap().clone()
                }
            }
        };
        Ok(bytes[..bytes.len().min(limit as usize + 1)].to_vec())
    }
}

/// A device with faults.
struct Storage {
    device: Device,
    faults: usize,
}

impl Storage {
    fn put(&mut self, path: &str, bytes: &[u8], random: &mut Random) {
        let kept = if random.below(16) >= self.faults {
            bytes.to_vec()
        } else {
            match random.below(3) {
                // Full, or lost.
                0 | 1 => return,
                _ => bytes[..random.below(bytes.len())].to_vec(),
            }
        };
        self.device.files.insert(path.to_owned(), kept);
    }

    fn get(&self, path: &str, random: &mut Random) -> Option<Vec<u8>> {
        if random.below(16) < self.faults { None } else { self.device.files.get(path).cloned() }
    }
}

/// Everything, and what is expected of it.
struct World {
    random: Random,
    shop: Shop,
    /// What the host serves: the shop's files, or what became of them.
    host: BTreeMap<String, Vec<u8>>,
    before: Vec<BTreeMap<String, Vec<u8>>>,
    host_faults: usize,
    storage: Storage,
    client: Client,
    now: u64,
    /// The content of each version that the shop signed.
    signed: BTreeMap<u64, u64>,
    /// The version that served last in this visit.
    served: u64,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let shop = shop();
        let client = Client::of(&shop);
        Self {
            random: Random(seed),
            host: shop.files.clone(),
            before: Vec::new(),
            host_faults: 0,
            storage: Storage { device: Device::default(), faults: 0 },
            client,
            now: NOW,
            signed: [(1, 1)].into(),
            served: 0,
            shop,
            log: Vec::new(),
        }
    }

    fn publish(&mut self) {
        self.before.push(self.shop.files.clone());
        let content = self.random.next() % CONTENTS;
        (self.shop.made, self.shop.expires) = (self.now, self.now + LIFE);
        self.shop.publish(content);
        self.signed.insert(self.shop.version, content);
        self.host.clone_from(&self.shop.files);
    }

    fn step(&mut self) -> String {
        match self.random.below(14) {
            0 | 1 => {
                self.publish();
                format!("publish {}", self.shop.version)
            }
            2 => {
                self.shop.rotate_head(20 + self.random.below(200) as u8);
                self.publish();
                format!("other keys, publish {}", self.shop.version)
            }
            3 => {
                self.host_faults = self.random.below(9);
                format!("host fails {} of 16", self.host_faults)
            }
            4 => {
                self.storage.faults = self.random.below(9);
                format!("device fails {} of 16", self.storage.faults)
            }
            5 => {
                let nth = self.random.below(self.before.len());
                self.host = self.before.get(nth).unwrap_or(&self.host).clone();
                format!("host goes back to {nth}")
            }
            6 => {
                let (to, from) = (self.random.below(self.host.len()), self.random.below(self.host.len()));
                let poison = self.host.values().nth(from).unwrap().clone();
                let path = self.host.keys().nth(to).unwrap().clone();
                self.host.insert(path.clone(), poison);
                format!("host serves another file as {path}")
            }
            7 => {
                let random = &mut self.random;
                self.storage.device.files.retain(|_, _| !random.once_in(3));
                "device drops some".to_owned()
            }
            8 => {
                self.now += self.random.next() % (12 * DAY);
                format!("day {}", (self.now - NOW) / DAY)
            }
            9 | 10 => {
                self.visit();
                "a new visit".to_owned()
            }
            _ => format!("sync: {:?}", self.sync()),
        }
    }

    /// A page is opened: it brings what the host has, or what the device has.
    fn visit(&mut self) {
        let fresh = |shop: &Shop| Client::of(shop);
        (self.client, self.served) = (fresh(&self.shop), 0);
        if self.sync().is_err() && self.client.version() == 0 {
            self.client = fresh(&self.shop);
            let Some(head) = self.storage.get(WHOLE, &mut self.random) else { return };
            let _ = self.bring(&head, true);
        }
    }

    fn sync(&mut self) -> Result<(), &'static str> {
        let head = self.fetch(HEAD_FILE, 2048)?;
        self.bring(&head, false)
    }

    /// As the package does it: roots, the highest head of earlier visits, the head, and what it names, each from the device first.
    fn bring(&mut self, head: &[u8], is_kept: bool) -> Result<(), &'static str> {
        while let Some(version) = self.client.assembly.trust().next_root() {
            let kept = self.storage.get(&Root::path(version), &mut self.random);
            if kept.is_none_or(|bytes| self.client.assembly.add_root(&bytes).is_err()) {
                break;
            }
        }
        while let Some(version) = self.client.assembly.trust().root_before(head) {
            let path = Root::path(version);
            let kept = self.storage.get(&path, &mut self.random);
            if kept.is_some_and(|bytes| self.client.assembly.add_root(&bytes).is_ok()) {
                continue;
            }
            let bytes = self.fetch(&path, 16 << 10)?;
            self.client.assembly.add_root(&bytes).map_err(|error| error.code())?;
            self.storage.put(&path, &bytes, &mut self.random);
        }
        let highest = if is_kept { Some(head.to_vec()) } else { self.storage.get(TRUSTED, &mut self.random) };
        highest.iter().for_each(|highest| self.client.assembly.restore(highest));
        // What the device has, has no end.
        let now = if is_kept { 0 } else { self.now };
        let mut missing = self.client.assembly.set_head_at(head, now).map_err(|error| error.code())?;
        if !is_kept {
            self.storage.put(TRUSTED, head, &mut self.random);
        }
        while let Some(next) = missing.first().cloned() {
            let kept = self.storage.get(&next.path, &mut self.random);
            let whole = kept.and_then(|bytes| self.client.assembly.accept(next.digest, bytes).ok());
            missing = if let Some(missing) = whole {
                missing
            } else {
                let bytes = self.fetch(&next.path, next.size)?;
                let missing = self.client.assembly.accept(next.digest, bytes.clone()).map_err(|error| error.code())?;
                self.storage.put(&next.path, &bytes, &mut self.random);
                missing
            };
        }
        self.storage.put(WHOLE, head, &mut self.random);
        Ok(())
    }

    fn fetch(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, &'static str> {
        let mut host = Faulty { files: &self.host, faults: self.host_faults, random: &mut self.random };
        let bytes = host.get(path, limit)?;
        if bytes.len() as u64 > limit { Err("too-large") } else { Ok(bytes) }
    }

    /// What is wrong with what serves, if anything.
    fn wrong(&mut self, answers: &[Vec<(String, u32)>]) -> Option<String> {
        let version = self.client.version();
        if version < self.served {
            return Some(format!("version {version} serves after {}", self.served));
        }
        if version > self.served {
            let Some(&content) = self.signed.get(&version) else { return Some(format!("{version} was never signed")) };
            if self.client.answer().as_ref() != Some(&answers[content as usize]) {
                return Some(format!("version {version} answers otherwise than it should"));
            }
        }
        self.served = version;
        None
    }

    /// Everything works again: the newest release must come.
    fn heal(&mut self) -> Option<String> {
        self.publish();
        (self.host_faults, self.storage.faults) = (0, 0);
        let found = self.sync();
        let version = self.client.version();
        (found.is_err() || version != self.shop.version)
            .then(|| format!("healed, but version {version} serves and not {}: {found:?}", self.shop.version))
    }
}

/// Steps, those after which a release served, and what went wrong.
fn run(seed: u64, answers: &[Vec<(String, u32)>]) -> (usize, usize, Option<String>) {
    let mut world = World::new(seed);
    let mut with_release = 0;
    for step in 0..=STEPS {
        let (what, wrong) = if step < STEPS {
            let what = world.step();
            (what, world.wrong(answers))
        } else {
            let wrong = world.heal();
            ("heal".to_owned(), wrong.or_else(|| world.wrong(answers)))
        };
        world.log.push(what);
        if let Some(wrong) = wrong {
            let said =
                format!("NEARSHELF_SEED={seed} NEARSHELF_SCHEDULES=1: {wrong}; steps:\n{}", world.log.join("\n"));
            return (step, with_release, Some(said));
        }
        with_release += usize::from(world.served > 0);
    }
    (STEPS + 1, with_release, None)
}

#[test]
fn seeded_faults_lose_and_mix_nothing() {
    let number = |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (from, schedules) = (number("NEARSHELF_SEED", 0), number("NEARSHELF_SCHEDULES", 2_000));
    let answers: Vec<_> = (0..CONTENTS).map(expected).collect();
    assert!(objects(0) != objects(1) && answers[0] != answers[1]);
    let (mut steps, mut with_release, mut wrong) = (0, 0, Vec::new());
    for seed in from..from + schedules {
        let (all, held, found) = run(seed, &answers);
        (steps, with_release) = (steps + all, with_release + held);
        wrong.extend(found);
    }
    let lost = wrong.len();
    println!(
        "schedules: {lost} lost or mixed of {schedules} from seed {from}, {steps} steps, after {with_release} a release served"
    );
    assert!(wrong.is_empty(), "{}", wrong[0]);
}
