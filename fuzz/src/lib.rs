//! What is done with bytes from outside: each function opens them as one kind of file and uses whatever passed. None may panic,
//! hang or take memory beyond the measure of its input. They say whether the bytes passed.
//!
//! The fuzz targets call them, and so does `tests/fuzz_seeds.rs`, which needs no nightly compiler.

mod release;
mod shop;
mod towers;
mod trust;

use std::sync::Arc;

use nearshelf::Digest;
use nearshelf::index::{NodeId, RowSet, Scratch, SearchParams};
use nearshelf::release::overlay::{Outline, Overlay};
use nearshelf::release::{Manifest, ObjectRef};
use nearshelf::shard::columns::{Columns, Predicate};
use nearshelf::shard::delta::{Chain, Delta};
use nearshelf::shard::directory::DirectoryBucket;
use nearshelf::shard::{Shard, ShardError};
pub use release::{head, manifest, rules};
pub use towers::{program, ranker, repaired};
pub use trust::{root, signed_head};

/// Opens a shard, checks every value as for bytes whose digest is trusted, and searches, decodes and rewrites it.
pub fn shard(bytes: &[u8]) -> bool {
    let open = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        Shard::open(bytes.to_vec())?.verify_values(digest)
    };
    let Ok(shard) = open(bytes) else { return false };
    let mut scratch = Scratch::default();
    let query: Vec<f32> = (0..shard.dim()).map(|at| (at as f32 - 7.0) / 8.0).collect();
    let odd = RowSet::of(shard.len(), |node| node.0 % 2 == 1);
    let all = SearchParams { probes: usize::MAX, ef_search: 64 };
    let mut hits = shard.exact(&query, 9, &mut scratch);
    for params in [None, Some(all)] {
        hits.extend(shard.search(&query, 9, params, &mut scratch, None));
        let filtered = shard.search(&query, 9, params, &mut scratch, Some(&odd));
        assert!(filtered.iter().all(|hit| odd.contains(hit.node)), "the filter holds");
        hits.extend(filtered);
    }
    let mut vector = vec![0.0; shard.dim()];
    for hit in hits {
        let found = shard.node_of(&shard.id(hit.node));
        assert!(found.is_some_and(|found| found <= hit.node), "an id leads to the first node that has it");
        shard.vector_into(hit.node, &mut vector);
    }
    // An id that occurs twice is not written again.
    let content = shard.content();
    if let Ok(written) = content.write() {
        let again = open(&written).expect("what is written is read");
        assert_eq!(again.content(), content, "what is written says the same");
    }
    // What is damaged behind its digest has another one now: only an id that occurs twice may still be wrong.
    let mut bytes = bytes.to_vec();
    let end = bytes.len() - Digest::LEN;
    let digest = Digest::of(&bytes[..end]);
    bytes[end..].copy_from_slice(digest.as_bytes());
    let verified = Shard::open(bytes).expect("it opened before").verify();
    assert!(matches!(verified, Ok(_) | Err(ShardError::DuplicateId { .. })), "its values are good");
    true
}

/// Opens a delta, and searches a shard of one row with it.
pub fn delta(bytes: &[u8]) -> bool {
    let Ok(delta) = Delta::open(bytes, Digest::of(bytes)) else { return false };
    assert_eq!(delta.to_bytes(), bytes, "what is read is written");
    let query = vec![0.5; delta.added().dim()];
    // Whatever it changes: its own rows stand in.
    let base = Shard::open(delta.added().bytes().to_vec()).expect("it opened before");
    let Ok(base) = base.verify_values(Digest::of(bytes)) else { return false };
    let chain = Chain::new(Arc::new(base), vec![Arc::new(delta)]);
    let hits = chain.search(&query, 9, None, &mut Scratch::default(), None);
    assert!(hits.iter().all(|hit| chain.is_live(hit.node)), "what is found is there");
    assert!(hits.len() <= chain.len() && chain.nodes().count() == chain.len());
    true
}

