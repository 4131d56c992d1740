//! Columns of a shard: what filters and ranking need of its candidates beside their vectors.
//!
//! A small file inside each shard's, one row per node of the shard and in that order, so that a [`NodeId`](crate::index::NodeId) of
//! the one is a row of the other. [`Columns::builder`] takes typed values and writes them; [`Columns::open`] checks such a file, as
//! [`Shard::verify`](super::Shard::verify) does the one of a shard. [`ColumnsView::column`] gives a [`ColumnView`] by its name,
//! [`ColumnsView::rows_where`] the rows of which a [`Predicate`] holds, and [`ColumnFilter::rows`] those of which several do, as the
//! [`RowSet`](crate::index::RowSet) that a search can be filtered by.
//!
//! Every column is as narrow as its values allow. Any value may be missing. Numbers keep all of their 64 bits. Texts and
//! paths are stored once each, sorted, and a row has the number of its own; so the paths below a category are a range of numbers
//! ([`ColumnView::prefix_range`]). Counts of which the magnitude matters take one byte
//! ([`popularity_step`](format::popularity_step)).
//!
//! The bytes are laid out in [`mod@format`].
//!
//! ```
//! use nearshelf::index::NodeId;
//! use nearshelf::shard::columns::{Columns, Predicate};
//!
//! let bytes = Columns::builder(3)
//!     .price("price", &[Some(1999), None, Some(4950)])
//!     .path("category", &[Some(["Home", "Lamps"]), Some(["Home", "Rugs"]), None])
//!     .write()?;
//! let file = Columns::open(bytes)?;
//! let columns = file.view();
//! let mut rows = columns.rows_where("category", Predicate::Under(&["Home"]))?;
//! rows.and(&columns.rows_where("price", Predicate::Between { low: 0, high: 2500 })?);
//! assert_eq!(rows.iter().collect::<Vec<_>>(), [NodeId(0)]);
//! # Ok::<(), nearshelf::shard::columns::ColumnsError>(())
//! ```

mod dictionary;
mod error;
mod filter;
pub mod format;
mod read;
mod view;
mod write;

pub use error::ColumnsError;
pub use filter::{Changed, ColumnFilter, MAX_CONDITIONS, MAX_DEPTH};
pub use format::ColumnKind;
pub(super) use read::Table;
pub use read::{Columns, ColumnsView};
pub use view::{ColumnView, Predicate};
pub use write::ColumnsBuilder;

#[cfg(test)]
mod tests;
