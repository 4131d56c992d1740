//! Preparation on small shops: every bad row with its reason, every row counted once, broken inputs refused.
#![cfg(feature = "origin")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod hostile;
mod shop;

use std::fmt::Write;
use std::path::PathBuf;

use datafusion::arrow::array::{Float64Array, Int64Array, StringArray, TimestampNanosecondArray};
use nearshelf::data::{Attribute, Config, DataError, Dataset, Event, Holdout, prepare};
use proptest::prelude::*;
use shop::{Shop, array, write_parquet};

fn reasons(rows: &[(String, u64, String, String)]) -> Vec<(&str, u64, &str, &str)> {
    rows.iter()
        .map(|(table, record, reason, value)| (table.as_str(), *record, reason.as_str(), value.as_str()))
        .collect()
}

#[test]
fn good_rows_become_a_dataset() {
    let shop = Shop::new();
    let summary = shop.prepare().unwrap();
    let data = Dataset::read(&shop.out(), &shop.config().unwrap()).unwrap();
    // C is sold only in the test; u3 bought nothing else, and is not a user then.
    assert_eq!(summary.catalogue.only_in_test, 1);
    assert_eq!((summary.events.outside_training, summary.events.outside_test), (0, 1));
    assert_eq!(data.items.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(data.items[0].category, ["Food", "Fruit"]);
    assert_eq!(data.items[1].category, ["Food"]);
    assert_eq!(
        (data.items[0].price, data.items[1].price),
        (Some(1.5), Some(3.0)),
        "catalogue price, median of 2 and 4"
    );
    assert_eq!((data.items[0].events, data.items[1].events), (1, 2));
    assert_eq!(data.items[0].brand.as_deref(), Some("Acme"));
    let users: Vec<_> = data.users.iter().map(|u| (u.id.as_str(), u.attributes[0].as_deref())).collect();
    assert_eq!(users, [("u1", Some("30-39")), ("u2", None)]);
    assert_eq!(data.locations, ["north", "south"]);
    assert_eq!(data.event_types, ["purchase"]);
    let events: Vec<_> = data.events_of(0).iter().map(|e| (e.item, e.time_ms, e.location, e.quantity)).collect();
    let (first, third, test) = (1_577_872_800_000, 1_578_045_600_000, 1_580_515_200_000);
    assert_eq!(events, [(0, first, 0, 1.0), (1, third, u32::MAX, 1.0), (0, test, 0, 1.0)]);
    assert_eq!(data.events_of(1).len(), 1);
    assert_eq!(data.events_of(1)[0].location, 1);
    assert_eq!(data.test_from_ms, test);
    let users = summary.users.clone().unwrap();
    assert_eq!((users.read, users.kept, users.without_events), (3, 2, 1));
    let table = summary.to_string();
    assert!(table.lines().any(|l| l.split_whitespace().eq(["events", "5", "4", "0", "0", "1"])), "{table}");
}

#[test]
fn leaving_one_out_keeps_what_only_the_test_has() {
    let shop = Shop::new().edit("test_from = \"2020-02-01\"", "leave_one_out = true");
    let summary = shop.prepare().unwrap();
    let config = shop.config().unwrap();
    let data = Dataset::read(&shop.out(), &config).unwrap();
    // u1 has A, B, A; the others one event each.
    assert_eq!((summary.test_from_ms, summary.events.training, summary.events.test), (None, 3, 2));
    assert_eq!(data.holdout, Holdout::LeaveOneOut { untrained: 2 });
    let items = |events: &[Event]| events.iter().map(|event| event.item).collect::<Vec<_>>();
    let of_u1 = [data.training_events(0), data.query_events(0), data.test_events(0)].map(items);
    assert_eq!(of_u1, [vec![0], vec![0, 1], vec![0]]);
    assert_eq!(data.items.iter().map(|item| item.events).collect::<Vec<_>>(), [1, 1, 1]);
    let by_time = shop.edit("leave_one_out = true", "test_from = \"2020-02-01\"");
    let error = Dataset::read(&by_time.out(), &by_time.config().unwrap()).unwrap_err();
    assert!(error.to_string().contains("leave one out"), "{error}");
}

#[test]
fn no_event_is_needed_to_be_published_where_none_is_asked_for() {
    let shop = Shop::new().edit("path = \"ITEMS\"", "path = \"ITEMS\"\nmin_events = 0");
    let summary = shop.prepare().unwrap();
    let data = Dataset::read(&shop.out(), &shop.config().unwrap()).unwrap();
    assert_eq!((summary.catalogue.only_in_test, summary.events.outside_test), (0, 0));
    assert_eq!(data.items.iter().map(|item| item.events).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn attributes_of_the_catalogue_are_numbers_where_their_entry_is_one() {
    let attributes = "price = \"price\"\nattributes = { note = \"maker\", cost = \"CAST(price AS DOUBLE) * 2\", shelf = \"shelf\" }\n[users]";
    let shop = Shop::new().edit("price = \"price\"\n[users]", attributes);
    shop.prepare().unwrap();
    let config = shop.config().unwrap();
    let data = Dataset::read(&shop.out(), &config).unwrap();
    let text = |text: &str| Some(Attribute::Text(text.to_owned()));
    // In order of name: cost, note, shelf.
    assert_eq!(data.items[0].attributes, [Some(Attribute::Number(3.0)), text("Acme"), text("Fruit")]);
    assert_eq!(data.items[1].attributes, [None, None, None]);

    let other = shop.edit("note = \"maker\", ", "origin = \"maker\", ");
    let error = Dataset::read(&other.out(), &other.config().unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("sources is of another configuration") && error.contains("run `nearshelf prepare` again"),
        "{error}"
    );
}

const BAD_EVENTS: &str = "who,sku,at,n,price,store,basket,id\n\
    u1,A,2020-01-01 10:00:00,1,1.0,north,k1,1\n\
    ,A,2020-01-01 10:00:00,1,1.0,north,k1,2\n\
    u1, ,2020-01-01 10:00:00,1,1.0,north,k1,3\n\
    u1,A,yesterday,1,1.0,north,k1,4\n\
    u1,A,,1,1.0,north,k1,5\n\
    u1,A,2020-01-01 10:00:00,0,1.0,north,k1,6\n\
    u1,A,2020-01-01 10:00:00,many,1.0,north,k1,7\n\
    u1,A,2020-01-01 10:00:00,1,-0.5,north,k1,8\n\
    u1,A,2020-01-01 10:00:00,1,NaN,north,k1,9\n\
    u1,A,2020-01-01 10:00:00,1,free,north,k1,10\n\
    u1,Z,2020-01-01 10:00:00,1,1.0,north,k1,11\n\
    u1,A,2020-01-01 10:00:00,1,1.0,north,k1,1\n\
    u1,A,2020-01-01 10:00:00,1\n\
    u1,A,2020-01-01 10:00:00,1,1.0,\"no\nrth\",k1,12\n\
    u1,A,2020-01-01 10:00:00,1,inf,north,k1,13\n";

#[test]
fn every_bad_row_of_a_csv_has_its_reason() {
    let shop = Shop::new();
    let mut events = BAD_EVENTS.as_bytes().to_vec();
    events.extend(b"u1,A,2020-01-01 10:00:00,1,1.0,n\xffrth,k1,14\n");
    shop.write("events.csv", events);
    shop.write(
        "items.csv",
        "sku,name,group,shelf,maker,price\nA,Apple,,,,\nA,Again,,,,\n,None,,,,\nB,Bread,,,,-1\nD,Dung,,,,x\n",
    );
    shop.write("users.csv", "who,age\nu1,3\nu1,4\n,5\n");
    let summary = shop.prepare().unwrap();
    let expected = [
        ("catalogue", 3, "duplicate item id", "A"),
        ("catalogue", 4, "missing item", ""),
        ("catalogue", 5, "negative price", "-1"),
        ("catalogue", 6, "price not a number", "x"),
        ("events", 3, "missing user", ""),
        ("events", 4, "missing item", ""),
        ("events", 5, "unparsable time", "yesterday"),
        ("events", 6, "unparsable time", ""),
        ("events", 7, "quantity not above 0", "0"),
        ("events", 8, "quantity not a number", "many"),
        ("events", 9, "negative price", "-0.5"),
        ("events", 10, "price not a number", "NaN"),
        ("events", 11, "price not a number", "free"),
        ("events", 12, "unknown item", "Z"),
        ("events", 13, "duplicate event id", "1"),
        ("events", 14, "wrong number of fields", "4"),
        ("events", 17, "price not a number", "inf"),
        ("events", 18, "not UTF-8", "n\u{fffd}rth"),
        ("users", 3, "duplicate user", "u1"),
        ("users", 4, "missing user", ""),
    ];
    let rejects = shop.rejects();
    assert_eq!(reasons(&rejects), expected);
    assert_eq!(summary.events.kept(), 2, "the first row, and the one with a line break");
    assert_eq!(summary.events.rejected["price not a number"], 3);

    // Lines that end as on Windows, and a blank one behind the header.
    let events = std::fs::read(shop.path("events.csv")).unwrap();
    let mut lines: Vec<&[u8]> = events.split(|&byte| byte == b'\n').collect();
    lines.insert(1, b"");
    shop.write("events.csv", lines.join(&b"\r\n"[..]));
    assert_eq!(shop.prepare().unwrap().events.kept(), 2);
    let later =
        expected.map(|(source, line, reason, value)| (source, line + u64::from(source == "events"), reason, value));
    assert_eq!(reasons(&shop.rejects()), later);
}

#[test]
fn every_bad_row_of_a_parquet_has_its_reason() {
    let shop = Shop::new().edit("EVENTS", "events.parquet").edit("ITEMS", "items.parquet");
    let day = 1_577_872_800_000_000_000;
    let columns = vec![
        ("who", array(Int64Array::from(vec![Some(1), None, Some(1), Some(1), Some(1), Some(1), Some(1), Some(1)]))),
        ("sku", array(Float64Array::from(vec![7.0, 7.0, f64::NAN, 7.0, 7.0, 7.0, 8.0, 7.0]))),
        (
            "at",
            array(TimestampNanosecondArray::from(vec![
                Some(day),
                Some(day),
                Some(day),
                None,
                Some(day),
                Some(day),
                Some(day),
                Some(day),
            ])),
        ),
        ("n", array(Int64Array::from(vec![1, 1, 1, 1, 0, 1, 1, 1]))),
        ("price", array(Float64Array::from(vec![1.0, 1.0, 1.0, 1.0, 1.0, f64::NAN, 1.0, -1.0]))),
        ("store", array(Int64Array::from(vec![3; 8]))),
        ("basket", array(StringArray::from(vec!["k"; 8]))),
        ("id", array(Int64Array::from_iter_values(0..8))),
    ];
    write_parquet(&shop.path("events.parquet"), columns);
    let text = |value| array(StringArray::from(vec![value, Some("other")]));
    let columns = vec![
        ("sku", array(Int64Array::from(vec![7, 7]))),
        ("name", text(Some("Seven"))),
        ("group", text(None)),
        ("shelf", text(Some("top"))),
        ("maker", text(None)),
        ("price", array(Float64Array::from(vec![None, Some(1.0)]))),
    ];
    write_parquet(&shop.path("items.parquet"), columns);
    shop.prepare().unwrap();
    let expected = [
        ("catalogue", 2, "duplicate item id", "7"),
        ("events", 2, "missing user", ""),
        ("events", 3, "missing item", ""),
        ("events", 4, "unparsable time", ""),
        ("events", 5, "quantity not above 0", "0"),
        ("events", 6, "price not a number", "NaN"),
        ("events", 7, "unknown item", "8"),
        ("events", 8, "negative price", "-1.0"),
    ];
    let rejects = shop.rejects();
    assert_eq!(reasons(&rejects), expected);
    let data = Dataset::read(&shop.out(), &shop.config().unwrap()).unwrap();
    assert_eq!((data.items[0].id.as_str(), data.items[0].category.as_slice()), ("7", &["top".to_owned()][..]));
    assert_eq!(data.locations, ["3"]);
}

#[test]
fn conditions_and_expressions_work_on_text() {
    let shop = Shop::new()
        .edit("price = \"price\"\nlocation", "price = \"price / n\"\nlocation")
        .edit("path = \"EVENTS\"", "path = \"EVENTS\"\nwhere = \"n > 0.5 AND price > 0\"")
        .edit("path = \"ITEMS\"", "path = \"ITEMS\"\nwhere = \"sku <> 'C'\"\nduplicates = \"last\"");
    shop.write(
        "events.csv",
        shop::EVENTS.replace("u2,B,2020-01-02T10:00:00,2,2.0", "u2,B,2020-01-02T10:00:00,4,2.5")
            + "u1,A,2020-01-05,x,1,,,\n",
    );
    shop.write("items.csv", shop::ITEMS.replace("C,Cup", "B,Roll,,,,\nC,Cup"));
    let summary = shop.prepare().unwrap();
    let events = &summary.events;
    assert_eq!((events.read, events.left_out, events.left_out_with_item, events.kept()), (6, 2, 1, 3));
    assert!(events.rejected.is_empty(), "{:?}", events.rejected);
    assert_eq!((summary.catalogue.left_out, summary.catalogue.replaced), (1, 1));
    let data = Dataset::read(&shop.out(), &shop.config().unwrap()).unwrap();
    assert_eq!((data.items[1].title.as_str(), data.items[1].price), ("Roll", Some(0.625)));
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let shop = Shop::new();
    let mut events = String::from("who,sku,at,n,price,store,basket,id\n");
    for row in 0..30_000u64 {
        let item = ["A", "B", "C"][(row % 3) as usize];
        let (user, day) = (row * 7919 % 501, row * 31 % 28 + 1);
        writeln!(events, "u{user},{item},2020-01-{day:02},1,1.0,s{},k{row},{row}", row % 5).unwrap();
    }
    shop.write("events.csv", events);
    shop.prepare().unwrap();
    let first = shop.bytes();
    shop.prepare().unwrap();
    assert_eq!(first.len(), 5);
    assert!(first == shop.bytes());
}

#[test]
fn too_many_rejects_stop_the_run() {
    let shop = Shop::new().edit("max_reject_share = 1.0", "max_reject_share = 0.2");
    let beside = shop.path("prepared.rejects.csv");
    let error = shop.breaks(|shop| {
        shop.write("events.csv", shop::EVENTS.replace("2020-01-0", "2020-13-0"));
    });
    let DataError::TooManyRejects { table: "events", rejected: 3, read: 5, limit: 1, reasons, rejects } = &error else {
        panic!("{error}")
    };
    assert_eq!((reasons.as_str(), rejects), ("3 unparsable time", &beside));
    assert!(error.to_string().contains("prepared.rejects.csv"));
}

/// The protocol of the data set that the baselines are published on.
#[test]
fn online_retail_has_the_counts_of_its_protocol() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("NEARSHELF_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let folder = shared.join("data/online-retail");
    if !folder.exists() {
        eprintln!("skipped: {} is absent", folder.display());
        return;
    }
    let mut config = Config::read(&root.join("models/online-retail/nearshelf.toml")).unwrap();
    config.use_folder(&folder);
    let out = tempfile::tempdir().unwrap();
    let summary = prepare(&config, &out.path().join("prepared")).unwrap();
    let (e, c) = (&summary.events, &summary.catalogue);
    assert_eq!(e.read, 431_673);
    assert_eq!(e.kept() + e.outside_training + e.outside_test, 314_794);
    assert_eq!((c.kept, c.only_in_test), (3_502, 105));
    let data = Dataset::read(&out.path().join("prepared"), &config).unwrap();
    let train = data.events.iter().filter(|event| event.time_ms < data.test_from_ms);
    let pairs: std::collections::HashSet<_> = train.map(|event| (event.user, event.item)).collect();
    let users: std::collections::HashSet<_> = pairs.iter().map(|pair| pair.0).collect();
    assert_eq!((users.len(), pairs.len()), (3_613, 188_399));
}

fn field(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(values)
}

prop_compose! {
    fn event_row()(
        user in field(&["u1", "u2", "", " u1 "]),
        item in field(&["A", "B", "C", "L", "Z", ""]),
        time in field(&["2020-01-01", "2020-03-01 10:00:00", "never", ""]),
        n in field(&["1", "2.5", "0", "-1", "x", "", "NaN"]),
        price in field(&["1", "0", "-1", "inf", "", "1e999"]),
        id in field(&["1", "2", "3", ""]),
        extra in field(&["", "", "", "", ",more"]),
    ) -> String {
        format!("{user},{item},{time},{n},{price},s,k,{id}{extra}\n")
    }
}

prop_compose! {
    fn item_row()(item in field(&["A", "B", "C", "L", ""]), price in field(&["1", "", "-1", "x"]), extra in field(&["", "", ",more"])) -> String {
        format!("{item},name,group,,,{price}{extra}\n")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_row_is_counted_once(
        events in prop::collection::vec(event_row(), 1..60),
        items in prop::collection::vec(item_row(), 1..12),
        last in any::<bool>(),
        min in 0u64..3,
        leave_one_out in any::<bool>(),
    ) {
        let duplicates = if last { "last" } else { "reject" };
        let split = if leave_one_out { "leave_one_out = true" } else { "test_from = \"2020-02-01\"" };
        let shop = Shop::new()
            .edit("test_from = \"2020-02-01\"", split)
            .edit("path = \"EVENTS\"", "path = \"EVENTS\"\nwhere = \"n > 0 OR n IS NULL\"")
            .edit("path = \"ITEMS\"", &format!("path = \"ITEMS\"\nwhere = \"sku <> 'L'\"\nduplicates = \"{duplicates}\"\nmin_events = {min}"));
        shop.write("events.csv", format!("who,sku,at,n,price,store,basket,id\n{}", events.concat()));
        shop.write("items.csv", format!("sku,name,group,shelf,maker,price\n{}", items.concat()));
        let summary = match shop.prepare() {
            Ok(summary) => summary,
            Err(DataError::NothingLeft { read, left_out, rejected, outside }) => {
                prop_assert_eq!(read, events.len() as u64);
                prop_assert!(left_out + rejected + outside <= read);
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        let (e, c) = (&summary.events, &summary.catalogue);
        let rejected: u64 = e.rejected.values().sum();
        prop_assert_eq!(e.read, events.len() as u64);
        prop_assert_eq!(e.read, e.left_out + e.left_out_with_item + rejected + e.outside_training + e.outside_test + e.kept());
        let of_items: u64 = c.rejected.values().sum();
        prop_assert_eq!(c.read, items.len() as u64);
        prop_assert_eq!(c.read, c.left_out + of_items + c.replaced + c.rare + c.only_in_test + c.never_sold + c.kept);
        let listed = shop.rejects().len() as u64;
        prop_assert_eq!(listed, rejected + of_items);
        let data = Dataset::read(&shop.out(), &shop.config().unwrap()).unwrap();
        prop_assert_eq!(data.events.len() as u64, e.kept());
        let training = (0..data.users.len() as u32).map(|user| data.training_events(user).len()).sum::<usize>();
        prop_assert_eq!(training as u64, e.training);
        if !leave_one_out {
            prop_assert!(data.items.iter().all(|item| u64::from(item.events) >= min));
        }
    }
}
