//! What a ranker and rules make of what was found, and how that is explained.

use super::*;
use crate::features::ranking::{FEATURES, Usual};
use crate::release::REQUIRES_RANKER;
use crate::towers::{InputKind, Objective, Op, Program, Ranker, RankerSchema, Term, Unary};

/// Says of every candidate how probable a purchase is: by the logarithm of how often the shopper bought it.
fn ranker(objective: Vec<Term>, towers: Digest) -> Ranker {
    let bought = FEATURES.iter().position(|name| *name == "times_bought").unwrap() as u32;
    let ops = vec![
        Op::Slice { a: 0, outer: 1, n: FEATURES.len() as u32, inner: 1, start: bought, count: 1, step: 1 },
        Op::Unary { function: Unary::Sigmoid, a: 2 },
    ];
    let program = Program::new(vec![(InputKind::Float, FEATURES.len()), (InputKind::Index, 1)], Vec::new(), ops);
    let schema = RankerSchema {
        dim: 0,
        vectors: false,
        tasks: vec!["purchase".to_owned()],
        history: 5,
        own: 3,
        objective: Objective::new(objective).unwrap(),
        usual: Usual::default(),
    };
    Ranker::new(schema, program.unwrap(), towers).unwrap()
}

/// [`two_shards`] with that ranker.
fn ranked(objective: Vec<Term>, scenarios: Option<&Value>) -> Release {
    let mut files = Files::new(1, &[shard_with_columns(1, 90), shard_with_columns(2, 40)], false);
    let mut add = |bytes: Vec<u8>| {
        let object = ObjectRef::of(&bytes);
        files.objects.insert(object.digest, bytes);
        Some(object)
    };
    let ranker = add(ranker(objective, files.manifest.towers).write());
    let rules = scenarios.map(|scenarios| json!({ "format": 1, "scenarios": scenarios }));
    let rules = rules.and_then(|rules| add(serde_json::to_vec(&rules).unwrap()));
    (files.manifest.ranker, files.manifest.rules) = (ranker, rules);
    files.manifest.requires = vec![REQUIRES_RANKER.to_owned(), REQUIRES_RULES.to_owned()];
    released(&files)
}

fn bought(id: &str) -> HistoryEvent {
    HistoryEvent { event_type: "purchase".to_owned(), ..id.into() }
}

#[test]
fn a_ranker_orders_what_retrieval_finds_and_what_the_shopper_had() {
    let mut recommender = Recommender::of(&ranked(vec![Term::Task(0)], None));
    let history = ["1-item-7", "2-item-3", "2-item-3", "1-item-9", "1-item-9", "1-item-9", "1-item-7"].map(bought);
    let mut asked = Request { history: history.into(), ..request(ColumnFilter::new(), 5) };
    let plain = Recommender::of(&two_shards()).recommend(&asked).unwrap();
    let found = recommender.recommend(&asked).unwrap();
    assert_eq!(ids(&found[..1]), ["1-item-9"]);
    // Bought twice each: by score. The rest as retrieval has it.
    let mut twice = ids(&found[1..3]);
    twice.sort_unstable();
    assert_eq!(twice, ["1-item-7", "2-item-3"]);
    let rest: Vec<&str> = ids(&plain).into_iter().filter(|id| !ids(&found[..3]).contains(id)).collect();
    assert_eq!(ids(&found[3..]), rest[..2]);
    let value = 1.0 / (1.0 + (-4.0_f32.ln()).exp());
    assert!((found[0].value.unwrap() - value).abs() < 1e-6 && found[4].value == Some(0.5), "{found:?}");
    // What is left out stays out, and rows that are no guess at the shopper's wishes are not ranked.
    asked.exclude = vec!["1-item-9".to_owned()];
    assert!(!ids(&recommender.recommend(&asked).unwrap()).contains(&"1-item-9"));
    let other = Request { unranked: true, ..asked.clone() };
    assert!(recommender.recommend(&other).unwrap().iter().all(|candidate| candidate.value.is_none()));
    let like = Request { like: Some("1-item-7".to_owned()), ..asked.clone() };
    assert!(recommender.recommend(&like).unwrap().iter().all(|candidate| candidate.value.is_none()));
    // Of the items that were had last, five count.
    asked.history.extend((20..25).map(|item| bought(&format!("1-item-{item}"))));
    assert!(recommender.recommend(&asked).unwrap().iter().all(|candidate| candidate.value.unwrap() < 0.7));
}

