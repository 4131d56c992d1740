//! Recommendations by what is in stock right now: the same as by a plain set of what is not.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::index::testing::Random;

/// What a filter says of an id and its price in the catalogue.
type Test<'a> = dyn Fn(&str, Option<u64>) -> bool + 'a;

/// Ids out of stock, and other prices.
struct Stock {
    out: BTreeSet<String>,
    prices: BTreeMap<String, u64>,
}

impl Stock {
    /// Three of ten items are out, one in four costs something else.
    fn random(ids: impl Iterator<Item = String> + Clone, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let out = ids.clone().filter(|_| random.next() % 10 < 3).collect();
        let mut random = Random::new(seed + 1);
        let prices = ids.filter_map(|id| random.next().is_multiple_of(4).then(|| (id, random.next() % 5000)));
        Self { out, prices: prices.collect() }
    }

    fn of(&self, files: &Files, version: u64, exact: bool) -> Files {
        files.stocked(version, &|id| self.out.contains(id), &|id| self.prices.get(id).copied(), exact)
    }
}

fn catalogue_price(release: &Release, id: &str) -> Option<u64> {
    let Found { shard, node } = release.find(id).unwrap().unwrap();
    release.shards()[shard].as_ref().unwrap().base().columns().unwrap().column("price").unwrap().u64_at(node)
}

fn two() -> Files {
    Files::new(1, &[shard_with_columns(1, 90), shard_with_columns(2, 40)], false)
}

fn items() -> impl Iterator<Item = String> + Clone {
    (1..=2).flat_map(|shard| (0..[90, 40][shard - 1]).map(move |item| format!("{shard}-item-{item}")))
}

