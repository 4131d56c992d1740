//! Recommendations under filters: what passes is what the columns say, and the best of it.

mod ranked;

mod stock;

use serde_json::{Value, json};

use super::*;
use crate::Digest;
use crate::release::rules::Window;
use crate::release::testing::{Files, shard_with_columns};
use crate::release::{ManifestDelta, ObjectRef, REQUIRES_DELTAS, REQUIRES_RULES};
use crate::shard::delta::Delta;
use crate::sync::Assembly;

fn released(files: &Files) -> Release {
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.first() {
        missing = sync.accept(next.digest, files.get(next.digest)).unwrap();
    }
    sync.ready().unwrap().clone()
}

fn two_shards() -> Release {
    released(&Files::new(1, &[shard_with_columns(1, 90), shard_with_columns(2, 40)], false))
}

fn filter(json: &Value) -> Result<ColumnFilter, ColumnsError> {
    ColumnFilter::from_json(json.as_object().unwrap())
}

fn request(filter: ColumnFilter, limit: usize) -> Request {
    Request { limit, history: vec!["1-item-7".into()], filter, ..Request::default() }
}

fn ids(found: &[Candidate]) -> Vec<&str> {
    found.iter().map(|candidate| candidate.id.as_str()).collect()
}

/// What a filter says of price, brand and category.
type Test = dyn Fn(Option<u64>, Option<&str>, &[&str]) -> bool;

/// Whether a row of [`columns`](crate::shard::testing::columns) passes: the test's own reading of the same columns.
fn passes(release: &Release, id: &str, test: &Test) -> bool {
    let Found { shard, node } = release.find(id).unwrap().unwrap();
    let columns = release.shards()[shard].as_ref().unwrap().base().columns().unwrap();
    let path: Vec<&str> = columns.column("category").unwrap().path_at(node).into_iter().flatten().collect();
    let price = columns.column("price").unwrap().u64_at(node);
    test(price, columns.column("brand").unwrap().text_at(node), &path)
}

#[test]
fn a_filter_leaves_the_best_of_what_passes_and_excluded_ids_join_it() {
    let release = two_shards();
    let mut recommender = Recommender::of(&release);
    let all = recommender.recommend(&request(ColumnFilter::new(), 1000)).unwrap();
    assert_eq!(all.len(), 130);
    let cases: [(Value, &Test); 9] = [
        (json!({"price": {"max": 900}}), &|price, _, _| price.is_some_and(|price| price <= 900)),
        (json!({"price": {"min": 899.5, "max": 1e30}}), &|price, _, _| price.is_some_and(|price| price >= 900)),
        (json!({"price": [140, 180.5, 260]}), &|price, _, _| matches!(price, Some(140 | 260))),
        (json!({"price": {"max": -1}}), &|_, _, _| false),
        (json!({"brand": ["maker 1", "nobody"]}), &|_, brand, _| brand == Some("maker 1")),
        (json!({"category": ["Garden"]}), &|_, _, path| path.first() == Some(&"Garden")),
        (json!({"category": [["Home", "shelf 2"], "Garden"]}), &|_, _, path| {
            path == ["Home", "shelf 2"] || path.first() == Some(&"Garden")
        }),
        (json!({"category": [["Home"]], "price": {"min": 500}, "brand": ["maker 2"]}), &|price, brand, path| {
            path.first() == Some(&"Home") && price.is_some_and(|price| price >= 500) && brand == Some("maker 2")
        }),
        (json!({"brand": []}), &|_, _, _| false),
    ];
    for (json, test) in cases {
        let request =
            Request { exclude: [all[0].id.clone(), all[5].id.clone()].into(), ..request(filter(&json).unwrap(), 20) };
        let expected = all.iter().filter(|candidate| passes(&release, &candidate.id, test));
        let expected: Vec<_> =
            expected.filter(|candidate| !request.exclude.contains(&candidate.id)).take(20).cloned().collect();
        assert_eq!(recommender.recommend(&request).unwrap(), expected, "{json}");
        // Again, from what was kept; and the filter is forgotten by a request without one.
        assert_eq!(recommender.recommend(&request).unwrap(), expected, "{json}");
        let unfiltered = Request { filter: ColumnFilter::new(), exclude: Vec::new(), ..request };
        assert_eq!(ids(&recommender.recommend(&unfiltered).unwrap()), ids(&all[..20]), "{json}");
    }
}

