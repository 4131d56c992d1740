//! `peers-native --set DIR --library NAME --json FILE [--threads N] [--build-only]`: one native vector search library, measured in a
//! process of its own.

use measure::{Request, measure};
use peers::{F32, HnswRs, I8, InstantDistance, Outcome, Usearch};
use set::Set;
use std::path::PathBuf;
use std::process::ExitCode;

mod measure;
mod peers;
mod set;
mod system;

struct Options {
    set: PathBuf,
    library: String,
    json: PathBuf,
    threads: usize,
    build_only: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut set, mut library, mut json, mut threads, mut build_only) = (None, None, None, 1, false);
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} has no value"));
            match name.as_str() {
                "--set" => set = Some(value()?.into()),
                "--library" => library = Some(value()?),
                "--json" => json = Some(value()?.into()),
                "--threads" => threads = value()?.parse().map_err(|error| format!("--threads: {error}"))?,
                "--build-only" => build_only = true,
                _ => return Err(format!("{name} is none of --set, --library, --json, --threads, --build-only").into()),
            }
        }
        if threads == 0 {
            return Err("--threads 0: nobody would build; give 1 or more".into());
        }
        Ok(Self {
            set: set.ok_or("--set is absent")?,
            library: library.ok_or("--library is absent")?,
            json: json.ok_or("--json is absent")?,
            threads,
            build_only,
        })
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers-native: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let set = Set::read(&options.set)?;
    let request = Request { library: &options.library, threads: options.threads, build_only: options.build_only };
    let result = match options.library.as_str() {
        "usearch-f32" => measure::<Usearch<F32>>(&set, &request),
        "usearch-i8" => measure::<Usearch<I8>>(&set, &request),
        "hnsw_rs" => measure::<HnswRs>(&set, &request),
        "instant-distance" => measure::<InstantDistance>(&set, &request),
        other => {
            Err(format!("--library {other}; it is one of usearch-f32, usearch-i8, hnsw_rs, instant-distance").into())
        }
    }?;
    std::fs::write(&options.json, format!("{result:#}\n"))?;
    Ok(())
}
