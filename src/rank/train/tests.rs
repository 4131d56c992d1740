//! That heads learn what a simulation knows, that sharing helps, and that a program is what was trained.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::prelude::*;

use super::*;
use crate::data::config::TaskWeights;
use crate::simulate::testing::shop;
use crate::simulate::{Funnel, FunnelParams, funnel};
use crate::towers::{Input, Scratch};

fn train(dataset: &Dataset, found: &Funnel, config: &RankerConfig, run: &Path) -> RankerReport {
    let rows = found.impressions.clone();
    let impressions = Impressions { read: rows.len(), rows, outside: 0 };
    let truth = Some(&found.truth);
    train_ranker(Logged { dataset, impressions: &impressions, truth, retrieval: None }, config, run).unwrap()
}

#[test]
fn every_head_learns_what_the_truth_knows_and_the_same_again() {
    let (seed, users) = (11, 900);
    let data = shop(seed, users);
    let found = funnel(&data, &FunnelParams::new(seed, users as usize)).unwrap();
    let config = RankerConfig { seed, steps: 600, ..RankerConfig::default() };
    let runs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let report = train(&data, &found, &config, runs[0].path());
    println!("seed {seed}\n{report}");
    for task in &report.tasks {
        let (reach, truth) = (task.reach().unwrap(), task.truth.as_ref().unwrap());
        assert!(reach >= 0.95, "seed {seed}: {} goes {reach} of the way to its truth", task.task);
        assert!(truth.rank_correlation > 0.9, "seed {seed}: {} orders by {}", task.task, truth.rank_correlation);
        let off = (task.expected / task.happened as f64 - 1.0).abs();
        assert!(off < 0.2 && task.calibration_error < 0.02, "seed {seed}: {} is off by {off}", task.task);
    }
    // A slot tells what was seen, so much is lost without it, and only there.
    assert!(report.tasks[0].auc_without_slot < report.tasks[0].auc);

    train(&data, &found, &config, runs[1].path());
    for name in [files::RANKER, files::REPORT, files::CHART] {
        let [first, second] = runs.each_ref().map(|run| std::fs::read(run.path().join(name)).unwrap());
        assert!(first == second, "seed {seed}: {name} differs");
    }
}

#[test]
fn rare_purchases_are_learned_better_beside_clicks_and_carts() {
    let (seeds, users) = ([1, 2, 3], 500);
    let mut gains = Vec::new();
    for seed in seeds {
        let data = shop(seed, users);
        let mut params = FunnelParams::new(seed, users as usize);
        // One purchase in about forty impressions, some 1,200 to train with.
        params.weights[2].base -= 1.5;
        let found = funnel(&data, &params).unwrap();
        let run = tempfile::tempdir().unwrap();
        let config = RankerConfig { seed, steps: 600, ..RankerConfig::default() };
        let all = train(&data, &found, &config, run.path());
        let tasks = TaskWeights { click: 0.0, cart: 0.0, purchase: 1.0 };
        let alone = train(&data, &found, &RankerConfig { tasks, ..config }, run.path());
        let correlation = |task: &TaskReport| task.truth.as_ref().unwrap().rank_correlation;
        let [together, single] = [&all.tasks[2], &alone.tasks[0]];
        println!(
            "seed {seed}: {} purchases of {}, AUC {:.4} together, {:.4} alone, rank correlation {:.4} and {:.4}",
            found.count(Task::Purchase),
            found.impressions.len(),
            together.auc,
            single.auc,
            correlation(together),
            correlation(single)
        );
        assert!(correlation(together) > correlation(single), "seed {seed}");
        gains.push(together.auc - single.auc);
    }
    let mean = gains.iter().sum::<f64>() / gains.len() as f64;
    assert!(mean > 0.0, "seeds {seeds:?}: AUC gains {gains:?}");
}

#[test]
fn the_program_computes_what_was_trained_and_what_tract_computes() {
    let seed = 9;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let device = Device::flex().autodiff();
    for (head, bottom, tasks) in [(8, vec![24, 12], 3), (0, vec![16], 1), (5, vec![8, 8, 8], 2)] {
        let config = RankerConfig { head, bottom, positions: 6, ..RankerConfig::default() };
        let mut numbers = |count: usize| (0..count).map(|_| rng.random_range(-1.0..2.0_f32)).collect::<Vec<_>>();
        let scaling = [numbers(FEATURES.len()), numbers(FEATURES.len())];
        let slots = numbers(config.positions + 1);
        let inputs: Vec<Vec<f32>> = (0..200).map(|_| numbers(FEATURES.len())).collect();
        let mut network = Network::new(&config, scaling, &[0.3; 3][..tasks], &mut rng);
        network.slots.values = slots;
        network.halve();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files::RANKER, &export::ranker_onnx(&network)).unwrap();
        let program = read_ranker(folder.path()).unwrap();
        let plan = lower::read(&folder.path().join(files::RANKER)).unwrap().into_runnable().unwrap();
        let mut expected = Vec::new();
        for (at, numbers) in inputs.iter().enumerate() {
            let slot = at as u32 % 7;
            let given = [Input::Float(numbers), Input::Index(&[slot])];
            let mut scratch = Scratch::default();
            let found = program.run(&given, &mut scratch).unwrap();
            loss::probabilities(&network.forward(numbers, &[slot], &device).log_odds, &mut expected);
            let tensors = tvec!(
                Tensor::from_shape(&[1, FEATURES.len()], numbers).unwrap().into_tvalue(),
                Tensor::from_shape(&[1, 1], &[i64::from(slot)]).unwrap().into_tvalue()
            );
            let oracle = plan.run(tensors).unwrap();
            let oracle: Vec<f32> = oracle[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect();
            assert_eq!((found.len(), oracle.len()), (tasks, tasks));
            for task in 0..tasks {
                let (found, trained, oracle) = (found[task], expected[task] as f32, oracle[task]);
                let off = (found - trained).abs().max((found - oracle).abs());
                assert!(off < 1e-5, "seed {seed}, input {at}, task {task}: {found}, trained {trained}, tract {oracle}");
            }
        }
    }
}

#[test]
fn scores_of_towers_that_saw_the_future_are_refused() {
    let mut data = shop(1, 20);
    let found = funnel(&data, &FunnelParams::new(1, 20)).unwrap();
    let rows = found.impressions.clone();
    let impressions = Impressions { read: rows.len(), rows, outside: 0 };
    data.test_from_ms += 86_400_000;
    let score = |_: Option<u32>, _: u32| 0.0;
    let retrieval = Some(Retrieval { towers: crate::Digest::of(b"towers"), score: &score });
    let logged = Logged { dataset: &data, impressions: &impressions, truth: None, retrieval };
    let folder = tempfile::tempdir().unwrap();
    let error = train_ranker(logged, &RankerConfig::default(), folder.path()).unwrap_err().to_string();
    assert!(error.contains("expected none before split.test_from"), "{error}");
}
