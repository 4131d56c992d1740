//! Publishing into folders, with failures at every step and with others at work.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::head::versions;
use super::*;
use crate::keys::{Init, KeyFolder, Passphrase, Signing};
use crate::platform::files::write_atomically;
use crate::release::testing::{Files, shard};
use crate::release::{self, HEAD_FILE, Head, ObjectRef, RootPin};

pub(super) const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

/// Keys, build folders and a store, in one folder.
pub(super) struct Shop {
    pub(super) dir: TempDir,
    pub(super) keys: KeyFolder,
}

pub(super) fn passphrase() -> Passphrase {
    Passphrase::given("correct horse")
}

impl Shop {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let keys = KeyFolder::new(dir.path().join("keys"));
        let init = Init { name: "test".into(), root: Vec::new(), root_keys: 1, threshold: 1, head: Vec::new() };
        let expires = NOW + 365 * DAY;
        keys.init(&init, &Signing { keys: &[], passphrase: &passphrase(), expires }).unwrap();
        Self { dir, keys }
    }

    pub(super) fn keyring(&self) -> Keyring {
        Keyring::open(&self.keys, &[], &passphrase()).unwrap()
    }

    pub(super) fn pin(&self) -> RootPin {
        RootPin::of(&self.keys.roots().unwrap()[0])
    }

    pub(super) fn store(&self) -> FolderStore {
        FolderStore::new(self.published())
    }

    pub(super) fn published(&self) -> PathBuf {
        self.dir.path().join("published")
    }

    /// A build folder of this content.
    pub(super) fn built(&self, name: &str, files: &Files) -> PathBuf {
        let folder = self.dir.path().join(name);
        let manifest = files.manifest_bytes();
        for bytes in files.objects.values().chain(&files.overlay).chain([&manifest]) {
            write_atomically(&folder.join(ObjectRef::of(bytes).path()), bytes).unwrap();
        }
        write_atomically(&folder.join(HEAD_FILE), &files.head()).unwrap();
        folder
    }

    /// That the store is a whole release that clients take; its version.
    pub(super) fn check(&self, now: u64) -> u64 {
        let report = release::verify(&self.published()).unwrap();
        let trusted = trusted_folder(&self.published(), self.pin(), now).unwrap();
        assert_eq!(trusted.head.version, report.version);
        report.version
    }
}

/// A release of two shards, another one for every seed.
pub(super) fn files(seed: u64, count: usize) -> Files {
    Files::new(1, &[shard(seed, count), shard(seed + 1, count)], true)
}

pub(super) fn of<'a>(release: &'a Path, keys: &'a Keyring) -> Publication<'a> {
    let limits = Limits::default();
    Publication { release, keys: Some(keys), limits, days: 7, now: NOW, only_overlay: false, replace_head: false }
}

#[test]
fn a_release_is_published_renewed_and_replaced() {
    let shop = Shop::new();
    let (keys, store) = (shop.keyring(), shop.store());
    let first = shop.built("first", &files(1, 30));
    let done = publish(&store, &of(&first, &keys)).unwrap();
    assert!(done.changed && done.put.0 == 5 && done.head.version == 1, "{done}");
    assert_eq!(shop.check(NOW), 1);

    let again = publish(&store, &of(&first, &keys)).unwrap();
    assert!(!again.changed && again.put == (0, 0), "{again}");
    assert!(again.to_string().contains("nothing to do"), "{again}");
    let later = Publication { now: NOW + 3 * DAY, ..of(&first, &keys) };
    assert!(!publish(&store, &later).unwrap().changed, "more than half of its time is left");
    let later = Publication { now: NOW + 4 * DAY, ..of(&first, &keys) };
    let renewed = publish(&store, &later).unwrap();
    assert!(renewed.changed && renewed.renewed && renewed.put == (0, 0), "{renewed}");
    assert_eq!(shop.check(NOW + 10 * DAY), 2);

    let second = shop.built("second", &files(5, 30));
    let done = publish(&store, &Publication { now: NOW + 4 * DAY, ..of(&second, &keys) }).unwrap();
    assert!(done.changed && !done.renewed, "{done}");
    assert_eq!(shop.check(NOW + 4 * DAY), 3);
    assert_eq!(versions(&store).unwrap(), [1, 2, 3]);
    let back = rollback(&store, 1, Some(&keys), 7, NOW + 4 * DAY).unwrap();
    assert_eq!((back.head.version, back.head.manifest), (4, files(1, 30).head_of().manifest));
    assert_eq!(shop.check(NOW + 4 * DAY), 4);

    publish(&store, &Publication { now: NOW + 4 * DAY, ..of(&second, &keys) }).unwrap();
    store.delete(&files(1, 30).manifest.shards[1].object.path()).unwrap();
    let error = rollback(&store, 1, Some(&keys), 7, NOW + 4 * DAY).unwrap_err();
    assert!(matches!(error, PublishingError::Gone { version: 1, gone: 1, of: 4, .. }), "{error}");
    assert_eq!(shop.check(NOW + 4 * DAY), 5);
}

