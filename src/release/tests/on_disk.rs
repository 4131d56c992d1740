//! Releases on a disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Digest;
use crate::index::{ResidualCodes, Scratch};
use crate::release::testing::{DIM, cards, shard, shard_with_columns, tower};
use crate::release::{
    HEAD_FILE, Head, Manifest, ObjectRef, ReleaseContent, ReleaseError, ReleaseWriter, Written, compare, inspect, open,
    verify,
};
use crate::shard::columns::ColumnKind;
use crate::shard::delta::Delta;
use crate::shard::testing::content;
use crate::shard::{Shard, ShardContent};

fn good() -> ReleaseContent {
    let ids = (0..20).map(|i| format!("1-item-{i}")).chain((0..5).map(|i| format!("2-item-{i}")));
    ReleaseContent {
        name: "test".to_owned(),
        query_tower: tower(Digest::of(b"towers")),
        shards: vec![shard(1, 20), shard(2, 5)],
        cards: vec![cards(ids)],
        ..ReleaseContent::default()
    }
}

/// Every file below `dir`.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

fn write(dir: &Path, content: &ReleaseContent) -> Result<Written, ReleaseError> {
    ReleaseWriter::new(dir).write(content)
}

/// [`good`], of which the first shard has lost its item 3 and got two others.
fn changed() -> ReleaseContent {
    let base = shard(1, 20);
    let delta = Delta::write(Digest::of(&base), 20, &[3], &shard(9, 2));
    let kept = (0..20).filter(|i| *i != 3).map(|i| format!("1-item-{i}"));
    let ids = kept.chain((0..5).map(|i| format!("2-item-{i}"))).chain((0..2).map(|i| format!("9-item-{i}")));
    ReleaseContent { deltas: vec![vec![delta]], cards: vec![cards(ids)], ..good() }
}

#[test]
fn a_release_with_deltas_is_checked_and_compared() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), &good()).unwrap();
    write(other.path(), &good()).unwrap();
    let comparison = compare(dir.path(), other.path()).unwrap();
    assert_eq!((comparison.items, comparison.queries, comparison.agreement), (25, 25, 1.0));

    let written = write(dir.path(), &changed()).unwrap();
    // Delta, cards and manifest.
    assert_eq!((written.version, written.objects), (2, 3));
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.items, report.shards, report.deltas), (26, 2, 1));
    let error = compare(dir.path(), other.path()).unwrap_err();
    assert_eq!(error.code(), "release/field");
    assert!(error.to_string().contains("2 more and 1 fewer"), "{error}");

    // The same items as three shards.
    let mut first = Shard::open(shard(1, 20)).unwrap().verify().unwrap().content();
    let codes = &first.index.codes;
    let without = |plane: &[u8]| {
        let mut rows: Vec<&[u8]> = plane.chunks_exact((plane.len() / 20).max(1)).collect();
        rows.remove(3);
        rows.concat()
    };
    let (coarse, fine, steps) = codes.parts();
    first.index.codes = ResidualCodes::from_parts(
        (DIM, codes.fine_bits(), codes.exponent()),
        without(coarse),
        without(fine),
        without(steps),
    );
    first.index.cell_ends = vec![19];
    first.index.graph = None;
    first.ids.remove(3);
    let anew = ReleaseContent {
        shards: vec![first.write().unwrap(), shard(2, 5), shard(9, 2)],
        deltas: Vec::new(),
        ..changed()
    };
    write(other.path(), &anew).unwrap();
    let comparison = compare(dir.path(), other.path()).unwrap();
    assert_eq!((comparison.items, comparison.agreement), (26, 1.0));
}

#[test]
fn deltas_that_do_not_fit_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good()).unwrap();
    let before = files(dir.path());
    let base = Digest::of(&shard(1, 20));
    for (what, delta, code) in [
        ("of another shard", Delta::write(Digest::of(b"x"), 20, &[3], &shard(9, 2)), "delta/base"),
        ("of other rows", Delta::write(base, 21, &[3], &shard(9, 2)), "delta/field"),
        ("adds what is there", Delta::write(base, 20, &[3], &shard(2, 1)), "release/field"),
        ("cards of what is gone", Delta::write(base, 20, &[3, 4], &shard(9, 2)), "release/cards"),
    ] {
        let error = write(dir.path(), &ReleaseContent { deltas: vec![vec![delta]], ..changed() }).unwrap_err();
        assert_eq!(error.code(), code, "{what}: {error}");
        assert_eq!(files(dir.path()), before, "{what}");
    }
}

