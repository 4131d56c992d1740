//! The numbers of `docs/limits.md` are those of the code, and all that are there are compared.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use nearshelf::release::{self, ObjectKind};
use nearshelf::shard::{columns, format};
use nearshelf::towers::{self, program, ranker};
use nearshelf::{recommend, release::rules};

#[test]
fn the_table_of_limits_has_those_of_the_code() {
    let limits = [
        ("release::HEAD_LIMIT", release::HEAD_LIMIT as u64),
        ("release::ROOT_LIMIT", release::ROOT_LIMIT as u64),
        ("release::MAX_KEYS", release::MAX_KEYS as u64),
        ("release::MAX_SIGNATURES", release::MAX_SIGNATURES as u64),
        ("release::MAX_SHARDS", release::MAX_SHARDS as u64),
        ("release::MAX_DELTAS", release::MAX_DELTAS as u64),
        ("release::MAX_AT_ONCE", release::MAX_AT_ONCE),
        ("ObjectKind::Manifest.limit()", ObjectKind::Manifest.limit()),
        ("ObjectKind::Tower.limit()", ObjectKind::Tower.limit()),
        ("ObjectKind::Ranker.limit()", ObjectKind::Ranker.limit()),
        ("ObjectKind::Shard.limit()", ObjectKind::Shard.limit()),
        ("ObjectKind::Routing.limit()", ObjectKind::Routing.limit()),
        ("ObjectKind::Delta.limit()", ObjectKind::Delta.limit()),
        ("ObjectKind::Directory.limit()", ObjectKind::Directory.limit()),
        ("ObjectKind::Overlay.limit()", ObjectKind::Overlay.limit()),
        ("ObjectKind::Rules.limit()", ObjectKind::Rules.limit()),
        ("ObjectKind::Cards.limit()", ObjectKind::Cards.limit()),
        ("ObjectKind::Lists.limit()", ObjectKind::Lists.limit()),
        ("towers::file::MAX_SCHEMA", towers::file::MAX_SCHEMA as u64),
        ("towers::program::MAX_OPERATIONS", program::MAX_OPERATIONS as u64),
        ("towers::program::MAX_CONSTANTS", program::MAX_CONSTANTS as u64),
        ("towers::program::MAX_VALUE", program::MAX_VALUE as u64),
        ("towers::program::MAX_RESULTS", program::MAX_RESULTS as u64),
        ("towers::program::MAX_WORK", program::MAX_WORK as u64),
        ("towers::ranker::MAX_RANKER_WORK", ranker::MAX_RANKER_WORK as u64),
        ("towers::MAX_TERMS", towers::MAX_TERMS as u64),
        ("towers::ranker::MAX_OWN", ranker::MAX_OWN as u64),
        ("shard::format::MAX_COUNT", format::MAX_COUNT.into()),
        ("shard::format::MAX_CELLS", format::MAX_CELLS.into()),
        ("shard::format::MAX_DIM", format::MAX_DIM as u64),
        ("shard::format::MAX_ID_BYTES", format::MAX_ID_BYTES as u64),
        ("shard::format::MAX_EF_SEARCH", format::MAX_EF_SEARCH.into()),
        ("shard::columns::format::MAX_COLUMNS", columns::format::MAX_COLUMNS.into()),
        ("shard::columns::format::MAX_TEXT_BYTES", columns::format::MAX_TEXT_BYTES),
        ("shard::columns::format::MAX_EXPANSION", columns::format::MAX_EXPANSION),
        ("shard::columns::MAX_CONDITIONS", columns::MAX_CONDITIONS as u64),
        ("shard::columns::MAX_DEPTH", columns::MAX_DEPTH as u64),
        ("release::rules::MAX_SCENARIOS", rules::MAX_SCENARIOS as u64),
        ("release::rules::MAX_RULES", rules::MAX_RULES as u64),
        ("release::rules::MAX_CAPS", rules::MAX_CAPS as u64),
        ("recommend::MAX_LIMIT", recommend::MAX_LIMIT as u64),
        ("recommend::RETRIEVED", recommend::RETRIEVED as u64),
        ("recommend::MAX_GIVEN", recommend::MAX_GIVEN as u64),
        ("recommend::MAX_WIDENING", recommend::MAX_WIDENING as u64),
    ];
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name, number.strip_suffix(" |")?.replace(',', "").parse::<u64>().ok()?))
    });
    assert_eq!(rows.collect::<Vec<_>>(), limits);
}
