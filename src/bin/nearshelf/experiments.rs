//! The commands of experiments: their report, and their simulation.

use std::path::PathBuf;

use clap::Args;
use nearshelf::evaluate::BaselineParams;
use nearshelf::experiments::off_policy::Target;
use nearshelf::experiments::{self, Log};
use nearshelf::factors::{Als, Interactions};
use nearshelf::release::{self, Release};
use nearshelf::simulate::FunnelParams;
use nearshelf::simulate::ab::{AbParams, Arm, Batch, OfRelease, SYNTHETIC, ab, files, write};

use crate::{Outcome, Place, named, printed};
use std::io::Write;

#[derive(Args)]
pub(crate) struct ReportOptions {
    /// Events as the package posts them: a post or an event per line of JSON
    #[arg(required = true, value_name = "FILE")]
    events: Vec<PathBuf>,
    /// Which experiment, where the events are of several
    #[arg(long)]
    experiment: Option<String>,
    /// The variant that the others are compared with; without it, the first by name
    #[arg(long, value_name = "VARIANT")]
    control: Option<String>,
    /// Shares of the visitors, `control=1,new=1`, for the check of the sample ratio; without it, equal ones
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = share)]
    shares: Vec<(String, f64)>,
    /// A policy to estimate in place of the logging one without exploration: CSV with `item`, `probability` and perhaps `recommendationId`
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// Also write the report as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Also write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the rates as SVG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

fn share(text: &str) -> Result<(String, f64), String> {
    let wrong = || format!("found {text}, expected a variant and a number, as control=0.5");
    let (name, share) = text.rsplit_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), share.parse().map_err(|_| wrong())?))
}

impl ReportOptions {
    pub(crate) fn run(&self) -> Outcome {
        let log = Log::read(&self.events)?;
        let asked = experiments::Asked {
            experiment: self.experiment.clone(),
            control: self.control.clone(),
            shares: self.shares.clone(),
            target: self.target.as_deref().map(Target::read).transpose()?,
        };
        let report = experiments::report(&log, &asked)?;
        printed(writeln!(std::io::stdout(), "{report}"));
        if let Some(path) = &self.markdown {
            crate::write(path, report.to_markdown().as_bytes())?;
        }
        if let Some(path) = &self.json {
            crate::write(path, report.to_json().as_bytes())?;
        }
        self.chart.as_ref().map_or(Ok(()), |path| crate::write(path, report.to_svg()?.as_bytes()))
    }
}

#[derive(Args)]
pub(crate) struct AbOptions {
    /// Folder of the release that is tested
    #[arg(long, value_name = "DIR")]
    release: PathBuf,
    /// The rules that its rows go by; without it, those of the scenario `default`
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Folder of the release that it is compared with, in place of a baseline
    #[arg(long, value_name = "DIR", conflicts_with = "baseline")]
    against: Option<PathBuf>,
    /// The rules of that one
    #[arg(long, value_name = "NAME", requires = "against")]
    against_scenario: Option<String>,
    /// What it is compared with: matrix factorisation computed in a batch, as `evaluate` tunes it
    #[arg(long, value_parser = ["als"], default_value = "als")]
    baseline: String,
    /// How many shoppers, each modelled on a user of its own
    #[arg(long)]
    shoppers: usize,
    /// Visits of each of them, a row each
    #[arg(long, default_value_t = 10)]
    visits: usize,
    /// The share of the items that is out of stock
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    out_of_stock: f64,
    /// Every random choice follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the events and the report
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl AbOptions {
    pub(crate) fn run(&self, place: &Place) -> Outcome {
        let dataset = place.dataset(&place.config()?)?;
        let open = |folder: &PathBuf| -> Result<Release, String> {
            let release = release::open(folder).map_err(|error| named(folder, &error))?;
            release.manifest().check_segment(None).map_err(|error| named(folder, &error))?;
            Ok(release)
        };
        let tested = OfRelease::new(&dataset, open(&self.release)?, self.scenario.clone());
        let funnel = FunnelParams { slates: self.visits, ..FunnelParams::new(self.seed, self.shoppers) };
        let params = AbParams { funnel, out_of_stock: self.out_of_stock };
        let scorer;
        let (other, name): (Box<dyn Arm>, String) = if let Some(folder) = &self.against {
            let other = OfRelease::new(&dataset, open(folder)?, self.against_scenario.clone());
            (Box::new(other), folder.display().to_string())
        } else {
            let knobs = BaselineParams::read(&place.baselines())?.als;
            scorer = Als::fit(&Interactions::of_training(&dataset), &knobs);
            (Box::new(Batch::new(&dataset, &scorer)), self.baseline.clone())
        };
        let events = ab(&dataset, &params, [&*other, &tested])?;
        let report = write(&params, [&name, &self.release.display().to_string()], &events, &self.out)?;
        let where_to = self.out.join(files::EVENTS);
        printed(writeln!(std::io::stdout(), "{SYNTHETIC}\n\n{report}\n\nevents: {}", where_to.display()));
        Ok(())
    }
}
