//! Numbers in bits: the lowest bit of each byte first.

/// Whole bits that one look at the bytes always gives, wherever it begins.
const LOOK: u32 = 57;

/// The width of the low part of gaps in a list of `count` of `rows` rows.
///
/// Where rows are chosen at random, a Golomb code is shortest whose divisor is the mean gap times ln 2. Powers of two make a
/// Rice code of it, which is read without division; the next higher one loses less than the next lower one.
pub(super) fn width(rows: u32, count: u32) -> u32 {
    let gaps = u64::from(rows.saturating_sub(count));
    (gaps * 7 / (u64::from(count.max(1)) * 10)).next_power_of_two().trailing_zeros()
}

/// Reads from the front.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits that were read.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bits that were read.
    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    /// The same bits, of which so many were read.
    pub(super) fn at(self, position: u64) -> Self {
        Self { at: position as usize, ..self }
    }

    /// The next bits, 57 at least; zeros behind the end.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn look(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        word >> (self.at % 8)
    }

    /// A number of up to 57 bits; nothing where it is cut.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline(never)]
    pub(super) fn bits(&mut self, width: u32) -> Option<u64> {
        let number = self.look() & ((1 << width) - 1);
        self.at += width as usize;
        (self.at <= self.bytes.len() * 8).then_some(number)
    }

    /// A Rice code: the high part as so many zeros and a one, then `width` low bits; nothing where it is cut.
    // Every list is read through this one piece of code: copies of it would be some KB of a client's download.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline(never)]
    pub(super) fn rice(&mut self, width: u32) -> Option<u64> {
        let mut high = 0;
        loop {
            let zeros = self.look().trailing_zeros();
            if zeros < LOOK {
                high += u64::from(zeros);
                self.at += zeros as usize + 1;
                return Some(high << width | self.bits(width)?);
            }
            high += u64::from(LOOK);
            self.at += LOOK as usize;
            if self.at > self.bytes.len() * 8 {
                return None;
            }
        }
    }

    /// Whether nothing is left but zeros that fill the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        self.at.div_ceil(8) == self.bytes.len() && self.look() == 0
    }
}

/// Writes what [`BitReader`] reads.
#[cfg(any(feature = "build", test))]
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that were written.
    at: usize,
}

#[cfg(any(feature = "build", test))]
impl BitWriter {
    pub(super) fn bits(&mut self, number: u64, width: u32) {
        for bit in 0..width {
            if self.at.is_multiple_of(8) {
                self.bytes.push(0);
            }
            self.bytes[self.at / 8] |= ((number >> bit & 1) as u8) << (self.at % 8);
            self.at += 1;
        }
    }

    pub(super) fn rice(&mut self, number: u64, width: u32) {
        (0..number >> width).for_each(|_| self.bits(0, 1));
        self.bits(1, 1);
        self.bits(number, width);
    }

    /// The bytes; the last one is filled with zeros.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_and_a_cut_is_noticed(
            numbers in prop::collection::vec((any::<u64>(), 0_u32..57, any::<bool>()), 0..40),
        ) {
            let mut writer = BitWriter::default();
            // A long run of zeros, too.
            let of = |(number, width, is_rice): (u64, u32, bool)| match is_rice {
                true => ((number & ((1 << width) - 1)) + ((number >> 56) << width), width),
                false => (number & ((1 << width) - 1), width),
            };
            for &item in &numbers {
                let (number, width) = of(item);
                if item.2 { writer.rice(number, width) } else { writer.bits(number, width) }
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &item in &numbers {
                let (number, width) = of(item);
                prop_assert_eq!(if item.2 { reader.rice(width) } else { reader.bits(width) }, Some(number));
            }
            prop_assert!(reader.is_at_end());
            if let [rest @ .., _] = &bytes[..] {
                let mut reader = BitReader::new(rest);
                let all = numbers.iter().all(|&(.., width, is_rice)| {
                    if is_rice { reader.rice(width).is_some() } else { reader.bits(width).is_some() }
                });
                prop_assert!(!all);
            }
        }
    }

    #[test]
    fn a_list_of_random_rows_is_near_its_entropy() {
        for one_in in [2_u32, 7, 20, 100, 4000] {
            let mut random = 1_u64;
            let mut next = move || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 33) as u32
            };
            let rows: Vec<u64> = (0..200_000).filter(|_| next().is_multiple_of(one_in)).collect();
            let (mut writer, mut from) = (BitWriter::default(), 0);
            for &row in &rows {
                writer.rice(row - from, width(200_000, rows.len() as u32));
                from = row + 1;
            }
            let share = rows.len() as f64 / 200_000.0;
            let entropy = -(share * share.log2() + (1.0 - share) * (1.0 - share).log2()) * 200_000.0 / 8.0;
            let bytes = writer.finish().len() as f64;
            assert!(bytes <= entropy * 1.06 + 8.0, "one in {one_in}: {bytes} bytes, entropy {entropy:.0}");
        }
    }
}
