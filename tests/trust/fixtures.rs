//! The releases of this world as files, for the same host of faults before the package in a browser (`benches/trust`).

use std::path::PathBuf;

use nearshelf::Digest;
use serde_json::json;

use crate::world::{expected, first, manifest, objects};

const CONTENTS: u64 = 12;

/// With `NEARSHELF_WASM_FIXTURES` set: all objects, and for each release its manifest, an item, and what is recommended to whoever saw it.
#[test]
fn releases_are_left_for_other_tests() {
    let Some(folder) = std::env::var_os("NEARSHELF_WASM_FIXTURES").map(|folder| PathBuf::from(folder).join("trust"))
    else {
        println!("skipped: NEARSHELF_WASM_FIXTURES is not set");
        return;
    };
    std::fs::create_dir_all(folder.join("objects")).unwrap();
    let release = |seed| {
        for (path, bytes) in objects(seed) {
            std::fs::write(folder.join(path), bytes).unwrap();
        }
        let manifest = manifest(seed);
        let ids: Vec<String> = expected(seed).into_iter().map(|(id, _)| id).collect();
        json!({"manifest": {"digest": Digest::of(&manifest), "size": manifest.len()}, "item": first(seed), "answer": ids})
    };
    let releases: Vec<_> = (0..CONTENTS).map(release).collect();
    std::fs::write(folder.join("contents.json"), serde_json::to_vec(&releases).unwrap()).unwrap();
}
