//! Requests to the WebAssembly build: what they take, and whether every runtime answers the same.

use std::fs;

use super::super::figures::{Json, remove};
use super::super::row::{Bar, Row};
use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};

/// A generated shop of 100,000 items in one shard, with a ranker and rules.
const LARGE: Shop = Shop { config: "benches/ranking/large.toml", work: "work/bench-ranking/large" };

/// Where its events and catalogue are, as its description has it.
const DATA: &str = "work/bench-ranking/data";

/// The test that writes requests and the native answers to them.
const FIXTURES: &str = "test --release --workspace --test path fixtures::a_release_answers_the_same";

/// Times of the ranker alone and of whole requests.
pub(super) fn rows(repository: &Repository, quick: bool) -> Result<[Row; 2], XtaskError> {
    run(repository.command("node").args(["benches/ranking/generate.mjs", DATA]))?;
    remove(&repository.root.join(LARGE.work))?;
    for step in [&["prepare"][..], &["train"], &["train", "--ranker"]] {
        run(&mut LARGE.nearshelf(repository, step))?;
    }
    LARGE.build_release(repository)?;
    let requests = if quick { "500" } else { "5000" };
    let mut node = repository.command("node");
    node.arg("benches/ranking/time.mjs").arg(LARGE.file(repository, "release")).arg(requests);
    let measured = Json::of("benches/ranking/time.mjs".into(), &output(&mut node)?);
    let (items, candidates) = (measured.number("items")?, measured.number("candidates")?);
    let rank = format!("ranker, {candidates} candidates, WASM under Node, median");
    let whole = format!(
        "whole request: tower, search of {items} items, rules, ranker, diversity, {} shown, WASM under Node, p95",
        measured.number("shown")?
    );
    Ok([
        Row::new(&rank, Some(measured.number("rank_p50")?), "ms", Bar::AtMost(1.0)),
        Row::new(&whole, Some(measured.number("row_p95")?), "ms", Bar::AtMost(3.0)),
    ])
}

/// Where Node and workerd answer otherwise than the native build.
pub(super) fn same_rows(repository: &Repository) -> Result<Vec<Row>, XtaskError> {
    let fixtures = repository.target.join("bench-ranking-fixtures");
    remove(&fixtures)?;
    fs::create_dir_all(&fixtures).map_err(XtaskError::io(&fixtures))?;
    run(repository.cargo(FIXTURES).env("NEARSHELF_WASM_FIXTURES", &fixtures))?;
    let mut node = repository.command("node");
    node.arg("benches/ranking/same.mjs").arg(&fixtures);
    let measured = Json::of("benches/ranking/same.mjs".into(), &output(&mut node)?);
    let (requests, filled) = (measured.number("requests")?, measured.number("filled")?);
    let pairs = [("WASM in Node than natively", "node"), ("WASM in workerd than natively", "workerd")];
    let between = [("workerd than in Node", "between")];
    let row = |(what, key): (&str, &str)| {
        let name = format!("other answers from {what}, {requests} random requests ({filled} with a row)");
        Ok(Row::new(&name, Some(measured.number(key)?), "requests", Bar::AtMost(0.0)))
    };
    pairs.into_iter().chain(between).map(row).collect()
}
