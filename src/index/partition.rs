//! Cutting vectors into cells of nearly equal size: k-means (Lloyd, 1982) with a capacity.
//!
//! Equal inputs give equal cells for any number of threads: rows are compared in blocks that do not depend on it, and means
//! are summed in the order of the rows.

use rayon::prelude::*;

use super::metric::in_metric_of;
use super::random::shuffled;
use crate::kernels::dot_f32;
use crate::kernels::gemm::{MatrixRef, gemm_f32};

/// How vectors are cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionParams {
    /// Cells to aim at; fewer come out where there are too few vectors. 1 and up.
    pub cells: usize,
    /// The largest cell, in means. Measured at 100 cells of 100,000 vectors: 1.5 finds as much as no limit does, 1.1 loses
    /// a hundredth of recall at two probes. Above 1, at most 2.
    pub largest: f32,
    /// The smallest cell, in means: smaller ones are dissolved. 0 to 0.5.
    pub smallest: f32,
    /// Decides which vectors the centroids start from.
    pub seed: u64,
}

/// Cells of vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// The mean of each cell, row-major.
    pub centroids: Vec<f32>,
    /// The cell of each vector.
    pub cells: Vec<u32>,
}

/// Rounds over the sample.
const ROUNDS: usize = 8;
/// Vectors per cell of the sample that the centroids are trained on.
const SAMPLE: usize = 48;
/// Vectors whose products with all centroids are computed at a time.
const BLOCK: usize = 128;
/// Cells that a vector may end up in before all are asked.
const CHOICES: usize = 8;

/// Cuts `vectors`, row-major with `dim` columns, of any norm and all finite; in the metric of `queries`, of the same form, if
/// there are any.
pub fn partition(vectors: &[f32], queries: &[f32], dim: usize, params: &PartitionParams) -> Partition {
    let count = vectors.len() / dim;
    let cells = params.cells.clamp(1, count.max(1));
    if cells == 1 {
        let all = vec![0; count];
        return Partition { centroids: means(vectors, dim, &all, 1), cells: all };
    }
    let turned = (!queries.is_empty()).then(|| in_metric_of(queries, vectors, dim));
    let points = turned.as_deref().unwrap_or(vectors);
    let centroids = train(points, dim, cells, params.seed);
    let mut assigned = balance(points, dim, &centroids, params);
    // Means of what the cells hold in the end: residuals are smallest against those.
    let kept = renumber(&mut assigned);
    Partition { centroids: means(vectors, dim, &assigned, kept), cells: assigned }
}

/// Centroids from a sample.
fn train(vectors: &[f32], dim: usize, cells: usize, seed: u64) -> Vec<f32> {
    let count = vectors.len() / dim;
    let mut sample = shuffled(count, seed);
    sample.truncate((cells * SAMPLE).max(cells));
    let start: Vec<f32> = sample[..cells].iter().flat_map(|&row| row_of(vectors, dim, row)).copied().collect();
    // Reading the sample in the order of the rows keeps its sums independent of the shuffle's.
    sample.sort_unstable();
    let sample: Vec<f32> = sample.iter().flat_map(|&row| row_of(vectors, dim, row)).copied().collect();
    let mut centroids = start;
    for _ in 0..ROUNDS {
        let nearest: Vec<u32> = choices(&sample, dim, &centroids, 1).into_iter().map(|choice| choice.cell).collect();
        let next = means(&sample, dim, &nearest, cells);
        let sizes = sizes(&nearest, cells);
        revive(&mut centroids, next, &sizes, dim);
    }
    centroids
}

/// Takes over the means; a cell that nothing is nearest to moves beside the largest one, so that both share it.
fn revive(centroids: &mut Vec<f32>, mut next: Vec<f32>, sizes: &[u32], dim: usize) {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|&cell| (std::cmp::Reverse(sizes[cell]), cell));
    let empty = (0..sizes.len()).filter(|&cell| sizes[cell] == 0);
    for (cell, &largest) in empty.zip(&by_size) {
        for column in 0..dim {
            let (mean, old) = (next[largest * dim + column], centroids[largest * dim + column]);
            // Its mean and where it came from lie apart, the nearer the rounds come to an end the closer.
            next[cell * dim + column] =
                mean + (old - mean) * 0.5 + if column % 2 == 0 { 1e-4 } else { -1e-4 } * mean.abs();
        }
    }
    *centroids = next;
}

/// A cell that a vector may go to.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Choice {
    /// `x·c - |c|²/2`: larger is nearer.
    score: f32,
    cell: u32,
}

/// What stands where no score is a number, as for vectors whose squares overflow: some cell.
const NOWHERE: Choice = Choice { score: f32::NEG_INFINITY, cell: 0 };

