//! Random files of rules: none may panic, and every error has to name a place of the file.

use super::super::figures::Json;
use super::super::row::{Bar, Row};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};

/// With the features of the workspace, which are compiled already.
const BUILD: &str = "build --release --workspace --example bench-rules";

/// Every run reads the same files.
const SEED: &str = "1";

pub(super) fn rows(repository: &Repository, quick: bool) -> Result<[Row; 2], XtaskError> {
    let inputs = if quick { "100000" } else { "1000000" };
    run(&mut repository.cargo(BUILD))?;
    let program =
        repository.target.join("release/examples").join(format!("bench-rules{}", std::env::consts::EXE_SUFFIX));
    let printed = output(repository.command(&program).args([inputs, SEED]))?;
    let measured = Json::of(program, &printed);
    let (inputs, right) = (measured.number("inputs")?, measured.number("right")?);
    let row = |what: &str, key: &str| {
        let name = format!("rule parser, {what}, {inputs} random files ({right} of them right)");
        Ok(Row::new(&name, Some(measured.number(key)?), "files", Bar::AtMost(0.0)))
    };
    Ok([row("panics", "panics")?, row("errors without line and column of the file", "astray")?])
}