#[test]
fn what_is_out_of_stock_is_left_out_and_prices_are_those_of_now() {
    let plain = released(&two());
    let all = Recommender::of(&plain).recommend(&request(ColumnFilter::new(), 1000)).unwrap();
    for seed in [1, 2, 3] {
        let stock = Stock::random(items(), seed);
        let mut recommender = Recommender::of(&released(&stock.of(&two(), 2, false)));
        let price = |id: &str, old: Option<u64>| stock.prices.get(id).copied().or(old);
        let cases: [(Value, &Test<'_>); 5] = [
            (json!({}), &|_, _| true),
            (json!({"price": {"max": 900}}), &|id, old| price(id, old).is_some_and(|price| price <= 900)),
            (json!({"price": [140, 180, 260]}), &|id, old| matches!(price(id, old), Some(140 | 180 | 260))),
            (json!(["not", {"price": {"min": 1000.5}}]), &|id, old| price(id, old).is_none_or(|price| price <= 1000)),
            (json!({"price": null}), &|id, old| price(id, old).is_none()),
        ];
        for (json, test) in cases {
            let parsed = crate::json::parse(json.to_string().as_bytes()).map(|value| ColumnFilter::from_value(&value));
            let exclude = vec![all[3].id.clone()];
            let asked = Request { exclude, ..request(parsed.unwrap().unwrap(), 20) };
            let holds = |id: &str| test(id, catalogue_price(&plain, id)) && !stock.out.contains(id);
            let expected = all.iter().filter(|one| holds(&one.id) && !asked.exclude.contains(&one.id));
            let expected: Vec<Candidate> = expected.take(20).cloned().collect();
            assert!(!expected.is_empty(), "seed {seed}, {json}");
            let found = recommender.recommend(&asked).unwrap();
            assert_eq!(found, expected, "seed {seed}, {json}");
            for one in &found {
                assert_eq!(recommender.price(one), stock.prices.get(&one.id).copied(), "seed {seed}, {}", one.id);
            }
        }
        let like = Request {
            like: Some("1-item-3".into()),
            exclude: vec!["1-item-3".into()],
            ..request(ColumnFilter::new(), 1000)
        };
        let (found, before) =
            (recommender.recommend(&like).unwrap(), Recommender::of(&plain).recommend(&like).unwrap());
        let expected: Vec<&str> = ids(&before).into_iter().filter(|id| !stock.out.contains(*id)).collect();
        assert_eq!(ids(&found), expected, "seed {seed}");
    }
}

#[test]
fn lists_pins_and_boosts_count_what_is_in_stock_at_its_price() {
    let mut files = two();
    let all = Recommender::of(&released(&files)).recommend(&request(ColumnFilter::new(), 1000)).unwrap();
    let (gone, pinned, cheap) = (&all[120].id, &all[110].id, &all[60].id);
    let rules = json!({"format": 1, "scenarios": {"default": {
        "pins": [{"item": gone, "slot": 1}, {"item": pinned, "slot": 2}],
        "boosts": [{"where": {"price": [7]}, "by": 1}],
    }}});
    let bytes = serde_json::to_vec(&rules).unwrap();
    files.manifest.rules = Some(ObjectRef::of(&bytes));
    files.manifest.requires.push(REQUIRES_RULES.to_owned());
    files.objects.insert(Digest::of(&bytes), bytes);
    let stock = Stock { out: [gone.clone(), all[1].id.clone()].into(), prices: [(cheap.clone(), 7)].into() };
    let mut recommender = Recommender::of(&released(&stock.of(&files, 2, false)));
    let found = recommender.recommend(&request(ColumnFilter::new(), 5)).unwrap();
    assert_eq!(ids(&found)[1..3], [pinned.as_str(), &all[0].id], "{found:?}");
    assert_eq!((&found[0].id, recommender.price(&found[0])), (cheap, Some(7)));
    assert!(!ids(&found).contains(&all[1].id.as_str()));
    let candidates = Some(vec![(gone.clone(), 9.0), (all[1].id.clone(), 8.0), (all[2].id.clone(), 7.0)]);
    let listed = recommender.recommend(&Request { candidates, ..request(ColumnFilter::new(), 3) }).unwrap();
    assert!(ids(&listed).contains(&all[2].id.as_str()) && !ids(&listed).contains(&all[1].id.as_str()), "{listed:?}");
}

#[test]
fn what_was_kept_of_one_overlay_is_not_used_under_another() {
    let mut recommender = Recommender::of(&released(&two()));
    let cheap = request(filter(&json!({"price": {"max": 900}})).unwrap(), 200);
    for seed in [1, 2] {
        let files = Stock::random(items(), seed).of(&two(), seed + 1, false);
        recommender.renew(&released(&files));
        assert_eq!(
            recommender.recommend(&cheap).unwrap(),
            Recommender::of(&released(&files)).recommend(&cheap).unwrap(),
            "seed {seed}"
        );
    }
    recommender.renew(&released(&two()));
    let expected = Recommender::of(&released(&two())).recommend(&cheap).unwrap();
    assert_eq!(recommender.recommend(&cheap).unwrap(), expected);
}

/// What a client that fetches what it lacks answers, and how many shards it then holds.
#[cfg(feature = "build")]
fn fetched(files: &Files, request: &Request) -> (Vec<Candidate>, usize) {
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.first() {
        missing = sync.accept(next.digest, files.get(next.digest)).unwrap();
    }
    let mut recommender = Recommender::of(sync.ready().unwrap());
    loop {
        let absent = recommender.absent(request).unwrap();
        if absent.is_empty() {
            break;
        }
        for fetch in sync.fetch_of(&absent) {
            sync.accept(fetch.digest, files.get(fetch.digest)).unwrap();
        }
        recommender.renew(sync.ready().unwrap());
    }
    let held = sync.ready().unwrap().shards().iter().flatten().count();
    (recommender.recommend(request).unwrap(), held)
}

/// What somebody answers who holds everything.
#[cfg(feature = "build")]
fn whole(files: &Files, request: &Request) -> Vec<Candidate> {
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.first() {
        missing = sync.accept(next.digest, files.get(next.digest)).unwrap();
    }
    for (_, object) in files.manifest.parts() {
        sync.accept(object.digest, files.get(object.digest)).unwrap();
    }
    Recommender::of(sync.ready().unwrap()).recommend(request).unwrap()
}

#[cfg(feature = "build")]
#[test]
fn a_row_of_clusters_stays_full_when_three_of_ten_items_are_out_or_all_that_are_near() {
    let (files, history) = clusters(3);
    for limit in [4, 12, 20] {
        let asked = Request { limit, history: vec![history[0].as_str().into()], ..Request::default() };
        let (before, few) = fetched(&files, &asked);
        assert_eq!(before.len(), limit);
        let stock = Stock::random(history.iter().cloned(), 5);
        let files_30 = stock.of(&files, 2, true);
        let (found, held) = fetched(&files_30, &asked);
        assert!(found.len() == limit && found.iter().all(|one| !stock.out.contains(&one.id)), "{limit}: {found:?}");
        assert_eq!(found, whole(&files_30, &asked), "{limit}");
        // Everything that is near is out: the search goes on until the row is full.
        let wide = whole(&files, &Request { limit: 100, ..asked.clone() });
        let near = Stock { out: wide.iter().take(40).map(|one| one.id.clone()).collect(), prices: BTreeMap::new() };
        let files_near = near.of(&files, 2, true);
        let (found, more) = fetched(&files_near, &asked);
        assert!(found.len() == limit && found.iter().all(|one| !near.out.contains(&one.id)), "{limit}: {found:?}");
        assert!(few <= held && more > few, "{limit}: {few}, {held}, {more} shards");
        assert_eq!(found, whole(&files_near, &asked), "{limit}");
    }
}

#[cfg(feature = "build")]
#[test]
fn lists_of_clusters_are_full_of_what_is_in_stock_and_need_no_shard_where_slots_are_exact() {
    let (files, history) = clusters(4);
    let stock = Stock::random(history.iter().cloned(), 6);
    let candidates: Vec<(String, f32)> = (1_u16..61).map(|n| (format!("item-{}", n * 7), f32::from(n))).collect();
    let asked = Request { limit: 12, candidates: Some(candidates.clone()), ..Request::default() };
    let best = candidates.iter().rev().filter(|(id, _)| !stock.out.contains(id)).take(12);
    let best: Vec<&str> = best.map(|(id, _)| id.as_str()).collect();
    for (exact, some_shards) in [(true, false), (false, true)] {
        let stocked = stock.of(&files, 2, exact);
        let (found, held) = fetched(&stocked, &asked);
        assert_eq!((ids(&found), held > 0), (best.clone(), some_shards), "exact {exact}");
        // Where nothing is in the way, those that were not in need of their shards know no place.
        assert_eq!(ids(&whole(&stocked, &asked)), best, "exact {exact}");
    }
}
