//! What is measured of a library, defined as in `../js/measure.mjs`.

use crate::peers::{Outcome, Peer, locked_version};
use crate::set::Set;
use crate::system::{Scratch, cpu_us, resident_bytes};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// Small steps, so that a library is measured close to the cheapest setting that reaches the recall. The JavaScript peers have the same.
const EF_SEARCH: [usize; 30] = [
    10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 100, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640,
    768, 1024, 1536, 2048, 4096,
];
const RECALL: f64 = 0.95;
/// Each k, and the recall at which its sweep ends.
const SWEEPS: [(usize, f64); 2] = [(10, 0.99), (100, RECALL)];
const ROUNDS: usize = 5;
const LOADS: usize = 5;
const BROTLI_QUALITY: i32 = 9;
/// The largest window there is, or a repeat further apart than 16 MB would not be found.
const BROTLI_WINDOW_BITS: i32 = 30;
const US_PER_S: f64 = 1e6;
const MS_PER_S: f64 = 1e3;

struct Point {
    k: usize,
    ef: usize,
    recall: f64,
    p50_us: f64,
    mean_us: f64,
    cpu_us: f64,
}

impl Point {
    fn json(&self) -> Value {
        let Self { k, ef, recall, p50_us, mean_us, cpu_us } = self;
        json!({ "k": k, "ef": ef, "recall": recall, "p50_us": p50_us, "mean_us": mean_us, "cpu_us": cpu_us })
    }
}

struct Saved {
    load_ms: f64,
    bytes_raw: usize,
    bytes_brotli: usize,
    same: bool,
}

pub struct Request<'a> {
    pub library: &'a str,
    pub threads: usize,
    pub build_only: bool,
}

pub fn measure<P: Peer>(set: &Set, request: &Request<'_>) -> Outcome<Value> {
    let version = locked_version(P::CRATE);
    let resident_before = resident_bytes()?;
    let began = Instant::now();
    let mut peer = P::build(set, request.threads)?;
    let build_s = began.elapsed().as_secs_f64();
    let memory_bytes = resident_bytes()?.saturating_sub(resident_before);
    println!(
        "{} {version}: built {} rows in {build_s:.2} s; build threads: {}",
        request.library, set.n, request.threads
    );

    let mut points = Vec::new();
    for (k, until) in SWEEPS {
        sweep(&mut peer, set, k, until, &mut points)?;
    }
    let saved = match request.build_only {
        true => None,
        false => Some(save_and_load(&mut peer, set, chosen_ef(&points))?),
    };
    Ok(json!({
        "library": request.library, "version": version, "runtime": "native", "set": set.name, "n": set.n,
        "build_s": build_s, "load_ms": saved.as_ref().map(|saved| saved.load_ms),
        "bytes_raw": saved.as_ref().map(|saved| saved.bytes_raw), "bytes_brotli": saved.as_ref().map(|saved| saved.bytes_brotli),
        "memory_bytes": memory_bytes, "points": points.iter().map(Point::json).collect::<Vec<_>>(),
        "note": note::<P>(request, saved.as_ref()),
    }))
}

fn note<P: Peer>(request: &Request<'_>, saved: Option<&Saved>) -> String {
    let remark = match saved {
        None => "; not saved",
        Some(Saved { same: false, .. }) => "; the loaded index answers otherwise than the built one",
        Some(_) => "",
    };
    format!(
        "{}; build threads: {}; memory is the growth of the resident set by the build{remark}",
        P::NOTE,
        request.threads
    )
}

/// The cheapest setting that reaches the recall for the first k, or the dearest one measured.
fn chosen_ef(points: &[Point]) -> usize {
    let mut of_k = points.iter().filter(|point| point.k == SWEEPS[0].0);
    let last = of_k.clone().next_back();
    of_k.find(|point| point.recall >= RECALL).or(last).map_or(EF_SEARCH[0], |point| point.ef)
}

