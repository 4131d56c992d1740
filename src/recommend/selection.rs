//! Which rows of each shard a request may show.

use std::borrow::Cow;

use crate::index::{NodeId, RowSet};
use crate::release::overlay::{Overlay, PRICE};
use crate::shard::columns::{Changed, ColumnFilter, ColumnsError};
use crate::shard::delta::Chain;

/// The rows that pass a filter and are in stock, by shard: computed when a request first visits the shard, and kept while the same
/// filter is asked again.
#[derive(Debug, Default)]
pub(super) struct Selection {
    filter: ColumnFilter,
    rows: Vec<Option<RowSet>>,
}

/// What is asked of the rows of a shard beside the filter.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The shard's place in the manifest.
    pub(super) at: usize,
    pub(super) shard: &'a Chain,
    pub(super) overlay: Option<&'a Overlay>,
}

impl Asked<'_> {
    /// How many of the rows are out of stock.
    fn out(&self) -> usize {
        self.overlay.map_or(0, |overlay| overlay.out_of(self.at))
    }
}

impl Selection {
    /// Begins a request of a release of so many shards.
    pub(super) fn start(&mut self, filter: &ColumnFilter, shards: usize) {
        if self.filter != *filter || self.rows.len() != shards {
            *self = Self { filter: filter.clone(), rows: vec![None; shards] };
        }
    }

    /// The rows of a shard that pass the filter and are in stock.
    pub(super) fn passing(&mut self, asked: Asked<'_>) -> Result<&RowSet, ColumnsError> {
        let rows = match self.rows[asked.at].take() {
            Some(rows) => rows,
            None => self.compute(asked)?,
        };
        Ok(self.rows[asked.at].insert(rows))
    }

    fn compute(&self, Asked { at, shard: chain, overlay }: Asked<'_>) -> Result<RowSet, ColumnsError> {
        let mut passing = RowSet::full(chain.rows());
        if !self.filter.is_empty() {
            passing = RowSet::empty(chain.rows());
            let prices = overlay.map_or(&[][..], |overlay| overlay.prices(at));
            for (start, shard) in chain.segments() {
                // A filter was checked against the release's columns, and every shard has them.
                let Some(columns) = shard.columns() else { continue };
                let rows = self.filter.rows(&columns, Changed { column: PRICE, prices, start })?;
                rows.iter().for_each(|node| passing.insert(NodeId(start + node.0)));
            }
        }
        if let Some(overlay) = overlay {
            overlay.remove_out(at, &mut passing);
        }
        Ok(passing)
    }

    /// The rows of a shard that pass the filter, are in stock and have none of these ids; `None` if all do.
    pub(super) fn rows(
        &mut self,
        asked: Asked<'_>,
        exclude: &[String],
    ) -> Result<Option<Cow<'_, RowSet>>, ColumnsError> {
        let excluded: Vec<_> = exclude.iter().filter_map(|id| asked.shard.node_of(id)).collect();
        if self.filter.is_empty() && excluded.is_empty() && asked.out() == 0 {
            return Ok(None);
        }
        let mut rows = Cow::Borrowed(self.passing(asked)?);
        for node in excluded {
            rows.to_mut().remove(node);
        }
        Ok(Some(rows))
    }
}
