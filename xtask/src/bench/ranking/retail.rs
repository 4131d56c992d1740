//! Online Retail: what the ranker finds of what shoppers buy again.

use super::super::figures::{Json, ONLINE_RETAIL, OWN_COUNTS, RANKED, has_online_retail, remove};
use super::super::row::{Bar, Row};
use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

const SHOP: Shop = Shop { config: ONLINE_RETAIL.config, work: "work/bench-ranking/online-retail" };

pub(super) fn rows(repository: &Repository, quick: bool) -> Result<[Row; 1], XtaskError> {
    if quick {
        println!("Online Retail: not measured with --quick, its trainings take minutes");
    }
    let measure = !quick && has_online_retail(repository)?;
    let found = measure.then(|| evaluation(repository)).transpose()?;
    let recall = |scorer| found.as_ref().map(|found| found.figure(scorer, "repeats", "R@20")).transpose();
    let row = Row::new("Online Retail, ranked, R@20 repeats", recall(RANKED)?, "share", Bar::AtLeast(0.34));
    Ok([row.with_peer(OWN_COUNTS, recall(OWN_COUNTS)?)])
}

fn evaluation(repository: &Repository) -> Result<Json, XtaskError> {
    remove(&repository.root.join(SHOP.work))?;
    for step in [&["prepare"][..], &["train"], &["train", "--ranker"], &["evaluate"]] {
        run(&mut SHOP.nearshelf(repository, step))?;
    }
    Json::read(SHOP.file(repository, "evaluation.json"))
}
