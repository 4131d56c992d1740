//! `test_basic.py`, `test_keys.py` and `test_file_download.py`: what is asked for and in which order, contents that change, thresholds that are not reached by different
//! keys, files that are replaced; and files of the wrong type, size, form or shop.

use nearshelf::release::{HEAD_LIMIT, Head, MAX_VERSION, ROOT_LIMIT, Root, Signature};
use nearshelf::sync::{Assembly, Freshness};

use crate::world::{Client, NOW, Shop, asked_objects, expected, objects, role, shop, signature};

fn served() -> (Shop, Client) {
    let mut shop = shop();
    let mut client = Client::of(&shop);
    client.refresh(&mut shop).unwrap();
    (shop, client)
}

/// The head with another text, signed as it then is where it can be.
fn rewritten(shop: &Shop, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(shop.signed_head(&[])).unwrap();
    assert!(text.contains(from), "{text}");
    let text = text.replace(from, to);
    let (start, end) = (text.find("{\"expires").unwrap_or(10), text.find(",\"signatures\"").unwrap());
    let Signature { key, bytes } = signature(2, &text.as_bytes()[start..end]);
    let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.replace("\"signatures\":[]", &format!(r#""signatures":[{{"key":"{key}","signature":"{bytes}"}}]"#))
        .into_bytes()
}

#[test]
fn basic_init_and_refresh() {
    let mut shop = shop();
    let mut client = Client::of(&shop);
    assert_eq!(client.assembly.freshness(NOW), None);
    client.refresh(&mut shop).unwrap();
    let mut wanted: Vec<_> = objects(1).into_keys().collect();
    wanted.retain(|path| *path != shop.unsigned_head().manifest.path());
    assert_eq!(
        client.asked[..3],
        ["head.json".to_owned(), "root/1.json".to_owned(), shop.unsigned_head().manifest.path()]
    );
    let mut rest = client.asked[3..].to_vec();
    rest.sort();
    assert_eq!(rest, wanted);
    assert_eq!((client.version(), client.answer()), (1, Some(expected(1))));
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.asked, ["head.json"], "an equal version stops without an error");
}

#[test]
fn timestamp_eq_versions_check() {
    let (mut shop, mut client) = served();
    shop.expires += 1;
    shop.publish_head();
    assert_eq!(client.refresh(&mut shop), Err("sync/conflict"));
    assert_eq!(client.assembly.freshness(NOW), Some((Freshness::Fresh, shop.expires - 1)));
}

#[test]
fn timestamp_content_changes() {
    let (mut shop, mut client) = served();
    shop.made += 1;
    shop.publish_head();
    assert_eq!(client.refresh(&mut shop), Err("sync/conflict"));
    // Signed by others beside, it is the same head.
    shop.made -= 1;
    shop.head_signers = vec![7, 2];
    shop.publish_head();
    client.refresh(&mut shop).unwrap();
}

#[test]
fn invalid_initial_root() {
    let mut shop = shop();
    let mut client = Client::of(&shop);
    let text = String::from_utf8(shop.files["root/1.json"].clone()).unwrap();
    shop.files.insert("root/1.json".to_owned(), text.replace("\"version\":1", "\"virsion\":1").into_bytes());
    assert_eq!(client.refresh(&mut shop), Err("release/json"));
    assert_eq!(client.asked.len(), 2);
}

#[test]
fn unsigned_initial_root() {
    let mut shop = shop();
    let mut client = Client::of(&shop);
    let good = shop.files["root/1.json"].clone();
    shop.root_version = 0;
    shop.publish_root(&[]);
    assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
    shop.root_version = 0;
    shop.publish_root(&[9]);
    assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
    shop.files.insert("root/1.json".to_owned(), good);
    client.refresh(&mut shop).unwrap();
}

#[test]
fn other_initial_root() {
    // A root that is right in itself, but not the pinned one; with more signatures it still is.
    let mut shop = shop();
    let mut client = Client::of(&shop);
    let pin = shop.pin();
    let mut other = shop.clone();
    other.root = role(&[1, 9], 1);
    other.root_version = 0;
    other.publish_root(&[1]);
    assert_eq!(client.refresh(&mut other), Err("sync/root-pin"));
    assert_eq!(client.version(), 0);
    shop.root_version = 0;
    shop.publish_root(&[1, 9]);
    assert_eq!(shop.pin(), pin);
    client.refresh(&mut shop).unwrap();
}

#[test]
fn head_before_its_root() {
    let mut shop = shop();
    let client = Client::of(&shop);
    let head = shop.files.remove("head.json").unwrap();
    let mut assembly = client.assembly;
    assert_eq!(assembly.set_head_at(&head, NOW).unwrap_err().code(), "sync/no-root");
    assembly.restore(&head);
    assert_eq!(assembly.status().next, None);
    assert_eq!(Assembly::default().add_root(&shop.files["root/1.json"]).unwrap_err().code(), "sync/no-pin");
}

#[test]
fn without_a_pin_nothing_is_checked() {
    let mut shop = shop();
    let mut client = Client { assembly: Assembly::default(), asked: Vec::new() };
    shop.expires = 1;
    shop.head_signers.clear();
    shop.publish_head();
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.asked[0], "head.json");
    assert!(client.asked.iter().all(|path| !path.starts_with("root")));
    let unsigned = Some((Freshness::Unsigned, MAX_VERSION));
    assert_eq!([NOW, u64::MAX].map(|now| client.assembly.freshness(now)), [unsigned, unsigned]);
    assert_eq!(client.assembly.trust().behind(0), 0);
    shop.version = 0;
    shop.publish(2);
    assert_eq!(client.refresh(&mut shop), Err("sync/conflict"));
}