/// Opens a bucket of the directory, and looks for ids.
pub fn directory(bytes: &[u8]) -> bool {
    let Ok(bucket) = DirectoryBucket::open(bytes.to_vec()) else { return false };
    assert_eq!(bucket.places().count(), bucket.len());
    // Parts of the input are as good as any ids, and reach those that are stored.
    for id in bytes.chunks(7).chain([&b""[..], b"item-0"]).filter_map(|id| std::str::from_utf8(id).ok()) {
        let found = bucket.find(id);
        assert!(found.is_none_or(|found| bucket.places().any(|place| place == found)), "what is found is a place");
    }
    true
}

/// Opens columns, and reads and asks each in every way.
pub fn columns(bytes: &[u8]) -> bool {
    let Ok(columns) = Columns::open(bytes.to_vec()) else { return false };
    let columns = columns.view();
    let predicates = [
        Predicate::Missing,
        Predicate::Present,
        Predicate::Between { low: 1, high: 1 << 40 },
        Predicate::FloatBetween { low: -1.0, high: 1.0 },
        Predicate::AnyOf(&["", "a"]),
        Predicate::Under(&["a"]),
        Predicate::Under(&[]),
    ];
    for column in columns.iter() {
        // One row beyond the last, too.
        for node in (0..=columns.rows() as u32).map(NodeId) {
            let _ = (column.code_at(node), column.u64_at(node), column.f32_at(node), column.text_at(node));
            column.path_at(node).into_iter().flatten().for_each(drop);
        }
        for entry in 0..column.entries().min(1000) {
            let text = column.text_of(entry);
            assert!(text.is_none_or(|text| column.entry_of(text) == Some(entry)), "a text leads to its entry");
        }
        for predicate in predicates {
            if let Ok(rows) = columns.rows_where(column.name(), predicate) {
                assert!(rows.iter().all(|node| node.row() < columns.rows()), "rows are rows");
            }
        }
    }
    true
}

/// Opens an overlay as one of two shards of forty rows, and takes what is out out of them.
pub fn overlay(bytes: &[u8]) -> bool {
    const ROWS: u32 = 40;
    let Ok(outline) = Outline::parse(bytes) else { return false };
    let object = |name: &str| format!(r#"{{"digest":"{}","size":1}}"#, Digest::of(name.as_bytes()));
    let shard = |name: &str| format!(r#"{{"object":{},"count":{ROWS}}}"#, object(name));
    let manifest = format!(
        r#"{{"format":1,"name":"fuzz","towers":"{}","dim":8,"engine":"program","layout":"single","query_tower":{},"shards":[{},{}],"items":{}}}"#,
        Digest::of(b"towers"),
        object("tower"),
        shard("one"),
        shard("other"),
        2 * ROWS
    );
    let manifest = Manifest::parse(manifest.as_bytes()).expect("it is written as the format says");
    let named = ObjectRef::of(bytes);
    let opened = Overlay::open(named, bytes.to_vec(), named.digest, (&manifest, outline.header.manifest));
    let Ok(overlay) = opened else { return false };
    assert_eq!((overlay.out(), overlay.priced() as u64), (outline.out, outline.priced), "both count the same");
    for at in 0..=manifest.shards.len() {
        let mut rows = RowSet::full(ROWS as usize);
        overlay.remove_out(at, &mut rows);
        assert_eq!(rows.count_ones() + overlay.out_of(at), ROWS as usize, "what is out is a row, and each once");
        for node in (0..=ROWS).map(NodeId) {
            let priced = overlay.prices(at).iter().find(|(row, _)| *row == node).map(|(_, price)| *price);
            assert_eq!(overlay.price(at, node), priced, "prices are found");
            assert_eq!(overlay.is_out(at, node), node.0 < ROWS && !rows.contains(node), "what is out is out");
        }
    }
    true
}
