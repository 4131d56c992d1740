//! A test of two recommenders, invented end to end: shoppers are assigned, ask their arm for rows, click and buy, and what comes out is the events that
//! the npm package would have posted.
//!
//! Shoppers, their visits and what they do with a row are those of the [funnel](super): modelled on real users, with the true probabilities of the same
//! [`Weights`](super::Weights), which no recommender is told. What is new is
//! - stock: every item is out of stock for some spells of [`SPELL_DAYS`] days, and then clicked as ever and neither put into the cart nor bought;
//! - feedback: what a shopper buys is known to the shopper, and to an [`Arm`] that asks, at the next visit;
//! - assignment by [`Experiment`], as on a page. Which shoppers there are, when they come and what luck they have follows from the seed and is the same
//!   whatever the arms are.
//!
//! All of it is synthetic: it says which of two recommenders serves shoppers of this kind better, and nothing about a shop.

mod arms;
#[cfg(test)]
mod tests;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;
use std::path::Path;

pub use arms::{Arm, Asked, Batch, OfRelease, Shown};

use super::shoppers::Shopper;
use super::slates::Window;
use super::{FunnelParams, SimulateError, chosen};
use crate::data::Dataset;
use crate::experiments::{self, Event, Experiment, Log, Report, report};
use crate::features::hashing::hash64;
use crate::features::shelves::Shelves;
use crate::platform::files::write_atomically;

/// Days for which an item stays in or out of stock.
pub const SPELL_DAYS: i64 = 3;

/// Names of the two variants.
pub const VARIANTS: [&str; 2] = ["a-baseline", "b-release"];

/// File names in the folder of a simulation.
pub mod files {
    /// The events, as the package posts them.
    pub const EVENTS: &str = "events.jsonl";
    /// The comparison as Markdown.
    pub const REPORT: &str = "report.md";
    /// The same as JSON.
    pub const JSON: &str = "report.json";
    /// The same as a picture.
    pub const CHART: &str = "report.svg";
    /// The parameters.
    pub const PARAMS: &str = "simulation.json";
}

/// What is simulated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AbParams {
    /// Shoppers, visits and the truth.
    pub funnel: FunnelParams,
    /// The share of the items that is out of stock, 0 to less than 1.
    pub out_of_stock: f64,
}

impl AbParams {
    /// The experiment, whose name is its salt: another seed splits the shoppers otherwise.
    pub fn experiment(&self) -> Experiment {
        let variants = VARIANTS.map(|name| (name.to_owned(), 0.5)).into();
        Experiment { name: format!("simulated {}", self.funnel.seed), variants }
    }
}

/// Simulates the test: the events in order of time.
///
/// # Errors
/// [`SimulateError`] if there are fewer users than shoppers, too few items, or an arm does not answer.
pub fn ab(dataset: &Dataset, params: &AbParams, arms: [&dyn Arm; 2]) -> Result<Vec<Event>, SimulateError> {
    if !(0.0..1.0).contains(&params.out_of_stock) {
        return Err(SimulateError::OutOfStock { found: params.out_of_stock });
    }
    let users = chosen(dataset, &params.funnel)?;
    let shelves = Shelves::of(&dataset.items);
    let window = Window::of(dataset, &params.funnel)?;
    let experiment = params.experiment();
    let run = Run { dataset, params, window, shelves, experiment };
    let of_user = |&user: &u32| {
        // Shares sum to 1.
        let variant = run.experiment.variant_of(&dataset.users[user as usize].id).unwrap_or(1);
        run.shopper(user, variant, arms[variant])
    };
    let events: Vec<Vec<Event>> = users.par_iter().map(of_user).collect::<Result<_, SimulateError>>()?;
    let mut events: Vec<Event> = events.into_iter().flatten().collect();
    // Stable, so that what happens at the same moment stays in the order of users and slots.
    events.sort_by(|a, b| a.at.total_cmp(&b.at));
    Ok(events)
}

struct Run<'d> {
    dataset: &'d Dataset,
    params: &'d AbParams,
    window: Window<'d>,
    shelves: Shelves,
    experiment: Experiment,
}