#[test]
fn what_is_like_an_item_is_ordered_by_the_product_of_embeddings() {
    let release = two_shards();
    let mut recommender = Recommender::of(&release);
    let like = |id: &str| Request {
        like: Some(id.to_owned()),
        exclude: vec![id.to_owned()],
        ..request(ColumnFilter::new(), 10)
    };
    let found = recommender.recommend(&like("2-item-3")).unwrap();
    let vector = |id: &str| {
        let Found { shard, node } = release.find(id).unwrap().unwrap();
        let mut vector = vec![0.0; recommender.tower().schema().dim];
        release.shards()[shard].as_ref().unwrap().vector_into(node, &mut vector);
        vector
    };
    let asked = vector("2-item-3");
    let product = |id: &str| vector(id).iter().zip(&asked).map(|(a, b)| a * b).sum::<f32>();
    let all = (1..=2).flat_map(|shard| (0..[90, 40][shard - 1]).map(move |item| format!("{shard}-item-{item}")));
    let mut expected: Vec<(f32, String)> = all.filter(|id| id != "2-item-3").map(|id| (product(&id), id)).collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    assert_eq!(found.len(), 10);
    // Codes round, so near neighbours may change places.
    let near: Vec<&str> = expected[..14].iter().map(|(_, id)| id.as_str()).collect();
    assert!(ids(&found).iter().all(|id| near.contains(id)), "{found:?} {near:?}");
    let query = recommender.query(&like("2-item-3")).unwrap();
    assert_eq!((query.history, query.embedding), (vec!["2-item-3".to_owned()], asked));
    assert_eq!(recommender.recommend(&like("nothing")).unwrap(), []);
}

#[test]
fn given_candidates_are_those_of_the_release_that_pass() {
    let release = two_shards();
    let mut recommender = Recommender::of(&release);
    let given = ["1-item-3", "gone", "2-item-9", "1-item-5", "2-item-1"];
    let scored = |(id, score): (&&str, f32)| ((*id).to_owned(), score);
    let candidates: Vec<_> = given.iter().zip([1.0, 9.0, 4.0, 3.0, 2.0]).map(scored).collect();
    let asked = |filter: ColumnFilter, limit| Request {
        candidates: Some(candidates.clone()),
        exclude: vec!["1-item-5".into()],
        ..request(filter, limit)
    };
    let all = recommender.recommend(&asked(ColumnFilter::new(), 10)).unwrap();
    assert_eq!(ids(&all), ["2-item-9", "2-item-1", "1-item-3"]);
    assert_eq!(ids(&recommender.recommend(&asked(ColumnFilter::new(), 1)).unwrap()), ["2-item-9"]);
    // Behind so many nothing is looked at.
    let unknown = (0..MAX_GIVEN).map(|number| (format!("unknown {number}"), 0.5));
    let mut long: Vec<(String, f32)> = unknown.chain(candidates.clone()).collect();
    let behind = Request { candidates: Some(long.clone()), ..request(ColumnFilter::new(), 10) };
    assert_eq!(recommender.recommend(&behind).unwrap(), []);
    long.rotate_right(1);
    let last = Request { candidates: Some(long), ..behind };
    assert_eq!(ids(&recommender.recommend(&last).unwrap()), ["2-item-1"]);
    let garden = filter(&json!({"category": ["Garden"]})).unwrap();
    let expected: Vec<&str> = ids(&all)
        .into_iter()
        .filter(|id| passes(&release, id, &|_, _, path| path.first() == Some(&"Garden")))
        .collect();
    assert!(!expected.is_empty() && expected.len() < 3, "{expected:?}");
    assert_eq!(ids(&recommender.recommend(&asked(garden, 10)).unwrap()), expected);
    assert_eq!(recommender.absent(&asked(ColumnFilter::new(), 10)).unwrap(), []);
}

