//! Publishing to a server that speaks like S3: moto, which `cargo xtask test` installs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::head::versions;
use super::tests::{NOW, Shop, files, of, published_at_once};
use super::*;
use crate::platform::files::write_atomically;
use crate::release::{self, HEAD_FILE, ObjectKind};

/// A server that ends with the test.
struct S3 {
    server: Child,
    port: u16,
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl S3 {
    /// With a bucket; nothing, and the reason printed, where there is no such server.
    fn start() -> Option<Self> {
        let name = std::env::var_os("MOTO_SERVER").unwrap_or_else(|| "moto_server".into());
        // Free now, and most likely a moment later.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&name);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = match command.spawn() {
            Ok(server) => Self { server, port },
            Err(error) => {
                println!("skipped: {}: {error}; run cargo xtask test, or set MOTO_SERVER", name.display());
                return None;
            }
        };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                assert!(server.asked("PUT /bucket").starts_with("HTTP/1.1 200"));
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} did not answer within a minute", name.display());
    }

    /// What it answers to a request without a body.
    fn asked(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let text = format!("{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn store(&self, place: &str) -> CloudStore {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let settings = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ];
        CloudStore::with(place, settings.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
    }
}

/// That everything in a store is a whole release; its version.
fn check(shop: &Shop, store: &dyn Store) -> u64 {
    let copy = shop.dir.path().join("copy");
    let _ = std::fs::remove_dir_all(&copy);
    let take = |path: &str| {
        let (bytes, _) = store.get(path, ObjectKind::Shard.limit()).unwrap().unwrap();
        write_atomically(&copy.join(path), &bytes).unwrap();
    };
    take(HEAD_FILE);
    for folder in ["objects", "root"] {
        store.list(folder).unwrap().iter().for_each(|entry| take(&format!("{folder}/{}", entry.name)));
    }
    let report = release::verify(&copy).unwrap();
    trusted_folder(&copy, shop.pin(), NOW).unwrap();
    report.version
}

#[test]
fn a_bucket_is_published_to_and_refuses_who_comes_second() {
    let Some(s3) = S3::start() else { return };
    let (shop, store) = (Shop::new(), s3.store("s3://bucket/shop/live/"));
    let (keys, first) = (shop.keyring(), shop.built("first", &files(1, 30)));
    let done = publish(&store, &of(&first, &keys)).unwrap();
    assert!(done.changed && done.put.0 == 5, "{done}");
    assert_eq!(check(&shop, &store), 1);
    assert!(!publish(&store, &of(&first, &keys)).unwrap().changed);

    let (bytes, before) = store.get(HEAD_FILE, 4096).unwrap().unwrap();
    assert!(!store.replace(HEAD_FILE, bytes.clone(), None).unwrap(), "there is one");
    assert!(store.replace(HEAD_FILE, [&bytes[..], b" "].concat(), Some(&before)).unwrap());
    assert!(!store.replace(HEAD_FILE, bytes.clone(), Some(&before)).unwrap(), "it is another one");
    assert!(!store.replace("no.json", bytes, Some(&before)).unwrap(), "there is none");
    assert!(store.get(HEAD_FILE, 10).is_err() && store.get("nothing", 10).unwrap().is_none());

    assert_eq!(store.headers(HEAD_FILE), ["no-store", "application/json"]);
    for (path, kind) in
        [(done.head.manifest.path(), "application/octet-stream"), ("root/1.json".into(), "application/json")]
    {
        assert_eq!(store.headers(&path), ["public, max-age=31536000, immutable", kind]);
    }
    let old = rollback(&store, 1, Some(&keys), 7, NOW);
    assert!(old.is_ok(), "{old:?}");
    store.delete("heads/1.json").unwrap();
    store.delete("heads/1.json").unwrap();
    assert!(matches!(rollback(&store, 1, Some(&keys), 7, NOW), Err(PublishingError::NoVersion { .. })));
}

#[test]
fn publishers_to_a_bucket_take_turns() {
    let Some(s3) = S3::start() else { return };
    let shop = Shop::new();
    let store = s3.store("s3://bucket");
    let releases: Vec<_> = (0..3).map(|nth| shop.built(&format!("release {nth}"), &files(10 * nth, 30))).collect();
    let seen = published_at_once(&shop, &store, &releases);
    assert_eq!((check(&shop, &store), versions(&store).unwrap()), (seen.len() as u64, seen));
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let Some(s3) = S3::start() else { return };
    let shop = Shop::new();
    let (keys, first) = (shop.keyring(), shop.built("first", &files(1, 30)));
    let error = publish(&s3.store("s3://another-bucket"), &of(&first, &keys)).unwrap_err();
    assert!(matches!(error, PublishingError::Store(StoreError::Failed { .. })), "{error}");
}
