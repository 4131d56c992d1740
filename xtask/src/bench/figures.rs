//! What `nearshelf` writes about a shop, read back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;

/// The shop whose figures others have published: it says whether the evaluator can be believed.
pub(super) const ONLINE_RETAIL: Shop =
    Shop { config: "models/online-retail/nearshelf.toml", work: "work/online-retail" };

/// Scorers as `evaluation.json` names them.
pub(super) const NEARSHELF: &str = "nearshelf";
pub(super) const RANKED: &str = "nearshelf, ranked";
pub(super) const AS_SHIPPED: &str = "nearshelf, as shipped";
pub(super) const OWN_COUNTS: &str = "own counts, then popularity";
pub(super) const ALS: &str = "implicit ALS";
pub(super) const ITEM_KNN: &str = "ItemKNN";
pub(super) const POPULARITY: &str = "popularity, last 30 days";

/// The mode of an evaluation that leaves one out.
pub(super) const LEAVE_ONE_OUT: &str = "leave_one_out";

/// A file of figures.
pub(super) struct Json {
    path: PathBuf,
    value: Value,
}

impl Json {
    pub(super) fn read(path: PathBuf) -> Result<Self, XtaskError> {
        let bytes = fs::read(&path).map_err(XtaskError::io(&path))?;
        Ok(Self::of(path, &bytes))
    }

    /// What a program has printed; `path` says which.
    pub(super) fn of(path: PathBuf, bytes: &[u8]) -> Self {
        Self { path, value: serde_json::from_slice(bytes).unwrap_or_default() }
    }

    pub(super) fn number(&self, key: &str) -> Result<f64, XtaskError> {
        self.value[key].as_f64().ok_or_else(|| self.lacks(key))
    }

    /// A number within others: `/order/auc/1`.
    pub(super) fn at(&self, pointer: &str) -> Result<f64, XtaskError> {
        self.value.pointer(pointer).and_then(Value::as_f64).ok_or_else(|| self.lacks(pointer))
    }

    /// A mean over users.
    pub(super) fn figure(&self, scorer: &str, mode: &str, name: &str) -> Result<f64, XtaskError> {
        let figures = self.row(scorer, mode).and_then(|row| row["figures"].as_array());
        let figure = figures.and_then(|figures| figures.iter().find(|figure| figure["name"] == name));
        let mean = figure.and_then(|figure| figure["mean"].as_f64());
        mean.ok_or_else(|| self.lacks(&format!("{name} of {scorer}, {mode}")))
    }

    /// Share of the catalogue that stands in lists of 20.
    pub(super) fn coverage(&self, scorer: &str, mode: &str) -> Result<f64, XtaskError> {
        let coverage = self.row(scorer, mode).and_then(|row| row["coverage_at_20"].as_f64());
        coverage.ok_or_else(|| self.lacks(&format!("coverage_at_20 of {scorer}, {mode}")))
    }

    fn row(&self, scorer: &str, mode: &str) -> Option<&Value> {
        self.value["rows"].as_array()?.iter().find(|row| row["scorer"] == scorer && row["mode"] == mode)
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

/// Whether the events of [`ONLINE_RETAIL`] are there; says so if not.
pub(super) fn has_online_retail(repository: &Repository) -> Result<bool, XtaskError> {
    let events = events_of(&repository.root.join(ONLINE_RETAIL.config))?;
    if !events.is_file() {
        println!("Online Retail: not measured, {} is not there", events.display());
    }
    Ok(events.is_file())
}

/// Writes a description that differs from another one in some lines. Both lie two folders deep: their paths stay right.
pub(super) fn write_variant(
    repository: &Repository,
    from: &str,
    to: &str,
    changes: &[(&'static str, &str)],
) -> Result<(), XtaskError> {
    let (from, to) = (repository.root.join(from), repository.root.join(to));
    let mut text = fs::read_to_string(&from).map_err(XtaskError::io(&from))?;
    for (old, new) in changes {
        if !text.contains(old) {
            return Err(XtaskError::Content {
                path: from,
                found: "no such text".to_owned(),
                expected: old,
                remedy: "change the bench with the description",
            });
        }
        text = text.replace(old, new);
    }
    let folder = to.with_file_name("");
    fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
    fs::write(&to, text).map_err(XtaskError::io(&to))
}

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> Result<(), XtaskError> {
    if folder.exists() { fs::remove_dir_all(folder).map_err(XtaskError::io(folder)) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_figures_of_an_evaluation() {
        let value = serde_json::json!({ "rows": [
            { "scorer": "ItemKNN", "mode": "repeats", "figures": [{ "name": "R@20", "mean": 0.17 }] },
            { "scorer": "ItemKNN", "mode": "new_only", "figures": [{ "name": "R@20", "mean": 0.08 }], "coverage_at_20": 0.5 },
        ] });
        let json = Json { path: "evaluation.json".into(), value };
        assert!((json.figure(ITEM_KNN, "new_only", "R@20").unwrap() - 0.08).abs() < 1e-12);
        assert!((json.coverage(ITEM_KNN, "new_only").unwrap() - 0.5).abs() < 1e-12);
        let error = json.figure(NEARSHELF, "new_only", "R@20").unwrap_err().to_string();
        assert!(error.contains("evaluation.json: found no R@20 of nearshelf, new_only"), "{error}");
    }

    #[test]
    fn finds_the_events_of_the_reference_shop() {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(ONLINE_RETAIL.config);
        assert!(events_of(&config).unwrap().to_string_lossy().ends_with(".csv.gz"));
        assert_eq!(first_path("name = \"x\"\npath = unquoted"), None);
    }
}
