//! Query towers as other frameworks export them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::parquet::arrow::ArrowWriter;
use nearshelf::data::config::ModelConfig;
use nearshelf::data::{Config, IndexConfig, Item, Layout, TowersConfig};
use nearshelf::recommend::{Recommender, Request};
use nearshelf::release::{self, BuildInput, Refreshed};
use nearshelf::towers::candidate::Towers;
use nearshelf::towers::{Input, InputKind, Program, Scratch, TowerError, lower};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::onnx::check_against_tract;
use crate::{SEED, shop, trained};

/// Written by `foreign.py` beside this file.
const TOWERS: [&str; 6] =
    ["pytorch-attention", "keras-dense", "pytorch-gru", "pytorch-gru-wide", "keras-gru", "pytorch-lstm"];
/// The input that is not negative.
const WEIGHTS: usize = 1;
const INPUTS: usize = 200;

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx").join(name).with_extension("onnx")
}

#[test]
fn attention_norms_and_recurrent_layers_compute_what_tract_computes() {
    for name in TOWERS {
        let program = lower::compile(&path(name)).unwrap();
        println!("{name}: {} operations, {} bytes", program.operations().len(), program.encode().len());
        check_against_tract(&path(name), &[], WEIGHTS, INPUTS);
    }
}

#[test]
fn programs_come_back_from_bytes_and_damaged_ones_are_refused_or_checked() {
    for name in TOWERS {
        let program = lower::compile(&path(name)).unwrap();
        let bytes = program.encode();
        assert_eq!(Program::decode(&bytes).unwrap(), program, "{name}");
        for len in 0..bytes.len() {
            assert!(Program::decode(&bytes[..len]).is_err(), "{name} cut at {len}");
        }
        for at in 0..bytes.len() {
            for bit in [0, 3, 7] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let Ok(read) = Program::decode(&damaged) else { continue };
                // What is read runs, whatever it computes, or names the input that does not fit.
                let zeros =
                    |&(kind, length): &(InputKind, usize)| (kind == InputKind::Float).then(|| vec![0.0; length]);
                let Some(inputs) = read.inputs().iter().map(zeros).collect::<Option<Vec<_>>>() else { continue };
                let inputs: Vec<Input<'_>> = inputs.iter().map(|input| Input::Float(input)).collect();
                let length = read.run(&inputs, &mut Scratch::default()).unwrap().len();
                assert_eq!(length, read.output_len(), "{name}, bit {bit} of byte {at}");
            }
        }
    }
}

/// Of the towers that `foreign.py` writes.
pub(crate) const DIM: usize = 8;
pub(crate) const LENGTH: usize = 6;

fn unit_vectors(count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let vector = |_| {
        let vector: Vec<f32> = (0..DIM).map(|_| rng.random_range(-1.0..1.0_f32)).collect();
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.into_iter().map(move |x| x / norm)
    };
    (0..count).flat_map(vector).collect()
}

