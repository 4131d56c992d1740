//! Reading little-endian files that may be cut or damaged: every read is checked.

/// A file that ends before a part of it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truncated {
    /// The part that is cut.
    pub(crate) what: &'static str,
    /// Bytes that it needs.
    pub(crate) need: usize,
    /// Bytes that are left.
    pub(crate) have: usize,
}

/// Reads from the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline(never)]
    pub(crate) fn take(&mut self, need: usize, what: &'static str) -> Result<&'a [u8], Truncated> {
        let have = self.rest.len();
        let (taken, rest) = self.rest.split_at_checked(need).ok_or(Truncated { what, need, have })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Truncated> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    #[inline(never)]
    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Truncated> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Truncated> {
        self.array(what).map(u16::from_le_bytes)
    }

    #[inline(never)]
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Truncated> {
        self.array(what).map(u32::from_le_bytes)
    }
}

/// Appends a number as LEB128: seven bits to a byte, the lowest first, the top bit set in all but the last.
pub(crate) fn put_varint(number: u32, bytes: &mut Vec<u8>) {
    put_varint_u64(number.into(), bytes);
}

/// [`put_varint`] of a longer number.
pub(crate) fn put_varint_u64(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads a number from the front of `bytes`; nothing if it is cut, longer than 32 bits, or in more bytes than it takes.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = read_varint_u64(bytes)?;
    Some((u32::try_from(number).ok()?, rest))
}

/// Reads a number from the front of `bytes`; nothing if it is cut, longer than 64 bits, or in more bytes than it takes.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
pub(crate) fn read_varint_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if at == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * at);
        if byte < 0x80 {
            // A last byte of zero would say the same in more bytes.
            return (byte > 0 || at == 0).then(|| (number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_of_any_size_come_back(numbers in prop::collection::vec(any::<u64>().prop_map(|x| x >> (x % 64)), 0..20)) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|&number| put_varint_u64(number, &mut bytes));
            let mut rest = &bytes[..];
            for &number in &numbers {
                let (found, after) = read_varint_u64(rest).unwrap();
                prop_assert_eq!(found, number);
                prop_assert_eq!(read_varint(rest).is_some(), u32::try_from(number).is_ok());
                rest = after;
            }
            prop_assert_eq!(rest, &[0u8; 0]);
        }
    }

    #[test]
    fn what_is_cut_or_longer_than_need_be_is_no_number() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0x80, 0],
            &[0x81, 0x80, 0],
            &[0xff; 9],
            &[0xff; 12],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2],
        ] {
            assert_eq!(read_varint_u64(bytes), None, "{bytes:02x?}");
        }
    }
}
