//! What differs between the places that the crate runs in.

#[cfg(feature = "origin")]
pub mod files;
