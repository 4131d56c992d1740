//! A server that speaks like S3, for the tests that publish to one.

use std::path::PathBuf;

use crate::error::XtaskError;
use crate::repository::Repository;
use crate::setup;

const PACKAGES: &str = "tests/s3/requirements.txt";
const PYTHON: (u32, u32) = (3, 10);

/// The program: the one that `MOTO_SERVER` names, else the one of a virtual environment, made where that can be. Nothing, with the reason printed, where there is
/// none: the tests that need it then say that they are skipped.
pub(crate) fn server(repository: &Repository) -> Result<Option<PathBuf>, XtaskError> {
    if let Some(named) = std::env::var_os("MOTO_SERVER") {
        return Ok(Some(named.into()));
    }
    let python = setup::python(repository, PYTHON, &repository.root.join(PACKAGES), "work/test-s3")?;
    Ok(python.map(|python| python.with_file_name(if cfg!(windows) { "moto_server.exe" } else { "moto_server" })))
}
