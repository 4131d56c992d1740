//! Where training queries come from.

use super::moments::Moments;
use super::sampler::{Drawn, Sampler};
use super::sequences::Sequences;
use crate::data::config::Examples;
use crate::towers::TowerError;

/// Where training queries come from.
pub(super) enum Source<'d> {
    Baskets(Sampler<'d>),
    Sequences(Sequences<'d>),
}

impl<'d> Source<'d> {
    pub(super) fn new(moments: Moments<'d>) -> Result<Self, TowerError> {
        let source = match moments.config.examples {
            Examples::Baskets => Sampler::new(moments).map(Self::Baskets),
            Examples::Sequences => Sequences::new(moments).map(Self::Sequences),
        };
        source.ok_or_else(|| TowerError::Train {
            what: "training events",
            found: "none".to_owned(),
            expected: "events before split.test_from".to_owned(),
            remedy: "check the split and what `nearshelf prepare` rejected",
        })
    }

    pub(super) fn step(&self, step: usize) -> Drawn {
        match self {
            Self::Baskets(baskets) => baskets.step(step),
            Self::Sequences(sequences) => sequences.step(step),
        }
    }

    /// Tokens of a row that is drawn whole; 0 where none is.
    pub(super) fn row_length(&self) -> usize {
        match self {
            Self::Baskets(_) => 0,
            Self::Sequences(sequences) => sequences.length(),
        }
    }
}
