//! Online Retail: how much of the catalogue is shown, and items that nobody has bought yet.

use super::super::figures::{Json, NEARSHELF, ONLINE_RETAIL, POPULARITY, has_online_retail, remove, write_variant};
use super::super::row::{Bar, Row};
use super::beside_als;
use crate::demo::Shop;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

const KNOWN: Shop = Shop { config: ONLINE_RETAIL.config, work: "work/bench-towers/online-retail" };
/// Items that are sold only in the test are in the catalogue, too.
const WITH_NEW: Shop =
    Shop { config: "work/bench-towers/online-retail-new.toml", work: "work/bench-towers/online-retail-new" };

pub(super) fn rows(repository: &Repository, measure: bool) -> Result<Vec<Row>, XtaskError> {
    let measure = measure && has_online_retail(repository)?;
    let known = measure.then(|| evaluation(repository, &KNOWN)).transpose()?;
    let mut rows = Vec::new();
    for mode in [["new_only", "new only"], ["repeats", "repeats"]] {
        rows.extend(beside_als(known.as_ref(), "Online Retail", mode, "R@20")?);
    }
    let all = [("duplicates = \"last\"", "duplicates = \"last\"\nmin_events = 0")];
    write_variant(repository, ONLINE_RETAIL.config, WITH_NEW.config, &all)?;
    let with_new = measure.then(|| evaluation(repository, &WITH_NEW)).transpose()?;
    let recall = |scorer| with_new.as_ref().map(|found| found.figure(scorer, "cold_items", "R@100")).transpose();
    let name = "Online Retail, items first seen in the test, R@100";
    let row = Row::new(name, recall(NEARSHELF)?, "share", Bar::AtLeastPeerTimes(5.0));
    rows.push(row.with_peer(POPULARITY, recall(POPULARITY)?));
    Ok(rows)
}

fn evaluation(repository: &Repository, shop: &Shop) -> Result<Json, XtaskError> {
    remove(&repository.root.join(shop.work))?;
    for step in ["prepare", "train", "evaluate"] {
        run(&mut shop.nearshelf(repository, &[step]))?;
    }
    Json::read(shop.file(repository, "evaluation.json"))
}