fn sweep<P: Peer>(peer: &mut P, set: &Set, k: usize, until: f64, points: &mut Vec<Point>) -> Outcome<()> {
    for ef in EF_SEARCH.into_iter().filter(|&ef| ef >= k) {
        peer.set_ef(ef)?;
        let recall = recall_at_k(peer, set, k)?;
        let point = timed(peer, set, k, ef, recall)?;
        println!("k={k} ef={ef}: recall {recall:.4}, p50 {:.1} us, cpu {:.1} us", point.p50_us, point.cpu_us);
        points.push(point);
        if recall >= until {
            break;
        }
    }
    Ok(())
}

/// Also the round that warms up.
fn recall_at_k<P: Peer>(peer: &mut P, set: &Set, k: usize) -> Outcome<f64> {
    let mut found = Vec::new();
    let mut hits = 0;
    for (query, truth) in set.queries().zip(set.truths()) {
        peer.search(query, k, &mut found)?;
        found.sort_unstable();
        found.dedup();
        hits += truth[..k].iter().filter(|row| found.binary_search(row).is_ok()).count();
    }
    Ok(hits as f64 / (set.queries().len() * k) as f64)
}

/// p50: the median over queries of each query's fastest round. mean and cpu: a whole round's time over its queries, of the fastest round.
fn timed<P: Peer>(peer: &mut P, set: &Set, k: usize, ef: usize, recall: f64) -> Outcome<Point> {
    let queries = set.queries().len();
    let mut fastest = vec![f64::INFINITY; queries];
    let (mut round_us, mut round_cpu_us) = (f64::INFINITY, f64::INFINITY);
    let mut found = Vec::new();
    for _ in 0..ROUNDS {
        let cpu_before = cpu_us();
        let began = Instant::now();
        for (query, fastest) in set.queries().zip(&mut fastest) {
            let before = Instant::now();
            peer.search(query, k, &mut found)?;
            *fastest = fastest.min(before.elapsed().as_secs_f64() * US_PER_S);
        }
        round_us = round_us.min(began.elapsed().as_secs_f64() * US_PER_S);
        round_cpu_us = round_cpu_us.min(cpu_us() - cpu_before);
    }
    let each = |total: f64| total / queries as f64;
    Ok(Point { k, ef, recall, p50_us: median(&mut fastest), mean_us: each(round_us), cpu_us: each(round_cpu_us) })
}

fn save_and_load<P: Peer>(peer: &mut P, set: &Set, ef: usize) -> Outcome<Saved> {
    let scratch = Scratch::new()?;
    peer.set_ef(ef)?;
    let bytes = peer.save(scratch.folder())?;
    let Some(query) = set.queries().next() else { return Err("the set has no queries; make it again".into()) };
    let (load_ms, first) = loaded::<P>(&bytes, scratch.folder(), set, query, ef)?;
    let mut expected = Vec::new();
    peer.search(query, SWEEPS[0].0, &mut expected)?;
    Ok(Saved { load_ms, bytes_raw: bytes.len(), bytes_brotli: compressed_bytes(&bytes)?, same: first == expected })
}

/// From bytes in memory to the first result.
fn loaded<P: Peer>(bytes: &[u8], folder: &Path, set: &Set, query: &[f32], ef: usize) -> Outcome<(f64, Vec<u32>)> {
    let mut times = Vec::new();
    let mut first = Vec::new();
    for _ in 0..LOADS {
        let before = Instant::now();
        let mut peer = P::load(bytes, folder, set, ef)?;
        peer.search(query, SWEEPS[0].0, &mut first)?;
        times.push(before.elapsed().as_secs_f64() * MS_PER_S);
    }
    Ok((median(&mut times), first))
}

fn compressed_bytes(bytes: &[u8]) -> Outcome<usize> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW_BITS,
        large_window: true,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &params)?;
    Ok(compressed.len())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
