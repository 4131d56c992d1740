//! The overlay: what a client fetches for the stock of a million items, and how long it takes to keep to it.

use super::Options;
use super::figures::Json;
use super::row::{Bar, Row};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::output;

/// Measures natively; the bars are of stock alone.
pub(super) fn rows(repository: &Repository, _: Options) -> Result<Vec<Row>, XtaskError> {
    let line = "run --release -p nearshelf --no-default-features --features build --example bench-overlay";
    let printed = output(&mut repository.cargo(line))?;
    let mut rows = Vec::new();
    for line in printed.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let measured = Json::of("bench-overlay".into(), line);
        let (items, shards) = (measured.number("items")?, measured.number("shards")?);
        if measured.number("priced")? > 0.0 {
            continue;
        }
        let out = measured.number("out")?;
        let named = |what: &str| format!("{what}, {items} items in {shards} shards, {out} out of stock");
        let bytes = measured.number("bytes")? / 1000.0;
        rows.push(Row::new(&named("overlay"), Some(bytes), "KB", Bar::AtMost(60.0)));
        rows.push(Row::new(
            &named("overlay, read, checked and applied"),
            Some(measured.number("apply_ms")?),
            "ms",
            Bar::AtMost(2.0),
        ));
    }
    Ok(rows)
}
