//! Time and size of query towers, untrained: neither depends on the weights.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::figures::remove;
use super::super::row::{Bar, Row};
use crate::demo::{COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::wasm;

/// The demo's towers.
const MEAN: Shop = Shop { config: COMPLETE_JOURNEY.config, work: "work/bench-towers/mean" };
const ATTENTION: Shop = Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/bench-towers/attention" };

/// What is built for the bench.
const BENCH: wasm::Build = wasm::Build::new("-p nearshelf-bench-wasm", "nearshelf_bench_wasm", true);

/// The first bytes of a query tower file.
const MAGIC: &[u8] = b"NSQT";

pub(super) fn rows(repository: &Repository, has_beauty: bool) -> Result<Vec<Row>, XtaskError> {
    let built = repository.target.join("bench-towers");
    wasm::build(repository, &BENCH, &built)?;
    let mut rows = tower_rows(repository, &built, "mean-pooled", Some(&MEAN), [50.0, 100.0])?.to_vec();
    rows.extend(tower_rows(repository, &built, "self-attention", has_beauty.then_some(&ATTENTION), [1000.0, 300.0])?);
    Ok(rows)
}

/// Time and size of a query tower that was trained for one step.
fn tower_rows(
    repository: &Repository,
    built: &Path,
    name: &str,
    shop: Option<&Shop>,
    [microseconds, kilobytes]: [f64; 2],
) -> Result<[Row; 2], XtaskError> {
    let measured = shop.map(|shop| time(repository, built, shop)).transpose()?;
    let figure = |key: &str| measured.as_ref().and_then(|measured| measured[key].as_f64());
    let items = figure("items").map_or(String::new(), |items| format!(", {items} items"));
    let time = format!("query tower, {name}{items}, WASM under Node");
    let size = format!("query tower, {name}, brotli");
    Ok([
        Row::new(&time, figure("microseconds"), "us", Bar::AtMost(microseconds)),
        Row::new(&size, figure("brotli").map(|bytes| bytes / 1000.0), "KB", Bar::AtMost(kilobytes)),
    ])
}

fn time(repository: &Repository, built: &Path, shop: &Shop) -> Result<Value, XtaskError> {
    run(&mut shop.nearshelf(repository, &["prepare"]))?;
    run(&mut shop.nearshelf(repository, &["train", "--steps", "1"]))?;
    // A release keeps the files of earlier ones, and so an earlier query tower.
    remove(&shop.file(repository, "release"))?;
    shop.build_release(repository)?;
    let tower = query_tower(&shop.file(repository, "release"))?;
    let mut node = repository.command("node");
    node.arg("benches/towers/time.mjs");
    node.arg(built.join("nearshelf_bench_wasm.js")).arg(built.join("nearshelf_bench_wasm_bg.wasm")).arg(&tower);
    Ok(serde_json::from_slice(&output(&mut node)?).unwrap_or_default())
}

/// The query tower among the files of a release.
fn query_tower(release: &Path) -> Result<PathBuf, XtaskError> {
    let mut folders = vec![release.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(XtaskError::io(&folder))? {
            let path = entry.map_err(XtaskError::io(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).map_err(XtaskError::io(&path))?.starts_with(MAGIC) {
                return Ok(path);
            }
        }
    }
    Err(XtaskError::Content {
        path: release.to_owned(),
        found: "no query tower".to_owned(),
        expected: "a file that begins with NSQT",
        remedy: "build nearshelf and xtask from the same commit",
    })
}
