//! How often who did what: the matrix that histories and baselines are read from.

use crate::data::{Dataset, Event};

/// A sparse matrix of counts, by rows (CSR): users by items as built, items by users once transposed.
///
/// The columns of a row ascend, and every stored count is at least 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    columns_len: usize,
    offsets: Vec<usize>,
    columns: Vec<u32>,
    counts: Vec<f32>,
}

impl Interactions {
    /// Counts the events of `dataset` that `keep` lets through, users by items.
    pub fn of(dataset: &Dataset, keep: impl Fn(&Event) -> bool) -> Self {
        Self::count(dataset, |user| dataset.events_of(user), keep)
    }

    fn count<'d>(dataset: &Dataset, events_of: impl Fn(u32) -> &'d [Event], keep: impl Fn(&Event) -> bool) -> Self {
        let mut matrix =
            Self { columns_len: dataset.items.len(), offsets: vec![0], columns: Vec::new(), counts: Vec::new() };
        let mut items = Vec::new();
        for user in 0..dataset.users.len() {
            items.clear();
            items.extend(events_of(user as u32).iter().filter(|event| keep(event)).map(|event| event.item));
            items.sort_unstable();
            for run in items.chunk_by(|a, b| a == b) {
                matrix.columns.push(run[0]);
                matrix.counts.push(run.len() as f32);
            }
            matrix.offsets.push(matrix.columns.len());
        }
        matrix
    }

    /// Counts the [training events](Dataset::training_events) of `dataset`.
    pub fn of_training(dataset: &Dataset) -> Self {
        Self::count(dataset, |user| dataset.training_events(user), |_| true)
    }

    /// Counts the training events of `dataset` from a moment on.
    pub fn of_training_since(dataset: &Dataset, since_ms: i64) -> Self {
        Self::count(dataset, |user| dataset.training_events(user), |event| event.time_ms >= since_ms)
    }

    /// Counts the [query events](Dataset::query_events) of `dataset`: what is known of the users who are recommended to.
    pub fn of_queries(dataset: &Dataset) -> Self {
        Self::count(dataset, |user| dataset.query_events(user), |_| true)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns_len
    }

    /// The columns of one row, and their counts.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[range.clone()], &self.counts[range])
    }

    /// Items by users from users by items, and back.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut offsets = vec![0; self.columns_len + 1];
        for &column in &self.columns {
            offsets[column as usize + 1] += 1;
        }
        for column in 0..self.columns_len {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0; self.columns.len()];
        let mut counts = vec![0.0; self.columns.len()];
        for row in 0..self.rows() {
            let (row_columns, row_counts) = self.row(row);
            for (&column, &count) in row_columns.iter().zip(row_counts) {
                let slot = &mut next[column as usize];
                columns[*slot] = row as u32;
                counts[*slot] = count;
                *slot += 1;
            }
        }
        Self { columns_len: self.rows(), offsets, columns, counts }
    }

    /// The same places with other values: `weight(row, column, count)` for each.
    #[must_use]
    pub(crate) fn map(&self, weight: impl Fn(usize, u32, f32) -> f32) -> Self {
        let mut mapped = self.clone();
        for row in 0..self.rows() {
            for place in self.offsets[row]..self.offsets[row + 1] {
                mapped.counts[place] = weight(row, self.columns[place], self.counts[place]);
            }
        }
        mapped
    }
}
