//! What the ranker looks like, and how it is trained.

use serde::{Deserialize, Serialize};

use super::{Decay, RateConfig};
use crate::data::impressions::Task;

/// The second stage: one network with a head per task, trained by Adam on impressions, or on what retrieval finds and shoppers then did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankerConfig {
    /// Every random choice follows from it.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// Impressions per step.
    pub batch: usize,
    /// Widths of the layers that the numbers go through, 1 to 4 layers. Up: capacity, size, training time.
    pub bottom: Vec<usize>,
    /// Length of the vectors of shelf, brand, shopper and item whose inner products the network takes, up to 64; 0 leaves them out.
    pub vector: usize,
    /// Widths of the layers behind that, 0 to 4 layers, which all tasks share.
    pub top: Vec<usize>,
    /// So many such layers side by side, 1 to 8, of which each task has its own mixture (MMoE).
    pub experts: usize,
    /// Width of the layer that each task has for itself; 0 leaves it out.
    pub head: usize,
    /// What the tasks weigh in the loss.
    pub tasks: TaskWeights,
    /// How many of the items that a shopper had to do with are candidates beside those that retrieval finds, 0 to 1,000: those bought most
    /// often, then the latest.
    pub own: usize,
    /// How many windows of four weeks before the test it is trained on where there are no impressions, 1 to 12: each takes a training of
    /// towers of its own.
    pub windows: usize,
    /// How many of the items that a shopper had to do with last are counted, 1 to 1,000. Clients of a release in clusters fetch the cluster of
    /// each.
    pub history: usize,
    /// What candidates are ordered by: numbers, the trained tasks, `price` and other columns of numbers, `+ - * / ( )`, `min(a, b)`,
    /// `max(a, b)` and `log1p(a)`. Without it, the last task that is trained.
    pub objective: Option<String>,
    /// Slots of a slate that are told apart; further ones count as the last.
    pub positions: usize,
    /// Share of the impressions whose slot a step hides, above 0 to 1: a served item has no slot yet, and that was then trained.
    pub position_dropout: f32,
    /// The rate of Adam.
    pub rate: RateConfig,
}

/// A weight per task; a task of weight 0 has no head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskWeights {
    /// Of clicks.
    pub click: f32,
    /// Of items that are put into the cart.
    pub cart: f32,
    /// Of purchases.
    pub purchase: f32,
}

impl Default for TaskWeights {
    fn default() -> Self {
        Self { click: 1.0, cart: 1.0, purchase: 1.0 }
    }
}

impl TaskWeights {
    /// The weight of a task.
    pub fn of(&self, task: Task) -> f32 {
        match task {
            Task::Click => self.click,
            Task::Cart => self.cart,
            Task::Purchase => self.purchase,
        }
    }

    /// The tasks that have a head, in the order of the funnel.
    pub fn trained(&self) -> Vec<Task> {
        Task::ALL.into_iter().filter(|task| self.of(*task) > 0.0).collect()
    }
}

impl Default for RankerConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            steps: 1500,
            batch: 1024,
            bottom: vec![64, 32],
            vector: 8,
            top: vec![32],
            experts: 1,
            own: 200,
            windows: 1,
            history: 200,
            objective: None,
            head: 16,
            tasks: TaskWeights::default(),
            positions: 32,
            position_dropout: 0.1,
            rate: RateConfig { peak: 0.003, warm_up: 0.1, last: 0.05, decay: Decay::Linear },
        }
    }
}