#[test]
fn an_objective_reads_columns_and_rules_move_what_it_ordered() {
    let price = || vec![Term::Column("price".to_owned()), Objective::operator("log1p").unwrap()];
    let mut recommender = Recommender::of(&ranked(price(), None));
    let release = two_shards();
    let price_of = |candidate: &Candidate| {
        let Found { shard, node } = release.find(&candidate.id).unwrap().unwrap();
        let columns = release.shards()[shard].as_ref().unwrap().base().columns().unwrap();
        columns.column("price").unwrap().u64_at(node).unwrap_or(0)
    };
    let prices: Vec<u64> =
        recommender.recommend(&request(ColumnFilter::new(), 50)).unwrap().iter().map(price_of).collect();
    assert!(prices.is_sorted_by(|a, b| a >= b) && prices[0] > prices[49], "{prices:?}");
    let rules = json!({"default": {"boosts": [{"where": {"price": {"max": 500}}, "by": 1}]}});
    let mut recommender = Recommender::of(&ranked(price(), Some(&rules)));
    let found = recommender.recommend(&request(ColumnFilter::new(), 5)).unwrap();
    assert!(found.iter().map(price_of).all(|price| price <= 500), "{found:?}");
}

#[test]
fn being_popular_counts_against_a_candidate_as_far_as_a_rule_says() {
    let events = |release: &Release, found: &[Candidate]| {
        let of = |candidate: &Candidate| {
            let Found { shard, node } = candidate.found.unwrap();
            let columns = release.shards()[shard].as_ref().unwrap().base().columns().unwrap();
            columns.column("popularity").unwrap().u64_at(node).unwrap_or(0)
        };
        found.iter().map(of).sum::<u64>()
    };
    let sum = |penalty: f32| {
        let release = ruled(&json!({"default": {"popularity_penalty": penalty}})).unwrap();
        let found = Recommender::of(&release).recommend(&request(ColumnFilter::new(), 10)).unwrap();
        events(&release, &found)
    };
    let sums = [sum(0.0), sum(0.5), sum(1.0)];
    assert!(sums[0] > sums[1] && sums[1] > sums[2], "{sums:?}");
}

#[test]
fn an_explanation_says_what_each_stage_decided() {
    let rules = json!({"default": {
        "where": ["not", {"category": ["Garden"]}], "exclude": {"in_cart": true}, "boosts": [{"where": {"price": {"max": 900}}, "by": 0.25}],
        "pins": [{"item": "2-item-1", "slot": 1}],
    }});
    let plain = two_shards();
    let mut recommender = Recommender::of(&ranked(vec![Term::Task(0)], Some(&rules)));
    let mut asked =
        Request { history: vec![bought("1-item-7")], exclude: vec!["1-item-2".to_owned()], ..Request::default() };
    asked.limit = 6;
    asked.past = vec![HistoryEvent { event_type: "cart".to_owned(), .."1-item-3".into() }];
    asked.shown = vec![("1-item-7".to_owned(), 2)];
    let row = recommender.recommend(&asked).unwrap();
    let mut explain = |id: &str| recommender.explain(&asked, id, 3).unwrap();
    assert!(!explain("gone").known);
    assert_eq!((explain("1-item-2").excluded, explain("1-item-3").excluded), (Some(By::Request), Some(By::Rules)));
    for (at, candidate) in row.iter().enumerate() {
        let found = explain(&candidate.id);
        assert_eq!((found.slot, found.excluded, found.out_of_stock), (Some(at + 1), None, false));
        assert!(found.filtered.is_none() || found.is_pinned);
        assert_eq!(found.is_pinned, candidate.id == "2-item-1");
        let cheap = passes(&plain, &candidate.id, &|price, _, _| price.is_some_and(|price| price <= 900));
        if let Some((_, score)) = found.retrieved {
            assert_eq!(
                (score, found.boost),
                (candidate.score, if cheap { 0.25 } else { 0.0 }),
                "{candidate:?} {found:?}"
            );
            assert_eq!(found.ranked.map(|(_, value)| value), candidate.value);
        }
    }
    let of_all: Vec<Explanation> = (0..90).map(|item| explain(&format!("1-item-{item}"))).collect();
    let gardens = of_all.iter().filter(|found| found.filtered == Some(By::Rules)).count();
    assert!(
        gardens > 10 && of_all.iter().all(|found| found.filtered.is_none() || found.retrieved.is_none()),
        "{gardens}"
    );
    assert_eq!((explain("1-item-7").shown, explain("1-item-7").ranked.map(|(place, _)| place)), (2, Some(1)));
    // The query is made of one event: without it, nothing speaks for what it speaks for.
    let because = explain(&row[1].id).because;
    assert!(because.is_empty() || because[0].0 == "1-item-7", "{because:?}");
}

#[test]
fn a_damaged_ranker_is_a_typed_error() {
    let whole = ranker(vec![Term::Task(0)], Digest::of(b"towers")).write();
    assert_eq!(Ranker::open(&whole).unwrap().write(), whole);
    assert!((0..whole.len()).all(|end| Ranker::open(&whole[..end]).is_err()));
    let signed = whole.len() - Digest::LEN;
    for at in 0..signed {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Ranker::open(&damaged).is_err(), "byte {at}");
        // Whose digest is right is read with the same care: what it then gives is whole or an error.
        let digest = Digest::of(&damaged[..signed]);
        damaged[signed..].copy_from_slice(digest.as_bytes());
        if let Ok(ranker) = Ranker::open(&damaged) {
            assert_eq!(ranker.schema().tasks.len(), 1, "byte {at}");
        }
    }
}
