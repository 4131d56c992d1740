//! The bars of the towers, a file for each subject.

mod beauty;
mod jax;
mod log_q;
mod retail;
mod size;

use std::fs;

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

/// Writes a description that differs from another one in some lines. Both lie two folders deep: their paths stay right.
fn write_variant(
    repository: &Repository,
    from: &str,
    to: &str,
    changes: &[(&'static str, &str)],
) -> Result<(), XtaskError> {
    let (from, to) = (repository.root.join(from), repository.root.join(to));
    let mut text = fs::read_to_string(&from).map_err(XtaskError::io(&from))?;
    for (old, new) in changes {
        if !text.contains(old) {
            return Err(XtaskError::Content {
                path: from,
                found: "no such text".to_owned(),
                expected: old,
                remedy: "change the bench with the description",
            });
        }
        text = text.replace(old, new);
    }
    let folder = to.with_file_name("");
    fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
    fs::write(&to, text).map_err(XtaskError::io(&to))
}
