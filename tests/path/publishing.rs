//! From a build to a host, by the command line: keys, publishing, refusals, going back, stock, and the check of a host.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nearshelf::data::{Config, IndexConfig, Item, Layout};
use nearshelf::publishing::Cached;
use nearshelf::release::{self, BuildInput, Head, Manifest};
use nearshelf::towers::candidate::Towers;
use tempfile::TempDir;

use crate::{shop, trained};

/// A build folder, keys, and where it is published.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn build(&self, layout: Layout, items: &[Item]) {
        let index = IndexConfig { layout: Some(layout), cluster_items: 60, ..IndexConfig::default() };
        let config = Config { index, ..shop::config() };
        let towers = Towers::read(&shop::config(), &trained().run()).unwrap();
        release::refresh(&BuildInput::of(items), &towers, &config, &self.path("build")).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nearshelf"));
        command.current_dir(self.dir.path()).env("NEARSHELF_PASSPHRASE", "correct horse");
        command.args(args).output().unwrap()
    }

    fn said(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Makes keys; the public key.
    fn keys(&self) -> String {
        let text = self.said(&["keys", "init", "--name", "invented"]);
        let pin = text.lines().find_map(|line| line.strip_prefix("publicKey    \"")).unwrap();
        pin.trim_end_matches('"').to_owned()
    }

    fn head(&self, folder: &str) -> Head {
        Head::parse(&fs::read(self.path(folder).join("head.json")).unwrap()).unwrap()
    }
}

fn publish<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ["publish", "--release", "build", "--to", "live"].iter().chain(more).copied().collect()
}

#[test]
fn a_build_is_published_signed_and_taken_back() {
    for layout in [Layout::Single, Layout::Clusters] {
        let place = Place::new();
        let items = &trained().dataset.items;
        place.build(layout, items);
        let plain = publish(&[]);
        assert!(place.refused(&plain).contains("nearshelf keys init"));
        let pin = place.keys();
        let text = place.said(&plain);
        assert!(text.contains("version 1: new") && text.contains("counts for 168 hours"), "{text}");
        let verified = place.said(&["verify", "live", "--public-key", &pin]);
        assert!(verified.contains("signatures   right, under root 1"), "{verified}");
        assert!(place.said(&plain).contains("nothing to do"));
        let manifest = place.path("live").join(place.head("live").manifest.path());
        let recall = Manifest::parse(&fs::read(manifest).unwrap()).unwrap().recall;
        assert!(recall.is_some_and(|recall| (5000..=10_000).contains(&recall)), "{recall:?}");

        place.build(layout, &items[..150]);
        let updated = place.path("build").join(place.head("build").manifest.path());
        let carried = Manifest::parse(&fs::read(updated).unwrap()).unwrap().recall;
        assert!(carried.is_some(), "updates carry it on, builds measure it");
        let error = place.refused(&plain);
        assert!(error.contains("150 items, 37.5 % fewer than the 240 that are published"), "{error}");
        let forced = publish(&["--force-loss", "items", "--force-loss", "recall"]);
        assert!(place.said(&forced).contains("version 2: new"));
        let back = place.said(&["rollback", "--to", "live", "--version", "1"]);
        assert!(back.contains("version 3: new"), "{back}");
        assert!(place.said(&["verify", "live", "--public-key", &pin]).contains("candidates   240"));
        what_is_signed_is_no_build_folder(&place);

        place.said(&["keys", "rotate", "head"]);
        let roots = place.said(&["keys", "show"]);
        assert!(roots.contains("version 2 of \"invented\"") && roots.contains(&pin), "{roots}");
        assert!(place.said(&forced).contains("version 4: new"));
        assert!(place.said(&["verify", "live", "--public-key", &pin]).contains("under root 2"));
    }
}

fn what_is_signed_is_no_build_folder(place: &Place) {
    let before = fs::read(place.path("live/head.json")).unwrap();
    fs::write(place.path("feed.csv"), "item,stock\nitem-0001,0\n").unwrap();
    let error = place.refused(&["overlay", "--release", "live", "--from", "feed.csv"]);
    assert!(error.contains("is signed") && error.contains("nearshelf publish"), "{error}");
    let towers = Towers::read(&shop::config(), &trained().run()).unwrap();
    let input = BuildInput::of(&trained().dataset.items);
    let error = release::build(&input, &towers, &shop::config(), &place.path("live")).unwrap_err();
    assert!(error.to_string().contains("is signed"), "{error}");
    assert!(release::refresh(&input, &towers, &shop::config(), &place.path("live")).is_err());
    assert_eq!(fs::read(place.path("live/head.json")).unwrap(), before);
}

#[test]
fn stock_is_published_beside_the_release_and_nothing_else_is() {
    let place = Place::new();
    place.build(Layout::Single, &trained().dataset.items);
    let pin = place.keys();
    fs::write(place.path("feed.csv"), "item,stock\nitem-0001,0\nitem-0002,3\n").unwrap();
    let overlay = ["overlay", "--release", "build", "--from", "feed.csv", "--publish", "live"];
    assert!(place.refused(&overlay).contains("publish the release first"));
    place.said(&publish(&[]));
    let text = place.said(&overlay);
    assert!(text.contains("1 of 240 items are out of stock") && text.contains("nothing to do"), "{text}");
    fs::write(place.path("feed.csv"), "item,stock\nitem-0001,0\nitem-0002,0\n").unwrap();
    let text = place.said(&overlay);
    assert!(text.contains("new") && text.contains("objects      1 put"), "{text}");
    assert!(place.said(&["verify", "live", "--public-key", &pin]).contains("overlay      2 out of stock"));
}

/// Serves a folder as a host should.
fn served(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the tests.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let Some(first) = lines.next() else { continue };
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let control = if path == "head.json" { Cached::NEVER } else { Cached::CONTROL };
            let (status, body) = match fs::read(folder.join(&path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let text = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\nCache-Control: {control}\r\nContent-Type: {}\r\n\
                 Access-Control-Allow-Origin: *\r\n\r\n",
                body.len(),
                Cached::Object.content_type()
            );
            let _ = stream.write_all(&[text.as_bytes(), &body].concat());
        }
    });
    address
}

#[test]
fn a_host_is_checked() {
    let place = Place::new();
    place.build(Layout::Single, &trained().dataset.items);
    let pin = place.keys();
    place.said(&publish(&[]));
    let address = served(place.path("live"));
    let args = ["check-host", &address, "--public-key", &pin, "--json", "found.json"];
    let text = place.said(&args);
    assert!(text.contains("2 advice, 0 wrong"), "no compression, no nosniff: {text}");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(place.path("found.json")).unwrap()).unwrap();
    assert_eq!(json["url"], address.as_str());
    let object = place.path("live").join(place.head("live").manifest.path());
    damage(&object);
    let output = place.run(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("wrong   object content"));
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[10] ^= 1;
    fs::write(path, bytes).unwrap();
}
