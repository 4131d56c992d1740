//! instant-distance, whose user writes the distance. Its M is 32 and cannot be chosen.

use super::{Outcome, Peer};
use crate::set::Set;
use instant_distance::{Builder, HnswMap, Point, Search};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Any number does; without one each build is another graph.
const SEED: u64 = 1;
const LANES: usize = 8;

#[derive(Clone, Serialize, Deserialize)]
struct UnitVector(Vec<f32>);

impl Point for UnitVector {
    fn distance(&self, other: &Self) -> f32 {
        1.0 - dot(&self.0, &other.0)
    }
}

/// With AVX2 where there is one, as the other libraries choose at run time too.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that `dot_avx2` asks of its caller.
        return unsafe { dot_avx2(a, b) };
    }
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    dot_lanes(a, b)
}

/// Inlined, so that it is compiled with the instructions of its caller.
#[inline(always)]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

pub struct InstantDistance {
    map: HnswMap<UnitVector, u32>,
    search: Search,
}

impl InstantDistance {
    fn of(map: HnswMap<UnitVector, u32>) -> Self {
        Self { map, search: Search::default() }
    }
}

impl Peer for InstantDistance {
    const CRATE: &'static str = "instant-distance";
    const NOTE: &'static str =
        "inner product with AVX2, M=32 and ef_construction=100, its constant and its default; saved by bincode";

    /// On rayon's pool, which `run` gave as many threads.
    fn build(set: &Set, _threads: usize) -> Outcome<Self> {
        let points = set.rows().map(|row| UnitVector(row.to_vec())).collect();
        let rows = (0..u32::try_from(set.n)?).collect();
        Ok(Self::of(Builder::default().seed(SEED).build(points, rows)))
    }

    /// The library fixes ef_search when it builds; it is the first eight bytes of a saved map.
    fn set_ef(&mut self, ef: usize) -> Outcome<()> {
        let mut bytes = bincode::serialize(&self.map)?;
        bytes[..8].copy_from_slice(&(ef as u64).to_le_bytes());
        self.map = bincode::deserialize(&bytes)?;
        Ok(())
    }

    fn search(&mut self, query: &[f32], k: usize, found: &mut Vec<u32>) -> Outcome<()> {
        found.clear();
        let best = self.map.search(&UnitVector(query.to_vec()), &mut self.search);
        found.extend(best.take(k).map(|item| *item.value));
        Ok(())
    }

    fn save(&self, _folder: &Path) -> Outcome<Vec<u8>> {
        Ok(bincode::serialize(&self.map)?)
    }

    fn load(bytes: &[u8], _folder: &Path, _set: &Set, _ef: usize) -> Outcome<Self> {
        Ok(Self::of(bincode::deserialize(bytes)?))
    }
}
