//! Mutants of files, by number: the same number is the same mutant.

use std::ops::Range;

/// Bytes that are written over others: limits of signs, counts and texts.
const BYTES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'9'];
/// Numbers of four bytes that are written over others: none, all, and limits between.
const WORDS: [u32; 10] = [0, 1, 2, 255, 0xffff, 1 << 16, 1 << 24, i32::MAX as u32, 1 << 31, u32::MAX];
/// What stands in place of a number in JSON.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "0.5",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "18446744073709551615",
    "-0.0",
    "1e308",
    "1e999",
    "-1e-400",
    "null",
    "[]",
];

/// Numbers by SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit.max(1) as u64) as usize
    }
}

/// The mutant of this number: one of the `parents` with up to four changes.
pub(crate) fn mutant(parents: &[&[u8]], number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let mut bytes = parents[number as usize % parents.len()].to_vec();
    for _ in 0..=random.below(3) {
        change(&mut bytes, parents, &mut random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, parents: &[&[u8]], random: &mut Random) {
    let at = random.below(bytes.len());
    // Headers decide most.
    let at = if random.below(2) == 0 { at.min(random.below(128)) } else { at };
    match random.below(10) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, BYTES[random.below(BYTES.len())]),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => bytes.extend_from_within(at..),
        4 => {
            // The beginning of one and the end of another.
            let other = parents[random.below(parents.len())];
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        5 | 6 if bytes.starts_with(b"{") => replace_number(bytes, random),
        5 | 6 => {
            let start = at / 4 * 4;
            if let Some(word) = bytes.get_mut(start..start + 4) {
                word.copy_from_slice(&WORDS[random.below(WORDS.len())].to_le_bytes());
            }
        }
        _ if at < bytes.len() => bytes[at] = BYTES[random.below(BYTES.len())],
        _ => {}
    }
}

/// Puts an extreme in place of one of the numbers of JSON.
fn replace_number(bytes: &mut Vec<u8>, random: &mut Random) {
    let numbers = numbers_of(bytes);
    if let Some(place) = numbers.get(random.below(numbers.len())) {
        let number = NUMBERS[random.below(NUMBERS.len())];
        bytes.splice(place.clone(), number.bytes());
    }
}

/// Where numbers are: what follows a colon, a comma or a bracket and begins as one.
fn numbers_of(bytes: &[u8]) -> Vec<Range<usize>> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let starts = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| matches!(pair[0], b':' | b',' | b'[') && (pair[1].is_ascii_digit() || pair[1] == b'-'));
    let range = |(before, _): (usize, &[u8])| {
        let start = before + 1;
        start..start + bytes[start..].iter().take_while(|byte| is_digit(byte)).count()
    };
    starts.map(range).collect()
}

#[test]
fn numbers_are_found_and_mutants_are_those_of_their_number() {
    let text = br#"{"a":12,"b":[-1.5e3,7],"c":"3"}"#;
    let found: Vec<&[u8]> = numbers_of(text).into_iter().map(|place| &text[place]).collect();
    assert_eq!(found, [&b"12"[..], b"-1.5e3", b"7"]);
    assert!((0..200).all(|number| mutant(&[text], number) == mutant(&[text], number)));
    let changed = (0..200).filter(|number| mutant(&[text], *number) != text).count();
    assert!(changed > 150, "{changed} of 200 mutants differ from what they were made of");
}
