//! What the logQ correction is worth: a plain two-tower with it and without it, everything else equal.

use super::super::figures::{Json, LEAVE_ONE_OUT, NEARSHELF, remove, write_variant};
use super::super::row::{Bar, Row};
use super::PLAIN;
use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

const WITH: Shop = Shop { config: PLAIN, work: "work/bench-towers/log-q" };
const WITHOUT: Shop = Shop { config: "work/bench-towers/no-log-q.toml", work: "work/bench-towers/no-log-q" };

const SEEDS: [&str; 3] = ["1", "2", "3"];

pub(super) fn rows(repository: &Repository, measure: bool) -> Result<Vec<Row>, XtaskError> {
    write_variant(repository, PLAIN, WITHOUT.config, &[("log_q = 1.0", "log_q = 0.0")])?;
    let hits = |shop| measure.then(|| mean_hits(repository, shop)).transpose();
    let row = Row::new(
        "Amazon Beauty, plain two-tower, HR@100, mean of 3 seeds",
        hits(&WITH)?,
        "share",
        Bar::AtLeastPeerTimes(1.09),
    );
    Ok(vec![row.with_peer("the same without logQ", hits(&WITHOUT)?)])
}

fn mean_hits(repository: &Repository, shop: &Shop) -> Result<f64, XtaskError> {
    run(&mut shop.nearshelf(repository, &["prepare"]))?;
    let mut sum = 0.0;
    for seed in SEEDS {
        remove(&shop.file(repository, "run"))?;
        run(&mut shop.nearshelf(repository, &["train", "--seed", seed]))?;
        run(&mut shop.nearshelf(repository, &["evaluate", "--towers-only"]))?;
        sum += Json::read(shop.file(repository, "evaluation.json"))?.figure(NEARSHELF, LEAVE_ONE_OUT, "HR@100")?;
    }
    Ok(sum / SEEDS.len() as f64)
}
