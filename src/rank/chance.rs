//! What a row leaves to chance, and what it takes back of what was shown in vain.
//!
//! [`rotated`] lets fall what was shown and not followed by anything, [`dithered`] mixes the order a little, [`explored`] gives some slots to
//! what would not be shown otherwise and says how probable each product of the row was. All of it follows from the visit's seed and the ids,
//! by whole numbers and single-precision sums and products: the same everywhere.
//!
//! # Exploration
//! `exploration` is a budget: the share of the open slots of a row that is given to a draw, on average over visits. Open are all slots but the
//! first, which opens at 1 only, and those of pins. Of a row of `open` slots that would hold `row`, with a pool of `n` products that would come
//! next, `min(exploration * open, n)` slots are explored: its whole part always, one more with the probability of the rest. Which of the open slots,
//! and which of the pool, are draws without replacement where all are equally probable; the drawn ones stand in random order. So, given the
//! candidates and the order that dithering gave them, the probability that a product is in the row (its propensity) is
//!
//! - 1 in a slot that is not open,
//! - `1 - slots / open` of what would be in the row anyway, with `slots` the mean number of explored slots, and then it is in its own slot,
//! - `slots / n` of the pool, with every open slot equally probable.

use super::arrange::{Arranged, order};

/// The pool of a draw is what would be in the row if it had so many times as many slots more.
pub const POOL: usize = 4;

/// Times after which a value does not fall any further: nothing is left of it that a list would tell apart.
const MOST_TIMES: u32 = 64;

/// Lets chance change an order: place `n` becomes `ln(n) + strength * noise`, with noise of mean 0 and standard deviation 1, and the
/// candidates take over the values of the places that they come to (dithering, Dunning and Friedman 2014). The noise depends on
/// `seed` and id alone, so that a visit has one order. `strength` is 0 to 1; at 1, places within a factor of about 3 mix.
pub fn dithered(candidates: &mut [Arranged], strength: f32, seed: u64) {
    if strength <= 0.0 {
        return;
    }
    let values: Vec<f32> = candidates.iter().map(|candidate| candidate.value).collect();
    for (place, candidate) in (1_u16..).zip(&mut *candidates) {
        candidate.value = -(libm::logf(place.into()) + strength * noise(&candidate.candidate.id, seed));
    }
    order(candidates);
    candidates.iter_mut().zip(values).for_each(|(candidate, value)| candidate.value = value);
}

/// Lets values fall with every time that their product was shown since the shopper last did something with it: `value *= (1 - rotation)`, so
/// often. What boosts bury below 0 stays there. `rotation` is 0 to 1; at 1, what was shown once comes last.
pub fn rotated(candidates: &mut [Arranged], rotation: f32, shown: &[(String, u32)]) {
    if rotation <= 0.0 {
        return;
    }
    for candidate in candidates {
        let Some((_, times)) = shown.iter().find(|(id, _)| *id == candidate.candidate.id) else { continue };
        for _ in 0..(*times).min(MOST_TIMES) {
            if candidate.value > 0.0 {
                candidate.value *= 1.0 - rotation;
            }
        }
    }
}

/// Gives slots of a row to draws from a pool, as the module says. `row` holds the row of `limit` products and, behind it, what would come next,
/// in an order of which every part keeps the caps; what is left is the row.
pub fn explored(row: &mut Vec<Arranged>, limit: usize, exploration: f32, seed: u64) {
    if exploration > 0.0 {
        let limit = limit.min(row.len());
        draw(row, limit, exploration, seed);
    }
    row.truncate(limit);
}

