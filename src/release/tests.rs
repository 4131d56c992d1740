//! Heads, manifests and cards from outside.

#[cfg(feature = "origin")]
mod on_disk;

use serde_json::{Value, json};

use super::testing::{DIM, Files, cards, shard, shard_with_columns, tower};
use super::{
    FORMAT_VERSION, HEAD_LIMIT, Head, LAYOUT_CLUSTERS, MAX_AT_ONCE, MAX_VERSION, Manifest, ObjectKind, ObjectRef,
    PublicKey, ReleaseError, Routing, Signature, Terms, card_ids, inspect,
};
use crate::Digest;
use crate::shard::ShardContent;
use crate::shard::testing::content;

fn files() -> Files {
    Files::new(3, &[shard(1, 20), shard(2, 5)], true)
}

/// `bytes` as JSON, with one value replaced.
fn with(bytes: &[u8], pointer: &str, value: Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(bytes).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Value::Object(object) => drop(object.insert(name.to_owned(), value)),
        Value::Array(array) => array[name.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    serde_json::to_vec(&json).unwrap()
}

#[test]
fn a_head_has_the_form_that_is_described() {
    let manifest = ObjectRef { digest: Digest::of(b"manifest"), size: 312 };
    let head = Head::unsigned(7, manifest, None);
    let text = format!(
        r#"{{"signed":{{"format":1,"version":7,"manifest":{{"digest":"{}","size":312}}}},"signatures":[]}}"#,
        manifest.digest
    );
    assert_eq!(String::from_utf8(head.to_bytes().unwrap()).unwrap(), text);
    assert_eq!(Head::parse(text.as_bytes()).unwrap(), head);

    let later = with(text.as_bytes(), "/signed/later", json!(["unknown", "but", "not", "required"]));
    assert_eq!(Head::parse(&later).unwrap(), head);
}

#[test]
fn a_signed_head_has_the_form_that_is_described() {
    let (key, bytes) = (PublicKey::from_bytes([7; 32]), [9; Signature::LEN]);
    let terms = Terms { name: "shop".to_owned(), root: 2, made: 1000, expires: 2000 };
    let manifest = ObjectRef { digest: Digest::of(b"manifest"), size: 312 };
    let signatures = vec![Signature { key, bytes }];
    let head = Head { terms: Some(terms), signatures, ..Head::unsigned(7, manifest, Some(manifest)) };
    let object = format!(r#"{{"digest":"{}","size":312}}"#, manifest.digest);
    let signed = format!(
        r#"{{"expires":2000,"format":1,"made":1000,"manifest":{object},"name":"shop","overlay":{object},"root":2,"type":"head","version":7}}"#
    );
    assert_eq!(String::from_utf8(head.message().unwrap()).unwrap(), signed);
    let written = head.to_bytes().unwrap();
    let (key, bytes) = ("07".repeat(32), "09".repeat(64));
    let file = format!(r#"{{"signed":{signed},"signatures":[{{"key":"{key}","signature":"{bytes}"}}]}}"#);
    assert_eq!(String::from_utf8(written.clone()).unwrap(), file);
    assert_eq!(Head::parse(&written).unwrap(), head);
    // White space and the order of fields say nothing.
    let turned = with(&written, "/signed/name", json!("shop"));
    assert_eq!(Head::parse(&turned).unwrap().message().unwrap(), head.message().unwrap());
}

#[test]
fn a_manifest_reads_what_it_wrote_and_skips_what_it_need_not_know() {
    let manifest = files().manifest;
    let bytes = manifest.to_bytes().unwrap();
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    assert_eq!(Manifest::parse(&with(&bytes, "/later", json!(1))).unwrap(), manifest);
    assert!(files().open().is_ok());
}

#[test]
fn heads_and_manifests_that_break_a_rule_are_refused_by_kind() {
    let (head, manifest) = (files().head(), files().manifest_bytes());
    let (digest, long) = (json!(Digest::of(b"x")), "x".repeat(201));
    let of_head = [
        ("/signed/format", json!(FORMAT_VERSION + 1), "release/format"),
        ("/signed/format", json!(0), "release/format"),
        ("/signed/format", json!("1"), "release/json"),
        ("/signed/requires", json!(["delta"]), "release/requires"),
        ("/signed/version", json!(0), "release/field"),
        ("/signed/version", json!(MAX_VERSION + 1), "release/field"),
        ("/signed/version", json!(-1), "release/json"),
        ("/signed/manifest", json!({"digest": digest, "size": (1 << 20) + 1}), "release/too-large"),
        ("/signed/manifest", json!({"digest": "ab", "size": 1}), "release/json"),
        ("/signatures", json!([long.repeat(10)]), "release/too-large"),
        ("/signatures", json!(["k"]), "release/json"),
        ("/signed/type", json!("root"), "release/json"),
        ("/signed/type", json!("head"), "release/json"),
    ];
    for (at, value, code) in of_head {
        let error = Head::parse(&with(&head, at, value)).unwrap_err();
        assert_eq!(error.code(), code, "{at}: {error}");
    }
    let twice = files().manifest.query_tower;
    let of_manifest = [
        ("/format", json!(FORMAT_VERSION + 1), "release/format"),
        ("/requires", json!(["centroids"]), "release/requires"),
        ("/name", json!(""), "release/field"),
        ("/name", json!(long), "release/field"),
        ("/dim", json!(0), "release/field"),
        ("/dim", json!(1_000_000), "release/field"),
        ("/engine", json!("onnx"), "release/field"),
        ("/items", json!(26), "release/field"),
        ("/shards", json!([]), "release/field"),
        ("/layout", json!("clusters"), "release/field"),
        ("/shards/0/count", json!(21), "release/field"),
        ("/shards/0/object", json!({"digest": digest, "size": u64::MAX}), "release/too-large"),
        ("/cards", json!([{"digest": digest, "size": 1_u64 << 40}]), "release/too-large"),
        ("/cards", json!([{"digest": digest, "size": 9}, {"digest": twice.digest, "size": 9}]), "release/field"),
        ("/cards", json!([twice]), "release/field"),
        ("/query_tower", json!(null), "release/json"),
    ];
    for (at, value, code) in of_manifest {
        let error = Manifest::parse(&with(&manifest, at, value)).unwrap_err();
        assert_eq!(error.code(), code, "{at}: {error}");
    }
    let columns: Vec<String> = (0..257).map(|column| format!("{column}: text")).collect();
    assert_eq!(Manifest::parse(&with(&manifest, "/columns", json!(columns))).unwrap_err().code(), "release/field");
    let error = Manifest::parse(&with(&manifest, "/format", json!(9))).unwrap_err();
    assert_eq!(error.to_string(), "manifest: format 9, this build reads 1..=1; update the package");
    assert_eq!(Manifest::parse(&vec![b' '; (1 << 20) + 1]).unwrap_err().code(), "release/too-large");
    assert_eq!(Head::parse(&vec![b' '; HEAD_LIMIT + 1]).unwrap_err().code(), "release/too-large");
    // Deeper than any stack should follow.
    assert_eq!(Head::parse(&vec![b'['; HEAD_LIMIT]).unwrap_err().code(), "release/json");
}

#[test]
fn a_manifest_asks_for_no_more_at_once_than_a_client_can_hold() {
    let refused = |manifest: &Manifest| {
        let error = manifest.to_bytes().err().map(|error| error.to_string());
        error.is_some_and(|error| error.contains("bytes that are needed at once"))
    };
    let with_sizes = |manifest: &Manifest, size: u64| {
        let mut manifest = manifest.clone();
        manifest.shards.iter_mut().for_each(|shard| shard.object.size = size);
        manifest
    };
    let part = MAX_AT_ONCE / 3;
    let whole = Files::new(1, &[shard(1, 5), shard(2, 5), shard(3, 5)], false).manifest;
    assert!(!refused(&with_sizes(&whole, part - 1000)) && refused(&with_sizes(&whole, part)));
    // Two shards are of one value, wherever they stand.
    let mut by_market = Files::by_market(1).manifest;
    assert!(!refused(&with_sizes(&by_market, part)) && refused(&with_sizes(&by_market, part * 3 / 2)));
    by_market.shards.swap(1, 2);
    assert!(!refused(&with_sizes(&by_market, part)) && refused(&with_sizes(&by_market, part * 3 / 2)));
    let mut clusters = whole;
    clusters.routing = Some(Routing { object: ObjectRef::of(b"routing"), probes: 2 });
    clusters.layout = LAYOUT_CLUSTERS.to_owned();
    clusters.directory = vec![ObjectRef::of(b"directory")];
    assert!(!refused(&with_sizes(&clusters, part)) && refused(&with_sizes(&clusters, part * 3 / 2)));
}

#[test]
fn a_client_without_the_engine_knows_before_it_fetches_the_tower() {
    let files = files();
    let parsed = Manifest::parse(&with(&files.manifest_bytes(), "/engine", json!("tract")));
    let error = match parsed {
        // This build has the engine, but the tower is a program.
        Ok(manifest) => {
            let tower = &files.objects[&manifest.query_tower.digest];
            manifest.open_tower(tower, manifest.query_tower.digest).unwrap_err()
        }
        Err(error) => error,
    };
    assert_eq!(error.code(), if cfg!(feature = "tract-engine") { "release/field" } else { "towers/engine" }, "{error}");
}

#[test]
fn every_cut_of_a_head_or_a_manifest_is_refused() {
    let (head, manifest) = (files().head(), files().manifest_bytes());
    for len in 0..head.len() {
        assert_eq!(Head::parse(&head[..len]).unwrap_err().code(), "release/json", "{len}");
    }
    for len in 0..manifest.len() {
        assert_eq!(Manifest::parse(&manifest[..len]).unwrap_err().code(), "release/json", "{len}");
    }
}

#[test]
fn parts_of_different_towers_sizes_or_counts_are_refused() {
    let files = files();
    let error = |manifest: Manifest, objects: &[Vec<u8>]| {
        let objects = objects.iter().map(|bytes| (Digest::of(bytes), bytes.clone()));
        let objects = files.objects.clone().into_iter().chain(objects).collect();
        Files { version: 1, manifest, objects, overlay: None }.open().unwrap_err()
    };
    let good = &files.manifest;

    let foreign = tower(Digest::of(b"others"));
    let query_tower = ObjectRef::of(&foreign);
    let found = error(Manifest { query_tower, ..good.clone() }, &[foreign]);
    assert!(matches!(found, ReleaseError::Towers { expected, .. } if expected == good.towers), "{found}");

    let shards = |content: &ShardContent| {
        let bytes = content.write().unwrap();
        let mut shards = good.shards.clone();
        shards[1].object = ObjectRef::of(&bytes);
        error(Manifest { shards, ..good.clone() }, &[bytes])
    };
    assert_eq!(shards(&ShardContent { towers: Digest::of(b"others"), ..content(9, 5, DIM, 2) }).code(), "shard/towers");
    assert_eq!(shards(&content(9, 6, DIM, 2)).code(), "shard/field");
    assert_eq!(shards(&content(9, 5, DIM + 1, 2)).code(), "shard/field");
}

#[test]
fn an_object_is_checked_by_size_and_then_by_digest() {
    let object = ObjectRef::of(b"object");
    let size = object.check(ObjectKind::Cards, b"objects").unwrap_err();
    assert!(matches!(size, ReleaseError::Size { found: 7, expected: 6, .. }), "{size}");
    let digest = object.check(ObjectKind::Cards, b"Object").unwrap_err();
    assert!(matches!(digest, ReleaseError::Digest { expected, .. } if expected == object.digest), "{digest}");
    assert!(object.check(ObjectKind::Cards, b"object").is_ok());
}

#[test]
fn cards_give_their_ids() {
    let ids = ["a", "é", ""].map(str::to_owned);
    assert_eq!(card_ids(&cards(ids.clone())).unwrap(), ids);
    for (text, code) in [
        (r#"{"format":1,"items":[[]]}"#, "release/json"),
        (r#"{"format":1,"items":[[1]]}"#, "release/json"),
        (r#"{"format":1,"items":[["a"],"b"]}"#, "release/json"),
        (r#"{"format":2,"items":{}}"#, "release/format"),
        ("", "release/json"),
    ] {
        assert_eq!(card_ids(text.as_bytes()).unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn a_release_by_column_has_a_value_for_each_shard_and_no_other_has_one() {
    let files = Files::by_market(1);
    let bytes = files.manifest_bytes();
    assert_eq!(Manifest::parse(&bytes).unwrap(), files.manifest);
    assert!(files.open().is_ok());
    let single = self::files().manifest_bytes();
    for broken in [
        with(&bytes, "/shards/1/value", json!(null)),
        with(&bytes, "/layout", json!("single")),
        with(&bytes, "/by", json!(null)),
        with(&bytes, "/cards", json!([files.manifest.cards[0]])),
        with(&single, "/shards/0/value", json!("de")),
        with(&single, "/by", json!("market")),
        with(&single, "/layout", json!("by column")),
    ] {
        let error = Manifest::parse(&broken).unwrap_err();
        assert_eq!(error.code(), "release/field", "{error}");
    }
    assert!(inspect(&bytes).unwrap().contains("5 rows of \"fr\"\n"));
}

#[test]
fn a_shard_of_other_columns_than_the_release_is_refused() {
    let shards = [shard_with_columns(1, 20), shard_with_columns(2, 5)];
    let manifest = Files::new(1, &shards, false).manifest;
    // A column of another kind, of another name, one less: named by a manifest that nothing else is wrong with.
    let changed = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        manifest.open_shard(0, shards[0].clone(), Digest::of(&shards[0])).unwrap_err().to_string()
    };
    for (error, found) in [
        (changed(&|manifest| manifest.columns[0] = "price: unsigned".to_owned()), "column of a shard is price: price,"),
        (changed(&|manifest| manifest.columns[0] = "cost: price".to_owned()), "column of a shard is price: price,"),
        (changed(&|manifest| drop(manifest.columns.pop())), "column of a shard is weight: float,"),
        (
            changed(&|manifest| manifest.columns.push("more: text".to_owned())),
            "number of columns of a shard is 5, expected 6",
        ),
    ] {
        assert!(error.starts_with(&format!("manifest: {found}")), "{error}");
    }
}

#[test]
fn every_file_of_a_release_can_be_inspected() {
    let files = files();
    let shard = files.get(files.manifest.shards[0].object.digest);
    let tower = files.get(files.manifest.query_tower.digest);
    for (bytes, kind) in [
        (files.head(), "head, format 1"),
        (files.manifest_bytes(), "manifest, format 1"),
        (cards(["a".to_owned()]), "cards, format 1"),
        (shard.clone(), "shard, format 3"),
        (tower, "query tower, format 1"),
    ] {
        let text = inspect(&bytes).unwrap();
        assert!(text.contains(&format!("kind         {kind}\n")), "{text}");
    }
    let mut damaged = shard.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(inspect(&damaged).unwrap().contains("content      shard digest: found"));
    assert_eq!(inspect(&shard[..100]).unwrap_err().code(), "shard/truncated");
    assert_eq!(inspect(b"{}").unwrap_err().code(), "release/unknown");
    assert_eq!(inspect(b"\x89PNG").unwrap_err().code(), "release/unknown");
}
