//! Cutting a catalogue into clusters: shards of candidates that lie near each other, the routing that says which of them a
//! query visits, and the directory that says which one holds an item.

use std::fmt;
use std::hint::black_box;

use rayon::prelude::*;

use super::columns::ColumnsError;
use super::directory::{DirectoryError, Place, write_directory};
use super::{Shard, ShardContent, ShardError, Verified};
use crate::Digest;
use crate::index::{
    BuildParams, Built, FineBits, Hit, Index, IndexError, PartitionParams, Recall, Scratch, SearchParams, Truth, build,
    check_vectors, partition,
};

/// How a catalogue is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterParams {
    /// Candidates of a shard, on average. Up: fewer and larger files, of which a query needs fewer, and more bytes for it.
    pub items: usize,
    /// The fine plane of the codes. Up: recall and bytes.
    pub fine_bits: FineBits,
    /// Decides where centroids start. Equal seeds and inputs give equal shards.
    pub seed: u64,
}

/// The largest shard, in means.
const LARGEST: f32 = 1.5;
/// The smallest shard, in means.
const SMALLEST: f32 = 0.2;

/// An error of the cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// The embeddings could not be indexed.
    #[error("candidate embeddings: {0}")]
    Index(#[from] IndexError),
    /// A shard could not be written.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The directory could not be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Writes the columns of some rows of the embeddings.
pub type RowColumns<'a> = dyn Fn(&[u32]) -> Result<Vec<u8>, ColumnsError> + Sync + 'a;

/// A catalogue in clusters.
#[derive(Debug)]
pub struct Clusters {
    /// The shards.
    pub shards: Vec<Shard<Verified>>,
    /// A shard of the centroids: the id of each is the place of its shard.
    pub routing: Shard<Verified>,
    /// The buckets of the directory.
    pub directory: Vec<Vec<u8>>,
    /// For each shard, the row of the embeddings that each of its slots holds.
    rows: Vec<Vec<u32>>,
}

impl Clusters {
    /// Cuts `vectors`, row-major with `dim` columns, for queries like `queries`, of the same form; `ids` has one id per row.
    ///
    /// # Errors
    /// A [`CutError`]: vectors that are not such a matrix, an id that occurs twice.
    pub fn cut(
        vectors: &[f32],
        queries: &[f32],
        dim: usize,
        ids: &[String],
        towers: Digest,
        params: &ClusterParams,
    ) -> Result<Self, CutError> {
        check_vectors(vectors, dim)?;
        check_vectors(queries, dim)?;
        if vectors.len() != ids.len() * dim {
            return Err(
                ShardError::Content { what: "embeddings", found: vectors.len() / dim, expected: ids.len() }.into()
            );
        }
        let cells = ids.len().div_ceil(params.items.max(1)).max(1);
        let cut = PartitionParams { cells, largest: LARGEST, smallest: SMALLEST, seed: params.seed };
        let parts = partition(vectors, queries, dim, &cut);
        let mut rows = vec![Vec::new(); parts.centroids.len() / dim];
        for (row, &cluster) in (0..).zip(&parts.cells) {
            rows[cluster as usize].push(row);
        }
        // Neighbouring ids share most, and shorter numbers are smaller ones.
        let key = |&row: &u32| (ids[row as usize].len(), &ids[row as usize]);
        rows.par_iter_mut().for_each(|rows| rows.sort_unstable_by(|a, b| key(a).cmp(&key(b))));
        let shards: Vec<Shard<Verified>> = rows
            .par_iter()
            .map(|rows| shard(vectors, dim, ids, towers, rows, params))
            .collect::<Result<_, CutError>>()?;
        let directory = write_directory((0..).zip(&rows).flat_map(|(shard, rows)| {
            (0..).zip(rows).map(move |(slot, &row)| (ids[row as usize].as_str(), Place { shard, slot }))
        }))?;
        let routing = routing(&parts.centroids, queries, dim, towers, params)?;
        Ok(Self { shards, routing, directory, rows })
    }

    /// For each shard, the row of the embeddings that each of its slots holds.
    pub fn rows(&self) -> &[Vec<u32>] {
        &self.rows
    }

    /// Gives each shard columns: `columns` writes those of some rows of the embeddings.
    ///
    /// # Errors
    /// A [`CutError`]: columns that cannot be written, or are not of these rows.
    pub fn with_columns(mut self, columns: &RowColumns<'_>) -> Result<Self, CutError> {
        let written = |(shard, rows): (&Shard<Verified>, &Vec<u32>)| {
            let columns = columns(rows).map_err(ShardError::from)?;
            if columns.is_empty() {
                return Ok(shard.bytes().to_vec());
            }
            ShardContent { columns, ..shard.content() }.write()
        };
        let open = |bytes: Vec<u8>| Shard::open(bytes)?.verify();
        let shards = self.shards.par_iter().zip(&self.rows).map(|pair| written(pair).and_then(open));
        self.shards = shards.collect::<Result<_, ShardError>>()?;
        Ok(self)
    }

    /// The `k` best candidates in the `probes` clusters nearest to a query: rows of the embeddings, the best first.
    pub fn search(&self, query: &[f32], k: usize, probes: usize, scratch: &mut Scratch) -> Vec<u32> {
        let mut found: Vec<(Hit, u32)> = Vec::new();
        for place in self.visited(query, probes, scratch) {
            let hits = self.shards[place].search(query, k, None, scratch, None);
            found.extend(hits.into_iter().map(|hit| (hit, self.rows[place][hit.node.row()])));
        }
        found.sort_unstable_by(|(a, row_a), (b, row_b)| b.score.cmp(&a.score).then(row_a.cmp(row_b)));
        found.into_iter().take(k).map(|(_, row)| row).collect()
    }

    /// The places of the clusters that a query visits.
    fn visited(&self, query: &[f32], probes: usize, scratch: &mut Scratch) -> Vec<usize> {
        let hits = self.routing.search(query, probes, None, scratch, None);
        hits.iter().filter_map(|hit| self.routing.id(hit.node).parse().ok()).collect()
    }

    /// Measures searches of more and more clusters until they find `share` of what a visit of all would, in recall@100; how
    /// many clusters that takes, and the curve.
    pub fn choose_probes(&self, truth: &Truth, share: f64) -> (u32, ClusterReport) {
        let mut scratch = Scratch::default();
        let all = self.shards.len();
        let codes = truth.recall(|query| self.search(query, 100, all, &mut scratch));
        let mut points: Vec<ClusterPoint> = Vec::new();
        let mut probes = 1;
        loop {
            let point = self.measure(truth, probes.min(all), &mut scratch);
            points.push(point);
            if point.recall.at_100 >= codes.at_100 * share || probes >= all {
                break;
            }
            probes += probes.div_ceil(3);
        }
        let bytes: usize = self.shards.iter().map(|shard| shard.bytes().len()).sum();
        let report = ClusterReport {
            items: self.rows.iter().map(Vec::len).sum(),
            shards: all,
            smallest: self.rows.iter().map(Vec::len).min().unwrap_or(0),
            largest: self.rows.iter().map(Vec::len).max().unwrap_or(0),
            bytes,
            routing_bytes: self.routing.bytes().len(),
            directory_bytes: self.directory.iter().map(Vec::len).sum(),
            codes,
            points,
        };
        (probes.min(all) as u32, report)
    }

    fn measure(&self, truth: &Truth, probes: usize, scratch: &mut Scratch) -> ClusterPoint {
        let mut bytes = 0;
        let at_10 = truth.recall(|query| self.search(query, 10, probes, scratch)).at_10;
        let at_100 = truth.recall(|query| {
            bytes +=
                self.visited(query, probes, scratch).iter().map(|&at| self.shards[at].bytes().len()).sum::<usize>();
            self.search(query, 100, probes, scratch)
        });
        let micros = truth.micros(3, |query| drop(black_box(self.search(query, 100, probes, scratch))));
        let queries = truth.best().len().max(1);
        ClusterPoint { probes, recall: Recall { at_10, ..at_100 }, bytes: bytes / queries, micros }
    }
}

/// How far a walk through centroids goes where there are thousands.
const ROUTING_EF: usize = 256;

fn routing(
    centroids: &[f32],
    queries: &[f32],
    dim: usize,
    towers: Digest,
    params: &ClusterParams,
) -> Result<Shard<Verified>, CutError> {
    let count = centroids.len() / dim;
    let parameters = BuildParams { fine_bits: FineBits::Four, seed: params.seed, ..BuildParams::for_rows(count) };
    let Built { order, index } = build(centroids, queries, dim, &parameters)?;
    // Half of the cells: a cluster that is passed over costs more than a few microseconds.
    let probes = index.view().cells().div_ceil(2);
    let params = SearchParams { probes, ef_search: ROUTING_EF };
    write_and_open(order.iter().map(ToString::to_string).collect(), index, towers, params)
}

fn shard(
    vectors: &[f32],
    dim: usize,
    ids: &[String],
    towers: Digest,
    rows: &[u32],
    params: &ClusterParams,
) -> Result<Shard<Verified>, CutError> {
    let vectors: Vec<f32> = rows.iter().flat_map(|&row| &vectors[row as usize * dim..][..dim]).copied().collect();
    let parameters = BuildParams { cells: 1, fine_bits: params.fine_bits, graph: None, seed: params.seed };
    let Built { order, index } = build(&vectors, &[], dim, &parameters)?;
    let ids = order.iter().map(|&at| ids[rows[at as usize] as usize].clone()).collect();
    write_and_open(ids, index, towers, SearchParams { probes: 1, ef_search: 1 })
}

fn write_and_open(
    ids: Vec<String>,
    index: Index,
    towers: Digest,
    params: SearchParams,
) -> Result<Shard<Verified>, CutError> {
    let bytes = ShardContent { towers, params, ids, index, columns: Vec::new() }.write()?;
    Ok(Shard::open(bytes)?.verify()?)
}

/// A search of some clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterPoint {
    /// Clusters that are visited.
    pub probes: usize,
    /// What they hold of the best by exact `f32` search.
    pub recall: Recall,
    /// Bytes of their shards, the mean over the queries: what a first query fetches beside manifest, routing and tower.
    pub bytes: usize,
    /// Microseconds per query for the best 100.
    pub micros: f64,
}