/// [`two_shards`] with these scenarios.
fn ruled(scenarios: &Value) -> Result<Release, String> {
    let mut files = Files::new(1, &[shard_with_columns(1, 90), shard_with_columns(2, 40)], false);
    let bytes = serde_json::to_vec(&json!({ "format": 1, "scenarios": scenarios })).unwrap();
    files.manifest.rules = Some(ObjectRef::of(&bytes));
    files.manifest.requires.push(REQUIRES_RULES.to_owned());
    files.objects.insert(Digest::of(&bytes), bytes);
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.first() {
        missing = sync.accept(next.digest, files.get(next.digest)).map_err(|error| error.to_string())?;
    }
    Ok(sync.ready().unwrap().clone())
}

#[test]
fn rules_filter_exclude_move_pin_and_cap() {
    let plain = two_shards();
    let all = Recommender::of(&plain).recommend(&request(ColumnFilter::new(), 1000)).unwrap();
    let answer = |rules: Value, change: &dyn Fn(&mut Request)| {
        let mut request = request(ColumnFilter::new(), 12);
        change(&mut request);
        let found = Recommender::of(&ruled(&json!({ "default": rules })).unwrap()).recommend(&request).unwrap();
        found.iter().map(|candidate| candidate.id.clone()).collect::<Vec<_>>()
    };
    let of = |test: &dyn Fn(usize, &Candidate) -> bool, count: usize| {
        let kept = all.iter().enumerate().filter(|(place, candidate)| test(*place, candidate));
        kept.take(count).map(|(_, candidate)| candidate.id.clone()).collect::<Vec<_>>()
    };
    let nothing = |_: &mut Request| {};
    assert_eq!(answer(json!({}), &nothing), of(&|_, _| true, 12));
    let garden =
        |_, candidate: &Candidate| passes(&plain, &candidate.id, &|_, _, path| path.first() == Some(&"Garden"));
    assert_eq!(answer(json!({"where": ["not", {"category": ["Garden"]}]}), &nothing), of(&|n, c| !garden(n, c), 12));
    let tree = json!({"where": ["or", {"price": {"max": 300}}, ["and", {"price": null}, {"brand": ["maker 1"]}]]});
    let wanted = |_, candidate: &Candidate| {
        passes(&plain, &candidate.id, &|price, brand, _| price.map_or(brand == Some("maker 1"), |price| price <= 300))
    };
    let expected = of(&wanted, 12);
    assert!(!expected.is_empty());
    assert_eq!(answer(tree, &nothing), expected);
    let least = all[7].score;
    assert_eq!(answer(json!({ "min_score": least }), &nothing), of(&|_, c| c.score >= least, 12));
    // Half up, half down: the better half first, in its order.
    let boosted = answer(
        json!({"boosts": [{"where": {"category": ["Garden"]}, "by": 1}, {"where": ["not", {"category": ["Garden"]}], "by": -1}]}),
        &nothing,
    );
    let hundred: Vec<&Candidate> = all.iter().take(RETRIEVED).collect();
    let expected: Vec<String> = hundred.iter().filter(|c| garden(0, c)).take(12).map(|c| c.id.clone()).collect();
    assert_eq!(boosted, expected);
    let ad_hoc = |request: &mut Request| {
        let filter = filter(&json!({"category": ["Garden"]})).unwrap();
        request.boosts = vec![Boost { filter, by: 1.0, window: Window::default() }];
    };
    assert_eq!(answer(json!({ "boost_limit": 0 }), &ad_hoc), of(&|_, _| true, 12));
    assert_ne!(answer(json!({}), &ad_hoc), of(&|_, _| true, 12));
    let pins = json!({"pins": [{"item": all[100].id, "slot": 2}, {"item": all[1].id, "slot": 4, "until": 50}, {"item": "gone", "slot": 1}]});
    let pinned = answer(pins, &|request| request.context.now_ms = Some(100));
    assert_eq!((&pinned[0], &pinned[1], &pinned[2]), (&all[0].id, &all[100].id, &all[1].id));
    let capped = answer(json!({"caps": [["category", 2, 1]]}), &nothing);
    let outer = |id: &String| {
        let Found { shard, node } = plain.find(id).unwrap().unwrap();
        let columns = plain.shards()[shard].as_ref().unwrap().base().columns().unwrap();
        columns.column("category").unwrap().path_at(node).and_then(|mut path| path.next().map(str::to_owned))
    };
    let gardens = capped.iter().filter(|id| outer(id).as_deref() == Some("Garden")).count();
    assert_eq!((gardens, &capped[..2]), (2, &of(&|_, _| true, 2)[..]), "{capped:?}");
}

