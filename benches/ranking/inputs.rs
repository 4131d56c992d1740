//! Files of rules that are nearly right, from a seed: whole ones with some of their characters changed, and words of expressions in any order.

/// Columns of the release that the rules are for.
pub(crate) const COLUMNS: [&str; 5] =
    ["price: price", "brand: text", "category: path", "weight: float", "popularity: popularity"];

/// Files that are right; [`TEXT`] is put into the last one.
const FILES: [&str; 4] = [
    "[scenario.default]\nwhere = 'price > 0 and not category under [\"TOBACCO\"]'\nmin_score = 0.1\ndiversity = 0.25\n\
     exclude = { purchased_days = 14, in_cart = true, seen = 6 }\n\
     cap = [{ column = \"brand\", at_most = 3 }, { column = \"category\", depth = 2, at_most = 4 }]\n\n\
     [[scenario.default.boost]]\nwhere = 'brand = \"69\"'\nby = -0.5\nfrom = 2026-12-01\nuntil = 2026-12-27T12:00:00\n\n\
     [[scenario.default.pin]]\nitem = \"1082185\"\nslot = 2\n",
    "[scenario.\"a quiet page\"]\nwhere = '''\n  weight >= 0.5 or\r\n  brand in [\"ä\", \"\\\"b\\\"\"]\n'''\nboost_limit = 1.0\nrotation = 0.5\n",
    "[scenario.x]\nwhere = \"price < 5\\nand brand is\\u0020not missing\"\ndither = 0.1\npopularity_penalty = 0.25\nexploration = 0.125\n",
    "[scenario.x]\nwhere = 'TEXT'\n",
];

/// What stands in the last of [`FILES`] where random words go.
const TEXT: &str = "TEXT";

/// What is put between and in place of other characters.
const WORDS: [&str; 40] = [
    "price",
    "brand",
    "category",
    "weight",
    "popularity",
    " and ",
    " or ",
    " not ",
    " in ",
    " under ",
    " is ",
    "missing",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "(",
    ")",
    "[",
    "]",
    ",",
    "{",
    "}",
    "\"",
    "'",
    "'''",
    "\"\"\"",
    "\\",
    "\\n",
    "\\u00e4",
    "\n",
    "\r\n",
    "0",
    "-1e999",
    "1.5",
    "2026-13-01",
    "ä\u{1f9c0}",
    "[[scenario.x.pin]]\n",
];

/// `SplitMix64`.
#[derive(Debug, Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let byte = self.below(text.len() + 1);
        (0..=byte).rev().find(|&byte| text.is_char_boundary(byte)).unwrap_or(0)
    }
}

/// The input of a number: the same for ever.
pub(crate) fn input(seed: u64, number: u64) -> String {
    let mut random = Random(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let file = FILES[random.below(FILES.len())];
    let words: String = (0..random.below(24)).map(|_| random.word()).collect();
    let mut text = file.replace(TEXT, &words);
    for _ in 0..random.below(5) {
        let (from, other) = (random.place(&text), random.place(&text));
        let (from, to) = (from.min(other), from.max(other));
        match random.below(5) {
            0 => text.insert_str(from, random.word()),
            1 => text.replace_range(from..to.min(next(&text, from)), random.word()),
            2 => text.truncate(to),
            3 => text.replace_range(from..to, ""),
            _ => {
                let part = text[from..to].to_owned();
                let at = random.place(&text);
                text.insert_str(at, &part);
            }
        }
    }
    text
}

/// The end of the character that begins at `byte`.
fn next(text: &str, byte: usize) -> usize {
    byte + text[byte..].chars().next().map_or(0, char::len_utf8)
}

/// Whether a text has such a place, both from 1: a character of a line, or the end of one.
pub(crate) fn has_place(text: &str, line: usize, column: usize) -> bool {
    let line = line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&column))
}
