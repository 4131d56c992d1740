//! How good a ranker is on what came after its training.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::RankerError;
use super::inputs::Inputs;
use crate::data::{Impressions, Task, Truth};
use crate::features::ranking::FEATURES;
use crate::metrics::{
    CalibrationBin, auc, calibration_bins, expected_calibration_error, log_loss, ndcg_at_k, rank_correlation,
};
use crate::towers::ranker::{Embeddings, inputs};
use crate::towers::{Program, Scratch, TowerError};

/// Bins of the calibration error and of its chart.
const BINS: usize = 20;

/// What `ranker.json` holds; read by whoever runs the ranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankerReport {
    /// Names of the numbers of the input `features`.
    pub features: Vec<String>,
    /// Slots that the input `slot` tells apart, beside 0 for none.
    pub slots: usize,
    /// Items of a history that were counted, at most.
    #[serde(default)]
    pub history: usize,
    /// Digest of the towers whose scores it was trained with; without them `score` is 0.
    pub towers: Option<String>,
    /// Rows of the file, those of items outside the catalogue, those that were trained with and those that were judged on.
    pub impressions: [usize; 4],
    /// Mean loss of the last tenth of the steps.
    pub loss: f32,
    /// One per output, in their order.
    pub tasks: Vec<TaskReport>,
    /// How good the order is; of impressions, which have their slots, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderReport>,
}

/// Means over the shoppers that are judged on, by the last task: what came of their candidates in the order of retrieval, and in that
/// of the ranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderReport {
    /// Shoppers with a candidate that came true.
    pub shoppers: usize,
    /// NDCG@20 of retrieval, and of the ranker.
    pub ndcg_at_20: [f64; 2],
    /// AUC of the same, over all rows.
    pub auc: [f64; 2],
}

/// How good one task is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// `click`, `cart` or `purchase`.
    pub task: String,
    /// How often it happened.
    pub happened: usize,
    /// Mean of the predicted probabilities, times the rows.
    pub expected: f64,
    /// Of the probabilities in the slots as they were.
    pub auc: f64,
    /// As [`TaskReport::auc`].
    pub log_loss: f64,
    /// As [`TaskReport::auc`].
    pub calibration_error: f64,
    /// Of the probabilities without a slot, as they are served.
    pub auc_without_slot: f64,
    /// Against the truth, where that is known.
    pub truth: Option<TruthReport>,
}

/// A task against the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthReport {
    /// What the true probabilities themselves reach.
    pub auc: f64,
    /// As [`TruthReport::auc`].
    pub log_loss: f64,
    /// Of predicted and true probabilities.
    pub rank_correlation: f64,
    /// Between predicted and true probabilities.
    pub mean_absolute_error: f64,
}

impl TaskReport {
    /// Which part of the way from chance to the truth's own AUC is gone; `None` without a truth.
    pub fn reach(&self) -> Option<f64> {
        self.truth.as_ref().map(|truth| (self.auc - 0.5) / (truth.auc - 0.5))
    }
}

/// The bins of a task for its chart.
pub(super) type Chart = (Task, Vec<CalibrationBin>);

/// What is really so, where a simulation tells.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) truth: &'k Truth,
    pub(super) impressions: &'k Impressions,
}

/// A program, and the rows that were not trained with.
pub(super) struct Judged<'j> {
    pub(super) program: &'j Program,
    pub(super) inputs: &'j Inputs<'j>,
    pub(super) tasks: &'j [Task],
    /// Whether the program reads vectors.
    pub(super) vectors: bool,
    pub(super) known: Option<Known<'j>>,
    /// See [`RankerReport::history`].
    pub(super) history: usize,
}

