//! Shards from outside: round trips, damage, and the golden files.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::columns::{Columns, ColumnsError, ColumnsView, Predicate};
use super::format::{FORMAT_VERSION, HEADER_LEN, IdKind, NO_ENTRY_POINT, OLDEST_READABLE, Section};
use super::golden;
use super::ids::{self, IdTable};
use super::testing::{columns, content, content_in_cells};
use super::{Header, Shard, ShardContent, ShardError, Verified};
use crate::Digest;
use crate::index::testing::Random;
use crate::index::{FineBits, Hit, NodeId, QueryCode, Scratch, SearchParams};

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
    let hits = shard.search(&query, 5, None, &mut Scratch::default(), None);
    assert!(hits.len() <= 5);
    for hit in hits {
        assert_eq!(shard.node_of(&shard.id(hit.node)), Some(hit.node));
    }
    for column in shard.columns().iter().flat_map(ColumnsView::iter) {
        assert!(column.rows_where(Predicate::Present).unwrap().count_ones() <= shard.len());
    }
}

#[test]
fn a_header_built_from_the_table_is_read() {
    let mut bytes = Vec::new();
    bytes.extend(b"NSSH");
    bytes.extend([3, 0]); // format_version
    bytes.extend([0, 0]); // reader_flags
    bytes.extend([34, 0, 0, 0]); // dim
    bytes.extend([3, 0, 0, 0]); // count
    bytes.extend([2, 0, 0, 0]); // cells
    bytes.extend([2, 0, 0xfb, 1]); // fine_bits, metric, step_exponent, id_kind
    bytes.extend([4, 0, 1, 0]); // m, upper_layers
    bytes.extend([5, 0, 0, 0]); // probes
    bytes.extend([7; 32]); // towers
    bytes.extend([0x2c, 1, 0, 0]); // ef_search
    bytes.extend([1, 0, 0, 0]); // entry_point
    bytes.extend([9, 0, 0, 0]); // id_bytes
    bytes.extend([6, 0, 0, 0]); // base_bytes
    bytes.extend([2, 0, 0, 0]); // upper_nodes
    bytes.extend([1, 0, 0, 0]); // upper_bytes
    bytes.extend([5, 0, 0, 0]); // columns_bytes
    bytes.extend([0; 4]); // reserved
    let expected = Header {
        dim: 34,
        count: 3,
        cells: 2,
        fine_bits: FineBits::Two,
        step_exponent: -5,
        id_kind: IdKind::Decimal,
        m: 4,
        upper_layers: 1,
        probes: 5,
        towers: Digest::from_bytes([7; 32]),
        ef_search: 300,
        entry_point: 1,
        id_bytes: 9,
        base_bytes: 6,
        upper_nodes: 2,
        upper_bytes: 1,
        columns_bytes: 5,
    };
    assert_eq!(Header::parse(&bytes).unwrap(), expected);
    assert_eq!(expected.to_bytes(), *bytes);
    // centroid_codes, centroid_scales, cell_ends, steps, coarse, fine, ids, base_counts, base_links, layer_sizes, upper_counts,
    // upper_links, columns.
    let sections = [68, 8, 8, 3, 96, 27, 9, 2, 6, 4, 2, 1, 5];
    assert_eq!(Section::ALL.map(|section| expected.section_len(section)), sections);
    assert_eq!(expected.file_len(), 96 + sections.iter().sum::<u64>() + 32);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(
        seed in any::<u64>(), count in 0usize..70, dim in 1usize..70, m in prop_oneof![Just(0usize), 1usize..6],
        cells in 1usize..6, text in prop::collection::vec(any::<char>(), 70), numbers in any::<bool>(), probes in 1usize..9,
        with_columns in any::<bool>(),
    ) {
        // Ids of any text and of different lengths, one of them empty; or numbers of any size.
        let id = |node: usize| if numbers { (seed >> (node % 64)).wrapping_add(node as u64).to_string() } else { text[..node].iter().collect() };
        let mut ids: Vec<String> = (0..count).map(id).collect();
        ids.sort();
        ids.dedup();
        let params = SearchParams { probes, ef_search: 40 };
        let columns = if with_columns { columns(seed, ids.len()) } else { Vec::new() };
        let content = ShardContent { params, ids: ids.clone(), columns, ..content_in_cells(seed, ids.len(), dim, m, cells) };
        let bytes = content.write().unwrap();
        prop_assert_eq!(content.clone().write().unwrap(), bytes.clone());
        let shard = read(bytes.clone()).unwrap();
        prop_assert_eq!(shard.content(), content.clone());
        prop_assert_eq!(shard.content().write().unwrap(), bytes);
        for (node, id) in content.ids.iter().enumerate() {
            prop_assert_eq!(&shard.id(NodeId(node as u32)), id);
            prop_assert_eq!(shard.node_of(id), Some(NodeId(node as u32)));
        }
        prop_assert_eq!(shard.node_of("not an id"), None);
        prop_assert_eq!(shard.columns().map(|columns| (columns.rows(), columns.iter().len())), with_columns.then_some((ids.len(), 5)));

        let query = Random::new(seed ^ 1).vector(dim);
        let code = QueryCode::new(&query);
        let mut scratch = Scratch::default();
        let expected = content.index.view().search(&code, 7, params, &mut scratch, None);
        prop_assert_eq!(shard.search(&query, 7, None, &mut scratch, None), expected);
        // All cells without a graph: the whole codes of all rows decide.
        if m == 0 && count <= 20 {
            let all = SearchParams { probes: cells, ef_search: 1 };
            prop_assert_eq!(shard.search(&query, 7, Some(all), &mut scratch, None), shard.exact(&query, 7, &mut scratch));
        }
    }
}

