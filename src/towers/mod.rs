//! Query tower and candidate tower: two maps into one space, where the inner product is the relevance.
//!
//! The terms are those of Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations"
//! (`RecSys` 2019): the *query tower* embeds a shopper's moment, the *candidate tower* embeds an item.
//!
//! A client runs only the query tower, as a [`Program`]: a flat list of operations with fixed shapes; or, where a tower from elsewhere
//! cannot be lowered to one, as the graph that it came as, by a build with the tract engine (`engine`). The origin trains
//! both (`train`), writes them as ONNX (`onnx`), reads ONNX back through tract and lowers it (`lower`), and embeds the
//! catalogue with the lowered candidate tower (`candidate`). tract is the oracle of every lowering.

#[cfg(feature = "origin")]
pub mod candidate;
#[cfg(feature = "tract-engine")]
pub mod engine;
mod error;
pub mod file;
#[cfg(feature = "origin")]
mod given;
#[cfg(feature = "origin")]
pub mod lower;
mod objective;
#[cfg(feature = "origin")]
pub mod onnx;
mod ops;
pub mod program;
mod query;
pub mod ranker;
mod runner;
#[cfg(feature = "origin")]
pub mod train;

pub use error::TowerError;
pub use file::{FORMAT_VERSION, OLDEST_READABLE};
pub use objective::{MAX_TERMS, Objective, Term};
pub use ops::{Binary, Op, Reducer, Unary};
pub use program::{Input, InputKind, Program, Scratch};
pub use query::{MAGIC, QueryTower};
pub use ranker::{Ranker, RankerSchema};
pub use runner::{FLAG_ONNX, Runner};