#[test]
fn rules_leave_out_what_the_shopper_has_or_has_seen() {
    let release = ruled(&json!({"x": {"exclude": {"purchased_days": 2, "in_cart": true, "seen": 3}}})).unwrap();
    let day = 86_400_000;
    let event = |id: &str, event_type: &str, days: i64| HistoryEvent {
        id: id.to_owned(),
        event_type: event_type.to_owned(),
        at_ms: Some((10 - days) * day),
    };
    let mut asked = Request { scenario: Some("x".into()), ..request(ColumnFilter::new(), 1000) };
    asked.context.now_ms = Some(10 * day);
    asked.past = vec![event("1-item-1", "purchase", 1), event("1-item-2", "purchase", 3), event("1-item-3", "cart", 9)];
    asked.past.extend([event("1-item-4", "cart", 2), event("1-item-4", "purchase", 3), event("1-item-5", "view", 0)]);
    asked.shown = vec![("2-item-1".into(), 3), ("2-item-2".into(), 2)];
    let found = Recommender::of(&release).recommend(&asked).unwrap();
    let is_left_out = |id: &str| !found.iter().any(|candidate| candidate.id == id);
    let left_out: Vec<bool> =
        ["1-item-1", "1-item-2", "1-item-3", "1-item-4", "1-item-5", "2-item-1", "2-item-2"].map(is_left_out).into();
    assert_eq!(left_out, [true, false, true, false, false, true, false]);
}

#[test]
fn what_is_explored_passes_filters_and_caps_and_what_was_shown_in_vain_falls() {
    let rules = json!({
        "explored": {"where": {"price": {"min": 200}}, "caps": [["category", 3, 1]], "exploration": 0.5},
        "plain": {"where": {"price": {"min": 200}}, "caps": [["category", 3, 1]]},
        "rotated": {"rotation": 1},
    });
    let release = ruled(&rules).unwrap();
    let mut recommender = Recommender::of(&release);
    let mut row = |scenario: &str, change: &dyn Fn(&mut Request)| {
        let mut request = Request { scenario: Some(scenario.to_owned()), ..request(ColumnFilter::new(), 6) };
        change(&mut request);
        recommender.recommend(&request).unwrap()
    };
    let plain = row("plain", &|_| {});
    let outer = |candidate: &Candidate| {
        let Found { shard, node } = candidate.found.unwrap();
        let columns = release.shards()[shard].as_ref().unwrap().base().columns().unwrap();
        columns.column("category").unwrap().path_at(node).and_then(|mut path| path.next().map(str::to_owned))
    };
    let mut drawn = 0;
    for seed in 0..200 {
        let explored = row("explored", &|request| request.seed = seed);
        assert_eq!(explored[0], Candidate { propensity: Some(1.0), ..plain[0].clone() }, "seed {seed}");
        for (before, one) in plain.iter().zip(&explored) {
            assert_eq!(one.instead_of, (one.id != before.id).then(|| before.id.clone()), "seed {seed}");
            assert!(passes(&release, &one.id, &|price, _, _| price.is_some_and(|price| price >= 200)), "seed {seed}");
            let alike = explored.iter().filter(|other| outer(one).is_some() && outer(other) == outer(one)).count();
            assert!(alike <= 3, "seed {seed}: {alike} of {:?}", outer(one));
        }
        drawn += explored.iter().filter(|one| one.instead_of.is_some()).count();
        assert_eq!(explored, row("explored", &|request| request.seed = seed), "seed {seed}");
    }
    assert!((400..600).contains(&drawn), "{drawn} of 1000 open slots at a budget of one half");
    let before = row("rotated", &|_| {});
    let after = row("rotated", &|request| request.shown = vec![(before[0].id.clone(), 1)]);
    assert_eq!(ids(&after[..5]), ids(&before[1..]));
}

