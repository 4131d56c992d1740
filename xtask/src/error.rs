//! What can go wrong, with the remedy.

use std::io;
use std::path::{Path, PathBuf};

/// One enum for all tasks: they share most of their failures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum XtaskError {
    #[error("install what is missing, then run this again:\n{}", .0.join("\n"))]
    MissingTools(Vec<String>),
    #[error("`{command}` ended with {status}; its output above says why")]
    Failed { command: String, status: String },
    #[error("cannot start `{command}`: {source}; check that the program is installed and on the PATH")]
    Start { command: String, source: io::Error },
    #[error("{}: {source}; check that the folder exists, is writable and has room", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{}: SHA-256 is {found}, expected {expected}; delete the file and run again, and if it stays so the package \
         index serves another file: use another index", path.display()
    )]
    Digest { path: PathBuf, found: String, expected: String },
    #[error("{}: cannot read {member}: {source}; delete the file and run again", path.display())]
    Archive { path: PathBuf, member: String, source: zip::result::ZipError },
    #[error("{}: found {found}, expected {expected}; {remedy}", path.display())]
    Content { path: PathBuf, found: String, expected: &'static str, remedy: &'static str },
    #[error("wasm-bindgen cannot process {}: {reason}; build again, and check that Cargo.lock has one wasm-bindgen", path.display())]
    Bindgen { path: PathBuf, reason: String },
    #[error("{name}: {found:.3} KB brotli, expected at most {expected} KB; look for what grew with `cargo xtask wasm`")]
    Budget { name: &'static str, found: f64, expected: f64 },
    #[error("no check has `{words}` in its name; there are: {names}")]
    NoCheck { words: String, names: String },
    #[error("port {port} of this machine: {source}; choose another with --port")]
    Port { port: u16, source: io::Error },
    #[error("{failed} checks failed; each is explained above")]
    Checks { failed: usize },
    #[error("{missed} of {bars} bars missed; the table above says which")]
    Bars { missed: usize, bars: usize },
}

impl XtaskError {
    /// For `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