impl Files {
    pub(super) fn head_of(&self) -> Head {
        Head::parse(&self.head()).unwrap()
    }
}

#[test]
fn new_keys_sign_again_and_old_ones_are_refused() {
    let shop = Shop::new();
    let (old, store) = (shop.keyring(), shop.store());
    let first = shop.built("first", &files(1, 30));
    publish(&store, &of(&first, &old)).unwrap();
    let phrase = passphrase();
    let signing = Signing { keys: &[], passphrase: &phrase, expires: NOW + 365 * DAY };
    shop.keys.rotate(crate::keys::RoleName::Head, None, &[], &signing).unwrap();
    let keys = shop.keyring();
    let done = publish(&store, &of(&first, &keys)).unwrap();
    assert!(done.renewed && done.head.terms.as_ref().unwrap().root == 2, "{done}");
    assert_eq!(shop.check(NOW), 2);
    assert!(matches!(publish(&store, &of(&first, &old)), Err(PublishingError::OldKeys { found: 2, newest: 1 })));
    let soon = publish(&store, &Publication { now: NOW + 340 * DAY, ..of(&first, &keys) }).unwrap();
    assert!(soon.to_string().contains("ends in 25 days") && !done.to_string().contains("keys renew"), "{soon}");
    let late = Publication { now: NOW + 365 * DAY, ..of(&first, &keys) };
    assert!(matches!(publish(&store, &late), Err(PublishingError::RootEnded { .. })));
    let other = Shop::new();
    assert!(matches!(publish(&store, &of(&first, &other.keyring())), Err(PublishingError::OldKeys { .. })));
    let other = Publication { keys: None, ..of(&first, &keys) };
    assert!(matches!(publish(&store, &other), Err(PublishingError::WasSigned)));
    assert_eq!(shop.check(NOW), 3);
    let roots = shop.keys.roots().unwrap();
    assert!(matches!(Keyring::new(roots, Vec::new()), Err(PublishingError::TooFewKeys { .. })));
}

#[test]
fn keys_of_another_shop_are_refused() {
    let (shop, other) = (Shop::new(), Shop::new());
    let first = shop.built("first", &files(1, 30));
    publish(&shop.store(), &of(&first, &shop.keyring())).unwrap();
    let error = publish(&shop.store(), &of(&first, &other.keyring())).unwrap_err();
    assert!(matches!(error, PublishingError::OtherRoot { .. }), "{error}");
    assert_eq!(shop.check(NOW), 1);
}

