//! Set-up that the tasks do by themselves.

use std::fs;
use std::path::Path;

use crate::data::sha256;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};

const TARGET: &str = "wasm32-unknown-unknown";

/// The WebAssembly target of the pinned toolchain. Asks the network only when it is missing.
pub(crate) fn wasm_target(repository: &Repository) -> Result<(), XtaskError> {
    let installed = output(repository.command("rustup").args(["target", "list", "--installed"]))?;
    if String::from_utf8_lossy(&installed).lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    run(repository.command("rustup").args(["target", "add", TARGET]))
}

/// `npm ci` in a folder that holds a `package-lock.json`, when that file is not the one installed from.
pub(crate) fn node_modules(repository: &Repository, folder: &Path) -> Result<(), XtaskError> {
    let lock = folder.join("package-lock.json");
    let locked = sha256(&fs::read(&lock).map_err(XtaskError::io(&lock))?);
    let stamp = folder.join("node_modules/.installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == locked) {
        return Ok(());
    }
    run(repository.npm("ci --no-audit --no-fund").current_dir(folder))?;
    fs::write(&stamp, locked).map_err(XtaskError::io(&stamp))
}
