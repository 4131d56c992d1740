//! Releases that a client holds in part: clusters and by column.

use super::*;

/// A release in clusters, and the request that is asked of it: the history tells what the test's tower looks for.
#[cfg(feature = "build")]
pub(super) fn clusters(seed: u64) -> (Files, Vec<String>) {
    use crate::index::FineBits;
    use crate::index::testing::mixture;
    use crate::shard::{ClusterParams, Clusters};

    let (vectors, _) = mixture(seed, 400, 1, 8);
    let ids: Vec<String> = (0..400).map(|row| format!("item-{row}")).collect();
    let params = ClusterParams { items: 20, fine_bits: FineBits::Two, seed };
    let cut = Clusters::cut(&vectors, &[], 8, &ids, Digest::of(b"towers"), &params).unwrap();
    (Files::of_clusters(1, &cut, 3), ids)
}

#[cfg(feature = "build")]
#[test]
fn a_request_is_answered_from_the_clusters_that_it_visits_as_from_all() {
    use crate::recommend::{Recommender, Request};
    use crate::shard::directory::{DirectoryBucket, bucket_of};

    for seed in [1, 2, 3] {
        let (files, ids) = clusters(seed);
        let mut sync = serving(&files);
        let whole = {
            let mut sync = serving(&files);
            for (_, object) in files.manifest.parts() {
                sync.accept(object.digest, files.get(object.digest)).unwrap();
            }
            sync.ready().unwrap().clone()
        };
        let (mut some, mut all) = (Recommender::of(sync.ready().unwrap()), Recommender::of(&whole));
        assert_eq!(sync.status().serving.unwrap().shards, files.manifest.shards.len());
        let mut fetched = 0;
        for id in ids.iter().step_by(37) {
            // The test's tower reads one item: an unknown one must not take its place.
            let history = [id.clone(), "unknown".to_owned()];
            let request = Request {
                limit: 5,
                history: history.iter().map(|id| id.as_str().into()).collect(),
                ..Request::default()
            };
            let mut rounds = 0;
            loop {
                let absent = some.absent(&request).unwrap();
                let fetches = sync.fetch_of(&absent);
                assert_eq!(fetches.len(), absent.len(), "seed {seed}: everything that is absent can be fetched");
                if fetches.is_empty() {
                    break;
                }
                for fetch in fetches {
                    sync.accept(fetch.digest, files.get(fetch.digest)).unwrap();
                    fetched += 1;
                }
                some.renew(sync.ready().unwrap());
                rounds += 1;
                assert!(rounds <= 3, "seed {seed}: bucket, shard, clusters, and no more");
            }
            assert_eq!(all.absent(&request).unwrap(), []);
            let expected = all.recommend(&request).unwrap();
            assert_eq!(some.recommend(&request).unwrap(), expected, "seed {seed}, {id}");
            assert_eq!(expected.len(), 5);
        }
        assert!(fetched < files.manifest.parts().count(), "seed {seed}: not everything was needed");

        // An id that nobody has may share a place in the directory with one that somebody has.
        let mut shares = (0..100_000).map(|n| format!("nobody-{n}")).filter(|id| {
            let object = files.manifest.directory[bucket_of(id, files.manifest.directory.len() as u32) as usize];
            DirectoryBucket::open(files.get(object.digest)).unwrap().find(id).is_some()
        });
        assert_eq!(whole.find(&shares.next().expect("one in two thousand does")), Ok(None), "seed {seed}");
    }
}

#[test]
fn a_client_of_a_release_by_column_holds_and_searches_the_shards_of_its_segment() {
    use crate::recommend::{Recommender, Request};

    let files = Files::by_market(1);
    let of_segment = |segment: &str| {
        let mut sync = Assembly::default();
        sync.set_segment(Some(segment.to_owned()));
        let missing = sync.set_head(&files.head()).unwrap();
        let fetched = apply(&mut sync, &files, missing, |_| 0);
        (sync, fetched.into_iter().filter(|fetch| fetch.kind == ObjectKind::Shard).count())
    };
    let found = |release: &crate::release::Release| -> Vec<String> {
        // Of two markets: the item of the other one is unknown here.
        let history = ["1-item-4".to_owned(), "3-item-2".to_owned()];
        let request = Request {
            limit: 100,
            history: history.iter().map(|id| id.as_str().into()).collect(),
            ..Request::default()
        };
        let mut recommender = Recommender::of(release);
        assert_eq!(recommender.absent(&request).unwrap(), []);
        recommender.recommend(&request).unwrap().into_iter().map(|candidate| candidate.id).collect()
    };
    for (segment, shards, items, cards) in [("de", 2, 29, 2), ("fr", 1, 5, 1)] {
        let (sync, fetched) = of_segment(segment);
        assert_eq!(fetched, shards, "{segment}");
        let release = sync.ready().unwrap();
        let ids = found(release);
        assert_eq!((ids.len(), ids.iter().all(|id| id.starts_with('3') == (segment == "fr"))), (items, true));
        assert_eq!(sync.cards_of(None).len(), cards, "the cards of other segments are not this page's");
        assert_eq!(sync.cards_of(Some(&ids[0])).len(), 1);
    }

    for segment in [None, Some("at")] {
        let mut sync = Assembly::default();
        sync.set_segment(segment.map(str::to_owned));
        let missing = sync.set_head(&files.head()).unwrap();
        let error = sync.accept(missing[0].digest, files.get(missing[0].digest)).unwrap_err();
        assert_eq!(error.code(), "request/segment");
        assert!(error.to_string().contains("expected a value of market, one of [\"de\", \"fr\"]"), "{error}");
        assert!(sync.ready().is_none());
    }
    // A release that is not cut by a column serves every segment.
    let single = Files::new(1, &[shard(1, 9)], false);
    let mut sync = Assembly::default();
    sync.set_segment(Some("de".to_owned()));
    let missing = sync.set_head(&single.head()).unwrap();
    apply(&mut sync, &single, missing, |_| 0);
    assert!(sync.ready().is_some());
}

