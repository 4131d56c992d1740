//! The bars of the whole path: from a clone to a storefront.

use std::fs;
use std::time::Instant;

use super::Options;
use super::figures::{ALS, ITEM_KNN, Json, NEARSHELF, ONLINE_RETAIL, has_online_retail, remove};
use super::row::{self, Bar, Row};
use crate::demo::{self, COMPLETE_JOURNEY};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{Timings, run};
use crate::size::Size;

/// Measures everything anew: the work folders are removed first, downloads and compiled crates stay.
pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    let mut rows = vec![Row::new("demo, cold clone", cold(repository, options)?, "s", Bar::AtMost(1500.0))];
    rows.extend(demo_rows(repository)?);
    rows.extend(online_retail_rows(repository)?);
    rows.extend(index_rows(repository)?);
    for size in [Size::wasm(repository)?, Size::javascript(repository)?] {
        let name = format!("{}, brotli", size.name);
        rows.push(Row::new(&name, Some(size.brotli), "KB", Bar::AtMost(size.limit)));
    }
    Ok(rows)
}

/// `cargo xtask demo --once` in a clone with a build folder of its own. Crates that cargo has downloaded are there.
fn cold(repository: &Repository, options: Options) -> Result<Option<f64>, XtaskError> {
    if !options.cold {
        println!("demo, cold clone: not measured without --cold");
        return Ok(None);
    }
    let clone = std::env::temp_dir().join(format!("nearshelf-cold-{}", std::process::id()));
    run(repository.command("git").arg("clone").arg(&repository.root).arg(&clone))?;
    let started = Instant::now();
    let mut cargo = repository.cargo("xtask demo --once");
    let result = run(cargo.current_dir(&clone).env("CARGO_TARGET_DIR", clone.join("target")));
    let seconds = started.elapsed().as_secs_f64();
    fs::remove_dir_all(&clone).map_err(XtaskError::io(&clone))?;
    result.map(|()| Some(seconds))
}

fn demo_rows(repository: &Repository) -> Result<Vec<Row>, XtaskError> {
    // Compiled and fetched beforehand, so that a first run of this bench measures the same as the next.
    crate::data::fetch(repository)?;
    demo::build_binary(repository)?;
    crate::wasm::build_core(repository)?;
    remove(&repository.root.join(COMPLETE_JOURNEY.work))?;
    let mut timings = Timings::default();
    demo::build(repository, &mut timings)?;
    let training = Json::read(COMPLETE_JOURNEY.file(repository, "run/training.json"))?;
    let evaluation = Json::read(COMPLETE_JOURNEY.file(repository, "evaluation.json"))?;
    let nearshelf = evaluation.figure(NEARSHELF, "new_only", "R@20")?;
    let against = |peer| {
        let row = Row::new("Complete Journey, R@20 new only", Some(nearshelf), "share", Bar::AbovePeer);
        Ok(row.with_peer(peer, Some(evaluation.figure(peer, "new_only", "R@20")?)))
    };
    Ok(vec![
        Row::new("demo, warm", Some(timings.total().as_secs_f64()), "s", Bar::AtMost(300.0)),
        Row::new("training", Some(training.number("seconds")?), "s", Bar::AtMost(180.0)),
        // Systems that do not tell leave it out.
        Row::new("training, peak memory", training.number("peak_memory_mib").ok(), "MiB", Bar::AtMost(4096.0)),
        against(ALS)?,
        against(ITEM_KNN)?,
    ])
}

fn online_retail_rows(repository: &Repository) -> Result<Vec<Row>, XtaskError> {
    let bars = [("new_only", "new only", 0.100), ("repeats", "repeats", 0.235)];
    let name = |mode| format!("Online Retail, R@20 {mode}");
    if !has_online_retail(repository)? {
        return Ok(bars.map(|(_, label, bar)| Row::new(&name(label), None, "share", Bar::AtLeast(bar))).into());
    }
    remove(&repository.root.join(ONLINE_RETAIL.work))?;
    for step in ["prepare", "train", "evaluate"] {
        run(&mut ONLINE_RETAIL.nearshelf(repository, &[step]))?;
    }
    let evaluation = Json::read(ONLINE_RETAIL.file(repository, "evaluation.json"))?;
    let row = |(mode, label, bar)| {
        let row = Row::new(&name(label), Some(evaluation.figure(NEARSHELF, mode, "R@20")?), "share", Bar::AtLeast(bar));
        Ok(row.with_peer(ALS, Some(evaluation.figure(ALS, mode, "R@20")?)))
    };
    bars.into_iter().map(row).collect()
}

/// Measured by `nearshelf`, which holds the vectors.
fn index_rows(repository: &Repository) -> Result<Vec<Row>, XtaskError> {
    let file = COMPLETE_JOURNEY.file(repository, "bench-index.json");
    run(COMPLETE_JOURNEY.nearshelf(repository, &["bench", "index", "--json"]).arg(&file))?;
    row::read(&file)
}
