//! Shards from outside: round trips, damage, and the golden files.

use std::path::Path;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::format::{FORMAT_VERSION, HEADER_LEN, NO_ENTRY_POINT, Section};
use super::testing::content;
use super::{Header, Shard, ShardContent, ShardError, Verified};
use crate::Digest;
use crate::index::testing::Random;
use crate::index::{Hit, NodeId, QueryCode, Scratch, search};

fn read(bytes: Vec<u8>) -> Result<Shard<Verified>, ShardError> {
    Shard::open(bytes)?.verify()
}

/// Makes the digest at the end right, so that damage gets past it.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - Digest::LEN;
    let digest = Digest::of(&bytes[..content]);
    bytes[content..].copy_from_slice(digest.as_bytes());
    bytes
}

/// A search may find anything in a shard that passed, but it must end.
fn search_somewhere(shard: &Shard<Verified>) {
    let query = vec![0.5; shard.dim()];
    let hits = shard.search(&query, 5, None, &mut Scratch::default());
    assert!(hits.len() <= 5);
    for hit in hits {
        assert_eq!(shard.node_of(shard.id(hit.node)), Some(hit.node));
    }
}

#[test]
fn a_header_built_from_the_table_is_read() {
    let mut bytes = Vec::new();
    bytes.extend(b"NSSH");
    bytes.extend([1, 0]); // format_version
    bytes.extend([0, 0]); // reader_flags
    bytes.extend([2, 0, 0, 0]); // dim
    bytes.extend([3, 0, 0, 0]); // count
    bytes.extend([4, 0]); // m
    bytes.extend([0, 0]); // metric, encoding
    bytes.extend([1, 0, 0, 0]); // entry_point
    bytes.extend([0x2c, 1, 0, 0]); // ef_search
    bytes.extend([1, 0, 0, 0]); // upper_layers
    bytes.extend([7; 32]); // towers
    bytes.extend([9, 0, 0, 0]); // id_bytes
    bytes.extend([6, 0, 0, 0]); // base_links
    bytes.extend([2, 0, 0, 0]); // upper_nodes
    bytes.extend([1, 0, 0, 0]); // upper_links
    bytes.extend([0; 16]); // reserved
    let expected = Header {
        dim: 2,
        count: 3,
        m: 4,
        entry_point: 1,
        ef_search: 300,
        upper_layers: 1,
        towers: Digest::from_bytes([7; 32]),
        id_bytes: 9,
        base_links: 6,
        upper_nodes: 2,
        upper_links: 1,
    };
    assert_eq!(Header::parse(&bytes).unwrap(), expected);
    assert_eq!(expected.to_bytes(), *bytes);
    // id_ends, id_text, codes, scales, base_counts, base_links, layer_sizes, upper_counts, upper_links.
    let sections = [12, 9, 6, 12, 3, 12, 4, 2, 2];
    assert_eq!(Section::ALL.map(|section| expected.section_len(section)), sections);
    assert_eq!(expected.file_len(), 96 + sections.iter().sum::<u64>() + 32);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(
        seed in any::<u64>(), count in 0usize..70, dim in 1usize..20, m in prop_oneof![Just(0usize), 1usize..6],
        text in prop::collection::vec(any::<char>(), 70), ef_search in 1usize..100,
    ) {
        // Ids of any text and of different lengths, one of them empty.
        let ids = (0..count).map(|node| text[..node].iter().collect()).collect();
        let content = ShardContent { ef_search, ids, ..content(seed, count, dim, m) };
        let bytes = content.write().unwrap();
        prop_assert_eq!(content.clone().write().unwrap(), bytes.clone());
        let shard = read(bytes.clone()).unwrap();
        prop_assert_eq!(shard.content(), content.clone());
        prop_assert_eq!(shard.content().write().unwrap(), bytes);
        for (node, id) in content.ids.iter().enumerate() {
            prop_assert_eq!(shard.id(NodeId(node as u32)), id);
            prop_assert_eq!(shard.node_of(id), Some(NodeId(node as u32)));
        }
        prop_assert_eq!(shard.node_of("not an id"), None);

        let query = Random(seed ^ 1).vector(dim);
        let code = QueryCode::new(&query);
        let expected = match &content.graph {
            Some(graph) => search(&content.codes.view(), &graph.view(), &code, 7, ef_search, &mut Scratch::default(), None),
            None => shard.exact(&query, 7),
        };
        prop_assert_eq!(shard.search(&query, 7, None, &mut Scratch::default()), expected);
    }
}

