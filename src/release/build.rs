//! From trained towers and a catalogue to a release.

use std::fmt;
use std::path::Path;

use super::cards::Cards;
use super::{ReleaseContent, ReleaseError, ReleaseWriter, Written};
use crate::data::{Config, Item};
use crate::index::{self, BuildParams, Built, IndexError};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { version, manifest, changed, .. } = self.written;
        let change = if changed { "new" } else { "unchanged" };
        writeln!(f, "release      version {version} ({change}), manifest {manifest}")?;
        let per_item = self.shard_bytes as f64 / self.items.max(1) as f64;
        writeln!(f, "shard        {} candidates, {} bytes, {per_item:.1} per candidate", self.items, self.shard_bytes)?;
        writeln!(f, "query tower  {} bytes", self.tower_bytes)?;
        write!(f, "cards        {} bytes", self.cards_bytes)
    }
}

/// Embeds and indexes a catalogue, and writes it into `folder` as a release: one shard, query tower and cards.
///
/// # Errors
/// A [`BuildError`]; nothing has been replaced then.
pub fn build(items: &[Item], towers: &Towers, config: &Config, folder: &Path) -> Result<BuildReport, BuildError> {
    let embeddings = towers.embed(items)?;
    let shard = shard(items, &embeddings, towers, config)?;
    let (query_tower, cards) = (towers.query.write(), Cards::of(items).write());
    let (tower_bytes, shard_bytes, cards_bytes) = (query_tower.len(), shard.len(), cards.len());
    let content = ReleaseContent { name: config.name.clone(), query_tower, shards: vec![shard], cards: Some(cards) };
    let written = ReleaseWriter::new(folder).write(&content)?;
    Ok(BuildReport { written, items: items.len(), tower_bytes, shard_bytes, cards_bytes })
}

fn shard(items: &[Item], embeddings: &[f32], towers: &Towers, config: &Config) -> Result<Vec<u8>, BuildError> {
    let Built { order, codes, graph } = index::build(embeddings, towers.query.schema().dim, &build_params(config))?;
    let ids = order.iter().map(|row| items[*row as usize].id.clone()).collect();
    let ef_search = config.index.ef_search;
    Ok(ShardContent { towers: towers.query.towers(), ef_search, ids, codes, graph }.write()?)
}

/// How the configuration has graphs built.
pub fn build_params(config: &Config) -> BuildParams {
    BuildParams {
        m: config.index.m,
        ef_construction: config.index.ef_construction,
        seed: config.train.seed,
        ..BuildParams::default()
    }
}
