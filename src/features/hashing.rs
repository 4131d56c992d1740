//! One hash for everything that is hashed into buckets, the same in every build.

/// FNV-1a, 64 bits (Fowler, Noll, Vo), with the finaliser of MurmurHash3 so that the low bits are usable as a bucket.
pub fn hash64(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The bucket of `text`, `0..buckets`. `buckets` must not be 0.
pub fn bucket(text: &str, buckets: u32) -> u32 {
    (hash64(text) % u64::from(buckets)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_even_and_never_change() {
        let mut counts = [0_u32; 16];
        for store in 0..16_000 {
            counts[bucket(&store.to_string(), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (900..1100).contains(&n)), "{counts:?}");
        assert_eq!([bucket("", 64), bucket("364", 64), bucket("Ünïted", 64)], [38, 18, 48]);
    }
}
