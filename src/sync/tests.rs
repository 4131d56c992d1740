//! Releases that arrive in pieces, damaged, late and again.

mod budget;
mod cut;
mod overlay;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Assembly, Fetch, SyncError, plan};
use crate::Digest;
use crate::release::testing::{Files, head, shard};
use crate::release::{Manifest, ObjectKind, ObjectRef, ReleaseError};

/// Applies a plan to its end, each time with the object at the place that `pick` chooses, and gives what was fetched.
fn apply(
    sync: &mut Assembly,
    files: &Files,
    mut missing: Vec<Fetch>,
    mut pick: impl FnMut(usize) -> usize,
) -> Vec<Fetch> {
    let mut fetched = Vec::new();
    while !missing.is_empty() {
        let next = missing[pick(missing.len()) % missing.len()].clone();
        let bytes = files.get(next.digest);
        assert_eq!((next.size, &next.path), (bytes.len() as u64, &format!("objects/{}", next.digest)));
        missing = sync.accept(next.digest, bytes).unwrap();
        assert_eq!(missing, sync.missing());
        fetched.push(next);
    }
    fetched
}

fn serving(files: &Files) -> Assembly {
    let mut sync = Assembly::default();
    let missing = sync.set_head(&files.head()).unwrap();
    apply(&mut sync, files, missing, |_| 0);
    sync
}

/// The release that is served: version, manifest, and a search in each shard.
fn served(sync: &Assembly) -> Option<(u64, Digest, Vec<usize>)> {
    let release = sync.ready()?;
    let hits = release
        .shards()
        .iter()
        .flatten()
        .map(|shard| shard.exact(&[1.0; 8], 3, &mut crate::index::Scratch::default()).len())
        .collect();
    Some((release.version(), release.digest(), hits))
}

