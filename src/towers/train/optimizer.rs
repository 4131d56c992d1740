//! Adagrad (Duchi, Hazan, Singer 2011) and Adam (Kingma, Ba 2015): for dense weights, and row-sparse for embedding tables.

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
        self.step_range(0, gradient, rule);
    }

    /// One step for the rows that `gradient` has touched; the gradient is empty afterwards.
    ///
    /// Adam's means of untouched rows stay as they are ("lazy" Adam): a row's gradients of long ago count as if they came just now.
    pub(crate) fn step_rows(&mut self, gradient: &mut RowGradient, rule: Rule) {
        let width = self.shape[1];
        gradient.drain(|row, gradient| self.step_range(row as usize * width, gradient, rule));
    }

    fn step_range(&mut self, from: usize, gradient: &[f32], rule: Rule) {
        let range = from..from + gradient.len();
        let (values, accumulators) = (&mut self.values[range.clone()], &mut self.accumulators[range.clone()]);
        match rule.optimizer {
            Optimizer::Adagrad => adagrad(values, accumulators, gradient, rule.rate),
            Optimizer::Adam => {
                if self.momenta.is_empty() {
                    self.momenta = vec![0.0; self.shape[0] * self.shape[1]];
                }
                adam(values, accumulators, &mut self.momenta[range], gradient, rule);
            }
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
    touched: Vec<u32>,
    /// Position in `touched` plus one, 0 where not touched, per row of the table.
    slots: Vec<u32>,
    sums: Vec<f32>,
}

impl RowGradient {
    pub(crate) fn new([rows, width]: [usize; 2]) -> Self {
        Self { width, touched: Vec::new(), slots: vec![0; rows], sums: Vec::new() }
    }

    /// Adds `scale * gradient` to a row.
    pub(crate) fn add(&mut self, row: u32, gradient: &[f32], scale: f32) {
        let slot = &mut self.slots[row as usize];
        if *slot == 0 {
            self.touched.push(row);
            *slot = self.touched.len() as u32;
            self.sums.resize(self.touched.len() * self.width, 0.0);
        }
        let start = (*slot as usize - 1) * self.width;
        for (sum, slope) in self.sums[start..start + self.width].iter_mut().zip(gradient) {
            *sum += scale * slope;
        }
    }

    fn drain(&mut self, mut visit: impl FnMut(u32, &[f32])) {
        for (row, sums) in self.touched.iter().zip(self.sums.chunks_exact(self.width)) {
            visit(*row, sums);
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
            rows.add(2, &[1.0, 2.0], 0.5);
            rows.add(0, &[3.0, 0.0], 1.0);
            rows.add(2, &[1.0, 2.0], 1.5);
            let rule = Rule { optimizer: Optimizer::Adagrad, rate: 0.1, step: 0 };
            sparse.step_rows(&mut rows, rule);
            dense.step(&[3.0, 0.0, 0.0, 0.0, 2.0, 4.0], rule);
        }
        assert_eq!(sparse, dense);
    }

    #[test]
    fn adam_takes_the_steps_of_its_paper() {
        let mut weights = Weights::new("t", [1, 1], vec![1.0]);
        weights.accumulators = vec![0.0];
        let mut expected = (1.0_f64, 0.0_f64, 0.0_f64);
        for (step, slope) in [0.5_f64, -2.0, 0.25].into_iter().enumerate() {
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
