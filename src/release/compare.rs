//! Whether two releases are of one catalogue: what deltas made of one, and what a build anew would have made.
//!
//! The same vector has other codes in another cell, so vectors are compared as far as codes tell them apart: by their distance as a
//! share of what they are beyond their centroids.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::columns::value;
use super::verify::{open, verify};
use super::{Release, ReleaseError};
use crate::index::{NodeId, Score, Scratch, nth_best};
use crate::shard::columns::{ColumnKind, ColumnView};
use crate::shard::delta::Chain;

/// Candidates of the second release that stand in for queries: releases hold none.
const QUERIES: usize = 200;
/// Results of each.
const BEST: usize = 100;
/// Share of the results that must be the same. The codes of the same vector differ where its cell does, and with them the order of
/// candidates that score nearly alike.
const AGREEMENT: f64 = 0.95;

/// A vector is another one where its distance, as a share, is so many times that of the median vector.
const FAR: f32 = 4.0;

/// How far two releases agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Candidates, the same in both.
    pub items: u64,
    /// Queries that were asked.
    pub queries: usize,
    /// Distance between the two vectors of the item in which they differ most, as a share of what they are beyond their centroids.
    pub distance: f32,
    /// The distance that would be another vector.
    pub far: f32,
    /// Mean share of the hundred best of the one that are among those of the other, by a scan of everything that each holds.
    pub agreement: f64,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, queries, distance, far, agreement } = self;
        writeln!(f, "compared     {items} candidates, the same in both, with the same columns")?;
        writeln!(f, "vectors      at most {distance:.3} of a residual apart, {far:.3} would be another vector")?;
        writeln!(f, "results      {:.2} % of the best {BEST} of {queries} queries are the same", 100.0 * agreement)
    }
}

/// Checks the releases in two folders, and that they are of the same towers, candidates, vectors and columns but for popularities, and
/// find the same. Cards are not compared.
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
    let ids = |release| placed(release).map(|(chain, node)| chain.id(node)).collect::<BTreeSet<_>>();
    let (here, there) = (ids(&one), ids(&other));
    if let Some(id) = here.symmetric_difference(&there).next() {
        let (more, fewer) = (here.difference(&there).count(), there.difference(&here).count());
        return Err(differ("candidates", format!("{more} more and {fewer} fewer, for one {id:?}"), "the same ones"));
    }
    let (distance, far) = compare_items(&one, &other)?;
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
    Ok(Comparison { items: other.manifest().items, queries: queries.len(), distance, far, agreement })
}

fn differ(field: &'static str, found: String, expected: &str) -> ReleaseError {
    ReleaseError::Field { what: "comparison of releases", field, found, expected: expected.to_owned() }
}

/// An item as a release has it.
type Placed<'r> = (&'r Chain, NodeId);

/// Checks that every item is the same in both releases, which have the same ids; the largest distance of two vectors, and which would
/// be another vector.
fn compare_items(one: &Release, other: &Release) -> Result<(f32, f32), ReleaseError> {
    let (found, expected) = (&one.manifest().columns, &other.manifest().columns);
    if found != expected {
        return Err(differ("columns", format!("{found:?}"), &format!("{expected:?}")));
    }
    let places: BTreeMap<String, Placed<'_>> = placed(other).map(|place| (place.0.id(place.1), place)).collect();
    let pairs: Vec<(Placed<'_>, Placed<'_>)> =
        placed(one).filter_map(|place| Some((place, *places.get(&place.0.id(place.1))?))).collect();
    let differing = pairs.par_iter().find_map_first(|(a, b)| Some((a, differing_column(*a, *b)?)));
    if let Some((place, column)) = differing {
        let found = format!("another value of {column:?} for {:?}", place.0.id(place.1));
        return Err(differ("columns", found, "the same values"));
    }
    let distances: Vec<f32> = pairs.par_iter().map(|(a, b)| distance(*a, *b)).collect();
    let first = one.shards().iter().flatten().next();
    let bits = first.map_or(8, |chain| 4 + chain.base().header().fine_bits.bits());
    let step = 0.5_f32.powi(bits as i32);
    let median = match distances.len() {
        0 => 0.0,
        count => nth_best(distances.iter().copied(), count / 2),
    };
    // Where most codes are the same bits, those of a changed cell still differ by steps of the codes.
    let far = FAR * median.max(step);
    let worst = distances.iter().zip(&pairs).max_by(|a, b| a.0.total_cmp(b.0));
    match worst {
        Some((distance, (place, _))) if *distance > far => {
            let found = format!("{:?} with vectors {distance:.3} of a residual apart", place.0.id(place.1));
            Err(differ("vectors", found, &format!("at most {far:.3}")))
        }
        worst => Ok((worst.map_or(0.0, |(distance, _)| *distance), far)),
    }
}

fn placed(release: &Release) -> impl Iterator<Item = Placed<'_>> {
    release.shards().iter().flatten().flat_map(|chain| chain.nodes().map(move |node| (chain.as_ref(), node)))
}

/// The first column that says something else of one item; popularities may, as an update leaves them.
fn differing_column(one: Placed<'_>, other: Placed<'_>) -> Option<String> {
    let ((one, node), (other, there)) = (one.0.of(one.1), other.0.of(other.1));
    let (one, other) = (one.columns()?, other.columns()?);
    let differs = |(a, b): &(ColumnView<'_>, ColumnView<'_>)| {
        a.kind() != ColumnKind::Popularity && value(a, node) != value(b, there)
    };
    one.iter().zip(other.iter()).find(differs).map(|(column, _)| column.name().to_owned())
}

/// The distance of two vectors, as a share of the lengths of what they are beyond their centroids.
fn distance(one: Placed<'_>, other: Placed<'_>) -> f32 {
    let decoded = |(chain, node): Placed<'_>| {
        let (shard, node) = chain.of(node);
        let mut vector = vec![0.0; shard.dim()];
        shard.vector_into(node, &mut vector);
        (vector, shard.index().residual_norm(node))
    };
    let ((one, beyond_one), (other, beyond_other)) = (decoded(one), decoded(other));
    let far = one.iter().zip(&other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    if far == 0.0 { 0.0 } else { far / (beyond_one + beyond_other).max(f32::MIN_POSITIVE) }
}

fn queries(release: &Release) -> Vec<Vec<f32>> {
    let step = (release.manifest().items as usize).div_ceil(QUERIES).max(1);
    let vector = |(chain, node): Placed<'_>| {
        let mut vector = vec![0.0; release.manifest().dim];
        chain.vector_into(node, &mut vector);
        vector
    };
    placed(release).step_by(step).map(vector).collect()
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
