//! Stock and prices from a shop's systems, by the command line: from CSV, over HTTP and from a real Redis.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nearshelf::data::{Config, IndexConfig, Item, Layout};
use nearshelf::recommend::{Recommender, Request};
use nearshelf::release::{self, BuildInput, Carried, ItemStock, OverlayPublisher, Refreshed, Release, Stock};
use nearshelf::towers::candidate::Towers;
use tempfile::TempDir;

use crate::{fixtures, shop, trained};

/// A release in a folder of its own.
fn built(layout: Layout) -> (TempDir, Config) {
    let index = IndexConfig { layout: Some(layout), cluster_items: 60, ..IndexConfig::default() };
    let (folder, config) = (TempDir::new().unwrap(), Config { index, ..shop::config() });
    refresh(&trained().dataset.items, &config, folder.path());
    (folder, config)
}

fn refresh(items: &[Item], config: &Config, folder: &Path) -> Refreshed {
    let towers = Towers::read(&shop::config(), &trained().run()).unwrap();
    release::refresh(&BuildInput::of(items), &towers, config, folder).unwrap()
}

fn run(folder: &Path, from: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearshelf"));
    command.arg("overlay").arg("--release").arg(folder).args(["--from", from]).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Three of ten items are out, the others there; item 6 costs a dollar.
fn is_out(number: u32) -> bool {
    number % 10 < 3
}

fn id(number: u32) -> String {
    format!("item-{number:04}")
}

fn csv() -> String {
    let rows = (0..shop::ITEMS).map(|number| {
        let price = if number == 16 { "1.00" } else { "" };
        format!("{},{},{price}\n", id(number), if is_out(number) { "0" } else { "true" })
    });
    format!("item,stock,price\n{}of another shop,0,\n", rows.collect::<String>())
}

/// The release with its overlay.
fn live(folder: &Path) -> Release {
    let release = release::open(folder).unwrap();
    let overlay = release::overlay(folder, &release).unwrap();
    release.with_overlay(overlay)
}

fn answer(release: &Release, limit: usize) -> Vec<(String, Option<u64>)> {
    let request = Request { limit, history: vec!["item-0009".into()], ..Request::default() };
    let mut recommender = Recommender::of(release);
    let found = recommender.recommend(&request).unwrap();
    found.iter().map(|one| (one.id.clone(), recommender.price(one))).collect()
}

#[test]
fn a_feed_becomes_an_overlay_that_recommendations_keep_to() {
    for layout in [Layout::Single, Layout::Clusters] {
        let (folder, config) = built(layout);
        let (dir, feed) = (folder.path(), folder.path().join("feed.csv"));
        fs::write(&feed, csv()).unwrap();
        let all = answer(&live(dir), 1000);
        let text = said(&run(dir, feed.to_str().unwrap(), &[]));
        for part in [
            "version 2 (new)",
            "72 of 240 items are out of stock, 30.0 %; 1 have another price",
            "named        241 items, 1 of which",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let expected: Vec<(String, Option<u64>)> = all
            .iter()
            .filter(|(id, _)| !is_out(id[5..].parse().unwrap()))
            .map(|(id, _)| (id.clone(), (id == "item-0016").then_some(100)))
            .collect();
        for limit in [12, 1000] {
            let found = answer(&live(dir), limit);
            // Of clusters more are visited than without an overlay, so that others may come first.
            if layout == Layout::Single {
                assert_eq!(found, expected[..limit.min(expected.len())], "{limit}");
            }
            assert!(
                found.len() >= limit.min(expected.len())
                    && found.iter().all(|(id, _)| !is_out(id[5..].parse().unwrap()))
            );
        }
        let head = fs::read(dir.join("head.json")).unwrap();
        assert!(said(&run(dir, feed.to_str().unwrap(), &[])).contains("version 2 (unchanged)"));
        assert_eq!(fs::read(dir.join("head.json")).unwrap(), head, "nothing is written where nothing changed");
        what_is_wrong_leaves_the_last_good_one(dir);
        assert_eq!(fs::read(dir.join("head.json")).unwrap(), head);
        what_is_there_is_shown_and_checked(dir);
        the_next_release_keeps_it(dir, &config);
    }
}

fn what_is_wrong_leaves_the_last_good_one(dir: &Path) {
    let feed = dir.join("wrong.csv");
    let everything: String = (0..shop::ITEMS).map(|number| format!("{},0\n", id(number))).collect();
    for (text, more, part) in [
        (
            format!("item,stock\n{everything}"),
            vec![],
            "240 of 240 items are out of stock, 100.0 %, expected at most 50.0 %",
        ),
        (csv(), vec!["--most", "0.1"], "72 of 240 items are out of stock, 30.0 %, expected at most 10.0 %"),
        ("item,stock\nitem-0001,0\nitem-0002,a few\n".into(), vec![], "line 3: stock is \"a few\""),
        ("id,stock\nitem-0001,0\n".into(), vec![], "found the columns [\"id\", \"stock\"]"),
        ("item,stock\nsomething,0\n".into(), vec![], "none of 1 items is in the release"),
        ("item,stock\n".into(), vec![], "no item"),
        (csv(), vec!["--most", "2"], "expected a share from 0 to 1"),
    ] {
        fs::write(&feed, text).unwrap();
        let error = refused(&run(dir, feed.to_str().unwrap(), &more));
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(refused(&run(dir, "ftp://shop/feed.csv", &[])).contains("expected a CSV file"));
    fs::remove_file(feed).unwrap();
}

fn what_is_there_is_shown_and_checked(dir: &Path) {
    let nearshelf =
        |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_nearshelf")).args(arguments).output().unwrap();
    let text = said(&nearshelf(&["verify", dir.to_str().unwrap()]));
    assert!(text.contains("overlay      72 out of stock, 1 with another price"), "{text}");
    let head = said(&nearshelf(&["inspect", dir.join("head.json").to_str().unwrap()]));
    assert!(head.contains("\noverlay "), "{head}");
    let overlay = release::overlay(dir, &release::open(dir).unwrap()).unwrap().unwrap();
    let path = dir.join(overlay.object().path());
    let text = said(&nearshelf(&["inspect", path.to_str().unwrap()]));
    assert!(text.contains("overlay, format 1") && text.contains("out of stock 72"), "{text}");
    fs::write(&path, &overlay.bytes()[..overlay.bytes().len() - 1]).unwrap();
    let error = refused(&nearshelf(&["verify", dir.to_str().unwrap()]));
    assert!(error.contains("overlay") && error.contains("bytes, expected"), "{error}");
    fs::write(&path, overlay.bytes()).unwrap();
}

/// Two items go, one comes, one is another: what is out stays out, without a new feed.
fn the_next_release_keeps_it(dir: &Path, config: &Config) {
    let mut items = trained().dataset.items.clone();
    items.retain(|item| !["item-0010", "item-0013"].contains(&item.id.as_str()));
    items.iter_mut().find(|item| item.id == "item-0011").unwrap().price = Some(0.01);
    items.push(Item { id: "item-9999".to_owned(), ..items[2].clone() });
    match refresh(&items, config, dir) {
        Refreshed::Updated(report) => assert_eq!(report.written.overlay, Carried::Kept, "{report}"),
        Refreshed::Anew { why, .. } => panic!("{why}"),
    }
    let release = live(dir);
    let (overlay, out) = (release.overlay().unwrap(), |number: &u32| is_out(*number) && *number != 10);
    let found: BTreeSet<String> = (0..release.shards().len())
        .flat_map(|at| overlay.out_rows(at).map(move |node| (at, node)))
        .map(|(at, node)| release.shards()[at].as_ref().unwrap().id(node))
        .collect();
    assert_eq!(found, (0..shop::ITEMS).filter(out).map(id).collect());
    assert!(answer(&release, 1000).iter().any(|(id, price)| id == "item-0016" && *price == Some(100)));
    // A release that is written again without its overlay at hand has none, and is published all the same.
    fs::remove_file(dir.join(overlay.object().path())).unwrap();
    match refresh(&trained().dataset.items, config, dir) {
        Refreshed::Updated(report) => assert_eq!(report.written.overlay, Carried::Dropped, "{report}"),
        Refreshed::Anew { why, .. } => panic!("{why}"),
    }
    release::verify(dir).unwrap();
}

#[test]
fn what_is_in_stock_is_recommended_by_the_webassembly_build_too() {
    let (folder, _temporary) = fixtures::folder();
    let dir = folder.join("stocked");
    let towers = Towers::read(&shop::config(), &trained().run()).unwrap();
    fixtures::build_ruled(&towers, &shop::config(), &dir, false);
    let item = |number: u32| {
        let cents = number.is_multiple_of(4).then_some(u64::from(number) * 13);
        (id(number), ItemStock { in_stock: Some(!is_out(number)), cents })
    };
    let stock: Stock = (0..shop::ITEMS).map(item).collect();
    let published = OverlayPublisher::new(&dir, 0.5).publish(&stock, 1_796_000_000_000).unwrap();
    println!("{published}");
    fixtures::keep_answers("stocked", &live(&dir));
}

#[test]
fn a_publisher_that_goes_on_keeps_the_last_overlays_only() {
    let (folder, _) = built(Layout::Single);
    let objects = || fs::read_dir(folder.path().join("objects")).unwrap().count();
    let before = objects();
    let mut publisher = OverlayPublisher::new(folder.path(), 0.5);
    for minute in 0..40 {
        let stock = [(id(minute), ItemStock { in_stock: Some(false), cents: None })].into();
        assert!(publisher.publish(&stock, u64::from(minute) * 60_000).unwrap().changed);
    }
    assert_eq!(objects() - before, 16);
    assert_eq!(release::verify(folder.path()).unwrap().overlay, Some((1, 0)));
}

/// Answers one request.
fn served(answer: String) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/feed.csv", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
        while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        stream.write_all(answer.as_bytes()).unwrap();
    });
    (address, serving)
}

