//! A bench set: vectors, queries and the exact best rows, as little-endian files in a folder.

use std::fs;
use std::path::Path;

use nearshelf::index::Truth;
use nearshelf::index::generate::Mixture;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Arguments;

/// Rows that the truth holds for each query.
const TRUTH: usize = 100;
/// The filter of the bench lets one row in so many pass, and those whose number leaves this rest.
pub(crate) const GROUPS: u32 = 100;
pub(crate) const GROUP: u32 = 7;

/// The part of the generator's numbers that queries are of; rows are of part 0.
const QUERIES: u64 = 1;

pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) n: usize,
    pub(crate) dim: usize,
    pub(crate) base: Vec<f32>,
    queries: Vec<f32>,
    truth: Vec<u32>,
    filter_truth: Vec<u32>,
}

/// Which rows may be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    All,
    /// Those of [`GROUP`].
    Group,
}

impl Set {
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let json: Value = serde_json::from_slice(&bytes_of(folder, "set.json")?)?;
        let number = |key: &str| json[key].as_u64().map(|value| value as usize).ok_or(format!("set.json: no {key:?}"));
        let (n, dim, queries) = (number("n")?, number("dim")?, number("queries")?);
        Ok(Self {
            name: json["name"].as_str().ok_or("set.json: no \"name\"")?.to_owned(),
            n,
            dim,
            base: floats(&bytes_of(folder, "base.f32")?, "base.f32", n * dim)?,
            queries: floats(&bytes_of(folder, "queries.f32")?, "queries.f32", queries * dim)?,
            truth: numbers(&bytes_of(folder, "truth.u32")?, "truth.u32", queries * TRUTH)?,
            filter_truth: numbers(&bytes_of(folder, "truth_filter.u32")?, "truth_filter.u32", queries * TRUTH)?,
        })
    }

    pub(crate) fn queries(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.queries.chunks_exact(self.dim)
    }

    /// The queries that cells are cut for. Their second moment is a matrix of `dim * dim` numbers, in which no single one of
    /// some hundred queries counts.
    pub(crate) fn for_metric(&self) -> &[f32] {
        &self.queries
    }

    /// For each query its best rows, best first.
    pub(crate) fn truths(&self, rows: Rows) -> impl ExactSizeIterator<Item = &[u32]> {
        if rows == Rows::All { &self.truth } else { &self.filter_truth }.chunks_exact(TRUTH)
    }
}

/// `bench-search set`.
pub(crate) fn write(arguments: &Arguments) -> Outcome<()> {
    let folder = arguments.path("--out")?;
    let (rows, count): (usize, usize) = (arguments.number("--rows")?, arguments.number("--queries")?);
    let (dim, base, queries) = if arguments.given("--embeddings") {
        let dim: usize = arguments.number("--dim")?;
        let read = |option: &str, wanted| {
            let path = arguments.path(option)?;
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            spread(&floats(&bytes, option, bytes.len() / 4)?, dim, wanted, option)
        };
        (dim, read("--embeddings", rows)?, read("--query-file", count)?)
    } else {
        let mixture = Mixture::standard(arguments.number("--seed")?);
        (mixture.dim, mixture.draw(rows, 0), mixture.draw(count, QUERIES))
    };
    let group: Vec<f32> =
        base.chunks_exact(dim).skip(GROUP as usize).step_by(GROUPS as usize).flatten().copied().collect();
    let truth = Truth::of(&base, &queries, dim)?;
    // Rows of the group by their numbers among all.
    let in_group = Truth::of(&group, &queries, dim)?;
    let filter_truth = in_group.best().iter().flatten().map(|row| row * GROUPS + GROUP);
    let truth: Vec<u32> = truth.best().iter().flatten().copied().collect();
    let filter_truth: Vec<u32> = filter_truth.collect();
    if truth.len().min(filter_truth.len()) != count * TRUTH {
        let least = TRUTH * GROUPS as usize;
        return Err(format!("--rows {rows}: a group has fewer than {TRUTH} rows; give {least} or more").into());
    }

    fs::create_dir_all(&folder)?;
    let words = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let numbers = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let set = json!({ "name": arguments.text("--name")?, "n": rows, "dim": dim, "queries": count });
    for (name, bytes) in [
        ("base.f32", words(&base)),
        ("queries.f32", words(&queries)),
        ("truth.u32", numbers(&truth)),
        ("truth_filter.u32", numbers(&filter_truth)),
        ("set.json", format!("{set:#}\n").into_bytes()),
    ] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// So many of the vectors, evenly spread over all of them: catalogues lie in the order of their categories.
fn spread(vectors: &[f32], dim: usize, wanted: usize, option: &str) -> Outcome<Vec<f32>> {
    let have = vectors.len() / dim.max(1);
    if wanted > have || dim == 0 {
        return Err(format!("{option}: {have} vectors of {dim} dimensions, expected {wanted}; ask for fewer").into());
    }
    Ok((0..wanted).flat_map(|at| &vectors[at * have / wanted * dim..][..dim]).copied().collect())
}

fn bytes_of(folder: &Path, name: &str) -> Outcome<Vec<u8>> {
    let path = folder.join(name);
    Ok(fs::read(&path).map_err(|error| format!("{}: {error}; make the set again", path.display()))?)
}

fn floats(bytes: &[u8], name: &str, count: usize) -> Outcome<Vec<f32>> {
    Ok(numbers(bytes, name, count)?.into_iter().map(f32::from_bits).collect())
}

fn numbers(bytes: &[u8], name: &str, count: usize) -> Outcome<Vec<u32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() != count || !rest.is_empty() {
        return Err(format!("{name}: found {} bytes, expected {}; make the set again", bytes.len(), 4 * count).into());
    }
    Ok(words.iter().map(|&word| u32::from_le_bytes(word)).collect())
}
