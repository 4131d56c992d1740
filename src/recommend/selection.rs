//! Which rows of each shard a request may show.

use std::borrow::Cow;

use crate::index::{NodeId, RowSet};
use crate::shard::columns::{ColumnFilter, ColumnsError};
use crate::shard::delta::Chain;

/// The rows that pass a filter, by shard: computed when a request first visits the shard, and kept while the same filter is
/// asked again.
#[derive(Debug, Default)]
pub(super) struct Selection {
    filter: ColumnFilter,
    rows: Vec<Option<RowSet>>,
}

impl Selection {
    /// Begins a request of a release of so many shards.
    pub(super) fn start(&mut self, filter: &ColumnFilter, shards: usize) {
        if self.filter != *filter || self.rows.len() != shards {
            *self = Self { filter: filter.clone(), rows: vec![None; shards] };
        }
    }

    /// The rows of the shard at this place that pass the filter.
    pub(super) fn passing(&mut self, at: usize, shard: &Chain) -> Result<&RowSet, ColumnsError> {
        let rows = match self.rows[at].take() {
            Some(rows) => rows,
            None => self.compute(shard)?,
        };
        Ok(self.rows[at].insert(rows))
    }

    fn compute(&self, chain: &Chain) -> Result<RowSet, ColumnsError> {
        let mut passing = RowSet::full(chain.rows());
        if !self.filter.is_empty() {
            passing = RowSet::empty(chain.rows());
            for (start, shard) in chain.segments() {
                // A filter was checked against the release's columns, and every shard has them.
                let Some(columns) = shard.columns() else { continue };
                self.filter.rows(&columns)?.iter().for_each(|node| passing.insert(NodeId(start + node.0)));
            }
        }
        Ok(passing)
    }

    /// The rows of the shard at this place that pass the filter and have none of these ids; `None` if all do.
    pub(super) fn rows(
        &mut self,
        at: usize,
        shard: &Chain,
        exclude: &[String],
    ) -> Result<Option<Cow<'_, RowSet>>, ColumnsError> {
        let excluded: Vec<_> = exclude.iter().filter_map(|id| shard.node_of(id)).collect();
        if self.filter.is_empty() && excluded.is_empty() {
            return Ok(None);
        }
        let mut rows = Cow::Borrowed(self.passing(at, shard)?);
        for node in excluded {
            rows.to_mut().remove(node);
        }
        Ok(Some(rows))
    }
}
