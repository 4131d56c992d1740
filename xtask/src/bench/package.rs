//! The npm package as a page has it: what it weighs, what visits download, how long a click takes.

use super::Options;
use super::figures::{Json, write_variant};
use super::row::{Bar, Row};
use crate::chromium::Chromium;
use crate::demo::{self, COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::{data, setup, wasm};

/// The demo's shop, what sells more often of it, in clusters: some 10,000 items, and towers of a few steps, since no figure is of quality.
const CLUSTERS: Shop = Shop { config: "work/bench-package/nearshelf.toml", work: "work/bench-package/clusters" };

/// The same as all the demo's items in one shard.
const SINGLE: Shop = Shop { config: COMPLETE_JOURNEY.config, work: "work/bench-package/single" };

const SCRIPT: &str = "benches/package/measure.mjs";

pub(super) fn rows(repository: &Repository, options: Options) -> Result<Vec<Row>, XtaskError> {
    let chromium = Chromium::look().install()?;
    setup::wasm_target(repository)?;
    setup::node_modules(repository, &repository.root)?;
    data::fetch(repository)?;
    demo::build_binary(repository)?;
    wasm::build_core(repository)?;
    demo::build_package(repository)?;
    let changes = [("min_events = 10", "min_events = 30"), ("[split]", "[index]\nlayout = \"clusters\"\n\n[split]")];
    write_variant(repository, COMPLETE_JOURNEY.config, CLUSTERS.config, &changes)?;
    let measure = |shop: &Shop| -> Result<Json, XtaskError> {
        run(&mut shop.nearshelf(repository, &["prepare"]))?;
        run(&mut shop.nearshelf(repository, &["train", "--steps", "40"]))?;
        shop.build_release(repository)?;
        let mut node = repository.command("node");
        node.arg(SCRIPT).arg(shop.file(repository, "release")).env("CHROME_PATH", &chromium);
        Ok(Json::of(SCRIPT.into(), &output(&mut node)?))
    };
    let size = |what: &str, file: Option<&str>| -> Result<f64, XtaskError> {
        let mut node = repository.command("node");
        node.arg("xtask/size.mjs").arg(what).args(file.map(|file| repository.root.join(file)));
        Ok(Json::of("xtask/size.mjs".into(), &output(&mut node)?).number("brotli")? / 1000.0)
    };
    let clusters = measure(&CLUSTERS)?;
    let mut rows = vec![
        Row::new(
            "core WASM, brotli",
            Some(size("WASM", Some("pkg-js/wasm/nearshelf_bg.wasm"))?),
            "KB",
            Bar::AtMost(60.0),
        ),
        Row::new(
            "JavaScript of the default entry, brotli",
            Some(size("default entry", None)?),
            "KB",
            Bar::AtMost(10.0),
        ),
    ];
    rows.extend(visits(&clusters, "clusters", true)?);
    if !options.quick {
        rows.extend(visits(&measure(&SINGLE)?, "one shard", false)?);
    }
    Ok(rows)
}

/// The rows of one release; what a first visit downloads has a bar where the catalogue is of the bar's size.
fn visits(measured: &Json, layout: &str, is_cold_bar: bool) -> Result<Vec<Row>, XtaskError> {
    let named = |what: &str| Ok::<_, XtaskError>(format!("{what}, {} items in {layout}", measured.number("items")?));
    let row = |what: &str, key: &str, unit: &str, most: f64| {
        Ok::<_, XtaskError>(Row::new(&named(what)?, Some(measured.number(key)?), unit, Bar::AtMost(most)))
    };
    let mut rows = vec![
        row("second visit, release over the wire", "warm", "KB", 4.0)?,
        row("click to new row, processor four times slower, p95", "click", "ms", 50.0)?,
        row("longest task of the page's thread meanwhile, 0 below 50", "longest", "ms", 50.0)?,
    ];
    if is_cold_bar {
        rows.insert(0, row("first visit, everything over the wire", "cold", "KB", 300.0)?);
    }
    Ok(rows)
}
