//! Tests of recommenders that are good and bad by construction.

use super::*;
use crate::Digest;
use crate::recommend::RecommendError;
use crate::release::testing::{Files, shard};
use crate::release::{ObjectRef, REQUIRES_RULES, Release};
use crate::simulate::testing::shop;
use crate::sync::Assembly;

/// Shows what the user bought most, or the items in the order of their ids.
struct Fixed<'d>(&'d Dataset, bool);

impl Arm for Fixed<'_> {
    fn row(&self, asked: &Asked<'_>) -> Result<Vec<Shown>, RecommendError> {
        let mut items: Vec<u32> = (0..self.0.items.len() as u32).collect();
        if self.1 {
            let count = |item: u32| {
                let own = self.0.training_events(asked.user).iter().filter(|event| event.item == item).count();
                own + asked.bought.iter().filter(|(bought, _)| *bought == item).count()
            };
            items.sort_by_key(|item| (std::cmp::Reverse(count(*item)), *item));
        }
        let shown = items.into_iter().take(asked.slots);
        Ok(shown.map(|item| Shown { item, propensity: None, instead_of: None }).collect())
    }
}

fn params(seed: u64, shoppers: usize) -> AbParams {
    AbParams { funnel: FunnelParams::new(seed, shoppers), out_of_stock: 0.1 }
}

#[test]
fn a_better_arm_wins_an_equal_one_does_not_and_threads_do_not_matter() {
    let (data, seed) = (shop(7, 400), 3);
    let (good, bad) = (Fixed(&data, true), Fixed(&data, false));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| ab(&data, &params(seed, 400), [&bad, &good]).unwrap())
    };
    let events = run(1);
    assert!(events == run(3), "seed {seed}: threads matter");
    let folder = tempfile::tempdir().unwrap();
    let found = write(&params(seed, 400), ["bad", "good"], &events, folder.path()).unwrap();
    assert_eq!(found.left_out + found.unattributed + found.in_several, 0);
    for (rate, compared) in ["clicks", "carts", "purchases"].iter().zip(found.variants[1].against.unwrap()) {
        assert!(compared.lift_interval.0 > 0.0, "seed {seed}, {rate}: {:?}", compared.lift_interval);
    }
    assert!(!found.ratio_check.unwrap().is_suspect, "seed {seed}");
    let text = std::fs::read_to_string(folder.path().join(files::REPORT)).unwrap();
    assert!(text.starts_with("SYNTHETIC"));
    // Of the same arm twice, one run in a thousand shows a difference of p < .001.
    for seed in 1..=3 {
        let log = Log::of(ab(&data, &params(seed, 400), [&good, &good]).unwrap());
        let found = report(&log, &experiments::Asked::default()).unwrap();
        assert!(found.variants[1].against.unwrap().iter().all(|one| one.p_value > 0.001), "seed {seed}");
    }
}

#[test]
fn what_is_out_of_stock_is_clicked_and_not_bought_and_comes_back() {
    let data = shop(7, 300);
    let params = AbParams { out_of_stock: 0.5, ..params(5, 300) };
    let arm = Fixed(&data, true);
    let events = ab(&data, &params, [&arm, &arm]).unwrap();
    let window = Window::of(&data, &params.funnel).unwrap();
    let shelves = Shelves::of(&data.items);
    let run = Run { dataset: &data, params: &params, window, shelves, experiment: params.experiment() };
    let is_out = |event: &Event| {
        let item = data.items.binary_search_by(|item| item.id.cmp(&event.id)).unwrap() as u32;
        // Carts and purchases follow the visit by minutes, perhaps after midnight.
        run.is_out(item, run.window.day(event.at as i64)) && run.is_out(item, run.window.day(event.at as i64 - 600_000))
    };
    let count =
        |kind: &str, out: bool| events.iter().filter(|event| event.kind == kind && is_out(event) == out).count();
    assert!(count("click", true) > 100 && count("purchase", false) > 10);
    assert_eq!((count("cart", true), count("purchase", true)), (0, 0));
    let spells: Vec<bool> = (0..60).map(|day| run.is_out(9, day)).collect();
    let share = spells.iter().filter(|out| **out).count();
    assert!((10..50).contains(&share) && spells[0] == spells[2], "{share} of 60 days");
}

#[test]
fn shares_of_stock_that_are_none_are_refused() {
    let data = shop(7, 30);
    let arm = Fixed(&data, true);
    let params = AbParams { out_of_stock: f64::NAN, ..params(5, 30) };
    assert!(ab(&data, &params, [&arm, &arm]).unwrap_err().to_string().contains("expected 0 to less than 1"));
}

/// A shop of the items of a release that explores half of the slots.
fn released() -> (Dataset, Release) {
    let mut files = Files::new(1, &[shard(1, 320)], false);
    let rules = br#"{"format":1,"scenarios":{"default":{},"explored":{"exploration":0.5}}}"#;
    files.manifest.rules = Some(ObjectRef::of(rules));
    files.manifest.requires.push(REQUIRES_RULES.to_owned());
    files.objects.insert(Digest::of(rules), rules.to_vec());
    let mut sync = Assembly::default();
    let mut missing = sync.set_head(&files.head()).unwrap();
    while let Some(next) = missing.first() {
        missing = sync.accept(next.digest, files.get(next.digest)).unwrap();
    }
    let release = sync.ready().unwrap().clone();
    let mut data = shop(7, 300);
    let mut ids: Vec<String> = release.shards()[0].as_ref().unwrap().base().ids().collect();
    ids.sort();
    data.items.iter_mut().zip(ids).for_each(|(item, id)| item.id = id);
    (data, release)
}

#[test]
fn what_a_release_would_get_without_exploration_is_estimated_from_a_run_with_it() {
    let (data, release) = released();
    let arm = |scenario: &str| OfRelease::new(&data, release.clone(), Some(scenario.to_owned()));
    // Both arms are the same, so that the first one has the truth: what shoppers of the same kind did without exploration.
    let (plain, explored) = (arm("default"), arm("explored"));
    let events = ab(&data, &params(11, 300), [&plain, &explored]).unwrap();
    let found = report(&Log::of(events), &experiments::Asked::default()).unwrap();
    let [plain, explored] = &found.variants[..] else { panic!("two variants") };
    assert!(plain.off_policy.is_none() && plain.impressions == plain.rows * 12);
    let estimates = explored.off_policy.as_ref().unwrap();
    assert!((estimates.support - 1.0).abs() < 0.03, "support {}", estimates.support);
    let effective = estimates.effective / estimates.impressions as f64;
    // Of the slots 1/12 stays, and of the others half is shown, with weight 2.
    assert!((effective - 1.0 / (1.0 / 12.0 + 2.0 * 11.0 / 12.0)).abs() < 0.02, "{effective}");
    for value in &estimates.values {
        for estimate in [value.ips, value.snips, value.doubly_robust] {
            let at = experiments::ACTIONS.iter().position(|action| *action == value.action).unwrap();
            let p = plain.rates[at].less_than(estimate).p_value();
            assert!(p > 0.001, "{}: {estimate:?} against {:?}", value.action, plain.rates[at]);
        }
    }
}
