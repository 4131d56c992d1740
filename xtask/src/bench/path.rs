//! The bars of the whole path: from a clone to a storefront.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::Options;
use super::row::{self, Bar, Row};
use crate::demo::{self, COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{Timings, run};
use crate::size::Size;

/// The shop whose figures others have published: it says whether the evaluator can be believed.
const ONLINE_RETAIL: Shop = Shop { config: "models/online-retail/nearshelf.toml", work: "work/online-retail" };

/// Scorers as `evaluation.json` names them.
const NEARSHELF: &str = "nearshelf";
const ALS: &str = "implicit ALS";
const ITEM_KNN: &str = "ItemKNN";

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
    remove_work(repository, &COMPLETE_JOURNEY)?;
    let mut timings = Timings::default();
    demo::build(repository, &mut timings)?;
    let training = Json::read(COMPLETE_JOURNEY.file(repository, "run/training.json"))?;
    let evaluation = Json::read(COMPLETE_JOURNEY.file(repository, "evaluation.json"))?;
    let nearshelf = evaluation.recall_at_20(NEARSHELF, "new_only")?;
    let against = |peer| {
        let row = Row::new("Complete Journey, R@20 new only", Some(nearshelf), "share", Bar::AbovePeer);
        Ok(row.with_peer(peer, Some(evaluation.recall_at_20(peer, "new_only")?)))
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
    let events = events_of(&repository.root.join(ONLINE_RETAIL.config))?;
    if !events.is_file() {
        println!("Online Retail: not measured, {} is not there", events.display());
        return Ok(bars.map(|(_, label, bar)| Row::new(&name(label), None, "share", Bar::AtLeast(bar))).into());
    }
    remove_work(repository, &ONLINE_RETAIL)?;
    for step in ["prepare", "train", "evaluate"] {
        run(&mut ONLINE_RETAIL.nearshelf(repository, &[step]))?;
    }
    let evaluation = Json::read(ONLINE_RETAIL.file(repository, "evaluation.json"))?;
    let row = |(mode, label, bar)| {
        let row = Row::new(&name(label), Some(evaluation.recall_at_20(NEARSHELF, mode)?), "share", Bar::AtLeast(bar));
        Ok(row.with_peer(ALS, Some(evaluation.recall_at_20(ALS, mode)?)))
    };
    bars.into_iter().map(row).collect()
}

/// Measured by `nearshelf`, which holds the vectors.
fn index_rows(repository: &Repository) -> Result<Vec<Row>, XtaskError> {
    let file = COMPLETE_JOURNEY.file(repository, "bench-index.json");
    run(COMPLETE_JOURNEY.nearshelf(repository, &["bench", "index", "--json"]).arg(&file))?;
    row::read(&file)
}

fn remove_work(repository: &Repository, shop: &Shop) -> Result<(), XtaskError> {
    let work = repository.root.join(shop.work);
    if work.exists() { fs::remove_dir_all(&work).map_err(XtaskError::io(&work)) } else { Ok(()) }
}

/// Where a shop's events are: the first `path` of its description, from the description's folder.
fn events_of(config: &Path) -> Result<PathBuf, XtaskError> {
    let text = fs::read_to_string(config).map_err(XtaskError::io(config))?;
    let path = first_path(&text).ok_or_else(|| XtaskError::Content {
        path: config.to_owned(),
        found: "no line `path = \"…\"`".to_owned(),
        expected: "the path of the events",
        remedy: "name it in [events]",
    })?;
    Ok(config.parent().unwrap_or(Path::new(".")).join(path))
}

fn first_path(text: &str) -> Option<&str> {
    let value = text.lines().find_map(|line| line.strip_prefix("path = "))?;
    value.trim().strip_prefix('"')?.strip_suffix('"')
}

/// A file of figures.
struct Json {
    path: PathBuf,
    value: Value,
}

impl Json {
    fn read(path: PathBuf) -> Result<Self, XtaskError> {
        let bytes = fs::read(&path).map_err(XtaskError::io(&path))?;
        let value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Self { path, value })
    }

    fn number(&self, key: &str) -> Result<f64, XtaskError> {
        self.value[key].as_f64().ok_or_else(|| self.lacks(key))
    }

    fn recall_at_20(&self, scorer: &str, mode: &str) -> Result<f64, XtaskError> {
        let rows = self.value["rows"].as_array().into_iter().flatten();
        let mut rows = rows.filter(|row| row["scorer"] == scorer && row["mode"] == mode);
        let figures = rows.next().and_then(|row| row["figures"].as_array());
        let figure = figures.and_then(|figures| figures.iter().find(|figure| figure["name"] == "R@20"));
        let recall = figure.and_then(|figure| figure["mean"].as_f64());
        recall.ok_or_else(|| self.lacks(&format!("recall_at_20 of {scorer}, {mode}")))
    }

    fn lacks(&self, what: &str) -> XtaskError {
        XtaskError::Content {
            path: self.path.clone(),
            found: format!("no {what}"),
            expected: "the figures that this commit's nearshelf writes",
            remedy: "build nearshelf and xtask from the same commit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_figures_of_an_evaluation() {
        let value = serde_json::json!({ "rows": [
            { "scorer": "ItemKNN", "mode": "repeats", "figures": [{ "name": "R@20", "mean": 0.17 }] },
            { "scorer": "ItemKNN", "mode": "new_only", "figures": [{ "name": "R@20", "mean": 0.08 }] },
        ] });
        let json = Json { path: "evaluation.json".into(), value };
        assert!((json.recall_at_20(ITEM_KNN, "new_only").unwrap() - 0.08).abs() < 1e-12);
        let error = json.recall_at_20(NEARSHELF, "new_only").unwrap_err().to_string();
        assert!(error.contains("evaluation.json: found no recall_at_20 of nearshelf, new_only"), "{error}");
    }

    #[test]
    fn finds_the_events_of_the_reference_shop() {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(ONLINE_RETAIL.config);
        assert!(events_of(&config).unwrap().to_string_lossy().ends_with(".csv.gz"));
        assert_eq!(first_path("name = \"x\"\npath = unquoted"), None);
    }
}
