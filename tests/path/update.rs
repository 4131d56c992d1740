//! A shop whose catalogue changes between two trainings: deltas, and what recommendations see of them.

use std::path::Path;

use nearshelf::data::{ColumnsConfig, Config, IndexConfig, Item, Layout};
use nearshelf::features::Context;
use nearshelf::recommend::{HistoryEvent, Recommender, Request};
use nearshelf::release::{self, Anew, BuildInput, Refreshed, UpdateReport};
use nearshelf::shard::columns::ColumnFilter;
use nearshelf::towers::candidate::Towers;
use tempfile::TempDir;

use crate::{shop, trained};

/// The day after: two items are gone, one is new, one is cheap now.
fn next_day(items: &[Item]) -> Vec<Item> {
    let mut items: Vec<Item> =
        items.iter().filter(|item| !["item-0007", "item-0100"].contains(&item.id.as_str())).cloned().collect();
    items.iter_mut().find(|item| item.id == "item-0011").unwrap().price = Some(0.01);
    items.push(Item { id: "item-new".to_owned(), ..items[2].clone() });
    items
}

fn refresh(items: &[Item], config: &Config, folder: &Path) -> Refreshed {
    let towers = Towers::read(&shop::config(), &trained().run()).unwrap();
    release::refresh(&BuildInput::of(items), &towers, config, folder).unwrap()
}

fn updated(refreshed: Refreshed) -> UpdateReport {
    match refreshed {
        Refreshed::Updated(report) => report,
        Refreshed::Anew { why, .. } => panic!("built anew: {why}"),
    }
}

fn ids(folder: &Path, request: &Request) -> Vec<String> {
    let mut recommender = Recommender::of(&release::open(folder).unwrap());
    recommender.recommend(request).unwrap().into_iter().map(|candidate| candidate.id).collect()
}

#[test]
fn an_update_is_what_a_build_anew_would_be() {
    let (items, towers) = (&trained().dataset.items, Towers::read(&shop::config(), &trained().run()).unwrap());
    for layout in [Layout::Single, Layout::Clusters] {
        let index = IndexConfig { layout: Some(layout), cluster_items: 60, ..IndexConfig::default() };
        let config = Config { index, ..shop::config() };
        let (folder, anew) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let first = refresh(items, &config, folder.path());
        assert!(matches!(first, Refreshed::Anew { why: Anew::NoRelease, .. }), "{first:?}");
        let same = updated(refresh(items, &config, folder.path()));
        assert_eq!((same.written.version, same.written.changed, same.index_bytes), (1, false, 0), "{same}");

        let items = next_day(items);
        let report = updated(refresh(&items, &config, folder.path()));
        println!("{report}");
        assert_eq!((report.written.version, report.items), (2, items.len()));
        assert_eq!((report.added, report.removed, report.changed), (1, 2, 1), "{report}");
        assert!(report.index_bytes * 2 < report.whole_bytes, "{report}");
        release::build(&BuildInput::of(&items), &towers, &config, anew.path()).unwrap();
        println!("{}", release::compare(folder.path(), anew.path()).unwrap());
        what_differs_is_told(&items, &towers, &config);

        let history = vec!["item-new".to_owned()];
        let events = [HistoryEvent::from("item-new")];
        let all = Request { limit: 1000, history: events.to_vec(), ..Request::default() };
        let found = ids(folder.path(), &all);
        assert!(found.contains(&"item-new".to_owned()) && !found.contains(&"item-0007".to_owned()));
        let cheap = serde_json::json!({"price": {"max": 1}});
        let cheap = ColumnFilter::from_json(cheap.as_object().unwrap()).unwrap();
        assert_eq!(ids(folder.path(), &Request { filter: cheap, ..all }), ["item-0011"]);
        let mut recommender = Recommender::of(&release::open(folder.path()).unwrap());
        assert_eq!(recommender.embed(&events, &Context::default()).unwrap().history, history);
    }
}

/// Releases that differ in one price, or in the vector of an item, are not taken for the same.
fn what_differs_is_told(items: &[Item], towers: &Towers, config: &Config) {
    let (mut dearer, mut other_taste) = (items.to_vec(), items.to_vec());
    dearer[5].price = Some(1.0);
    other_taste[5] =
        Item { title: "nothing of the kind".to_owned(), category: Vec::new(), brand: None, ..items[5].clone() };
    for (others, names, part) in [(dearer, None, "price"), (other_taste, Some(Vec::new()), "vectors")] {
        let config = Config { columns: ColumnsConfig { names }, ..config.clone() };
        let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        release::build(&BuildInput::of(items), towers, &config, one.path()).unwrap();
        release::build(&BuildInput::of(&others), towers, &config, other.path()).unwrap();
        println!("{}", release::compare(one.path(), one.path()).unwrap());
        let error = release::compare(one.path(), other.path()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_deltas_cannot_be_of_is_built_anew() {
    let items = &trained().dataset.items;
    let folder = TempDir::new().unwrap();
    let config = |index: &str| -> Config {
        let index: IndexConfig = toml::from_str(index).unwrap();
        Config { index, ..shop::config() }
    };
    refresh(items, &config("bits = 6"), folder.path());
    let settings = [
        ("bits = 8", "bits = 8"),
        ("bits = 8\ncells = 3", "cells = 3"),
        ("bits = 8\ncells = 3\nprobes = 2", "probes = 2"),
        ("layout = \"clusters\"\ncluster_items = 60", "clusters"),
        ("layout = \"clusters\"\ncluster_items = 20", "clusters = 12"),
    ];
    for (index, part) in settings {
        match refresh(items, &config(index), folder.path()) {
            Refreshed::Anew { why, .. } => assert!(why.to_string().contains(part), "{why}"),
            Refreshed::Updated(report) => panic!("{index}: {report}"),
        }
        assert!(matches!(refresh(items, &config(index), folder.path()), Refreshed::Updated(_)), "{index}, again");
    }
    let error = release::refresh(
        &BuildInput::of(&[Item { id: "of another shop".to_owned(), ..items[0].clone() }]),
        &Towers::read(&shop::config(), &trained().run()).unwrap(),
        &config(""),
        folder.path(),
    );
    assert!(error.unwrap_err().to_string().contains("0 of 1 items were trained on"));
    release::verify(folder.path()).unwrap();
}
