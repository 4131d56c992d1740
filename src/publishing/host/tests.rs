//! A small server that is right, and wrong in one way after the other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use crate::publishing::tests::{NOW, Shop, files, of};
use crate::publishing::{Store, publish};
use crate::release::{HEAD_FILE, RootPin};

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    CachedHead,
    LargeHead,
    OtherHead,
    UnsignedHead,
    NoRoot,
    ChangedObject,
    LongObject,
    UncachedObject,
    BrieflyCachedObject,
    TextObject,
    NoCors,
    CorsWithOriginOnly,
    CorsForAnother,
    CorsByOrigin,
    Elsewhere,
    Redirect,
    PageForAbsent,
    ForbiddenForAbsent,
    NoSniffing,
    Uncompressed,
    Gzip,
    Down,
}

/// The files of a release, served with a fault.
struct Server {
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    address: String,
}

impl Server {
    fn start(files: &BTreeMap<String, Vec<u8>>, fault: Fault) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self { files: files.clone(), fault, address: address.clone() });
        if fault == Fault::Down {
            return address;
        }
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.answer(stream));
            }
        });
        format!("{address}/shop/")
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
        let path =
            first.split(' ').nth(1).unwrap_or_default().trim_start_matches("/moved").trim_start_matches("/shop/");
        let (status, headers, body) = self.response(path, &headers, first.contains("/moved"));
        let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        text += &lines.concat();
        let _ = stream.write_all(&[text.as_bytes(), b"\r\n", &body].concat());
    }

    fn response(&self, path: &str, asked: &[String], is_moved: bool) -> (&str, Vec<(&str, String)>, Vec<u8>) {
        let (fault, is_head, is_object) = (self.fault, path == HEAD_FILE, path.starts_with("objects/"));
        let mut headers = Vec::new();
        if fault == Fault::Elsewhere && is_object {
            return ("302 Found", vec![("Location", "https://cdn.example/x".to_owned())], Vec::new());
        }
        if fault == Fault::Redirect && !is_moved {
            return ("302 Found", vec![("Location", format!("{}/moved/shop/{path}", self.address))], Vec::new());
        }
        let body = self.files.get(path).filter(|_| fault != Fault::NoRoot || !path.starts_with("root/"));
        let Some(body) = body else {
            return match fault {
                Fault::PageForAbsent => ("200 OK", headers, b"<html>our shop</html>".to_vec()),
                Fault::ForbiddenForAbsent => ("403 Forbidden", headers, Vec::new()),
                _ => ("404 Not Found", headers, Vec::new()),
            };
        };
        let has = |start: &str| asked.iter().any(|line| line.starts_with(start));
        let origin = match fault {
            Fault::NoCors => None,
            Fault::CorsWithOriginOnly => has("origin:").then_some("*"),
            Fault::CorsForAnother => Some("https://other.example"),
            Fault::CorsByOrigin => has("origin:").then_some("https://shop.example"),
            _ => Some("*"),
        };
        headers.extend(origin.map(|origin| ("Access-Control-Allow-Origin", origin.to_owned())));
        if fault == Fault::CorsByOrigin {
            headers.push(("Vary", "Accept-Encoding, Origin".to_owned()));
        }
        let control = match (is_head, fault) {
            (true, Fault::CachedHead) => "max-age=60",
            (true, _) => "No-Store",
            (_, Fault::UncachedObject) => "no-cache",
            (_, Fault::BrieflyCachedObject) => "public, max-age=86400",
            _ => "public, max-age=31536000, immutable",
        };
        headers.push(("Cache-Control", control.to_owned()));
        let kind = if is_object && fault != Fault::TextObject { "application/octet-stream" } else { "text/plain" };
        headers.push(("Content-Type", kind.to_owned()));
        if fault != Fault::NoSniffing {
            headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
        }
        let encoding = |name: &str| has("accept-encoding:") && asked.iter().any(|line| line.ends_with(name));
        if encoding(" br") && !matches!(fault, Fault::Uncompressed | Fault::Gzip) {
            headers.push(("Content-Encoding", "br".to_owned()));
        }
        let mut body = match (is_head, fault) {
            (true, Fault::LargeHead) => [body.as_slice(), &[b' '; 3000]].concat(),
            (true, Fault::OtherHead) => b"<html></html>".to_vec(),
            (true, Fault::UnsignedHead) => {
                String::from_utf8_lossy(body).replace("\"version\":1", "\"version\":2").into_bytes()
            }
            _ => body.clone(),
        };
        if is_object && fault == Fault::ChangedObject {
            body[9] ^= 1;
        }
        if is_object && fault == Fault::LongObject {
            body.push(b'\n');
        }
        if is_object && fault == Fault::Gzip && encoding(" gzip") {
            headers.push(("Content-Encoding", "gzip".to_owned()));
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&body).unwrap();
            body = packed.finish().unwrap();
        }
        ("200 OK", headers, body)
    }
}

