//! Experiments: who sees which variant, and what the events of a shop say of the variants.
//!
//! [`Experiment`] assigns visitors, as the npm package does. A [`Log`] is what the package's outbox posted, as lines of JSON. [`report`] counts
//! per variant what was shown, clicked, put into carts and bought, compares variants with the first one, checks that visitors were split as
//! they should be, and estimates from logged propensities what another policy would have got ([`off_policy`]).
//!
//! The unit of all rates is a product in a row: an impression is a pair of row and product however often it was seen, and an action counts for the
//! pair that it names. What one visitor sees and does hangs together, so all errors are over visitors.

mod assign;
mod chart;
mod error;
mod log;
pub mod off_policy;
mod report;
mod table;

pub use assign::{Experiment, unit_of};
pub use error::ExperimentsError;
pub use log::{ACTIONS, Event, Impression, Log, Row};
pub use report::{Asked, Compared, RatioCheck, Report, VariantReport, report};