impl Judged<'_> {
    /// Judges. `counts`: rows read, and those of unknown items.
    pub(super) fn report(
        &self,
        (counts, slots, loss): ([usize; 2], usize, f32),
    ) -> Result<(RankerReport, Vec<Chart>), RankerError> {
        let Self { inputs, tasks, .. } = self;
        let rows = inputs.trained..inputs.len();
        let predicted = self.run(|row| inputs.slots[row])?;
        let served = self.run(|_| 0)?;
        let mut charts = Vec::new();
        let mut reports = Vec::new();
        for (output, &task) in tasks.iter().enumerate() {
            let (of_task, happened) = (self.column(&predicted, output), inputs.reached(rows.clone(), task));
            let bins = calibration_bins(&of_task, &happened, BINS);
            reports.push(TaskReport {
                task: task.name().to_owned(),
                happened: happened.iter().filter(|happened| **happened).count(),
                expected: of_task.iter().sum(),
                auc: auc(&of_task, &happened),
                log_loss: log_loss(&of_task, &happened),
                calibration_error: expected_calibration_error(&bins),
                auc_without_slot: auc(&self.column(&served, output), &happened),
                truth: self.known.map(|known| against(known, &of_task, &happened, (rows.start, task))),
            });
            charts.push((task, bins));
        }
        let report = RankerReport {
            features: FEATURES.map(str::to_owned).to_vec(),
            slots,
            history: self.history,
            towers: inputs.towers().map(|towers| towers.to_string()),
            impressions: [counts[0], counts[1], inputs.trained, rows.len()],
            loss,
            tasks: reports,
            order: self.order(&served),
        };
        Ok((report, charts))
    }

    fn column(&self, values: &[f32], output: usize) -> Vec<f64> {
        values.iter().skip(output).step_by(self.tasks.len()).map(|value| f64::from(*value)).collect()
    }

    /// The program's outputs for all judged rows.
    fn run(&self, slot: impl Fn(usize) -> u32 + Sync) -> Result<Vec<f32>, TowerError> {
        let Self { program, inputs: rows_of, .. } = self;
        let rows: Vec<usize> = (rows_of.trained..rows_of.len()).collect();
        let of_rows = |rows: &[usize]| {
            let mut scratch = Scratch::default();
            let mut outputs = Vec::new();
            for &row in rows {
                let (slot, names, [query, item]) = ([slot(row)], rows_of.names(row), rows_of.vectors(row));
                let given = inputs(rows_of.row(row), Embeddings { query, item }, &names, &slot, self.vectors);
                outputs.extend_from_slice(program.run(&given, &mut scratch)?);
            }
            Ok(outputs)
        };
        let parts: Result<Vec<Vec<f32>>, TowerError> = rows.par_chunks(4096).map(of_rows).collect();
        Ok(parts?.concat())
    }

    /// How good the order of each shopper's candidates is.
    fn order(&self, served: &[f32]) -> Option<OrderReport> {
        let Self { inputs, tasks, .. } = self;
        let first = inputs.trained;
        // Impressions have slots, candidates have none.
        if inputs.slots[first..].iter().any(|slot| *slot != 0) {
            return None;
        }
        let last = tasks.len().checked_sub(1)?;
        let ranked = self.column(served, last);
        let happened = inputs.reached(first..inputs.len(), tasks[last]);
        let (mut sums, mut shoppers) = ([0.0; 2], 0);
        for rows in inputs.pairs[first..].chunk_by(|a, b| a.0 == b.0).scan(0, |at, rows| {
            *at += rows.len();
            Some(*at - rows.len()..*at)
        }) {
            let targets: Vec<u32> = rows.clone().filter(|row| happened[*row]).map(|row| row as u32).collect();
            if targets.is_empty() {
                continue;
            }
            let retrieved: Vec<u32> = rows.map(|row| row as u32).collect();
            let mut order = retrieved.clone();
            order.sort_by(|a, b| ranked[*b as usize].total_cmp(&ranked[*a as usize]));
            shoppers += 1;
            for (sum, list) in sums.iter_mut().zip([&retrieved, &order]) {
                *sum += ndcg_at_k(list, &targets, LIST);
            }
        }
        let scores: Vec<f64> = (first..inputs.len()).map(|row| f64::from(inputs.row(row)[0])).collect();
        let auc = [auc(&scores, &happened), auc(&ranked, &happened)];
        Some(OrderReport { shoppers, ndcg_at_20: sums.map(|sum| sum / shoppers.max(1) as f64), auc })
    }
}

/// Length of the lists of NDCG@20.
const LIST: usize = 20;

/// A task against the truth of rows from the first one on.
fn against(known: Known<'_>, predicted: &[f64], happened: &[bool], (first, task): (usize, Task)) -> TruthReport {
    let shown = &known.impressions.rows[first..];
    let real: Vec<f64> = shown.iter().map(|shown| known.truth.rows[shown.row as usize][task as usize]).collect();
    let off: f64 = predicted.iter().zip(&real).map(|(predicted, real)| (predicted - real).abs()).sum();
    TruthReport {
        auc: auc(&real, happened),
        log_loss: log_loss(&real, happened),
        rank_correlation: rank_correlation(predicted, &real),
        mean_absolute_error: off / real.len().max(1) as f64,
    }
}

impl fmt::Display for RankerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [read, outside, trained, judged] = self.impressions;
        writeln!(
            f,
            "{read} impressions: {trained} trained with, {judged} after them judged on, {outside} of items outside"
        )?;
        writeln!(
            f,
            "| task | happened | AUC | without slot | log loss | calibration error | truth's AUC | reached | rank correlation | mean error |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for task in &self.tasks {
            let TaskReport { task: name, happened, auc, auc_without_slot, log_loss, calibration_error, .. } = task;
            write!(
                f,
                "| {name} | {happened} | {auc:.4} | {auc_without_slot:.4} | {log_loss:.4} | {calibration_error:.4} "
            )?;
            match (&task.truth, task.reach()) {
                (Some(truth), Some(reach)) => {
                    let TruthReport { auc, rank_correlation, mean_absolute_error, .. } = truth;
                    writeln!(
                        f,
                        "| {auc:.4} | {:.1} % | {rank_correlation:.3} | {mean_absolute_error:.4} |",
                        100.0 * reach
                    )?;
                }
                _ => writeln!(f, "| | | | |")?,
            }
        }
        if let Some(OrderReport { shoppers, ndcg_at_20: [before, after], auc: [of_retrieval, ranked] }) = &self.order {
            let gain = 100.0 * (after / before - 1.0);
            writeln!(
                f,
                "order of the candidates of {shoppers} shoppers: NDCG@20 {before:.4} as retrieved, {after:.4} ranked ({gain:+.1} %); \
                 AUC {of_retrieval:.4}, {ranked:.4}"
            )?;
        }
        Ok(())
    }
}