/// For each vector, the `count` nearest cells, the nearest first, ties by cell.
fn choices(vectors: &[f32], dim: usize, centroids: &[f32], count: usize) -> Vec<Choice> {
    let cells = centroids.len() / dim;
    let halves: Vec<f32> = centroids.chunks_exact(dim).map(|row| dot_f32(row, row) / 2.0).collect();
    let mut chosen = vec![NOWHERE; vectors.len() / dim * count];
    chosen.par_chunks_mut(BLOCK * count).zip(vectors.par_chunks(BLOCK * dim)).for_each_init(
        || vec![0.0; BLOCK * cells],
        |products, (chosen, rows)| {
            let rows_here = rows.len() / dim;
            let products = &mut products[..rows_here * cells];
            let by_column = MatrixRef::row_major(centroids, dim).transposed();
            gemm_f32([rows_here, cells, dim], products, 1.0, MatrixRef::row_major(rows, dim), by_column);
            for (chosen, products) in chosen.chunks_exact_mut(count).zip(products.chunks_exact(cells)) {
                for (cell, (product, half)) in products.iter().zip(&halves).enumerate() {
                    let score = product - half;
                    if score > chosen[count - 1].score {
                        let at = chosen.partition_point(|choice| choice.score >= score);
                        chosen[at..].rotate_right(1);
                        chosen[at] = Choice { score, cell: cell as u32 };
                    }
                }
            }
        },
    );
    chosen
}

/// Gives each vector the nearest cell that has room, those with most to lose first, and dissolves cells that stay too small.
fn balance(vectors: &[f32], dim: usize, centroids: &[f32], params: &PartitionParams) -> Vec<u32> {
    let (count, cells) = (vectors.len() / dim, centroids.len() / dim);
    let mean = count as f32 / cells as f32;
    let cap = ((mean * params.largest) as u32).max(mean.ceil() as u32);
    let floor = (mean * params.smallest) as u32;
    let width = CHOICES.min(cells);
    let chosen = choices(vectors, dim, centroids, width);
    let choices_of = |row: u32| &chosen[row as usize * width..][..width];
    let margin = |row: u32| choices_of(row)[0].score - choices_of(row)[1].score;
    let mut rows: Vec<u32> = (0..count as u32).collect();
    rows.par_sort_unstable_by(|&a, &b| margin(b).total_cmp(&margin(a)).then(a.cmp(&b)));

    let mut state = State { sizes: vec![0; cells], closed: vec![false; cells], cap };
    let mut assigned = vec![0; count];
    let place = |state: &mut State, row: u32| {
        let near = choices_of(row).iter().map(|choice| choice.cell).find(|&cell| state.has_room(cell));
        let cell = near.or_else(|| state.nearest_with_room(row_of(vectors, dim, row), centroids))?;
        state.sizes[cell as usize] += 1;
        Some(cell)
    };
    for &row in &rows {
        // All cells together have room for more than all vectors.
        assigned[row as usize] = place(&mut state, row).unwrap_or(0);
    }
    for cell in 0..cells {
        state.closed[cell] = state.sizes[cell] < floor;
    }
    for &row in &rows {
        if state.closed[assigned[row as usize] as usize] {
            // Where the cells that stay are full, a small one keeps what it has.
            assigned[row as usize] = place(&mut state, row).unwrap_or(assigned[row as usize]);
        }
    }
    assigned
}

/// How full cells are.
struct State {
    sizes: Vec<u32>,
    closed: Vec<bool>,
    cap: u32,
}

impl State {
    fn has_room(&self, cell: u32) -> bool {
        !self.closed[cell as usize] && self.sizes[cell as usize] < self.cap
    }

    fn nearest_with_room(&self, vector: &[f32], centroids: &[f32]) -> Option<u32> {
        let open = (0..self.sizes.len() as u32).filter(|&cell| self.has_room(cell));
        let score = |cell: u32| {
            let centroid = row_of(centroids, vector.len(), cell);
            dot_f32(vector, centroid) - dot_f32(centroid, centroid) / 2.0
        };
        open.max_by(|&a, &b| score(a).total_cmp(&score(b)).then(b.cmp(&a)))
    }
}

/// The nearest of `centroids` to each of `vectors`, both row-major with `dim` columns, as [`partition`] measures it.
pub(crate) fn nearest(vectors: &[f32], centroids: &[f32], queries: &[f32], dim: usize) -> Vec<u32> {
    let turned = |rows: &[f32]| if queries.is_empty() { rows.to_vec() } else { in_metric_of(queries, rows, dim) };
    choices(&turned(vectors), dim, &turned(centroids), 1).iter().map(|choice| choice.cell).collect()
}

