//! The tasks of this repository, as `cargo xtask TASK`.
//!
//! Each task brings what it needs: the WebAssembly target, npm packages, data, a browser. What a machine must have
//! before is checked first, all of it at once.

mod bench;
mod checks;
mod chromium;
mod data;
mod demo;
mod error;
mod redis;
mod repository;
mod run;
mod s3;
mod setup;
mod size;
mod supply;
mod tools;
mod wasm;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use error::XtaskError;
use repository::Repository;

/// Tasks of the nearshelf repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Set up, fetch the data, train, evaluate, build a release and serve the storefront.
    ///
    /// A finished training is kept while configuration and data stay the same; remove `work/complete-journey` to train
    /// anew.
    Demo {
        /// Stop before serving.
        #[arg(long)]
        once: bool,
        /// Loopback port of the storefront.
        #[arg(long, default_value_t = 4173)]
        port: u16,
    },
    /// Set up and run every check, as continuous integration does.
    Test {
        /// Only checks that have one of these in their names, and what those need.
        #[arg(value_name = "WORD")]
        words: Vec<String>,
    },
    /// Fetch the demo's data, and a text model of each kind into `work/text`, 100 MB.
    Data {
        /// A folder with `sequences.tsv.gz` and `items.tsv.gz` of Amazon Beauty, to be converted for `models/amazon-beauty`. They are
        /// not fetched: their terms are for research.
        #[arg(value_name = "BEAUTY")]
        beauty: Option<PathBuf>,
    },
    /// Build the WebAssembly into `pkg-js/wasm` and print its size.
    Wasm {
        /// Also build the engine for ONNX graphs, into `pkg-js/wasm-onnx`.
        #[arg(long)]
        onnx: bool,
    },
    /// List what a release is made of, as CycloneDX: the crate, the crate as WebAssembly, and the npm package.
    Sbom {
        /// The folder that the lists are written to.
        out: PathBuf,
    },
    /// Measure against the bars; fails when one does not hold.
    Bench {
        /// Which measurements.
        #[arg(value_parser = PossibleValuesParser::new(bench::names()))]
        name: String,
        /// Also write the rows as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Of `path`: also measure a build from nothing, in a clone of what is committed.
        #[arg(long)]
        cold: bool,
        /// Smaller inputs; of `search` only what the bars need, on generated vectors, in under five minutes.
        #[arg(long)]
        quick: bool,
        /// Of `search`: also a million vectors, with the libraries that build them in minutes.
        #[arg(long)]
        million: bool,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The checks' last line is their count.
        Err(XtaskError::Checks { .. }) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), XtaskError> {
    let repository = Repository::open()?;
    match task {
        Task::Demo { once, port } => demo::demo(&repository, once, port),
        Task::Test { words } => checks::test(&repository, &words),
        Task::Data { beauty } => {
            if let Some(from) = beauty {
                data::convert(&repository, &from)?;
            }
            tools::check()?;
            data::fetch(&repository)?;
            data::fetch_text_models(&repository)
        }
        Task::Wasm { onnx } => {
            tools::check()?;
            setup::wasm_target(&repository)?;
            setup::node_modules(&repository, &repository.root)?;
            wasm::build_core(&repository)?;
            if onnx { wasm::build_onnx(&repository) } else { Ok(()) }
        }
        Task::Sbom { out } => supply::sbom(&repository, &out),
        Task::Bench { name, json, cold, quick, million } => {
            bench::bench(&repository, &name, bench::Options { cold, quick, million }, json.as_deref())
        }
    }
}
