//! The fuzz targets' functions over their seeds, what once broke them, and mutants of these, without a nightly compiler: `fuzz/` has the
//! rest.
//!
//! Mutants come in a fixed order, as many as there is time for: `NEARSHELF_FUZZ_SECONDS` for each target, else [`SECONDS`]. What an input
//! takes of memory is counted and held against a budget; one that takes longer than [`LONGEST`] ends the tests.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets")]
mod entry;
#[path = "fuzz_seeds/files.rs"]
mod files;
#[path = "fuzz_seeds/memory.rs"]
mod memory;
#[path = "fuzz_seeds/mutate.rs"]
mod mutate;

/// Seconds of each target where nobody says otherwise: who runs all tests waits for all of them.
const SECONDS: f64 = 2.0;
/// What no input takes, built without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

const MB: usize = 1 << 20;
/// Memory that no input of some KB may take: a dictionary that a few bytes describe may have 16 MB of text, and is copied once.
const MEMORY: usize = 64 * MB;
/// What a program may take: its results, [`MAX_RESULTS`](nearshelf::towers::program::MAX_RESULTS) numbers of 4 bytes, beside that.
const MEMORY_OF_PROGRAMS: usize = 4 * nearshelf::towers::program::MAX_RESULTS + MEMORY;

/// One of the functions, and what its inputs may take.
struct Target {
    name: &'static str,
    run: fn(&[u8]) -> bool,
    memory: usize,
}

impl Target {
    /// Runs an input, and ends the tests if it panics or takes too much; whether it passed, and its memory.
    fn try_input(&self, what: &str, input: &[u8]) -> (bool, usize) {
        let (ran, peak) = memory::peak_of(|| std::panic::catch_unwind(|| (self.run)(input)));
        let passed = ran.unwrap_or_else(|_| panic!("{}: {what} panicked", self.name));
        assert!(
            peak <= self.memory,
            "{}: {what} took {peak} bytes of memory, expected {} at most",
            self.name,
            self.memory
        );
        (passed, peak)
    }
}

/// The files of a folder with what they are called, in order; none where there is no folder.
fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

fn seconds() -> f64 {
    let stated = std::env::var("NEARSHELF_FUZZ_SECONDS");
    stated.map_or(SECONDS, |seconds| seconds.parse().expect("NEARSHELF_FUZZ_SECONDS is a number of seconds"))
}

