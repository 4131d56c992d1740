//! A Redis for the test that reads stock from one.

use std::path::PathBuf;

use crate::chromium::{apt_install, has_apt, on_path};
use crate::error::XtaskError;

const NAME: &str = "redis-server";

/// The program: the one that `REDIS_SERVER` names or that is on the path, else Debian's package, installed where that can be. Nothing, with
/// the reason printed, where there is none: the test that needs it then says that it is skipped.
pub(crate) fn server() -> Result<Option<PathBuf>, XtaskError> {
    let found = std::env::var_os("REDIS_SERVER").map(PathBuf::from).or_else(|| on_path(NAME));
    if found.is_some() {
        return Ok(found);
    }
    if !has_apt() {
        println!(
            "no {NAME} on the PATH, so stock is not read from a Redis; install Redis, or set REDIS_SERVER to its program"
        );
        return Ok(None);
    }
    apt_install(NAME)?;
    Ok(on_path(NAME))
}
