//! Twelve broken inputs, met as a user meets them: on the command line. Each ends in one line that names the file, the place,
//! what was found, what is expected and what to do, with exit code 1, without a panic, and with everything that was there before.
#![cfg(feature = "origin")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use tempfile::TempDir;

const CONFIG: &str = r#"
name = "broken"
[events]
path = "events.parquet"
[events.columns]
user = "who"
item = "sku"
time = "at"
price = "price"
[catalogue]
path = "items.csv"
[catalogue.columns]
item = "sku"
title = ["name"]
[split]
test_from = "2020-03-01"
[model]
dim = 8
hidden = 8
history = 4
[train]
steps = 4
queries = 16
targets = 2
"#;

/// A shop in a folder of its own, taken through the whole path once.
struct Shop {
    folder: TempDir,
}

fn strings(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn write_events(path: &Path, rename: impl Fn(&str) -> String, prices: &ArrayRef) {
    let rows = prices.len();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("who", strings((0..rows).map(|row| format!("user {}", row / 10 % 20)))),
        ("sku", strings((0..rows).map(|row| format!("sku {}", row * row % 31)))),
        ("at", strings((0..rows).map(|row| format!("2020-0{}-1{} 12:00:00", row % 3 + 1, row % 10)))),
        ("price", Arc::clone(prices)),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(rename(name), column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, column)| column).collect());
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), schema, None).unwrap();
    writer.write(&batch.unwrap()).unwrap();
    writer.close().unwrap();
}