#[test]
fn rules_that_are_not_right_are_refused() {
    let release = ruled(&json!({"home": {}, "cart": {}})).unwrap();
    let asked = Request { scenario: Some("kart".into()), ..request(ColumnFilter::new(), 5) };
    let error = Recommender::of(&release).recommend(&asked).unwrap_err();
    assert_eq!(error.code(), "request/scenario");
    assert!(error.to_string().contains("\"kart\"") && error.to_string().contains("home"), "{error}");
    for (rules, part) in [
        (json!({"x": {"where": {"colour": ["red"]}}}), "colour"),
        (json!({"x": {"where": {"price": ["red"]}}}), "price"),
        (json!({"x": {"where": ["nor", {}]}}), "rules.scenarios.x.where"),
        (json!({"x": {"diversity": 2}}), "rules.scenarios.x.diversity: found 2"),
        (json!({"x": {"caps": [["brand", 0, 1]]}}), "1 at least"),
        (json!({"x": {"pins": [{"item": "a", "slot": 101}]}}), "slot: found 101"),
        (json!({"x": {"boosts": [{"where": {}}]}}), "by: found nothing"),
        (json!([]), "rules.scenarios: found an array"),
    ] {
        let error = ruled(&rules).unwrap_err();
        assert!(error.contains(part), "{rules}: {error}");
    }
}

#[test]
fn what_a_delta_adds_is_filtered_and_what_it_removes_is_gone() {
    let base = shard_with_columns(1, 90);
    let delta = Delta::write(Digest::of(&base), 90, &[4, 60], &shard_with_columns(2, 40));
    let mut files = Files::new(1, &[base], false);
    files.manifest.shards[0].deltas.push(ManifestDelta::of(&delta).unwrap());
    files.manifest.items = 128;
    files.manifest.requires.push(REQUIRES_DELTAS.to_owned());
    files.objects.insert(Digest::of(&delta), delta);
    let (with_delta, two_shards) = (released(&files), two_shards());
    let gone = vec!["1-item-4".to_owned(), "1-item-60".to_owned()];
    for json in [json!({}), json!({"price": {"max": 900}}), json!({"brand": ["maker 1"], "category": ["Home"]})] {
        let request = request(filter(&json).unwrap(), 200);
        let found = Recommender::of(&with_delta).recommend(&request).unwrap();
        let expected = Recommender::of(&two_shards).recommend(&Request { exclude: gone.clone(), ..request }).unwrap();
        // They are the same, in other places.
        let shown = |list: &[Candidate]| list.iter().map(|one| (one.id.clone(), one.score)).collect::<Vec<_>>();
        assert_eq!(shown(&found), shown(&expected), "{json}");
        assert!(found.iter().any(|candidate| candidate.id.starts_with("2-")), "{json}");
    }
    let history = [["1-item-4".into()], ["2-item-7".into()]];
    let known =
        history.map(|history| Recommender::of(&with_delta).embed(&history, &Context::default()).unwrap().history);
    assert_eq!(known, [vec![], vec!["2-item-7".to_owned()]]);
}

#[test]
fn what_was_kept_for_a_filter_is_not_used_for_another_release() {
    let mut recommender = Recommender::of(&two_shards());
    let request = request(filter(&json!({"price": {"max": 300}})).unwrap(), 50);
    let before = recommender.recommend(&request).unwrap();
    let other = released(&Files::new(2, &[shard_with_columns(3, 90), shard_with_columns(1, 90)], false));
    recommender.renew(&other);
    let found = recommender.recommend(&request).unwrap();
    assert_eq!(found, Recommender::of(&other).recommend(&request).unwrap());
    assert_ne!(found, before);
}

