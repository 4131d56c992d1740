//! Events and catalogue in, typed and validated tables out.
//!
//! [`prepare`] turns a shop's files, as [`Config`] describes them, into a folder of Parquet tables; [`Dataset::read`] takes them into
//! memory. Rows that fail a check end up in `rejects.csv` with line and reason; [`PrepareSummary`] counts every row once. A broken
//! file or configuration is a [`DataError`], and leaves prepared tables as they were. [`Impressions`] are read and written as they are.
mod checks;
mod columns;
pub mod config;
pub mod dataset;
mod error;
mod folder;
pub mod impressions;
mod npy;
mod prepare;
mod ranges;
mod read;
mod sink;
mod source;
pub mod summary;
pub(crate) mod vectors;

pub use config::{ColumnsConfig, Config, ContentConfig, IndexConfig, Layout, ListsConfig, TowersConfig};
pub use dataset::{Attribute, Dataset, Event, Holdout, Item, User};
pub use error::DataError;
pub use impressions::{Impression, Impressions, ImpressionsError, Task, Truth};
pub use prepare::prepare;
pub use summary::PrepareSummary;
pub use vectors::{VectorsError, write_vectors};
