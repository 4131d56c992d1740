//! Variants compared: rates with intervals, differences, and whether visitors were split as they should be.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::log::Row;
use super::off_policy::{OffPolicy, Target, off_policy};
use super::{ExperimentsError, Log};
use crate::evaluate::{Estimate, chi_squared};

/// Below it, a split is taken to be broken: an experiment meets it by chance once in a thousand times (Fabijan et al. 2019 warn from there on, too).
pub(super) const SUSPECT: f64 = 0.001;

/// What the rows outside of experiments are called.
const ALL: &str = "all";

/// What is reported.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The experiment, where the events are of several.
    pub experiment: Option<String>,
    /// The variant that the others are compared with; the first by name unless told.
    pub control: Option<String>,
    /// Shares of the visitors by variant, of any sum; equal unless told.
    pub shares: Vec<(String, f64)>,
    /// The policy whose value is estimated; the logging one without exploration unless told.
    pub target: Option<Target>,
}

/// What one variant did.
#[derive(Debug, Clone, Serialize)]
pub struct VariantReport {
    /// Its name.
    pub name: String,
    /// Who saw something of a row.
    pub visitors: usize,
    /// Rows of which something was seen.
    pub rows: usize,
    /// Products in rows that were seen.
    pub impressions: usize,
    /// Of the impressions, those that each of [`ACTIONS`](super::ACTIONS) followed.
    pub counts: [usize; 3],
    /// The same per impression: click rate, add-to-cart rate and conversion.
    pub rates: [Estimate; 3],
    /// Against the control; none of the control itself.
    pub against: Option<[Compared; 3]>,
    /// What the target policy would have got, where rows have propensities.
    pub off_policy: Option<OffPolicy>,
}

/// A rate less that of the control.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Compared {
    /// The difference.
    pub difference: Estimate,
    /// Its interval.
    pub interval: (f64, f64),
    /// How probable one at least so large is where there is none.
    pub p_value: f64,
    /// As a share of the control's rate.
    pub lift: f64,
    /// Its interval.
    pub lift_interval: (f64, f64),
}

/// Whether visitors are split as they should be: where they are not, something that depends on the variant decides who is counted.
#[derive(Debug, Clone, Serialize)]
pub struct RatioCheck {
    /// The shares that were expected, in the order of the variants.
    pub expected: Vec<f64>,
    /// Pearson's statistic.
    pub chi_squared: f64,
    /// How probable it is where the shares hold.
    pub p_value: f64,
    /// Whether that is below 1 in 1,000.
    pub is_suspect: bool,
}

/// All variants.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The experiment; none for events without one.
    pub experiment: Option<String>,
    /// The control, then the others by name.
    pub variants: Vec<VariantReport>,
    /// Where there are several.
    pub ratio_check: Option<RatioCheck>,
    /// Visitors with rows of several variants.
    pub in_several: usize,
    /// Rows of no experiment, or of another one.
    pub other_rows: usize,
    /// Events that were read.
    pub events: usize,
    /// Actions of no impression.
    pub unattributed: usize,
    /// Rows whose visitor is not known: each counts as a visitor's.
    pub unknown_visitors: usize,
    /// What is no event.
    pub left_out: usize,
    /// The first of it.
    pub first_left_out: Option<String>,
}

/// Reports on the events of one experiment, or on all where they are of none.
///
/// # Errors
/// [`ExperimentsError::Empty`], [`ExperimentsError::Several`], [`ExperimentsError::Asked`].
pub fn report(log: &Log, asked: &Asked) -> Result<Report, ExperimentsError> {
    if log.rows.is_empty() {
        return Err(ExperimentsError::Empty { events: log.events, first: log.first_left_out.clone() });
    }
    let chosen = chosen(log, asked)?;
    let mut variants: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &log.rows {
        match (&row.variant, chosen) {
            (Some((at, variant)), Some(chosen)) if *at == chosen => variants.entry(variant).or_default().push(row),
            (_, None) => variants.entry(ALL).or_default().push(row),
            _ => {}
        }
    }
    let names: Vec<&str> = variants.keys().copied().collect();
    let control = match asked.control.as_deref() {
        Some(control) => named(&names, "control", control)?,
        None => 0,
    };
    let target = asked.target.clone().unwrap_or(Target::Greedy);
    let mut found: Vec<VariantReport> = variants.iter().map(|(name, rows)| variant(log, name, rows, &target)).collect();
    let first = found.remove(control);
    for other in &mut found {
        other.against = Some(std::array::from_fn(|at| compared(first.rates[at], other.rates[at])));
    }
    found.insert(0, first);
    let ratio_check = if found.len() > 1 { Some(ratio_check(&found, &names, &asked.shares)?) } else { None };
    let rows: usize = variants.values().map(Vec::len).sum();
    let visitors: HashSet<usize> = variants.values().flatten().map(|row| row.visitor).collect();
    Ok(Report {
        experiment: chosen.map(|at| log.experiments[at].clone()),
        in_several: found.iter().map(|variant| variant.visitors).sum::<usize>() - visitors.len(),
        variants: found,
        ratio_check,
        other_rows: log.rows.len() - rows,
        events: log.events,
        unattributed: log.unattributed,
        unknown_visitors: log.unknown_visitors,
        left_out: log.left_out,
        first_left_out: log.first_left_out.clone(),
    })
}

