//! What else towers learn from: types and ages of events, what shoppers have had, long-term vectors, hard negatives; and when to stop.

use std::sync::atomic::AtomicBool;

use nearshelf::data::Config;
use nearshelf::data::config::{EarlyStopping, EncoderConfig, Examples, Loss, Optimizer};
use nearshelf::data::{Dataset, Event};
use nearshelf::evaluate::{Mode, TwoTower, evaluate};
use nearshelf::towers::candidate::Towers;
use nearshelf::towers::train::{files, train};
use tempfile::TempDir;

use crate::{SEED, shop, train_into, trained};

/// R@20 of all items.
fn recall(dataset: &Dataset, config: &Config) -> f64 {
    let folder = TempDir::new().unwrap();
    train_into(dataset, config, folder.path());
    let towers = TwoTower::new(dataset, &Towers::of(config, folder.path()).unwrap()).unwrap();
    evaluate(dataset, &[&towers]).unwrap().row(TwoTower::NAME, Mode::Repeats).unwrap().value("R@20")
}

/// The shop as one where shoppers buy what they bought, and look at all the rest by chance.
fn habits() -> Dataset {
    let mut dataset = shop::dataset(SEED);
    let first: Vec<u32> = (0..dataset.users.len() as u32).map(|user| dataset.events_of(user)[0].item).collect();
    for (at, event) in dataset.events.iter_mut().enumerate() {
        let is_purchase = at % 3 == 0;
        event.event_type = u16::from(!is_purchase);
        // Five articles of daily use for each, none of them like another.
        let habit = (first[event.user as usize] * 31 + event.user * 17 + at as u32 % 5 * 53) % shop::ITEMS;
        event.item = if is_purchase { habit } else { (event.item * 7 + at as u32 * 13) % shop::ITEMS };
    }
    dataset
}

/// The shop's configuration without what this file is about.
fn plain() -> Config {
    let mut config = shop::config();
    config.model.history_types = false;
    config.model.history_ages = false;
    config.model.repeats = false;
    config.model.user_vector = None;
    config.model.history = 24;
    config.train.event_weights = [("purchase".to_owned(), 1.0), ("view".to_owned(), 0.0)].into();
    config
}

#[test]
fn shoppers_find_what_they_buy_again_and_again() {
    let dataset = habits();
    let without = recall(&dataset, &plain());
    let mut config = plain();
    config.model.repeats = true;
    config.model.history_types = true;
    let with = recall(&dataset, &config);
    assert!(with > without + 0.03, "seed {SEED}: R@20 {with:.3} with, {without:.3} without types and repeats");
}

#[test]
fn an_encoder_reads_types_and_gaps_and_is_the_same_again() {
    let mut config = plain();
    config.model.encoder = EncoderConfig::Gru { hidden: 8 };
    config.model.history_types = true;
    config.model.history_ages = true;
    config.model.prior = None;
    config.train.examples = Examples::Sequences;
    config.train.loss = Loss::Full;
    config.train.optimizer = Optimizer::Adam;
    config.train.steps = 8;
    let dataset = &trained().dataset;
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train_into(dataset, &config, TempDir::new().unwrap().path())).towers
    };
    let both = on(1);
    assert_eq!(both, on(2), "on one thread and on two");
    let mut silent = config.clone();
    silent.model.history_ages = false;
    assert_ne!(both, train_into(dataset, &silent, TempDir::new().unwrap().path()).towers);
}

#[test]
fn a_training_with_hard_negatives_goes_on_where_it_stopped() {
    let mut config = shop::config();
    config.train.hard_negatives = 2;
    // So many steps between a checkpoint and the end that whoever watches the file sees it.
    config.train.mine_every = 160;
    config.train.checkpoint_every = 200;
    config.train.steps = 319;
    let (dataset, whole, cut) = (&trained().dataset, TempDir::new().unwrap(), TempDir::new().unwrap());
    let expected = train_into(dataset, &config, whole.path()).towers;
    let mut without = config.clone();
    without.train.hard_negatives = 0;
    assert_ne!(expected, train_into(dataset, &without, TempDir::new().unwrap().path()).towers);
    // The state after step 200 and the index of step 160, as an interruption leaves them.
    interrupted(dataset, &config, cut.path(), 200);
    assert_eq!(train_into(dataset, &config, cut.path()).towers, expected);
}

