//! A small shop in a temporary folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use nearshelf::data::{Config, DataError, PrepareSummary, prepare};
use tempfile::TempDir;

pub(crate) const ITEMS: &str = "sku,name,group,shelf,maker,price\nA,Apple,Food,Fruit,Acme,1.5\nB,Bread,Food,,,\nC,Cup,Home,\"Kitchen, small\",,3\n";

pub(crate) const EVENTS: &str = "who,sku,at,n,price,store,basket,id\n\
    u1,A,2020-01-01 10:00:00,1,1.0,north,k1,1\n\
    u2,B,2020-01-02T10:00:00,2,2.0,south,k2,2\n\
    u1,B,2020-01-03 10:00:00,,4.0,,k3,3\n\
    u1,A,2020-02-01 00:00:00,1,1.0,north,k4,4\n\
    u3,C,2020-02-02,1,3.0,north,,5\n";

pub(crate) const USERS: &str = "who,age\nu1,30-39\nu9,20-29\nu2,\n";

const CONFIG: &str = r#"
name = "test"
[events]
path = "EVENTS"
[events.columns]
user = "who"
item = "sku"
time = "at"
quantity = "n"
price = "price"
location = "store"
basket = "basket"
id = "id"
[catalogue]
path = "ITEMS"
[catalogue.columns]
item = "sku"
title = ["name"]
category = ["group", "shelf"]
brand = "maker"
price = "price"
[users]
path = "users.csv"
user = "who"
attributes = ["age"]
[prepare]
max_reject_share = 1.0
[split]
test_from = "2020-02-01"
"#;

pub(crate) struct Shop {
    pub(crate) dir: TempDir,
    /// Replacements in the configuration.
    pub(crate) edits: Vec<(String, String)>,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self { dir: TempDir::new().unwrap(), edits: Vec::new() };
        shop.write("events.csv", EVENTS).write("items.csv", ITEMS).write("users.csv", USERS);
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    pub(crate) fn config(&self) -> Result<Config, DataError> {
        let mut text = CONFIG.to_owned();
        for (from, to) in &self.edits {
            assert!(text.contains(from.as_str()), "{from} is not in the configuration");
            text = text.replace(from.as_str(), to);
        }
        let text = text.replace("EVENTS", "events.csv").replace("ITEMS", "items.csv");
        self.write("nearshelf.toml", text);
        Config::read(&self.path("nearshelf.toml"))
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path("prepared")
    }

    pub(crate) fn prepare(&self) -> Result<PrepareSummary, DataError> {
        prepare(&self.config()?, &self.out())
    }

    /// Everything in the output folder.
    pub(crate) fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.out()).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| (path.file_name().unwrap().to_string_lossy().into(), std::fs::read(&path).unwrap()))
            .collect()
    }

    /// `source record reason value` of every line of the list of rejects.
    pub(crate) fn rejects(&self) -> Vec<(String, u64, String, String)> {
        let mut reader = csv::Reader::from_path(self.out().join("rejects.csv")).unwrap();
        let rows = reader.records().map(Result::unwrap);
        rows.map(|r| (r[0].into(), r[1].parse().unwrap(), r[2].into(), r[3].into())).collect()
    }

    /// Prepares with good data, breaks something, and checks that the error is typed and nothing was touched.
    pub(crate) fn breaks(mut self, break_it: impl FnOnce(&mut Self)) -> DataError {
        self.prepare().unwrap();
        let before = self.bytes();
        break_it(&mut self);
        let error = self.prepare().unwrap_err();
        assert_eq!(self.bytes(), before, "{error}");
        let left: Vec<_> = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".prepare")), "{left:?}");
        assert!(error.to_string().contains(';'), "no remedy: {error}");
        error
    }
}

pub(crate) fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

pub(crate) fn array<A: datafusion::arrow::array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}
