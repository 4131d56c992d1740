//! usearch, whose kernels choose the instructions at run time.

use super::{Outcome, Peer};
use crate::set::Set;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// How an index keeps its vectors.
pub trait Encoding {
    const SCALAR: ScalarKind;
}

pub struct F32;
pub struct I8;

impl Encoding for F32 {
    const SCALAR: ScalarKind = ScalarKind::F32;
}

impl Encoding for I8 {
    const SCALAR: ScalarKind = ScalarKind::I8;
}

pub struct Usearch<E> {
    index: Index,
    encoding: PhantomData<E>,
}

impl<E: Encoding> Usearch<E> {
    fn empty(dimensions: usize) -> Outcome<Self> {
        let index = Index::new(&IndexOptions {
            dimensions,
            metric: MetricKind::IP,
            quantization: E::SCALAR,
            connectivity: 16,
            expansion_add: 128,
            ..IndexOptions::default()
        })?;
        Ok(Self { index, encoding: PhantomData })
    }

    /// Adds rows until none is left, beside other threads that do the same.
    fn add_rows(&self, set: &Set, next: &AtomicUsize) -> Result<(), String> {
        loop {
            let row = next.fetch_add(1, Ordering::Relaxed);
            if row >= set.n {
                return Ok(());
            }
            self.index.add(row as u64, set.row(row)).map_err(|error| format!("row {row}: {error}"))?;
        }
    }
}

impl<E: Encoding + Send + Sync> Peer for Usearch<E> {
    const CRATE: &'static str = "usearch";
    const NOTE: &'static str = "inner product, connectivity 16, expansion_add 128";

    fn build(set: &Set, threads: usize) -> Outcome<Self> {
        let peer = Self::empty(set.dim)?;
        peer.index.reserve_capacity_and_threads(set.n, threads)?;
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let adding: Vec<_> = (0..threads).map(|_| scope.spawn(|| peer.add_rows(set, &next))).collect();
            adding.into_iter().try_for_each(|thread| thread.join().expect("a thread that adds rows does not panic"))
        })?;
        Ok(peer)
    }

    fn set_ef(&mut self, ef: usize) -> Outcome<()> {
        self.index.change_expansion_search(ef);
        Ok(())
    }

    fn search(&mut self, query: &[f32], k: usize, found: &mut Vec<u32>) -> Outcome<()> {
        found.clear();
        found.extend(self.index.search(query, k)?.keys.iter().map(|&key| key as u32));
        Ok(())
    }

    fn save(&self, _folder: &Path) -> Outcome<Vec<u8>> {
        let mut bytes = vec![0; self.index.serialized_length()];
        self.index.save_to_buffer(&mut bytes)?;
        Ok(bytes)
    }

    fn load(bytes: &[u8], _folder: &Path, set: &Set, ef: usize) -> Outcome<Self> {
        let peer = Self::empty(set.dim)?;
        peer.index.load_from_buffer(bytes)?;
        peer.index.change_expansion_search(ef);
        Ok(peer)
    }
}
