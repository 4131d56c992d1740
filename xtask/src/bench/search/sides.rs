//! The programs that measure, each library in a process of its own and one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::measured::Measured;
use super::plan::{Changes, Cut, Side, Source, VectorSet};
use crate::chromium::Chromium;
use crate::demo::{self, COMPLETE_JOURNEY};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;
use crate::{setup, wasm};

/// Seed of the generated sets.
const SEED: &str = "1";

/// What the JavaScript side calls.
const SEARCH: wasm::Build = wasm::Build::new("-p nearshelf-bench-wasm", "nearshelf_bench_wasm", true);

/// The programs, built.
pub(super) struct Programs<'r> {
    repository: &'r Repository,
    nearshelf: PathBuf,
    peers: PathBuf,
    script: PathBuf,
    chromium: Option<PathBuf>,
    /// Where bench sets, measurements and the picture lie.
    pub(super) folder: PathBuf,
}

impl<'r> Programs<'r> {
    /// Builds everything, so that nothing is compiled while something is measured.
    pub(super) fn build(repository: &'r Repository, sides: &[Side]) -> Result<Self, XtaskError> {
        let peers = repository.root.join("benches/peers");
        let (javascript, native) = (peers.join("js"), peers.join("native"));
        println!("== build what is measured; the first time takes minutes");
        setup::wasm_target(repository)?;
        setup::node_modules(repository, &repository.root)?;
        setup::node_modules(repository, &javascript)?;
        let features = "--no-default-features --features build";
        run(&mut repository.cargo(&format!("build --release {features} --example bench-search")))?;
        wasm::build(repository, &SEARCH, &javascript.join("wasm"))?;
        let target = native.join("target");
        let mut cargo = repository.cargo("build --release --locked");
        run(cargo.arg("--manifest-path").arg(native.join("Cargo.toml")).arg("--target-dir").arg(&target))?;
        let pages = sides.iter().any(|side| side.runtime() == super::plan::CHROMIUM);
        let program = |folder: PathBuf, name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        Ok(Self {
            repository,
            nearshelf: program(repository.target.join("release/examples"), "bench-search"),
            peers: program(target.join("release"), "peers-native"),
            script: javascript.join("peers.mjs"),
            chromium: pages.then(|| Chromium::look().install()).transpose()?,
            folder: repository.target.join("bench-search"),
        })
    }

    /// Writes a bench set, anew each time: it takes a second per 100,000 vectors.
    pub(super) fn write(&self, set: &VectorSet) -> Result<PathBuf, XtaskError> {
        let folder = self.folder.join(&set.name);
        let mut command = self.repository.command(&self.nearshelf);
        command.args(["set", "--name", &set.name, "--rows", &set.rows.to_string()]);
        command.args(["--queries", &set.queries.to_string(), "--out"]).arg(&folder);
        match &set.source {
            Source::Mixture => command.args(["--seed", SEED]),
            Source::Embeddings { folder, dim } => {
                command.arg("--embeddings").arg(folder.join("embeddings.f32"));
                command.arg("--query-file").arg(folder.join("queries.f32")).args(["--dim", &dim.to_string()])
            }
        };
        run(&mut command)?;
        Ok(folder)
    }

    /// Measures one library on the bench set in `set`.
    pub(super) fn measure(&self, side: &Side, set: &Path, threads: usize) -> Result<Measured, XtaskError> {
        let file = set.join(format!("{}-{}-{threads}.json", side.library(), side.runtime()));
        let mut command = match side {
            Side::Nearshelf(_) => {
                let mut command = self.repository.command(&self.nearshelf);
                command.arg("measure");
                command
            }
            Side::Native(_) => self.repository.command(&self.peers),
            Side::JavaScript(_, runtime) => {
                let mut command = self.repository.command("node");
                command.arg(&self.script).args(["--runtime", runtime]);
                command
            }
        };
        command.arg("--set").arg(set).args(["--library", side.library()]).arg("--json").arg(&file);
        match (side, &self.chromium) {
            (Side::Nearshelf(_) | Side::Native(_), _) => {
                command.args(["--threads", &threads.to_string()]);
                // What a million vectors are measured for is the build, and searches that the build's recall is told by.
                if set.ends_with(super::plan::MILLION) {
                    command.arg("--build-only");
                }
            }
            (Side::JavaScript(..), Some(chromium)) => {
                command.env("CHROME_PATH", chromium);
            }
            (Side::JavaScript(..), None) => {}
        }
        run(&mut command)?;
        Measured::read(&file)
    }

