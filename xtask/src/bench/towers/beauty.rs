//! Quality on Amazon Beauty beside published figures and ALS, and what shards lose.

use super::super::figures::{AS_SHIPPED, Json, LEAVE_ONE_OUT, NEARSHELF, remove};
use super::super::row::{Bar, Row};
use super::beside_als;
use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

/// Each seed with a work folder of its own.
const BEAUTY: [Shop; 3] = [
    Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/amazon-beauty/seed-1" },
    Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/amazon-beauty/seed-2" },
    Shop { config: "models/amazon-beauty/nearshelf.toml", work: "work/amazon-beauty/seed-3" },
];

/// The figures with a bar, means over the seeds.
const BARS: [(&str, f64); 3] = [("HR@10", 0.088), ("NDCG@10", 0.051), ("HR@100", 0.24)];

/// What one seed gives.
struct Seed {
    evaluation: Json,
    minutes: f64,
}

pub(super) fn rows(repository: &Repository, measure: bool) -> Result<Vec<Row>, XtaskError> {
    let shops = BEAUTY.iter().zip(["1", "2", "3"]).filter(|_| measure);
    let seeds: Vec<Seed> = shops.map(|(shop, number)| seed(repository, shop, number)).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for (figure, bar) in BARS {
        let name = format!("Amazon Beauty, test, {figure}, mean of 3 seeds");
        let values = seeds.iter().map(|seed| seed.evaluation.figure(NEARSHELF, LEAVE_ONE_OUT, figure));
        let sum = values.sum::<Result<f64, _>>()?;
        rows.push(Row::new(&name, measure.then_some(sum / BEAUTY.len() as f64), "share", Bar::AtLeast(bar)));
    }
    let slowest = seeds.iter().map(|seed| seed.minutes).reduce(f64::max);
    rows.push(Row::new("Amazon Beauty, training, the slowest seed", slowest, "min", Bar::AtMost(45.0)));
    let first = seeds.first().map(|seed| &seed.evaluation);
    let hits = |scorer| first.map(|first| first.figure(scorer, LEAVE_ONE_OUT, "HR@10")).transpose();
    let loss = hits(NEARSHELF)?.zip(hits(AS_SHIPPED)?).map(|(exact, shipped)| 1.0 - shipped / exact);
    rows.push(Row::new("Amazon Beauty, HR@10 lost through shards", loss, "share", Bar::AtMost(0.01)));
    rows.extend(beside_als(first, "Amazon Beauty", [LEAVE_ONE_OUT, "leave one out"], "HR@10")?);
    Ok(rows)
}

fn seed(repository: &Repository, shop: &Shop, seed: &str) -> Result<Seed, XtaskError> {
    run(&mut shop.nearshelf(repository, &["prepare"]))?;
    remove(&shop.file(repository, "run"))?;
    run(&mut shop.nearshelf(repository, &["train", "--seed", seed]))?;
    shop.build_release(repository)?;
    let release = shop.file(repository, "release");
    run(shop.nearshelf(repository, &["evaluate", "--release"]).arg(&release))?;
    let training = Json::read(shop.file(repository, "run/training.json"))?;
    let evaluation = Json::read(shop.file(repository, "evaluation.json"))?;
    Ok(Seed { evaluation, minutes: training.number("seconds")? / 60.0 })
}
