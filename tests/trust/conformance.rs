//! Cases of TUF's conformance suite by their names there; README.md says what stands for what.

mod basic;
mod expiration;
mod rollback;
mod rotation;
