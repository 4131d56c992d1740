//! Tests of recommenders that are good and bad by construction.

use super::*;
use crate::recommend::RecommendError;
use crate::simulate::testing::shop;

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
    for seed in 1..=5 {
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
