//! The Cloudflare Worker: built for WebAssembly, tested in its own runtime.

use std::path::PathBuf;

use crate::repository::Repository;
use crate::run::{Outcome, counted};
use crate::wasm::{self, Build};

/// It has no kernels yet that would come out as SIMD.
const WORKER: Build = Build::new("-p nearshelf-worker", "nearshelf_worker", false);

/// Its folder, with npm packages of its own: workerd is large, and the shop's package does not need it.
pub(crate) fn folder(repository: &Repository) -> PathBuf {
    repository.root.join("worker")
}

/// Builds the worker and runs its tests.
pub(crate) fn test(repository: &Repository) -> Outcome {
    let folder = folder(repository);
    if let Err(error) = wasm::build(repository, &WORKER, &folder.join("build")) {
        return Err(error).into();
    }
    counted(repository.npm("test").current_dir(folder))
}