#[test]
fn what_is_worse_is_refused_unless_it_is_meant() {
    let shop = Shop::new();
    let (keys, store) = (shop.keyring(), shop.store());
    let with_recall = |seed, count, recall| {
        let mut files = files(seed, count);
        files.manifest.recall = recall;
        files
    };
    let first = shop.built("first", &with_recall(1, 30, Some(9900)));
    publish(&store, &of(&first, &keys)).unwrap();
    let fewer = shop.built("fewer", &with_recall(1, 23, Some(9900)));
    let error = publish(&store, &of(&fewer, &keys)).unwrap_err();
    assert!(matches!(error, PublishingError::FewerItems { found: 46, published: 60, .. }), "{error}");
    let worse = shop.built("worse", &with_recall(3, 30, Some(9699)));
    let error = publish(&store, &of(&worse, &keys)).unwrap_err();
    assert!(matches!(error, PublishingError::LessRecall { .. }), "{error}");
    assert!(error.to_string().contains("recall@100 is 0.9699, and of what is published 0.9900"), "{error}");
    let nearly = shop.built("nearly", &with_recall(3, 24, Some(9700)));
    publish(&store, &of(&nearly, &keys)).unwrap();
    let unknown = shop.built("unknown", &with_recall(4, 24, None));
    publish(&store, &of(&unknown, &keys)).unwrap();
    let meant = |items, recall| Limits { items, recall };
    let small = shop.built("small", &with_recall(1, 5, Some(5000)));
    assert!(publish(&store, &Publication { limits: meant(Some(0.2), None), ..of(&small, &keys) }).is_err());
    publish(&store, &Publication { limits: meant(None, Some(0.02)), ..of(&small, &keys) }).unwrap();
    assert_eq!(shop.check(NOW), 4);
}

#[test]
fn what_is_damaged_or_not_a_build_folder_is_refused() {
    let shop = Shop::new();
    let (keys, store) = (shop.keyring(), shop.store());
    let first = shop.built("first", &files(1, 30));
    publish(&store, &of(&first, &keys)).unwrap();
    let published = shop.published();
    assert!(matches!(publish(&store, &of(&published, &keys)), Err(PublishingError::SamePlace { .. })));
    let elsewhere = FolderStore::new(shop.dir.path().join("elsewhere"));
    assert!(matches!(publish(&elsewhere, &of(&published, &keys)), Err(PublishingError::Signed { .. })));
    let files = files(5, 30);
    let second = shop.built("second", &files);
    for bytes in files.objects.values() {
        let path = second.join(ObjectRef::of(bytes).path());
        let mut damaged = bytes.clone();
        damaged[20] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(publish(&store, &of(&second, &keys)), Err(PublishingError::Release(_))));
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::write(published.join(HEAD_FILE), b"no head").unwrap();
    assert!(matches!(publish(&store, &of(&second, &keys)), Err(PublishingError::Head { .. })));
    std::fs::remove_file(published.join(HEAD_FILE)).unwrap();
    publish(&store, &of(&second, &keys)).unwrap();
    assert_eq!(shop.check(NOW), 2, "copies of heads say which versions were published");
}

#[test]
fn unsigned_is_possible_where_nothing_is_signed() {
    let shop = Shop::new();
    let first = shop.built("first", &files(1, 30));
    let keys = shop.keyring();
    let unsigned = Publication { keys: None, ..of(&first, &keys) };
    let done = publish(&shop.store(), &unsigned).unwrap();
    assert!(done.head.terms.is_none() && done.to_string().contains("signed       by nobody"), "{done}");
    assert!(!publish(&shop.store(), &unsigned).unwrap().changed);
    let done = publish(&shop.store(), &of(&first, &keys)).unwrap();
    assert!(done.renewed && done.head.version == 2, "{done}");
    assert_eq!(shop.check(NOW), 2);
}

