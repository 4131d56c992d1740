//! A bench set: vectors, queries and the exact best rows, as little-endian files in a folder.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Rows that the truth holds for each query.
pub const TRUTH: usize = 100;

pub struct Set {
    pub name: String,
    pub n: usize,
    pub dim: usize,
    base: Vec<f32>,
    queries: Vec<f32>,
    truth: Vec<u32>,
}

impl Set {
    pub fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let json: serde_json::Value = serde_json::from_slice(&bytes_of(folder, "set.json")?)?;
        let number = |key: &str| {
            let value = json[key].as_u64().ok_or_else(|| format!("set.json: no number {key:?}; make the set again"))?;
            usize::try_from(value).map_err(|_| format!("set.json: {key:?} is {value}, too large for this machine"))
        };
        let name = json["name"].as_str().ok_or("set.json: no text \"name\"; make the set again")?.to_owned();
        let (n, dim, queries) = (number("n")?, number("dim")?, number("queries")?);
        Ok(Self {
            name,
            n,
            dim,
            base: words(folder, "base.f32", n * dim, f32::from_le_bytes)?,
            queries: words(folder, "queries.f32", queries * dim, f32::from_le_bytes)?,
            truth: words(folder, "truth.u32", queries * TRUTH, u32::from_le_bytes)?,
        })
    }

    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.base.chunks_exact(self.dim)
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.base[row * self.dim..(row + 1) * self.dim]
    }

    pub fn queries(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.queries.chunks_exact(self.dim)
    }

    /// For each query its best rows, best first.
    pub fn truths(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.truth.chunks_exact(TRUTH)
    }
}

fn bytes_of(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let path = folder.join(name);
    fs::read(&path).map_err(|error| format!("{}: {error}; --set names the folder of a bench set", path.display()))
}

fn words<T>(folder: &Path, name: &str, count: usize, from: fn([u8; 4]) -> T) -> Result<Vec<T>, String> {
    let bytes = bytes_of(folder, name)?;
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() != count || !rest.is_empty() {
        let have = bytes.len();
        return Err(format!("{name}: {have} bytes, and set.json says {}; make the set again", 4 * count));
    }
    Ok(words.iter().copied().map(from).collect())
}
