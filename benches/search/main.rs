//! The native side of `cargo xtask bench search`: writes bench sets, measures this library on them, and draws what was measured.
//!
//! ```text
//! bench-search set --out DIR --name NAME --rows N --queries N [--seed N | --embeddings FILE --query-file FILE --dim N]
//! bench-search measure --set DIR --library nearshelf-6bit|nearshelf-8bit --json FILE [--threads N] [--build-only]
//! bench-search clusters --rows N --items N --bits 4|6|8 --k 10|100 --recall-percent N --seed N --json FILE
//! bench-search changes --rows N --items N --bits 4|6|8 --permille N --seed N --json FILE
//! bench-search plot --out FILE RESULT...
//! ```
//!
//! A bench set and the figures are as `benches/peers/README.md` says.

use std::process::ExitCode;

use arguments::Arguments;

mod arguments;
mod changes;
mod clock;
mod clusters;
mod library;
mod measure;
mod plot;
mod set;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-search: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut arguments = Arguments::new(std::env::args().skip(1));
    match arguments.next_free().as_deref() {
        Some("set") => set::write(&arguments),
        Some("measure") => measure::run(&arguments),
        Some("clusters") => clusters::run(&arguments),
        Some("changes") => changes::run(&arguments),
        Some("plot") => plot::run(&arguments),
        other => Err(format!(
            "{} is no command; there are set, measure, clusters, changes and plot",
            other.unwrap_or("nothing")
        )
        .into()),
    }
}