#[test]
fn custom_fields() {
    // What a reader does not know is signed, too.
    let (mut shop, mut client) = served();
    shop.version += 1;
    let with = rewritten(&shop, "\"format\":1", "\"format\":1,\"hint\":{\"a\":[1,null,true,\"x y\"],\"b\":2}");
    shop.files.insert("head.json".to_owned(), with.clone());
    client.refresh(&mut shop).unwrap();
    assert_eq!(client.version(), 2);
    let (_, mut client) = served();
    let changed = String::from_utf8(with).unwrap().replace("[1,null", "[2,null");
    shop.files.insert("head.json".to_owned(), changed.into_bytes());
    assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
}

#[test]
fn snapshot_threshold() {
    let (mut shop, mut client) = served();
    shop.head = role(&[2, 3, 4, 5, 6], 5);
    shop.publish_root(&[1]);
    for signers in [&[2, 3, 4, 5][..], &[2], &[], &[2, 3, 4, 5, 7]] {
        shop.head_signers = signers.to_vec();
        shop.publish(2);
        assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
        assert_eq!(client.version(), 1);
    }
    shop.head_signers = vec![2, 3, 4, 5, 6];
    shop.publish(2);
    client.refresh(&mut shop).unwrap();
}

#[test]
fn duplicate_keys_root() {
    // One key twice in a role is refused where the root is read: by the client, as by the shop.
    let shop = shop();
    let text = String::from_utf8(shop.files["root/1.json"].clone()).unwrap();
    let key = role(&[2], 1).keys[0].to_string();
    let twice = text.replace(&format!("[\"{key}\"]"), &format!("[\"{key}\",\"{key}\"]"));
    assert_ne!(twice, text);
    assert_eq!(Root::parse_unsigned(twice.as_bytes()).unwrap_err().code(), "release/json");
    assert_eq!(Root::parse(twice.as_bytes()).unwrap_err().code(), "release/json");
    for (threshold, keys) in [(0, &[1_u8][..]), (2, &[1]), (1, &[])] {
        let [bad, good] = [&role(keys, threshold), &role(&[1], 1)];
        assert!(Root::new("shop", 1, NOW, [bad, good]).is_err() && Root::new("shop", 1, NOW, [good, bad]).is_err());
    }
    let many: Vec<u8> = (1..18).collect();
    assert!(Root::new("shop", 1, NOW, [&role(&many, 1), &role(&[1], 1)]).is_err());
    assert!(Root::new("shop", 1, NOW, [&role(&many[..16], 16), &role(&[1], 1)]).is_ok());
}

#[test]
fn duplicate_signatures() {
    // The signatures of one key count once, however often they are there; a wrong one beside the right one does no harm.
    let (mut shop, mut client) = served();
    shop.head = role(&[2, 3], 2);
    shop.publish_root(&[1]);
    shop.version += 1;
    let mut head = shop.unsigned_head();
    let message = head.message().unwrap();
    head.signatures = vec![signature(2, &message); 5];
    shop.files.insert("head.json".to_owned(), head.to_bytes().unwrap());
    assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
    head.signatures = vec![signature(2, b"another"), signature(2, &message), signature(3, &message)];
    shop.files.insert("head.json".to_owned(), head.to_bytes().unwrap());
    client.refresh(&mut shop).unwrap();
}

#[test]
fn root_has_keys_but_not_snapshot() {
    // The root's own keys sign no heads, and those of heads no roots.
    let (mut shop, mut client) = served();
    shop.head_signers = vec![1];
    shop.publish(2);
    assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
    shop.publish_root(&[2]);
    shop.publish(2);
    assert_eq!(client.refresh(&mut shop), Err("release/signatures"));
    assert_eq!(client.asked.last().unwrap(), "root/2.json");
}

