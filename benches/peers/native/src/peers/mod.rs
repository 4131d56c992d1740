//! The libraries, behind what is measured of them.

use crate::set::Set;
use std::error::Error;
use std::path::Path;

mod hnsw_rs;
mod instant_distance;
mod usearch;

pub use hnsw_rs::HnswRs;
pub use instant_distance::InstantDistance;
pub use usearch::{F32, I8, Usearch};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

pub trait Peer: Sized {
    /// Its crate.
    const CRATE: &'static str;
    /// Settings, and what a reader of the figures should know.
    const NOTE: &'static str;

    fn build(set: &Set, threads: usize) -> Outcome<Self>;
    fn set_ef(&mut self, ef: usize) -> Outcome<()>;
    /// Clears `found` and puts the rows of the k best there.
    fn search(&mut self, query: &[f32], k: usize, found: &mut Vec<u32>) -> Outcome<()>;
    /// All bytes of the saved index. A library that saves to files only puts them into `folder`, which is empty before.
    fn save(&self, folder: &Path) -> Outcome<Vec<u8>>;
    /// From what [`Peer::save`] made, ready to search with `ef`, which was also set when it was saved.
    fn load(bytes: &[u8], folder: &Path, set: &Set, ef: usize) -> Outcome<Self>;
}

/// The version of a crate that this program is built with.
pub fn locked_version(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("name = {name:?}")));
    let version = package.and_then(|package| package.split_once("version = \"")?.1.split_once('"'));
    version.expect("Cargo.lock has the crates that are compiled in").0
}