fn draw(row: &mut [Arranged], limit: usize, exploration: f32, seed: u64) {
    let fixed = usize::from(exploration < 1.0);
    let (mut open, mut pool) = (Vec::new(), Vec::new());
    for (place, Arranged { candidate, slot, .. }) in row.iter().enumerate() {
        let places = if place < limit { &mut open } else { &mut pool };
        // A pin's slot is its own, or lies beyond this row.
        if place >= fixed && slot.is_none() && !candidate.is_pinned {
            places.push((key(&candidate.id, seed, 2), place));
        }
    }
    let slots = (exploration * open.len() as f32).min(pool.len() as f32);
    let whole = slots as usize;
    // A row of its own kind has a draw of its own in a visit, and the same row the same one.
    let first = row.first().map_or(0, |first| key(&first.candidate.id, seed, 1));
    let drawn = whole + usize::from(unit(first) < slots - whole as f32);
    for one in &mut row[..limit] {
        one.candidate.propensity = Some(1.0);
    }
    for &(_, place) in &open {
        row[place].candidate.propensity = Some(1.0 - slots / open.len() as f32);
    }
    let chance = slots / pool.len() as f32;
    for at in 0..drawn.min(open.len()).min(pool.len()) {
        let (place, from) = (least(&mut open, at), least(&mut pool, at));
        row.swap(place, from);
        row[place].candidate.propensity = Some(chance);
        row[place].candidate.instead_of = Some(std::mem::take(&mut row[from].candidate.id));
    }
}

/// Moves the least key from `at` on there, and gives its place: one after the other, a draw without replacement.
fn least(places: &mut [(u64, usize)], at: usize) -> usize {
    for other in at + 1..places.len() {
        if places[other] < places[at] {
            places.swap(at, other);
        }
    }
    places[at].1
}