#[test]
fn wrong_type() {
    // A root in place of a head, a head in place of a root, and either with the name of the other, signed by keys that may sign both.
    let mut shop = shop();
    shop.files.clear();
    (shop.root, shop.head) = (role(&[2], 1), role(&[2], 1));
    shop.root_version = 0;
    shop.publish_root(&[2]);
    shop.publish(1);
    let mut client = Client::of(&shop);
    client.refresh(&mut shop).unwrap();
    let good = shop.clone();
    shop.files.insert("head.json".to_owned(), good.files["root/1.json"].clone());
    assert_eq!(client.refresh(&mut shop), Err("release/json"));
    assert_eq!(client.assembly.add_root(&good.files["head.json"]).unwrap_err().code(), "release/json");
    shop = good.clone();
    shop.version += 1;
    for (from, to) in [("\"type\":\"head\"", "\"type\":\"root\""), ("\"type\":\"head\",", "")] {
        shop.files.insert("head.json".to_owned(), rewritten(&shop, from, to));
        assert_eq!(client.refresh(&mut shop), Err("release/json"), "{to}");
    }
    // The same rewriting without a change passes.
    shop.files.insert("head.json".to_owned(), rewritten(&shop, "\"type\":\"head\"", "\"type\":\"head\""));
    client.refresh(&mut shop).unwrap();
}

#[test]
fn another_shop() {
    // One key for two releases: neither's head passes for the other's, nor does its root follow.
    let (mut shop, mut client) = served();
    let mut other = shop.clone();
    other.name = "other".to_owned();
    other.publish(2);
    assert_eq!(client.refresh(&mut other), Err("release/field"));
    other.publish_root(&[1]);
    other.publish(2);
    assert_eq!(client.refresh(&mut other), Err("release/field"));
    shop.publish(2);
    client.refresh(&mut shop).unwrap();
}

#[test]
fn wrong_version_of_a_root() {
    let (shop, client) = served();
    for version in [1, 3] {
        let mut shop = shop.clone();
        let mut client = client.clone();
        shop.root_version = version - 1;
        shop.publish_root(&[1]);
        let root = shop.files[&Root::path(version)].clone();
        shop.files.insert("root/2.json".to_owned(), root);
        shop.root_version = 2;
        shop.publish(2);
        assert_eq!(client.refresh(&mut shop), Err("sync/root-version"));
        assert_eq!(client.version(), 1);
    }
}

#[test]
fn missing_root() {
    // A head that names a root which is not there: nothing changes.
    let (mut shop, mut client) = served();
    shop.root_version = 2;
    shop.publish(2);
    assert_eq!(client.refresh(&mut shop), Err("404"));
    assert_eq!(client.version(), 1);
    // Whoever serves a head that hints at the last root there may be, gets as far as the next one.
    shop.root_version = MAX_VERSION;
    shop.publish_head();
    assert_eq!(client.refresh(&mut shop), Err("404"));
    assert_eq!(client.asked, ["head.json", "root/2.json"]);
}

#[test]
fn new_targets_hash_mismatch() {
    let (mut shop, mut client) = served();
    shop.publish(4);
    let known = objects(1);
    for (path, bytes) in objects(4).into_iter().filter(|(path, _)| !known.contains_key(path)) {
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        shop.files.insert(path.clone(), flipped);
        let mut deceived = client.clone();
        assert_eq!(deceived.refresh(&mut shop), Err("release/digest"), "{path}");
        shop.files.insert(path, bytes);
        assert_eq!((deceived.version(), deceived.answer()), (1, Some(expected(1))));
    }
    client.refresh(&mut shop).unwrap();
    assert_eq!((client.version(), client.answer()), (2, Some(expected(4))));
}

#[test]
fn new_targets_version_mismatch() {
    // Objects that nobody names are not asked for.
    let (mut shop, mut client) = served();
    shop.files.extend(objects(5));
    client.refresh(&mut shop).unwrap();
    assert_eq!(asked_objects(&client).len(), 0);
}

#[test]
fn repository_substitutes_target_file() {
    // Every object swapped for another whole one.
    let mut shop = shop();
    let all = objects(1);
    for path in all.keys() {
        for (from, bytes) in all.iter().filter(|(from, _)| *from != path) {
            let mut swapped = shop.clone();
            swapped.files.insert(path.clone(), bytes.clone());
            let mut client = Client::of(&shop);
            let error = client.refresh(&mut swapped).unwrap_err();
            assert!(["release/digest", "release/size", "too-large"].contains(&error), "{path} from {from}: {error}");
            assert_eq!(client.version(), 0);
        }
    }
    Client::of(&shop).refresh(&mut shop).unwrap();
}

