//! What is signed: roots and heads. Keys of the test sign again what a mutant says, so that more than its signature is looked at.

use ed25519_compact::{KeyPair, Seed};
use nearshelf::release::{Head, PublicKey, Role, Root, RootPin, Signature};
use nearshelf::sync::Trust;

const NOW: u64 = 1_800_000_000;

fn key() -> KeyPair {
    KeyPair::from_seed(Seed::new([7; 32]))
}

fn public() -> PublicKey {
    PublicKey::from_bytes(*key().pk)
}

fn sign(message: &[u8]) -> Signature {
    Signature { key: public(), bytes: *key().sk.sign(message, None) }
}

/// Reads a root, writes it again, and has a client follow the root with it.
pub fn root(bytes: &[u8]) -> bool {
    let Ok(root) = Root::parse_unsigned(bytes) else { return false };
    let written = Root::parse_unsigned(&root.to_bytes()).expect("what is written is read");
    assert_eq!(written, root, "what is written says the same");
    let mut pinned = Trust::pinned(RootPin::of(&root), 0);
    assert_eq!(pinned.add_root(bytes).is_ok(), Root::parse(bytes).is_ok(), "the pinned root is taken if it is signed");
    // The same keys beside one that signs here: as many signatures as a client looks at.
    let role = |role: &Role| {
        let mut keys = role.keys.clone();
        keys.retain(|key| *key != public());
        keys.truncate(15);
        keys.push(public());
        Role { keys, threshold: 1 }
    };
    let roles = [&role(&root.root), &role(&root.head)];
    let Ok(mut signed) = Root::new(&root.name, root.version, root.expires, roles) else { return true };
    signed.sign(sign(signed.message()));
    let mut trust = Trust::pinned(RootPin::of(&signed), 0);
    trust.add_root(&signed.to_bytes()).expect("it is signed now");
    // What came follows it only if the same key signed it, and it is the next.
    let follows = trust.add_root(bytes).is_ok();
    assert!(!follows || (root.version == signed.version + 1 && Root::parse(bytes).is_ok()));
    true
}

/// Reads a head, has the test's key sign what it says, and asks a client whether it takes that.
pub fn signed_head(bytes: &[u8]) -> bool {
    let Ok(mut head) = Head::parse(bytes) else { return false };
    let Some(terms) = head.terms.clone() else { return false };
    let role = Role { keys: vec![public()], threshold: 1 };
    let Ok(mut root) = Root::new(&terms.name, 1, u64::MAX >> 11, [&role, &role]) else { return true };
    root.sign(sign(root.message()));
    let mut trust = Trust::pinned(RootPin::of(&root), 0);
    trust.add_root(&root.to_bytes()).expect("it is signed");
    assert!(trust.check(bytes, NOW).is_err(), "the test's key has signed no mutant");
    let Ok(message) = head.message() else { return true };
    head.signatures = vec![sign(&message)];
    let Ok(written) = head.to_bytes() else { return true };
    let checked = trust.check(&written, terms.expires).expect("what is signed and has not ended is taken");
    assert_eq!(checked.version(), head.version);
    trust.restore(&written);
    assert!(trust.check(&written, u64::MAX).is_err(), "what has ended is not taken anew");
    let from_the_device = trust.check(&written, 0);
    assert!(
        from_the_device.is_ok() || terms.made > terms.expires,
        "what an earlier visit took serves without a network"
    );
    true
}
