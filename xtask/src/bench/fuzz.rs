//! Fuzzing what a client reads, for as long as a bar asks.

use std::fs;
use std::path::Path;

use super::Options;
use super::row::{Bar, Row};
use crate::error::XtaskError;
use crate::repository::Repository;

/// Seconds of each target.
const SECONDS: u32 = 600;
const QUICK_SECONDS: u32 = 10;
/// Megabytes that a process may take, and that one allocation may be; seconds that an input may.
const LIMITS: [&str; 3] = ["-rss_limit_mb=512", "-malloc_limit_mb=256", "-timeout=5"];

/// A row for each target: whether it ended its time. Without cargo-fuzz nothing is measured, and that is said.
pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    let folder = repository.root.join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).map_err(XtaskError::io(&folder))? {
        let path = entry.map_err(XtaskError::io(&folder))?.path();
        targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    let mut rows = vec![Row::new("fuzz targets", Some(targets.len() as f64), "targets", Bar::AtLeast(8.0))];
    let seconds = if options.quick { QUICK_SECONDS } else { SECONDS };
    for target in &targets {
        let name = format!("fuzz target {target}, {seconds} s: crashes, hangs, too much memory");
        rows.push(Row::new(&name, run(repository, target, seconds)?, "inputs", Bar::AtMost(0.0)));
    }
    Ok(rows)
}

/// How many inputs ended a target; nothing where it could not be run.
fn run(repository: &Repository, target: &str, seconds: u32) -> Result<Option<f64>, XtaskError> {
    let folder = repository.target.join("bench-fuzz").join(target);
    let found = folder.join("found");
    for path in [&folder.join("corpus"), &found] {
        fs::create_dir_all(path).map_err(XtaskError::io(path))?;
    }
    // The toolchain that is pinned for everything else has no sanitizers.
    let mut version = repository.command("cargo");
    version.env_remove("RUSTUP_TOOLCHAIN").args(["+nightly", "fuzz", "--version"]);
    if !version.output().is_ok_and(|output| output.status.success()) {
        println!("fuzz target {target}: not run; it needs the nightly toolchain and `cargo install cargo-fuzz`");
        return Ok(None);
    }
    let mut cargo = repository.command("cargo");
    cargo.env_remove("RUSTUP_TOOLCHAIN").env("CARGO_TARGET_DIR", repository.target.join("fuzz"));
    cargo
        .args(["+nightly", "fuzz", "run", target])
        .arg(folder.join("corpus"))
        .arg(Path::new("fuzz/seeds").join(target));
    cargo.args(["--", &format!("-max_total_time={seconds}")]).args(LIMITS);
    cargo.arg(format!("-artifact_prefix={}/", found.display()));
    let ended = cargo.status().map_err(XtaskError::io(&folder))?;
    let inputs = fs::read_dir(&found).map_err(XtaskError::io(&found))?.count();
    // One that was killed leaves no input.
    Ok(Some(inputs.max(usize::from(!ended.success())) as f64))
}
