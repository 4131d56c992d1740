//! Set-up that the tasks do by themselves.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::sha256;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::tools;

const TARGET: &str = "wasm32-unknown-unknown";

/// The WebAssembly target of the pinned toolchain, and the sources of its standard library. Asks the network only for what is missing.
pub(crate) fn wasm_target(repository: &Repository) -> Result<(), XtaskError> {
    for (kind, name) in [("target", TARGET), ("component", "rust-src")] {
        let installed = output(repository.command("rustup").args([kind, "list", "--installed"]))?;
        if !String::from_utf8_lossy(&installed).lines().any(|line| line.trim() == name) {
            run(repository.command("rustup").args([kind, "add", name]))?;
        }
    }
    Ok(())
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

/// The Python of a virtual environment that holds the pinned packages of `requirements`, made unless it is there. Nothing, with the
/// reason printed, where the machine's Python is older than `oldest`.
pub(crate) fn python(
    repository: &Repository,
    oldest: (u32, u32),
    requirements: &Path,
    folder: &str,
) -> Result<Option<PathBuf>, XtaskError> {
    if !tools::has_python(oldest) {
        println!("{}: not installed, it needs Python {}.{} or later", requirements.display(), oldest.0, oldest.1);
        return Ok(None);
    }
    let folder = repository.root.join(folder);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = sha256(&fs::read(requirements).map_err(XtaskError::io(requirements))?);
    let stamp = folder.join(".installed-from");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        run(repository.command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = repository.command(&python);
        run(pip.args(["-m", "pip", "install", "--only-binary", ":all:", "--requirement"]).arg(requirements))?;
        fs::write(&stamp, wanted).map_err(XtaskError::io(&stamp))?;
    }
    Ok(Some(python))
}
