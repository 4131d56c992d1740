//! The path from events to recommendations on an invented shop: training, ONNX, program, release, recommendation.
//!
//! With `NEARSHELF_WASM_FIXTURES` set, the release and what the native build answers are left in that folder; the
//! WebAssembly build has to give the same bits (`tests/wasm`).
#![cfg(feature = "origin")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod fixtures;
mod foreign;
mod onnx;
mod overlay;
mod publishing;
mod shop;
mod signals;
mod training;
mod unlowered;
mod update;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use nearshelf::data::Dataset;
use nearshelf::towers::train::train;
use tempfile::TempDir;

/// Seeds are arguments: a failure is repeated by running the test again.
const SEED: u64 = 20_261_124;

/// A trained run, shared by the tests of this binary.
struct Trained {
    folder: TempDir,
    dataset: Dataset,
}

impl Trained {
    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }
}

fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let dataset = shop::dataset(SEED);
        train_into(&dataset, &shop::config(), &folder.path().join("run"));
        Trained { folder, dataset }
    })
}

fn train_into(
    dataset: &Dataset,
    config: &nearshelf::data::Config,
    run: &Path,
) -> nearshelf::towers::train::TrainReport {
    train(dataset, config, run, &AtomicBool::new(false)).unwrap()
}
