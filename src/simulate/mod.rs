//! A shop's funnel, invented over a real catalogue: what was shown, clicked, put into carts and bought, with the true probabilities.
//!
//! Real sets with impressions, clicks, carts and purchases of one catalogue are not to be had here. So shoppers are modelled on the real
//! users of a prepared data set: they love the shelves and brands that they bought from, more or less (`shoppers`), and are shown slates
//! as a shop without a recommender would fill them (`slates`). Each impression is clicked, put into the cart and bought by
//! logistic models of what it is to the shopper, a model per step (`truth`): related, and not equal.
//!
//! What comes out is synthetic. It shows whether a model learns what is there to be learned, and says nothing about a shop: all files say
//! so. It is the same for the same data and seed, on any number of threads and any machine.

pub mod ab;
mod error;
mod shoppers;
mod slates;
#[cfg(test)]
pub(crate) mod testing;
mod truth;
mod write;

use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::{Dataset, Impression, Task, Truth};
use crate::features::shelves::Shelves;

pub use error::SimulateError;
use shoppers::Shopper;
use slates::Window;
pub use truth::Weights;
pub use write::{SYNTHETIC, files, write};

/// What is simulated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelParams {
    /// Every random choice follows from it.
    pub seed: u64,
    /// Shoppers, each modelled on a real user of its own.
    pub shoppers: usize,
    /// Slates that each of them sees.
    pub slates: usize,
    /// Items of a slate.
    pub slots: u16,
    /// Days that the slates are spread over, from the end of the training events on.
    pub days: i64,
    /// How clicks, carts and purchases come about, in the order of [`Task::ALL`].
    pub weights: [Weights; 3],
}

impl FunnelParams {
    /// A month of slates for so many shoppers.
    pub fn new(seed: u64, shoppers: usize) -> Self {
        Self { seed, shoppers, slates: 10, slots: 12, days: 28, weights: Weights::FUNNEL }
    }
}

/// What was simulated: the rows in order of time, and the truth of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Funnel {
    /// What was shown and done.
    pub impressions: Vec<Impression>,
    /// How probable that was.
    pub truth: Truth,
}

impl Funnel {
    /// Impressions that reached a step of the funnel.
    pub fn count(&self, task: Task) -> usize {
        self.impressions.iter().filter(|impression| impression.reached(task)).count()
    }
}

/// Simulates a funnel over the catalogue and the histories of a data set.
///
/// # Errors
/// [`SimulateError`] if there are fewer users with training events, or no item to show.
pub fn funnel(dataset: &Dataset, params: &FunnelParams) -> Result<Funnel, SimulateError> {
    let users = chosen(dataset, params)?;
    let shelves = Shelves::of(&dataset.items);
    let window = Window::of(dataset, params)?;
    let bar = ProgressBar::new(users.len() as u64);
    let style = ProgressStyle::with_template("simulate {wide_bar} {pos}/{len} shoppers {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let of_user = |&user: &u32| {
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        rng.set_stream(1 + u64::from(user));
        let shopper = Shopper::of(dataset, &shelves, user, &mut rng);
        let rows = window.slates(&shopper, &mut rng);
        bar.inc(1);
        rows
    };
    let mut rows: Vec<(Impression, [f64; 3])> = users.par_iter().map(of_user).flatten_iter().collect();
    bar.finish_and_clear();
    rows.sort_by_key(|(row, _)| (row.time_ms, row.user, row.position));
    rows.iter_mut().zip(0..).for_each(|((row, _), place)| row.row = place);
    let (impressions, truth) = rows.into_iter().unzip();
    Ok(Funnel { impressions, truth: Truth { rows: truth } })
}

/// The users that shoppers are modelled on, in their order.
fn chosen(dataset: &Dataset, params: &FunnelParams) -> Result<Vec<u32>, SimulateError> {
    let all = 0..dataset.users.len() as u32;
    let mut users: Vec<u32> = all.filter(|user| !dataset.training_events(*user).is_empty()).collect();
    if params.shoppers == 0 || params.shoppers > users.len() {
        return Err(SimulateError::Shoppers { found: params.shoppers, most: users.len() });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    for place in 0..params.shoppers {
        let other = rng.random_range(place..users.len());
        users.swap(place, other);
    }
    users.truncate(params.shoppers);
    users.sort_unstable();
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::shop;

    #[test]
    fn more_shoppers_than_users_are_refused() {
        let error = funnel(&shop(7, 20), &FunnelParams::new(1, 21)).unwrap_err().to_string();
        assert!(error.contains("found 21 shoppers, expected 1 to 20"), "{error}");
    }

    #[test]
    fn what_happens_is_as_frequent_as_the_truth_says_and_the_same_on_any_number_of_threads() {
        let (data, seed) = (shop(7, 300), 3);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| funnel(&data, &FunnelParams::new(seed, 300)).unwrap())
        };
        let found = run(1);
        assert!(found == run(3), "seed {seed}: threads matter");
        assert_eq!(found.impressions.len(), 300 * 10 * 12);
        for task in Task::ALL {
            let expected: f64 = found.truth.rows.iter().map(|row| row[task as usize]).sum();
            let variance: f64 =
                found.truth.rows.iter().map(|row| row[task as usize] * (1.0 - row[task as usize])).sum();
            let deviation = (found.count(task) as f64 - expected).abs() / variance.sqrt();
            assert!(deviation < 4.0, "seed {seed}, {}: {deviation} standard deviations", task.name());
        }
        assert!(found.truth.rows.iter().all(|[click, cart, purchase]| click > cart && cart > purchase));
    }

    #[test]
    fn slates_hold_no_item_twice() {
        let found = funnel(&shop(7, 50), &FunnelParams::new(2, 50)).unwrap();
        let mut seen: Vec<_> = found.impressions.iter().map(|row| (row.user, row.time_ms, row.item)).collect();
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
