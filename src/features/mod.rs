//! A shopper's moment becomes the numbers that the query tower reads.
//!
//! [`FeatureSchema`] says which features a query tower was trained with; it travels inside the tower's file.
//! [`FeatureSchema::assemble`] turns a history (as candidate embeddings) and a [`Context`] into a [`FeatureVector`].
//! A missing or unknown value has an index of its own, which is trained: nothing is guessed.
//!
//! [`ranking`] counts what a candidate is to a shopper, for the ranker.
//!
//! At the origin, `items` does the same for the candidate tower, `shelves` say what stands together, and `content` turns texts
//! and pictures of items into vectors.

#[cfg(feature = "origin")]
pub mod content;
mod error;
pub mod hashing;
pub mod history;
#[cfg(feature = "origin")]
pub mod items;
pub mod ranking;
pub mod schema;
#[cfg(feature = "origin")]
pub mod shelves;

pub use error::FeatureError;
pub use history::{Ages, HistorySchema, PastEvent, PastItem, Repeats};
pub use schema::{Categorical, Context, FeatureSchema, FeatureVector, UserVector};