fn write_parquet(path: &Path, ids: &[&str], vectors: &[f32]) {
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let lists = FixedSizeListArray::new(item, DIM as i32, Arc::new(Float32Array::from(vectors.to_vec())), None);
    let columns: [(&str, ArrayRef); 2] =
        [("item", Arc::new(StringArray::from(ids.to_vec()))), ("embedding", Arc::new(lists))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn write_npy(path: &Path, vectors: &[f32]) {
    let shape = (vectors.len() / DIM, DIM);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(vectors.iter().flat_map(|x| x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

pub(crate) fn config(folder: &Path, candidates: &str) -> Config {
    Config {
        towers: Some(TowersConfig {
            query: path("pytorch-attention"),
            candidates: candidates.into(),
            ids: candidates.ends_with(".npy").then(|| "ids.txt".into()),
        }),
        model: ModelConfig { dim: DIM, history: LENGTH, ..ModelConfig::default() },
        index: IndexConfig { layout: Some(Layout::Single), bits: Some(8), ..IndexConfig::default() },
        base: folder.to_owned(),
        ..shop::config()
    }
}

/// Writes the embeddings of a catalogue in both formats, the rows in another order than the catalogue's.
pub(crate) fn embeddings(folder: &Path, items: &[Item]) -> Vec<f32> {
    let vectors = unit_vectors(items.len());
    let ids: Vec<&str> = items.iter().rev().map(|item| item.id.as_str()).collect();
    write_parquet(&folder.join("candidates.parquet"), &ids, &vectors);
    write_npy(&folder.join("candidates.npy"), &vectors);
    fs::write(folder.join("ids.txt"), ids.join("\n") + "\n").unwrap();
    vectors
}

#[test]
fn towers_from_elsewhere_make_a_release_that_recommends_by_them() {
    let (folder, items) = (TempDir::new().unwrap(), &trained().dataset.items);
    let vectors = embeddings(folder.path(), items);
    let mut manifests = Vec::new();
    for candidates in ["candidates.parquet", "candidates.npy"] {
        let config = config(folder.path(), candidates);
        let towers = Towers::of(&config, Path::new("no run")).unwrap();
        let out = folder.path().join(format!("{candidates} release"));
        manifests.push(release::build(&BuildInput::of(items), &towers, &config, &out).unwrap().written.manifest);
        release::verify(&out).unwrap();
    }
    assert_eq!(manifests[0], manifests[1], "both formats say the same");

    let opened = release::open(&folder.path().join("candidates.npy release")).unwrap();
    let history: Vec<String> = [3, 77, 140].iter().map(|&at: &usize| items[at].id.clone()).collect();
    let request =
        Request { limit: 10, history: history.iter().map(|id| id.as_str().into()).collect(), ..Request::default() };
    let found = Recommender::of(&opened).recommend(&request).unwrap();

    let row = |at: usize| &vectors[(items.len() - 1 - at) * DIM..][..DIM];
    let mut input: Vec<f32> = [140, 77, 3].into_iter().flat_map(row).copied().collect();
    input.resize(LENGTH * DIM, 0.0);
    let inputs = [Input::Float(&input), Input::Float(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0])];
    let program = lower::compile(&path("pytorch-attention")).unwrap();
    let mut scratch = Scratch::default();
    let query = program.run(&inputs, &mut scratch).unwrap();
    let score = |at: usize| row(at).iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let mut best: Vec<usize> = (0..items.len()).collect();
    best.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    let best: Vec<&str> = best[..10].iter().map(|&at| items[at].id.as_str()).collect();
    let same = found.iter().filter(|candidate| best.contains(&candidate.id.as_str())).count();
    // The codes are coarser than the embeddings.
    assert!(same >= 9, "{same} of 10: {found:?} against {best:?}");
}

#[test]
fn an_item_that_is_embedded_later_is_an_update() {
    let (folder, items) = (TempDir::new().unwrap(), &trained().dataset.items);
    let mut vectors = embeddings(folder.path(), items);
    let (config, out) = (config(folder.path(), "candidates.npy"), folder.path().join("release"));
    let towers = || Towers::of(&config, Path::new("no run")).unwrap();
    release::build(&BuildInput::of(&items[1..]), &towers(), &config, &out).unwrap();
    // The embedding of another item changes, too.
    vectors[..DIM].reverse();
    write_npy(&folder.path().join("candidates.npy"), &vectors);
    match release::refresh(&BuildInput::of(items), &towers(), &config, &out).unwrap() {
        Refreshed::Updated(report) => assert_eq!((report.added, report.changed), (1, 1), "{report}"),
        Refreshed::Anew { why, .. } => panic!("built anew: {why}"),
    }
}

#[test]
fn towers_of_another_shape_or_none_ask_for_training() {
    let run = trained().run();
    Towers::of(&shop::config(), &run).unwrap();
    let untrained = |model: ModelConfig, run: &Path| {
        let error = Towers::of(&Config { model, ..shop::config() }, run).unwrap_err();
        assert!(matches!(error, TowerError::Untrained { .. }), "{error}");
    };
    let model = shop::config().model;
    untrained(model.clone(), Path::new("no run"));
    untrained(ModelConfig { dim: 32, ..model.clone() }, &run);
    untrained(ModelConfig { history_decay: 0.5, ..model }, &run);
}

#[test]
fn embeddings_that_do_not_fit_are_named() {
    let (folder, items) = (TempDir::new().unwrap(), &trained().dataset.items);
    let vectors = embeddings(folder.path(), items);
    let (root, npy) = (folder.path(), config(folder.path(), "candidates.npy"));
    let error = |config: &Config, items: &[Item]| {
        let towers = Towers::of(config, Path::new("no run"));
        towers.and_then(|towers| towers.embed(items)).unwrap_err().to_string()
    };
    let unknown = Item { id: "unknown".to_owned(), ..items[0].clone() };
    let message = error(&npy, &[items[1].clone(), unknown]);
    assert!(message.contains("no embedding of 1 of 2 items, \"unknown\" among them"), "{message}");
    let narrow = ModelConfig { dim: 16, ..npy.model.clone() };
    assert!(error(&Config { model: narrow, ..npy.clone() }, items).contains("expected [items, 16]"));
    let short = ModelConfig { history: 5, ..npy.model.clone() };
    assert!(error(&Config { model: short, ..npy.clone() }, items).contains("expected inputs history [batch, 5, 8]"));
    fs::write(root.join("ids.txt"), "item-0001\n").unwrap();
    assert!(error(&npy, items).contains("ids.txt: lines: found 1, expected 240"));
    let mut broken = vectors.clone();
    broken[3 * DIM + 2] = f32::NAN;
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    write_parquet(&root.join("candidates.parquet"), &ids, &broken);
    assert!(error(&config(root, "candidates.parquet"), items).contains("row 3, column 2: found NaN"));
    let twice: Vec<&str> = std::iter::once(ids[9]).chain(ids[1..].iter().copied()).collect();
    write_parquet(&root.join("candidates.parquet"), &twice, &vectors);
    assert!(error(&config(root, "candidates.parquet"), items).contains("rows 0 and 9: found item \"item-0009\" twice"));
    fs::write(root.join("candidates.parquet"), b"PAR1").unwrap();
    assert!(error(&config(root, "candidates.parquet"), items).contains("expected a whole Parquet file"));
}