/// What a cut is like.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterReport {
    /// Candidates.
    pub items: usize,
    /// Shards.
    pub shards: usize,
    /// Candidates of the smallest shard.
    pub smallest: usize,
    /// Candidates of the largest shard.
    pub largest: usize,
    /// Bytes of all shards.
    pub bytes: usize,
    /// Bytes of the routing.
    pub routing_bytes: usize,
    /// Bytes of the directory.
    pub directory_bytes: usize,
    /// A visit of all clusters that the routing finds.
    pub codes: Recall,
    /// Searches of some.
    pub points: Vec<ClusterPoint>,
}

impl fmt::Display for ClusterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, shards, smallest, largest, codes, .. } = self;
        let per_item = self.bytes as f64 / (*items).max(1) as f64;
        writeln!(
            f,
            "{items} candidates in {shards} clusters of {smallest} to {largest}, {per_item:.1} bytes per candidate"
        )?;
        writeln!(f, "routing {} bytes, directory {} bytes", self.routing_bytes, self.directory_bytes)?;
        writeln!(f, "{:<24}{:>12}{:>12}{:>12}{:>12}", "", "recall@10", "recall@100", "bytes", "us, k=100")?;
        writeln!(f, "{:<24}{:>12.4}{:>12.4}{:>12}", "all clusters", codes.at_10, codes.at_100, self.bytes)?;
        for ClusterPoint { probes, recall, bytes, micros } in &self.points {
            let name = format!("{probes} clusters");
            writeln!(f, "{name:<24}{:>12.4}{:>12.4}{bytes:>12}{micros:>12.1}", recall.at_10, recall.at_100)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::mixture;
    use crate::shard::directory::{DirectoryBucket, bucket_of};

    #[test]
    fn a_few_clusters_hold_most_of_the_best_and_the_directory_finds_every_item() {
        for seed in [1, 2, 3] {
            let (vectors, queries) = mixture(seed, 4000, 40, 24);
            let ids: Vec<String> = (0..4000).map(|row| format!("item-{row}")).collect();
            let params = ClusterParams { items: 100, fine_bits: FineBits::Four, seed };
            let cut = Clusters::cut(&vectors, &queries, 24, &ids, Digest::of(b"towers"), &params).unwrap();
            let truth = Truth::of(&vectors, &queries, 24).unwrap();
            let (probes, report) = cut.choose_probes(&truth, 0.95);
            let mean = 4000.0 / report.shards as f64;
            assert!(
                report.largest as f64 <= 2.0 * mean && report.smallest as f64 >= 0.1 * mean,
                "seed {seed}\n{report}"
            );
            let chosen = report.points.last().unwrap();
            assert!(chosen.recall.at_100 >= 0.9 && (probes as usize) < report.shards, "seed {seed}\n{report}");

            let buckets: Vec<_> =
                cut.directory.iter().map(|bytes| DirectoryBucket::open(bytes.clone()).unwrap()).collect();
            for (row, id) in ids.iter().enumerate() {
                let place = buckets[bucket_of(id, buckets.len() as u32) as usize].find(id).unwrap();
                assert_eq!(cut.rows[place.shard as usize][place.slot as usize] as usize, row, "seed {seed}");
                let shard = &cut.shards[place.shard as usize];
                assert_eq!(shard.id(crate::index::NodeId(place.slot)), *id, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_small_catalogue_is_one_cluster() {
        for count in [0, 1, 5] {
            let ids: Vec<String> = (0..count).map(|row| row.to_string()).collect();
            let params = ClusterParams { items: 100, fine_bits: FineBits::Two, seed: 1 };
            let cut = Clusters::cut(&vec![0.5; count * 8], &[], 8, &ids, Digest::of(b"towers"), &params).unwrap();
            assert_eq!((cut.shards.len(), cut.shards[0].len()), (1, count));
            assert_eq!(cut.search(&[1.0; 8], 3, 1, &mut Scratch::default()).len(), count.min(3));
        }
    }
}
