//! Whether a client can trust what it syncs: TUF's cases, mutants of the rules, fuzzing, faults, poison, and what all that costs.

use std::fs;
use std::path::Path;

use super::Options;
use super::figures::Json;
use super::row::{Bar, Row};
use crate::chromium::Chromium;
use crate::demo::{self, COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, printed, run};
use crate::{data, setup, wasm};

/// What a client believes, as tests.
const TESTS: &str = "test --release -p nearshelf --no-default-features --test trust";
/// The demo's shop with towers of a few steps: no figure is of quality.
const SHOP: Shop = Shop { config: COMPLETE_JOURNEY.config, work: "work/bench-trust" };
/// A catalogue of 50 clusters, of which a hundredth changes.
const CHANGES: &str = "run --release -p nearshelf --no-default-features --features build --example bench-search -- changes \
                       --rows 10240 --items 200 --bits 8 --permille 10 --seed 1";
const ALONE: wasm::Build = wasm::Build::new("-p nearshelf-bench-trust", "nearshelf_bench_trust", false);
/// The rules that mutants are made of.
const RULES: &str = "src/sync/trust.rs";

pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    let chromium = Chromium::look().install()?;
    setup::wasm_target(repository)?;
    setup::node_modules(repository, &repository.root)?;
    let fixtures = repository.target.join("wasm-fixtures");
    fs::create_dir_all(&fixtures).map_err(XtaskError::io(&fixtures))?;
    let mut rows = natively(repository, options, &fixtures)?;
    wasm::build_core(repository)?;
    demo::build_package(repository)?;
    for (place, all) in [("chromium", 500), ("node", 500)] {
        let count = if options.quick { 40 } else { all };
        let mut node = repository.command("node");
        node.arg("benches/trust/schedules.mjs").arg(fixtures.join("trust")).args([place, &count.to_string()]);
        rows.push(of_schedules(&Json::of(place.into(), &output(node.env("CHROME_PATH", &chromium))?), place)?);
    }
    rows.extend(of_change(repository)?);
    rows.extend(of_cost(repository, &chromium, options)?);
    rows.extend(super::fuzz::rows(repository, options)?);
    rows.push(mutants(repository, options)?);
    Ok(rows)
}

/// The tests' own lines: how many cases passed, what a poisoned host did, and orders of faults.
fn natively(repository: &Repository, options: Options, fixtures: &Path) -> Result<Vec<Row>, XtaskError> {
    let schedules = if options.quick { 1_000 } else { 10_000 };
    let mut cargo = repository.cargo(TESTS);
    cargo.args(["--", "--nocapture", "--test-threads=1"]).env("NEARSHELF_WASM_FIXTURES", fixtures);
    let printed = printed(cargo.env("NEARSHELF_SCHEDULES", schedules.to_string()))?;
    let cases = cases_of_the_suite(repository, &printed)?;
    // Behind a test's name where it runs alone.
    let said = |what: &str| {
        let line = printed.lines().find_map(|line| Some(line.split_once(what)?.1));
        let numbers = line?.split(|character: char| !character.is_ascii_digit());
        Some(numbers.filter_map(|number| number.parse().ok()).take(2).collect::<Vec<f64>>())
    };
    let (poisoned, schedule) = (said("poisoned: "), said("schedules: "));
    Ok(vec![
        Row::new("cases of TUF's conformance suite that pass", Some(cases as f64), "cases", Bar::AtLeast(30.0)),
        Row::new(
            "poisoned host, each file replaced by each other and by garbage: wrong answers and empty rows",
            poisoned.map(|numbers| numbers.iter().sum()),
            "rows",
            Bar::AtMost(0.0),
        ),
        Row::new(
            &format!("{schedules} seeded orders of faults, natively: lost or mixed states"),
            schedule.and_then(|numbers| numbers.first().copied()),
            "orders",
            Bar::AtMost(0.0),
        ),
    ])
}

fn of_schedules(measured: &Json, place: &str) -> Result<Row, XtaskError> {
    let count = measured.number("schedules")?;
    let name = format!("{count} seeded orders of faults, the package in {place}: lost or mixed states");
    Ok(Row::new(&name, Some(measured.number("failed")?), "orders", Bar::AtMost(0.0)))
}

/// Tests that passed and stand for a case of the suite in the table of `tests/trust/README.md`.
fn cases_of_the_suite(repository: &Repository, printed: &str) -> Result<usize, XtaskError> {
    let path = repository.root.join("tests/trust/README.md");
    let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
    let table = text.lines().filter(|line| line.starts_with("| test_"));
    let named: Vec<&str> = table.filter_map(|line| line.split('`').nth(1)).collect();
    let passed = printed.lines().filter_map(|line| line.strip_prefix("test conformance::")?.strip_suffix(" ... ok"));
    // The table names the first of two groups of tests.
    let is_case = |name: &str| {
        let name = name.rsplit("::").next().unwrap_or(name);
        named.contains(&name)
            || name.starts_with("root_1_")
            || name.starts_with("root_2_")
            || name.starts_with("root_3_")
            || name.starts_with("head_")
    };
    Ok(passed.filter(|name| is_case(name) && !name.ends_with("head_before_its_root")).count())
}

