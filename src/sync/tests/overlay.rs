//! Overlays that come with a release, after it, damaged, and for another one.

use super::*;

/// A release of two shards, of which so many items of the first are out.
fn stocked(version: u64, out: usize) -> Files {
    let files = Files::new(version, &[shard(1, 9), shard(2, 5)], true);
    files.stocked(version, &|id| (0..out).any(|n| id == format!("1-item-{n}")), &|_| None, true)
}

fn out(sync: &Assembly) -> Option<(u64, u64)> {
    let stock = sync.status().serving?.overlay?;
    Some((stock.made_ms, stock.out))
}

fn overlay(files: &Files) -> Digest {
    Digest::of(files.overlay.as_ref().unwrap())
}

#[test]
fn another_overlay_is_all_that_is_fetched_and_a_head_without_one_ends_it() {
    let mut sync = serving(&stocked(1, 3));
    assert_eq!((out(&sync), sync.missing()), (Some((1, 3)), vec![]));
    let missing = sync.set_head(&stocked(2, 5).head()).unwrap();
    assert_eq!(missing.iter().map(|fetch| fetch.kind).collect::<Vec<_>>(), [ObjectKind::Overlay]);
    // Until it has come, the one before counts.
    assert_eq!((out(&sync), sync.ready().unwrap().version()), (Some((1, 3)), 2));
    let fetched = apply(&mut sync, &stocked(2, 5), missing, |_| 0);
    assert_eq!((fetched.len(), out(&sync)), (1, Some((2, 5))));
    assert_eq!(sync.accept(overlay(&stocked(2, 5)), b"again".to_vec()).unwrap(), []);
    assert_eq!(sync.set_head(&stocked(3, 0).head()).unwrap().len(), 1);
    assert_eq!(sync.set_head(&Files { version: 4, overlay: None, ..stocked(1, 1) }.head()).unwrap(), []);
    assert_eq!(out(&sync), None);
    // One version means one overlay.
    let error = sync.set_head(&Files { version: 4, ..stocked(4, 1) }.head()).unwrap_err();
    assert!(matches!(error, SyncError::Conflict { version: 4, .. }), "{error}");
}

#[test]
fn a_release_serves_without_the_overlay_that_does_not_come_and_asks_for_it_again() {
    let files = stocked(1, 3);
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.iter().find(|fetch| fetch.kind != ObjectKind::Overlay) {
        missing = sync.accept(next.digest, files.get(next.digest)).unwrap();
    }
    assert_eq!((served(&sync).unwrap().0, out(&sync)), (1, None));
    assert_eq!(missing.len(), 1);
    assert_eq!(sync.set_head(&files.head()).unwrap(), missing);
    apply(&mut sync, &files, missing, |_| 0);
    assert_eq!(out(&sync), Some((1, 3)));
    // Its bytes are not waited for either, when it comes before the rest.
    let mut sync = Assembly::default();
    let missing = sync.set_head(&files.head()).unwrap();
    let missing = sync.accept(missing[0].digest, files.get(missing[0].digest)).unwrap();
    assert_eq!(missing.last().unwrap().kind, ObjectKind::Overlay);
    apply(&mut sync, &files, missing, |count| count - 1);
    assert_eq!(out(&sync), Some((1, 3)));
}

#[test]
fn a_damaged_or_foreign_overlay_leaves_the_last_good_one() {
    let mut sync = serving(&stocked(1, 3));
    let next = stocked(2, 4);
    let missing = sync.set_head(&next.head()).unwrap();
    for damaged in damages(next.overlay.as_ref().unwrap()) {
        let error = sync.accept(overlay(&next), damaged).unwrap_err();
        code_is_stable(&error);
        assert_eq!((out(&sync), sync.missing()), (Some((1, 3)), missing.clone()), "{error}");
    }
    // What is whole by its digest is still read with care.
    for (version, damaged) in (3..).zip(damages(next.overlay.as_ref().unwrap())) {
        let next = Files { version, overlay: Some(damaged), ..next.clone() };
        sync.set_head(&next.head()).unwrap();
        match sync.accept(overlay(&next), next.overlay.clone().unwrap()) {
            Err(error) => code_is_stable(&error),
            Ok(missing) => assert_eq!(missing, []),
        }
        assert!(out(&sync).is_some() && served(&sync).is_some());
    }
    let mut sync = serving(&stocked(1, 3));
    let other = Files::new(2, &[shard(1, 9), shard(3, 5)], false).stocked(2, &|_| true, &|_| None, true);
    let foreign = Files { version: 2, overlay: other.overlay, ..stocked(2, 4) };
    sync.set_head(&foreign.head()).unwrap();
    let error = sync.accept(overlay(&foreign), foreign.overlay.clone().unwrap()).unwrap_err();
    assert_eq!((error.code(), out(&sync)), ("overlay/manifest", Some((1, 3))));
}

#[test]
fn while_another_release_is_on_its_way_each_keeps_its_own_overlay() {
    let mut sync = serving(&stocked(1, 3));
    let next = Files::new(2, &[shard(1, 9), shard(3, 5)], false).stocked(2, &|_| true, &|_| None, true);
    let missing = sync.set_head(&next.head()).unwrap();
    let missing = sync.accept(missing[0].digest, next.get(missing[0].digest)).unwrap();
    let missing = {
        let overlay = missing.iter().find(|fetch| fetch.kind == ObjectKind::Overlay).unwrap();
        sync.accept(overlay.digest, next.get(overlay.digest)).unwrap()
    };
    assert_eq!(out(&sync), Some((1, 3)));
    apply(&mut sync, &next, missing, |_| 0);
    assert_eq!(out(&sync), Some((2, 14)));
    // The next release has none, and the one before does not come back.
    let plain = Files { version: 3, overlay: None, ..stocked(3, 1) };
    let missing = sync.set_head(&plain.head()).unwrap();
    assert_eq!(out(&sync), Some((2, 14)));
    apply(&mut sync, &plain, missing, |_| 0);
    assert_eq!(out(&sync), None);
}
