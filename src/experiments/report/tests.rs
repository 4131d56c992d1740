//! Invented logs with a known truth: what is reported has to find it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::experiments::Event;

/// Visitors of two variants with rows of their own liking, the second clicking more by this factor.
fn experiment(seed: u64, visitors: u32, factor: f64) -> Log {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    for visitor in 0..visitors {
        let variant = if rng.random::<bool>() { "b" } else { "a" };
        // Two kinds of visitors, so that rows of one are alike.
        let rate = if rng.random::<bool>() { 0.25 } else { 0.05 } * if variant == "b" { factor } else { 1.0 };
        for row in 0..rng.random_range(1..8) {
            for item in 0..6 {
                let event = Event {
                    kind: "impression".to_owned(),
                    id: format!("item {item}"),
                    recommendation_id: Some(format!("{visitor} {row}")),
                    experiment: Some("x".to_owned()),
                    variant: Some(variant.to_owned()),
                    visitor: Some(format!("visitor {visitor}")),
                    ..Event::default()
                };
                if rng.random::<f64>() < rate {
                    events.push(Event { kind: "click".to_owned(), ..event.clone() });
                }
                events.push(event);
            }
        }
    }
    Log::of(events)
}

#[test]
fn intervals_cover_the_truth_about_as_often_as_they_say() {
    const RUNS: u64 = 400;
    let (truth, factor) = ([0.15, 0.18], 1.2);
    let mut covered = [0.0; 3];
    for seed in 0..RUNS {
        let found = report(&experiment(seed, 250, factor), &Asked::default()).unwrap();
        let holds =
            |(low, high): (f64, f64), truth: f64| f64::from(u8::from(low <= truth && truth <= high)) / RUNS as f64;
        covered[0] += holds(found.variants[0].rates[0].interval(), truth[0]);
        covered[1] += holds(found.variants[1].rates[0].interval(), truth[1]);
        covered[2] += holds(found.variants[1].against.unwrap()[0].lift_interval, factor - 1.0);
    }
    // Four standard errors of a share of .95 among the runs are .044.
    assert!(covered.iter().all(|share| (share - 0.95_f64).abs() < 0.044), "{covered:?}");
}

#[test]
fn without_a_difference_p_values_are_even_and_a_broken_split_is_seen() {
    let mut low = 0;
    for seed in 1000..1300 {
        let found = report(&experiment(seed, 200, 1.0), &Asked::default()).unwrap();
        low += i32::from(found.variants[1].against.unwrap()[0].p_value < 0.1);
        assert!(found.ratio_check.unwrap().p_value > 1e-5, "seed {seed}");
    }
    assert!((15..50).contains(&low), "{low} of 300 below .1");
    let asked = Asked { shares: vec![("a".to_owned(), 3.0), ("b".to_owned(), 1.0)], ..Asked::default() };
    let found = report(&experiment(1, 300, 1.0), &asked).unwrap();
    let check = found.ratio_check.unwrap();
    assert!(check.is_suspect && check.expected == [0.75, 0.25], "{check:?}");
}

/// Rows of a policy that explores: every slot holds its own item, or one of a pool; the truth is what the target would get per item.
fn bandit(seed: u64) -> Log {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    for visitor in 0..150 {
        let explored = [0.2, 0.5][visitor % 2];
        for row in 0..4 {
            for slot in 0..5_usize {
                let is_drawn = rng.random::<f64>() < explored;
                let item = if is_drawn { 5 + 5 * rng.random_range(0..4) + slot } else { slot };
                let event = Event {
                    kind: "impression".to_owned(),
                    id: item.to_string(),
                    recommendation_id: Some(format!("{visitor} {row}")),
                    visitor: Some(visitor.to_string()),
                    propensity: Some(if is_drawn { explored / 4.0 } else { 1.0 - explored }),
                    instead_of: is_drawn.then(|| slot.to_string()),
                    ..Event::default()
                };
                if rng.random::<f64>() < rate(item) {
                    events.push(Event { kind: "click".to_owned(), ..event.clone() });
                }
                events.push(event);
            }
        }
    }
    Log::of(events)
}

fn rate(item: usize) -> f64 {
    0.05 + 0.03 * (item * 7 % 11) as f64
}