#[test]
fn a_feed_over_http_is_taken_whole_or_not_at_all() {
    let (folder, _) = built(Layout::Single);
    let whole =
        |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{}", csv());
    for (text, part) in [
        (whole(csv().len() + 9), "127.0.0.1"),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(), "503"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_owned(), "found the columns"),
    ] {
        let (address, serving) = served(text);
        let error = refused(&run(folder.path(), &address, &[]));
        assert!(error.contains(part), "{part}: {error}");
        serving.join().unwrap();
        assert_eq!(release::verify(folder.path()).unwrap().overlay, None);
    }
    let (address, serving) = served(whole(csv().len()));
    said(&run(folder.path(), &address, &[]));
    serving.join().unwrap();
    assert_eq!(release::verify(folder.path()).unwrap().overlay, Some((72, 1)));
}

/// A Redis of this test, on a port of its own.
struct Redis {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Nothing, with the reason printed, where there is no `redis-server`.
    fn start() -> Option<Self> {
        let name = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let folder = TempDir::new().unwrap();
        // Free now, and most likely a moment later.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&name);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(port.to_string());
        let mut server = match command.current_dir(folder.path()).stdout(Stdio::piped()).spawn() {
            Ok(server) => server,
            Err(error) => {
                println!("skipped: {}: {error}; install Debian's redis-server, or set REDIS_SERVER", name.display());
                return None;
            }
        };
        let mut log = BufReader::new(server.stdout.take().unwrap()).lines();
        let is_ready = log.any(|line| line.unwrap().contains("Ready to accept connections"));
        // The server goes on writing.
        std::thread::spawn(move || log.for_each(drop));
        let redis = Self { server, port, _folder: folder };
        assert!(is_ready, "redis-server ended before it was ready");
        Some(redis)
    }

