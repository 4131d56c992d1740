//! The bytes that make a client current again when some of a catalogue has changed.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use nearshelf::Digest;
use nearshelf::features::{FeatureSchema, HistorySchema};
use nearshelf::index::generate::Mixture;
use nearshelf::index::{BuildParams, FineBits, Scratch, Truth, build};
use nearshelf::release::{
    Catalogue, HEAD_FILE, Head, LAYOUT_SINGLE, Manifest, ManifestShard, ObjectRef, Release, UpdateParams, update,
};
use nearshelf::shard::directory::DirectoryBucket;
use nearshelf::shard::{ClusterParams, Clusters, ShardContent};
use nearshelf::sync::Assembly;
use nearshelf::towers::{InputKind, Op, Program, QueryTower, Unary};
use serde_json::json;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::clusters::{manifest, names};

/// Parts of the generator's numbers: rows, queries, and rows that come later.
const ROWS: u64 = 0;
const QUERIES: u64 = 1;
const LATER: u64 = 2;
/// Queries that the recall is averaged over.
const COUNT: usize = 200;

/// A catalogue.
struct Shop {
    ids: Vec<String>,
    vectors: Vec<f32>,
    queries: Vec<f32>,
    dim: usize,
}

/// A release as files.
struct Files {
    manifest: Manifest,
    objects: BTreeMap<Digest, Vec<u8>>,
}

/// `bench-search changes`.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (rows, items): (usize, usize) = (arguments.number("--rows")?, arguments.number("--items")?);
    let (bits, permille): (usize, usize) = (arguments.number("--bits")?, arguments.number("--permille")?);
    let fine_bits = FineBits::from_bits(bits.saturating_sub(4)).ok_or("--bits: expected 4, 6 or 8")?;
    let mixture = Mixture::standard(arguments.number("--seed")?);
    let dim = mixture.dim;
    let before = Shop {
        ids: (0..rows).map(|row| row.to_string()).collect(),
        vectors: mixture.draw(rows, ROWS),
        queries: mixture.draw(COUNT, QUERIES),
        dim,
    };
    let after = before.changed(&mixture.draw(rows * permille / 1000, LATER));
    let params = ClusterParams { items, fine_bits, seed: 1 };
    let mut results = Vec::new();
    for layout in ["clusters", "single"] {
        let files = if layout == "single" { before.single(fine_bits)? } else { before.clusters(&params)? };
        let (release, buckets) = files.load()?;
        let catalogue = Catalogue {
            ids: &after.ids,
            vectors: &after.vectors,
            queries: &after.queries,
            towers: towers(),
            columns: &|_| Ok(Vec::new()),
            differs: &|_, _, _| false,
        };
        let update = update(&release, &buckets, &catalogue, &UpdateParams::new(fine_bits, 1))?
            .map_err(|why| format!("{layout}: would be built anew: {why}"))?;
        let mut now = Files { manifest: update.manifest(&files.manifest)?, objects: files.objects.clone() };
        now.objects.extend(update.objects().map(|bytes| (Digest::of(bytes), bytes.to_vec())));
        if arguments.given("--files") {
            let folder = arguments.path("--files")?.join(layout);
            files.write(&folder.join("before"))?;
            now.write(&folder.join("after"))?;
        }
        let anew = if layout == "single" { after.single(fine_bits)? } else { after.clusters(&params)? };
        let share = |then: &Files| -> Outcome<(f64, f64)> {
            let beyond: u64 = then.manifest.parts_beyond(&files.manifest).map(|(_, object)| object.size).sum();
            let all: u64 = then.manifest.parts().map(|(_, object)| object.size).sum();
            let names = names(&then.manifest)? as f64;
            Ok((beyond as f64 + names, all as f64 + names))
        };
        let ((bytes, _), (naive, whole)) = (share(&now)?, share(&anew)?);
        let (updated, built) = (after.recall(&now)?, after.recall(&anew)?);
        println!(
            "{layout}: {bytes:.0} of {whole:.0} bytes, built anew {naive:.0}; recall@100 {updated:.4}, built anew {built:.4}"
        );
        results.push(json!({
            "layout": layout, "share": bytes / whole, "share_anew": naive / whole, "recall": updated, "recall_anew": built,
        }));
    }
    Ok(fs::write(arguments.path("--json")?, format!("{:#}\n", json!(results)))?)
}

fn towers() -> Digest {
    Digest::of(b"towers")
}

impl Shop {
    /// With as many items changed as there are new vectors: half of them have another vector, a quarter goes and a quarter comes.
    fn changed(&self, vectors: &[f32]) -> Self {
        let mut shop =
            Self { ids: self.ids.clone(), vectors: self.vectors.clone(), queries: self.queries.clone(), dim: self.dim };
        let (count, dim) = (vectors.len() / self.dim, self.dim);
        let step = self.ids.len() / count;
        let mut gone = HashSet::new();
        for (nth, vector) in vectors.chunks_exact(dim).enumerate() {
            match nth % 4 {
                0 | 1 => shop.vectors[nth * step * dim..][..dim].copy_from_slice(vector),
                2 => drop(gone.insert(nth * step)),
                _ => {
                    shop.ids.push((self.ids.len() + nth).to_string());
                    shop.vectors.extend(vector);
                }
            }
        }
        let stays = |row: &usize| !gone.contains(row);
        let vectors = shop.vectors.chunks_exact(dim).enumerate().filter(|(row, _)| stays(row));
        let vectors = vectors.flat_map(|(_, vector)| vector).copied().collect();
        let ids = shop.ids.iter().enumerate().filter(|(row, _)| stays(row)).map(|(_, id)| id.clone()).collect();
        Self { ids, vectors, ..shop }
    }