#[test]
fn off_policy_estimates_are_without_bias_and_their_intervals_cover() {
    const RUNS: u64 = 300;
    let shown = |item: usize| (item.to_string(), if item.is_multiple_of(2) { 1.0 } else { 0.5 });
    let given = [1, 7, 13, 19, 22].map(shown);
    let mass: f64 = given.iter().map(|(_, pi)| pi).sum();
    let of_given =
        [1, 7, 13, 19, 22].into_iter().zip(&given).map(|(item, (_, pi))| pi * rate(item)).sum::<f64>() / mass;
    let others = Target::Given { rows: HashMap::new(), others: given.to_vec() };
    for (target, truth) in [(Target::Greedy, (0..5).map(rate).sum::<f64>() / 5.0), (others, of_given)] {
        let mut found: Vec<[Estimate; 3]> = Vec::new();
        for seed in 0..RUNS {
            let log = bandit(seed);
            let estimates = off_policy(&log, log.rows.iter(), &target).unwrap();
            assert!((estimates.support - 1.0).abs() < 0.25, "seed {seed}: {}", estimates.support);
            let value = &estimates.values[0];
            found.push([value.ips, value.snips, value.doubly_robust]);
        }
        for at in 0..3 {
            let mean = found.iter().map(|run| run[at].value).sum::<f64>() / RUNS as f64;
            let spread = (found.iter().map(|run| (run[at].value - mean).powi(2)).sum::<f64>() / RUNS as f64).sqrt();
            let errors = found.iter().map(|run| run[at].error).sum::<f64>() / RUNS as f64;
            let deviates = (mean - truth) / (spread / (RUNS as f64).sqrt());
            assert!(deviates.abs() < 4.0, "{target:?}, {at}: {mean}, the truth is {truth}: {deviates} standard errors");
            assert!((errors / spread - 1.0).abs() < 0.15, "{target:?}, {at}: errors {errors}, spread {spread}");
        }
    }
}

#[test]
fn what_is_asked_and_is_not_there_is_a_typed_error() {
    let log = experiment(1, 40, 1.0);
    let asked = |change: fn(&mut Asked)| {
        let mut asked = Asked::default();
        change(&mut asked);
        report(&log, &asked).unwrap_err().to_string()
    };
    assert!(asked(|asked| asked.control = Some("c".into())).contains("found c, expected one of a, b"));
    assert!(asked(|asked| asked.experiment = Some("y".into())).contains("found y, expected one of x"));
    assert!(asked(|asked| asked.shares = vec![("a".into(), 0.5)]).contains("one of b, too"));
    assert!(asked(|asked| asked.shares = vec![("a".into(), f64::NAN), ("b".into(), 1.0)]).contains("above 0"));
    assert!(
        report(&Log::of([]), &Asked::default()).unwrap_err().to_string().contains("no impression of a row among 0")
    );
}

#[test]
fn a_report_is_a_table_a_page_json_and_a_chart() {
    let found = report(&experiment(1, 300, 1.2), &Asked::default()).unwrap();
    let [text, page] = [found.to_string(), found.to_markdown()];
    for part in ["| a |", "| b |", "conversion", "sample ratio"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(text.contains("click rate") && !text.contains("NaN") && !page.contains("NaN"), "{text}\n{page}");
    assert!(serde_json::from_str::<serde_json::Value>(&found.to_json()).unwrap()["variants"][1]["against"].is_array());
    assert!(found.to_svg().unwrap().contains("click"));
    let log = bandit(1);
    let found = report(&log, &Asked::default()).unwrap().to_string();
    assert!(found.contains("doubly robust"), "{found}");
}

#[test]
fn a_target_is_read_by_row_and_for_the_others_and_what_is_wrong_is_named_with_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let read = |text: &[u8]| {
        std::fs::write(file.path(), text).unwrap();
        Target::read(file.path())
    };
    let good = b"recommendationId,item,probability\nr,7,1\n,8,0.5\nr,8,0.25\n";
    let rows = HashMap::from([("r".to_owned(), vec![("7".to_owned(), 1.0), ("8".to_owned(), 0.25)])]);
    assert_eq!(read(good).unwrap(), Target::Given { rows, others: vec![("8".to_owned(), 0.5)] });
    let cases: [(&[u8], u64, &str); 5] = [
        (b"item,value\n", 1, "the columns item and probability"),
        (b"item,probability\na,1.5\n", 2, "a probability from 0 to 1"),
        (b"item,probability\na,nan\n", 2, "a probability from 0 to 1"),
        (b"item,probability\na,1\na,1\n", 3, "every item of a row once"),
        (b"item,probability\na\n", 2, "CSV in UTF-8"),
    ];
    for (text, line, part) in cases {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(&format!(":{line}: ")) && error.contains(part), "{error}");
    }
    for cut in 0..good.len() {
        let _ = read(&good[..cut]);
    }
}
