//! Who did what, and how: the matrix of users and items, and its factorisation.
//!
//! Training may start from the item vectors of a factorisation (`towers/train`), and evaluation has it as the baseline that is
//! hardest to beat. [`Interactions`] is the matrix, [`Weighting`] turns its counts into strengths of interest, [`Als`]
//! factorises it.

mod als;
mod interactions;
mod inverse;
mod solve;
#[cfg(test)]
pub(crate) mod testing;
mod weighting;

use indicatif::{ProgressBar, ProgressStyle};

pub use als::{Als, AlsParams, FoldIn};
pub use interactions::Interactions;
pub(crate) use inverse::inverse;
pub use weighting::Weighting;

/// A bar on the error output; nothing where that is no terminal.
pub(crate) fn progress(what: &str, len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(len as u64).with_message(what.to_owned());
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
