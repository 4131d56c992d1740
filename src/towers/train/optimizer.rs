//! Adagrad (Duchi, Hazan, Singer 2011): for dense weights, and row-sparse for embedding tables.

use crate::data::config::RateConfig;

/// Start of the accumulators: keeps the first steps from being of the size of the learning rate whatever the gradient.
const INITIAL_ACCUMULATOR: f32 = 1e-8;
const EPSILON: f32 = 1e-7;

/// Numbers with their sums of squared gradients, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    /// Name in files.
    pub(crate) name: &'static str,
    /// Rows and columns.
    pub(crate) shape: [usize; 2],
    /// The numbers, row by row.
    pub(crate) values: Vec<f32>,
    /// Adagrad's accumulators, one per number.
    pub(crate) accumulators: Vec<f32>,
}

impl Weights {
    pub(crate) fn new(name: &'static str, shape: [usize; 2], values: Vec<f32>) -> Self {
        assert_eq!(values.len(), shape[0] * shape[1], "{name} has its shape");
        let accumulators = vec![INITIAL_ACCUMULATOR; values.len()];
        Self { name, shape, values, accumulators }
    }

    pub(crate) fn row(&self, row: u32) -> &[f32] {
        let width = self.shape[1];
        &self.values[row as usize * width..][..width]
    }

    /// One step for all numbers.
    pub(crate) fn step(&mut self, gradient: &[f32], rate: f32) {
        adagrad(&mut self.values, &mut self.accumulators, gradient, rate);
    }

    /// One step for the rows that `gradient` has touched; the gradient is empty afterwards.
    pub(crate) fn step_rows(&mut self, gradient: &mut RowGradient, rate: f32) {
        let width = self.shape[1];
        gradient.drain(|row, gradient| {
            let rows = row as usize * width..(row as usize + 1) * width;
            adagrad(&mut self.values[rows.clone()], &mut self.accumulators[rows], gradient, rate);
        });
    }
}

fn adagrad(values: &mut [f32], accumulators: &mut [f32], gradient: &[f32], rate: f32) {
    for ((value, sum), slope) in values.iter_mut().zip(accumulators).zip(gradient) {
        *sum += slope * slope;
        *value -= rate * slope / (sum.sqrt() + EPSILON);
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
            let left = (1.0 - progress) / (1.0 - self.warm_up).max(f32::MIN_POSITIVE);
            self.peak * (self.last + (1.0 - self.last) * left.max(0.0))
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
            sparse.step_rows(&mut rows, 0.1);
            dense.step(&[3.0, 0.0, 0.0, 0.0, 2.0, 4.0], 0.1);
        }
        assert_eq!(sparse, dense);
    }

    #[test]
    fn the_rate_rises_then_falls_to_its_last_value() {
        let schedule = RateConfig { peak: 1.0, warm_up: 0.1, last: 0.2 };
        let rates: Vec<f32> = (0..100).map(|step| schedule.rate(step, 100)).collect();
        assert!(rates[..9].is_sorted() && rates[9..].is_sorted_by(|a, b| a >= b));
        assert!((rates[9] - 1.0).abs() < 1e-6 && (rates[99] - 0.2).abs() < 1e-6, "{rates:?}");
    }
}
