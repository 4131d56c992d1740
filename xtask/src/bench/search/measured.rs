//! What a process measured of one library on one bench set.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::XtaskError;

/// The JSON object that `benches/peers/README.md` describes.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) path: PathBuf,
    pub(super) library: String,
    /// `native`, `node` or `chromium`.
    pub(super) runtime: String,
    pub(super) set: String,
    pub(super) n: f64,
    points: Vec<Point>,
    filter: Vec<Point>,
    value: Value,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    k: u64,
    pub(super) recall: f64,
    pub(super) p50_us: f64,
    pub(super) mean_us: f64,
    pub(super) cpu_us: Option<f64>,
}

impl Measured {
    pub(super) fn read(path: &Path) -> Result<Self, XtaskError> {
        let text = fs::read_to_string(path).map_err(XtaskError::io(path))?;
        Self::parse(path, &text).ok_or_else(|| XtaskError::Content {
            path: path.to_owned(),
            found: text.chars().take(200).collect(),
            expected: "what benches/peers/README.md says",
            remedy: "build the programs of the bench and xtask from the same commit",
        })
    }

    fn parse(path: &Path, text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let runtime = text("runtime")?.split(' ').next()?.to_owned();
        let points = value["points"].as_array()?.iter().map(Point::parse).collect::<Option<_>>()?;
        let filter = value["filter"].as_array().into_iter().flatten().map(Point::parse).collect::<Option<_>>()?;
        let (library, set, n) = (text("library")?, text("set")?, value["n"].as_f64()?);
        Some(Self { path: path.to_owned(), library, runtime, set, n, points, filter, value })
    }

    pub(super) fn is(&self, library: &str, runtime: &str) -> bool {
        self.library == library && self.runtime == runtime
    }

    /// The cheapest setting that finds so much of the best `k`.
    pub(super) fn at(&self, k: u64, recall: f64) -> Option<Point> {
        cheapest(self.points.iter().filter(|point| point.k == k), recall)
    }

    /// The cheapest setting that finds so much with the filter, or else the one that finds most.
    pub(super) fn filtered(&self, recall: f64) -> Option<Point> {
        let most = || self.filter.iter().copied().max_by(|a, b| a.recall.total_cmp(&b.recall));
        cheapest(self.filter.iter(), recall).or_else(most)
    }

    /// A figure that is there for some libraries: `null` and an absent key say that it was not measured.
    pub(super) fn figure(&self, key: &str) -> Option<f64> {
        self.value[key].as_f64()
    }

    /// Bytes per item, of a figure in bytes.
    pub(super) fn per_item(&self, key: &str) -> Option<f64> {
        Some(self.figure(key)? / self.n)
    }

    /// The bytes of a shard are compressed where it is loaded, and not again where it was built.
    pub(super) fn take_brotli_of(&mut self, other: &Self) {
        self.value["bytes_brotli"] = other.value["bytes_brotli"].clone();
    }
}

impl Point {
    /// The median over the queries; in a page, whose clock is too coarse for one query, the mean of a whole round.
    pub(super) fn typical_us(&self, runtime: &str) -> f64 {
        if runtime == super::plan::CHROMIUM { self.mean_us } else { self.p50_us }
    }

    fn parse(value: &Value) -> Option<Self> {
        let number = |key: &str| value[key].as_f64();
        let (recall, p50_us, mean_us) = (number("recall")?, number("p50_us")?, number("mean_us")?);
        Some(Self { k: value["k"].as_u64()?, recall, p50_us, mean_us, cpu_us: number("cpu_us") })
    }
}

fn cheapest<'p>(points: impl Iterator<Item = &'p Point>, recall: f64) -> Option<Point> {
    points.filter(|point| point.recall >= recall).copied().min_by(|a, b| a.mean_us.total_cmp(&b.mean_us))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A library with k=10 at .94 in 10 us, .96 in 30 us and .97 in 20 us, and k=100 at .95 in 90 us.
    pub(in super::super) fn measured(library: &str, runtime: &str, set: &str, n: u32) -> Measured {
        let point = |k, recall, us: f64| serde_json::json!({ "k": k, "ef": 1, "recall": recall, "p50_us": us - 1.0, "mean_us": us, "cpu_us": null });
        let points = [point(10, 0.94, 10.0), point(10, 0.96, 30.0), point(10, 0.97, 20.0), point(100, 0.95, 90.0)];
        let value = serde_json::json!({
            "library": library, "runtime": format!("{runtime} 20.20.2"), "set": set, "n": n, "points": points,
            "build_s": 2.0, "load_ms": null, "bytes_raw": 50 * n, "bytes_brotli": 40 * n, "memory_bytes": 60 * n,
        });
        Measured::parse(Path::new("measured.json"), &value.to_string()).unwrap()
    }

    #[test]
    fn the_cheapest_setting_of_enough_recall_counts() {
        let measured = measured("nearshelf-6bit", "node", "mixture-10k", 10_000);
        assert!(measured.is("nearshelf-6bit", "node"));
        assert_eq!(measured.at(10, 0.95).unwrap().mean_us, 20.0);
        assert_eq!(measured.at(100, 0.95).unwrap().p50_us, 89.0);
        assert_eq!(measured.at(100, 0.99), None);
        assert_eq!(measured.filtered(0.95), None);
        assert_eq!((measured.per_item("bytes_raw"), measured.per_item("load_ms")), (Some(50.0), None));
    }

    #[test]
    fn what_is_not_a_measurement_is_refused() {
        for text in ["", "[]", "{}", r#"{"library":"a","runtime":"node 1","set":"s","n":1,"points":[{}]}"#] {
            assert!(Measured::parse(Path::new("x"), text).is_none(), "{text}");
        }
    }
}
