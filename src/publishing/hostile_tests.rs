//! Publishing to a place that others, who have no keys, can write to.

use std::path::PathBuf;

use super::head::versions;
use super::tests::{NOW, Shop, files, of, passphrase};
use super::*;
use crate::keys::{RoleName, Signing};
use crate::release::{HEAD_FILE, HEAD_LIMIT, Head, MAX_VERSION, ObjectRef, Terms};

const DAY: u64 = 24 * 60 * 60;

/// A shop that has published its first release.
fn shop() -> (Shop, Keyring, FolderStore, PathBuf) {
    let shop = Shop::new();
    let (keys, store, first) = (shop.keyring(), shop.store(), shop.built("first", &files(1, 30)));
    publish(&store, &of(&first, &keys)).unwrap();
    (shop, keys, store, first)
}

/// What somebody without keys writes into a store.
fn write(store: &dyn Store, path: &str, bytes: Vec<u8>) {
    store.put(path, bytes, Cached::Json).unwrap();
}

fn unsigned(version: u64, seed: u64) -> Vec<u8> {
    Head { version, ..files(seed, 30).head_of() }.to_bytes().unwrap()
}

/// A head with terms that nobody has signed.
fn forged(version: u64) -> Vec<u8> {
    let terms = Terms { name: "test".to_owned(), root: 1, made: NOW, expires: NOW + DAY };
    Head { version, terms: Some(terms), ..files(1, 30).head_of() }.to_bytes().unwrap()
}

fn rotate(shop: &Shop) -> Keyring {
    let phrase = passphrase();
    let signing = Signing { keys: &[], passphrase: &phrase, expires: NOW + 365 * DAY };
    shop.keys.rotate(RoleName::Head, None, &[], &signing).unwrap();
    shop.keyring()
}

#[test]
fn a_rollback_signs_only_what_was_signed_before() {
    let (shop, keys, store, first) = shop();
    let others = shop.built("others", &files(5, 30));
    let elsewhere = FolderStore::new(shop.dir.path().join("published"));
    for entry in std::fs::read_dir(others.join("objects")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        write(&elsewhere, &format!("objects/{name}"), std::fs::read(&path).unwrap());
    }
    let (signed, _) = store.get("heads/1.json", HEAD_LIMIT as u64).unwrap().unwrap();
    for (version, bytes) in [(7, unsigned(7, 5)), (8, forged(8)), (9, signed)] {
        write(&store, &format!("heads/{version}.json"), bytes);
        let error = rollback(&store, version, Some(&keys), 7, NOW).unwrap_err();
        assert!(matches!(error, PublishingError::UnsignedCopy { .. }), "{version}: {error}");
    }
    // Nor is the overlay of an unsigned head taken.
    let overlay = ObjectRef::of(b"anything");
    let head = Head { overlay: Some(overlay), version: 2, ..files(1, 30).head_of() };
    write(&store, &overlay.path(), b"anything".to_vec());
    write(&store, HEAD_FILE, head.to_bytes().unwrap());
    let error = rollback(&store, 1, Some(&keys), 7, NOW).unwrap_err();
    assert!(matches!(error, PublishingError::Unverified { version: 2 }), "{error}");
    publish(&store, &Publication { replace_head: true, ..of(&first, &keys) }).unwrap();
    let new = rotate(&shop);
    rollback(&store, 1, Some(&new), 7, NOW).expect("an earlier root's keys signed it");
    shop.check(NOW);
}

#[test]
fn a_manifest_that_is_damaged_is_not_gone_back_to() {
    let (_shop, keys, store, _) = shop();
    let object = files(1, 30).head_of().manifest;
    write(&store, &object.path(), vec![b' '; usize::try_from(object.size).unwrap()]);
    assert!(rollback(&store, 1, Some(&keys), 7, NOW).is_err());
}