#[cfg(feature = "build")]
#[test]
fn cards_of_clusters_are_those_of_the_items_that_are_shown() {
    let (files, _) = clusters(7);
    let mut sync = serving(&files);
    assert_eq!(sync.missing(), [], "a page that shows no cards fetches none");
    let manifest = &files.manifest;
    let of = |at: usize| -> Vec<String> {
        let shard = files.get(manifest.shards[at].object.digest);
        crate::shard::Shard::open(shard).unwrap().verify().unwrap().ids().collect()
    };
    let wanted = |sync: &Assembly, id: Option<&str>| -> Vec<Digest> {
        sync.cards_of(id).into_iter().map(|fetch| fetch.digest).collect()
    };
    let all: Vec<Digest> = manifest.cards.iter().map(|object| object.digest).collect();
    assert_eq!(wanted(&sync, None), all);
    for at in [1, 4] {
        let object = manifest.shards[at].object.digest;
        sync.accept(object, files.get(object)).unwrap();
    }
    assert_eq!(wanted(&sync, Some(&of(4)[0])), [all[4]]);
    assert_eq!(wanted(&sync, Some(&of(1)[1])), [all[1]]);
    assert_eq!(wanted(&sync, Some("nobody")), []);
    let bytes = sync.status().serving.unwrap().bytes;
    assert_eq!(sync.accept(all[4], files.get(all[4])).unwrap(), []);
    assert_eq!(sync.status().serving.unwrap().bytes, bytes, "cards are the page's");
    assert_eq!(sync.accept(all[2], b"{}".to_vec()).unwrap_err().code(), "release/size");

    let mut fewer = manifest.clone();
    fewer.cards.pop();
    assert_eq!(fewer.to_bytes().unwrap_err().code(), "release/field");
}

#[cfg(feature = "build")]
#[test]
fn what_a_cluster_release_names_must_be_what_it_is() {
    let (files, _) = clusters(4);
    let objects: Vec<(crate::release::Part, ObjectRef)> = files.manifest.parts().collect();
    let mut sync = serving(&files);
    for (part, object) in objects {
        let mut bytes = files.get(object.digest);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        let held = sync.accept(object.digest, bytes.clone());
        // What is held already is not looked at again.
        assert!(held.is_ok() == files.manifest.is_needed_at_once(part, None), "{part:?}");
        if let Err(error) = held {
            assert_eq!(error.code(), "release/digest", "{part:?}: {error}");
        }
        bytes.pop();
        if let Err(error) = sync.accept(object.digest, bytes) {
            assert_eq!(error.code(), "release/size", "{part:?}: {error}");
        }
    }
    assert!(served(&sync).is_some());
}

#[cfg(feature = "build")]
#[test]
fn a_shard_that_the_next_release_describes_otherwise_does_not_join_the_one_that_serves() {
    let (right, _) = clusters(5);
    // The release that serves says of a shard, which nobody has fetched yet, that it holds one candidate fewer.
    let mut wrong = right.clone();
    wrong.manifest.shards[0].count -= 1;
    wrong.manifest.items -= 1;
    let mut sync = serving(&wrong);
    let mut next = right.clone();
    next.version = 2;
    let missing = sync.set_head(&next.head()).unwrap();
    sync.accept(missing[0].digest, next.get(missing[0].digest)).unwrap();
    // Tower and routing are held from before, so the next release serves at once, with the shard as it describes it.
    assert_eq!(sync.ready().unwrap().digest(), Digest::of(&next.manifest_bytes()));

    // Had it to wait for a tower, the shard would be checked for it, and must not be given to the other.
    let mut sync = serving(&wrong);
    next.manifest.query_tower = ObjectRef::of(b"a tower that cannot be fetched");
    let missing = sync.set_head(&next.head()).unwrap();
    sync.accept(missing[0].digest, next.get(missing[0].digest)).unwrap();
    let object = right.manifest.shards[0].object.digest;
    sync.accept(object, right.get(object)).unwrap();
    let serving = sync.ready().unwrap();
    assert_eq!(serving.version(), 1);
    assert!(serving.shards()[0].is_none(), "the serving release would read slots that the shard does not have");
}

