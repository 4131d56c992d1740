//! Golden files: what a format was, kept for ever.

use std::path::{Path, PathBuf};

/// The folder of a format's golden files.
pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Makes a golden file unless there is one: a change of the format must not pass by changing it.
pub(super) fn keep(path: &Path, bytes: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    if !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes()).unwrap();
    }
    std::fs::read(path).unwrap()
}
