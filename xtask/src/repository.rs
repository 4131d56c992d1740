//! Where things are: the one place that knows the folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::XtaskError;

/// A checkout and its build folder.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
    /// What `cargo` builds into: `target`, unless the user has said otherwise.
    pub(crate) target: PathBuf,
}

impl Repository {
    /// The checkout that this `xtask` belongs to.
    pub(crate) fn open() -> Result<Self, XtaskError> {
        let manifest =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = manifest.parent().unwrap_or(&manifest).to_owned();
        let target = target_folder(&root)?;
        Ok(Self { root, target })
    }

    /// A command that runs in the root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo` with the arguments of a shell line.
    pub(crate) fn cargo(&self, line: &str) -> Command {
        let mut command = self.command(cargo());
        command.args(line.split_whitespace());
        command
    }

    /// `npm` with the arguments of a shell line.
    pub(crate) fn npm(&self, line: &str) -> Command {
        let mut command = self.command("npm");
        command.args(line.split_whitespace());
        command
    }

    /// The `nearshelf` that [`crate::demo::build_binary`] makes.
    pub(crate) fn nearshelf(&self) -> PathBuf {
        self.target.join("release").join(format!("nearshelf{}", std::env::consts::EXE_SUFFIX))
    }

    /// Downloads. Outside the build folder, so that `cargo clean` keeps them.
    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join(".cache")
    }

    /// The WebAssembly build as `pkg-js` takes it.
    pub(crate) fn wasm(&self) -> PathBuf {
        self.root.join("pkg-js/wasm")
    }

    /// The WebAssembly build with the tract engine.
    pub(crate) fn wasm_onnx(&self) -> PathBuf {
        self.root.join("pkg-js/wasm-onnx")
    }
}

/// The `cargo` that runs this task.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn target_folder(root: &Path) -> Result<PathBuf, XtaskError> {
    let mut command = Command::new(cargo());
    command.current_dir(root).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = crate::run::output(&mut command)?;
    let metadata: serde_json::Value = serde_json::from_slice(&output).unwrap_or_default();
    metadata["target_directory"].as_str().map(PathBuf::from).ok_or_else(|| XtaskError::Content {
        path: root.join("Cargo.toml"),
        found: "no target_directory in `cargo metadata`".to_owned(),
        expected: "the folder that cargo builds into",
        remedy: "check that Cargo.toml is whole",
    })
}
