//! The bars of the towers, a file for each subject.

mod beauty;
mod jax;
mod log_q;
mod retail;
mod size;

use super::Options;
use super::figures::{ALS, Json, NEARSHELF};
use super::row::{Bar, Row};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::{data, demo, setup};

/// A two-tower as plain as others have it.
const PLAIN: &str = "benches/towers/plain.toml";

pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    setup::wasm_target(repository)?;
    setup::node_modules(repository, &repository.root)?;
    demo::build_binary(repository)?;
    data::fetch(repository)?;
    let has_beauty = repository.cache().join("amazon-beauty/events.csv").is_file();
    if !has_beauty {
        println!("Amazon Beauty: not measured; `cargo xtask data FOLDER` converts it from a folder that holds it");
    }
    if options.quick {
        println!(
            "Quality on Amazon Beauty and Online Retail: not measured with --quick, its trainings take minutes each"
        );
    }
    let mut rows = size::rows(repository, has_beauty)?;
    rows.extend(jax::rows(repository, has_beauty, options.quick)?);
    rows.extend(log_q::rows(repository, has_beauty && !options.quick)?);
    rows.extend(beauty::rows(repository, has_beauty && !options.quick)?);
    rows.extend(retail::rows(repository, !options.quick)?);
    Ok(rows)
}

/// Coverage against that of ALS, and the figure that has to be no worse for it to count.
fn beside_als(
    evaluation: Option<&Json>,
    shop: &str,
    [mode, label]: [&str; 2],
    figure: &str,
) -> Result<[Row; 2], XtaskError> {
    let row = |name: &str, bar, value: &dyn Fn(&Json, &str) -> Result<f64, XtaskError>| {
        let of = |scorer| evaluation.map(|evaluation| value(evaluation, scorer)).transpose();
        let name = format!("{shop}, {name}, {label}");
        Ok(Row::new(&name, of(NEARSHELF)?, "share", bar).with_peer(ALS, of(ALS)?))
    };
    Ok([
        row("coverage@20", Bar::AtLeastPeerTimes(1.4), &|evaluation, scorer| evaluation.coverage(scorer, mode))?,
        row(figure, Bar::AtLeastPeerTimes(1.0), &|evaluation, scorer| evaluation.figure(scorer, mode, figure))?,
    ])
}
