//! Native answers that the WebAssembly build has to repeat, bit for bit.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use nearshelf::data::{Config, IndexConfig, Layout};
use nearshelf::evaluate::train_ranker_on_candidates;
use nearshelf::features::Context;
use nearshelf::rank::train::TrainedRanker;
use nearshelf::recommend::{HistoryEvent, Recommender, Request};
use nearshelf::release::rules::{Boost, Window};
use nearshelf::release::{self, BuildInput, Release};
use nearshelf::shard::columns::ColumnFilter;
use nearshelf::towers::candidate::Towers;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tempfile::TempDir;

use crate::{SEED, shop, trained};

const REQUESTS: usize = 1000;

/// What a third of the requests ask of the columns.
const FILTERS: [&str; 4] = [
    r#"{"price":{"max":5000}}"#,
    r#"{"category":["shelf 1","shelf 2"],"popularity":{"min":3}}"#,
    r#"{"brand":["maker 0","maker 3"]}"#,
    r#"{"category":[["shelf 3"]],"price":{"min":100.5,"max":30000}}"#,
];

/// An event as a shopper's device has it; now and then of an unknown type, or without a time.
fn event(id: String, rng: &mut ChaCha8Rng) -> HistoryEvent {
    let event_type = ["view", "purchase", "glance"][rng.random_range(0..3)].to_owned();
    HistoryEvent { id, event_type, at_ms: rng.random_bool(0.9).then(|| rng.random_range(0..2_000_000_000_000)) }
}

/// Something of everything.
const RULES: &str = r#"
[scenario.ruled]
where = 'not (brand = "maker 1" and price > 1000)'
exclude = { purchased_days = 3000, in_cart = true, seen = 5 }
min_score = -1000.0
diversity = 0.3
dither = 0.4
popularity_penalty = 0.2
rotation = 0.25
exploration = 0.4
boost_limit = 0.7
cap = [{ column = "brand", at_most = 2 }, { column = "category", at_most = 6 }]
boost = [
    { where = 'price < 1500 or brand is missing', by = 0.3 },
    { where = 'popularity >= 3', by = -0.2, from = 1990-01-01, until = 2010-06-01T12:00:00 },
]
pin = [{ item = "item-0017", slot = 2 }, { item = "item-0018", slot = 1, from = 2000-01-01 }, { item = "no such item", slot = 1 }]
"#;

/// A request, and its filter as JSON.
fn random_request(rng: &mut ChaCha8Rng) -> (Request, &'static str) {
    let mut id = |below: u32| format!("item-{:04}", rng.random_range(0..below));
    // Ids beyond the catalogue are unknown to the release.
    let ids: Vec<String> = (0..10).map(|_| id(shop::ITEMS + 20)).collect();
    let exclude = (0..5).map(|_| id(shop::ITEMS)).collect();
    let history: Vec<HistoryEvent> = ids.into_iter().map(|id| event(id, rng)).collect();
    let length = rng.random_range(0..=history.len());
    let place = rng.random_range(0..4_usize);
    let filter = FILTERS.get(rng.random_range(0..3 * FILTERS.len())).copied().unwrap_or("{}");
    let context = Context {
        now_ms: rng.random_bool(0.9).then(|| rng.random_range(0..2_000_000_000_000)),
        location: ["land/here", "land/there", "elsewhere"].get(place).map(|place| (*place).to_owned()),
        attributes: vec![
            ("group".to_owned(), format!("group {}", rng.random_range(0..7))),
            ("device".to_owned(), ["phone", "television"][rng.random_range(0..2)].to_owned()),
        ],
        user: rng.random_bool(0.5).then(|| (0..8).map(|_| rng.random_range(-0.5..0.5)).collect()),
        ..Context::default()
    };
    let conditions: serde_json::Map<String, serde_json::Value> = serde_json::from_str(filter).unwrap();
    let limit = rng.random_range(1..=20);
    let parsed = ColumnFilter::from_json(&conditions).unwrap();
    let like = rng.random_bool(0.1).then(|| format!("item-{:04}", rng.random_range(0..shop::ITEMS)));
    let candidates: Option<Vec<_>> = rng.random_bool(0.1).then(|| {
        (0..30).map(|_| (format!("item-{:04}", rng.random_range(0..shop::ITEMS + 20)), rng.random())).collect()
    });
    let shown =
        (0..8).map(|_| (format!("item-{:04}", rng.random_range(0..shop::ITEMS)), rng.random_range(0..6))).collect();
    let boost = |by| Boost {
        filter: ColumnFilter::from_json(json!({ "brand": ["maker 3"] }).as_object().unwrap()).unwrap(),
        by,
        window: Window::default(),
    };
    let request = Request {
        limit,
        history: history[..length].to_vec(),
        like,
        candidates,
        exclude,
        filter: parsed,
        scenario: rng.random_bool(0.3).then(|| "ruled".to_owned()),
        boosts: if rng.random_bool(0.2) { vec![boost(rng.random_range(-1.0..1.0))] } else { Vec::new() },
        past: history[length..].to_vec(),
        shown,
        seed: rng.random_range(0..1 << 53),
        unranked: rng.random_bool(0.1),
        reasons: rng.random_range(0..4),
        context,
    };
    (request, filter)
}