#[test]
fn links_are_wide_where_nodes_need_it() {
    let header = |count| Header { count, ..Header::parse(&content(1, 9, 2, 2).write().unwrap()).unwrap() };
    assert_eq!((header(1 << 16).link_width(), header((1 << 16) + 1).link_width()), (2, 4));
}

#[test]
fn a_shard_that_is_cut_anywhere_or_goes_on_is_refused() {
    let whole = content(2, 20, 3, 2).write().unwrap();
    for len in 0..whole.len() {
        let error = read(whole[..len].to_vec()).unwrap_err();
        let expected = if len < 4 { "shard/magic" } else { "shard/truncated" };
        assert_eq!(error.code(), expected, "cut at {len}: {error}");
    }
    let error = read([&whole[..], &[0]].concat()).unwrap_err();
    assert!(matches!(error, ShardError::Trailing { need, have } if have == need + 1), "{error}");
}

#[test]
fn every_flipped_bit_is_found_and_behind_a_right_digest_does_no_harm() {
    let whole = content(3, 20, 3, 2).write().unwrap();
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let error = read(bytes.clone()).expect_err("the digest covers every bit");
        // Beyond the header nothing is looked at before the digest.
        assert!(at / 8 < HEADER_LEN || error.code() == "shard/digest", "bit {at}: {error}");
        if let Ok(shard) = read(repaired(bytes)) {
            search_somewhere(&shard);
        }
    }
}

/// A shard of 20 candidates with one place of a section overwritten and the digest made right.
fn damaged(section: Section, at: usize, with: &[u8]) -> ShardError {
    let mut bytes = content(4, 20, 3, 2).write().unwrap();
    let start = Header::parse(&bytes).unwrap().section_range(section).start + at;
    bytes[start..start + with.len()].copy_from_slice(with);
    read(repaired(bytes)).unwrap_err()
}

#[test]
fn every_broken_value_is_named() {
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0] {
        let error = damaged(Section::Scales, 4, &scale.to_le_bytes());
        assert!(matches!(error, ShardError::Scale { node: 1, .. }), "{error}");
    }
    let field = |section, at, with: &[u8]| match damaged(section, at, with) {
        ShardError::Field { what, found, .. } => (what, found),
        error => panic!("{error}"),
    };
    assert_eq!(field(Section::BaseLinks, 2, &[20, 0]), ("link", 20));
    // Layer 1 has the nodes 0 to 4.
    assert_eq!(field(Section::UpperLinks, 0, &[5, 0]), ("link", 5));
    assert_eq!(field(Section::BaseCounts, 3, &[5]), ("number of links of a node", 5));
    assert_eq!(field(Section::UpperCounts, 0, &[3]), ("number of links of a node", 3));
    assert_eq!(field(Section::BaseCounts, 0, &[0]).0, "number of all links");
    assert_eq!(field(Section::LayerSizes, 0, &[21, 0, 0, 0]), ("size of a layer", 21));
    assert_eq!(field(Section::IdEnds, 0, &[0xff, 0, 0, 0]), ("end of an id", 0xff));
    assert!(matches!(damaged(Section::IdText, 0, &[0xff]), ShardError::IdText { node: 0 }));
    let error = damaged(Section::IdText, 6, b"item-0");
    assert!(matches!(&error, ShardError::DuplicateId { id, first: 0, second: 1 } if id == "item-0"), "{error}");
}

