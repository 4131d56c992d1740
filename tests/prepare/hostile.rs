//! Broken files and configurations: a typed error, and the tables of before.

use std::sync::Arc;

use datafusion::arrow::array::{BinaryArray, BooleanArray, Int64Array, StringArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field};
use nearshelf::data::{DataError, Dataset, PrepareSummary};

use super::shop::{EVENTS, Shop, array, write_parquet};

macro_rules! assert_error {
    ($error:expr, $pattern:pat $(if $guard:expr)?) => {{
        let error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
    }};
}

#[test]
fn empty_files() {
    for (name, content) in
        [("events.csv", ""), ("events.csv", "who,sku,at,n,price,store,basket,id\n"), ("items.csv", "")]
    {
        let error = Shop::new().breaks(|shop| {
            shop.write(name, content);
        });
        assert_error!(error, DataError::Empty { path } if path.ends_with(name));
    }
    let error = Shop::new().edit("EVENTS", "e.parquet").config_then(|shop| {
        shop.write("e.parquet", "");
    });
    assert_error!(error, DataError::Empty { path } if path.ends_with("e.parquet"));
}

#[test]
fn missing_and_foreign_files() {
    let error = Shop::new().breaks(|shop| std::fs::remove_file(shop.path("items.csv")).unwrap());
    assert_error!(error, DataError::Io { path, .. } if path.ends_with("items.csv"));
    let error = Shop::new().breaks(|shop| shop.edits.push(("ITEMS".into(), "items.xlsx".into())));
    assert_error!(error, DataError::Io { .. } | DataError::UnknownFormat { .. });
    let shop = Shop::new();
    std::fs::create_dir(shop.out()).unwrap();
    shop.write("prepared/letter.txt", "dear");
    assert_error!(shop.prepare().unwrap_err(), DataError::ForeignFile { found, .. } if found == "letter.txt");
    assert!(shop.path("prepared/letter.txt").exists());
}

fn parquet_events() -> Vec<(&'static str, datafusion::arrow::array::ArrayRef)> {
    let rows = 20_000;
    vec![
        ("who", array(Int64Array::from_iter_values((0..rows).map(|i| i % 97)))),
        ("sku", array(StringArray::from_iter_values((0..rows).map(|i| ["A", "B", "C"][i as usize % 3])))),
        ("at", array(StringArray::from_iter_values((0..rows).map(|i| format!("2020-01-{:02}", i % 28 + 1))))),
        ("n", array(Int64Array::from_iter_values((0..rows).map(|i| i % 5 + 1)))),
        ("price", array(Int64Array::from_iter_values((0..rows).map(|i| i * 7919 % 1009)))),
        ("store", array(Int64Array::from_iter_values((0..rows).map(|i| i % 11)))),
        ("basket", array(Int64Array::from_iter_values((0..rows).map(|i| i / 3)))),
        ("id", array(Int64Array::from_iter_values(0..rows))),
    ]
}

#[test]
fn a_cut_or_damaged_parquet() {
    let shop = Shop::new().edit("EVENTS", "e.parquet");
    write_parquet(&shop.path("e.parquet"), parquet_events());
    let whole = std::fs::read(shop.path("e.parquet")).unwrap();
    shop.prepare().unwrap();
    let before = shop.bytes();
    for keep in [1, 4, 11, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        shop.write("e.parquet", &whole[..keep]);
        assert_error!(shop.prepare().unwrap_err(), DataError::Unreadable { path, .. } if path.ends_with("e.parquet"));
    }
    let mut damaged = whole.clone();
    damaged[4..whole.len() / 2].fill(0xff);
    shop.write("e.parquet", damaged);
    assert_error!(shop.prepare().unwrap_err(), DataError::Unreadable { path, .. } if path.ends_with("e.parquet"));
    assert!(shop.bytes() == before);
}

#[test]
fn a_cut_gzip_and_an_open_quote() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(EVENTS.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let shop = Shop::new().edit("EVENTS", "e.csv.gz");
    shop.write("e.csv.gz", &gzip).prepare().unwrap();
    shop.write("e.csv.gz", &gzip[..gzip.len() - 12]);
    assert_error!(shop.prepare().unwrap_err(), DataError::Unreadable { format: "gzip", .. });
    // With the quote in the last column the row has as many fields as it should.
    for (from, to) in [("north", "\"north"), ("k1,1\n", "k1,\"1\n")] {
        let error = Shop::new().breaks(|shop| {
            shop.write("events.csv", EVENTS.replacen(from, to, 1));
        });
        assert_error!(error, DataError::Malformed { line: 2, .. });
    }
}

#[test]
fn a_missing_column() {
    let error = Shop::new().breaks(|shop| {
        shop.write("events.csv", EVENTS.replacen("sku", "SKU", 1));
    });
    assert!(
        error.to_string().contains("found no column 'sku' for events.columns.item, the file has who, SKU, at"),
        "{error}"
    );
    let error = Shop::new().breaks(|shop| shop.edits.push(("\"name\"".into(), "\"upper(nam)\"".into())));
    assert_error!(error, DataError::MissingColumn { column, .. } if column == "nam");
    let error = Shop::new().breaks(|shop| shop.edits.push(("[\"age\"]".into(), "[\"Age group\"]".into())));
    assert_error!(error, DataError::MissingColumn { path, .. } if path.ends_with("users.csv"));
}