#[test]
fn an_overlay_alone_is_published_beside_its_release_only() {
    let shop = Shop::new();
    let (keys, store) = (shop.keyring(), shop.store());
    let plain = files(1, 30);
    let first = shop.built("first", &plain);
    let overlay = |release| Publication { only_overlay: true, ..of(release, &keys) };
    assert!(matches!(publish(&store, &overlay(&first)), Err(PublishingError::OtherRelease { .. })));
    publish(&store, &of(&first, &keys)).unwrap();
    let stocked = plain.stocked(2, &|id| id.ends_with('1'), &|_| None, false);
    shop.built("first", &stocked);
    let done = publish(&store, &overlay(&first)).unwrap();
    assert!(done.changed && !done.renewed && done.put.0 == 1, "{done}");
    assert_eq!(done.head.overlay, Some(ObjectRef::of(stocked.overlay.as_ref().unwrap())));
    assert_eq!(shop.check(NOW), 2);

    // An overlay that is of another release is not published, whoever put it there.
    let foreign = files(7, 30).stocked(2, &|id| id.ends_with('1'), &|_| None, false).overlay;
    let wrong = shop.built("wrong", &Files { overlay: foreign, ..plain.clone() });
    assert!(matches!(publish(&store, &overlay(&wrong)), Err(PublishingError::Release(_))));
    assert_eq!(shop.check(NOW), 2);

    let second = shop.built("second", &files(5, 30));
    publish(&store, &of(&second, &keys)).unwrap();
    assert!(matches!(publish(&store, &overlay(&first)), Err(PublishingError::OtherRelease { .. })));
    let back = rollback(&store, 1, Some(&keys), 7, NOW).unwrap();
    assert_eq!((back.head.version, back.head.overlay), (4, None), "what that version had");
    let back = rollback(&store, 2, Some(&keys), 7, NOW).unwrap();
    assert!(back.head.overlay.is_none(), "the published one is of that release");
    assert!(!back.changed, "{back}");
    assert_eq!(shop.check(NOW), 4);
}

/// Fails at one of its puts, before or after it was done, as a publisher does that is killed.
#[derive(Debug)]
struct Failing {
    store: FolderStore,
    left: AtomicUsize,
    is_done: bool,
}

impl Failing {
    fn step(&self, path: &str, work: impl FnOnce() -> Result<bool, StoreError>) -> Result<bool, StoreError> {
        let failed = || StoreError::Failed { place: "test".into(), path: path.into(), reason: "killed".into() };
        // Once killed, nothing works any more.
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)));
        match left {
            Ok(1) if self.is_done => work().and_then(|_| Err(failed())),
            Ok(0 | 1) => Err(failed()),
            _ => work(),
        }
    }
}

impl Store for Failing {
    fn name(&self) -> String {
        self.store.name()
    }
    fn get(&self, path: &str, limit: u64) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        self.store.get(path, limit)
    }
    fn entry(&self, path: &str) -> Result<Option<Entry>, StoreError> {
        self.store.entry(path)
    }
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        self.store.list(folder)
    }
    fn put(&self, path: &str, bytes: Vec<u8>, cached: Cached) -> Result<(), StoreError> {
        self.step(path, || self.store.put(path, bytes, cached).map(|()| true)).map(drop)
    }
    fn replace(&self, path: &str, bytes: Vec<u8>, before: Option<&Revision>) -> Result<bool, StoreError> {
        self.step(path, || self.store.replace(path, bytes, before))
    }
    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.step(path, || self.store.delete(path).map(|()| true)).map(drop)
    }
}

#[test]
fn a_publisher_that_is_killed_at_any_step_leaves_a_whole_release() {
    let mut steps = 0;
    for is_done in [false, true] {
        for left in 1.. {
            let shop = Shop::new();
            let (keys, before) = (shop.keyring(), shop.built("first", &files(1, 30)));
            publish(&shop.store(), &of(&before, &keys)).unwrap();
            let (phrase, second) = (passphrase(), shop.built("second", &files(5, 30)));
            let signing = Signing { keys: &[], passphrase: &phrase, expires: NOW + 365 * DAY };
            shop.keys.rotate(crate::keys::RoleName::Head, None, &[], &signing).unwrap();
            let keys = shop.keyring();
            let failing = Failing { store: shop.store(), left: AtomicUsize::new(left), is_done };
            let outcome = publish(&failing, &of(&second, &keys));
            let version = release::verify(&shop.published()).unwrap().version;
            match trusted_folder(&shop.published(), shop.pin(), NOW) {
                Ok(trusted) => assert_eq!(trusted.head.version, version),
                // Clients ask for the new root when a head names it.
                Err(error) => {
                    assert!(outcome.is_err() && matches!(error, PublishingError::Superseded { .. }), "{error}");
                }
            }
            match &outcome {
                Ok(_) => assert_eq!(version, 2),
                Err(error) => assert!(matches!(error, PublishingError::Store(_)) && version <= 2, "{error}"),
            }
            // Whoever tries again ends where it would have ended.
            publish(&shop.store(), &of(&second, &keys)).unwrap();
            assert_eq!((shop.check(NOW), versions(&shop.store()).unwrap()), (2, vec![1, 2]), "{left} {is_done}");
            if outcome.is_ok() {
                steps = left;
                break;
            }
        }
    }
    assert!(steps > 7, "{steps} steps: four or more objects, a root, a head and its copy");
}