#[test]
fn a_shard_of_a_later_format_or_of_other_towers_says_what_to_do() {
    let whole = content(5, 3, 2, 0).write().unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        read(repaired(bytes)).unwrap_err()
    };
    let later = FORMAT_VERSION + 1;
    assert_eq!(
        with(4, later as u8).to_string(),
        format!("shard format {later}, this build reads 1..=1; update the package")
    );
    assert!(matches!(with(4, 0), ShardError::Version { found: 0 }));
    assert!(matches!(with(6, 1), ShardError::Flags { found: 1, known: 0 }));
    assert!(matches!(with(0, b'n'), ShardError::Magic { .. }));

    let (made_by, other) = (Digest::of(b"towers"), Digest::of(b"others"));
    let shard = read(whole).unwrap();
    assert!(shard.check_towers(made_by).is_ok());
    let error = shard.check_towers(other).unwrap_err();
    assert!(
        matches!(error, ShardError::Towers { found, expected } if (found, expected) == (made_by, other)),
        "{error}"
    );
}

#[test]
fn the_writer_refuses_what_no_reader_would_accept() {
    let good = content(6, 4, 2, 1);
    let twice = ShardContent { ids: ["a", "b", "a", "c"].map(str::to_owned).to_vec(), ..good.clone() };
    assert!(matches!(twice.write(), Err(ShardError::DuplicateId { first: 0, second: 2, .. })));
    let short = ShardContent { ids: good.ids[..3].to_vec(), ..good.clone() };
    assert!(matches!(short.write(), Err(ShardError::Content { what: "codes", found: 4, expected: 3 })));
    let ef_search = ShardContent { ef_search: 0, ..good };
    assert!(matches!(ef_search.write(), Err(ShardError::Field { what: "ef_search", found: 0, .. })));
}

#[test]
fn an_empty_shard_is_a_shard() {
    let shard = read(content(7, 0, 3, 2).write().unwrap()).unwrap();
    assert_eq!((shard.len(), shard.header().entry_point), (0, NO_ENTRY_POINT));
    assert_eq!(shard.search(&[1.0; 3], 5, None, &mut Scratch::default()), []);
}

/// One golden search. Scores are bits: every build gives the same.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    shard: String,
    query: Vec<f32>,
    ids: Vec<String>,
    score_bits: Vec<u32>,
}

fn golden_search(name: &str, shard: &Shard<Verified>, query: Vec<f32>) -> Golden {
    let hits = shard.search(&query, 10, None, &mut Scratch::default());
    Golden {
        shard: name.to_owned(),
        query,
        ids: hits.iter().map(|hit| shard.id(hit.node).to_owned()).collect(),
        score_bits: hits.iter().map(|Hit { score, .. }| score.0.to_bits()).collect(),
    }
}

/// Makes a golden file unless there is one: a change of the format or of the arithmetic must not pass by changing it.
fn keep_golden(path: &Path, bytes: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    if !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes()).unwrap();
    }
    std::fs::read(path).unwrap()
}

#[test]
fn golden_shards_are_read_and_give_the_same_results() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/shard-v{FORMAT_VERSION}"));
    let mut searches = Vec::new();
    for (name, seed, m) in [("graph.nssh", 11, 4), ("flat.nssh", 12, 0)] {
        let bytes = keep_golden(&folder.join(name), || content(seed, 200, 13, m).write().unwrap());
        let shard = read(bytes.clone()).unwrap();
        assert_eq!(shard.content().write().unwrap(), bytes, "{name} is no longer written as it was");
        let mut random = Random(seed);
        searches.extend((0..4).map(|_| golden_search(name, &shard, random.vector(13))));
    }
    let expected = keep_golden(&folder.join("searches.json"), || serde_json::to_vec_pretty(&searches).unwrap());
    assert_eq!(searches, serde_json::from_slice::<Vec<Golden>>(&expected).unwrap());
}