    fn address(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Sends commands and waits until each is answered.
    fn tell(&self, commands: &[String]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let text: String =
            commands.iter().map(|command| format!("{command}\r\n")).chain(["QUIT\r\n".to_owned()]).collect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.contains("-ERR"), "{answer}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_redis_says_what_is_in_stock() {
    let Some(redis) = Redis::start() else { return };
    let (folder, _) = built(Layout::Single);
    let error = refused(&run(folder.path(), &redis.address(), &[]));
    assert!(error.contains("no item") && error.contains("the hashes stock and price"), "{error}");
    let mut commands: Vec<String> = (0..shop::ITEMS)
        .map(|number| format!("HSET stock {} {}", id(number), u32::from(!is_out(number)) * 7))
        .collect();
    commands.push("HSET price item-0016 1.00".to_owned());
    redis.tell(&commands);
    let text = said(&run(folder.path(), &redis.address(), &[]));
    assert!(text.contains("72 of 240 items are out of stock, 30.0 %; 1 have another price"), "{text}");
    assert_eq!(release::verify(folder.path()).unwrap().overlay, Some((72, 1)));
    redis.tell(&["HSET stock item-0005 some".to_owned()]);
    let error = refused(&run(folder.path(), &redis.address(), &[]));
    assert!(error.contains("item \"item-0005\": stock is \"some\""), "{error}");
    redis.tell(&["SET stock 5".to_owned()]);
    assert!(refused(&run(folder.path(), &redis.address(), &[])).contains("WRONGTYPE"));
}