fn row_of(vectors: &[f32], dim: usize, row: u32) -> &[f32] {
    &vectors[row as usize * dim..][..dim]
}

fn sizes(cells: &[u32], count: usize) -> Vec<u32> {
    let mut sizes = vec![0; count];
    cells.iter().for_each(|&cell| sizes[cell as usize] += 1);
    sizes
}

/// Numbers the cells that hold anything from 0, in their order; how many there are.
fn renumber(cells: &mut [u32]) -> usize {
    let highest = cells.iter().max().map_or(0, |&cell| cell as usize + 1);
    let mut numbers = sizes(cells, highest);
    let mut next = 0;
    for number in &mut numbers {
        let held = *number > 0;
        *number = next;
        next += u32::from(held);
    }
    cells.iter_mut().for_each(|cell| *cell = numbers[*cell as usize]);
    next as usize
}

/// The rows of each cell, in order, behind one another.
pub(super) fn grouped(cells: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut ends = sizes(cells, count);
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut rows = vec![0; cells.len()];
    let mut next = ends.clone();
    for (row, &cell) in cells.iter().enumerate().rev() {
        next[cell as usize] -= 1;
        rows[next[cell as usize] as usize] = row as u32;
    }
    (rows, ends)
}

/// The mean of each cell, summed in the order of the rows; zeros for an empty one.
fn means(vectors: &[f32], dim: usize, cells: &[u32], count: usize) -> Vec<f32> {
    let (rows, ends) = grouped(cells, count);
    let mut means = vec![0.0; count * dim];
    means.par_chunks_mut(dim).enumerate().for_each(|(cell, mean)| {
        let start = cell.checked_sub(1).map_or(0, |before| ends[before] as usize);
        let rows = &rows[start..ends[cell] as usize];
        for &row in rows {
            mean.iter_mut().zip(row_of(vectors, dim, row)).for_each(|(mean, x)| *mean += x);
        }
        mean.iter_mut().for_each(|mean| *mean /= rows.len().max(1) as f32);
    });
    means
}

#[cfg(test)]
mod tests {
    use super::super::testing::mixture;
    use super::*;

    fn params(cells: usize, seed: u64) -> PartitionParams {
        PartitionParams { cells, largest: 1.5, smallest: 0.1, seed }
    }

    #[test]
    fn cells_are_balanced_and_hold_what_is_near() {
        for seed in [1, 2, 3] {
            let (vectors, _) = mixture(seed, 6000, 1, 24);
            let Partition { centroids, cells } = partition(&vectors, &[], 24, &params(60, seed));
            let sizes = sizes(&cells, centroids.len() / 24);
            let mean = 6000.0 / sizes.len() as f32;
            let (smallest, largest) = (*sizes.iter().min().unwrap() as f32, *sizes.iter().max().unwrap() as f32);
            assert!(largest <= 2.0 * mean && smallest >= 0.1 * mean, "seed {seed}: {smallest} to {largest} of {mean}");
            let nearest = choices(&vectors, 24, &centroids, 1);
            let at_home = nearest.iter().zip(&cells).filter(|(choice, cell)| choice.cell == **cell).count();
            assert!(at_home > 4500, "seed {seed}: {at_home} of 6000 are in their nearest cell");
        }
    }

    #[test]
    fn a_cell_that_stays_too_small_is_dissolved_where_others_have_room() {
        let mut vectors = [[1.0, 0.0], [0.0, 1.0]].repeat(50).concat();
        vectors.extend([5.0, 4.0]);
        let centroids = [1.0, 0.0, 0.0, 1.0, 5.0, 4.0];
        let sizes_with =
            |largest| sizes(&balance(&vectors, 2, &centroids, &PartitionParams { largest, ..params(3, 1) }), 3);
        assert_eq!(sizes_with(2.0), [51, 50, 0]);
        // Up to 34 vectors each: 33 of the 101 have to stay in the third.
        assert_eq!(sizes_with(1.0), [34, 34, 33]);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (vectors, _) = mixture(7, 3000, 1, 16);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| partition(&vectors, &[], 16, &params(40, 7)))
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }

    #[test]
    fn few_and_equal_vectors_are_no_exception() {
        for (count, cells) in [(0, 4), (1, 4), (2, 4), (100, 4), (1499, 3)] {
            let Partition { centroids, cells } = partition(&vec![1.0; count * 3], &[], 3, &params(cells, 1));
            assert_eq!(cells.len(), count);
            assert!(cells.iter().all(|&cell| (cell as usize) < centroids.len() / 3));
            assert!(centroids.iter().all(|x| x.is_finite()));
        }
    }
}
