//! Dropout (Srivastava et al. 2014) whose choices follow from seed and step alone, on any number of threads.

/// The choices of one step.
#[derive(Debug, Clone)]
pub(crate) struct Dropout {
    share: f32,
    state: u64,
}

impl Dropout {
    /// For one step of a training; none at all with a share of 0.
    pub(crate) fn new(share: f32, seed: u64, step: usize) -> Option<Self> {
        let state = mixed(seed ^ mixed(step as u64 + 1));
        (share > 0.0).then_some(Self { share, state })
    }

    /// Factors for so many numbers: 0 for what is left out, and what keeps the mean for the rest.
    pub(crate) fn factors(&mut self, count: usize) -> Vec<f32> {
        let (from, keep) = (self.state, 1.0 / (1.0 - self.share));
        self.state = mixed(self.state);
        let limit = (f64::from(self.share) * f64::from(u32::MAX)) as u32;
        // One mix gives the choices of two numbers.
        let choices = (0..count.div_ceil(2) as u64).flat_map(|at| {
            let bits = mixed(from.wrapping_add(at));
            [bits as u32, (bits >> 32) as u32]
        });
        choices.take(count).map(|bits| if bits < limit { 0.0 } else { keep }).collect()
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_left_out_and_the_mean_stays() {
        let mut dropout = Dropout::new(0.3, 7, 5).unwrap();
        let first = dropout.factors(100_001);
        let zeros = first.iter().filter(|factor| **factor == 0.0).count();
        assert!((29_400..30_600).contains(&zeros), "{zeros}");
        let mean = first.iter().sum::<f32>() / first.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert_ne!(dropout.factors(100_001), first);
        assert_eq!(Dropout::new(0.3, 7, 5).unwrap().factors(100_001), first);
        assert_ne!(Dropout::new(0.3, 7, 6).unwrap().factors(100_001), first);
        assert!(Dropout::new(0.0, 7, 5).is_none());
    }
}
