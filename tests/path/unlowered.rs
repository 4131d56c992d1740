//! Query towers with operators that have no lowering: those that tract runs, and those that nothing runs.

use std::path::Path;

use nearshelf::data::{Config, TowersConfig};
use nearshelf::recommend::{HistoryEvent, Recommender, Request};
use nearshelf::release::{self, BuildInput};
use nearshelf::towers::candidate::Towers;
use nearshelf::towers::engine::{Graph, MAX_GRAPH};
use nearshelf::towers::{Input, QueryTower, TowerError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tempfile::TempDir;
use tract_onnx::prelude::*;

use crate::foreign::{DIM, LENGTH, config, embeddings, path};
use crate::{SEED, fixtures, trained};

/// What an order of sums may change.
const TOLERANCE: f32 = 1e-6;

fn configured(folder: &Path, tower: &str) -> Config {
    let config = config(folder, "candidates.npy");
    let towers = config.towers.clone().map(|towers| TowersConfig { query: path(tower), ..towers });
    Config { towers, ..config }
}

/// tract by its own calls, without kernels for this machine.
fn by_tract(file: &Path, history: &[f32], weights: &[f32]) -> Vec<f32> {
    let mut model = onnx().model_for_path(file).unwrap();
    model.set_input_fact(0, f32::fact([1, LENGTH, DIM]).into()).unwrap();
    model.set_input_fact(1, f32::fact([1, LENGTH]).into()).unwrap();
    let plan = model.into_typed().unwrap().into_runnable().unwrap();
    let history = Tensor::from_shape(&[1, LENGTH, DIM], history).unwrap();
    let weights = Tensor::from_shape(&[1, LENGTH], weights).unwrap();
    let outputs = plan.run(tvec!(history.into_tvalue(), weights.into_tvalue())).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

fn close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= TOLERANCE, "off by {worst}: {ours:?} and {theirs:?}");
}

#[test]
fn a_tower_without_a_lowering_makes_a_release_that_tract_runs() {
    let (embedded, items) = (TempDir::new().unwrap(), &trained().dataset.items);
    let vectors = embeddings(embedded.path(), items);
    let config = configured(embedded.path(), "pytorch-leaky-relu");
    let towers = Towers::of(&config, Path::new("no run")).unwrap();
    let (folder, _temporary) = fixtures::folder();
    let out = folder.join("onnx");
    let report = release::build(&BuildInput::of(items), &towers, &config, &out).unwrap().to_string();
    let line = report.lines().find(|line| line.starts_with("engine")).unwrap();
    assert!(line.contains("tract") && line.contains("(LeakyRelu)") && line.contains("MB"), "{line}");
    release::verify(&out).unwrap();

    let opened = release::open(&out).unwrap();
    assert_eq!(opened.manifest().engine, release::ENGINE_TRACT);
    let bytes = opened.query_tower().write();
    assert!(release::inspect(&bytes).unwrap().contains("ONNX, for the tract engine"));
    assert_eq!(&QueryTower::open(&bytes).unwrap(), &**opened.query_tower());

    let mut recommender = Recommender::of(&opened);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut answers = Vec::new();
    for count in (0..=LENGTH).cycle().take(50) {
        let mut places: Vec<usize> = (0..count).map(|_| rng.random_range(0..items.len())).collect();
        places.sort_unstable();
        places.dedup();
        let history: Vec<&str> = places.iter().map(|&at| items[at].id.as_str()).collect();
        let events = history.iter().map(|id| HistoryEvent::from(*id)).collect();
        let request = Request { limit: 10, history: events, ..Request::default() };
        let query = recommender.embed(&request.history, &request.context).unwrap();
        let again = Recommender::of(&opened).embed(&request.history, &request.context).unwrap();
        assert_eq!(query, again, "seed {SEED}");

        // The vectors of a history are those of the shard, which are coarser than the given ones: the tower's own check is below.
        let found = recommender.recommend(&request).unwrap();
        assert_eq!(found.len(), 10);
        let found: Vec<_> = found.iter().map(|candidate| json!([candidate.id, candidate.score])).collect();
        answers.push(json!({ "history": history, "embedding": query.embedding, "items": found }));
        let mut rows: Vec<f32> = places.iter().flat_map(|at| vectors[at * DIM..][..DIM].to_vec()).collect();
        rows.resize(LENGTH * DIM, 0.0);
        let weights: Vec<f32> = (0..LENGTH).map(|at| f32::from(u8::from(at < places.len()))).collect();
        let graph = Graph::open(&std::fs::read(path("pytorch-leaky-relu")).unwrap()).unwrap();
        let ours = graph.run(&[Input::Float(&rows), Input::Float(&weights)]).unwrap();
        close(&ours, &by_tract(&path("pytorch-leaky-relu"), &rows, &weights));
    }
    std::fs::write(folder.join("onnx.json"), serde_json::to_vec(&answers).unwrap()).unwrap();
}

#[test]
fn an_operator_that_nothing_runs_is_named_with_its_node() {
    let folder = TempDir::new().unwrap();
    embeddings(folder.path(), &trained().dataset.items);
    let error = Towers::of(&configured(folder.path(), "keras-reverse-sequence"), Path::new("no run")).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TowerError::Onnx { .. }), "{message}");
    assert!(message.contains("keras-reverse-sequence.onnx: node \"reversesequence"), "{message}");
    assert!(
        message.contains("(ReverseSequence)") && message.contains("export the tower without this operator"),
        "{message}"
    );
}

/// A golden tower in which `from` is replaced by `to`, of the same length.
fn changed(tower: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(path(tower)).unwrap();
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{tower} has no {from}");
    for at in places {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn graphs_that_cannot_be_typed_or_run_are_named_and_never_panic() {
    let refused = |bytes: &[u8]| match Graph::open(bytes).and_then(|graph| graph.trial()) {
        Err(TowerError::Graph { place, found, .. }) => format!("{place}: {found}"),
        other => panic!("{other:?}"),
    };
    // An operator of two operands that has one.
    let message = refused(&changed("pytorch-leaky-relu", "LeakyRelu", "BitwiseOr"));
    assert!(message.starts_with("node \"leakyrelu"), "{message}");
    let message = refused(&changed("pytorch-leaky-relu", "LeakyRelu", "Bernoulli"));
    assert!(message.contains("(Bernoulli): an operator of chance"), "{message}");
    let message = refused(&changed("keras-dense", "Reciprocal", "Multinomi_"));
    assert!(message.contains("(Multinomi_): an operator that tract does not have"), "{message}");
    let message = refused(&vec![0; MAX_GRAPH + 1]);
    assert!(message.starts_with("graph: 16777217 bytes"), "{message}");

    let whole = std::fs::read(path("pytorch-leaky-relu")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for round in 0..400 {
        let mut bytes = whole.clone();
        if round % 2 == 0 {
            bytes.truncate(rng.random_range(0..whole.len()));
        } else {
            let at = rng.random_range(0..whole.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        // What is damaged is refused, or computes finite numbers all the same.
        if let Err(error) = Graph::open(&bytes).and_then(|graph| graph.trial()) {
            assert!(matches!(error, TowerError::Graph { .. } | TowerError::Input { .. }), "seed {SEED}: {error}");
        }
    }
}