fn answer(recommender: &mut Recommender, (request, filter): &(Request, &str)) -> serde_json::Value {
    let query = recommender.query(request).unwrap();
    let found = recommender.recommend(request).unwrap();
    let items: Vec<_> = found
        .iter()
        .map(|candidate| {
            let propensity = candidate.propensity.map(f32::to_bits);
            let value = candidate.value.map(f32::to_bits);
            json!([candidate.id, candidate.score.to_bits(), value, propensity, candidate.instead_of])
        })
        .collect();
    let because = recommender.ruled(request.clone()).unwrap();
    let because = recommender.reasons(&found, (&query, &because), request.reasons).unwrap();
    let prices: Vec<_> = found.iter().map(|candidate| recommender.price(candidate)).collect();
    let embedding: Vec<u32> = query.embedding.iter().map(|number| number.to_bits()).collect();
    let mut exclude: Vec<&String> = request.exclude.iter().collect();
    exclude.sort();
    let attributes: serde_json::Map<_, _> =
        request.context.attributes.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let of_event = |event: &HistoryEvent| json!({ "id": event.id, "type": event.event_type, "at": event.at_ms });
    json!({
        "request": {
            "limit": request.limit,
            "history": request.history.iter().map(of_event).collect::<Vec<_>>(),
            "like": request.like,
            "candidates": request.candidates,
            "scenario": request.scenario,
            "boosts": request.boosts.iter().map(|boost| json!({ "where": { "brand": ["maker 3"] }, "by": boost.by })).collect::<Vec<_>>(),
            "past": request.past.iter().map(of_event).collect::<Vec<_>>(),
            "shown": request.shown,
            "seed": request.seed,
            "unranked": request.unranked,
            "reasons": request.reasons,
            "exclude": exclude,
            "where": serde_json::from_str::<serde_json::Value>(filter).unwrap(),
            "context": { "now": request.context.now_ms, "location": request.context.location, "attributes": attributes, "user": request.context.user },
        },
        "embedding": embedding,
        "history": query.history,
        "items": items,
        "prices": prices,
        "because": because,
    })
}

/// Where fixtures for the WebAssembly build are kept, or a folder that goes away.
pub(crate) fn folder() -> (PathBuf, TempDir) {
    let temporary = TempDir::new().unwrap();
    let kept = std::env::var_os("NEARSHELF_WASM_FIXTURES").map(PathBuf::from);
    (kept.unwrap_or_else(|| temporary.path().to_owned()), temporary)
}

/// Builds a release and gives what it answers, the same each time it is opened.
fn answers(release_folder: &Path, index: IndexConfig) -> Vec<serde_json::Value> {
    let towers = Towers::read(&shop::config(), &trained().run()).unwrap();
    answers_of(&towers, &Config { index, ..shop::config() }, release_folder, (REQUESTS, true))
}

fn answers_of(
    towers: &Towers,
    config: &Config,
    release_folder: &Path,
    (requests, ranked): (usize, bool),
) -> Vec<serde_json::Value> {
    build_ruled(towers, config, release_folder, ranked);
    println!("{}", release::verify(release_folder).unwrap());
    let answers = || {
        let mut recommender = open(release_folder);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        (0..requests).map(|_| answer(&mut recommender, &random_request(&mut rng))).collect::<Vec<_>>()
    };
    let first = answers();
    assert_eq!(first, answers(), "seed {SEED}");
    first
}

/// Keeps what a release in the folder of this name answers.
pub(crate) fn keep_answers(name: &str, release: &Release) {
    let (mut recommender, mut rng) = (Recommender::of(release), ChaCha8Rng::seed_from_u64(SEED));
    let answers: Vec<_> = (0..REQUESTS / 5).map(|_| answer(&mut recommender, &random_request(&mut rng))).collect();
    let (folder, _temporary) = folder();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_vec(&answers).unwrap()).unwrap();
}

/// A ranker of the shop's towers.
fn ranker() -> &'static TrainedRanker {
    static TRAINED: OnceLock<TrainedRanker> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let (folder, mut config) = (TempDir::new().unwrap(), shop::config());
        config.ranker.steps = 40;
        config.ranker.objective = Some("purchase * log1p(price) + 0.1 * click".to_owned());
        let report =
            train_ranker_on_candidates(&trained().dataset, &config, folder.path(), &AtomicBool::new(false)).unwrap();
        println!("{report}");
        let towers = Towers::read(&config, &trained().run()).unwrap().query.towers();
        TrainedRanker::read(folder.path(), &config.ranker, towers).unwrap().unwrap()
    })
}

