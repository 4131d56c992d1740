//! Whether two releases are of one catalogue: what deltas made of one, and what a build anew would have made.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::verify::{open, verify};
use super::{Release, ReleaseError};
use crate::index::{Score, Scratch};

/// Candidates of the second release that stand in for queries: releases hold none.
const QUERIES: usize = 200;
/// Results of each.
const BEST: usize = 100;
/// Share of the results that must be the same. The codes of the same vector differ where its cell does, and with them the order of
/// candidates that score nearly alike.
const AGREEMENT: f64 = 0.95;

/// How far two releases agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Candidates, the same in both.
    pub items: u64,
    /// Queries that were asked.
    pub queries: usize,
    /// Mean share of the hundred best of the one that are among those of the other, by a scan of everything that each holds.
    pub agreement: f64,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, queries, agreement } = self;
        writeln!(f, "compared     {items} candidates, the same in both")?;
        writeln!(f, "results      {:.2} % of the best {BEST} of {queries} queries are the same", 100.0 * agreement)
    }
}

/// Checks the releases in two folders, and that they are of the same towers and candidates and find the same.
///
/// # Errors
/// What is wrong with one of them, or in what they differ.
pub fn compare(one: &Path, other: &Path) -> Result<Comparison, ReleaseError> {
    verify(one)?;
    verify(other)?;
    let (one, other) = (open(one)?, open(other)?);
    let (found, expected) = (one.manifest().towers, other.manifest().towers);
    if found != expected {
        return Err(ReleaseError::Towers { found, expected });
    }
    let (here, there) = (ids(&one), ids(&other));
    if let Some(id) = here.symmetric_difference(&there).next() {
        let (more, fewer) = (here.difference(&there).count(), there.difference(&here).count());
        return Err(differ("candidates", format!("{more} more and {fewer} fewer, for one {id:?}"), "the same ones"));
    }
    let queries = queries(&other);
    let shares = queries.par_iter().map_init(Scratch::default, |scratch, query| {
        let expected = best(&other, query, scratch);
        let found = best(&one, query, scratch).intersection(&expected).count();
        found as f64 / expected.len().max(1) as f64
    });
    // Summed in the order of the queries, whatever the threads do.
    let shares: Vec<f64> = shares.collect();
    let agreement = if shares.is_empty() { 1.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 };
    if agreement < AGREEMENT {
        let found = format!("{:.1} % the same", 100.0 * agreement);
        return Err(differ("results", found, &format!("{} % at least", 100.0 * AGREEMENT)));
    }
    Ok(Comparison { items: other.manifest().items, queries: queries.len(), agreement })
}

fn differ(field: &'static str, found: String, expected: &str) -> ReleaseError {
    ReleaseError::Field { what: "comparison of releases", field, found, expected: expected.to_owned() }
}

fn ids(release: &Release) -> BTreeSet<String> {
    release.shards().iter().flatten().flat_map(|chain| chain.ids()).collect()
}

fn queries(release: &Release) -> Vec<Vec<f32>> {
    let step = (release.manifest().items as usize).div_ceil(QUERIES).max(1);
    let nodes = release.shards().iter().flatten().flat_map(|chain| chain.nodes().map(move |node| (chain, node)));
    let vector = |(chain, node): (&std::sync::Arc<crate::shard::delta::Chain>, _)| {
        let mut vector = vec![0.0; release.manifest().dim];
        chain.vector_into(node, &mut vector);
        vector
    };
    nodes.step_by(step).map(vector).collect()
}

/// The ids of the best candidates by a scan of everything.
fn best(release: &Release, query: &[f32], scratch: &mut Scratch) -> BTreeSet<String> {
    let mut hits: Vec<(Score, String)> = Vec::new();
    for chain in release.shards().iter().flatten() {
        hits.extend(chain.exact(query, BEST, scratch).into_iter().map(|hit| (hit.score, chain.id(hit.node))));
    }
    hits.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    hits.into_iter().take(BEST).map(|(_, id)| id).collect()
}
