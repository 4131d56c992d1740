//! The command line of the origin: one command per step of the data path.

use std::ffi::OsStr;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};
use nearshelf::Digest;
use nearshelf::data::{Config, Dataset, Task, prepare, write_vectors};
use nearshelf::evaluate::{
    BaselineParams, EvaluateError, Protocol, Ranked, Report, Scorer, Shipped, TwoTower, baselines, evaluate,
    tune_baselines, validation_split,
};
use nearshelf::index::{FineBits, Truth, build, choose_search};
use nearshelf::lists::lists;
use nearshelf::platform::files::write_atomically;
use nearshelf::rank::train::TrainedRanker;
use nearshelf::release::{self, BuildInput, Refreshed};
use nearshelf::simulate::{self, FunnelParams, funnel};
use nearshelf::towers::candidate::Towers;
use nearshelf::towers::train::train;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Prints a line. Whoever reads may leave when they have seen enough (`nearshelf inspect FILE | head`).
macro_rules! say {
    ($($text:tt)*) => { printed(writeln!(std::io::stdout(), $($text)*)) };
}

/// [`say!`] without a new line.
macro_rules! say_on {
    ($($text:tt)*) => { printed(write!(std::io::stdout(), $($text)*)) };
}

#[path = "nearshelf/experiments.rs"]
mod experiments;
#[path = "nearshelf/keys.rs"]
mod keys;
#[path = "nearshelf/overlay.rs"]
mod overlay;
#[path = "nearshelf/publish.rs"]
mod publish;
#[path = "nearshelf/ranker.rs"]
mod ranker;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Product recommendations computed where the shopper is: train two towers on a shop's events, and publish an index that
/// browsers and workers search themselves.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Place {
    /// What the shop's data look like and how the towers are trained
    #[arg(long, global = true, value_name = "FILE", default_value = "nearshelf.toml")]
    config: PathBuf,
    /// Folder of prepared data, trained towers and reports
    #[arg(long, global = true, value_name = "DIR", default_value = "work")]
    work: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Read and check events and catalogue, and write them as typed Parquet
    Prepare,
    /// Train both towers, or with --ranker what orders their candidates; Ctrl-C keeps what is trained, and the next call goes on from there
    Train {
        /// Train so many steps instead of the configured ones; another number than before starts anew
        #[arg(long)]
        steps: Option<NonZeroUsize>,
        /// Another seed than the configured one
        #[arg(long)]
        seed: Option<u64>,
        #[command(flatten)]
        ranker: ranker::RankerOptions,
    },
    /// Invent data over a real catalogue, with a known truth
    Simulate {
        #[command(subcommand)]
        what: Simulation,
    },
    /// Compare the variants of an experiment by the events that the npm package posts
    Report(experiments::ReportOptions),
    /// Compare the towers with popularity, own counts, item neighbours, matrix factorisation, a linear model and sequential rules
    Evaluate(Evaluation),
    /// Choose the baselines' knobs on what is before the test, and write them beside the configuration
    Tune,
    /// Compute the long-term vectors of all users from all of their events, for a cache that clients ask
    UserVectors {
        /// Parquet with the columns `user` and `embedding`; without it, `user_vectors.parquet` in the work folder
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Embed and index the catalogue, and write a release
    Build {
        /// Folder of the release; without it, `release` in the work folder
        #[arg(long, value_name = "DIR")]
        release: Option<PathBuf>,
        /// Keep what did not change since the release that is there, so that clients fetch little
        #[arg(long)]
        update: bool,
    },
    /// Publish what is out of stock right now, and prices, beside a release
    Overlay(overlay::OverlayOptions),
    /// Make and change the keys that sign what is published
    Keys(keys::KeysOptions),
    /// Say what a file of a release is, and what it holds
    Inspect {
        /// A head, manifest, shard, query tower or cards file
        file: PathBuf,
    },
    /// Check every file of a release
    Verify(publish::VerifyOptions),
    /// Put a release where clients fetch it from, signed
    Publish(publish::PublishOptions),
    /// Check that a host serves a release as clients need it
    CheckHost(publish::HostOptions),
    /// Publish again what an earlier version was
    Rollback(publish::RollbackOptions),
    /// Measure the index against exact search
    Bench {
        /// What to measure
        #[arg(value_parser = ["index"])]
        name: String,
        /// Write the rows as JSON, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Also write all embeddings of candidates and of users, for benches of other programs
        #[arg(long, value_name = "DIR")]
        dump: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Simulation {
    /// Impressions, clicks, carts and purchases of shoppers who are modelled on real users: synthetic
    Funnel {
        /// Prepared data; without it, those of the work folder
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Every random choice follows from it
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many, each modelled on a user of its own
        #[arg(long)]
        shoppers: usize,
        /// Folder of the impressions, their truth, and events that `prepare` reads
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// A test of a release against another one or a baseline, with such shoppers: synthetic
    Ab(experiments::AbOptions),
}

#[derive(Args)]
struct Evaluation {
    /// How events are held out; without it, as the configuration says. It has to agree with that
    #[arg(long, value_parser = ["time", "leave-one-out"])]
    protocol: Option<String>,
    /// Judge on what is before the test: the four weeks before it, or the last item but one. By time, train with an earlier split:
    /// towers that were trained for the test have seen those weeks
    #[arg(long)]
    validation: bool,
    /// Also recommend from the shards of the release in this folder, as clients do, and say what that loses
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
    /// Of the release, also judge rows of 20 by the rules of this scenario; may be given several times
    #[arg(long, value_name = "NAME", requires = "release")]
    scenario: Vec<String>,
    /// Leave the towers out, which need not have been trained then
    #[arg(long, conflicts_with = "release")]
    baselines_only: bool,
    /// Leave the baselines out, which can take minutes
    #[arg(long, conflicts_with = "baselines_only")]
    towers_only: bool,
}

impl Place {
    fn config(&self) -> Result<Config, Box<dyn std::error::Error>> {
        Ok(Config::read(&self.config)?)
    }

    fn prepared(&self) -> PathBuf {
        self.work.join("prepared")
    }

    fn run(&self) -> PathBuf {
        self.work.join("run")
    }

    fn dataset(&self, config: &Config) -> Result<Dataset, Box<dyn std::error::Error>> {
        Ok(Dataset::read(&self.prepared(), config)?)
    }

    /// The baselines' knobs lie beside the configuration.
    fn baselines(&self) -> PathBuf {
        self.config.with_file_name("baselines.toml")
    }
}

fn printed(result: std::io::Result<()>) {
    if let Err(error) = result
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("error: the output could not be written: {error}");
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { place, command }: &Cli) -> Outcome {
    match command {
        Command::Prepare => {
            say!("{}", prepare(&place.config()?, &place.prepared())?);
            Ok(())
        }
        Command::Train { steps, seed, ranker } if ranker.ranker => ranker::run(place, *steps, *seed, ranker),
        Command::Train { steps, seed, .. } => run_train(place, *steps, *seed),
        Command::Simulate { what: Simulation::Funnel { data, seed, shoppers, out } } => {
            run_simulate(place, data.as_deref(), &FunnelParams::new(*seed, *shoppers), out)
        }
        Command::Simulate { what: Simulation::Ab(options) } => options.run(place),
        Command::Report(options) => options.run(),
        Command::Evaluate(evaluation) => run_evaluate(place, evaluation),
        Command::Tune => {
            let params = tune_baselines(&place.dataset(&place.config()?)?)?;
            let text = toml::to_string(&params)?;
            say!("{text}");
            write(&place.baselines(), text.as_bytes())
        }
        Command::UserVectors { out } => run_user_vectors(place, out.as_deref()),
        Command::Build { release, update } => run_build(place, release.as_deref(), *update),
        Command::Overlay(options) => overlay::run(place, options),
        Command::Keys(options) => keys::run(options),
        Command::Inspect { file } => run_inspect(file),
        Command::Verify(options) => publish::run_verify(options),
        Command::Publish(options) => publish::run(place, options),
        Command::CheckHost(options) => publish::run_check_host(options),
        Command::Rollback(options) => publish::run_rollback(options),
        Command::Bench { json, dump, .. } => run_bench(place, json.as_deref(), dump.as_deref()),
    }
}

/// Prints what can be read of a file; an object whose name is not its digest is damaged all the same.
fn run_inspect(file: &Path) -> Outcome {
    let bytes = std::fs::read(file).map_err(|error| named(file, &error))?;
    let (name, found) = (file.file_name().and_then(OsStr::to_str), Digest::of(&bytes));
    let is_other = name.and_then(|name| name.parse::<Digest>().ok()).is_some_and(|expected| expected != found);
    let damage = is_other.then(|| format!("damaged: its digest is {found}, not its name; build the release again"));
    match (release::inspect(&bytes), damage) {
        (Ok(text), damage) => {
            say_on!("{text}");
            damage.map_or(Ok(()), |damage| Err(named(file, &damage).into()))
        }
        (Err(error), None) => Err(named(file, &error).into()),
        (Err(error), Some(damage)) => Err(named(file, &format!("{error}; {damage}")).into()),
    }
}

fn run_train(place: &Place, steps: Option<NonZeroUsize>, seed: Option<u64>) -> Outcome {
    let mut config = place.config()?;
    if let Some(given) = &config.towers {
        return Err(format!(
            "{}: [towers] names {}, which is not trained here; build it, or leave [towers] out to train towers",
            place.config.display(),
            given.query.display()
        )
        .into());
    }
    config.train.steps = steps.map_or(config.train.steps, NonZeroUsize::get);
    config.train.seed = seed.unwrap_or(config.train.seed);
    let dataset = place.dataset(&config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let report = train(&dataset, &config, &place.run(), &stop)?;
    let has_ended = report.steps == report.of || report.stopped_early;
    if report.examples == 0 && has_ended {
        say!("trained before: {} of {} steps, towers {}", report.steps, report.of, report.towers);
        return Ok(());
    }
    say!(
        "trained {} of {} steps in {:.0} s: loss {:.3}, peak memory {} MiB, towers {}",
        report.steps,
        report.of,
        report.seconds,
        report.loss,
        report.peak_memory_mib.map_or("unknown".to_owned(), |mib| mib.to_string()),
        report.towers
    );
    if let (Some(step), Some(stop)) = (report.best_step, &config.train.early_stopping) {
        say!(
            "the towers are those of step {step}, the best on the validation, and have not seen its {} days",
            stop.days
        );
        say!("to publish, train once more without [train.early_stopping] and with steps = {step}");
    }
    if !has_ended {
        return Err(format!(
            "stopped after {} of {} steps, which are kept; train again to go on",
            report.steps, report.of
        )
        .into());
    }
    say!("loss curve: {}", place.run().join(nearshelf::towers::train::files::CURVE).display());
    Ok(())
}

fn run_simulate(place: &Place, data: Option<&Path>, params: &FunnelParams, out: &Path) -> Outcome {
    let folder = data.map_or_else(|| place.prepared(), Path::to_owned);
    let dataset = Dataset::read(&folder, &place.config()?)?;
    let found = funnel(&dataset, params)?;
    simulate::write(&dataset, params, &found, out)?;
    let count = |task: Task| format!("{} {}s", found.count(task), task.name());
    let counts = Task::ALL.map(count).join(", ");
    say!("{}: {} impressions, {counts}: {}", simulate::SYNTHETIC, found.impressions.len(), out.display());
    Ok(())
}

fn run_build(place: &Place, folder: Option<&Path>, update: bool) -> Outcome {
    let config = place.config()?;
    let folder = folder.map_or_else(|| place.work.join("release"), Path::to_owned);
    let dataset = place.dataset(&config)?;
    let towers = Towers::of(&config, &place.run())?;
    let queries = TwoTower::new(&dataset, &towers)?.queries()?;
    let lists = lists(&dataset, config.events.columns.basket.is_some(), &config.lists);
    let ranker = TrainedRanker::read(&place.run(), &config.ranker, towers.query.towers())?;
    let ranker = ranker.map(|ranker| ranker.input(&dataset));
    let input = BuildInput { items: &dataset.items, queries: &queries, lists: &lists, ranker: ranker.as_ref() };
    let report = if update {
        match release::refresh(&input, &towers, &config, &folder)? {
            Refreshed::Updated(report) => {
                say_on!("{report}");
                return Ok(());
            }
            Refreshed::Anew { why, report } => {
                say!("built anew: {why}");
                *report
            }
        }
    } else {
        release::build(&input, &towers, &config, &folder)?
    };
    say!("{report}");
    let Some(plan) = &report.plan else { return Ok(()) };
    let picture = place.work.join("index.svg");
    say!("recall against bytes: {}", picture.display());
    write(&picture, plan.to_svg()?.as_bytes())
}

fn run_user_vectors(place: &Place, out: Option<&Path>) -> Outcome {
    let config = place.config()?;
    let (dataset, towers) = (place.dataset(&config)?, Towers::of(&config, &place.run())?);
    let Some(long_term) = &towers.long_term else {
        let config = place.config.display();
        return Err(format!("{config}: no [model.user_vector], so the query tower reads none; add it and train").into());
    };
    let ids = dataset.users.iter().map(|user| user.id.as_str());
    let of = |user: u32| {
        let events = dataset.events_of(user).iter();
        towers.user_vector(events.map(|event| dataset.items[event.item as usize].id.as_str())).unwrap_or_default()
    };
    let vectors: Vec<f32> = (0..dataset.users.len() as u32).into_par_iter().flat_map(of).collect();
    let path = out.map_or_else(|| place.work.join("user_vectors.parquet"), Path::to_owned);
    write_vectors(&path, ("user", ids), &vectors, long_term.len())?;
    say!("{} vectors of {} numbers: {}", dataset.users.len(), long_term.len(), path.display());
    Ok(())
}

fn run_evaluate(place: &Place, evaluation: &Evaluation) -> Outcome {
    let config = place.config()?;
    let mut dataset = place.dataset(&config)?;
    let found = Protocol::of(&dataset);
    let asked = match evaluation.protocol.as_deref() {
        Some("time") => Protocol::Time,
        Some(_) => Protocol::LeaveOneOut,
        None => found,
    };
    if asked != found {
        return Err(EvaluateError::Protocol { asked, found }.into());
    }
    if evaluation.validation {
        dataset = validation_split(&dataset);
    }
    let params = BaselineParams::read(&place.baselines())?;
    let trained = (!evaluation.baselines_only).then(|| Towers::of(&config, &place.run())).transpose()?;
    let towers = trained.as_ref().map(|trained| TwoTower::new(&dataset, trained)).transpose()?;
    let ranked =
        towers.as_ref().map(|towers| Ranked::of(&dataset, towers, &config, &place.run())).transpose()?.flatten();
    let released = trained.as_ref().zip(evaluation.release.as_deref());
    let mut shipped = Vec::new();
    if let Some((trained, folder)) = released {
        let open = || Shipped::open(&dataset, trained, folder);
        shipped.push(open()?);
        for scenario in &evaluation.scenario {
            shipped.push(open()?.in_scenario(scenario));
        }
    }
    let baselines = if evaluation.towers_only { Vec::new() } else { baselines(&dataset, &params) };
    let ranked = ranked.iter().map(|ranked| ranked as &dyn Scorer);
    let towers = towers.iter().map(|towers| towers as &dyn Scorer).chain(ranked);
    let shipped = shipped.iter().map(|shipped| shipped as &dyn Scorer);
    let scorers: Vec<&dyn Scorer> = baselines.iter().map(AsRef::as_ref).chain(towers).chain(shipped).collect();
    let report = evaluate(&dataset, &scorers)?;
    say!("{report}{}", losses(&report));
    let name = if evaluation.validation { "validation" } else { "evaluation" };
    write(&place.work.join(format!("{name}.md")), (report.to_markdown() + &losses(&report)).as_bytes())?;
    write(&place.work.join(format!("{name}.json")), report.to_json().as_bytes())
}

/// What a release loses against exact search, a line per mode; nothing without a release.
fn losses(report: &Report) -> String {
    let name = report.protocol.figures()[report.protocol.main_figure()];
    let lines = report.protocol.main_modes().iter().filter_map(|&mode| {
        let value = |scorer| report.row(scorer, mode).map(|row| row.value(name));
        // A run with a ranker makes releases with it.
        let (exact, shipped) = (value(Ranked::NAME).or(value(TwoTower::NAME))?, value(Shipped::NAME)?);
        let loss = if exact > 0.0 { 100.0 * (1.0 - shipped / exact) } else { 0.0 };
        Some(format!(
            "\n{}: {name} is {exact:.4} by exact search and {shipped:.4} as shipped, a relative loss of {loss:.2} %.\n",
            mode.label()
        ))
    });
    lines.collect()
}

fn run_bench(place: &Place, json: Option<&Path>, dump: Option<&Path>) -> Outcome {
    let config = place.config()?;
    let dataset = place.dataset(&config)?;
    let towers = TwoTower::new(&dataset, &Towers::of(&config, &place.run())?)?;
    let (embeddings, dim) = (towers.embeddings(), towers.dim());
    let queries = towers.queries()?;
    if let Some(folder) = dump {
        write_dump(folder, embeddings, &queries, dim)?;
    }
    let fine_bits =
        config.index.bits.and_then(|bits| FineBits::from_bits(bits.saturating_sub(4))).unwrap_or(FineBits::Four);
    let built = build(embeddings, &queries, dim, &release::build_params(&config, dataset.items.len(), fine_bits))?;
    let truth = Truth::of(embeddings, &release::sample(&queries, dim), dim)?;
    let (params, report) = choose_search(&built, &truth)?;
    say!("{report}");
    let codes = report.codes.at_100;
    let found = report.points.last().map_or(codes, |point| point.recall.at_100);
    let row = |name: &str, value: f64, bar: f64| {
        serde_json::json!({
            "name": name, "value": value, "unit": "recall@100", "peer": "exact search", "peer_value": 1.0,
            "ratio": value, "bar": format!(">= {bar}"), "holds": value >= bar,
        })
    };
    let search_name = format!("search of {} of {} cells against single precision", params.probes, report.cells);
    let codes_name = format!("codes of {} bits against single precision", report.bits);
    let rows = [row(&search_name, found, 0.98), row(&codes_name, codes, 0.97)];
    match json {
        Some(file) => write(file, serde_json::to_string_pretty(&rows)?.as_bytes()),
        None => Ok(()),
    }
}

/// Writes vectors as they lie in memory, little-endian and row-major, and how many there are.
fn write_dump(folder: &Path, embeddings: &[f32], queries: &[f32], dim: usize) -> Outcome {
    std::fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    let bytes = |vectors: &[f32]| vectors.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    write(&folder.join("embeddings.f32"), &bytes(embeddings))?;
    write(&folder.join("queries.f32"), &bytes(queries))?;
    let shape = serde_json::json!({ "rows": embeddings.len() / dim, "queries": queries.len() / dim, "dim": dim });
    write(&folder.join("dump.json"), serde_json::to_string_pretty(&shape)?.as_bytes())
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    Ok(write_atomically(path, bytes).map_err(|error| format!("{}: {error}; check the folder", path.display()))?)
}
