//! What a training shows while it runs.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// The live line of a training, and its losses.
pub(crate) struct Progress {
    bar: ProgressBar,
    pub(crate) losses: Vec<f32>,
    pub(crate) examples: u64,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(first: usize, steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64).with_position(first as u64);
        let style = ProgressStyle::with_template("train {bar:30} {pos}/{len} {msg} {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, losses: Vec::new(), examples: 0, started: Instant::now() }
    }

    pub(crate) fn step(&mut self, loss: f32, examples: usize) {
        self.losses.push(loss);
        self.examples += examples as u64;
        let rate = self.examples as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        self.bar.inc(1);
        self.bar.set_message(format!("loss {:.3}, {rate:.0} examples/s,", self.recent_loss()));
    }

    pub(crate) fn recent_loss(&self) -> f32 {
        let recent = &self.losses[self.losses.len() - self.losses.len().div_ceil(10)..];
        recent.iter().sum::<f32>() / recent.len().max(1) as f32
    }
}