#[test]
fn ids_take_few_bytes_and_numbers_fewer() {
    let ids =
        |id: &dyn Fn(usize) -> String| ShardContent { ids: (0..1000).map(id).collect(), ..content(1, 1000, 2, 0) };
    let header = |content: &ShardContent| Header::parse(&content.write().unwrap()).unwrap();
    let numbers = header(&ids(&|node| (node * 37).to_string()));
    assert_eq!((numbers.id_kind, numbers.id_bytes <= 1200), (IdKind::Decimal, true), "{} bytes", numbers.id_bytes);
    let text = header(&ids(&|node| format!("товар-{:06}", node * 37)));
    assert_eq!((text.id_kind, text.id_bytes <= 7000), (IdKind::Text, true), "{} bytes", text.id_bytes);
    // A leading zero would be lost in a number.
    assert_eq!(header(&ids(&|node| format!("{node:04}"))).id_kind, IdKind::Text);
}

#[test]
fn shards_of_every_size_come_back_and_take_little_memory() {
    for count in [0, 1, 2, 65_535, 65_536, 1_000_001] {
        let numbers = (0..count).map(|node| node.to_string()).collect();
        let content = ShardContent { ids: numbers, ..content_in_cells(9, count, 8, 0, 1 + count / 1000) };
        let bytes = content.write().unwrap();
        let len = bytes.len();
        let shard = read(bytes).unwrap();
        assert_eq!(shard.len(), count);
        for node in (0..count).step_by(1 + count / 100).chain(count.checked_sub(1)) {
            assert_eq!(shard.node_of(&node.to_string()), Some(NodeId(node as u32)), "of {count}");
            assert_eq!(shard.id(NodeId(node as u32)), node.to_string(), "of {count}");
        }
        if count > 1000 {
            // What is beside the bytes, against 64 dimensions at 4 bits, the fewest bytes that a row has there.
            let beside = (shard.memory() - len) as f64 / count as f64;
            assert!(beside <= 0.3 * 34.0, "{count} rows: {beside} bytes each beside the file");
        }
    }
}

/// As only a hostile file has them. A look-up that goes past every equal id would take minutes.
#[test]
fn equal_ids_lead_to_the_first_one_and_hold_nothing_up() {
    let count = 300_000;
    let content = content_in_cells(3, count, 1, 0, 1);
    let numbers: Vec<String> = (0..count).map(|_| "7".to_owned()).collect();
    let (kind, section) = ids::write(&numbers).unwrap();
    let table = IdTable::open(kind, &section, count as u32, 1).unwrap();
    assert_eq!((table.find(&section, "7"), table.find(&section, "8")), (Some(0), None));
    let error = ShardContent { ids: numbers, ..content }.write().unwrap_err();
    assert!(matches!(error, ShardError::DuplicateId { .. }), "{error}");
}

#[test]
fn a_shard_that_is_cut_anywhere_or_goes_on_is_refused() {
    let whole = ShardContent { columns: columns(2, 20), ..content_in_cells(2, 20, 3, 2, 4) }.write().unwrap();
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
    for (seed, cells) in [(3, 1), (4, 5)] {
        let content = ShardContent { columns: columns(seed, 20), ..content_in_cells(seed, 20, 3, 2, cells) };
        flip_every_bit(&content.write().unwrap());
    }
}

fn flip_every_bit(whole: &[u8]) {
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.to_vec();
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
    let mut bytes = ShardContent { columns: columns(4, 20), ..content(4, 20, 3, 2) }.write().unwrap();
    let start = Header::parse(&bytes).unwrap().section_range(section).start + at;
    bytes[start..start + with.len()].copy_from_slice(with);
    read(repaired(bytes)).unwrap_err()
}

