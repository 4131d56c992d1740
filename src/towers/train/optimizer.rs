//! Adagrad (Duchi, Hazan, Singer 2011) and Adam (Kingma, Ba 2015): for dense weights, and row-sparse for embedding tables.
//!
//! Unlike the paper's, Adam's means of squares begin at [`INITIAL_ACCUMULATOR`] as Adagrad's sums do. It acts as an epsilon of some
//! 3e-3 in the first step and 1e-4 after a thousand: rows that are touched seldom, with gradients below that, move less.

use std::ops::Range;

use rayon::prelude::*;

use super::sums::{Term, add, rows_of_part, terms_of_part};
use crate::data::config::{Decay, Optimizer, RateConfig};

/// Start of the accumulators: keeps the first steps from being of the size of the learning rate whatever the gradient.
const INITIAL_ACCUMULATOR: f32 = 1e-8;
const EPSILON: f32 = 1e-7;

/// Adam's memories of the gradient and of its square.
const ADAM_BETAS: [f32; 2] = [0.9, 0.999];
const ADAM_EPSILON: f32 = 1e-8;

/// How weights move in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Which optimizer.
    pub(crate) optimizer: Optimizer,
    /// Learning rate.
    pub(crate) rate: f32,
    /// The step, from 0 on.
    pub(crate) step: usize,
}

/// Numbers with what the optimizer keeps of their gradients, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    /// Name in files.
    pub(crate) name: &'static str,
    /// Rows and columns.
    pub(crate) shape: [usize; 2],
    /// The numbers, row by row.
    pub(crate) values: Vec<f32>,
    /// Sums (Adagrad) or means (Adam) of squared gradients, one per number.
    pub(crate) accumulators: Vec<f32>,
    /// Means of gradients, one per number; empty before the first step of Adam.
    pub(crate) momenta: Vec<f32>,
}

impl Weights {
    pub(crate) fn new(name: &'static str, shape: [usize; 2], values: Vec<f32>) -> Self {
        assert_eq!(values.len(), shape[0] * shape[1], "{name} has its shape");
        let accumulators = vec![INITIAL_ACCUMULATOR; values.len()];
        Self { name, shape, values, accumulators, momenta: Vec::new() }
    }

    pub(crate) fn row(&self, row: u32) -> &[f32] {
        let width = self.shape[1];
        &self.values[row as usize * width..][..width]
    }

    /// One step for all numbers.
    pub(crate) fn step(&mut self, gradient: &[f32], rule: Rule) {
        self.prepare(rule);
        match rule.optimizer {
            Optimizer::Adagrad => adagrad(&mut self.values, &mut self.accumulators, gradient, rule.rate),
            Optimizer::Adam => adam(&mut self.values, &mut self.accumulators, &mut self.momenta, gradient, rule),
        }
    }

    /// One step for the rows that `gradient` has touched; the gradient is empty afterwards.
    ///
    /// Adam's means of untouched rows stay as they are ("lazy" Adam): a row's gradients of long ago count as if they came just now.
    pub(crate) fn step_rows(&mut self, gradient: &mut RowGradient, rule: Rule) {
        self.prepare(rule);
        let length = gradient.rows_of_part * self.shape[1];
        let Self { values, accumulators, momenta, shape: [_, width], .. } = self;
        let numbers = values.par_chunks_mut(length).zip(accumulators.par_chunks_mut(length));
        match rule.optimizer {
            Optimizer::Adagrad => numbers.zip(&mut gradient.parts).for_each(|((values, sums), part)| {
                part.drain(*width, |range, gradient| {
                    adagrad(&mut values[range.clone()], &mut sums[range], gradient, rule.rate);
                });
            }),
            Optimizer::Adam => numbers.zip(momenta.par_chunks_mut(length)).zip(&mut gradient.parts).for_each(
                |(((values, squares), momenta), part)| {
                    part.drain(*width, |range, gradient| {
                        let values = &mut values[range.clone()];
                        adam(values, &mut squares[range.clone()], &mut momenta[range], gradient, rule);
                    });
                },
            ),
        }
    }

    /// Makes what the optimizer keeps.
    fn prepare(&mut self, rule: Rule) {
        if rule.optimizer == Optimizer::Adam && self.momenta.is_empty() {
            self.momenta = vec![0.0; self.values.len()];
        }
    }
}

fn adagrad(values: &mut [f32], accumulators: &mut [f32], gradient: &[f32], rate: f32) {
    for ((value, sum), slope) in values.iter_mut().zip(accumulators).zip(gradient) {
        *sum += slope * slope;
        *value -= rate * slope / (sum.sqrt() + EPSILON);
    }
}

fn adam(values: &mut [f32], squares: &mut [f32], momenta: &mut [f32], gradient: &[f32], rule: Rule) {
    let [first, second] = ADAM_BETAS;
    // What the means lack because they start at zero.
    let bias = |beta: f32| 1.0 - beta.powi(i32::try_from(rule.step + 1).unwrap_or(i32::MAX));
    let (rate, root) = (rule.rate / bias(first), bias(second).sqrt().recip());
    for (((value, square), momentum), slope) in values.iter_mut().zip(squares).zip(momenta).zip(gradient) {
        *momentum = first * *momentum + (1.0 - first) * slope;
        *square = second * *square + (1.0 - second) * slope * slope;
        *value -= rate * *momentum / (square.sqrt() * root + ADAM_EPSILON);
    }
}

