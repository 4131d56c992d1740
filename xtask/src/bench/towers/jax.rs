//! Examples per second of a training beside the same step in JAX.
//!
//! Counted are the steps and nothing else: neither start nor compilation, neither checkpoints nor files. nearshelf draws its queries
//! within that time, JAX gets batches that were made beforehand.

use std::path::Path;

use super::super::figures::{Json, remove, write_variant};
use super::super::row::{Bar, Row};
use super::PLAIN;
use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::setup;

/// Pinned, JAX among them.
const PACKAGES: &str = "benches/towers/jax/requirements.txt";
const STEP: &str = "benches/towers/jax/step.py";
/// The oldest Python that these packages run on.
const PYTHON: (u32, u32) = (3, 11);

/// Queries of a step, and a shop for each.
const BATCHES: [(&str, Shop); 2] = [
    ("2048", Shop { config: "work/bench-towers/batch-2048.toml", work: "work/bench-towers/batch-2048" }),
    ("512", Shop { config: "work/bench-towers/batch-512.toml", work: "work/bench-towers/batch-512" }),
];

/// Steps of a run, and runs of either, by turns.
struct Plan {
    steps: &'static str,
    runs: usize,
}

/// What one run reaches.
#[derive(Debug, Clone, Copy)]
struct Speed {
    examples_per_second: f64,
    loss: f64,
}

pub(super) fn rows(repository: &Repository, has_beauty: bool, quick: bool) -> Result<Vec<Row>, XtaskError> {
    let plan = if quick { Plan { steps: "30", runs: 2 } } else { Plan { steps: "100", runs: 5 } };
    let python = setup::python(repository, PYTHON, &repository.root.join(PACKAGES), "work/bench-towers/jax")?;
    if !has_beauty && python.is_some() {
        let mut generate = repository.command("node");
        run(generate.args(["benches/towers/generate.mjs", "work/bench-towers/generated"]))?;
    }
    let mut rows = Vec::new();
    for (queries, shop) in &BATCHES {
        let measured = python.as_deref().map(|python| {
            let batch = format!("queries = {queries}");
            let folder = if has_beauty { ".cache/amazon-beauty/" } else { "work/bench-towers/generated/" };
            let changes = [("queries = 2048", &*batch), (".cache/amazon-beauty/", folder)];
            write_variant(repository, PLAIN, shop.config, &changes)?;
            run(&mut shop.nearshelf(repository, &["prepare"]))?;
            by_turns(repository, python, shop, &plan)
        });
        let medians = measured.transpose()?;
        let data = if has_beauty { "Amazon Beauty" } else { "generated catalogue" };
        let name = format!("{data}, plain two-tower, training, {queries} queries a step");
        let row = Row::new(&name, medians.map(|[ours, _]| ours), "examples/s", Bar::AtLeastPeerTimes(1.5));
        rows.push(row.with_peer("JAX", medians.map(|[_, jax]| jax)));
    }
    Ok(rows)
}

/// Medians of both, nearshelf first.
fn by_turns(repository: &Repository, python: &Path, shop: &Shop, plan: &Plan) -> Result<[f64; 2], XtaskError> {
    let mut speeds = [Vec::new(), Vec::new()];
    for _ in 0..plan.runs {
        let pair = [nearshelf(repository, shop, plan)?, jax(repository, python, shop, plan)?];
        let [ours, theirs] =
            pair.map(|speed| format!("{:.0} examples/s, loss {:.3}", speed.examples_per_second, speed.loss));
        println!("nearshelf {ours}; JAX {theirs}");
        for (speeds, speed) in speeds.iter_mut().zip(pair) {
            speeds.push(speed.examples_per_second);
        }
    }
    Ok(speeds.map(median))
}

fn nearshelf(repository: &Repository, shop: &Shop, plan: &Plan) -> Result<Speed, XtaskError> {
    remove(&shop.file(repository, "run"))?;
    run(&mut shop.nearshelf(repository, &["train", "--steps", plan.steps]))?;
    speed(&Json::read(shop.file(repository, "run/training.json"))?)
}

fn jax(repository: &Repository, python: &Path, shop: &Shop, plan: &Plan) -> Result<Speed, XtaskError> {
    let mut step = repository.command(python);
    let found = output(step.args([STEP, shop.config, plan.steps]))?;
    speed(&Json::of(STEP.into(), &found))
}

fn speed(figures: &Json) -> Result<Speed, XtaskError> {
    let examples_per_second = figures.number("examples")? / figures.number("step_seconds")?;
    Ok(Speed { examples_per_second, loss: figures.number("loss")? })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle_of_any_order() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(vec![4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < 1e-12);
    }
}