    fn clusters(&self, params: &ClusterParams) -> Outcome<Files> {
        let cut = Clusters::cut(&self.vectors, &self.queries, self.dim, &self.ids, towers(), params)?;
        let truth = Truth::of(&self.vectors, &self.queries, self.dim)?;
        let (probes, _) = cut.choose_probes(&truth, 0.99);
        let tower = tower(self.dim)?;
        let manifest = manifest(&cut, self.dim, towers(), probes, ObjectRef::of(&tower));
        let shards = cut.shards.iter().map(|shard| shard.bytes().to_vec());
        let objects = shards.chain([cut.routing.bytes().to_vec(), tower]).chain(cut.directory);
        Ok(Files { manifest, objects: objects.map(|bytes| (Digest::of(&bytes), bytes)).collect() })
    }

    fn single(&self, fine_bits: FineBits) -> Outcome<Files> {
        let params = BuildParams { fine_bits, ..BuildParams::for_rows(self.ids.len()) };
        let built = build(&self.vectors, &self.queries, self.dim, &params)?;
        let truth = Truth::of(&self.vectors, &self.queries, self.dim)?;
        let (params, _) = nearshelf::index::choose_search(&built, &truth)?;
        let ids = built.order.iter().map(|&row| self.ids[row as usize].clone()).collect();
        let shard = ShardContent { towers: towers(), params, ids, index: built.index, columns: Vec::new() }.write()?;
        let tower = tower(self.dim)?;
        let entry = ManifestShard {
            object: ObjectRef::of(&shard),
            count: self.ids.len() as u32,
            deltas: Vec::new(),
            value: None,
        };
        let cut = Clusters::cut(&[], &[], self.dim, &[], towers(), &ClusterParams { items: 1, fine_bits, seed: 1 })?;
        let empty = manifest(&cut, self.dim, towers(), 1, ObjectRef::of(&tower));
        let manifest = Manifest {
            layout: LAYOUT_SINGLE.to_owned(),
            items: self.ids.len() as u64,
            shards: vec![entry],
            routing: None,
            directory: Vec::new(),
            ..empty
        };
        Ok(Files { manifest, objects: [shard, tower].map(|bytes| (Digest::of(&bytes), bytes)).into() })
    }

    /// The recall@100 of searches in a release.
    fn recall(&self, files: &Files) -> Outcome<f64> {
        let (release, _) = files.load()?;
        let rows: BTreeMap<&str, u32> = self.ids.iter().map(String::as_str).zip(0..).collect();
        let truth = Truth::of(&self.vectors, &self.queries, self.dim)?;
        let mut scratch = Scratch::default();
        let recall = truth.recall(|query| {
            let mut found = Vec::new();
            for at in release.visited(query, 1, &mut scratch) {
                let Some(chain) = &release.shards()[at] else { continue };
                let hits = chain.search(query, 100, None, &mut scratch, None);
                found.extend(hits.iter().map(|hit| (hit.score, rows[chain.id(hit.node).as_str()])));
            }
            found.sort_by(|a, b| b.cmp(a));
            found.into_iter().take(100).map(|(_, row)| row).collect()
        });
        Ok(recall.at_100)
    }
}

impl Files {
    /// As a folder, with a head that nobody has signed.
    fn write(&self, folder: &Path) -> Outcome<()> {
        fs::create_dir_all(folder.join("objects"))?;
        let manifest = self.manifest.to_bytes()?;
        let head = Head::unsigned(1, ObjectRef::of(&manifest), None).to_bytes()?;
        for bytes in self.objects.values().chain([&manifest]) {
            fs::write(folder.join(ObjectRef::of(bytes).path()), bytes)?;
        }
        Ok(fs::write(folder.join(HEAD_FILE), head)?)
    }

    /// As a client has it that fetched everything.
    fn load(&self) -> Outcome<(Release, Vec<DirectoryBucket>)> {
        let manifest = self.manifest.to_bytes()?;
        let head = Head::unsigned(1, ObjectRef::of(&manifest), None);
        let mut assembly = Assembly::default();
        assembly.set_head(&head.to_bytes()?)?;
        assembly.accept(ObjectRef::of(&manifest).digest, manifest)?;
        let mut buckets = Vec::new();
        for (part, object) in self.manifest.parts() {
            let bytes = self.objects[&object.digest].clone();
            if matches!(part, nearshelf::release::Part::Directory(_)) {
                buckets.push(DirectoryBucket::open(bytes.clone())?);
            }
            assembly.accept(object.digest, bytes)?;
        }
        let release = assembly.ready().ok_or("the release is not whole")?;
        Ok((release.clone(), buckets))
    }
}

/// A query tower that negates the newest item.
fn tower(dim: usize) -> Outcome<Vec<u8>> {
    let history = HistorySchema::of_items(1, 1.0, 0.0);
    let schema = FeatureSchema { dim, history, categories: Vec::new(), user: None };
    let inputs = vec![(InputKind::Float, dim), (InputKind::Float, 1)];
    let program = Program::new(inputs, Vec::new(), vec![Op::Unary { function: Unary::Neg, a: 0 }])?;
    Ok(QueryTower::new(schema, program, towers())?.write())
}
