//! The bars of the towers: quality on Amazon Beauty beside published figures, what shards lose, time and size of query towers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Options;
use super::row::{Bar, Row};
use crate::demo::{self, COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::{data, setup, wasm};

/// Each seed with a work folder of its own.
const BEAUTY: [Shop; 3] = [
    Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/amazon-beauty/seed-1" },
    Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/amazon-beauty/seed-2" },
    Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/amazon-beauty/seed-3" },
];

/// The demo's towers, untrained: their time does not depend on the weights.
const MEAN: Shop = Shop { config: COMPLETE_JOURNEY.config, work: "work/bench-towers/mean" };
const ATTENTION: Shop = Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/bench-towers/attention" };

/// What is built for the bench.
const BENCH: wasm::Build = wasm::Build::new("-p nearshelf-bench-wasm", "nearshelf_bench_wasm", true);

/// The first bytes of a query tower file.
const MAGIC: &[u8] = b"NSQT";

pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    setup::wasm_target(repository)?;
    setup::node_modules(repository, &repository.root)?;
    demo::build_binary(repository)?;
    data::fetch(repository)?;
    let built = repository.target.join("bench-towers");
    wasm::build(repository, &BENCH, &built)?;
    let mut rows = Vec::new();
    let has_beauty = repository.cache().join("amazon-beauty/events.csv").is_file();
    if !has_beauty {
        println!("Amazon Beauty: not measured; `cargo xtask data FOLDER` converts it from a folder that holds it");
    }
    rows.extend(tower_rows(repository, &built, "mean-pooled", Some(&MEAN), [50.0, 100.0])?);
    rows.extend(tower_rows(repository, &built, "self-attention", has_beauty.then_some(&ATTENTION), [1000.0, 300.0])?);
    if options.quick {
        println!("Amazon Beauty, quality: not measured with --quick, training takes minutes per seed");
    }
    rows.extend(beauty_rows(repository, has_beauty && !options.quick)?);
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

/// Means over the seeds, and what the shards of the first one lose.
fn beauty_rows(repository: &Repository, measure: bool) -> Result<Vec<Row>, XtaskError> {
    let bars = [("HR@10", 0.088), ("NDCG@10", 0.051), ("HR@100", 0.24)];
    let mut sums = [0.0; 3];
    let (mut slowest, mut loss) = (0.0_f64, None);
    for (shop, seed) in BEAUTY.iter().zip(["1", "2", "3"]).filter(|_| measure) {
        run(&mut shop.nearshelf(repository, &["prepare"]))?;
        remove(&shop.file(repository, "run"))?;
        run(&mut shop.nearshelf(repository, &["train", "--seed", seed]))?;
        shop.build_release(repository)?;
        let release = shop.file(repository, "release");
        run(shop.nearshelf(repository, &["evaluate", "--release"]).arg(&release))?;
        let evaluation = json(&shop.file(repository, "evaluation.json"))?;
        for (sum, (figure, _)) in sums.iter_mut().zip(bars) {
            *sum += mean(&evaluation, "nearshelf", figure).unwrap_or(f64::NAN) / BEAUTY.len() as f64;
        }
        let training = json(&shop.file(repository, "run/training.json"))?;
        slowest = slowest.max(training["seconds"].as_f64().unwrap_or(f64::NAN) / 60.0);
        let [exact, shipped] = ["nearshelf", "nearshelf, as shipped"].map(|scorer| mean(&evaluation, scorer, "HR@10"));
        loss = loss.or_else(|| Some(1.0 - shipped? / exact?));
    }
    let measured = |value: f64| measure.then_some(value);
    let mut rows: Vec<Row> = bars
        .iter()
        .zip(sums)
        .map(|((figure, bar), sum)| {
            let name = format!("Amazon Beauty, test, {figure}, mean of 3 seeds");
            Row::new(&name, measured(sum), "share", Bar::AtLeast(*bar))
        })
        .collect();
    rows.push(Row::new("Amazon Beauty, training, the slowest seed", measured(slowest), "min", Bar::AtMost(45.0)));
    rows.push(Row::new("Amazon Beauty, HR@10 lost through shards", loss, "share", Bar::AtMost(0.01)));
    Ok(rows)
}

fn remove(folder: &Path) -> Result<(), XtaskError> {
    if folder.exists() { fs::remove_dir_all(folder).map_err(XtaskError::io(folder)) } else { Ok(()) }
}

fn json(path: &Path) -> Result<Value, XtaskError> {
    let bytes = fs::read(path).map_err(XtaskError::io(path))?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// A figure of an evaluation of the last item.
fn mean(evaluation: &Value, scorer: &str, figure: &str) -> Option<f64> {
    let mut rows = evaluation["rows"].as_array()?.iter().filter(|row| row["scorer"] == scorer);
    let figures = rows.next()?["figures"].as_array()?;
    figures.iter().find(|found| found["name"] == figure)?["mean"].as_f64()
}
