//! Numbers that look random and are the same everywhere.

/// `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(pub(crate) u64);

/// What the state grows by at each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// Number `n` of those from `seed`, counted from 0: no two of one seed are equal.
    #[cfg(feature = "build")]
    pub(crate) fn nth(seed: u64, n: u32) -> u64 {
        Self(seed.wrapping_add(u64::from(n).wrapping_mul(STEP))).next()
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The numbers below `count` in an order that `seed` decides (Fisher and Yates).
#[cfg(feature = "build")]
pub(crate) fn shuffled(count: usize, seed: u64) -> Vec<u32> {
    let mut random = SplitMix64(seed);
    let mut numbers: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        // The modulus favours small numbers by less than one in 2^32, which a sample does not notice.
        numbers.swap(last, (random.next() % (last as u64 + 1)) as usize);
    }
    numbers
}