#[test]
fn every_broken_value_is_named() {
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 2e27] {
        let error = damaged(Section::CentroidScales, 0, &scale.to_le_bytes());
        assert!(matches!(error, ShardError::Scale { cell: 0, .. }), "{error}");
    }
    let field = |section, at, with: &[u8]| match damaged(section, at, with) {
        ShardError::Field { what, found, .. } => (what, found),
        error => panic!("{error}"),
    };
    let links = |section, at, with: &[u8]| match damaged(section, at, with) {
        ShardError::Links { node, what, limit } => (node, what, limit),
        error => panic!("{error}"),
    };
    assert_eq!(links(Section::BaseLinks, 0, &[20]), (0, "base_links", 20));
    assert_eq!(links(Section::BaseLinks, 0, &[0xff; 5]), (0, "base_links", 20));
    // Layer 1 has the nodes 0 to 4.
    assert_eq!(links(Section::UpperLinks, 0, &[5]), (0, "upper_links", 5));
    assert_eq!(field(Section::BaseCounts, 3, &[5]), ("number of links of a node", 5));
    assert_eq!(field(Section::UpperCounts, 0, &[3]), ("number of links of a node", 3));
    assert_eq!(field(Section::BaseCounts, 19, &[0]).0, "bytes behind the last link");
    assert_eq!(field(Section::LayerSizes, 0, &[21, 0, 0, 0]), ("size of a layer", 21));
    assert_eq!(field(Section::CellEnds, 0, &[19, 0, 0, 0]), ("end of the last cell", 19));
    assert_eq!(field(Section::CellEnds, 0, &[21, 0, 0, 0]), ("end of a cell", 21));
    // The first id is whole: nothing shared, six bytes of its own. The second shares five.
    let id = |at, with: &[u8]| match damaged(Section::Ids, at, with) {
        ShardError::Id { node, .. } => node,
        error => panic!("{error}"),
    };
    assert_eq!((id(0, &[1]), id(2, &[0xff]), id(8, &[7])), (0, 0, 1));
    let error = damaged(Section::Ids, 10, b"0");
    assert!(matches!(&error, ShardError::DuplicateId { id, first: 0, second: 1 } if id == "item-0"), "{error}");
}

#[test]
fn a_client_finds_the_first_of_two_equal_ids_and_whoever_verifies_refuses_them() {
    // Longer than a block of ids, so that equal ones are in different blocks, too.
    for equal in [[0, 1], [1, 19]] {
        let mut ids: Vec<String> = (0..20).map(|node| format!("n{node:03}")).collect();
        (ids[equal[0]], ids[equal[1]]) = ("same".to_owned(), "samf".to_owned());
        let mut bytes = ShardContent { ids, ..content(4, 20, 3, 0) }.write().unwrap();
        let ids = Header::parse(&bytes).unwrap().section_range(Section::Ids);
        let at = ids.start + bytes[ids].iter().rposition(|&byte| byte == b'f').unwrap();
        bytes[at] = b'e';
        let bytes = repaired(bytes);
        let shard = Shard::open(bytes.clone()).unwrap().verify_values(Digest::of(&bytes)).unwrap();
        let [first, second] = equal.map(|node| NodeId(node as u32));
        assert_eq!((shard.id(first), shard.id(second)), ("same".to_owned(), "same".to_owned()));
        assert_eq!(shard.node_of("same"), Some(first));
        let error = read(bytes).unwrap_err();
        let found = matches!(&error, ShardError::DuplicateId { id, first: a, second: b }
            if id == "same" && [*a, *b] == [first.0, second.0]);
        assert!(found, "{error}");
    }
}

#[test]
fn the_table_of_ids_waits_for_the_first_look_up() {
    let bytes = content(4, 1000, 3, 0).write().unwrap();
    let shard = Shard::open(bytes.clone()).unwrap().verify_values(Digest::of(&bytes)).unwrap();
    let before = shard.memory();
    assert_eq!(shard.search(&[0.5; 3], 5, None, &mut Scratch::default(), None).len(), 5);
    assert_eq!(shard.memory(), before, "a search needs no table");
    assert_eq!(shard.node_of("item-999"), Some(NodeId(999)));
    assert!(shard.memory() > before + 5 * 1000);
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
        format!("shard format {later}, this build reads {OLDEST_READABLE}..={FORMAT_VERSION}; update the package")
    );
    assert!(matches!(with(4, 1), ShardError::Version { found: 1 }));
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
    assert!(matches!(short.write(), Err(ShardError::Content { what: "index", found: 4, expected: 3 })));
    let long = ShardContent { ids: ["a", "b", "c", &"d".repeat(1 << 17)].map(str::to_owned).to_vec(), ..good.clone() };
    assert!(matches!(long.write(), Err(ShardError::IdLength { found: 131_072, .. })));
    let probes = ShardContent { params: SearchParams { probes: 0, ef_search: 1 }, ..good };
    assert!(matches!(probes.write(), Err(ShardError::Field { what: "probes", found: 0, .. })));
}

