//! What is measured: which libraries, on which vectors.

use std::path::PathBuf;

use super::super::Options;
use super::sides::Embeddings;

/// The shards, by the bits of their codes.
pub(super) const SIX_BITS: &str = "nearshelf-6bit";
pub(super) const EIGHT_BITS: &str = "nearshelf-8bit";
/// Who is compared with in WebAssembly, and natively.
pub(super) const HNSWLIB: &str = "hnswlib-wasm";
pub(super) const USEARCH: &str = "usearch-f32";

pub(super) const NATIVE: &str = "native";
pub(super) const NODE: &str = "node";
pub(super) const CHROMIUM: &str = "chromium";

/// The generated sets.
pub(super) const TEN_THOUSAND: &str = "mixture-10k";
pub(super) const HUNDRED_THOUSAND: &str = "mixture-100k";
pub(super) const MILLION: &str = "mixture-1m";

/// Bench sets of the trained embeddings: a part, and all.
const EMBEDDINGS: usize = 10_000;

/// Threads of native builds; searches run on one.
pub(super) const THREADS: usize = 2;

/// A library that is measured in a process of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    /// This one, natively. It leaves the shards that its WebAssembly is measured with in the set's folder.
    Nearshelf(&'static str),
    /// Another one, natively.
    Native(&'static str),
    /// One in JavaScript or WebAssembly, in a runtime.
    JavaScript(&'static str, &'static str),
}

impl Side {
    pub(super) fn library(&self) -> &'static str {
        match self {
            Self::Nearshelf(library) | Self::Native(library) | Self::JavaScript(library, _) => library,
        }
    }

    pub(super) fn runtime(&self) -> &'static str {
        match self {
            Self::Nearshelf(_) | Self::Native(_) => NATIVE,
            Self::JavaScript(_, runtime) => runtime,
        }
    }

    pub(super) fn is_nearshelf(&self) -> bool {
        Self::is_name_of_nearshelf(self.library())
    }

    pub(super) fn is_name_of_nearshelf(library: &str) -> bool {
        [SIX_BITS, EIGHT_BITS].contains(&library)
    }
}

/// Where the vectors of a set come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// `nearshelf::index::generate`.
    Mixture,
    Embeddings {
        folder: PathBuf,
        dim: usize,
    },
}

/// Vectors, queries and which libraries are measured on them.
#[derive(Debug, Clone)]
pub(super) struct VectorSet {
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) queries: usize,
    pub(super) source: Source,
    pub(super) sides: Vec<Side>,
}

/// The generated sets.
pub(super) fn mixtures(options: Options) -> Vec<VectorSet> {
    let queries = if options.quick { 300 } else { 1000 };
    let set =
        |name: &str, rows, sides| VectorSet { name: name.to_owned(), rows, queries, source: Source::Mixture, sides };
    let sides = if options.quick { for_bars() } else { all() };
    let mut sets = vec![set(TEN_THOUSAND, 10_000, sides.clone()), set(HUNDRED_THOUSAND, 100_000, sides)];
    if options.million {
        sets.push(set(MILLION, 1_000_000, for_million()));
    }
    sets
}

/// A generated catalogue in clusters, the recall that a first query must reach, and the bytes that it may take for that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) rows: usize,
    /// Rows of a cluster.
    pub(super) items: usize,
    pub(super) bits: usize,
    pub(super) k: usize,
    pub(super) recall_percent: usize,
    pub(super) bar_kb: f64,
}

/// The catalogues in clusters. The settings are the cheapest of those that were tried: fewer rows of a cluster make more names,
/// more rows make larger shards.
pub(super) fn cuts(options: Options) -> Vec<Cut> {
    let small = Cut { rows: 50_000, items: 400, bits: 8, k: 10, recall_percent: 95, bar_kb: 200.0 };
    let large = Cut { rows: 1_000_000, items: 1000, bits: 6, k: 100, recall_percent: 90, bar_kb: 1000.0 };
    if options.million { vec![small, large] } else { vec![small] }
}

/// A generated catalogue of which some items change, and the share of the index that a client may have to fetch then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changes {
    pub(super) rows: usize,
    /// Rows of a cluster, in the layout that has some: as many as by default.
    pub(super) items: usize,
    pub(super) bits: usize,
    /// Items that change, of a thousand.
    pub(super) permille: usize,
    pub(super) bar: f64,
}

/// What a day changes.
pub(super) const CHANGES: Changes = Changes { rows: 100_000, items: 500, bits: 8, permille: 10, bar: 0.05 };

/// The sets of trained embeddings.
pub(super) fn embedded(embeddings: &Embeddings) -> Vec<VectorSet> {
    let set = |rows: usize| VectorSet {
        name: format!("embeddings-{rows}"),
        rows,
        queries: embeddings.queries.min(1000),
        source: Source::Embeddings { folder: embeddings.folder.clone(), dim: embeddings.dim },
        sides: all(),
    };
    let part = Some(EMBEDDINGS).filter(|&part| part < embeddings.rows);
    part.into_iter().chain([embeddings.rows]).map(set).collect()
}

/// Every side that takes part in a run.
pub(super) fn sides(options: Options) -> Vec<Side> {
    if options.quick { for_bars() } else { all() }
}

/// What a row needs.
fn for_bars() -> Vec<Side> {
    let mut sides = vec![Side::Nearshelf(SIX_BITS), Side::Nearshelf(EIGHT_BITS), Side::Native(USEARCH)];
    sides.extend([SIX_BITS, EIGHT_BITS, HNSWLIB].map(|library| Side::JavaScript(library, NODE)));
    sides
}

fn all() -> Vec<Side> {
    let mut sides = vec![Side::Nearshelf(SIX_BITS), Side::Nearshelf(EIGHT_BITS)];
    sides.extend([USEARCH, "usearch-i8", "hnsw_rs", "instant-distance"].map(Side::Native));
    for runtime in [NODE, CHROMIUM] {
        let libraries = [SIX_BITS, EIGHT_BITS, HNSWLIB, "edgevec", "flat-f32", "flat-int8"];
        sides.extend(libraries.map(|library| Side::JavaScript(library, runtime)));
    }
    sides
}

/// Nobody else builds a million in minutes, and in WebAssembly nobody builds them at all before an hour is over.
fn for_million() -> Vec<Side> {
    let mut sides = vec![Side::Nearshelf(SIX_BITS), Side::Nearshelf(EIGHT_BITS), Side::Native(USEARCH)];
    sides.extend([SIX_BITS, EIGHT_BITS].map(|library| Side::JavaScript(library, NODE)));
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_built_before_they_are_loaded() {
        for sides in [for_bars(), all(), for_million()] {
            for (at, side) in sides.iter().enumerate() {
                let built = || sides[..at].contains(&Side::Nearshelf(side.library()));
                assert!(!side.is_nearshelf() || side.runtime() == NATIVE || built(), "{side:?}");
            }
        }
    }

    #[test]
    fn a_million_is_measured_only_when_asked_for() {
        let names = |quick, million| {
            let sets = mixtures(Options { cold: false, quick, million });
            sets.into_iter().map(|set| set.name).collect::<Vec<_>>()
        };
        assert_eq!(names(true, false), [TEN_THOUSAND, HUNDRED_THOUSAND]);
        assert_eq!(names(false, true), [TEN_THOUSAND, HUNDRED_THOUSAND, MILLION]);
    }
}
