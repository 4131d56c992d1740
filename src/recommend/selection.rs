//! Which rows of each shard a request may show.

use std::borrow::Cow;

use crate::index::RowSet;
use crate::shard::columns::{ColumnFilter, ColumnsError};
use crate::shard::{Shard, Verified};

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
    pub(super) fn passing(&mut self, at: usize, shard: &Shard<Verified>) -> Result<&RowSet, ColumnsError> {
        let rows = match (self.rows[at].take(), shard.columns()) {
            (Some(rows), _) => rows,
            (None, Some(columns)) => self.filter.rows(&columns)?,
            // A filter was checked against the release's columns: this one asks for none.
            (None, None) => RowSet::full(shard.len()),
        };
        Ok(self.rows[at].insert(rows))
    }

    /// The rows of the shard at this place that pass the filter and have none of these ids; `None` if all do.
    pub(super) fn rows(
        &mut self,
        at: usize,
        shard: &Shard<Verified>,
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