/// The experiment's place among those of the log.
fn chosen(log: &Log, asked: &Asked) -> Result<Option<usize>, ExperimentsError> {
    let names: Vec<&str> = log.experiments.iter().map(String::as_str).collect();
    match (&asked.experiment, names.len()) {
        (Some(name), _) => named(&names, "experiment", name).map(Some),
        (None, 0) => Ok(None),
        (None, 1) => Ok(Some(0)),
        (None, _) => Err(ExperimentsError::Several { found: log.experiments.clone() }),
    }
}

fn named(names: &[&str], what: &'static str, name: &str) -> Result<usize, ExperimentsError> {
    let wrong =
        || ExperimentsError::Asked { what, found: name.to_owned(), expected: format!("one of {}", names.join(", ")) };
    names.iter().position(|known| *known == name).ok_or_else(wrong)
}

fn variant(log: &Log, name: &str, rows: &[&Row], target: &Target) -> VariantReport {
    let mut places: HashMap<usize, usize> = HashMap::new();
    // Impressions and actions of each visitor, in the order of the log.
    let mut sums: Vec<[f64; 4]> = Vec::new();
    for row in rows {
        let place = *places.entry(row.visitor).or_insert(sums.len());
        if place == sums.len() {
            sums.push([0.0; 4]);
        }
        for one in &row.impressions {
            sums[place][0] += 1.0;
            sums[place][1..].iter_mut().zip(one.did).for_each(|(sum, did)| *sum += f64::from(u8::from(did)));
        }
    }
    let total = |at: usize| sums.iter().map(|sums| sums[at]).sum::<f64>() as usize;
    VariantReport {
        name: name.to_owned(),
        visitors: sums.len(),
        rows: rows.len(),
        impressions: total(0),
        counts: std::array::from_fn(|at| total(at + 1)),
        rates: std::array::from_fn(|at| Estimate::ratio(sums.iter().map(|sums| (sums[at + 1], sums[0])))),
        against: None,
        off_policy: off_policy(log, rows.iter().copied(), target),
    }
}

fn compared(control: Estimate, other: Estimate) -> Compared {
    let difference = control.less_than(other);
    let (lift, lift_interval) = control.lift(other);
    Compared { difference, interval: difference.interval(), p_value: difference.p_value(), lift, lift_interval }
}

fn ratio_check(
    found: &[VariantReport],
    names: &[&str],
    shares: &[(String, f64)],
) -> Result<RatioCheck, ExperimentsError> {
    let wrong = |found: String, expected: String| ExperimentsError::Asked { what: "shares", found, expected };
    for (name, share) in shares {
        named(names, "shares", name)?;
        if !(*share > 0.0 && share.is_finite()) {
            return Err(wrong(format!("{name}={share}"), "numbers above 0".to_owned()));
        }
    }
    let of = |variant: &VariantReport| match shares.iter().find(|(name, _)| *name == variant.name) {
        Some((_, share)) => Ok(*share),
        None if shares.is_empty() => Ok(1.0),
        None => Err(wrong("some".to_owned(), format!("one of {}, too", variant.name))),
    };
    let expected = found.iter().map(of).collect::<Result<Vec<f64>, _>>()?;
    let sum: f64 = expected.iter().sum();
    let expected: Vec<f64> = expected.iter().map(|share| share / sum).collect();
    let counts: Vec<f64> = found.iter().map(|variant| variant.visitors as f64).collect();
    let (chi_squared, p_value) = chi_squared(&counts, &expected);
    Ok(RatioCheck { expected, chi_squared, p_value, is_suspect: p_value < SUSPECT })
}

#[cfg(test)]
mod tests;