#[test]
fn the_version_goes_up_with_a_change_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(dir.path(), &good()).unwrap();
    assert_eq!((first.version, first.changed, first.objects), (1, true, 5));
    let before = files(dir.path());
    let again = write(dir.path(), &good()).unwrap();
    assert_eq!((again.version, again.changed, again.objects), (1, false, 0));
    assert_eq!(files(dir.path()), before);

    let other = ReleaseContent { name: "renamed".to_owned(), ..good() };
    let renamed = write(dir.path(), &other).unwrap();
    assert_eq!((renamed.version, renamed.changed, renamed.objects), (2, true, 1));
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.version, report.items, report.shards, report.objects), (2, 25, 2, 5));
    assert_eq!(report.manifest, renamed.manifest);

    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), &good()).unwrap();
    let names = |files: BTreeMap<PathBuf, Vec<u8>>, dir: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        files.into_iter().map(|(path, bytes)| (path.strip_prefix(dir).unwrap().to_owned(), bytes)).collect()
    };
    assert_eq!(names(files(elsewhere.path()), elsewhere.path()), names(before, dir.path()));
}

#[test]
fn content_that_is_broken_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good()).unwrap();
    let before = files(dir.path());
    let foreign = ShardContent { towers: Digest::of(b"others"), ..content(3, 5, DIM, 2) };
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let with_shard = |bytes: Vec<u8>| ReleaseContent { shards: vec![bytes], ..good() };
    for (content, code) in [
        (with_shard(cut(&shard(1, 20))), "shard/truncated"),
        (with_shard(foreign.write().unwrap()), "shard/towers"),
        (with_shard(content(3, 5, DIM + 8, 2).write().unwrap()), "shard/field"),
        (ReleaseContent { shards: Vec::new(), ..good() }, "release/cards"),
        (ReleaseContent { shards: Vec::new(), cards: Vec::new(), ..good() }, "release/field"),
        (ReleaseContent { shards: vec![shard(1, 20), shard(1, 20)], cards: Vec::new(), ..good() }, "release/field"),
        (ReleaseContent { query_tower: cut(&tower(Digest::of(b"towers"))), ..good() }, "towers/truncated"),
        (ReleaseContent { cards: vec![cards((0..20).map(|i| format!("1-item-{i}")))], ..good() }, "release/cards"),
        (ReleaseContent { cards: vec![b"[]".to_vec()], ..good() }, "release/json"),
        (ReleaseContent { name: String::new(), ..good() }, "release/field"),
        (ReleaseContent { shards: vec![shard_with_columns(1, 20), shard(2, 5)], ..good() }, "release/field"),
    ] {
        let error = write(dir.path(), &content).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(files(dir.path()), before, "{error}");
    }
}

#[test]
fn lists_are_published_with_what_they_list_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let lists = |id: &str| {
        format!(r#"{{"format":1,"bucket":0,"buckets":1,"items":["{id}"],"lists":{{"trending":[0,1500]}}}}"#)
            .into_bytes()
    };
    let with = |bytes: Vec<u8>| ReleaseContent { lists: vec![bytes], ..good() };
    write(dir.path(), &with(lists("1-item-4"))).unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.lists, 1);
    let text = inspect(&lists("1-item-4")).unwrap();
    assert!(text.contains("kind         lists, format 1\nlists        1\nbucket       0 of 1\n"), "{text}");
    let before = files(dir.path());
    for (bytes, code) in [(lists("1-item-99"), "release/field"), (b"[]".to_vec(), "release/json")] {
        assert_eq!(write(dir.path(), &with(bytes)).unwrap_err().code(), code);
        assert_eq!(files(dir.path()), before);
    }
    let manifest = Manifest::parse(&fs::read(manifest_of(dir.path())).unwrap()).unwrap();
    fs::write(dir.path().join(manifest.lists[0].path()), lists("1-item-5")).unwrap();
    assert_eq!(verify(dir.path()).unwrap_err().code(), "release/digest");
}

