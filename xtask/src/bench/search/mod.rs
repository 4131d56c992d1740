//! Vector search beside other libraries, each measured by a process of its own on the same vectors.
//!
//! A library counts with the cheapest setting that reaches the recall, against exact search in single precision.

mod bars;
mod measured;
mod plan;
mod sides;
mod table;

use measured::Measured;
use plan::{NATIVE, Side, THREADS, VectorSet};
use sides::{Embeddings, Programs};

use super::Options;
use super::row::Row;
use crate::error::XtaskError;
use crate::repository::Repository;

/// Measures everything anew, and prints one table and where the picture is.
pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    let programs = Programs::build(repository, &plan::sides(options))?;
    let mut sets = plan::mixtures(options);
    if !options.quick {
        sets.extend(plan::embedded(&Embeddings::dump(repository)?));
    }
    let mut all = Vec::new();
    for set in &sets {
        all.extend(measure(&programs, set)?);
    }
    print!("\n{}", table::table(&all));
    println!("recall against microseconds: {}", programs.plot(&all)?.display());
    let mut rows = bars::rows(&all);
    for cut in plan::cuts(options) {
        println!("\n== {} vectors in clusters", cut.rows);
        rows.extend(bars::first_query(&cut, &programs.clusters(&cut)?));
    }
    println!("\n== a catalogue that changes");
    rows.extend(bars::changes(&plan::CHANGES, &programs.changes(&plan::CHANGES)?));
    Ok(rows)
}

/// All libraries on one set. One of others' that fails is left out; the rows that need it say that they were not measured.
fn measure(programs: &Programs<'_>, set: &VectorSet) -> Result<Vec<Measured>, XtaskError> {
    println!("\n== {}: {} vectors, {} queries", set.name, set.rows, set.queries);
    let folder = programs.write(set)?;
    let mut all: Vec<Measured> = Vec::new();
    for side in &set.sides {
        println!("-- {}, {}", side.library(), side.runtime());
        match programs.measure(side, &folder, THREADS) {
            Ok(measured) => all.push(measured),
            Err(error) if side.is_nearshelf() => return Err(error),
            Err(error) => println!("{} is not measured: {error}", side.library()),
        }
    }
    share_brotli(&mut all);
    Ok(all)
}

fn share_brotli(all: &mut [Measured]) {
    let loaded: Vec<Measured> = all.iter().filter(|measured| measured.runtime != NATIVE).cloned().collect();
    let own =
        all.iter_mut().filter(|measured| measured.runtime == NATIVE && Side::is_name_of_nearshelf(&measured.library));
    for measured in own {
        if let Some(same) = loaded.iter().find(|loaded| loaded.library == measured.library) {
            measured.take_brotli_of(same);
        }
    }
}
