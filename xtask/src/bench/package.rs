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

/// The same with all that was ever sold, some 68,000 items, in one shard.
const ALL: Shop = Shop { config: "work/bench-package/all.toml", work: "work/bench-package/all" };

/// What is measured of a release by itself.
const SCRIPT: &str = "benches/package/measure.mjs";
/// Two tabs, one of which is killed in the middle of a sync.
const KILLS: &str = "benches/package/kills.mjs";
/// The same requests in Node and in Chromium.
const CASES: &str = "benches/package/cases.mjs";
/// What moves, what is printed, what is not accessible.
const LOOK: &str = "benches/package/look.mjs";

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
    let changes = [("min_events = 10", "min_events = 1"), ("[split]", "[index]\nlayout = \"single\"\n\n[split]")];
    write_variant(repository, COMPLETE_JOURNEY.config, ALL.config, &changes)?;
    let script = |script: &str, shop: &Shop, count: Option<usize>| -> Result<Json, XtaskError> {
        let mut node = repository.command("node");
        node.arg(script).arg(shop.file(repository, "release")).args(count.map(|count| count.to_string()));
        Ok(Json::of(script.into(), &output(node.env("CHROME_PATH", &chromium))?))
    };
    let measure = |shop: &Shop| -> Result<Json, XtaskError> {
        run(&mut shop.nearshelf(repository, &["prepare"]))?;
        run(&mut shop.nearshelf(repository, &["train", "--steps", "40"]))?;
        shop.build_release(repository)?;
        script(SCRIPT, shop, None)
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
    let (kills, cases) = if options.quick { (4, 200) } else { (50, 1000) };
    rows.extend(of_kills(&script(KILLS, &CLUSTERS, Some(kills))?)?);
    rows.push(of_cases(&script(CASES, &CLUSTERS, Some(cases))?)?);
    if options.quick {
        rows.extend(of_look(&script(LOOK, &CLUSTERS, None)?)?);
        return Ok(rows);
    }
    for shop in [&SINGLE, &ALL] {
        rows.extend(visits(&measure(shop)?, "one shard", false)?);
    }
    rows.extend(of_look(&script(LOOK, &SINGLE, None)?)?);
    Ok(rows)
}

/// What came of kills, and what was downloaded again for them.
fn of_kills(measured: &Json) -> Result<[Row; 2], XtaskError> {
    let kills = measured.number("kills")?;
    let named = |what: &str| format!("{what}, {kills} kills of one of two tabs in a sync");
    let twice = 100.0 * measured.number("twice")?;
    Ok([
        Row::new(&named("other rows or an error"), Some(measured.number("harmed")?), "kills", Bar::AtMost(0.0)),
        Row::new(&named("downloaded twice"), Some(twice), "% of the bytes", Bar::AtMost(5.0)),
    ])
}

/// Where server and client differ.
fn of_cases(measured: &Json) -> Result<Row, XtaskError> {
    let (cases, filled) = (measured.number("cases")?, measured.number("filled")?);
    let name = format!("other ids, order or scores in Chromium than in Node, {cases} requests ({filled} with a row)");
    Ok(Row::new(&name, Some(measured.number("differ")?), "requests", Bar::AtMost(0.0)))
}

/// What an audit of the pages finds.
fn of_look(measured: &Json) -> Result<[Row; 3], XtaskError> {
    let pages = measured.number("pages")?;
    let row = |what: &str, key: &str, unit: &str| {
        let name = format!("{what}, {pages} pages with rows, slow line and processor");
        Ok::<_, XtaskError>(Row::new(&name, Some(measured.number(key)?), unit, Bar::AtMost(0.0)))
    };
    Ok([
        row("cumulative layout shift", "shift", "")?,
        row("lines on the console", "printed", "lines")?,
        row("violations that axe-core finds", "violations", "places")?,
    ])
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
