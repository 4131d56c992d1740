//! The bars of the second stage, a file for each subject.

mod grocer;
mod request;
mod retail;
mod rules;

use super::row::Row;
use super::{Options, overlay};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::{data, demo, setup, wasm, worker};

pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    setup::wasm_target(repository)?;
    setup::node_modules(repository, &repository.root)?;
    setup::node_modules(repository, &worker::folder(repository))?;
    demo::build_binary(repository)?;
    data::fetch(repository)?;
    wasm::build_core(repository)?;
    // What is timed comes before the long trainings: a machine that is warm is slower.
    let mut rows = request::rows(repository, options.quick)?.to_vec();
    rows.extend(overlay::rows(repository, options)?);
    rows.extend(rules::rows(repository, options.quick)?);
    rows.extend(request::same_rows(repository)?);
    rows.extend(retail::rows(repository, options.quick)?);
    rows.extend(grocer::rows(repository, options.quick)?);
    Ok(rows)
}
