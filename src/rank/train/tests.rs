//! That heads learn what a simulation knows, that sharing helps, and that a program is what was trained.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::prelude::*;

use super::gradient::Batch;
use super::network::Sizes;
use super::*;
use crate::data::config::TaskWeights;
use crate::simulate::testing::shop;
use crate::simulate::{Funnel, FunnelParams, funnel};
use crate::towers::ranker::{Embeddings, inputs as inputs_of};
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
    let device = Device::flex().autodiff();
    let plain = RankerConfig { positions: 6, vector: 0, top: Vec::new(), ..RankerConfig::default() };
    let configs = [
        (RankerConfig { head: 8, bottom: vec![24, 12], ..plain.clone() }, 0, 3),
        (RankerConfig { head: 0, bottom: vec![16], ..plain.clone() }, 0, 1),
        (RankerConfig { vector: 4, top: vec![9], ..plain.clone() }, 0, 2),
        (RankerConfig { vector: 6, top: vec![12, 8], ..plain.clone() }, 16, 3),
        (RankerConfig { vector: 5, top: vec![7], experts: 3, ..plain }, 8, 2),
    ];
    for (config, dim, tasks) in configs {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut numbers = |count: usize| (0..count).map(|_| rng.random_range(-1.0..2.0_f32)).collect::<Vec<_>>();
        let scaling = [numbers(FEATURES.len()), numbers(FEATURES.len())];
        let slots = numbers(config.positions + 1);
        let rows: Vec<[Vec<f32>; 3]> = (0..200).map(|_| [FEATURES.len(), dim, dim].map(&mut numbers)).collect();
        let sizes = Sizes { dim, shelves: 5, brands: 3 };
        let mut network = Network::new(&config, sizes, scaling, &[0.3; 3][..tasks], &mut rng);
        network.slots.values = slots;
        network.halve();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files::RANKER, &export::ranker_onnx(&network)).unwrap();
        let program = read_ranker(folder.path()).unwrap();
        let plan = lower::read(&folder.path().join(files::RANKER)).unwrap().into_runnable().unwrap();
        for (at, [numbers, query, item]) in rows.iter().enumerate() {
            let (slot, names) = ([at as u32 % 7], [at as u32 % 6, at as u32 % 4]);
            let embeddings = Embeddings { query, item };
            let given = inputs_of(numbers, embeddings, &names, &slot, config.vector > 0);
            let mut scratch = Scratch::default();
            let found = program.run(&given, &mut scratch).unwrap();
            let batch = Batch {
                numbers: numbers.clone(),
                queries: query.clone(),
                items: item.clone(),
                names: names.map(|name| vec![name]),
                slots: slot.to_vec(),
            };
            let mut expected = Vec::new();
            loss::probabilities(&network.forward(&batch, &device).log_odds, &mut expected);
            let oracle = plan.run(given.iter().map(tensor).collect()).unwrap();
            let oracle: Vec<f32> = oracle[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect();
            assert_eq!((found.len(), oracle.len()), (tasks, tasks));
            for task in 0..tasks {
                let (found, trained, oracle) = (found[task], expected[task] as f32, oracle[task]);
                let off = (found - trained).abs().max((found - oracle).abs());
                assert!(off < 2e-5, "seed {seed}, input {at}, task {task}: {found}, trained {trained}, tract {oracle}");
            }
        }
    }
}

fn tensor(input: &Input<'_>) -> TValue {
    match input {
        Input::Float(values) => Tensor::from_shape(&[1, values.len()], values).unwrap().into_tvalue(),
        Input::Index(rows) => {
            let rows: Vec<i64> = rows.iter().map(|row| i64::from(*row)).collect();
            Tensor::from_shape(&[1, rows.len()], &rows).unwrap().into_tvalue()
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
    let towers = Digest::of(b"towers");
    let retrieval = Some(Retrieval { towers, dim: 0, queries: &[], items: &[], scores: &|_, _| {} });
    let logged = Logged { dataset: &data, impressions: &impressions, truth: None, retrieval };
    let folder = tempfile::tempdir().unwrap();
    let error = train_ranker(logged, &RankerConfig::default(), folder.path()).unwrap_err().to_string();
    assert!(error.contains("expected none before split.test_from"), "{error}");
}
