//! How good a ranker is on what came after its training.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::{Logged, RankerError};
use crate::data::Task;
use crate::data::config::RankerConfig;
use crate::metrics::{CalibrationBin, auc, calibration_bins, expected_calibration_error, log_loss, rank_correlation};
use crate::rank::features::FEATURES;
use crate::towers::{Input, Program, Scratch, TowerError};

/// Bins of the calibration error and of its chart.
const BINS: usize = 20;

/// What `ranker.json` holds; read by whoever runs the ranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankerReport {
    /// Names of the numbers of the input `features`.
    pub features: Vec<String>,
    /// Slots that the input `slot` tells apart, beside 0 for none.
    pub slots: usize,
    /// Digest of the towers whose scores it was trained with; without them `score` is 0.
    pub towers: Option<String>,
    /// Rows of the file, those of items outside the catalogue, those that were trained with and those that were judged on.
    pub impressions: [usize; 4],
    /// Mean loss of the last tenth of the steps.
    pub loss: f32,
    /// One per output, in their order.
    pub tasks: Vec<TaskReport>,
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

/// Judges a program on the rows that were not trained with.
pub(super) fn judge(
    program: &Program,
    inputs: &Inputs,
    logged: Logged<'_>,
    (tasks, config, loss): (&[Task], &RankerConfig, f32),
) -> Result<(RankerReport, Vec<Chart>), RankerError> {
    let rows = inputs.trained..inputs.slots.len();
    let predicted = run(program, inputs, |row| inputs.slots[row])?;
    let served = run(program, inputs, |_| 0)?;
    let mut charts = Vec::new();
    let mut reports = Vec::new();
    for (output, &task) in tasks.iter().enumerate() {
        let column = |values: &[f32]| -> Vec<f64> {
            values.iter().skip(output).step_by(tasks.len()).map(|value| f64::from(*value)).collect()
        };
        let (of_task, happened) = (column(&predicted), inputs.reached(rows.clone(), task));
        let bins = calibration_bins(&of_task, &happened, BINS);
        let against = logged.truth.map(|truth| {
            let shown = &logged.impressions.rows[rows.clone()];
            let real: Vec<f64> = shown.iter().map(|shown| truth.rows[shown.row as usize][task as usize]).collect();
            let off: f64 = of_task.iter().zip(&real).map(|(predicted, real)| (predicted - real).abs()).sum();
            TruthReport {
                auc: auc(&real, &happened),
                log_loss: log_loss(&real, &happened),
                rank_correlation: rank_correlation(&of_task, &real),
                mean_absolute_error: off / rows.len().max(1) as f64,
            }
        });
        reports.push(TaskReport {
            task: task.name().to_owned(),
            happened: happened.iter().filter(|happened| **happened).count(),
            expected: of_task.iter().sum(),
            auc: auc(&of_task, &happened),
            log_loss: log_loss(&of_task, &happened),
            calibration_error: expected_calibration_error(&bins),
            auc_without_slot: auc(&column(&served), &happened),
            truth: against,
        });
        charts.push((task, bins));
    }
    let (impressions, judged) = (logged.impressions, rows.len());
    let report = RankerReport {
        features: FEATURES.map(str::to_owned).to_vec(),
        slots: config.positions,
        towers: logged.retrieval.map(|retrieval| retrieval.towers.to_string()),
        impressions: [impressions.read, impressions.outside, inputs.trained, judged],
        loss,
        tasks: reports,
    };
    Ok((report, charts))
}

/// The program's outputs for all judged rows.
fn run(program: &Program, inputs: &Inputs, slot: impl Fn(usize) -> u32 + Sync) -> Result<Vec<f32>, TowerError> {
    let rows: Vec<usize> = (inputs.trained..inputs.slots.len()).collect();
    let of_rows = |rows: &[usize]| {
        let mut scratch = Scratch::default();
        let mut outputs = Vec::new();
        for &row in rows {
            let given = [Input::Float(inputs.row(row)), Input::Index(&[slot(row)])];
            outputs.extend_from_slice(program.run(&given, &mut scratch)?);
        }
        Ok(outputs)
    };
    let parts: Result<Vec<Vec<f32>>, TowerError> = rows.par_chunks(4096).map(of_rows).collect();
    Ok(parts?.concat())
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
        Ok(())
    }
}
