//! The bytes of a first query where a catalogue is cut into clusters.

use std::fs;
use std::time::Instant;

use nearshelf::Digest;
use nearshelf::index::generate::Mixture;
use nearshelf::index::{FineBits, Truth};
use nearshelf::release::{
    ENGINE, FORMAT_VERSION, Head, LAYOUT_CLUSTERS, Manifest, ManifestDelta, ManifestShard, ObjectRef, REQUIRES_DELTAS,
    Routing,
};
use nearshelf::shard::{ClusterParams, ClusterPoint, Clusters};
use serde_json::json;

use crate::Outcome;
use crate::arguments::Arguments;

/// The part of the generator's numbers that queries are of; rows are of part 0.
const QUERIES: u64 = 1;
/// Queries that the recall is averaged over.
const COUNT: usize = 200;

/// `bench-search clusters`.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (rows, items): (usize, usize) = (arguments.number("--rows")?, arguments.number("--items")?);
    let (bits, k): (usize, usize) = (arguments.number("--bits")?, arguments.number("--k")?);
    let wanted = arguments.number::<u32>("--recall-percent")? as f64 / 100.0;
    let fine_bits = FineBits::from_bits(bits.saturating_sub(4)).ok_or("--bits: expected 4, 6 or 8")?;
    let mixture = Mixture::standard(arguments.number("--seed")?);
    let (base, queries) = (mixture.draw(rows, 0), mixture.draw(COUNT, QUERIES));
    let truth = Truth::of(&base, &queries, mixture.dim)?;
    let ids: Vec<String> = (0..rows).map(|row| row.to_string()).collect();
    let params = ClusterParams { items, fine_bits, seed: 1 };
    let towers = Digest::of(b"towers");
    let began = Instant::now();
    let cut = Clusters::cut(&base, &[], mixture.dim, &ids, towers, &params)?;
    let build_s = began.elapsed().as_secs_f64();
    // As far as it takes: the curve ends where nearly all is found.
    let (_, report) = cut.choose_probes(&truth, 0.99);
    println!("{report}cut in {build_s:.1} s");
    let recall = |point: &&ClusterPoint| if k == 10 { point.recall.at_10 } else { point.recall.at_100 };
    let reached = report.points.iter().find(|point| recall(point) >= wanted);
    let Some(point) = reached.or(report.points.last()) else { return Err("no search was measured".into()) };
    let mut manifest = manifest(&cut, mixture.dim, towers, point.probes as u32, ObjectRef::of(b"query tower"));
    // As `nearshelf build` writes it: with a file of cards for each cluster.
    manifest.cards = (0..cut.shards.len()).map(|at| named("cards", at)).collect();
    let names = names(&manifest)?;
    let updated_names = names_after_update(&manifest)?;
    let result = json!({
        "rows": rows, "shards": report.shards, "smallest": report.smallest, "largest": report.largest, "k": k,
        "recall": recall(&point), "probes": point.probes, "bytes": names + report.routing_bytes + point.bytes,
        "names_bytes": names, "updated_names_bytes": updated_names, "routing_bytes": report.routing_bytes, "shard_bytes": point.bytes,
        "directory_bytes": report.directory_bytes, "build_s": build_s,
    });
    Ok(fs::write(arguments.path("--json")?, format!("{result:#}\n"))?)
}

/// The manifest that a release of these clusters has.
pub(crate) fn manifest(cut: &Clusters, dim: usize, towers: Digest, probes: u32, query_tower: ObjectRef) -> Manifest {
    let shards = cut.shards.iter().map(|shard| ManifestShard {
        object: ObjectRef::of(shard.bytes()),
        count: shard.header().count,
        deltas: Vec::new(),
        value: None,
    });
    Manifest {
        format: FORMAT_VERSION,
        name: "bench".to_owned(),
        towers,
        dim,
        engine: ENGINE.to_owned(),
        query_tower,
        layout: LAYOUT_CLUSTERS.to_owned(),
        by: None,
        shards: shards.collect(),
        routing: Some(Routing { object: ObjectRef::of(cut.routing.bytes()), probes }),
        directory: cut.directory.iter().map(|bucket| ObjectRef::of(bucket)).collect(),
        recent: Vec::new(),
        cards: Vec::new(),
        lists: Vec::new(),
        rules: None,
        ranker: None,
        items: cut.shards.iter().map(|shard| shard.len() as u64).sum(),
        recall: None,
        columns: Vec::new(),
        requires: Vec::new(),
    }
}

/// Stands in for an object of which only the name counts.
fn named(kind: &str, at: usize) -> ObjectRef {
    ObjectRef { digest: Digest::of(format!("{kind} {at}").as_bytes()), size: 10_000 }
}

/// Bytes of head and manifest after an update that touched every cluster.
fn names_after_update(manifest: &Manifest) -> Outcome<usize> {
    let mut manifest = manifest.clone();
    for (at, shard) in manifest.shards.iter_mut().enumerate() {
        shard.deltas.push(ManifestDelta { object: named("delta", at), added: 10, removed: 10 });
    }
    manifest.requires.push(REQUIRES_DELTAS.to_owned());
    let buckets = manifest.directory.len().div_ceil(64).next_power_of_two();
    manifest.recent = (0..buckets).map(|at| named("recent", at)).collect();
    names(&manifest)
}

/// Bytes of head and manifest.
pub(crate) fn names(manifest: &Manifest) -> Outcome<usize> {
    let manifest = manifest.to_bytes()?;
    let head = Head::unsigned(1, ObjectRef::of(&manifest), None);
    Ok(manifest.len() + head.to_bytes()?.len())
}