#[test]
fn multiple_changes_to_target() {
    let (mut shop, mut client) = served();
    for content in 2..12 {
        shop.publish(content);
        if content % 5 == 0 {
            client.refresh(&mut shop).unwrap();
            assert_eq!((client.version(), client.answer()), (shop.version, Some(expected(content))));
        }
    }
}

#[test]
fn sizes_are_capped() {
    let (mut shop, mut client) = served();
    shop.publish(2);
    let spaced = |bytes: &[u8], length: usize| [bytes, &vec![b' '; length - bytes.len()]].concat();
    let head = shop.files["head.json"].clone();
    shop.files.insert("head.json".to_owned(), spaced(&head, HEAD_LIMIT + 1));
    assert_eq!(client.refresh(&mut shop), Err("too-large"));
    assert_eq!(
        client.assembly.set_head_at(&spaced(&head, HEAD_LIMIT + 1), NOW).unwrap_err().code(),
        "release/too-large"
    );
    shop.files.insert("head.json".to_owned(), spaced(&head, HEAD_LIMIT));
    client.refresh(&mut shop).unwrap();
    shop.publish_root(&[1]);
    let root = shop.files["root/2.json"].clone();
    assert_eq!(client.assembly.add_root(&spaced(&root, ROOT_LIMIT + 1)).unwrap_err().code(), "release/too-large");
    client.assembly.add_root(&spaced(&root, ROOT_LIMIT)).unwrap();
}

#[test]
fn as_many_signatures_as_are_looked_at() {
    let root = |signers: &[u8]| {
        let mut shop = shop();
        shop.root = role(&(1..=16).collect::<Vec<_>>(), 1);
        shop.root_version = 0;
        shop.publish_root(signers);
        shop.files["root/1.json"].clone()
    };
    let many: Vec<u8> = (1..=33).collect();
    assert_eq!(Root::parse(&root(&many[..32])).unwrap().signatures().len(), 32);
    let error = Root::parse(&root(&many)).unwrap_err();
    assert!(error.to_string().contains("at most 32 signatures"), "{error}");
    let key = role(&[1], 1).keys[0];
    assert_eq!(format!("{key:?}"), format!("PublicKey({key})"));
    assert_eq!(key.to_string().parse(), Ok(key));
}

#[test]
fn what_has_no_canonical_form_is_not_signed() {
    let (mut shop, _) = served();
    shop.version += 1;
    for odd in
        ["1.0", "-1", "1e3", "9007199254740992", "{\"a\":1,\"a\":1}", "{\"\u{e9}\":1}", "\"\\u0001\"", "{\"\\n\":1}"]
    {
        let (_, mut client) = served();
        let head = rewritten(&shop, "\"format\":1", &format!("\"format\":1,\"hint\":{odd}"));
        shop.files.insert("head.json".to_owned(), head);
        assert_eq!(client.refresh(&mut shop), Err("release/json"), "{odd}");
    }
    // Of two fields with one name, one would be signed and the other read.
    let twice = rewritten(&shop, "\"version\":2", "\"version\":2,\"version\":3");
    shop.files.insert("head.json".to_owned(), twice);
    let (_, mut client) = served();
    assert_eq!(client.refresh(&mut shop), Err("release/json"));
}

#[test]
fn every_cut_or_flipped_bit_of_a_signed_file_is_refused() {
    let (mut shop, client) = served();
    shop.publish_root(&[1]);
    shop.publish(2);
    let (root, head) = (shop.files["root/2.json"].clone(), shop.files["head.json"].clone());
    let mut next = client.clone();
    next.assembly.add_root(&root).unwrap();
    let damages = |bytes: &[u8]| {
        let cut = (0..bytes.len()).map(|at| bytes[..at].to_vec()).collect::<Vec<_>>();
        let flip = |at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            bytes
        };
        cut.into_iter().chain((0..8 * bytes.len()).map(flip)).collect::<Vec<_>>()
    };
    for damaged in damages(&root) {
        let error = client.clone().assembly.add_root(&damaged).unwrap_err();
        assert!(error.code().starts_with("release/") || error.code().starts_with("sync/"), "{error}");
    }
    for damaged in damages(&head) {
        let mut damaged_client = next.clone();
        assert!(damaged_client.assembly.set_head_at(&damaged, NOW).is_err(), "{}", String::from_utf8_lossy(&damaged));
        assert_eq!((damaged_client.version(), damaged_client.answer()), (1, Some(expected(1))));
    }
    assert_eq!(Head::parse(&head).unwrap().version, 2);
}
