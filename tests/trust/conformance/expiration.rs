//! `test_expiration.py`: nothing that has ended is taken, with a day for clocks and what the application allows beyond.

use nearshelf::sync::{Freshness, SKEW};

use crate::world::{Client, DAY, LIFE, NOW, shop};

const ALLOWED: u64 = 10 * DAY;

#[test]
fn a_day_for_clocks_and_thirty_for_shops_unless_told() {
    assert_eq!((SKEW, nearshelf::sync::DEFAULT_HARD_LIMIT), (86_400, 2_592_000));
    let keys = [Freshness::Unsigned, Freshness::Fresh, Freshness::Stale, Freshness::Expired].map(Freshness::key);
    assert_eq!(keys, ["unsigned", "fresh", "stale", "expired"]);
}

#[test]
fn timestamp_expired() {
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), ALLOWED);
    client.refresh(&mut shop).unwrap();
    shop.expires = NOW - 5 * DAY;
    shop.publish(2);
    let last = shop.expires + SKEW + ALLOWED;
    assert_eq!(client.refresh_at(&mut shop, last + 1), Err("sync/expired"));
    assert_eq!((client.version(), client.asked.len()), (1, 1), "nothing was fetched for it");
    client.refresh_at(&mut shop, last).unwrap();
    assert_eq!(client.version(), 2);
}

#[test]
fn root_expired() {
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), 0);
    client.refresh(&mut shop).unwrap();
    shop.root_expires = NOW - SKEW - 1;
    shop.publish_root(&[1]);
    shop.publish(2);
    assert_eq!(client.refresh(&mut shop), Err("sync/expired"));
    assert_eq!(client.version(), 1);
    // The root itself was taken: the next one follows it.
    shop.root_expires = NOW + DAY;
    shop.publish_root(&[1]);
    shop.publish(3);
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.asked[1], "root/3.json");
    assert_eq!(client.version(), 3);
}

#[test]
fn intermediate_root_expired() {
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), 0);
    shop.root_expires = NOW - 100 * DAY;
    shop.publish_root(&[1]);
    shop.root_expires = NOW + 100 * DAY;
    shop.publish_root(&[1]);
    shop.publish(2);
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.version(), 2);
}

#[test]
fn expired_metadata() {
    // A client whose own head has ended takes a newer one.
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), 0);
    client.refresh(&mut shop).unwrap();
    shop.expires = NOW + 21 * DAY;
    shop.publish(2);
    client.refresh_at(&mut shop, NOW + 18 * DAY).unwrap();
    assert_eq!(client.version(), 2);
}

#[test]
fn snapshot_expired() {
    // What serves and has ended serves on, and the same head again is no error: the application hears how old it is.
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), ALLOWED);
    client.refresh(&mut shop).unwrap();
    let answer = client.answer();
    let ends = NOW + LIFE;
    for (now, expected) in [
        (0, Freshness::Fresh),
        (NOW, Freshness::Fresh),
        (ends + SKEW, Freshness::Fresh),
        (ends + SKEW + 1, Freshness::Stale),
        (ends + SKEW + ALLOWED, Freshness::Stale),
        (ends + SKEW + ALLOWED + 1, Freshness::Expired),
        (u64::MAX, Freshness::Expired),
    ] {
        assert_eq!(client.assembly.freshness(now), Some((expected, ends)), "{now}");
        client.refresh_at(&mut shop, now).unwrap();
        assert_eq!((client.version(), client.answer()), (1, answer.clone()));
    }
}

#[test]
fn what_an_earlier_visit_took_is_not_taken_anew_when_it_has_ended() {
    let mut shop = shop();
    let head = shop.files["head.json"].clone();
    let mut next = Client::pinned(shop.pin(), ALLOWED);
    next.assembly.add_root(&shop.files["root/1.json"]).unwrap();
    next.assembly.restore(&head);
    let late = NOW + LIFE + SKEW + ALLOWED + 1;
    assert_eq!(next.refresh_at(&mut shop, late), Err("sync/expired"));
    assert_eq!(next.version(), 0);
    // From the device it serves, where the network gives nothing: at the moment that the head was made.
    next.refresh_at(&mut shop, 0).unwrap();
    assert_eq!((next.version(), next.assembly.freshness(late)), (1, Some((Freshness::Expired, NOW + LIFE))));
    next.refresh_at(&mut shop, late).unwrap();
}

#[test]
fn targets_expired() {
    // The root ends before the head: that is what counts.
    let mut shop = shop();
    shop.root_expires = NOW + DAY;
    shop.publish_root(&[1]);
    shop.publish(2);
    let mut client = Client::pinned(shop.pin(), 0);
    client.refresh(&mut shop).unwrap();
    let state = |now| client.assembly.freshness(now);
    assert_eq!(state(NOW + DAY + SKEW), Some((Freshness::Fresh, NOW + DAY)));
    assert_eq!(state(NOW + DAY + SKEW + 1), Some((Freshness::Expired, NOW + DAY)));
}

#[test]
fn freeze() {
    // A host that serves one head for ever: the client goes on, and says that it is old. One whose newer head has no objects: that makes nothing younger.
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), 0);
    client.refresh(&mut shop).unwrap();
    let (late, old) = (NOW + LIFE + SKEW + 1, NOW + LIFE);
    assert_eq!(client.assembly.freshness(late), Some((Freshness::Expired, old)));
    shop.expires = late + LIFE;
    shop.publish(2);
    shop.files.retain(|path, _| !path.starts_with("objects/"));
    assert_eq!(client.refresh_at(&mut shop, late), Err("404"));
    assert_eq!((client.version(), client.assembly.freshness(late)), (1, Some((Freshness::Expired, old))));
    // A head of the same release alone does.
    shop.publish(1);
    client.refresh_at(&mut shop, late).unwrap();
    assert_eq!((client.version(), client.assembly.freshness(late)), (3, Some((Freshness::Fresh, late + LIFE))));
}

#[test]
fn clocks_that_are_behind() {
    let mut shop = shop();
    let mut client = Client::pinned(shop.pin(), 0);
    client.refresh_at(&mut shop, 5).unwrap();
    assert_eq!((client.assembly.trust().behind(5), client.assembly.trust().behind(NOW)), (NOW - 5, 0));
    assert_eq!(client.assembly.trust().behind(NOW + 5), 0);
    // What was made later tells the time: a head that had ended by then is not taken, whatever the clock says.
    shop.made = NOW + 60 * DAY;
    shop.expires = shop.made + LIFE;
    shop.publish(2);
    client.refresh_at(&mut shop, 5).unwrap();
    shop.expires = NOW + LIFE;
    shop.publish(3);
    assert_eq!(client.refresh_at(&mut shop, 5), Err("sync/expired"));
    assert_eq!(client.version(), 2);
}