#[cfg(feature = "build")]
#[test]
fn a_delta_joins_only_the_release_that_describes_it_so_and_a_shard_waits_for_all_of_its_deltas() {
    use crate::release::{Absent, ManifestDelta, Part, REQUIRES_DELTAS};
    use crate::shard::delta::Delta;

    let (mut right, _) = clusters(7);
    let (base, count) = (right.manifest.shards[0].object.digest, right.manifest.shards[0].count);
    let delta = Delta::write(base, count, &[0, 2], &shard(9, 3));
    right.manifest.shards[0].deltas.push(ManifestDelta::of(&delta).unwrap());
    right.manifest.items += 1;
    right.manifest.requires.push(REQUIRES_DELTAS.to_owned());
    let digest = Digest::of(&delta);
    right.objects.insert(digest, delta);

    let mut sync = serving(&right);
    let wanted = sync.fetch_of(&[Absent(Part::Shard(0))]);
    assert_eq!(wanted.iter().map(|fetch| fetch.digest).collect::<Vec<_>>(), [base, digest]);
    sync.accept(base, right.get(base)).unwrap();
    assert!(sync.ready().unwrap().shards()[0].is_none(), "it would show what is gone");
    assert_eq!(sync.fetch_of(&[Absent(Part::Shard(0))]).len(), 1);
    sync.accept(digest, right.get(digest)).unwrap();
    assert_eq!(sync.ready().unwrap().shards()[0].as_ref().unwrap().len(), count as usize + 1);

    // The release that serves says that the delta removes one row only; the next one is right, and waits for its tower.
    let mut wrong = right.clone();
    wrong.manifest.shards[0].deltas[0].removed -= 1;
    wrong.manifest.items += 1;
    let mut sync = serving(&wrong);
    let mut next = right.clone();
    (next.version, next.manifest.query_tower) = (2, ObjectRef::of(b"a tower that cannot be fetched"));
    let missing = sync.set_head(&next.head()).unwrap();
    sync.accept(missing[0].digest, next.get(missing[0].digest)).unwrap();
    for object in [base, digest] {
        sync.accept(object, right.get(object)).unwrap();
    }
    assert_eq!(sync.ready().unwrap().version(), 1);
    assert!(sync.ready().unwrap().shards()[0].is_none(), "the delta is not what the serving release says");
}

#[cfg(feature = "build")]
#[test]
fn clusters_need_a_directory_and_a_routing_that_names_each_shard_once() {
    use crate::release::Routing;
    use crate::shard::testing::content;
    use crate::shard::{Header, ShardContent};

    let (files, _) = clusters(6);
    let mut without = files.manifest.clone();
    without.directory.clear();
    assert_eq!(without.to_bytes().unwrap_err().code(), "release/field");

    let count = files.manifest.shards.len();
    let routing = |id: &dyn Fn(usize) -> String| {
        let mut content = content(1, count, 8, 0);
        content.ids = (0..count).map(id).collect();
        let bytes = content.write().unwrap();
        let mut manifest = files.manifest.clone();
        manifest.routing = Some(Routing { object: ObjectRef::of(&bytes), probes: 1 });
        let computed = Digest::of(&bytes);
        manifest.open_routing(bytes, computed).map(|_| ())
    };
    assert!(routing(&|place| place.to_string()).is_ok());
    // A shard that no writer makes names one place twice, and another never.
    let content = ShardContent { ids: (0..count).map(|place| place.to_string()).collect(), ..content(1, count, 8, 0) };
    let mut bytes = content.write().unwrap();
    let ids = bytes.len() - Digest::LEN - Header::parse(&bytes).unwrap().id_bytes as usize;
    assert_eq!(bytes[ids..][..3], [0, 2, 2], "the steps between the places, doubled");
    bytes[ids + 1] = 0;
    let mut manifest = files.manifest.clone();
    manifest.routing = Some(Routing { object: ObjectRef::of(&bytes), probes: 1 });
    let error = manifest.open_routing(bytes.clone(), Digest::of(&bytes)).unwrap_err();
    assert!(matches!(&error, ReleaseError::Field { field: "id of a cluster", found, .. } if found == "0"), "{error}");

    let spellings: [&dyn Fn(usize) -> String; 3] =
        [&|place| "0".repeat(place + 1), &|place| format!("+{place}"), &|place| (place + 1).to_string()];
    for spelling in spellings {
        assert_eq!(routing(spelling).unwrap_err().code(), "release/field");
    }
}
