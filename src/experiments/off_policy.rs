//! What another policy would have got, from what was logged under exploration.
//!
//! Each impression was in its row with a known probability, its propensity `p`. A target policy shows an item in a row with a
//! probability `pi`; the weight of an impression is `w = pi / p`, and `r` is 1 where the action followed. All figures are actions per item
//! that the target shows:
//!
//! - inverse propensity scoring (Horvitz and Thompson 1952): `sum(w r) / sum(pi)`, without bias, and wide where propensities are small;
//! - self-normalised (Swaminathan and Joachims 2015): `sum(w r) / sum(w)`, narrower, with a bias that goes with more data;
//! - doubly robust (Dudík, Langford and Li 2011): `sum(pi q + w (r - q)) / sum(pi)`, with `q` the item's rate among the other visitors, drawn to the
//!   rate of all as if [`PRIOR`] impressions more had had it. It has no bias whatever `q` is, and is the narrower the better `q` is.
//!
//! `sum(w) / sum(pi)` is the support: far from 1, the logging policy does not show what the target would, and no estimate holds. For [`Target::Greedy`]
//! every logged slot counts, by what it would have held without exploration. A target from elsewhere has a probability for items of whole rows: rows
//! must then be logged whole, and an item's chance of an action is taken not to depend on its slot.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::log::{ACTIONS, Impression, Row};
use super::{ExperimentsError, Log};
use crate::evaluate::Estimate;
use crate::features::hashing::bucket;

/// Impressions at the rate of all that an item's rate begins with.
pub const PRIOR: f64 = 20.0;

/// Parts of the visitors: rates for those of one are of the others.
const FOLDS: u32 = 5;

/// The policy whose value is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The logging policy without exploration.
    Greedy,
    /// Items with probabilities: of one row, or of all that are not named.
    Given {
        /// By row.
        rows: HashMap<String, Vec<(String, f64)>>,
        /// Of the other rows.
        others: Vec<(String, f64)>,
    },
}

/// Estimates of one action.
#[derive(Debug, Clone, Serialize)]
pub struct Value {
    /// One of [`ACTIONS`].
    pub action: &'static str,
    /// What the logging policy got per impression.
    pub logged: Estimate,
    /// Inverse propensity scoring.
    pub ips: Estimate,
    /// Self-normalised.
    pub snips: Estimate,
    /// Doubly robust.
    pub doubly_robust: Estimate,
}

/// What the target would have got.
#[derive(Debug, Clone, Serialize)]
pub struct OffPolicy {
    /// Rows with propensities.
    pub rows: usize,
    /// Impressions with propensities.
    pub impressions: usize,
    /// `sum(w)^2 / sum(w^2)`: so many equally weighted impressions tell as much.
    pub effective: f64,
    /// `sum(w) / sum(pi)`, near 1 where the estimates hold.
    pub support: f64,
    /// By action.
    pub values: Vec<Value>,
}

impl Target {
    /// Reads a CSV file with the columns `item`, `probability` and perhaps `recommendationId`.
    ///
    /// # Errors
    /// [`ExperimentsError::Target`] with the line.
    pub fn read(path: &Path) -> Result<Self, ExperimentsError> {
        let wrong =
            |line, found: String, expected| ExperimentsError::Target { path: path.to_owned(), line, found, expected };
        let bad_csv = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            wrong(line, error.to_string(), "CSV in UTF-8 with a header")
        };
        let file =
            std::fs::File::open(path).map_err(|source| ExperimentsError::Io { path: path.to_owned(), source })?;
        let mut reader = csv::Reader::from_reader(file);
        let header = reader.headers().map_err(bad_csv)?.clone();
        let column = |name| header.iter().position(|column| column == name);
        let (Some(item), Some(probability)) = (column("item"), column("probability")) else {
            return Err(wrong(1, header.iter().collect::<Vec<_>>().join(","), "the columns item and probability"));
        };
        let row = column("recommendationId");
        let (mut rows, mut others) = (HashMap::<String, Vec<_>>::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(bad_csv)?;
            let line = record.position().map_or(0, csv::Position::line);
            let found: Option<f64> = record[probability].trim().parse().ok().filter(|p| (0.0..=1.0).contains(p));
            let found =
                found.ok_or_else(|| wrong(line, record[probability].to_owned(), "a probability from 0 to 1"))?;
            let list = match row.map(|row| &record[row]).filter(|id| !id.is_empty()) {
                Some(id) => rows.entry(id.to_owned()).or_default(),
                None => &mut others,
            };
            if list.iter().any(|(known, _)| *known == record[item]) {
                return Err(wrong(line, record[item].to_owned(), "every item of a row once"));
            }
            list.push((record[item].to_owned(), found));
        }
        Ok(Self::Given { rows, others })
    }

    /// The items that the target shows where this row was shown, and how probable each is.
    fn of<'t>(&'t self, row: &'t Row) -> Vec<(&'t str, f64)> {
        let pairs = |list: &'t [(String, f64)]| list.iter().map(|(item, pi)| (item.as_str(), *pi)).collect();
        match self {
            Self::Greedy => {
                row.impressions.iter().map(|one| (one.instead_of.as_ref().unwrap_or(&one.item).as_str(), 1.0)).collect()
            }
            Self::Given { rows, others } => pairs(rows.get(&row.id).unwrap_or(others)),
        }
    }
}

