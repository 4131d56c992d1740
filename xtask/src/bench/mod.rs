//! `cargo xtask bench NAME`: measurements against their bars, for readers as a table, for programs as JSON.

mod figures;
mod fuzz;
mod overlay;
mod package;
mod path;
mod ranking;
mod row;
mod search;
mod towers;
mod trust;

use std::fs;
use std::path::Path;

use crate::error::XtaskError;
use crate::repository::Repository;
use row::Row;

/// A bench.
struct Bench {
    name: &'static str,
    about: &'static str,
    rows: fn(&Repository, Options) -> Result<Vec<Row>, XtaskError>,
}

/// What the user asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Also measure what takes a build from nothing.
    pub(crate) cold: bool,
    /// Smaller inputs, and only what bars need.
    pub(crate) quick: bool,
    /// Also a million vectors.
    pub(crate) million: bool,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "overlay",
        about: "stock and prices of a million items: bytes, and the time to apply them",
        rows: overlay::rows,
    },
    Bench {
        name: "package",
        about: "the npm package in Chromium: bytes of a first and a second visit, clicks on a slow processor",
        rows: package::rows,
    },
    Bench {
        name: "path",
        about: "the whole path of the demo: times, memory, quality against the baselines, index, sizes",
        rows: path::rows,
    },
    Bench {
        name: "ranking",
        about: "ranker and rules: time of a request in WASM, quality, coverage, a simulated test, stock, broken rules, runtimes",
        rows: ranking::rows,
    },
    Bench {
        name: "search",
        about: "vector search beside other libraries at the same recall: time, bytes, loading, building, memory",
        rows: search::rows,
    },
    Bench {
        name: "towers",
        about: "towers: quality, coverage, what shards lose, training beside JAX, time and size of query towers",
        rows: towers::rows,
    },
    Bench {
        name: "trust",
        about: "sync that can be trusted: TUF's cases, faults, poison, fuzzing, mutants, and what a change and checking cost",
        rows: trust::rows,
    },
];

/// Names for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    BENCHES.iter().map(|bench| bench.name).collect()
}

/// Runs a bench. Fails when a bar does not hold; a bar that was not measured neither holds nor fails.
pub(crate) fn bench(
    repository: &Repository,
    name: &str,
    options: Options,
    json: Option<&Path>,
) -> Result<(), XtaskError> {
    crate::tools::check()?;
    // The command line takes only names of the table.
    for bench in BENCHES.iter().filter(|bench| bench.name == name) {
        let rows = (bench.rows)(repository, options)?;
        println!("\n== {}: {}", bench.name, bench.about);
        print!("{}", row::table(&rows));
        if let Some(path) = json {
            fs::write(path, row::to_json(&rows)).map_err(XtaskError::io(path))?;
        }
        let missed = rows.iter().filter(|row| row.holds() == Some(false)).count();
        if missed > 0 {
            return Err(XtaskError::Bars { missed, bars: rows.len() });
        }
    }
    Ok(())
}
