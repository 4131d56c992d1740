//! Hard negatives: what the towers' own index finds for a training query and the shopper did not take (ANCE, Xiong et al. 2021).
//!
//! The index is one as a release has it, of the embeddings of some steps ago; queries go through the query tower of that moment.

use rayon::prelude::*;

use super::sampler::Query;
use super::snapshot::Snapshot;
use crate::index::{self, BuildParams, Built, IndexError, QueryCode, Scratch, SearchParams};
use crate::towers::TowerError;

/// Cells that a search scans: what is missed is no negative, which costs nothing.
const PROBES: usize = 8;

/// An index of the towers of a moment.
pub(super) struct Miner {
    snapshot: Snapshot,
    index: Built,
}

impl Miner {
    pub(super) fn of(snapshot: Snapshot) -> Result<Self, TowerError> {
        let dim = snapshot.tower.schema().dim;
        let rows = snapshot.embeddings.len() / dim;
        let index = index::build(&snapshot.embeddings, &[], dim, &BuildParams::for_rows(rows))
            .map_err(|error| failed(&error))?;
        Ok(Self { snapshot, index })
    }

    /// Gives each query up to `count` items that it finds and that are none of its known ones, the best first.
    pub(super) fn mine(&self, queries: &mut [Query], count: usize) -> Result<(), TowerError> {
        let dim = self.snapshot.tower.schema().dim;
        let embeddings = self.snapshot.embed(queries)?;
        let params = SearchParams { probes: PROBES, ef_search: 2 * count };
        queries.par_iter_mut().zip(embeddings.par_chunks_exact(dim)).for_each_init(
            Scratch::default,
            |scratch, (query, embedding)| {
                let wanted = count + query.known.len();
                let hits = self.index.index.view().search(&QueryCode::new(embedding), wanted, params, scratch, None);
                let found = self.index.rows(&hits).into_iter();
                let unknown = found.filter(|item| query.known.binary_search(item).is_err());
                query.hard = unknown.take(count).collect();
            },
        );
        Ok(())
    }
}

fn failed(error: &IndexError) -> TowerError {
    TowerError::Train {
        what: "index for hard negatives",
        found: error.to_string(),
        expected: "embeddings that are finite".to_owned(),
        remedy: "lower train.table_rate.peak and train.dense_rate.peak",
    }
}