/// A number that looks random and follows from an id, the visit's seed and what it is for.
fn key(id: &str, seed: u64, purpose: u64) -> u64 {
    let mut hash = crate::features::hashing::hash64(id)
        ^ (seed.wrapping_mul(4).wrapping_add(purpose)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// 0 to 1, from the upper bits.
fn unit(key: u64) -> f32 {
    (key >> 40) as f32 / 16_777_216.0
}

/// The sum of four uniform numbers, moved and scaled to mean 0 and deviation 1: near enough to a normal one, and the same everywhere.
fn noise(id: &str, seed: u64) -> f32 {
    // Of a uniform number from 0 to 65,535 the variance is 65,536 squared by 12.
    const DEVIATION: f32 = 37_837.23;
    let mut hash = crate::features::hashing::hash64(id) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^= hash >> 32;
    let sum: u32 = (0..4).map(|part| u32::from((hash >> (16 * part)) as u16)).sum();
    (sum as f32 - 131_070.0) / DEVIATION
}

#[cfg(test)]
mod tests {
    use super::super::Candidate;
    use super::*;

    fn candidate(id: &str, value: f32) -> Arranged {
        let candidate = Candidate { id: id.to_owned(), score: value, ..Candidate::default() };
        Arranged { candidate, value, ..Arranged::default() }
    }

    fn many(count: u8) -> Vec<Arranged> {
        (0..count).map(|n| candidate(&n.to_string(), 1.0 - f32::from(n) / 200.0)).collect()
    }

    #[test]
    fn chance_is_the_same_for_a_seed_and_keeps_the_values_of_the_places() {
        let dither = |strength, seed| {
            let mut list = many(200);
            dithered(&mut list, strength, seed);
            list
        };
        assert_eq!(dither(0.0, 1), many(200));
        assert_eq!(dither(0.5, 1), dither(0.5, 1));
        assert_ne!(dither(0.5, 1), dither(0.5, 2));
        let (list, before) = (dither(0.5, 3), many(200));
        assert!(list.iter().zip(&before).all(|(a, b)| a.value == b.value));
        // What is far apart stays apart: the best of 200 stay before the last half.
        let place = |id: &str| list.iter().position(|one| one.candidate.id == id).unwrap();
        assert!(place("0") < 20 && place("199") > 50, "{} {}", place("0"), place("199"));
        let noises: Vec<f32> = (0..4000).map(|n| noise(&n.to_string(), 9)).collect();
        let mean = noises.iter().sum::<f32>() / 4000.0;
        let variance = noises.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 4000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
    }

    #[test]
    fn what_was_shown_in_vain_falls_by_as_much_every_time() {
        let mut list = many(4);
        list[3].value = -0.5;
        let shown = [("0".to_owned(), 2), ("3".to_owned(), 5), ("other".to_owned(), 9)];
        rotated(&mut list, 0.5, &shown);
        assert_eq!(list.iter().map(|one| one.value).collect::<Vec<_>>(), [0.25, 0.995, 0.99, -0.5]);
        rotated(&mut list, 1.0, &[("1".to_owned(), u32::MAX)]);
        assert_eq!(list[1].value, 0.0);
    }

    /// How often each of 30 products, of which 6 have a slot, is in each slot over so many visits; and its propensity.
    fn visits(exploration: f32, products: u8, pinned: Option<usize>, seeds: u64) -> (Vec<[f64; 6]>, Vec<Option<f32>>) {
        let mut counts = vec![[0.0; 6]; usize::from(products)];
        let mut propensities = vec![None; usize::from(products)];
        for seed in 0..seeds {
            let mut row = many(products);
            if let Some(pinned) = pinned {
                row[pinned].candidate.is_pinned = true;
            }
            explored(&mut row, 6, exploration, seed);
            assert!(row.len() == 6.min(usize::from(products)), "seed {seed}");
            for (slot, one) in row.iter().enumerate() {
                let at: usize = one.candidate.id.parse().unwrap();
                counts[at][slot] += 1.0 / seeds as f64;
                let known = propensities[at].get_or_insert(one.candidate.propensity.unwrap());
                assert_eq!(Some(*known), one.candidate.propensity, "seed {seed}");
                assert_eq!(one.candidate.instead_of.as_deref(), (at >= 6).then(|| slot.to_string()).as_deref());
            }
        }
        (counts, propensities)
    }

    #[test]
    fn propensities_are_the_shares_of_the_visits_that_show_a_product() {
        const VISITS: u64 = 20_000;
        // The budget as a whole and a broken number of slots, all of them, and more than the pool has.
        for (exploration, products, pinned) in
            [(0.4, 30, None), (0.13, 30, Some(3)), (0.9, 8, None), (1.0, 30, None), (1.0, 30, Some(0))]
        {
            let (counts, propensities) = visits(exploration, products, pinned, VISITS);
            let mut drawn = 0.0;
            for (at, (slots, propensity)) in counts.iter().zip(&propensities).enumerate() {
                let (share, expected) = (slots.iter().sum::<f64>(), f64::from(propensity.unwrap_or(0.0)));
                let deviation = (expected * (1.0 - expected) / VISITS as f64).sqrt();
                let of = format!("exploration {exploration}, product {at}: shown {share}, propensity {expected}");
                assert!((share - expected).abs() <= 4.5 * deviation + 1e-6, "{of}");
                drawn += if at >= 6 { share } else { 0.0 };
                if at < 6 {
                    assert!(slots[at] == share, "{of}: in another slot than its own");
                    continue;
                }
                let open: Vec<usize> =
                    (usize::from(exploration < 1.0)..6).filter(|slot| pinned != Some(*slot)).collect();
                for (slot, found) in slots.iter().enumerate() {
                    let expected = if open.contains(&slot) { expected / open.len() as f64 } else { 0.0 };
                    let deviation = (expected / VISITS as f64).sqrt();
                    assert!((found - expected).abs() <= 4.5 * deviation + 1e-6, "{of}: slot {slot}");
                }
            }
            let open = 6 - usize::from(exploration < 1.0) - usize::from(pinned.is_some());
            let budget = (f64::from(exploration) * open as f64).min(f64::from(products) - 6.0);
            assert!((drawn - budget).abs() < 0.02, "exploration {exploration}: {drawn} slots, {budget} asked for");
        }
    }

    #[test]
    fn without_exploration_nothing_is_drawn_and_a_pin_beyond_the_row_stays_there() {
        let mut row = many(30);
        explored(&mut row, 6, 0.0, 1);
        assert_eq!(row, many(6));
        let mut row = many(8);
        row[6].slot = Some(7);
        explored(&mut row, 6, 1.0, 1);
        assert_eq!(row.iter().filter(|one| one.candidate.instead_of.is_some()).count(), 1);
        assert!(row.iter().all(|one| one.candidate.id != "6"));
        let mut row = many(3);
        explored(&mut row, 6, 1.0, 1);
        assert!(row.iter().all(|one| one.candidate.propensity == Some(1.0)) && row.len() == 3);
        explored(&mut Vec::new(), 6, 0.5, 1);
    }
}
