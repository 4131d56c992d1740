//! What is measured, defined as in `../peers/js/measure.mjs`.

use std::fs;
use std::time::Instant;

use nearshelf::index::{FineBits, SearchParams};
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::clock::cpu_us;
use crate::library::{Library, built, columns};
use crate::set::{Rows, Set};

/// Cells that are scanned. Small steps, so that the library is measured close to the cheapest setting that reaches the recall;
/// `../peers/js/libraries/nearshelf.mjs` has the same.
const PROBES: [usize; 28] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512];
const RECALL: f64 = 0.95;
/// The recall at which a sweep without a filter ends.
const HIGH_RECALL: f64 = 0.99;
/// A sweep also ends when so many settings together found less than this share more: what is lost then is lost to the codes.
const STALLED: (usize, f64) = (3, 0.001);
const ROUNDS: usize = 5;
const LOADS: usize = 5;
const US_PER_S: f64 = 1e6;
const MS_PER_S: f64 = 1e3;

/// What is compared: an index with codes of so many bits.
struct Kind {
    name: &'static str,
    fine_bits: FineBits,
}

const KINDS: [Kind; 2] = [
    Kind { name: "nearshelf-6bit", fine_bits: FineBits::Two },
    Kind { name: "nearshelf-8bit", fine_bits: FineBits::Four },
];

#[derive(Clone, Copy)]
struct Point {
    k: usize,
    probes: usize,
    recall: f64,
    p50_us: f64,
    mean_us: f64,
    cpu_us: Option<f64>,
}

impl Point {
    fn json(&self) -> Value {
        let Self { k, probes, recall, p50_us, mean_us, cpu_us } = self;
        json!({ "k": k, "ef": probes, "recall": recall, "p50_us": p50_us, "mean_us": mean_us, "cpu_us": cpu_us })
    }
}

/// `bench-search measure`.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let library = arguments.text("--library")?;
    let Some(kind) = KINDS.iter().find(|kind| kind.name == library) else {
        return Err(format!("--library {library}; it is one of {}", KINDS.map(|kind| kind.name).join(", ")).into());
    };
    let threads = if arguments.given("--threads") { arguments.number("--threads")? } else { 1 };
    let folder = arguments.path("--set")?;
    let set = Set::read(&folder)?;
    let (mut content, build_s) = built(&set, kind.fine_bits, threads)?;
    println!("{library}: built {} rows in {build_s:.2} s; build threads: {threads}", set.n);
    let mut builds = vec![json!({ "threads": threads, "seconds": build_s })];
    if threads != 1 && !arguments.build_only() {
        builds.push(json!({ "threads": 1, "seconds": built(&set, kind.fine_bits, 1)?.1 }));
    }

    let columns = columns(&content)?;
    let mut opened = Library::open(content.write()?)?.with_columns(columns.clone())?;
    let mut points = sweep(&mut opened, &set, 10, HIGH_RECALL, Rows::All)?;
    let probes = points.iter().find(|point| point.recall >= RECALL).or(points.last()).map_or(1, |point| point.probes);
    points.extend(sweep(&mut opened, &set, 100, HIGH_RECALL, Rows::All)?);
    let filter = sweep(&mut opened, &set, 10, RECALL, Rows::Group)?;

    content.params = SearchParams { probes, ..content.params };
    let bytes = content.write()?;
    fs::write(folder.join(format!("{library}.shard")), &bytes)?;
    fs::write(folder.join(format!("{library}.columns")), &columns)?;
    let load_ms = loaded(&bytes, &set, probes)?;
    let json_of = |points: &[Point]| points.iter().map(Point::json).collect::<Vec<_>>();
    let result = json!({
        "library": library, "version": env!("CARGO_PKG_VERSION"), "runtime": "native", "set": set.name, "n": set.n,
        "build_s": build_s, "builds": builds, "load_ms": load_ms, "bytes_raw": bytes.len(), "bytes_brotli": null,
        "memory_bytes": opened.memory(), "points": json_of(&points), "filter": json_of(&filter),
        "note": format!("ef is the number of cells scanned; build threads: {threads}; memory is what the shard says"),
    });
    Ok(fs::write(arguments.path("--json")?, format!("{result:#}\n"))?)
}

fn sweep(library: &mut Library, set: &Set, k: usize, until: f64, rows: Rows) -> Outcome<Vec<Point>> {
    let mut points = Vec::new();
    for probes in PROBES {
        let recall = recall_at_k(library, set, k, probes, rows)?;
        let point = Point { recall, ..timed(library, set, k, probes, rows)? };
        let filter = if rows == Rows::All { "" } else { ", filtered" };
        println!("k={k} probes={probes}{filter}: recall {recall:.4}, p50 {:.1} us", point.p50_us);
        points.push(point);
        if recall >= until || stalled(&points) {
            break;
        }
    }
    Ok(points)
}

fn stalled(points: &[Point]) -> bool {
    let (settings, gain) = STALLED;
    match points {
        [.., point] => {
            let before = points.len().checked_sub(settings + 1).map(|at| points[at].recall);
            before.is_some_and(|before| point.recall < before + gain)
        }
        [] => false,
    }
}

/// Also the round that warms up.
fn recall_at_k(library: &mut Library, set: &Set, k: usize, probes: usize, rows: Rows) -> Outcome<f64> {
    let (mut found, mut hits) = (Vec::new(), 0);
    for (query, truth) in set.queries().zip(set.truths(rows)) {
        library.search(query, k, probes, rows, &mut found)?;
        hits += truth[..k].iter().filter(|row| found.contains(row)).count();
    }
    Ok(hits as f64 / (set.queries().len() * k) as f64)
}

/// p50: the median over queries of each query's fastest round. mean and cpu: a whole round's time over its queries, of the
/// fastest round.
fn timed(library: &mut Library, set: &Set, k: usize, probes: usize, rows: Rows) -> Outcome<Point> {
    let queries = set.queries().len();
    let mut fastest = vec![f64::INFINITY; queries];
    let (mut round_us, mut round_cpu_us) = (f64::INFINITY, f64::INFINITY);
    let mut found = Vec::new();
    for _ in 0..ROUNDS {
        let cpu_before = cpu_us();
        let began = Instant::now();
        for (query, fastest) in set.queries().zip(&mut fastest) {
            let before = Instant::now();
            library.search(query, k, probes, rows, &mut found)?;
            *fastest = fastest.min(before.elapsed().as_secs_f64() * US_PER_S);
        }
        round_us = round_us.min(began.elapsed().as_secs_f64() * US_PER_S);
        round_cpu_us = round_cpu_us.min(cpu_us() - cpu_before);
    }
    let each = |total: f64| total / queries as f64;
    let cpu_us = Some(each(round_cpu_us)).filter(|us| us.is_finite());
    Ok(Point { k, probes, recall: 0.0, p50_us: median(&mut fastest), mean_us: each(round_us), cpu_us })
}

/// From bytes in memory to the first result.
fn loaded(bytes: &[u8], set: &Set, probes: usize) -> Outcome<f64> {
    let Some(query) = set.queries().next() else { return Err("the set has no queries; make it again".into()) };
    let mut times = Vec::new();
    let mut found = Vec::new();
    for _ in 0..LOADS {
        let own = bytes.to_vec();
        let before = Instant::now();
        Library::open(own)?.search(query, 10, probes, Rows::All, &mut found)?;
        times.push(before.elapsed().as_secs_f64() * MS_PER_S);
    }
    Ok(median(&mut times))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
