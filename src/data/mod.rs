//! Events and catalogue in, typed and validated tables out.
pub mod config;
pub mod dataset;
mod error;
pub use config::Config;
pub use dataset::{Dataset, Event, Item, User};
pub use error::DataError;