/// Ends the tests, with the number of the input, where the count of inputs stands still: a loop without end reports nothing itself.
fn watch(name: &'static str, count: &Arc<AtomicU64>) {
    let count = Arc::downgrade(count);
    std::thread::spawn(move || {
        let (mut before, mut since) = (u64::MAX, Instant::now());
        while let Some(now) = count.upgrade().map(|count| count.load(Ordering::Relaxed)) {
            if now != before {
                (before, since) = (now, Instant::now());
            } else if since.elapsed() > LONGEST {
                // Not by a macro, whose lines the test would keep to itself.
                let _ = writeln!(
                    std::io::stderr(),
                    "{name}: input {now}, seeds and what broke them counted first, takes longer than {LONGEST:?}"
                );
                std::process::abort();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

fn seeds_and_mutants(target: &Target) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Target { name, .. } = *target;
    let seeds = files_of(&root.join("fuzz/seeds").join(name));
    assert!(!seeds.is_empty(), "{name}: no seeds");
    let count = Arc::new(AtomicU64::new(0));
    watch(name, &count);
    let mut most = 0;
    for (path, seed) in &seeds {
        let (passed, peak) = target.try_input(path, seed);
        assert!(passed, "{path}: refused; copy the golden file of the present format here");
        most = most.max(peak);
        count.fetch_add(1, Ordering::Relaxed);
    }
    let crashers = files_of(&root.join("tests/fuzz-crashers").join(name));
    for (path, crasher) in &crashers {
        most = most.max(target.try_input(path, crasher).1);
        count.fetch_add(1, Ordering::Relaxed);
    }
    let parents: Vec<&[u8]> = seeds.iter().chain(&crashers).map(|(_, bytes)| &**bytes).collect();
    let (started, seconds, mut passed, mut mutants) = (Instant::now(), seconds(), 0, 0);
    while started.elapsed().as_secs_f64() < seconds {
        let mutant = mutate::mutant(&parents, mutants);
        let (has_passed, peak) = target.try_input(&format!("mutant {mutants}"), &mutant);
        (passed, most, mutants) = (passed + u64::from(has_passed), most.max(peak), mutants + 1);
        count.fetch_add(1, Ordering::Relaxed);
    }
    let share = 100.0 * passed as f64 / mutants.max(1) as f64;
    println!(
        "{name}: {mutants} mutants, {share:.1}% got past the first checks, {:.1} MB at most",
        most as f64 / MB as f64
    );
    assert!(passed > 0 || seconds == 0.0, "{name}: no mutant got past the first checks");
}

#[test]
fn shards() {
    seeds_and_mutants(&Target { name: "shard", run: entry::shard, memory: MEMORY });
}

#[test]
fn deltas() {
    seeds_and_mutants(&Target { name: "delta", run: entry::delta, memory: MEMORY });
}

#[test]
fn directory_buckets() {
    seeds_and_mutants(&Target { name: "directory", run: entry::directory, memory: MEMORY });
}

#[test]
fn columns() {
    seeds_and_mutants(&Target { name: "columns", run: entry::columns, memory: MEMORY });
}

#[test]
fn overlays() {
    seeds_and_mutants(&Target { name: "overlay", run: entry::overlay, memory: MEMORY });
}

#[test]
fn heads() {
    seeds_and_mutants(&Target { name: "head", run: entry::head, memory: MEMORY });
}

#[test]
fn roots() {
    seeds_and_mutants(&Target { name: "root", run: entry::root, memory: MEMORY });
}

#[test]
fn signed_heads() {
    seeds_and_mutants(&Target { name: "signed_head", run: entry::signed_head, memory: MEMORY });
}

#[test]
fn manifests() {
    seeds_and_mutants(&Target { name: "manifest", run: entry::manifest, memory: MEMORY });
}

#[test]
fn rules() {
    seeds_and_mutants(&Target { name: "rules", run: entry::rules, memory: MEMORY });
}

#[test]
fn programs() {
    files::keep_programs();
    seeds_and_mutants(&Target { name: "program", run: entry::program, memory: MEMORY_OF_PROGRAMS });
}

#[test]
fn rankers() {
    files::keep_rankers();
    seeds_and_mutants(&Target { name: "ranker", run: entry::ranker, memory: MEMORY_OF_PROGRAMS });
}

/// Without it, mutants of files that end with a digest would test nothing but that.
#[test]
fn a_repaired_file_gets_past_its_digest() {
    files::keep_programs();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/program/every-operation.nsqt");
    let mut bytes = fs::read(path).unwrap();
    let open = |bytes: &[u8]| nearshelf::towers::QueryTower::open(bytes).map(drop).map_err(|error| error.to_string());
    let in_a_constant = bytes.len() - 600;
    bytes[in_a_constant] ^= 1;
    assert!(open(&bytes).unwrap_err().contains("digest"));
    open(&entry::repaired(&bytes)).unwrap();
}

/// What JSON takes as a tree, as a multiple of its bytes: docs/limits.md has it.
const JSON_MULTIPLE: usize = 60;

#[test]
fn json_takes_no_more_memory_than_is_said() {
    let mut most = 0.0_f64;
    for part in ["0,", "[],", "[0],", "{},", "{\"\":0},", "[[0]],", "\"\",", "[[[0]]],", "{\"\":[0]},"] {
        let parts = (1 << 20) / part.len() - 100;
        for text in [
            format!(r#"{{"format":1,"scenarios":[{}0]}}"#, part.repeat(parts)),
            format!(r#"{{"format":1,"requires":[{}0]}}"#, part.repeat(parts)),
            format!(r#"{{"format":1,"x":[{}0],"scenarios":{{}}}}"#, part.repeat(parts)),
        ] {
            let (_, as_rules) = memory::peak_of(|| entry::rules(text.as_bytes()));
            let (_, as_manifest) = memory::peak_of(|| entry::manifest(text.as_bytes()));
            let multiple = as_rules.max(as_manifest) as f64 / text.len() as f64;
            println!("{part} {multiple:.1}");
            most = most.max(multiple);
        }
    }
    assert!(most <= JSON_MULTIPLE as f64, "{most} times its bytes, expected {JSON_MULTIPLE} at most");
}