/// What a client downloads that holds every shard when a hundredth of the items has changed.
fn of_change(repository: &Repository) -> Result<[Row; 3], XtaskError> {
    let folder = repository.target.join("bench-trust");
    fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
    let mut cargo = repository.cargo(CHANGES);
    output(cargo.arg("--json").arg(folder.join("changes.json")).arg("--files").arg(&folder))?;
    let mut node = repository.command("node");
    node.arg("benches/trust/change.mjs").arg(folder.join("clusters"));
    let measured = Json::of("benches/trust/change.mjs".into(), &output(&mut node)?);
    let share = 100.0 * measured.number("bytes")? / measured.number("all")?;
    let held = measured.number("holds")?;
    Ok([
        Row::new(
            &format!("a change of 1 %, over HTTP, of a client that holds {held} shards"),
            Some(share),
            "% of the index's bytes",
            Bar::AtMost(5.0),
        ),
        Row::new(
            &format!("rows after it that are not those of a client that begins anew, of {}", measured.number("rows")?),
            Some(measured.number("differ")?),
            "rows",
            Bar::AtMost(0.0),
        ),
        Row::new("requests at a time", Some(measured.number("most")?), "requests", Bar::AtMost(6.0)),
    ])
}

/// What checking who signed takes: time of a cold start, and bytes.
fn of_cost(repository: &Repository, chromium: &Path, options: Options) -> Result<[Row; 2], XtaskError> {
    data::fetch(repository)?;
    demo::build_binary(repository)?;
    for arguments in [&["prepare"][..], &["train", "--steps", "40"]] {
        run(&mut SHOP.nearshelf(repository, arguments))?;
    }
    SHOP.build_release(repository)?;
    let visits = if options.quick { "5" } else { "25" };
    let mut node = repository.command("node");
    node.arg("benches/trust/cold.mjs").arg(SHOP.file(repository, "release")).arg(visits).env("CHROME_PATH", chromium);
    let measured = Json::of("benches/trust/cold.mjs".into(), &output(&mut node)?);
    Ok([
        Row::new(
            "checking who signed, of a cold start in Chromium",
            Some(100.0 * measured.number("share")?),
            "% of the time to the first row",
            Bar::AtMost(10.0),
        ),
        Row::new("checking who signed, by itself as WASM, brotli", Some(alone(repository)?), "KB", Bar::AtMost(15.0)),
    ])
}

/// KB of a module that checks who signed a head and does nothing else; JSON and digests, which a client has anyway, are in it.
fn alone(repository: &Repository) -> Result<f64, XtaskError> {
    let out = repository.target.join("bench-trust/wasm");
    wasm::build(repository, &ALONE, &out)?;
    let mut node = repository.command("node");
    node.arg("xtask/size.mjs").arg("WASM").arg(out.join("nearshelf_bench_trust_bg.wasm"));
    Ok(Json::of("xtask/size.mjs".into(), &output(&mut node)?).number("brotli")? / 1000.0)
}

/// Mutants of the rules that no test notices.
fn mutants(repository: &Repository, options: Options) -> Result<Row, XtaskError> {
    let name = "changes of sync/trust.rs by cargo-mutants that no case notices";
    let row = |value| Row::new(name, value, "mutants", Bar::AtMost(0.0));
    if options.quick {
        println!("mutants: not with --quick, they take half an hour");
        return Ok(row(None));
    }
    let folder = repository.target.join("mutants");
    // What an earlier run found says nothing of this one.
    super::figures::remove(&folder)?;
    let mut cargo = repository.cargo("mutants --profile release --no-default-features --timeout 300 -j 1");
    cargo.args(["-f", RULES, "-o"]).arg(&folder).args(["--", "--test", "trust"]).env("NEARSHELF_SCHEDULES", "50");
    // It ends with an error where mutants survive; what it found is in its files.
    let ended = cargo.status().map_err(XtaskError::io(&folder))?;
    let missed = folder.join("mutants.out/missed.txt");
    // All caught, some missed, some took too long: whatever else it says, it did not come to an end.
    let has_run = matches!(ended.code(), Some(0 | 2 | 3));
    let Some(text) = has_run.then(|| fs::read_to_string(&missed).ok()).flatten() else {
        println!("mutants: cargo-mutants did not run ({ended}); install it with `cargo install cargo-mutants`");
        return Ok(row(None));
    };
    Ok(row(Some(text.lines().count() as f64)))
}
