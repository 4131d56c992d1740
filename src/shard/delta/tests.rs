//! Deltas from outside: round trips, damage, and chains of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::format::{FORMAT_VERSION, HEADER_LEN, Header};
use super::*;
use crate::index::{NodeId, RowSet, Scratch};
use crate::shard::golden;
use crate::shard::testing::content;

const DIM: usize = 8;

fn shard(seed: u64, count: usize) -> Vec<u8> {
    let mut content = content(seed, count, DIM, 0);
    content.ids.iter_mut().for_each(|id| *id = format!("{seed}-{id}"));
    content.write().unwrap()
}

fn opened(bytes: Vec<u8>) -> Arc<Shard<Verified>> {
    Arc::new(Shard::open(bytes).unwrap().verify().unwrap())
}

fn read(bytes: &[u8]) -> Result<Delta, DeltaError> {
    Delta::open(bytes, Digest::of(bytes))
}

#[test]
fn a_delta_is_laid_out_as_described() {
    let added = shard(3, 2);
    let bytes = Delta::write(Digest::from_bytes([7; 32]), 500, &[0, 1, 300], &added);
    let mut expected = Vec::new();
    expected.extend(b"NSDL");
    expected.extend([1, 0]); // format_version
    expected.extend([0, 0]); // reader_flags
    expected.extend([7; 32]); // base
    expected.extend([0xf4, 1, 0, 0]); // before
    expected.extend([3, 0, 0, 0]); // removed
    expected.extend([4, 0, 0, 0]); // removed_bytes
    expected.extend([0, 0, 0xaa, 2]); // none, none and 298 rows between
    expected.extend(&added);
    assert_eq!(bytes, expected);
    let delta = read(&bytes).unwrap();
    assert_eq!((delta.removed(), delta.added().len(), delta.to_bytes()), (&[0, 1, 300][..], 2, bytes));
}

#[test]
fn damage_ends_in_a_typed_error() {
    let bytes = Delta::write(Digest::of(b"base"), 70_000, &[3, 200, 66_000], &shard(4, 5));
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len} of {} bytes were read", bytes.len());
    }
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        read(&bytes).unwrap_err().code()
    };
    assert_eq!(with(0, b"NSSH"), "delta/magic");
    assert_eq!(with(4, &[FORMAT_VERSION as u8 + 1]), "delta/version");
    assert_eq!(with(6, &[1]), "delta/flags");
    assert_eq!(with(40, &[0xff; 4]), "delta/field");
    assert_eq!(with(40, &[2, 0, 0, 0]), "delta/field");
    assert_eq!(with(44, &[2]), "delta/field");
    assert_eq!(with(44, &[4]), "delta/removed");
    assert_eq!(with(48, &[0xff; 4]), "delta/truncated");
    assert_eq!(with(HEADER_LEN, &[0xff; 4]), "delta/removed");
    assert_eq!(with(HEADER_LEN + 5, &[0xff]), "delta/removed");
}

proptest! {
    #[test]
    fn flipped_bits_are_an_error_or_another_delta(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = Delta::write(Digest::of(b"base"), 40, &[1, 5, 39], &shard(5, 7));
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(delta) = read(&bytes) {
            let chain = Chain::new(opened(shard(6, 40)), vec![Arc::new(delta)]);
            let hits = chain.search(&[0.5; DIM], 60, None, &mut Scratch::default(), None);
            prop_assert!(hits.iter().all(|hit| chain.is_live(hit.node)));
        }
    }

    #[test]
    fn a_chain_answers_as_a_set_of_rows(
        removed in prop::collection::vec(prop::collection::btree_set(0_u32..60, 0..20), 0..4),
        seed in 0_u64..100,
        k in 1_usize..80,
    ) {
        let base = opened(shard(seed, 60));
        let mut before = 60;
        let (mut deltas, mut gone) = (Vec::new(), BTreeSet::new());
        for (nth, removed) in removed.iter().enumerate() {
            let rows: Vec<u32> = removed.iter().copied().collect();
            let bytes = Delta::write(Digest::of(base.bytes()), before, &rows, &shard(1000 + nth as u64, nth * 5));
            gone.extend(rows);
            before += nth as u32 * 5;
            deltas.push(Arc::new(read(&bytes).unwrap()));
        }
        let chain = Chain::new(base, deltas);
        let live: BTreeSet<u32> = (0..before).filter(|row| !gone.contains(row)).collect();
        prop_assert_eq!(chain.nodes().map(|node| node.0).collect::<BTreeSet<_>>(), live.clone());
        prop_assert_eq!((chain.rows(), chain.len()), (before as usize, live.len()));
        for row in 0..before {
            let found = chain.node_of(&chain.id(NodeId(row)));
            prop_assert_eq!(found, live.contains(&row).then_some(NodeId(row)));
        }
        let query: Vec<f32> = (0..DIM).map(|i| (seed as f32 + i as f32).sin()).collect();
        let mut scratch = Scratch::default();
        let all = chain.exact(&query, before as usize, &mut scratch);
        prop_assert_eq!(all.iter().map(|hit| hit.node.0).collect::<BTreeSet<_>>(), live.clone());
        let params = crate::index::SearchParams { probes: 60, ef_search: 60 };
        // A scan of coarse codes may miss the last ones, never what is asked for whole.
        let hits = chain.search(&query, k, Some(params), &mut scratch, None);
        prop_assert_eq!(hits.len(), k.min(live.len()));
        prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        prop_assert!(hits.iter().all(|hit| live.contains(&hit.node.0)));
        let even = RowSet::of(before as usize, |node| node.0.is_multiple_of(2));
        let hits = chain.search(&query, k, Some(params), &mut scratch, Some(&even));
        prop_assert_eq!(hits.len(), k.min(live.iter().filter(|row| **row % 2 == 0).count()));
        prop_assert!(hits.iter().all(|hit| live.contains(&hit.node.0) && even.contains(hit.node)));
    }
}

#[test]
fn golden_files_are_read_and_written_as_they_are() {
    let folder = golden::folder(&format!("delta-v{FORMAT_VERSION}"));
    let bytes =
        golden::keep(&folder.join("small.nsdl"), || Delta::write(Digest::of(b"base"), 40, &[1, 5, 39], &shard(5, 7)));
    let delta = read(&bytes).unwrap();
    assert_eq!((delta.header().before, delta.removed(), delta.added().len()), (40, &[1, 5, 39][..], 7));
    assert_eq!(delta.added().id(NodeId(6)), "5-item-6");
    assert_eq!(Delta::write(Digest::of(b"base"), 40, &[1, 5, 39], &shard(5, 7)), bytes);
}

#[test]
fn a_header_says_what_it_said() {
    let header = Header { base: Digest::of(b"x"), before: 9, removed: 3, removed_bytes: 5 };
    assert_eq!(Header::parse(&header.to_bytes()).unwrap(), header);
}
