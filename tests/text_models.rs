//! Content vectors of real text models against `tests/golden/text/reference.py`.
//!
//! The models are not part of the repository; without them the tests say so and pass. `cargo xtask data` fetches them.
//! `NEARSHELF_TEXT_REFERENCE` names another folder with texts and references, say of a whole catalogue, to measure.
#![cfg(feature = "origin")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nearshelf::data::config::{ContentConfig, TextConfig};
use nearshelf::data::{Config, Item};
use nearshelf::features::content::ContentSchema;

/// Cosine distance that a vector may have from the reference.
const TOLERANCE: f64 = 1e-5;

fn models() -> PathBuf {
    std::env::var_os("NEARSHELF_TEXT_MODELS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("work/text"), PathBuf::from)
}

fn golden(name: &str) -> PathBuf {
    let folder = std::env::var_os("NEARSHELF_TEXT_REFERENCE").map(PathBuf::from);
    folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/text")).join(name)
}

/// A shop that has nothing but items with names, and one text model.
fn config(text: TextConfig) -> Config {
    let shop = "name = 't'\nevents = { path = 'e', columns = { user = 'u', item = 'i', time = 't' } }\n\
                catalogue = { path = 'c', columns = { item = 'i', title = ['t'] } }\nsplit = { test_from = '2020-01-01' }";
    Config {
        content: Some(ContentConfig { text: vec![text], ..ContentConfig::default() }),
        base: models(),
        ..toml::from_str(shop).unwrap()
    }
}

fn items(texts: &str) -> Vec<Item> {
    let item = |(row, title): (usize, &str)| Item {
        id: row.to_string(),
        title: title.to_owned(),
        category: Vec::new(),
        brand: None,
        price: None,
        events: 1,
        attributes: Vec::new(),
    };
    texts.lines().enumerate().map(item).collect()
}

/// The numbers of an array that NumPy wrote, without the header.
fn numbers(npy: &[u8], count: usize) -> Vec<f32> {
    npy[npy.len() - 4 * count..].chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
}

fn check_against_reference(name: &str, text: TextConfig) {
    if !models().join(name).exists() {
        println!("skipped: no {}; `cargo xtask data` fetches it", models().join(name).display());
        return;
    }
    let items = items(&fs::read_to_string(golden("texts.txt")).unwrap());
    let cache = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let (schema, rows) = ContentSchema::fit(&config(text), &items, cache.path()).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let width = schema.width();
    let reference = numbers(&fs::read(golden(name).with_extension("npy")).unwrap(), items.len() * width);
    let mut worst = 0.0_f64;
    for ((row, expected), item) in rows.chunks_exact(width).zip(reference.chunks_exact(width)).zip(&items) {
        let found = row.iter().zip(&schema.sources[0].mean).map(|(x, mean)| f64::from(x + mean));
        let distance = 1.0 - found.zip(expected).map(|(found, expected)| found * f64::from(*expected)).sum::<f64>();
        assert!(distance.abs() < TOLERANCE, "{name}, {:?}: cosine distance {distance}", item.title);
        worst = worst.max(distance.abs());
    }
    println!("{name}: {} texts in {seconds:.2} s, cosine distance at most {worst:.1e}", items.len());
}

#[test]
fn static_token_vectors_are_those_of_the_reference() {
    let (tokenizer, vectors) = ("wordllama/tokenizer.json".into(), Some("wordllama/vectors.safetensors".into()));
    check_against_reference("wordllama", TextConfig { tokenizer, vectors, encoder: None, max_tokens: 64 });
}

#[test]
fn a_sentence_encoder_computes_what_the_reference_computes() {
    let (tokenizer, encoder) = ("minilm/tokenizer.json".into(), Some("minilm/model.safetensors".into()));
    check_against_reference("minilm", TextConfig { tokenizer, vectors: None, encoder, max_tokens: 64 });
}