/// Builds a release with rules, and perhaps a ranker.
pub(crate) fn build_ruled(towers: &Towers, config: &Config, release_folder: &Path, ranked: bool) {
    let rules = TempDir::new().unwrap();
    std::fs::write(rules.path().join("rules.toml"), RULES).unwrap();
    let config = &Config { rules: Some(rules.path().join("rules.toml")), ..config.clone() };
    let ranker = ranked.then(|| ranker().input(&trained().dataset));
    let input = BuildInput { ranker: ranker.as_ref(), ..BuildInput::of(&trained().dataset.items) };
    println!("{}", release::build(&input, towers, config, release_folder).unwrap());
}

/// Keeps a release with an encoder and what it answers.
pub(crate) fn keep_encoder(name: &str, towers: &Towers, config: &Config) {
    let (folder, _temporary) = folder();
    let answers = answers_of(towers, config, &folder.join(name), (REQUESTS / 5, false));
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_vec(&answers).unwrap()).unwrap();
}

#[test]
fn a_release_answers_the_same_whenever_it_is_opened() {
    let (folder, _temporary) = folder();
    let first = answers(&folder.join("release"), IndexConfig::default());
    for answer in &first {
        let (limit, items) = (answer["request"]["limit"].as_u64().unwrap(), answer["items"].as_array().unwrap());
        // Some filters let fewer pass, and of given candidates none may be left.
        let ruled = !answer["request"]["scenario"].is_null();
        let (filtered, given) =
            (ruled || answer["request"]["where"] != json!({}), !answer["request"]["candidates"].is_null());
        let enough = items.len() as u64 == limit || given || filtered && !items.is_empty();
        assert!(enough, "{answer}");
        assert!(items.iter().all(|item| !answer["request"]["exclude"].as_array().unwrap().contains(&item[0])));
    }
    std::fs::write(folder.join("answers.json"), serde_json::to_vec(&first).unwrap()).unwrap();
}

#[test]
fn clusters_answer_with_what_their_nearest_shards_hold() {
    let (folder, _temporary) = folder();
    let index =
        IndexConfig { layout: Some(Layout::Clusters), cluster_items: 30, probes: Some(4), ..IndexConfig::default() };
    let found = answers(&folder.join("clusters"), index);
    let whole = TempDir::new().unwrap();
    let single = answers(&whole.path().join("release"), IndexConfig::default());
    let ids = |answer: &serde_json::Value| -> Vec<String> {
        answer["items"].as_array().unwrap().iter().map(|item| item[0].as_str().unwrap().to_owned()).collect()
    };
    let (mut same, mut all) = (0, 0);
    for (found, single) in found.iter().zip(&single) {
        let (found, single) = (ids(found), ids(single));
        same += single.iter().filter(|id| found.contains(id)).count();
        all += single.len();
    }
    assert!(same * 10 >= all * 7, "seed {SEED}: {same} of {all} items are those of a release in one shard");
    std::fs::write(folder.join("clusters.json"), serde_json::to_vec(&found).unwrap()).unwrap();
}

#[test]
fn by_column_each_value_has_an_index_of_its_own_items() {
    let trained = trained();
    let towers = Towers::read(&shop::config(), &trained.run()).unwrap();
    let index = |by: &str| {
        let index = IndexConfig { layout: Some(Layout::ByColumn), by: Some(by.to_owned()), ..IndexConfig::default() };
        Config { index, ..shop::config() }
    };
    let folder = TempDir::new().unwrap();
    let items = &trained.dataset.items;
    println!("{}", release::build(&BuildInput::of(items), &towers, &index("category"), folder.path()).unwrap());
    println!("{}", release::verify(folder.path()).unwrap());
    let whole = release::open(folder.path()).unwrap();
    let mut recommender = Recommender::of(&whole.for_segment("shelf 2").unwrap());
    let request = Request { limit: 1000, history: vec!["item-0002".into()], ..Request::default() };
    let mut found: Vec<String> =
        recommender.recommend(&request).unwrap().into_iter().map(|candidate| candidate.id).collect();
    found.sort();
    let expected: Vec<&str> =
        items.iter().filter(|item| item.category == ["shelf 2"]).map(|item| item.id.as_str()).collect();
    assert_eq!(found, expected);
    // Not every item of this shop has a brand.
    let error =
        release::build(&BuildInput::of(items), &towers, &index("brand"), folder.path()).unwrap_err().to_string();
    assert!(error.contains("has no brand, expected one text of each item"), "{error}");
}

fn open(folder: &Path) -> Recommender {
    Recommender::of(&release::open(folder).unwrap())
}