impl Run<'_> {
    /// All visits of a shopper.
    fn shopper(&self, user: u32, variant: usize, arm: &dyn Arm) -> Result<Vec<Event>, SimulateError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.params.funnel.seed);
        rng.set_stream(1 + u64::from(user));
        let mut shopper = Shopper::of(self.dataset, &self.shelves, user, &mut rng);
        let (mut events, mut bought) = (Vec::new(), Vec::new());
        for (visit, time_ms) in self.window.times(&shopper, &mut rng).into_iter().enumerate() {
            let day = self.window.day(time_ms);
            // A visit's luck does not depend on what earlier ones showed.
            let mut luck = ChaCha8Rng::seed_from_u64(self.params.funnel.seed);
            luck.set_stream((u64::from(user) << 32) + visit as u64 + (1 << 63));
            let is_out = |item: u32| self.is_out(item, day);
            let (slots, seed) = (usize::from(self.params.funnel.slots), u64::from(luck.random::<u32>()));
            let asked = Asked { user, time_ms, bought: &bought, is_out: &is_out, slots, seed };
            let (row, before) = (arm.row(&asked)?, bought.len());
            for (shown, position) in row.into_iter().zip(0..) {
                let [click, cart, purchase] = self.window.steps(&shopper, shown.item, time_ms, position);
                let stocked = f64::from(u8::from(!is_out(shown.item)));
                let steps = [click, cart * stocked, purchase];
                // Three draws whatever happens: the luck of a slot is the same in both arms.
                let draws: [f64; 3] = luck.random();
                let reached = draws.iter().zip(steps).take_while(|(draw, step)| *draw < step).count();
                let kinds = ["impression", "click", "cart", "purchase"];
                for (kind, minutes) in kinds.iter().zip(0_i64..).take(1 + reached) {
                    let at = time_ms + 60_000 * minutes;
                    events.push(self.event(kind, at as f64, (user, visit, variant), (&shown, position), arm));
                }
                if reached == 3 {
                    bought.push((shown.item, time_ms + 60_000 * 3));
                }
            }
            bought[before..].iter().for_each(|(item, at)| shopper.buys(*item, *at));
        }
        Ok(events)
    }

    fn event(
        &self,
        kind: &str,
        at: f64,
        (user, visit, variant): (u32, usize, usize),
        (shown, position): (&Shown, u16),
        arm: &dyn Arm,
    ) -> Event {
        let visitor = &self.dataset.users[user as usize].id;
        Event {
            kind: kind.to_owned(),
            id: self.dataset.items[shown.item as usize].id.clone(),
            at,
            recommendation_id: Some(format!("{visitor}-{visit}")),
            slot: Some(u32::from(position) + 1),
            propensity: shown.propensity,
            instead_of: shown.instead_of.clone(),
            scenario: arm.scenario().map(str::to_owned),
            experiment: Some(self.experiment.name.clone()),
            variant: Some(VARIANTS[variant].to_owned()),
            visitor: Some(visitor.clone()),
        }
    }

    fn is_out(&self, item: u32, day: i64) -> bool {
        let key = format!("stock {} {item} {}", self.params.funnel.seed, day.div_euclid(SPELL_DAYS));
        ((hash64(&key) >> 11) as f64 / (1_u64 << 53) as f64) < self.params.out_of_stock
    }
}

/// Writes the [`files`] of a simulated test, and reports on the events as they were written.
///
/// # Errors
/// [`SimulateError::Io`], [`SimulateError::Experiments`].
pub fn write(params: &AbParams, arms: [&str; 2], events: &[Event], out: &Path) -> Result<Report, SimulateError> {
    let put = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        write_atomically(&path, bytes).map_err(|source| SimulateError::Io { path, source })
    };
    let mut lines = Vec::new();
    for event in events {
        let failed =
            |error: serde_json::Error| SimulateError::Io { path: out.join(files::EVENTS), source: error.into() };
        serde_json::to_writer(&mut lines, event).map_err(failed)?;
        lines.push(b'\n');
    }
    put(files::EVENTS, &lines)?;
    let found = report(&Log::read(&[out.join(files::EVENTS)])?, &experiments::Asked::default())?;
    put(files::REPORT, format!("{SYNTHETIC}\n\n{}", found.to_markdown()).as_bytes())?;
    put(files::JSON, found.to_json().as_bytes())?;
    put(files::CHART, found.to_svg()?.as_bytes())?;
    let about = serde_json::json!({ "origin": SYNTHETIC, "params": params, "arms": arms });
    put(files::PARAMS, &serde_json::to_vec_pretty(&about).unwrap_or_default())?;
    Ok(found)
}

/// Stands above what is printed and written.
pub const SYNTHETIC: &str =
    "SYNTHETIC: shoppers, clicks and purchases were invented by `nearshelf simulate ab`; nobody did any of it";
