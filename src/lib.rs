//! Product recommendations computed where the shopper is.
//!
//! A shop's events and catalogue become typed tables (`data`), features ([`features`]) and lists of what sells (`lists`); two towers are trained on them and
//! lowered to small programs ([`towers`]) and compared with what a shop could do without them (`evaluate`, [`metrics`]); the
//! candidate embeddings are coded and linked ([`index`]), written as files ([`shard`]) and published ([`release`]). A client
//! learns what to fetch ([`sync`]) and recommends by itself ([`recommend`], [`rank`]), in a browser through `wasm`.
//!
//! The names that most users need: [`Recommender`](recommend::Recommender), [`Request`](recommend::Request),
//! [`Assembly`](sync::Assembly), [`Release`](release::Release), [`Manifest`](release::Manifest), [`Shard`](shard::Shard),
//! [`QueryTower`](towers::QueryTower), [`Context`](features::Context), [`Digest`] and, at the origin, `Config` of `data`.
//!
//! With the feature `origin` (the default) everything is there. Without it remains what a client needs: no file, clock, thread,
//! network or JavaScript type is in a signature there, and it gives the same bits natively and as WebAssembly. The feature
//! `wasm` adds the boundary to JavaScript.
#![deny(unsafe_code)]
// In builds for size, what every search runs through is compiled for speed all the same.
#![cfg_attr(hot_is_fast, feature(optimize_attribute))]

mod bytes;
#[cfg(feature = "origin")]
pub mod data;
pub mod digest;
#[cfg(feature = "origin")]
pub mod evaluate;
#[cfg(feature = "origin")]
pub mod experiments;
#[cfg(feature = "origin")]
pub mod factors;
pub mod features;
mod hex;
pub mod index;
mod json;
pub mod kernels;
#[cfg(feature = "origin")]
pub mod keys;
#[cfg(feature = "origin")]
pub mod lists;
pub mod metrics;
#[cfg(feature = "origin")]
pub mod onnx;
pub mod platform;
#[cfg(feature = "origin")]
pub mod publishing;
pub mod rank;
pub mod recommend;
pub mod release;
#[cfg(feature = "origin")]
pub mod rules;
pub mod shard;
mod show;
#[cfg(feature = "origin")]
pub mod simulate;
#[cfg(feature = "origin")]
pub mod stock;
pub mod sync;
pub mod towers;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use digest::Digest;