fn prices() -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..400).map(|row| f64::from(row % 7) + 0.5)))
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: TempDir::new().unwrap() };
        fs::write(shop.path("nearshelf.toml"), CONFIG).unwrap();
        write_events(&shop.path("events.parquet"), str::to_owned, &prices());
        let items: String = (0..31).map(|item| format!("sku {item},thing {item}\n")).collect();
        fs::write(shop.path("items.csv"), format!("sku,name\n{items}")).unwrap();
        for command in ["prepare", "train", "build"] {
            let output = shop.run(&[command]);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_nearshelf"))
            .args(arguments)
            .args(["--config", "nearshelf.toml", "--work", "work"])
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// All files of the work folder.
    fn kept(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path("work")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    /// Runs a command that has to fail, with `words` in its message and nothing else changed.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let before = self.kept();
        let output = self.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
        for word in words {
            assert!(message.contains(word), "{arguments:?}: '{word}' is not in: {message}");
        }
        assert!(self.kept() == before, "{arguments:?} changed the work folder");
    }

    /// The object that begins with `magic`.
    fn object(&self, magic: &[u8]) -> PathBuf {
        let files = fs::read_dir(self.path("work/release/objects")).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| fs::read(path).unwrap().starts_with(magic)).unwrap()
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn truncated_parquet() {
    let shop = Shop::new();
    change(&shop.path("events.parquet"), |bytes| bytes.truncate(bytes.len() / 2));
    shop.refuses(&["prepare"], &["events.parquet", "Parquet"]);
}

#[test]
fn empty_file() {
    let shop = Shop::new();
    fs::write(shop.path("events.parquet"), "").unwrap();
    shop.refuses(&["prepare"], &["events.parquet", "no row", "expected", "export"]);
}

#[test]
fn missing_column() {
    let shop = Shop::new();
    write_events(&shop.path("events.parquet"), |name| name.replace("price", "cost"), &prices());
    shop.refuses(&["prepare"], &["events.parquet", "events.columns.price", "'price'", "cost"]);
}

#[test]
fn wrong_type() {
    let shop = Shop::new();
    let flags: ArrayRef = Arc::new(datafusion::arrow::array::BooleanArray::from(vec![true; 400]));
    assert_eq!(flags.data_type(), &DataType::Boolean);
    write_events(&shop.path("events.parquet"), str::to_owned, &flags);
    shop.refuses(&["prepare"], &["events.parquet", "price", "Boolean"]);
}

#[test]
fn cut_onnx() {
    let shop = Shop::new();
    change(&shop.path("work/run/query.onnx"), |bytes| bytes.truncate(bytes.len() / 2));
    shop.refuses(&["build"], &["query.onnx", "digest", "expected", "train"]);
}

/// Has the schemas name the digest of another ONNX file, as somebody would who brings an own tower.
fn adopt(shop: &Shop, onnx: &[u8]) {
    let old = nearshelf::Digest::of(&fs::read(shop.path("work/run/query.onnx")).unwrap()).to_string();
    fs::write(shop.path("work/run/query.onnx"), onnx).unwrap();
    let schemas = fs::read_to_string(shop.path("work/run/schemas.json")).unwrap();
    let schemas = schemas.replace(&old, &nearshelf::Digest::of(onnx).to_string());
    fs::write(shop.path("work/run/schemas.json"), schemas).unwrap();
}

#[test]
fn foreign_onnx() {
    use nearshelf::towers::onnx::{Axis, GraphBuilder};
    let shop = Shop::new();
    let mut graph = GraphBuilder::new("foreign");
    let input = graph.float_input("picture", &[Axis::Batch, Axis::Fixed(12)]);
    let output = graph.node("sine", "Sin", &[&input], &[]);
    adopt(&shop, &graph.finish(&output, &[Axis::Batch, Axis::Fixed(12)]));
    shop.refuses(&["build"], &["query.onnx", "sine", "expected", "operator"]);
    // Readable, but not with the inputs of a query tower.
    let mut graph = GraphBuilder::new("foreign");
    let input = graph.float_input("picture", &[Axis::Batch, Axis::Fixed(12)]);
    let output = graph.node("root", "Sqrt", &[&input], &[]);
    adopt(&shop, &graph.finish(&output, &[Axis::Batch, Axis::Fixed(12)]));
    shop.refuses(&["build"], &["inputs", "12", "expected"]);
    // No ONNX at all.
    adopt(&shop, b"no graph");
    shop.refuses(&["build"], &["query.onnx", "expected", "ONNX"]);
}

#[test]
fn nan_in_a_vector() {
    use tract_onnx_proto::poison;
    let shop = Shop::new();
    let path = shop.path("work/run/candidate.onnx");
    let old = nearshelf::Digest::of(&fs::read(&path).unwrap()).to_string();
    change(&path, |bytes| poison(bytes));
    let schemas = fs::read_to_string(shop.path("work/run/schemas.json")).unwrap();
    let new = nearshelf::Digest::of(&fs::read(&path).unwrap()).to_string();
    fs::write(shop.path("work/run/schemas.json"), schemas.replace(&old, &new)).unwrap();
    shop.refuses(&["build"], &["candidate.onnx", "NaN", "finite"]);
}

/// Changes a weight of an ONNX file in place.
mod tract_onnx_proto {
    /// Makes the first number of the id table a NaN. The raw data follow the tensor's name.
    pub(crate) fn poison(bytes: &mut [u8]) {
        let text = b"\x42\x03ids\x4a";
        let at = bytes.windows(text.len()).position(|window| window == text).unwrap() + text.len();
        // The length of the data is a varint: its last byte has no high bit.
        let data = at + bytes[at..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        bytes[data..data + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
}

#[test]
fn cut_shard() {
    let shop = Shop::new();
    let shard = shop.object(b"NSSH");
    change(&shard, |bytes| bytes.truncate(bytes.len() - 100));
    shop.refuses(&["verify", "work/release"], &["work/release", "shard", "expected"]);
    shop.refuses(&["inspect", shard.to_str().unwrap()], &[name(&shard), "truncated", "need", "download"]);
}

#[test]
fn flipped_bit_in_a_shard() {
    let shop = Shop::new();
    let shard = shop.object(b"NSSH");
    change(&shard, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    });
    shop.refuses(&["verify", "work/release"], &["work/release", "shard", name(&shard), "digest", "download"]);
    shop.refuses(&["inspect", shard.to_str().unwrap()], &[name(&shard), "damaged", "not its name", "build"]);
}

#[test]
fn wrong_digest() {
    let shop = Shop::new();
    let head = shop.path("work/release/head.json");
    let text = fs::read_to_string(&head).unwrap();
    let at = text.find("\"digest\":\"").unwrap() + 10;
    let mut wrong = text.clone();
    wrong.replace_range(at..at + 4, "0000");
    fs::write(&head, wrong).unwrap();
    shop.refuses(&["verify", "work/release"], &["work/release", "0000"]);
    // An object under the name of another one.
    fs::write(&head, text).unwrap();
    let (shard, tower) = (shop.object(b"NSSH"), shop.object(b"NSQT"));
    fs::copy(&tower, &shard).unwrap();
    shop.refuses(&["verify", "work/release"], &["work/release", "expected"]);
}

#[test]
fn a_release_made_by_other_towers() {
    use nearshelf::release::{ReleaseContent, ReleaseWriter};
    let (shop, other) = (Shop::new(), Shop::new());
    let config = CONFIG.replace("steps = 4", "steps = 5");
    fs::write(other.path("nearshelf.toml"), config).unwrap();
    fs::remove_dir_all(other.path("work/release")).unwrap();
    for command in ["train", "build"] {
        assert!(other.run(&[command]).status.success());
    }
    let content = ReleaseContent {
        name: "mixed".to_owned(),
        query_tower: fs::read(shop.object(b"NSQT")).unwrap(),
        shards: vec![fs::read(other.object(b"NSSH")).unwrap()],
        ..ReleaseContent::default()
    };
    let before = shop.kept();
    let error = ReleaseWriter::new(shop.path("work/release")).write(&content).unwrap_err();
    assert!(error.to_string().contains("towers") && error.to_string().contains("expected"), "{error}");
    assert!(shop.kept() == before);
    // Towers of one run with the catalogue of another.
    let schemas = shop.path("work/run/schemas.json");
    fs::copy(other.path("work/run/schemas.json"), &schemas).unwrap();
    shop.refuses(&["build"], &["query.onnx", "digest", "expected", "train"]);
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let shop = Shop::new();
    fs::write(shop.path("nearshelf.toml"), CONFIG.replace("hidden = 8", "hiden = 8")).unwrap();
    shop.refuses(&["train"], &["nearshelf.toml", "line 19", "hiden", "hidden"]);
}
