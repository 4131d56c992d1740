//! The JSON of a release: heads, manifests, rules.

use nearshelf::release::rules::Rules;
use nearshelf::release::{Head, Manifest, ObjectRef};
use nearshelf::sync::Assembly;

use super::shop;

/// Reads a head, writes it again and hands it to a client.
pub fn head(bytes: &[u8]) -> bool {
    let Ok(head) = Head::parse(bytes) else { return false };
    // Spaces between signatures may have been what kept it within its limit.
    if let Ok(written) = head.to_bytes() {
        let again = Head::parse(&written).expect("what is written is read");
        let named = |head: &Head| (head.version, head.manifest, head.overlay);
        assert_eq!(named(&again), named(&head), "what is written says the same");
    }
    Assembly::default().set_head(bytes).expect("the first head that parses is taken");
    true
}

/// Reads a manifest, writes it again and hands it to a client.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(bytes) else { return false };
    let written = manifest.to_bytes().expect("what is read is written");
    assert_eq!(Manifest::parse(&written).expect("what is written is read"), manifest);
    let object = ObjectRef::of(bytes);
    let mut assembly = Assembly::default();
    assembly.set_segment(manifest.shards[0].value.clone());
    assembly.set_head(shop::head(1, object).as_bytes()).expect("the first head");
    let missing = assembly.accept(object.digest, bytes.to_vec()).expect("a manifest that parses is taken");
    assert!(missing.iter().all(|fetch| manifest.part_of(fetch.digest).is_some()), "only what it names is fetched");
    true
}

/// Reads rules, and asks a small shop that has them for a row of each scenario.
pub fn rules(bytes: &[u8]) -> bool {
    let Ok(rules) = Rules::parse(bytes) else { return false };
    let Some(mut recommender) = shop::with("rules", bytes) else { return true };
    for name in rules.names().take(4) {
        shop::ask(&mut recommender, Some(name));
    }
    true
}