fn code_is_stable(error: &SyncError) {
    let (stage, what) = error.code().split_once('/').unwrap();
    assert!(
        ["sync", "shard", "release", "towers", "directory", "delta", "columns", "overlay"].contains(&stage),
        "{error}"
    );
    assert!(what.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{error}");
}

#[test]
fn cards_that_come_again_are_checked_again() {
    let files = Files::new(1, &[shard(1, 4)], true);
    let mut sync = serving(&files);
    let cards = files.manifest.cards[0].digest;
    sync.accept(cards, files.get(cards)).unwrap();
    for damaged in [b"garbage".to_vec(), files.get(cards).iter().map(|byte| byte ^ 1).collect()] {
        let error = sync.accept(cards, damaged).unwrap_err();
        assert!(["release/size", "release/digest"].contains(&error.code()), "{error}");
    }
}

#[test]
fn the_plan_begins_with_what_is_needed_first() {
    let files = Files::new(1, &[shard(1, 9), shard(2, 5)], true);
    let object = ObjectRef::of(&files.manifest_bytes());
    let kinds = |fetches: Vec<Fetch>| fetches.into_iter().map(|fetch| fetch.kind).collect::<Vec<_>>();
    let wants = super::Wants { segment: None, is_shown: &|_| false, budget: u64::MAX };
    assert_eq!(kinds(plan(&object, None, &wants, |_| false)), [ObjectKind::Manifest]);
    let all = [ObjectKind::Tower, ObjectKind::Shard, ObjectKind::Shard, ObjectKind::Cards];
    assert_eq!(kinds(plan(&object, Some(&files.manifest), &wants, |_| false)), all);
    let tower = files.manifest.query_tower.digest;
    assert_eq!(kinds(plan(&object, Some(&files.manifest), &wants, |held| *held == tower)), all[1..]);

    let fetch = &plan(&object, None, &wants, |_| false)[0];
    let json = serde_json::json!({
        "path": format!("objects/{}", object.digest), "digest": object.digest, "size": object.size, "kind": "manifest",
    });
    assert_eq!(serde_json::to_value(fetch).unwrap(), json);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// From any release that is served, with any part of another one arrived, the plan of a third one leads to it; nothing
    /// that is held and named is fetched, and nothing is served that is not whole.
    #[test]
    fn applying_the_plan_reaches_the_manifest(
        sets in prop::array::uniform3(prop::collection::btree_set(0u64..6, 1..5)),
        with_cards in any::<[bool; 3]>(), arrived in 0usize..8, order in any::<[u8; 16]>(),
    ) {
        let release = |at: usize| {
            let shards: Vec<_> = sets[at].iter().map(|&seed| shard(seed, 6)).collect();
            Files::new(at as u64 + 1, &shards, with_cards[at])
        };
        let [first, second, third] = [release(0), release(1), release(2)];
        let mut sync = serving(&first);
        prop_assert_eq!(served(&sync).unwrap().1, Digest::of(&first.manifest_bytes()));

        let mut missing = sync.set_head(&second.head()).unwrap();
        for turn in order.iter().take(arrived) {
            let Some(next) = missing.get(*turn as usize % missing.len().max(1)).cloned() else { break };
            missing = sync.accept(next.digest, second.get(next.digest)).unwrap();
        }
        let before = served(&sync).unwrap();
        prop_assert!(before.0 <= 2);

        let held: BTreeSet<Digest> = sync.held.digests().collect();
        let missing = sync.set_head(&third.head()).unwrap();
        let mut turns = order.iter().cycle();
        let fetched = apply(&mut sync, &third, missing, |_| *turns.next().unwrap() as usize);
        prop_assert!(fetched.iter().all(|fetch| !held.contains(&fetch.digest)));
        let names = fetched.iter().filter(|fetch| fetch.kind != ObjectKind::Manifest);
        prop_assert!(names.clone().all(|fetch| third.manifest.part_of(fetch.digest).is_some()));
        let release = sync.ready().unwrap();
        prop_assert_eq!(release.version(), 3);
        prop_assert_eq!(release.manifest(), &third.manifest);
        prop_assert_eq!(release.shards().len(), sets[2].len());
        prop_assert!(sync.missing().is_empty() && sync.status().next.is_none());
        // Nothing of the earlier releases is kept.
        let named: BTreeSet<Digest> = third.manifest.parts().map(|(_, object)| object.digest).collect();
        prop_assert_eq!(sync.held.digests().collect::<BTreeSet<_>>(), named);
    }
}

#[test]
fn the_old_release_serves_until_the_new_one_is_whole_and_cards_come_last() {
    let old = Files::new(1, &[shard(1, 9)], true);
    let new = Files::new(2, &[shard(2, 9), shard(3, 4)], true);
    let mut sync = serving(&old);
    let before = served(&sync);
    let mut missing = sync.set_head(&new.head()).unwrap();
    while missing[0].kind != ObjectKind::Cards {
        assert_eq!(served(&sync), before);
        let next = sync.status().next.unwrap();
        assert_eq!((next.version, next.files), (2, missing.len()));
        missing = sync.accept(missing[0].digest, new.get(missing[0].digest)).unwrap();
    }
    assert_eq!(served(&sync).unwrap().0, 2);
    assert_eq!(sync.status().next, None);
    // The same head asks for the cards again, and for nothing else.
    assert_eq!(sync.set_head(&new.head()).unwrap(), missing);
    let cards = missing[0].digest;
    assert_eq!(sync.accept(cards, new.get(cards)).unwrap(), []);
    assert_eq!(sync.accept(cards, new.get(cards)).unwrap(), []);
    assert_eq!(sync.set_head(&new.head()).unwrap(), []);
    let status = sync.status().serving.unwrap();
    assert_eq!((status.version, status.items, status.dim, status.shards), (2, 13, 8, 2));
}

#[test]
fn versions_never_go_back_and_mean_one_manifest() {
    let at = |version| Files { version, ..Files::new(0, &[shard(version, 4)], false) };
    let mut sync = serving(&at(5));
    let before = served(&sync);
    let error = sync.set_head(&at(4).head()).unwrap_err();
    assert!(matches!(error, SyncError::Rollback { found: 4, trusted: 5 }), "{error}");
    let error = sync.set_head(&head(5, &at(6).manifest_bytes())).unwrap_err();
    assert!(matches!(error, SyncError::Conflict { version: 5, .. }), "{error}");
    assert_eq!(sync.set_head(&at(5).head()).unwrap(), []);

    // A head that was accepted counts before its release is whole.
    let missing = sync.set_head(&at(7).head()).unwrap();
    assert_eq!(sync.set_head(&at(6).head()).unwrap_err().code(), "sync/rollback");
    assert_eq!(sync.set_head(&at(5).head()).unwrap_err().code(), "sync/rollback");
    assert_eq!((sync.set_head(&at(7).head()).unwrap(), served(&sync)), (missing, before));

    // A later version may return to the manifest that is served.
    assert_eq!(sync.set_head(&head(8, &at(5).manifest_bytes())).unwrap(), []);
    assert_eq!(served(&sync).unwrap().0, 8);
}

#[test]
fn a_late_or_foreign_object_is_unexpected() {
    let (old, new) = (Files::new(1, &[shard(1, 4)], false), Files::new(2, &[shard(2, 4)], false));
    let digest = new.manifest.shards[0].object.digest;
    let mut sync = Assembly::default();
    let accept = |sync: &mut Assembly| sync.accept(digest, new.get(digest)).unwrap_err();
    assert!(matches!(accept(&mut sync), SyncError::Unexpected { found } if found == digest));
    let mut sync = serving(&old);
    assert_eq!(accept(&mut sync).code(), "sync/unexpected");
    // Not even once its manifest is on its way.
    sync.set_head(&new.head()).unwrap();
    assert_eq!(accept(&mut sync).code(), "sync/unexpected");
}

/// Every way to damage one byte string: each cut, and each flipped bit.
fn damages(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cuts = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let flips = (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    cuts.chain(flips)
}

#[test]
fn every_cut_or_flipped_bit_on_the_way_leaves_the_old_release() {
    let old = Files::new(1, &[shard(1, 4)], false);
    let new = Files::new(2, &[shard(2, 4)], true);
    let start = serving(&old);
    let before = served(&start);
    for damaged in damages(&new.head()) {
        let mut sync = start.clone();
        // A flipped digit is another head, which nothing contradicts where nobody signs; it leads nowhere.
        if let Err(error) = sync.set_head(&damaged) {
            code_is_stable(&error);
            assert_eq!(sync.missing(), []);
        }
        assert_eq!(served(&sync), before);
    }

    let mut sync = start.clone();
    let mut missing = sync.set_head(&new.head()).unwrap();
    while missing[0].kind != ObjectKind::Cards {
        let Fetch { digest, .. } = missing[0];
        for damaged in damages(&new.get(digest)) {
            let error = sync.accept(digest, damaged).unwrap_err();
            assert!(["release/size", "release/digest"].contains(&error.code()), "{error}");
            assert_eq!((served(&sync), sync.missing()), (before.clone(), missing.clone()));
        }
        missing = sync.accept(digest, new.get(digest)).unwrap();
    }
    assert_eq!(served(&sync).unwrap().0, 2);
}

#[test]
fn a_digest_that_the_host_computed_is_compared_and_not_computed_again() {
    let files = Files::new(1, &[shard(1, 4)], true);
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    let mut kinds = Vec::new();
    while let Some(Fetch { digest, kind, .. }) = missing.first().cloned() {
        let bytes = files.get(digest);
        let wrong = Digest::of(b"other bytes");
        let error = sync.accept_digested(digest, bytes.clone(), wrong).unwrap_err();
        let SyncError::Release(ReleaseError::Digest { kind: of, found, expected }) = error else { panic!("{error}") };
        assert_eq!((of, found, expected), (kind, wrong, digest));
        let error = sync.accept_digested(digest, bytes[1..].to_vec(), digest).unwrap_err();
        assert_eq!(error.code(), "release/size");
        assert_eq!(sync.missing(), missing, "whatever fails changes nothing");
        missing = sync.accept_digested(digest, bytes, digest).unwrap();
        kinds.push(kind);
    }
    assert_eq!(kinds, [ObjectKind::Manifest, ObjectKind::Tower, ObjectKind::Shard, ObjectKind::Cards]);
    assert!(sync.ready().is_some());
}

#[test]
fn a_manifest_that_is_damaged_behind_its_digest_leaves_the_old_release() {
    let old = Files::new(1, &[shard(1, 4)], false);
    let new = Files::new(2, &[shard(1, 4), shard(2, 4)], false);
    let start = serving(&old);
    let before = served(&start);
    for damaged in damages(&new.manifest_bytes()) {
        let mut sync = start.clone();
        let missing = sync.set_head(&head(2, &damaged)).unwrap();
        if let Err(error) = sync.accept(missing[0].digest, damaged) {
            code_is_stable(&error);
            assert_eq!(sync.missing(), missing);
        }
        assert_eq!(served(&sync), before);
    }
}

#[test]
fn objects_that_are_whole_but_do_not_belong_together_leave_the_old_release() {
    let old = Files::new(1, &[shard(1, 4)], true);
    let good = Files::new(2, &[shard(1, 4), shard(2, 4)], false);
    let start = serving(&old);
    let before = served(&start);
    let run = |change: fn(&mut Manifest)| {
        let mut files = good.clone();
        change(&mut files.manifest);
        let mut sync = start.clone();
        let mut missing = sync.set_head(&files.head()).unwrap();
        loop {
            match sync.accept(missing[0].digest, files.get(missing[0].digest)) {
                Ok(rest) => missing = rest,
                Err(error) => {
                    assert_eq!((served(&sync), sync.missing()), (before.clone(), missing));
                    return error;
                }
            }
        }
    };
    // Found in the shard that is held already.
    assert_eq!(run(|manifest| manifest.towers = Digest::of(b"others")).code(), "release/towers");
    assert_eq!(run(|manifest| manifest.dim = 16).code(), "release/field");
    let error = run(|manifest| {
        manifest.shards[0].count = 5;
        manifest.items = 9;
    });
    assert_eq!(error.code(), "shard/field");
    assert_eq!(run(|manifest| manifest.shards[0].object.size += 1).code(), "release/size");
    let error = run(|manifest| {
        let (tower, shard) = (manifest.query_tower, manifest.shards[0].object);
        manifest.query_tower = shard;
        manifest.shards[0].object = tower;
    });
    assert!(matches!(error, SyncError::Release(ReleaseError::Field { field: "object", .. })), "{error}");
    // Found in the one that arrives.
    let error = run(|manifest| {
        manifest.shards[1].count = 5;
        manifest.items = 9;
    });
    assert_eq!(error.code(), "shard/field");
}