/// Has so many publishers publish these three times each, at once; the versions that they made, each once.
pub(super) fn published_at_once(shop: &Shop, store: &dyn Store, releases: &[PathBuf]) -> Vec<u64> {
    let seen = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for release in releases {
            scope.spawn(|| {
                let keys = shop.keyring();
                for _ in 0..3 {
                    let done = publish(store, &of(release, &keys)).unwrap();
                    if done.changed {
                        seen.lock().unwrap().push(done.head.version);
                    }
                }
            });
        }
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "every version once");
    seen
}

#[test]
fn publishers_at_work_at_the_same_time_take_turns() {
    let shop = Shop::new();
    let store = shop.store();
    let releases: Vec<PathBuf> =
        (0..4).map(|nth| shop.built(&format!("release {nth}"), &files(10 * nth, 30))).collect();
    let seen = published_at_once(&shop, &store, &releases);
    assert!(seen.len() >= releases.len() && shop.check(NOW) == seen.len() as u64);
    assert_eq!(versions(&store).unwrap(), seen);
    for version in seen {
        rollback(&store, version, Some(&shop.keyring()), 7, NOW).unwrap();
        shop.check(NOW);
    }
}

#[test]
fn only_old_objects_that_no_recent_head_names_are_deleted() {
    let shop = Shop::new();
    let (keys, store) = (shop.keyring(), shop.store());
    let folders = [1, 5, 9].map(|seed| shop.built(&format!("release {seed}"), &files(seed, 30)));
    for folder in &folders {
        publish(&store, &of(folder, &keys)).unwrap();
    }
    let dir = shop.published();
    let set_age = |path: &Path, days: u64| {
        let modified = SystemTime::now() - Duration::from_secs(days * DAY);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    };
    for entry in std::fs::read_dir(dir.join("objects")).unwrap() {
        set_age(&entry.unwrap().path(), 40);
    }
    std::fs::write(dir.join("objects/notes.txt"), b"not ours").unwrap();
    set_age(&dir.join("objects/notes.txt"), 40);
    // The first was replaced 20 days ago, the second two days ago.
    for (version, days) in [(1, 40), (2, 20), (3, 2)] {
        set_age(&dir.join(format!("heads/{version}.json")), days);
    }
    assert!(matches!(collect(&store, 0, SystemTime::now()), Err(PublishingError::TooSoon { .. })));
    let none = collect(&store, 30, SystemTime::now()).unwrap();
    assert_eq!((none.deleted, none.heads), (0, 3), "{none}");
    let some = collect(&store, 7, SystemTime::now()).unwrap();
    assert_eq!(some.deleted, 4, "those of the first alone, which are all but the query tower: {some}");
    shop.check(NOW);
    assert!(dir.join("objects/notes.txt").exists() && dir.join("heads/1.json").exists());
    let error = rollback(&store, 1, Some(&keys), 7, NOW).unwrap_err();
    assert!(matches!(error, PublishingError::Gone { version: 1, .. }), "{error}");
    rollback(&store, 2, Some(&keys), 7, NOW).unwrap();
    assert!(matches!(rollback(&store, 99, Some(&keys), 7, NOW), Err(PublishingError::NoVersion { .. })));
    // What is old and no longer named is put again by whoever needs it.
    let done = publish(&store, &of(&folders[0], &keys)).unwrap();
    assert_eq!(done.put.0, 4, "{done}");
    let done = publish(&store, &of(&folders[2], &keys)).unwrap();
    assert_eq!(done.put.0, 4, "{done}");
    shop.check(NOW);
}

#[test]
fn places_that_are_none_are_named() {
    for place in ["", "http://host/", "https://host/", "s3://", "ftp://host/"] {
        let error = open(place).unwrap_err();
        assert!(matches!(error, StoreError::Place { .. }), "{place}: {error}");
    }
}
