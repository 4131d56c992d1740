//! From trained towers and a catalogue to a release.

use std::fmt;
use std::path::Path;

use super::cards::Cards;
use super::{ReleaseContent, ReleaseError, ReleaseWriter, Written};
use crate::data::{Config, Item};
use crate::index::{self, BuildParams, FineBits, IndexError, IndexReport, SearchParams, Truth, choose_search};
use crate::shard::{ShardContent, ShardError};
use crate::towers::TowerError;
use crate::towers::candidate::Towers;

/// An error of a build. The release that was there stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The catalogue could not be embedded.
    #[error(transparent)]
    Tower(#[from] TowerError),
    /// The embeddings could not be indexed.
    #[error("candidate embeddings: {0}")]
    Index(#[from] IndexError),
    /// The index could not be written as a shard.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The release could not be written.
    #[error(transparent)]
    Release(#[from] ReleaseError),
}

/// What a build made.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildReport {
    /// The release.
    pub written: Written,
    /// Candidates.
    pub items: usize,
    /// Bytes of the query tower.
    pub tower_bytes: usize,
    /// Bytes of the shard.
    pub shard_bytes: usize,
    /// Bytes of the cards.
    pub cards_bytes: usize,
    /// How much searches find, and how fast; nothing for an empty catalogue.
    pub search: Option<IndexReport>,
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { version, manifest, changed, .. } = self.written;
        let change = if changed { "new" } else { "unchanged" };
        writeln!(f, "release      version {version} ({change}), manifest {manifest}")?;
        let per_item = self.shard_bytes as f64 / self.items.max(1) as f64;
        writeln!(f, "shard        {} candidates, {} bytes, {per_item:.1} per candidate", self.items, self.shard_bytes)?;
        writeln!(f, "query tower  {} bytes", self.tower_bytes)?;
        writeln!(f, "cards        {} bytes", self.cards_bytes)?;
        match &self.search {
            Some(report) => write!(f, "\n{report}"),
            None => Ok(()),
        }
    }
}

/// Embeds and indexes a catalogue, and writes it into `folder` as a release: one shard, query tower and cards.
///
/// `queries` are query embeddings, row-major: how far searches go by default is measured with them. Without any, some of
/// the candidates stand in for them.
///
/// # Errors
/// A [`BuildError`]; nothing has been replaced then.
pub fn build(
    items: &[Item],
    towers: &Towers,
    queries: &[f32],
    config: &Config,
    folder: &Path,
) -> Result<BuildReport, BuildError> {
    let embeddings = towers.embed(items)?;
    let dim = towers.query.schema().dim;
    let built = index::build(&embeddings, dim, &build_params(config, items.len()))?;
    let (params, search) = search_params(&built, &embeddings, queries, dim, config)?;
    let ids = built.order.iter().map(|row| items[*row as usize].id.clone()).collect();
    let shard = ShardContent { towers: towers.query.towers(), params, ids, index: built.index }.write()?;
    let (query_tower, cards) = (towers.query.write(), Cards::of(items).write());
    let (tower_bytes, shard_bytes, cards_bytes) = (query_tower.len(), shard.len(), cards.len());
    let content = ReleaseContent { name: config.name.clone(), query_tower, shards: vec![shard], cards: Some(cards) };
    let written = ReleaseWriter::new(folder).write(&content)?;
    Ok(BuildReport { written, items: items.len(), tower_bytes, shard_bytes, cards_bytes, search })
}

/// How far searches go by default, and the measurements that say so.
fn search_params(
    built: &index::Built,
    embeddings: &[f32],
    queries: &[f32],
    dim: usize,
    config: &Config,
) -> Result<(SearchParams, Option<IndexReport>), BuildError> {
    if embeddings.is_empty() {
        return Ok((SearchParams { probes: 1, ef_search: 64 }, None));
    }
    let queries = if queries.is_empty() { embeddings } else { queries };
    let truth = Truth::of(embeddings, &sample(queries, dim), dim)?;
    let (mut params, report) = choose_search(built, &truth)?;
    params.probes = config.index.probes.unwrap_or(params.probes);
    Ok((params, Some(report)))
}

/// Queries that a search is measured with.
const QUERIES: usize = 200;

/// At most [`QUERIES`] rows, evenly spread.
pub fn sample(rows: &[f32], dim: usize) -> Vec<f32> {
    let step = (rows.len() / dim).div_ceil(QUERIES).max(1);
    rows.chunks_exact(dim).step_by(step).flatten().copied().collect()
}

/// How the configuration has the index of so many items built.
pub fn build_params(config: &Config, items: usize) -> BuildParams {
    let mut params = BuildParams::for_rows(items);
    // The configuration has been checked: there are 4, 6 or 8 bits.
    params.fine_bits = FineBits::from_bits(config.index.bits.saturating_sub(4)).unwrap_or(params.fine_bits);
    params.cells = config.index.cells.unwrap_or(params.cells);
    params.seed = config.train.seed;
    params
}
