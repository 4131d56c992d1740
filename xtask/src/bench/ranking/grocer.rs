//! Complete Journey: what the ranker adds to the order of retrieval, how much of the catalogue rows with diversity show, and a test with invented
//! shoppers.

use super::super::figures::{ALS, AS_SHIPPED, Json, NEARSHELF, RANKED, remove, write_variant};
use super::super::row::{Bar, Row};
use crate::demo::{COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

/// The demo's shop with other rules.
const SHOP: Shop =
    Shop { config: "work/bench-ranking/complete-journey.toml", work: "work/bench-ranking/complete-journey" };

/// In place of the demo's rules.
const RULES: (&str, &str) =
    ("../../models/complete-journey/rules.toml", "../../benches/ranking/complete-journey.rules.toml");

/// The knobs of the baselines that `nearshelf tune` found. They are looked for beside the description.
const KNOBS: [&str; 2] = ["models/complete-journey/baselines.toml", "work/bench-ranking/baselines.toml"];

/// Its scenarios: without rules, and with diversity.
const PLAIN: &str = "plain";
const DIVERSE: &str = "diverse";

/// The mode in which rows may show what was bought before.
const REPEATS: [&str; 2] = ["repeats", "repeats"];

pub(super) fn rows(repository: &Repository, quick: bool) -> Result<Vec<Row>, XtaskError> {
    write_variant(repository, COMPLETE_JOURNEY.config, SHOP.config, &[RULES])?;
    write_variant(repository, KNOBS[0], KNOBS[1], &[])?;
    remove(&repository.root.join(SHOP.work))?;
    for step in [&["prepare"][..], &["train"], &["train", "--ranker"]] {
        run(&mut SHOP.nearshelf(repository, step))?;
    }
    SHOP.build_release(repository)?;
    let release = SHOP.file(repository, "release");
    let mut evaluate = SHOP.nearshelf(repository, &["evaluate", "--scenario", PLAIN, "--scenario", DIVERSE]);
    run(evaluate.arg("--release").arg(&release))?;
    let evaluation = Json::read(SHOP.file(repository, "evaluation.json"))?;
    let mut rows = of_order(&Json::read(SHOP.file(repository, "run/ranker.json"))?)?.to_vec();
    for mode in [REPEATS, ["new_only", "new only"]] {
        rows.push(of_ranking(&evaluation, mode)?);
    }
    rows.extend(of_diversity(&evaluation)?);
    rows.extend(of_test(repository, quick)?);
    Ok(rows)
}

/// The same candidates in the order of retrieval and in that of the ranker, at the end of the window that it was trained in.
fn of_order(ranker: &Json) -> Result<[Row; 2], XtaskError> {
    let row = |figure: &str, key: &str, bar| {
        let name = format!("Complete Journey, order of the candidates, validation, {figure}");
        let at = |place: &str| ranker.at(&format!("/order/{key}/{place}"));
        Ok::<_, XtaskError>(
            Row::new(&name, Some(at("1")?), "share", bar).with_peer("order of retrieval", Some(at("0")?)),
        )
    };
    Ok([row("NDCG@20", "ndcg_at_20", Bar::AtLeastPeerTimes(1.1))?, row("AUC", "auc", Bar::AbovePeer)?])
}

/// The lists of the test with the ranker and without it. The ranker also has candidates of the shopper's own.
fn of_ranking(evaluation: &Json, [mode, label]: [&str; 2]) -> Result<Row, XtaskError> {
    let figure = |scorer| evaluation.figure(scorer, mode, "NDCG@20");
    let name = format!("Complete Journey, ranked, NDCG@20 {label}");
    let row = Row::new(&name, Some(figure(RANKED)?), "share", Bar::AtLeastPeerTimes(1.1));
    Ok(row.with_peer(NEARSHELF, Some(figure(NEARSHELF)?)))
}

/// Rows of 20 of the release, by the rules of its scenarios.
fn of_diversity(evaluation: &Json) -> Result<[Row; 2], XtaskError> {
    let [mode, label] = REPEATS;
    let of = |scenario: &str| format!("{AS_SHIPPED}, {scenario}");
    let named = |what: &str| format!("Complete Journey, release with ranker and diversity, {what} {label}");
    let coverage = evaluation.coverage(&of(DIVERSE), mode)?;
    let coverage = Row::new(&named("coverage@20"), Some(coverage), "share", Bar::AtLeastPeerTimes(1.4));
    let recall = |scenario| evaluation.figure(&of(scenario), mode, "R@20");
    let kept = Row::new(&named("R@20"), Some(recall(DIVERSE)?), "share", Bar::AtLeastPeerTimes(0.98));
    Ok([
        coverage.with_peer(ALS, Some(evaluation.coverage(ALS, mode)?)),
        kept.with_peer("without diversity", Some(recall(PLAIN)?)),
    ])
}

/// Lifts over ALS with invented shoppers, and the lower ends of their intervals of 95 %.
fn of_test(repository: &Repository, quick: bool) -> Result<Vec<Row>, XtaskError> {
    let (shoppers, out) = (if quick { "300" } else { "2400" }, SHOP.file(repository, "ab"));
    let mut simulate = SHOP.nearshelf(repository, &["simulate", "ab", "--baseline", "als", "--shoppers", shoppers]);
    simulate.arg("--release").arg(SHOP.file(repository, "release")).arg("--out").arg(&out);
    run(&mut simulate)?;
    let report = Json::read(out.join("report.json"))?;
    let mut rows = Vec::new();
    // The second variant is the release; what a shopper did are clicks, carts and purchases.
    for (rate, action, bar) in [("click rate", 0, 15.0), ("purchase rate", 2, 8.5)] {
        let at = |field: &str| Ok(100.0 * report.at(&format!("/variants/1/against/{action}/{field}"))?);
        let named = |what: &str| format!("synthetic test, {shoppers} shoppers, {rate} over ALS{what}");
        rows.push(Row::new(&named(""), Some(at("lift")?), "%", Bar::AtLeast(bar)));
        rows.push(Row::new(&named(", lower end"), Some(at("lift_interval/0")?), "%", Bar::AtLeast(0.0)));
    }
    Ok(rows)
}