/// Trains until the checkpoint of a step is on disk, and forgets what came after it.
fn interrupted(dataset: &Dataset, config: &Config, run: &std::path::Path, step: usize) {
    let stop = AtomicBool::new(false);
    let checkpoint = run.join(files::CHECKPOINT);
    let kept = std::thread::scope(|scope| {
        let training = scope.spawn(|| train(dataset, config, run, &stop).unwrap());
        let name = format!("\"step\":\"{step}\"");
        let is_there = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).contains(&name);
        let kept = loop {
            if let Some(bytes) = std::fs::read(&checkpoint).ok().filter(|bytes| is_there(bytes)) {
                break bytes;
            }
            assert!(!training.is_finished(), "the checkpoint of step {step} was missed");
            std::thread::yield_now();
        };
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        training.join().unwrap();
        kept
    });
    std::fs::write(checkpoint, kept).unwrap();
}

#[test]
fn a_training_ends_when_it_no_longer_gets_better_and_keeps_its_best_state() {
    let mut config = shop::config();
    config.train.steps = 4000;
    config.train.early_stopping = Some(EarlyStopping { every: 10, patience: 3, days: 16.0, users: 100 });
    let (dataset, folder) = (&trained().dataset, TempDir::new().unwrap());
    let report = train_into(dataset, &config, folder.path());
    let best = report.best_step.unwrap();
    assert_eq!(report.steps, best + 30, "seed {SEED}: {:?}", report.validations);
    assert!(report.steps < config.train.steps);
    let value = |step| report.validations.iter().find(|(at, _)| *at == step).unwrap().1;
    assert!(report.validations.iter().all(|(step, recall)| *recall < value(best) || *step >= best));
    // Another call finds a training that has ended.
    let again = train_into(dataset, &config, folder.path());
    assert_eq!((again.towers, again.examples), (report.towers, 0));
    assert!(report.stopped_early && again.stopped_early);
}

#[test]
fn steps_without_a_target_are_steps_all_the_same() {
    let mut dataset = trained().dataset.clone();
    // One purchase in fifty, so that some steps have none.
    dataset.events.iter_mut().enumerate().for_each(|(at, event)| event.event_type = u16::from(at % 50 != 0));
    let mut config = plain();
    config.model.encoder = EncoderConfig::Gru { hidden: 8 };
    config.train.examples = Examples::Sequences;
    config.train.queries = 64;
    let folder = TempDir::new().unwrap();
    let report = train_into(&dataset, &config, folder.path());
    assert!(report.steps == config.train.steps && (report.examples as usize) < report.steps * 8, "{report:?}");
    // Nothing but views: there is nothing to learn from.
    dataset.events.iter_mut().for_each(|event| event.event_type = 1);
    let (folder, stop) = (TempDir::new().unwrap(), AtomicBool::new(false));
    let error = train(&dataset, &config, folder.path(), &stop).unwrap_err().to_string();
    assert!(error.contains("training events"), "{error}");
}

#[test]
fn weights_for_types_that_no_event_has_are_refused() {
    let mut config = shop::config();
    config.train.event_weights = [("veiw".to_owned(), 0.5)].into();
    let folder = TempDir::new().unwrap();
    let error = train(&trained().dataset, &config, folder.path(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("\"veiw\"") && error.contains("purchase, view"), "{error}");
}

#[test]
fn a_long_term_vector_changes_what_is_asked() {
    let trained = trained();
    let towers = Towers::read(&shop::config(), &trained.run()).unwrap();
    let of = |user: u32| {
        let events: &[Event] = trained.dataset.training_events(user);
        towers.user_vector(events.iter().map(|event| trained.dataset.items[event.item as usize].id.as_str())).unwrap()
    };
    let product = |a: u32, b: u32| of(a).iter().zip(of(b)).map(|(a, b)| a * b).sum::<f32>();
    // Users 0 and 4 are of one kind.
    assert!(product(0, 4) > product(0, 1), "{} {}", product(0, 4), product(0, 1));
    assert_eq!(towers.user_vector(["unknown"].into_iter()).unwrap(), [0.0; 8]);
}
