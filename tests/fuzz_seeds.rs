//! The fuzz targets' functions over their seeds and cheap mutations of these, without a nightly compiler: `fuzz/` has the rest.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets")]
mod entry;

/// Mutants of each seed.
const MUTANTS: u64 = 10_000;
/// Bytes that are written over others: limits of signs, counts and texts.
const VALUES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'9'];

/// Numbers by SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit.max(1) as u64) as usize
    }
}

fn mutated(seed: &[u8], number: u64) -> Vec<u8> {
    let (mut random, mut bytes) = (Random(number), seed.to_vec());
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        // Headers decide most.
        let at = if random.below(2) == 0 { at.min(random.below(128)) } else { at };
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, VALUES[random.below(VALUES.len())]),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.extend_from_within(at..),
            _ if at < bytes.len() => bytes[at] = VALUES[random.below(VALUES.len())],
            _ => {}
        }
    }
    bytes
}

fn seeds_and_mutants(target: &str, run: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no seeds", folder.display());
    let mut passed = 0;
    for path in &paths {
        let seed = fs::read(path).unwrap();
        assert!(run(&seed), "{}: refused; copy the golden file of the present format here", path.display());
        for number in 0..MUTANTS {
            let mutant = mutated(&seed, number);
            let ran = std::panic::catch_unwind(|| run(&mutant));
            passed += usize::from(ran.unwrap_or_else(|_| panic!("{}: mutant {number}", path.display())));
        }
    }
    assert!(passed > 0, "{target}: no mutant got past the first checks");
}

#[test]
fn shards() {
    seeds_and_mutants("shard", entry::shard);
}

#[test]
fn deltas() {
    seeds_and_mutants("delta", entry::delta);
}

#[test]
fn directory_buckets() {
    seeds_and_mutants("directory", entry::directory);
}

#[test]
fn columns() {
    seeds_and_mutants("columns", entry::columns);
}

#[test]
fn overlays() {
    seeds_and_mutants("overlay", entry::overlay);
}

#[test]
fn heads_and_manifests() {
    seeds_and_mutants("release", entry::release);
}