#[test]
fn a_question_that_the_columns_cannot_answer_is_a_typed_error() {
    let mut recommender = Recommender::of(&two_shards());
    for (json, code, text) in [
        (
            json!({"colour": ["red"]}),
            "request/column",
            "found no column \"colour\", expected one of [\"price: price\", \"brand: text\",",
        ),
        (
            json!({"brand": {"max": 3}}),
            "request/condition",
            "\"brand\" is a column of text, which cannot be tested for numbers",
        ),
        (json!({"brand": [["a", "b"]]}), "request/condition", "cannot be tested for texts or paths"),
        (
            json!({"price": ["10"]}),
            "request/condition",
            "\"price\" is a column of price, which cannot be tested for texts",
        ),
    ] {
        let request = request(filter(&json).unwrap(), 5);
        let error = recommender.recommend(&request).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(recommender.absent(&request).unwrap_err().code(), code);
    }
    for json in
        [json!("x"), json!(true), json!({}), json!({"max": "3"}), json!({"maximum": 3}), json!([1, "a"]), json!([[1]])]
    {
        let error = filter(&json!({"price": json})).unwrap_err();
        assert!(matches!(&error, ColumnsError::Condition { column, .. } if column == "price"), "{error}");
    }
}

/// A release in clusters of 20 items, of which a request visits two, and a column that every hundredth item passes.
#[cfg(feature = "build")]
fn clusters(seed: u64) -> (Files, Vec<String>) {
    use crate::Digest;
    use crate::index::FineBits;
    use crate::index::testing::mixture;
    use crate::shard::columns::Columns;
    use crate::shard::{ClusterParams, Clusters};

    let (vectors, _) = mixture(seed, 4000, 1, 8);
    let ids: Vec<String> = (0..4000).map(|row| format!("item-{row}")).collect();
    let params = ClusterParams { items: 20, fine_bits: FineBits::Four, seed };
    let numbers = |rows: &[u32]| {
        let numbers: Vec<_> = rows.iter().map(|&row| Some(u64::from(row % 100))).collect();
        Columns::builder(rows.len()).unsigned("number", &numbers).write()
    };
    let cut = Clusters::cut(&vectors, &[], 8, &ids, Digest::of(b"towers"), &params).unwrap();
    (Files::of_clusters(1, &cut.with_columns(&numbers).unwrap(), 2), ids)
}

#[cfg(feature = "build")]
#[test]
fn under_a_filter_more_clusters_are_visited_until_enough_passes_or_a_limit_is_reached() {
    let (files, history) = clusters(3);
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.first() {
        missing = sync.accept(next.digest, files.get(next.digest)).unwrap();
    }
    let mut recommender = Recommender::of(sync.ready().unwrap());
    let mut fetched = |json: Value, limit| {
        let request = Request {
            limit,
            history: vec![history[0].as_str().into()],
            filter: filter(&json).unwrap(),
            ..Request::default()
        };
        loop {
            let absent = recommender.absent(&request).unwrap();
            if absent.is_empty() {
                break;
            }
            for fetch in sync.fetch_of(&absent) {
                sync.accept(fetch.digest, files.get(fetch.digest)).unwrap();
            }
            recommender.renew(sync.ready().unwrap());
        }
        let shards = sync.ready().unwrap().shards().iter().flatten().count();
        (shards, recommender.recommend(&request).unwrap().len())
    };
    let (few, found) = fetched(json!({}), 4);
    assert!(few <= 3 && found == 4, "{few} shards, the history's among them; {found} items");
    assert_eq!(
        fetched(json!({"number": {"max": 98}}), 4),
        (few, 4),
        "nearly all items pass: two clusters hold sixteen"
    );
    let (more, found) = fetched(json!({"number": {"max": 29}}), 4);
    assert!(more > few && more <= 9 && found == 4, "{more} shards, {found} items");
    let (most, _) = fetched(json!({"number": [7]}), 4);
    assert!(most <= 2 * MAX_WIDENING + 1 && most > more, "{most} shards");
}
