//! A host that serves, for each file in turn, each other file and garbage.

use crate::world::{Client, Shop, expected, shop};

/// What may be served in place of a file: every other file, and what no file is.
fn poisons(shop: &Shop, path: &str) -> Vec<Vec<u8>> {
    let own = &shop.files[path];
    let others = shop.files.iter().filter(|(other, _)| *other != path).map(|(_, bytes)| bytes.clone());
    let mut flipped = own.clone();
    flipped[own.len() / 2] ^= 0x10;
    let garbage = [
        Vec::new(),
        b"<!doctype html><title>Not found</title>".to_vec(),
        b"{}".to_vec(),
        vec![0; own.len()],
        vec![0xff; own.len() + 1],
        own[..own.len() - 1].to_vec(),
        [own, &b"\n"[..]].concat(),
        flipped,
    ];
    others.chain(garbage).collect()
}

#[test]
fn no_wrong_recommendation_and_none_that_is_empty() {
    let mut before = shop();
    let mut held = Client::of(&before);
    held.refresh(&mut before).unwrap();
    let mut after = before.clone();
    after.publish_root(&[1]);
    after.publish(5);
    let (old, new) = (expected(1), expected(5));
    let (mut served, mut wrong, mut empty) = ([0, 0, 0], Vec::new(), Vec::new());
    for path in after.files.keys().cloned().collect::<Vec<_>>() {
        for poison in poisons(&after, &path) {
            let mut host = after.clone();
            let is_head = path == "head.json";
            host.files.insert(path.clone(), poison);
            // One that has a release, and one that has none.
            for (place, mut client) in [(0, held.clone()), (1, Client::of(&after))] {
                let found = client.refresh(&mut host);
                let answer = client.answer();
                let is_right = answer.as_ref().is_none_or(|answer| *answer == old || *answer == new);
                if !is_right {
                    wrong.push(path.clone());
                }
                if answer.is_none() && place == 0 {
                    empty.push(path.clone());
                }
                assert!(found.is_err() || answer == Some(new.clone()) || (is_head && answer == Some(old.clone())));
                served[if answer.is_none() { 2 } else { usize::from(answer == Some(new.clone())) }] += 1;
                // The next right answer of the host helps.
                client.refresh(&mut after).unwrap();
                assert_eq!(client.answer(), Some(new.clone()), "{path}");
            }
        }
    }
    println!(
        "poisoned: {} wrong answers, {} empty rows of {} hosts",
        wrong.len(),
        empty.len(),
        served.iter().sum::<usize>()
    );
    assert!(wrong.is_empty() && empty.is_empty(), "wrong: {wrong:?}, empty: {empty:?}");
    assert!(served.iter().all(|&count| count > 0), "{served:?}");
}
