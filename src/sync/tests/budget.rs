//! What a client may hold.

use super::*;

/// Bytes of what a release needs at once: everything but cards, manifest and head.
fn at_once(files: &Files) -> u64 {
    let parts = files.manifest.parts().filter(|(part, _)| !matches!(part, crate::release::Part::Cards(_)));
    parts.map(|(_, object)| object.size).sum()
}

#[test]
fn a_release_that_needs_more_than_a_client_may_hold_is_refused_before_any_of_it_is_fetched() {
    let (small, large) = (Files::new(1, &[shard(1, 4)], true), Files::new(2, &[shard(2, 4), shard(3, 400)], true));
    assert!(at_once(&small) < at_once(&large));
    for (budget, is_taken) in [(at_once(&large), true), (at_once(&large) - 1, false)] {
        let mut sync = Assembly::default();
        sync.set_budget(budget);
        let missing = sync.set_head(&small.head()).unwrap();
        apply(&mut sync, &small, missing, |_| 0);
        let missing = sync.set_head(&large.head()).unwrap();
        let found = sync.accept(missing[0].digest, large.get(missing[0].digest));
        if is_taken {
            apply(&mut sync, &large, found.unwrap(), |_| 0);
            assert_eq!(sync.ready().unwrap().version(), 2);
        } else {
            assert_eq!(found.unwrap_err().code(), "sync/budget");
            assert_eq!((sync.missing(), sync.ready().unwrap().version()), (missing, 1));
        }
    }
}

#[cfg(feature = "build")]
#[test]
fn clusters_beyond_what_a_client_may_hold_are_not_fetched() {
    use crate::release::{Absent, Part};

    let (files, _) = cut::clusters(7);
    let absent: Vec<_> = (0..files.manifest.shards.len()).map(|at| Absent(Part::Shard(at))).collect();
    let all = serving(&files).fetch_of(&absent);
    assert_eq!(all.len(), absent.len());
    let first: u64 = all[..3].iter().map(|fetch| fetch.size).sum();
    let mut sync = Assembly::default();
    sync.set_budget(at_once_of_clusters(&files) + first);
    let missing = sync.set_head(&files.head()).unwrap();
    apply(&mut sync, &files, missing, |_| 0);
    assert_eq!(sync.fetch_of(&absent)[..3], all[..3]);
    for fetch in &all[..3] {
        sync.accept(fetch.digest, files.get(fetch.digest)).unwrap();
    }
    assert_eq!(sync.fetch_of(&absent), []);
    assert_eq!(sync.fetch_of(&absent[..3]), [], "what is held is not fetched");
}

/// Bytes of the tower and the routing.
#[cfg(feature = "build")]
fn at_once_of_clusters(files: &Files) -> u64 {
    let parts = files.manifest.parts().filter(|(part, _)| files.manifest.is_needed_at_once(*part, None));
    parts.map(|(_, object)| object.size).sum()
}