/// Sums of one visitor.
#[derive(Default, Clone, Copy)]
struct Sums {
    impressions: f64,
    /// Of the target's probabilities.
    mass: f64,
    weight: f64,
    squares: f64,
    got: [f64; 3],
    weighted: [f64; 3],
    direct: [f64; 3],
}

/// Estimates for rows that have propensities; none where none has.
pub fn off_policy<'l>(log: &'l Log, rows: impl Iterator<Item = &'l Row>, target: &Target) -> Option<OffPolicy> {
    let is_known =
        |row: &&Row| !row.impressions.is_empty() && row.impressions.iter().all(|one| one.propensity.is_some());
    let rows: Vec<&Row> = rows.filter(is_known).collect();
    if rows.is_empty() {
        return None;
    }
    let rates = Rates::of(log, &rows);
    let mut visitors: HashMap<usize, usize> = HashMap::new();
    let mut sums: Vec<Sums> = Vec::new();
    for row in &rows {
        let place = *visitors.entry(row.visitor).or_insert(sums.len());
        if place == sums.len() {
            sums.push(Sums::default());
        }
        add(&mut sums[place], row, &target.of(row), |item| rates.rate(log, row.visitor, item));
    }
    let all = |of: fn(&Sums) -> f64| sums.iter().map(of).sum::<f64>();
    let value = |(at, action): (usize, &'static str)| {
        let ratio = |above: &dyn Fn(&Sums) -> f64, below: fn(&Sums) -> f64| {
            Estimate::ratio(sums.iter().map(|one| (above(one), below(one))))
        };
        Value {
            action,
            logged: ratio(&|one| one.got[at], |one| one.impressions),
            ips: ratio(&|one| one.weighted[at], |one| one.mass),
            snips: ratio(&|one| one.weighted[at], |one| one.weight),
            doubly_robust: ratio(&|one| one.direct[at], |one| one.mass),
        }
    };
    Some(OffPolicy {
        rows: rows.len(),
        impressions: rows.iter().map(|row| row.impressions.len()).sum(),
        effective: all(|one| one.weight) * all(|one| one.weight) / all(|one| one.squares),
        support: all(|one| one.weight) / all(|one| one.mass),
        values: ACTIONS.into_iter().enumerate().map(value).collect(),
    })
}

fn add(sums: &mut Sums, row: &Row, target: &[(&str, f64)], rate: impl Fn(&str) -> [f64; 3]) {
    for (item, pi) in target {
        sums.mass += pi;
        let rates = rate(item);
        sums.direct.iter_mut().zip(rates).for_each(|(direct, rate)| *direct += pi * rate);
    }
    for Impression { item, propensity, did, .. } in &row.impressions {
        sums.impressions += 1.0;
        let got = did.map(|did| f64::from(u8::from(did)));
        let pi = target.iter().find(|(known, _)| known == item).map_or(0.0, |(_, pi)| *pi);
        let weight = pi / propensity.unwrap_or(1.0);
        sums.weight += weight;
        sums.squares += weight * weight;
        let rates = rate(item);
        for at in 0..ACTIONS.len() {
            sums.got[at] += got[at];
            sums.weighted[at] += weight * got[at];
            sums.direct[at] += weight * (got[at] - rates[at]);
        }
    }
}

/// How often actions follow an item's impressions, of each part of the visitors.
struct Rates<'l> {
    /// Impressions and actions, by part and item; of all items without one.
    counts: Vec<HashMap<Option<&'l str>, [f64; 4]>>,
}

impl<'l> Rates<'l> {
    fn of(log: &Log, rows: &[&'l Row]) -> Self {
        let mut counts = vec![HashMap::new(); FOLDS as usize];
        for row in rows {
            let fold = bucket(&log.visitors[row.visitor], FOLDS) as usize;
            for one in &row.impressions {
                for item in [Some(one.item.as_str()), None] {
                    let found: &mut [f64; 4] = counts[fold].entry(item).or_default();
                    found[0] += 1.0;
                    found[1..].iter_mut().zip(one.did).for_each(|(count, did)| *count += f64::from(u8::from(did)));
                }
            }
        }
        Self { counts }
    }

    fn rate(&self, log: &Log, visitor: usize, item: &str) -> [f64; 3] {
        let own = bucket(&log.visitors[visitor], FOLDS) as usize;
        let others = self.counts.iter().enumerate().filter(|(fold, _)| *fold != own).map(|(_, counts)| counts);
        let sum = |item: Option<&str>| {
            others.clone().filter_map(|counts| counts.get(&item)).fold([0.0; 4], |mut sum: [f64; 4], counts| {
                sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                sum
            })
        };
        let (all, own) = (sum(None), sum(Some(item)));
        std::array::from_fn(|at| {
            let mean = if all[0] > 0.0 { all[at + 1] / all[0] } else { 0.0 };
            (own[at + 1] + PRIOR * mean) / (own[0] + PRIOR)
        })
    }
}