#[test]
fn a_version_that_nobody_signed_does_not_count() {
    let (shop, keys, store, first) = shop();
    let replacing = Publication { replace_head: true, ..of(&first, &keys) };
    write(&store, &format!("heads/{}.json", MAX_VERSION - 1), unsigned(MAX_VERSION - 1, 1));
    let mut expected = 1;
    for bytes in [unsigned(MAX_VERSION - 1, 1), forged(MAX_VERSION - 1), forged(2), unsigned(2, 5)] {
        write(&store, HEAD_FILE, bytes);
        let error = publish(&store, &of(&first, &keys)).unwrap_err();
        assert!(matches!(error, PublishingError::Unverified { .. }), "{error}");
        assert!(error.to_string().contains("--replace-head"), "{error}");
        let done = publish(&store, &replacing).unwrap();
        expected += 1;
        assert_eq!((done.head.version, shop.check(NOW)), (expected, expected));
    }
    assert!(!publish(&store, &replacing).unwrap().changed, "a head that is signed needs no replacement");
    store.delete(HEAD_FILE).unwrap();
    assert_eq!(publish(&store, &of(&first, &keys)).unwrap().head.version, expected + 1);
    // A head that claims a newer root than there is.
    let terms = Terms { name: "test".to_owned(), root: 99, made: NOW, expires: NOW + DAY };
    let head = Head { version: 3, terms: Some(terms), ..files(1, 30).head_of() };
    write(&store, HEAD_FILE, head.to_bytes().unwrap());
    assert!(matches!(publish(&store, &of(&first, &keys)), Err(PublishingError::OldKeys { found: 99, .. })));
    publish(&store, &replacing).unwrap();
    let version = publish(&store, &of(&first, &rotate(&shop))).unwrap().head.version;
    assert_eq!((version, shop.check(NOW)), (expected + 3, expected + 3), "a rotation needs no flag");
}

#[test]
fn the_first_signed_head_counts_on_from_an_unsigned_one_unless_it_leaves_few_versions() {
    let shop = Shop::new();
    let (keys, store, first) = (shop.keyring(), shop.store(), shop.built("first", &files(1, 30)));
    write(&store, HEAD_FILE, unsigned((1 << 40) + 1, 1));
    let error = publish(&store, &of(&first, &keys)).unwrap_err();
    assert!(matches!(error, PublishingError::HighVersion { .. }), "{error}");
    write(&store, HEAD_FILE, unsigned(40, 1));
    write(&store, "heads/39.json", unsigned(39, 1));
    assert_eq!(publish(&store, &of(&first, &keys)).unwrap().head.version, 41);
    assert_eq!((shop.check(NOW), versions(&store).unwrap()), (41, vec![39, 40, 41]));
}

#[test]
fn a_clock_that_ran_ahead_locks_nobody_out() {
    let shop = Shop::new();
    let (keys, store, first) = (shop.keyring(), shop.store(), shop.built("first", &files(1, 30)));
    publish(&store, &Publication { now: NOW + 30 * DAY, ..of(&first, &keys) }).unwrap();
    let second = shop.built("second", &files(5, 30));
    let done = publish(&store, &of(&second, &keys)).unwrap();
    let terms = done.head.terms.clone().unwrap();
    assert_eq!((terms.made, terms.expires), (NOW + 30 * DAY, NOW + 37 * DAY), "{done}");
    assert!(done.to_string().contains("look at the clocks"), "{done}");
    assert_eq!(shop.check(NOW + 30 * DAY), 2, "clients that saw the first one think that it is so late");
    let later = publish(&store, &Publication { now: NOW + 36 * DAY, ..of(&first, &keys) }).unwrap();
    assert!(!later.to_string().contains("clock"), "{later}");
}

#[test]
fn a_damaged_host_is_repaired_by_publishing_what_is_published() {
    let (shop, keys, store, first) = shop();
    let files = files(1, 30);
    store.delete(&files.manifest.shards[0].object.path()).unwrap();
    write(&store, &files.manifest.shards[1].object.path(), b"cut off".to_vec());
    store.delete(&files.head_of().manifest.path()).unwrap();
    let done = publish(&store, &of(&first, &keys)).unwrap();
    assert!(!done.changed && done.put.0 == 3, "{done}");
    shop.check(NOW);
    assert_eq!(publish(&store, &of(&first, &keys)).unwrap().put.0, 0);
}

#[test]
fn a_head_of_a_revoked_key_is_not_called_right() {
    let (shop, _, store, first) = shop();
    let (stolen, _) = store.get(HEAD_FILE, HEAD_LIMIT as u64).unwrap().unwrap();
    publish(&store, &of(&first, &rotate(&shop))).unwrap();
    shop.check(NOW);
    write(&store, HEAD_FILE, stolen);
    let error = trusted_folder(&shop.published(), shop.pin(), NOW).unwrap_err();
    assert!(matches!(error, PublishingError::Superseded { found: 1, newest: 2 }), "{error}");
    // What is no root does not count as one.
    let root = crate::release::Root::path(2);
    write(&store, &root, b"<html>not found</html>".to_vec());
    trusted_folder(&shop.published(), shop.pin(), NOW).unwrap();
}
