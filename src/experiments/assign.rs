//! Which variant a visitor sees: the same on a page, on a server and in a simulation.

/// The place of a visitor between 0 and 1, in steps of 1/10,000: version 2 of the hash of GrowthBook, so that its SDKs on servers assign the same.
///
/// FNV-1a of 32 bits over salt and visitor, written as a decimal number and hashed again; the remainder by 10,000. As in JavaScript, hashed are
/// UTF-16 code units.
pub fn unit_of(salt: &str, visitor: &str) -> f64 {
    let first = fnv32(salt.encode_utf16().chain(visitor.encode_utf16()));
    f64::from(fnv32(first.to_string().encode_utf16()) % 10_000) / 10_000.0
}

fn fnv32(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0x811c_9dc5, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193))
}

/// Variants and the shares of the visitors that see them.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its name, and the salt of the hash.
    pub name: String,
    /// Names and shares, which sum to 1 at most; the rest of the visitors sees none of them.
    pub variants: Vec<(String, f64)>,
}

impl Experiment {
    /// The place of a visitor's variant; none for who does not take part.
    pub fn variant_of(&self, visitor: &str) -> Option<usize> {
        let unit = unit_of(&self.name, visitor);
        let mut end = 0.0;
        self.variants.iter().position(|(_, share)| {
            end += share;
            unit < end
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_are_where_growthbook_and_the_package_put_them() {
        // The same lines are in pkg-js/tests/experiment.test.mjs.
        for (salt, visitor, unit) in [
            ("seed", "a", 0.0505),
            ("seed", "b", 0.2696),
            ("foo", "ab", 0.2575),
            ("foo", "def", 0.2019),
            ("row order", "6f1c2d0e-8f0b-4a52-9d0c-0d6f2f3c1a77", 0.7806),
            ("Größe", "жена 7", 0.6089),
        ] {
            assert_eq!(unit_of(salt, visitor), unit, "{salt} {visitor}");
            let below =
                Experiment { name: salt.to_owned(), variants: vec![("none".into(), 0.0), ("below".into(), unit)] };
            assert_eq!(below.variant_of(visitor), None, "who stands where a variant ends is not in it");
        }
    }

    #[test]
    fn shares_are_kept_and_the_rest_takes_no_part() {
        let experiment = Experiment {
            name: "test".to_owned(),
            variants: vec![("a".to_owned(), 0.5), ("b".to_owned(), 0.2), ("c".to_owned(), 0.1)],
        };
        let mut counts = [0.0; 4];
        for visitor in 0..20_000 {
            counts[experiment.variant_of(&format!("visitor {visitor}")).unwrap_or(3)] += 1.0;
        }
        let (statistic, p) = crate::evaluate::chi_squared(&counts, &[0.5, 0.2, 0.1, 0.2]);
        assert!(p > 0.001, "{counts:?}: {statistic}");
        let thirds =
            Experiment { name: "x".into(), variants: ["a", "b", "c"].map(|name| (name.into(), 1.0 / 3.0)).into() };
        assert!((0..20_000).all(|visitor| thirds.variant_of(&visitor.to_string()).is_some()));
    }
}
