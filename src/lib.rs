//! Product recommendations computed where the shopper is.
#![deny(unsafe_code)]

mod bytes;
#[cfg(feature = "origin")]
pub mod data;
pub mod digest;
#[cfg(feature = "origin")]
pub mod evaluate;
pub mod features;
pub mod index;
pub mod kernels;
pub mod metrics;
pub mod platform;
pub mod rank;
pub mod recommend;
pub mod release;
pub mod shard;
pub mod sync;
pub mod towers;

pub use digest::Digest;
