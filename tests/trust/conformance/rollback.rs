//! `test_rollback.py`: nothing goes back, unless keys were taken away.

use crate::world::{Client, Shop, role, shop};

fn at_version_2() -> (Shop, Client) {
    let mut shop = shop();
    shop.publish(2);
    let mut client = Client::of(&shop);
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.version(), 2);
    (shop, client)
}

#[test]
fn new_timestamp_version_rollback() {
    let (mut shop, mut client) = at_version_2();
    shop.version = 1;
    shop.publish_head();
    assert_eq!(client.refresh(&mut shop), Err("sync/rollback"));
    assert_eq!((client.version(), &*client.asked), (2, &["head.json".to_owned()][..]));
}

#[test]
fn simple_snapshot_rollback() {
    // An old manifest under the present name: the digest names what the client has, which it does not ask for.
    let (mut shop, mut client) = at_version_2();
    let path = shop.unsigned_head().manifest.path();
    shop.files.insert(path, crate::world::manifest(1));
    client.refresh(&mut shop).unwrap();
    assert_eq!((client.version(), &*client.asked), (2, &["head.json".to_owned()][..]));
}

#[test]
fn snapshot_rollback() {
    // A head of the same version that names the manifest of before.
    let (mut shop, mut client) = at_version_2();
    let before = client.answer();
    shop.content = 1;
    shop.publish_head();
    assert_eq!(client.refresh(&mut shop), Err("sync/conflict"));
    assert_eq!((client.version(), client.answer()), (2, before));
}

#[test]
fn targets_rollback() {
    // The shop itself may say again what it said before, with a new version.
    let (mut shop, mut client) = at_version_2();
    shop.publish(1);
    client.refresh(&mut shop).unwrap();
    assert_eq!((client.version(), client.answer()), (3, Some(crate::world::expected(1))));
}

#[test]
fn rollback_across_visits() {
    // What an earlier visit took is known to the next one, which begins without a release.
    let (mut shop, _) = at_version_2();
    let highest = shop.files["head.json"].clone();
    shop.version = 1;
    shop.publish_head();
    let mut next = Client::of(&shop);
    let root = shop.files["root/1.json"].clone();
    next.assembly.add_root(&root).unwrap();
    next.assembly.restore(&highest);
    assert_eq!(next.refresh(&mut shop), Err("sync/rollback"));
    // A lower one that is restored later changes nothing.
    let lower = shop.signed_head(&[2]);
    next.assembly.restore(&lower);
    assert_eq!(next.refresh(&mut shop), Err("sync/rollback"));
    shop.version = 3;
    shop.publish_head();
    next.refresh(&mut shop).unwrap();
    assert_eq!(next.version(), 3);
}

#[test]
fn roots_that_were_seen_count_before_what_a_host_says() {
    // The head of a key that was taken away hints at the first root only.
    let (mut shop, _) = at_version_2();
    let mut thief = shop.clone();
    thief.version = 500;
    thief.publish(6);
    shop.rotate_head(3);
    let mut next = Client::of(&shop);
    let kept = |version| shop.files.get(&format!("root/{version}.json")).cloned();
    while let Some(root) = next.assembly.trust().next_root().and_then(kept) {
        next.assembly.add_root(&root).unwrap();
    }
    assert_eq!(next.assembly.trust().next_root(), Some(3));
    assert_eq!(next.refresh(&mut thief), Err("release/signatures"));
}

#[test]
fn a_release_that_a_revoked_key_began_is_not_brought_to_its_end() {
    let (mut shop, mut client) = at_version_2();
    let mut thief = shop.clone();
    thief.publish(5);
    let head = thief.files["head.json"].clone();
    let mut missing = client.assembly.set_head_at(&head, crate::world::NOW).unwrap();
    let fetch = missing.remove(0);
    client.assembly.accept(fetch.digest, thief.files[&fetch.path].clone()).unwrap();
    shop.rotate_head(3);
    client.assembly.add_root(&shop.files["root/2.json"]).unwrap();
    assert_eq!((client.assembly.missing(), client.assembly.status().next), (vec![], None));
    assert_eq!((client.version(), client.answer()), (2, Some(crate::world::expected(2))));
    shop.publish(4);
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.version(), 3);
}

/// A stolen key signed the highest version there is; the shop takes it away, and goes on where it was.
fn fast_forward(across_visits: bool) {
    let (mut shop, mut client) = at_version_2();
    let mut stolen = shop.clone();
    stolen.version = (1 << 53) - 2;
    stolen.publish(5);
    client.refresh(&mut stolen).unwrap();
    shop.publish(3);
    assert_eq!(client.refresh(&mut shop), Err("sync/rollback"));
    let highest = stolen.files["head.json"].clone();
    if across_visits {
        client = Client::of(&shop);
    }
    shop.rotate_head(3);
    shop.publish(4);
    if across_visits {
        for version in 1..=2 {
            client.assembly.add_root(&shop.files[&format!("root/{version}.json")]).unwrap();
        }
        client.assembly.restore(&highest);
    }
    client.refresh(&mut shop).unwrap();
    assert_eq!((client.version(), client.answer()), (shop.version, Some(crate::world::expected(4))));
}

#[test]
fn new_timestamp_fast_forward_recovery() {
    fast_forward(false);
}

#[test]
fn new_snapshot_fast_forward_recovery() {
    fast_forward(true);
}

#[test]
fn new_targets_fast_forward_recovery() {
    // A key that is added takes none away: versions stand.
    let (mut shop, mut client) = at_version_2();
    shop.head = role(&[2, 3], 1);
    shop.publish_root(&[1]);
    shop.version = 1;
    shop.publish_head();
    assert_eq!(client.refresh(&mut shop), Err("sync/rollback"));
    assert_eq!(client.version(), 2);
}

#[test]
fn new_snapshot_version_mismatch() {
    // The manifest that the head names is another one than what lies there.
    let (mut shop, mut client) = at_version_2();
    let before = client.answer();
    shop.publish(4);
    let path = shop.unsigned_head().manifest.path();
    shop.files.insert(path.clone(), crate::world::manifest(2));
    assert!(["release/digest", "release/size", "too-large"].contains(&client.refresh(&mut shop).unwrap_err()));
    assert_eq!((client.version(), client.answer(), client.asked.last()), (2, before, Some(&path)));
}