    /// What a first query fetches of a catalogue in clusters.
    pub(super) fn clusters(&self, cut: &Cut) -> Result<FirstQuery, XtaskError> {
        let file = self.folder.join(format!("clusters-{}.json", cut.rows));
        let mut command = self.repository.command(&self.nearshelf);
        command.args(["clusters", "--seed", SEED]);
        for (name, number) in [
            ("--rows", cut.rows),
            ("--items", cut.items),
            ("--bits", cut.bits),
            ("--k", cut.k),
            ("--recall-percent", cut.recall_percent),
        ] {
            command.arg(name).arg(number.to_string());
        }
        run(command.arg("--json").arg(&file))?;
        let text = fs::read_to_string(&file).map_err(XtaskError::io(&file))?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let number = |key: &str| json[key].as_f64().unwrap_or(f64::NAN);
        let largest = number("largest") * number("shards") / number("rows");
        let smallest = number("smallest") * number("shards") / number("rows");
        let bytes = number("bytes");
        let updated_bytes = bytes + number("updated_names_bytes") - number("names_bytes");
        Ok(FirstQuery { recall: number("recall"), bytes, updated_bytes, largest, smallest })
    }

    /// Changes some items of a catalogue, in each layout.
    pub(super) fn changes(&self, changes: &Changes) -> Result<Vec<Changed>, XtaskError> {
        let file = self.folder.join("changes.json");
        let mut command = self.repository.command(&self.nearshelf);
        command.args(["changes", "--seed", SEED]);
        let numbers = [changes.rows, changes.items, changes.bits, changes.permille].map(|number| number.to_string());
        for (name, number) in ["--rows", "--items", "--bits", "--permille"].into_iter().zip(&numbers) {
            command.arg(name).arg(number);
        }
        run(command.arg("--json").arg(&file))?;
        let text = fs::read_to_string(&file).map_err(XtaskError::io(&file))?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let changed = |value: &Value| {
            let number = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
            Changed {
                layout: value["layout"].as_str().unwrap_or_default().to_owned(),
                share: number("share"),
                share_anew: number("share_anew"),
                recall: number("recall"),
                recall_anew: number("recall_anew"),
            }
        };
        Ok(json.as_array().into_iter().flatten().map(changed).collect())
    }

    /// Draws all measurements; where the picture is.
    pub(super) fn plot(&self, all: &[Measured]) -> Result<PathBuf, XtaskError> {
        let picture = self.folder.join("search.svg");
        let mut command = self.repository.command(&self.nearshelf);
        run(command.args(["plot", "--out"]).arg(&picture).args(all.iter().map(|measured| &measured.path)))?;
        Ok(picture)
    }
}

/// What a changed catalogue costs a client that held all of it.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    pub(super) layout: String,
    /// Bytes to fetch, over those of the whole index.
    pub(super) share: f64,
    /// The same where the release was built anew.
    pub(super) share_anew: f64,
    /// Recall@100 of both afterwards.
    pub(super) recall: f64,
    pub(super) recall_anew: f64,
}

/// What a first query of a catalogue in clusters takes and finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstQuery {
    pub(super) recall: f64,
    /// Of head, manifest, routing and the shards that it visits, as they lie on the host.
    pub(super) bytes: f64,
    /// The same after an update that touched every cluster, its deltas not counted.
    pub(super) updated_bytes: f64,
    /// Sizes of clusters, in means.
    pub(super) largest: f64,
    pub(super) smallest: f64,
}

/// Embeddings of the demo's trained towers, dumped by `nearshelf`, which is compiled and trained first where that is not done.
pub(super) struct Embeddings {
    pub(super) folder: PathBuf,
    pub(super) rows: usize,
    pub(super) dim: usize,
    pub(super) queries: usize,
}

impl Embeddings {
    pub(super) fn dump(repository: &Repository) -> Result<Self, XtaskError> {
        println!("\n== embeddings of the trained towers");
        crate::data::fetch(repository)?;
        demo::build_binary(repository)?;
        // Both go on from what is there.
        for step in ["prepare", "train"] {
            run(&mut COMPLETE_JOURNEY.nearshelf(repository, &[step]))?;
        }
        let folder = repository.target.join("bench-search/embeddings");
        run(COMPLETE_JOURNEY.nearshelf(repository, &["bench", "index", "--dump"]).arg(&folder))?;
        let path = folder.join("dump.json");
        let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let number = |key: &str| json[key].as_u64().map(|number| number as usize);
        let numbers = number("rows").zip(number("dim")).zip(number("queries"));
        let ((rows, dim), queries) = numbers.ok_or(XtaskError::Content {
            path,
            found: text,
            expected: "rows, dim and queries",
            remedy: "build nearshelf and xtask from the same commit",
        })?;
        Ok(Self { folder, rows, dim, queries })
    }
}