#[test]
fn a_release_names_the_columns_of_its_shards_and_is_held_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let shards = vec![shard_with_columns(1, 20), shard_with_columns(2, 5)];
    write(dir.path(), &ReleaseContent { shards: shards.clone(), ..good() }).unwrap();
    verify(dir.path()).unwrap();
    let manifest = Manifest::parse(&fs::read(manifest_of(dir.path())).unwrap()).unwrap();
    let names = ["price: price", "brand: text", "category: path", "popularity: popularity", "weight: float"];
    assert_eq!(manifest.columns, names);
    assert_eq!((manifest.column("weight").map(ColumnKind::name), manifest.column("weigh")), (Some("float"), None));
    let text = inspect(&shards[1]).unwrap();
    assert!(text.contains("column       price            price, bytes of a value 2, missing 1\n"), "{text}");
    assert!(text.contains("column       category         path, bytes of a value 1, 5 entries, missing 0\n"), "{text}");
}

#[test]
fn a_release_by_column_opens_whole_and_answers_for_one_segment() {
    let dir = tempfile::tempdir().unwrap();
    let ids = |seed: u64, count: usize| (0..count).map(move |i| format!("{seed}-item-{i}"));
    let content = ReleaseContent {
        by: Some(("market".to_owned(), vec!["de".to_owned(), "fr".to_owned()])),
        cards: vec![cards(ids(1, 20)), cards(ids(2, 5))],
        ..good()
    };
    write(dir.path(), &content).unwrap();
    assert_eq!(verify(dir.path()).unwrap().items, 25);
    let release = open(dir.path()).unwrap();
    let visited =
        |segment: &str| release.for_segment(segment).unwrap().visited(&[1.0; DIM], 1, &mut Scratch::default());
    assert_eq!((visited("de"), visited("fr")), (vec![0], vec![1]));
    assert_eq!(release.for_segment("at").unwrap_err().code(), "request/segment");
    let swapped = ReleaseContent { cards: vec![cards(ids(2, 5)), cards(ids(1, 20))], ..content };
    assert_eq!(write(dir.path(), &swapped).unwrap_err().code(), "release/cards");
}

fn manifest_of(dir: &Path) -> PathBuf {
    let head = Head::parse(&fs::read(dir.join(HEAD_FILE)).unwrap()).unwrap();
    dir.join(head.manifest.path())
}

#[test]
fn a_folder_that_cannot_be_written_or_a_lost_version_keeps_the_head() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good()).unwrap();
    let head = dir.path().join(HEAD_FILE);
    let kept = fs::read(&head).unwrap();
    // A folder stands where the new shard should.
    let new = ReleaseContent { shards: vec![shard(3, 4)], cards: Vec::new(), ..good() };
    fs::create_dir_all(dir.path().join(ObjectRef::of(&new.shards[0]).path()).join("x")).unwrap();
    let error = write(dir.path(), &new).unwrap_err();
    assert!(matches!(error, ReleaseError::Io { .. }), "{error}");
    assert_eq!(fs::read(&head).unwrap(), kept);
    assert!(verify(dir.path()).is_ok());

    fs::write(&head, &kept[..20]).unwrap();
    let error = write(dir.path(), &good()).unwrap_err();
    assert_eq!(error.code(), "release/old-head", "{error}");
    assert_eq!(fs::read(&head).unwrap(), kept[..20]);
}

#[test]
fn damage_anywhere_is_found_and_an_object_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good()).unwrap();
    for (path, bytes) in files(dir.path()) {
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for (damage, codes) in [
            (&flipped[..], ["release/digest", "release/json"]),
            (&bytes[..bytes.len() - 1], ["release/size", "release/json"]),
            (&[&bytes[..], b"x"].concat()[..], ["release/size", "release/json"]),
        ] {
            fs::write(&path, damage).unwrap();
            let error = verify(dir.path()).unwrap_err();
            // A head whose manifest has another name leads to no file.
            assert!(codes.contains(&error.code()) || path.ends_with(HEAD_FILE), "{}: {error}", path.display());
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(verify(dir.path()).unwrap_err().code(), "release/io");
        if path.ends_with(HEAD_FILE) {
            fs::write(&path, &bytes).unwrap();
        } else {
            fs::write(&path, &flipped).unwrap();
            assert_eq!(write(dir.path(), &good()).unwrap().objects, 1);
        }
        assert!(verify(dir.path()).is_ok(), "{}", path.display());
    }
}
