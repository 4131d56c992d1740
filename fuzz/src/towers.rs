//! The files of towers: a query tower and a ranker, with their programs.

use nearshelf::Digest;
use nearshelf::features::ranking::{FEATURES, ItemFacts};
use nearshelf::features::{Context, FeatureSchema, FeatureVector, PastEvent, PastItem};
use nearshelf::towers::ranker::Embeddings;
use nearshelf::towers::{FLAG_ONNX, QueryTower, Ranker, Scratch};

use super::shop;

/// Where the fields of the file are: flags, the digest of the towers, the lengths of schema and program, and the schema.
const FLAGS: usize = 6;
const TOWERS: usize = 8;
const LENGTHS: usize = 40;
const SCHEMA: usize = 48;

/// Steps beyond which a program is opened, but not run: what the most of them take is measured, and does not find anything.
const FEW_STEPS: usize = 1 << 22;

/// A file whose lengths and digest agree with what is in it, and whose towers are the shop's: what was damaged then gets past them.
pub fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(end) = bytes.len().checked_sub(Digest::LEN).filter(|end| *end >= SCHEMA) else { return bytes };
    bytes[TOWERS..LENGTHS].copy_from_slice(shop::towers().as_bytes());
    let inside = (end - SCHEMA) as u32;
    let stated = u32::from_le_bytes([bytes[LENGTHS], bytes[LENGTHS + 1], bytes[LENGTHS + 2], bytes[LENGTHS + 3]]);
    // What came or went is in the schema where that then ends as it should.
    let ends = |schema: &u32| *schema > 0 && bytes[SCHEMA + *schema as usize - 1] == b'}';
    let near = (0..8).flat_map(|by| [stated.saturating_sub(by), stated.saturating_add(by)]);
    let schema = near.filter(|schema| *schema <= inside).find(ends).unwrap_or(stated.min(inside));
    bytes[LENGTHS..LENGTHS + 4].copy_from_slice(&schema.to_le_bytes());
    bytes[LENGTHS + 4..SCHEMA].copy_from_slice(&(inside - schema).to_le_bytes());
    let digest = Digest::of(&bytes[..end]);
    bytes[end..].copy_from_slice(digest.as_bytes());
    bytes
}

/// Opens a query tower, and embeds moments of all kinds with it.
pub fn program(bytes: &[u8]) -> bool {
    let bytes = repaired(bytes);
    // A build with the engine would give it to tract, whose reader is not what this is about.
    if bytes.get(FLAGS..TOWERS) == Some(&FLAG_ONNX.to_le_bytes()) {
        return false;
    }
    let Ok(tower) = QueryTower::open(&bytes) else { return false };
    assert_eq!(QueryTower::open(&tower.write()).expect("what is written is read"), tower);
    if tower.runner().program().is_none_or(|program| program.work() > FEW_STEPS) {
        return true;
    }
    let (schema, mut scratch) = (tower.schema(), Scratch::default());
    for moment in moments(schema) {
        let first =
            tower.embed(&moment, &mut scratch).expect("a tower that opens takes what its schema makes").to_vec();
        assert_eq!(first.len(), schema.dim);
        let again = tower.embed(&moment, &mut scratch).expect("as before");
        assert!(first.iter().zip(again).all(|(a, b)| a.to_bits() == b.to_bits()), "nothing is left of an earlier run");
    }
    if let Some(mut recommender) = shop::with("query_tower", &bytes) {
        shop::ask(&mut recommender, None);
    }
    true
}

/// Of no history, and of one that is longer than the tower reads.
fn moments(schema: &FeatureSchema) -> [FeatureVector; 2] {
    let rows: Vec<f32> = (0..schema.dim).map(|at| (at as f32 - 3.0) / 4.0).collect();
    let item = |at: u32| PastItem {
        newest: PastEvent {
            item: at,
            event_type: at % 66,
            at_ms: (!at.is_multiple_of(3)).then(|| -i64::from(at) << 26),
        },
        count: at % 60,
    };
    let assembled = |items: u32, context: &Context| {
        schema.assemble((1..=items).map(|at| (&rows[..], item(at))), context).expect("its vectors are of its length")
    };
    let known = Context {
        now_ms: Some(1_795_494_120_000),
        location: Some("a/b".to_owned()),
        attributes: vec![("age".to_owned(), "65+".to_owned())],
        ..Context::default()
    };
    [assembled(0, &Context::default()), assembled(schema.history.length as u32 + 1, &known)]
}

/// Opens a ranker, and asks it of items that it knows and of others.
pub fn ranker(bytes: &[u8]) -> bool {
    let bytes = repaired(bytes);
    let Ok(ranker) = Ranker::open(&bytes) else { return false };
    let (schema, mut scratch) = (ranker.schema(), Scratch::default());
    let vector = vec![0.5; schema.dim];
    let embeddings = Embeddings { query: &vector, item: &vector };
    for number in [0, 1, u32::MAX] {
        let facts = ItemFacts { shelf: Some(number), brand: Some(number), ..ItemFacts::default() };
        let numbers = [number as f32; FEATURES.len()];
        let found = ranker.probabilities(&numbers, embeddings, &facts, &mut scratch).expect("it takes any item");
        assert_eq!(found.len(), schema.tasks.len());
        let value = schema.objective.value(found, &|_| Some(f32::MAX));
        assert!(value.is_finite(), "candidates can be ordered by it");
    }
    if let Some(mut recommender) = shop::with("ranker", &bytes) {
        shop::ask(&mut recommender, None);
    }
    true
}
