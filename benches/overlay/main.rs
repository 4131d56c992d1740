//! The overlay's two bars: its bytes for a million items of which one in twenty is out of stock, and the time to take it.
//!
//! ```sh
//! cargo run --release --no-default-features --features build --example bench-overlay
//! cargo run … --example bench-overlay -- MANIFEST OUT    # writes one for the rows of that manifest, for benches/overlay/apply.mjs
//! ```
//! Prints a line of JSON for one shard and for a thousand. `open_ms` is to read and check every row and price of an overlay whose digest the host
//! computed, `apply_ms` that and to take what is out out of the rows of every shard; medians of 101.
#![allow(clippy::unwrap_used, reason = "a bench ends where something is not as expected")]

use std::hint::black_box;
use std::time::Instant;

use nearshelf::Digest;
use nearshelf::index::RowSet;
use nearshelf::release::overlay::{Overlay, OverlayContent, ShardStock};
use nearshelf::release::{Manifest, ObjectRef};
use serde_json::{Value, json};

const ITEMS: u32 = 1_000_000;
/// One in so many is out of stock.
const OUT: u64 = 20;
/// One in so many has another price.
const PRICED: u64 = 100;
const RUNS: usize = 101;

/// `SplitMix64`.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A manifest of so many shards of so many rows.
fn manifest(shards: u32, rows: u32) -> Manifest {
    let object = |name: &str| json!({"digest": Digest::of(name.as_bytes()), "size": 1});
    let shard = |at: u32| json!({"object": object(&format!("shard {at}")), "count": rows});
    let manifest = json!({
        "format": 1, "name": "bench", "towers": Digest::of(b"towers"), "dim": 64, "engine": "program", "layout": "single",
        "query_tower": object("tower"), "shards": (0..shards).map(shard).collect::<Vec<Value>>(), "items": shards * rows,
    });
    Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap()
}

/// An overlay of the rows of a manifest, chosen at random.
fn overlay(manifest: &Manifest, of: Digest, priced: bool) -> Vec<u8> {
    let mut state = 20_261_128;
    let shard = |named: &nearshelf::release::ManifestShard| {
        let mut stock =
            ShardStock { rows: named.rows(named.deltas.len()) as u32, has_exact_slots: true, ..ShardStock::default() };
        for row in 0..stock.rows {
            if next(&mut state).is_multiple_of(OUT) {
                stock.out.push(row);
            }
            if priced && next(&mut state).is_multiple_of(PRICED) {
                stock.prices.push((row, 99 + next(&mut state) % 10_000));
            }
        }
        stock
    };
    let shards = manifest.shards.iter().map(shard).collect();
    OverlayContent { made_ms: 1_796_000_000_000, manifest: of, shards }.to_bytes().unwrap()
}

fn median(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1000.0
    };
    let mut times: Vec<f64> = (0..RUNS).map(time).collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// Sizes and times of an overlay of so many shards.
fn measure(shards: u32, priced: bool) -> Value {
    let manifest = manifest(shards, ITEMS / shards);
    let of = Digest::of(&manifest.to_bytes().unwrap());
    let bytes = overlay(&manifest, of, priced);
    let object = ObjectRef::of(&bytes);
    let open = || Overlay::open(object, bytes.clone(), object.digest, (&manifest, of)).unwrap();
    let apply = || {
        let overlay = open();
        for at in 0..shards as usize {
            let mut rows = RowSet::full((ITEMS / shards) as usize);
            overlay.remove_out(at, &mut rows);
            black_box(rows);
        }
    };
    let (open_ms, apply_ms) = (median(|| drop(black_box(open()))), median(apply));
    let found = open();
    json!({"items": ITEMS, "shards": shards, "out": found.out(), "priced": found.priced(), "bytes": bytes.len(),
        "open_ms": open_ms, "apply_ms": apply_ms})
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [from, out] = &arguments[..] {
        let bytes = std::fs::read(from).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        return std::fs::write(out, overlay(&manifest, Digest::of(&bytes), false)).unwrap();
    }
    for (shards, priced) in [(1, false), (1000, false), (1, true)] {
        println!("{}", measure(shards, priced));
    }
}