#[test]
fn columns_of_other_rows_and_what_is_no_column_are_refused_by_reader_and_writer() {
    let good = content(6, 20, 3, 2);
    let short = ShardContent { columns: columns(6, 19), ..good.clone() };
    let error = short.write().unwrap_err();
    let rows =
        |error: &ShardError| matches!(error, ShardError::Columns(ColumnsError::Rows { found: 19, expected: 20, .. }));
    assert!(rows(&error), "{error}");
    let other = ShardContent { columns: b"NSCX".to_vec(), ..good.clone() };
    assert_eq!(other.write().unwrap_err().code(), "columns/magic");

    // A file of one row less and one byte less per value, put into the section behind the writer's back.
    let whole = ShardContent { columns: Columns::builder(20).popularity("p", &[Some(3); 20]).write().unwrap(), ..good };
    let mut bytes = whole.write().unwrap();
    let section = Header::parse(&bytes).unwrap().section_range(Section::Columns);
    let fewer = Columns::builder(19).popularity("p", &[Some(3); 19]).write().unwrap();
    bytes.splice(section, fewer.iter().copied());
    bytes[88..92].copy_from_slice(&(fewer.len() as u32).to_le_bytes());
    let error = read(repaired(bytes)).unwrap_err();
    assert!(rows(&error), "{error}");
    let error = damaged(Section::Columns, 8, &[21]);
    assert_eq!(error.code(), "columns/truncated", "{error}");
}

#[test]
fn an_empty_shard_is_a_shard() {
    let empty = ShardContent { columns: columns(7, 0), ..content(7, 0, 3, 2) };
    let shard = read(empty.write().unwrap()).unwrap();
    assert_eq!((shard.len(), shard.header().entry_point), (0, NO_ENTRY_POINT));
    assert_eq!(shard.columns().map(|columns| columns.rows()), Some(0));
    assert_eq!(shard.search(&[1.0; 3], 5, None, &mut Scratch::default(), None), []);
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
    let hits = shard.search(&query, 10, None, &mut Scratch::default(), None);
    Golden {
        shard: name.to_owned(),
        query,
        ids: hits.iter().map(|hit| shard.id(hit.node)).collect(),
        score_bits: hits.iter().map(|Hit { score, .. }| score.0.to_bits()).collect(),
    }
}

#[test]
fn golden_shards_are_read_and_give_the_same_results() {
    let folder = golden::folder(&format!("shard-v{FORMAT_VERSION}"));
    let mut searches = Vec::new();
    // The seeds decide the bits of the codes, too: 8, 4 and 6.
    for (name, seed, m, cells) in [("graph.nssh", 11, 4, 1), ("flat.nssh", 12, 0, 1), ("cells.nssh", 13, 2, 20)] {
        let columns = if cells == 1 { Vec::new() } else { columns(seed, 200) };
        let content = || ShardContent { columns, ..content_in_cells(seed, 200, 13, m, cells) };
        let bytes = golden::keep(&folder.join(name), || content().write().unwrap());
        let shard = read(bytes.clone()).unwrap();
        assert_eq!(shard.columns().is_some(), cells > 1, "{name}");
        assert_eq!(shard.content().write().unwrap(), bytes, "{name} is no longer written as it was");
        let mut random = Random::new(seed);
        searches.extend((0..4).map(|_| golden_search(name, &shard, random.vector(13))));
    }
    let expected = golden::keep(&folder.join("searches.json"), || serde_json::to_vec_pretty(&searches).unwrap());
    assert_eq!(searches, serde_json::from_slice::<Vec<Golden>>(&expected).unwrap());
}

#[test]
fn the_shop_of_the_fuzz_targets_is_of_this_format() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fixtures/shop.nssh");
    let bytes = golden::keep(&path, || {
        let mut content = ShardContent { columns: columns(1, 40), ..content(1, 40, 8, 2) };
        content.ids.iter_mut().for_each(|id| *id = format!("1-{id}"));
        content.write().unwrap()
    });
    assert_eq!(read(bytes).unwrap().len(), 40);
}