#[test]
fn a_column_of_the_wrong_type() {
    let rows = 20_000;
    let inner = StringArray::from(vec!["A"; rows]);
    let field = Arc::new(Field::new("id", DataType::Utf8, true));
    let wrong = [
        ("at", array(BooleanArray::from(vec![true; rows])), "Boolean"),
        ("at", array(Int64Array::from(vec![1; rows])), "Int64"),
        ("sku", array(StructArray::from(vec![(field, array(inner))])), "Struct"),
        ("sku", array(BinaryArray::from_iter_values(vec![b"A"; rows])), "Binary"),
        ("price", array(BooleanArray::from(vec![true; rows])), "Boolean"),
    ];
    for (name, column, kind) in wrong {
        let mut columns = parquet_events();
        columns.iter_mut().find(|c| c.0 == name).unwrap().1 = column;
        let shop = Shop::new();
        write_parquet(&shop.path("e.parquet"), columns);
        let error = shop.breaks(|shop| shop.edits.push(("EVENTS".into(), "e.parquet".into())));
        assert_error!(error, DataError::WrongType { column, found, .. } if column == name && found.starts_with(kind));
    }
}

#[test]
fn a_broken_configuration() {
    let edits = [
        ("[split]", "[split]\ntest_form = 1", "unknown field `test_form`"),
        ("test_from = \"2020-02-01\"", "test_from = \"soon\"", "split.test_from is 'soon'"),
        ("test_from = \"2020-02-01\"", "", "split is neither"),
        (
            "test_from = \"2020-02-01\"",
            "leave_one_out = false",
            "expected test_from = \"2017-12-04\", or leave_one_out",
        ),
        ("[split]", "[split]\nleave_one_out = true", "split is test_from and leave_one_out"),
        ("max_reject_share = 1.0", "max_reject_share = nan", "prepare.max_reject_share is NaN"),
        ("path = \"EVENTS\"", "path = \"EVENTS\"\nwhere = \"n >\"", "events.where = \"n >\" is not an SQL expression"),
        ("path = \"EVENTS\"", "path = \"EVENTS\"\nwhere = \"upper(store)\"", "expected a condition"),
        ("path = \"EVENTS\"", "path = \"EVENTS\"\nwhere = \"nofun(n) > 1\"", "events.where"),
        ("path = \"EVENTS\"", "path = \"EVENTS\"\nwhere = \"count(n) > 1\"", "events.where"),
        ("path = \"ITEMS\"", "path = \"ITEMS\"\nwhere = \"sku = (SELECT 1)\"", "catalogue.where"),
        ("\"n\"", "\"n; DROP TABLE x\"", "events.columns.quantity"),
        ("path = \"ITEMS\"", "path = \"ITEMS\"\nmin_events = 99", "no training event is left"),
    ];
    for (from, to, message) in edits {
        let error = Shop::new().breaks(|shop| shop.edits.push((from.into(), to.into())));
        assert!(error.to_string().contains(message), "{to}: {error}");
    }
}

#[test]
fn prepared_tables_that_were_tampered_with() {
    let shop = Shop::new();
    shop.prepare().unwrap();
    let (out, config) = (shop.out(), shop.config().unwrap());
    for (name, bytes) in shop.bytes() {
        if name == "rejects.csv" {
            continue;
        }
        let path = out.join(&name);
        for keep in [0, bytes.len() / 2, bytes.len() - 3] {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            assert_error!(Dataset::read(&out, &config), Err(DataError::Unreadable { path: p, .. }) if *p == path);
        }
        std::fs::remove_file(&path).unwrap();
        assert_error!(Dataset::read(&out, &config), Err(DataError::Io { path: p, .. } | DataError::Unprepared { path: p }) if *p == path);
        std::fs::write(&path, bytes).unwrap();
    }
    Dataset::read(&out, &config).unwrap();
    let later = shop.edit("2020-02-01", "2020-02-02");
    assert_error!(Dataset::read(&out, &later.config().unwrap()), Err(DataError::Inconsistent { .. }));
    let mut summary = PrepareSummary::read(&out).unwrap();
    summary.events.test += 1;
    later.write("prepared/summary.json", serde_json::to_string(&summary).unwrap());
    let again = later.edit("2020-02-02", "2020-02-01");
    let config = again.config().unwrap();
    assert_error!(Dataset::read(&out, &config), Err(DataError::Inconsistent { .. }));
}

impl Shop {
    /// As [`Shop::breaks`], for a configuration that never was good.
    fn config_then(self, write: impl FnOnce(&Self)) -> DataError {
        write(&self);
        self.prepare().unwrap_err()
    }
}
