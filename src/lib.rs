//! Product recommendations computed where the shopper is.
#![deny(unsafe_code)]

#[cfg(feature = "origin")]
pub mod data;
pub mod digest;
pub mod index;
pub mod kernels;
pub mod shard;

pub use digest::Digest;
