//! hnsw_rs with its SIMD feature, without which it is several times slower.

use super::{Outcome, Peer};
use crate::set::Set;
use hnsw_rs::prelude::{AnnT, DistDot, Hnsw, HnswIo};
use std::fs;
use std::path::Path;

const M: usize = 16;
const EF_CONSTRUCTION: usize = 200;
/// As its documentation advises; the levels that come about are fewer.
const MAX_LAYERS: usize = 16;
const BASENAME: &str = "index";

pub struct HnswRs {
    index: Hnsw<'static, f32, DistDot>,
    ef: usize,
}

impl Peer for HnswRs {
    const CRATE: &'static str = "hnsw_rs";
    const NOTE: &'static str = "inner product, M=16, ef_construction=200, feature simdeez_f; saves to two files, so it is loaded from the \
                                page cache";

    fn build(set: &Set, threads: usize) -> Outcome<Self> {
        let mut index = Hnsw::new(M, set.n, MAX_LAYERS, EF_CONSTRUCTION, DistDot {});
        let rows: Vec<(&[f32], usize)> = set.rows().zip(0..).collect();
        match threads {
            1 => rows.iter().for_each(|&row| index.insert_slice(row)),
            // On rayon's pool, which `run` gave as many threads.
            _ => index.parallel_insert_slice(&rows),
        }
        index.set_searching_mode(true);
        Ok(Self { index, ef: EF_CONSTRUCTION })
    }

    fn set_ef(&mut self, ef: usize) -> Outcome<()> {
        self.ef = ef;
        Ok(())
    }

    fn search(&mut self, query: &[f32], k: usize, found: &mut Vec<u32>) -> Outcome<()> {
        found.clear();
        found.extend(self.index.search(query, k, self.ef).iter().map(|neighbour| neighbour.d_id as u32));
        Ok(())
    }

    fn save(&self, folder: &Path) -> Outcome<Vec<u8>> {
        self.index.file_dump(folder, BASENAME)?;
        let mut bytes = fs::read(folder.join(format!("{BASENAME}.hnsw.graph")))?;
        bytes.extend(fs::read(folder.join(format!("{BASENAME}.hnsw.data")))?);
        Ok(bytes)
    }

    fn load(_bytes: &[u8], folder: &Path, _set: &Set, ef: usize) -> Outcome<Self> {
        // An index borrows its reader, which may map the file. One is leaked for each load: a path and some options.
        let reader = Box::leak(Box::new(HnswIo::new(folder, BASENAME)));
        let mut index = reader.load_hnsw::<f32, DistDot>()?;
        index.set_searching_mode(true);
        Ok(Self { index, ef })
    }
}