/// A gradient of a table that is zero for all but some rows.
#[derive(Debug, Clone)]
pub(crate) struct RowGradient {
    width: usize,
    rows_of_part: usize,
    parts: Vec<Part>,
}

/// The gradient of consecutive rows.
#[derive(Debug, Clone)]
struct Part {
    touched: Vec<u32>,
    /// Position in `touched` plus one, 0 where not touched, per row.
    slots: Vec<u32>,
    sums: Vec<f32>,
}

impl RowGradient {
    pub(crate) fn new([rows, width]: [usize; 2]) -> Self {
        let rows_of_part = rows_of_part(rows);
        let part =
            |start| Part { touched: Vec::new(), slots: vec![0; rows_of_part.min(rows - start)], sums: Vec::new() };
        Self { width, rows_of_part, parts: (0..rows).step_by(rows_of_part).map(part).collect() }
    }

    /// Adds terms.
    pub(crate) fn add<'t, I>(&mut self, terms: impl Fn() -> I + Sync)
    where
        I: Iterator<Item = Term<'t>>,
    {
        let (width, rows) = (self.width, self.rows_of_part);
        self.parts.par_iter_mut().enumerate().for_each(|(at, part)| {
            for (row, numbers, factor) in terms_of_part(terms(), at, rows) {
                add(part.sums_of(row, width), numbers, factor);
            }
        });
    }
}

impl Part {
    fn sums_of(&mut self, row: usize, width: usize) -> &mut [f32] {
        let slot = &mut self.slots[row];
        if *slot == 0 {
            self.touched.push(row as u32);
            *slot = self.touched.len() as u32;
            self.sums.resize(self.touched.len() * width, 0.0);
        }
        &mut self.sums[(*slot as usize - 1) * width..][..width]
    }

    /// Visits the touched rows' numbers, and forgets them.
    fn drain(&mut self, width: usize, mut visit: impl FnMut(Range<usize>, &[f32])) {
        for (row, sums) in self.touched.iter().zip(self.sums.chunks_exact(width)) {
            let from = *row as usize * width;
            visit(from..from + width, sums);
            self.slots[*row as usize] = 0;
        }
        self.touched.clear();
        self.sums.clear();
    }
}

impl RateConfig {
    /// The rate of step `step` of `steps`.
    pub(crate) fn rate(&self, step: usize, steps: usize) -> f32 {
        let progress = (step + 1) as f32 / steps.max(1) as f32;
        if progress < self.warm_up {
            self.peak * progress / self.warm_up
        } else {
            let left = ((1.0 - progress) / (1.0 - self.warm_up).max(f32::MIN_POSITIVE)).max(0.0);
            let left = match self.decay {
                Decay::Linear => left,
                Decay::Cosine => 0.5 - 0.5 * (std::f32::consts::PI * left).cos(),
            };
            self.peak * (self.last + (1.0 - self.last) * left)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparse_step_equals_the_dense_step_on_the_summed_gradient() {
        let mut dense = Weights::new("t", [3, 2], vec![1.0; 6]);
        let mut sparse = dense.clone();
        let mut rows = RowGradient::new([3, 2]);
        for _ in 0..2 {
            let terms: [(u32, &[f32], f32); 3] = [(2, &[1.0, 2.0], 0.5), (0, &[3.0, 0.0], 1.0), (2, &[1.0, 2.0], 1.5)];
            rows.add(|| terms.into_iter());
            let rule = Rule { optimizer: Optimizer::Adagrad, rate: 0.1, step: 0 };
            sparse.step_rows(&mut rows, rule);
            dense.step(&[3.0, 0.0, 0.0, 0.0, 2.0, 4.0], rule);
        }
        assert_eq!(sparse, dense);
    }

    #[test]
    fn adam_takes_the_steps_of_its_paper_from_its_own_start() {
        let mut weights = Weights::new("t", [1, 1], vec![1.0]);
        let mut expected = (1.0_f64, 0.0_f64, f64::from(INITIAL_ACCUMULATOR));
        for (step, slope) in [1e-3_f64, 0.5, -2.0, 0.25].into_iter().enumerate() {
            weights.step(&[slope as f32], Rule { optimizer: Optimizer::Adam, rate: 0.1, step });
            let (value, momentum, square) = expected;
            let (momentum, square) = (0.9 * momentum + 0.1 * slope, 0.999 * square + 0.001 * slope * slope);
            let bias = |beta: f64| 1.0 - beta.powi(step as i32 + 1);
            let change = 0.1 * (momentum / bias(0.9)) / ((square / bias(0.999)).sqrt() + 1e-8);
            expected = (value - change, momentum, square);
            assert!((f64::from(weights.values[0]) - expected.0).abs() < 1e-5, "step {step}");
        }
    }

    #[test]
    fn the_rate_rises_then_falls_to_its_last_value() {
        for decay in [Decay::Linear, Decay::Cosine] {
            let schedule = RateConfig { peak: 1.0, warm_up: 0.1, last: 0.2, decay };
            let rates: Vec<f32> = (0..100).map(|step| schedule.rate(step, 100)).collect();
            assert!(rates[..9].is_sorted() && rates[9..].is_sorted_by(|a, b| a >= b));
            assert!((rates[9] - 1.0).abs() < 1e-6 && (rates[99] - 0.2).abs() < 1e-6, "{rates:?}");
            assert!((rates[54] - 0.6).abs() < 1e-3, "{}", rates[54]);
        }
    }
}