fn published() -> (BTreeMap<String, Vec<u8>>, RootPin) {
    let shop = Shop::new();
    let (keys, store) = (shop.keyring(), shop.store());
    publish(&store, &of(&shop.built("first", &files(1, 30)), &keys)).unwrap();
    let mut all = BTreeMap::new();
    for folder in ["objects", "root", "heads"] {
        for entry in store.list(folder).unwrap() {
            let path = format!("{folder}/{}", entry.name);
            all.insert(path.clone(), store.get(&path, 1 << 30).unwrap().unwrap().0);
        }
    }
    all.insert(HEAD_FILE.to_owned(), store.get(HEAD_FILE, 1 << 20).unwrap().unwrap().0);
    (all, RootPin::of(&shop.keys.newest().unwrap()))
}

fn asked(files: &BTreeMap<String, Vec<u8>>, pin: Option<RootPin>, fault: Fault) -> HostReport {
    let url = Server::start(files, fault);
    check_host(&HostQuestion { url, pin, origin: "https://shop.example".to_owned(), now: NOW })
}

#[test]
fn each_fault_of_a_host_is_told_and_no_other() {
    let (files, pin) = published();
    let faults: [(Fault, &[&str], Verdict); 23] = [
        (Fault::None, &[], Verdict::Ok),
        (Fault::CachedHead, &["head caching"], Verdict::Wrong),
        (Fault::LargeHead, &["head content"], Verdict::Wrong),
        (Fault::OtherHead, &["head content"], Verdict::Wrong),
        (Fault::UnsignedHead, &["signatures"], Verdict::Wrong),
        (Fault::NoRoot, &["signatures", "root"], Verdict::Wrong),
        (Fault::ChangedObject, &["object content"], Verdict::Wrong),
        (Fault::LongObject, &["object content"], Verdict::Wrong),
        (Fault::UncachedObject, &["object caching"], Verdict::Wrong),
        (Fault::BrieflyCachedObject, &["object caching"], Verdict::Advice),
        (Fault::TextObject, &["object type"], Verdict::Wrong),
        (Fault::NoCors, &["head CORS", "root CORS", "object CORS"], Verdict::Wrong),
        (Fault::CorsWithOriginOnly, &["head CORS", "root CORS", "object CORS"], Verdict::Wrong),
        (Fault::CorsForAnother, &["head CORS", "root CORS", "object CORS"], Verdict::Wrong),
        (Fault::CorsByOrigin, &[], Verdict::Ok),
        (Fault::Elsewhere, &["object", "absent files"], Verdict::Wrong),
        (Fault::Redirect, &["head", "root", "object"], Verdict::Advice),
        (Fault::PageForAbsent, &["absent files"], Verdict::Wrong),
        (Fault::ForbiddenForAbsent, &["absent files"], Verdict::Advice),
        (Fault::NoSniffing, &["nosniff"], Verdict::Advice),
        (Fault::Uncompressed, &["compression"], Verdict::Advice),
        (Fault::Gzip, &[], Verdict::Ok),
        (Fault::Down, &["head", "absent files"], Verdict::Wrong),
    ];
    for (fault, expected, verdict) in faults {
        let report = asked(&files, Some(pin), fault);
        let bad: Vec<(&str, Verdict)> = report
            .findings
            .iter()
            .filter(|finding| finding.verdict != Verdict::Ok)
            .map(|finding| (finding.what, finding.verdict))
            .collect();
        let expected: Vec<_> = expected.iter().map(|what| (*what, verdict)).collect();
        assert_eq!(bad, expected, "{fault:?}\n{report}");
        assert_eq!(report.is_wrong(), verdict == Verdict::Wrong);
        assert!(report.findings.iter().all(|finding| (finding.verdict == Verdict::Ok) == finding.remedy.is_empty()));
    }
}

#[test]
fn a_report_is_a_table_and_json() {
    let (files, pin) = published();
    let report = asked(&files, None, Fault::None);
    let text = report.to_string();
    for part in ["ok      head ", "advice  signatures", "signed, not checked", "-> give the public key", "0 wrong"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["findings"][0]["verdict"], "ok");
    let other = RootPin { version: 1, digest: crate::Digest::of(b"another") };
    let report = asked(&files, Some(other), Fault::None);
    assert!(report.is_wrong() && report.to_string().contains("wrong   signatures"), "{report}");
    let url = Server::start(&files, Fault::None);
    let late = HostQuestion { url, pin: Some(pin), origin: "https://shop.example".into(), now: NOW + 8 * 24 * 3600 };
    assert!(check_host(&late).to_string().contains("the head ended 86400 seconds ago"));
}
