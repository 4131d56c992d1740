//! The evaluator against the figures that others got on the same file: UCI Online Retail II, split on 2011-10-01.
//!
//! The file is not part of the repository; without it the test says so and passes. It is read here by hand, not by
//! preparation, so that the two cannot share a mistake.
#![cfg(feature = "origin")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use nearshelf::data::{Dataset, Event, Item, User};
use nearshelf::evaluate::{BaselineParams, Mode, Scorer, baselines, evaluate};

const FILE: &str = "data/online-retail/2010-12_2011-10.csv.gz";

/// How far a figure may be from the published one.
const TOLERANCE: f64 = 0.01;

/// Scorer, mode, R@20, NDCG@20, R@100, as published with the file.
const PUBLISHED: [(&str, Mode, [f64; 3]); 8] = [
    ("popularity, last 30 days", Mode::NewOnly, [0.0787, 0.0712, 0.2002]),
    ("implicit ALS", Mode::NewOnly, [0.1000, 0.0865, 0.2173]),
    ("popularity, last 30 days", Mode::Repeats, [0.1066, 0.1065, 0.2251]),
    ("implicit ALS", Mode::Repeats, [0.2350, 0.2272, 0.3896]),
    ("EASE", Mode::NewOnly, [0.1171, 0.0996, 0.2349]),
    ("EASE", Mode::Repeats, [0.2441, 0.2338, 0.4141]),
    ("own counts, then popularity", Mode::NewOnly, [0.0787, 0.0712, 0.2002]),
    ("own counts, then popularity", Mode::Repeats, [0.3042, 0.3045, 0.4175]),
];

/// Published for a neighbourhood model with other knobs: ours may be better, not worse by more than the tolerance.
const PUBLISHED_ITEM_KNN: [(Mode, [f64; 3]); 2] =
    [(Mode::NewOnly, [0.0852, 0.0768, 0.1851]), (Mode::Repeats, [0.1740, 0.1701, 0.2974])];

fn shared() -> PathBuf {
    std::env::var_os("NEARSHELF_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
}

/// Milliseconds since 1970-01-01 of `YYYY-MM-DD HH:MM:SS` (civil calendar, after H. Hinnant's `days_from_civil`).
fn milliseconds(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    (((days * 24 + number(11, 13)) * 60 + number(14, 16)) * 60 + number(17, 19)) * 1000
}

fn is_product(code: &str) -> bool {
    let (digits, letters) = code.split_at(code.len().min(5));
    digits.len() == 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && letters.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// User, item and time of the lines that the cleaning keeps.
fn lines(path: &Path) -> Vec<(String, String, i64)> {
    let mut lines = Vec::new();
    for record in csv::Reader::from_reader(flate2::read::GzDecoder::new(File::open(path).unwrap())).records() {
        let record = record.unwrap();
        let positive = |column: usize| record[column].parse::<f64>().unwrap() > 0.0;
        if !record[0].starts_with('C')
            && positive(3)
            && positive(5)
            && !record[6].is_empty()
            && record[1].is_ascii()
            && is_product(&record[1])
        {
            lines.push((record[6].to_owned(), record[1].to_owned(), milliseconds(&record[4])));
        }
    }
    lines
}

fn dataset(lines: &[(String, String, i64)]) -> Dataset {
    let distinct = |ids: BTreeSet<&str>| ids.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let users = distinct(lines.iter().map(|line| line.0.as_str()).collect());
    let items = distinct(lines.iter().map(|line| line.1.as_str()).collect());
    let test_from_ms = milliseconds("2011-10-01 00:00:00");
    let place = |ids: &[String], id: &String| ids.binary_search(id).unwrap() as u32;
    let mut events: Vec<Event> = lines
        .iter()
        .map(|(user, item, time_ms)| Event {
            user: place(&users, user),
            item: place(&items, item),
            time_ms: *time_ms,
            location: u32::MAX,
            device: u16::MAX,
            event_type: 0,
            quantity: 1.0,
            basket: 0,
        })
        .collect();
    events.sort_by_key(|event| (event.user, event.time_ms));
    let item = |id: String| Item {
        id,
        title: String::new(),
        category: Vec::new(),
        brand: None,
        price: None,
        events: 0,
        attributes: Vec::new(),
    };
    Dataset {
        user_offsets: (0..=users.len())
            .map(|user| events.partition_point(|event| (event.user as usize) < user))
            .collect(),
        items: items.into_iter().map(item).collect(),
        users: users.into_iter().map(|id| User { id, attributes: Vec::new() }).collect(),
        event_types: vec!["purchase".to_owned()],
        events,
        test_from_ms,
        ..Dataset::default()
    }
}

#[test]
fn baselines_land_where_others_did() {
    let path = shared().join(FILE);
    if !path.is_file() {
        eprintln!("skipped: {} is absent; set NEARSHELF_SHARED to the folder that holds {FILE}", path.display());
        return;
    }
    let lines = lines(&path);
    assert_eq!(lines.len(), 314_794, "clean lines");
    let data = dataset(&lines);
    let fitted = baselines(&data, &BaselineParams::default());
    let scorers: Vec<&dyn Scorer> = fitted.iter().map(|scorer| &**scorer).collect();
    let report = evaluate(&data, &scorers).unwrap();
    println!("{report}");
    assert_eq!((report.candidates, report.cold_users, report.cold_items), (3_502, 357, 105));
    let figures = |scorer: &str, mode| {
        let row = report.row(scorer, mode).unwrap();
        assert_eq!(row.users, if mode == Mode::NewOnly { 937 } else { 1_002 });
        ["R@20", "NDCG@20", "R@100"].map(|name| row.value(name))
    };
    for (scorer, mode, published) in PUBLISHED {
        let ours = figures(scorer, mode);
        let near = ours.iter().zip(published).all(|(ours, published)| (ours - published).abs() < TOLERANCE);
        assert!(near, "{scorer}, {}: {ours:.4?}, published {published:?}, tolerance {TOLERANCE}", mode.label());
    }
    for (mode, published) in PUBLISHED_ITEM_KNN {
        let ours = figures("ItemKNN", mode);
        let good = ours.iter().zip(published).all(|(ours, published)| ours > &(published - TOLERANCE));
        assert!(good, "ItemKNN, {}: {ours:.4?}, published {published:?}, tolerance {TOLERANCE}", mode.label());
    }
}
