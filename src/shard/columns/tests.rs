//! Columns from outside: round trips, predicates, damage, sizes, and the golden file.

use proptest::prelude::*;

use super::dictionary::Dictionary;
use super::format::{
    DESCRIPTOR_LEN, FORMAT_VERSION, HEADER_LEN, MAX_EXPANSION, MAX_STEP, popularity_count, popularity_step,
};
use super::{ColumnKind, Columns, ColumnsError, ColumnsView, Predicate};
use crate::index::testing::Random;
use crate::index::{NodeId, RowSet};
use crate::shard::golden;

const PATHS: [&[&str]; 6] =
    [&[], &["Home"], &["Home", "Lamps"], &["Home", "Lamps", "Desk"], &["Home & Garden"], &["Home", "Rügs"]];

/// Some rows of every kind of column.
#[derive(Debug, Clone, Default)]
struct Values {
    sold: Vec<Option<u64>>,
    rating: Vec<Option<f32>>,
    price: Vec<Option<u32>>,
    brand: Vec<Option<String>>,
    category: Vec<Option<&'static [&'static str]>>,
    clicks: Vec<Option<u64>>,
}

impl Values {
    /// Row `i` is made of one number, without a missing value unless `gaps`.
    fn of(seed: u64, rows: usize, gaps: bool) -> Self {
        let mut random = Random::new(seed);
        let mut values = Self::default();
        for _ in 0..rows {
            let number = random.next();
            let is_there = |bit: u32| !gaps || number >> bit & 3 != 0;
            values.sold.push(is_there(0).then_some(number >> 1 >> (number % 60)));
            values.rating.push(is_there(2).then_some((number % 5001) as f32 / 1000.0));
            values.price.push(is_there(4).then_some((number >> 8) as u32 % 65_535));
            values
                .brand
                .push(is_there(6).then(|| ["", "Ørsted", "Acme", "Acme Pro", "東京"][number as usize % 5].to_owned()));
            values.category.push(is_there(8).then_some(PATHS[number as usize % PATHS.len()]));
            values.clicks.push(is_there(10).then_some(number >> 30 >> (number % 34)));
        }
        values
    }

    fn write(&self) -> Result<Vec<u8>, ColumnsError> {
        Columns::builder(self.sold.len())
            .unsigned("sold", &self.sold)
            .float("rating", &self.rating)
            .price("price", &self.price)
            .text("brand", &self.brand)
            .path("category", &self.category)
            .popularity("clicks", &self.clicks)
            .write()
    }

    fn check(&self, columns: ColumnsView<'_>) {
        let get = |name| columns.column(name).unwrap();
        let rows = self.sold.len();
        assert_eq!((columns.rows(), columns.iter().len(), columns.column("other").is_none()), (rows, 6, true));
        for (row, node) in (0..rows).map(|row| (row, NodeId(row as u32))) {
            assert_eq!(get("sold").u64_at(node), self.sold[row]);
            assert_eq!(get("rating").f32_at(node), self.rating[row]);
            assert_eq!(get("price").u64_at(node), self.price[row].map(u64::from));
            assert_eq!(get("brand").text_at(node), self.brand[row].as_deref());
            let path = get("category").path_at(node).map(Iterator::collect::<Vec<_>>);
            assert_eq!(path.as_deref(), self.category[row]);
            let clicks = self.clicks[row].map(|clicks| popularity_count(popularity_step(clicks)));
            assert_eq!(get("clicks").u64_at(node), clicks);
        }
        self.check_predicates(columns);
    }

    fn check_predicates(&self, columns: ColumnsView<'_>) {
        let rows = |test: &dyn Fn(usize) -> bool| RowSet::of(columns.rows(), |node| test(node.row()));
        let found = |name, predicate| columns.rows_where(name, predicate).unwrap();
        let expected = rows(&|row| self.price[row].is_some_and(|price| (1000..=40_000).contains(&price)));
        assert_eq!(found("price", Predicate::Between { low: 1000, high: 40_000 }), expected);
        let expected = rows(&|row| self.sold[row].is_some_and(|sold| sold >= 1 << 40));
        assert_eq!(found("sold", Predicate::Between { low: 1 << 40, high: u64::MAX }), expected);
        let expected = rows(&|row| self.clicks[row].is_some_and(|clicks| clicks >= 1 << 10));
        assert_eq!(found("clicks", Predicate::Between { low: 1 << 10, high: u64::MAX }), expected);
        let expected = rows(&|row| self.rating[row].is_some_and(|rating| (1.0..=2.5).contains(&rating)));
        assert_eq!(found("rating", Predicate::FloatBetween { low: 1.0, high: 2.5 }), expected);
        let nothing = Predicate::FloatBetween { low: f32::NAN, high: 2.5 };
        assert!(found("rating", nothing).is_empty());
        let expected = rows(&|row| self.brand[row].as_ref().is_some_and(|brand| brand.is_empty() || brand == "Acme"));
        assert_eq!(found("brand", Predicate::AnyOf(&["Acme", "", "unknown"])), expected);
        for prefix in PATHS.into_iter().chain([&["Home", "Lamp"][..], &["Hom"], &["Home\0Lamps"]]) {
            let expected = rows(&|row| self.category[row].is_some_and(|path| path.starts_with(prefix)));
            assert_eq!(found("category", Predicate::Under(prefix)), expected, "{prefix:?}");
        }
        let mut both = found("brand", Predicate::Missing);
        assert_eq!(both, rows(&|row| self.brand[row].is_none()));
        both.or(&found("brand", Predicate::Present));
        assert_eq!(both, RowSet::full(columns.rows()));
    }
}

fn open(bytes: Vec<u8>) -> Columns {
    Columns::open(bytes).unwrap()
}

#[test]
fn columns_built_from_the_table_are_read() {
    let mut bytes = Vec::new();
    bytes.extend(b"NSCL");
    bytes.extend([1, 0]); // format_version
    bytes.extend([0, 0]); // reader_flags
    bytes.extend([3, 0, 0, 0]); // rows
    bytes.extend([2, 0]); // columns
    bytes.extend([0, 0]); // reserved
    bytes.extend([2, 2, 1, 5]); // kind, width, nullable, name_bytes
    bytes.extend([0; 12]); // entries, dictionary_bytes, text_bytes
    bytes.extend([3, 1, 0, 1]);
    bytes.extend([2, 0, 0, 0]); // entries
    bytes.extend([9, 0, 0, 0]); // dictionary_bytes
    bytes.extend([9, 0, 0, 0]); // text_bytes
    bytes.extend(b"pricet");
    bytes.extend([0xff, 0xff, 0xcf, 7, 0, 0]); // values of `price`
    bytes.extend([0, 4]); // shared, more
    bytes.extend(b"Acme");
    bytes.extend([4, 1]);
    bytes.extend(b"!");
    bytes.extend([1, 0, 1]); // values of `t`

    let file = open(bytes.clone());
    let columns = file.view();
    let price = columns.column("price").unwrap();
    assert_eq!([0, 1, 2, 3].map(|row| price.u64_at(NodeId(row))), [None, Some(1999), Some(0), None]);
    assert_eq!((price.kind(), price.width(), price.len(), price.is_empty()), (ColumnKind::Price, 2, 3, false));
    let text = columns.column("t").unwrap();
    assert_eq!([0, 1, 2].map(|row| text.text_at(NodeId(row))), [Some("Acme!"), Some("Acme"), Some("Acme!")]);
    assert_eq!((text.entries(), text.text_of(1), text.text_of(2)), (2, Some("Acme!"), None));
    assert_eq!((text.entry_of("Acme"), text.entry_of("Acm")), (Some(0), None));
    let written = Columns::builder(3)
        .price("price", &[None, Some(1999), Some(0)])
        .text("t", &[Some("Acme!"), Some("Acme"), Some("Acme!")])
        .write();
    assert_eq!((written.unwrap(), file.bytes()), (bytes.clone(), &bytes[..]));
}

#[test]
fn columns_of_every_size_are_read() {
    for rows in [0, 1, 2, 65_535, 65_536] {
        for gaps in [false, true] {
            let values = Values::of(rows as u64, rows, gaps);
            values.check(open(values.write().unwrap()).view());
        }
    }
}

#[test]
fn a_column_is_as_narrow_as_its_values_and_keeps_all_64_bits() {
    let width = |values: &[Option<u64>]| {
        let file = open(Columns::builder(values.len()).unsigned("n", values).write().unwrap());
        let columns = file.view();
        let column = columns.column("n").unwrap();
        let read: Vec<_> = (0..values.len()).map(|row| column.u64_at(NodeId(row as u32))).collect();
        assert_eq!(read, values);
        column.width()
    };
    for (largest, bytes) in [(0xff, 1), (0xffff, 2), (0xffff_ffff, 4)] {
        assert_eq!(width(&[Some(0), Some(largest)]), bytes);
        assert_eq!(width(&[None, Some(largest - 1)]), bytes);
        assert_eq!(width(&[None, Some(largest)]), 2 * bytes);
    }
    assert_eq!(width(&[Some(u64::MAX)]), 8);
    assert_eq!(width(&[None, Some(u64::MAX - 1)]), 8);
    assert_eq!(width(&[None, None]), 1);
    let error = Columns::builder(2).unsigned("n", &[None, Some(u64::MAX)]).write().unwrap_err();
    assert!(matches!(error, ColumnsError::Input { row: 1, .. }), "{error}");
}

#[test]
fn a_dictionary_of_65_536_texts_is_read() {
    for count in [255_u32, 256, 257, 65_535, 65_536] {
        let texts: Vec<Option<String>> =
            (0..count).map(|number| Some(format!("brand {}", number * 7 % count))).collect();
        let bytes = Columns::builder(texts.len()).text("brand", &texts).write().unwrap();
        let plain: usize = texts.iter().flatten().map(String::len).sum();
        assert!(bytes.len() < plain, "{} bytes of {plain}", bytes.len());
        let file = open(bytes);
        let columns = file.view();
        let column = columns.column("brand").unwrap();
        for (row, text) in texts.iter().enumerate() {
            assert_eq!(column.text_at(NodeId(row as u32)), text.as_deref());
        }
    }
}

#[test]
fn steps_of_popularity_never_change() {
    let table = [
        (0, 0),
        (1, 1),
        (15, 15),
        (16, 16),
        (17, 16),
        (18, 17),
        (31, 23),
        (32, 24),
        (100, 36),
        (1000, 63),
        (1_000_000, 143),
        (u64::from(u32::MAX), 239),
        (u64::MAX, MAX_STEP),
    ];
    for (count, step) in table {
        assert_eq!(popularity_step(count), step, "{count}");
    }
    for step in 0..=MAX_STEP {
        let count = popularity_count(step);
        assert_eq!(popularity_step(count), step);
        assert!(step == 0 || popularity_step(count - 1) == step - 1);
        assert!(step == MAX_STEP || popularity_count(step + 1) - count <= (count / 8).max(1));
    }
}

#[test]
fn paths_below_a_category_are_one_range() {
    let paths: Vec<Option<&[&str]>> = PATHS.into_iter().map(Some).collect();
    let file = open(Columns::builder(PATHS.len()).path("category", &paths).write().unwrap());
    let columns = file.view();
    let column = columns.column("category").unwrap();
    let path = |entry| column.path_of(entry).unwrap().collect::<Vec<_>>();
    assert_eq!((0..6).map(path).collect::<Vec<_>>(), [PATHS[0], PATHS[1], PATHS[2], PATHS[3], PATHS[5], PATHS[4]]);
    let ranges =
        [&[][..], &["Home"], &["Home", "Lamps"], &["Home & Garden"], &["Hom"], &["Home", "Lamps", "Desk", "x"]];
    let found = ranges.map(|prefix| column.prefix_range(prefix));
    assert_eq!(found, [0..6, 1..5, 2..4, 5..6, 1..1, 4..4]);
    assert_eq!(column.prefix_range(&["Home\0Lamps"]), 0..0);
    // A part may be empty, which is not the root.
    let empty = [Some(vec![]), Some(vec![""]), Some(vec!["", ""])];
    let file = open(Columns::builder(3).path("c", &empty).write().unwrap());
    let columns = file.view();
    let column = columns.column("c").unwrap();
    let read = (0..3).map(|row| column.path_at(NodeId(row)).map(Iterator::collect::<Vec<_>>));
    assert_eq!(read.collect::<Vec<_>>(), empty);
}

proptest! {
    #[test]
    fn what_is_written_is_read(seed in any::<u64>(), rows in 0_usize..200, gaps in any::<bool>()) {
        let values = Values::of(seed, rows, gaps);
        let bytes = values.write().unwrap();
        prop_assert_eq!(&values.write().unwrap(), &bytes);
        values.check(open(bytes).view());
    }

    #[test]
    fn any_texts_make_a_dictionary(texts in prop::collection::vec(prop::option::of("\\PC{0,6}|.{0,3}"), 0..60)) {
        let file = open(Columns::builder(texts.len()).text("t", &texts).write().unwrap());
        let columns = file.view();
        let column = columns.column("t").unwrap();
        for (row, text) in texts.iter().enumerate() {
            prop_assert_eq!(column.text_at(NodeId(row as u32)), text.as_deref());
            prop_assert!(text.iter().all(|text| column.entry_of(text).and_then(|entry| column.text_of(entry)) == Some(text)));
        }
    }

    #[test]
    fn a_step_holds_counts_that_differ_by_an_eighth(count in 0_u64..1 << 33, shift in 0_u32..33) {
        let count = count >> shift;
        let step = popularity_step(count);
        let least = popularity_count(step);
        prop_assert!(least <= count && count - least <= least / 8, "{} {}", count, least);
    }

    #[test]
    fn random_damage_is_an_error_or_does_no_harm(seed in any::<u64>(), times in 1_usize..20) {
        let mut bytes = Values::of(1, 30, true).write().unwrap();
        let mut random = Random::new(seed);
        for _ in 0..times {
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.next() as u8;
        }
        use_somehow(bytes);
    }
}

/// Whatever passed can be used.
fn use_somehow(bytes: Vec<u8>) {
    let Ok(file) = Columns::open(bytes) else { return };
    let columns = file.view();
    for column in columns.iter() {
        for row in 0..=columns.rows() as u32 {
            let node = NodeId(row);
            let there = column.code_at(node).is_some();
            let known = [
                column.u64_at(node).is_some(),
                column.f32_at(node).is_some_and(f32::is_finite),
                column.text_at(node).is_some(),
                column.path_at(node).is_some_and(|path| path.count() < 1 << 20),
            ];
            assert_eq!(known.iter().filter(|&&known| known).count(), usize::from(there));
        }
        let present = column.rows_where(Predicate::Present).unwrap();
        assert!(present.count_ones() <= columns.rows());
        assert!(column.prefix_range(&["Home"]).end <= column.entries());
    }
}

#[test]
fn columns_that_are_cut_anywhere_or_go_on_are_refused() {
    let whole = Values::of(2, 20, true).write().unwrap();
    for len in 0..whole.len() {
        let error = Columns::open(whole[..len].to_vec()).unwrap_err();
        let expected = if len < 4 { "columns/magic" } else { "columns/truncated" };
        assert_eq!(error.code(), expected, "cut at {len}: {error}");
    }
    let error = Columns::open([&whole[..], &[0]].concat()).unwrap_err();
    assert!(matches!(error, ColumnsError::Trailing { need, have } if have == need + 1), "{error}");
}

#[test]
fn a_flipped_bit_is_found_or_does_no_harm() {
    let whole = Values::of(3, 20, true).write().unwrap();
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        if at / 8 < HEADER_LEN {
            assert!(Columns::open(bytes.clone()).is_err(), "bit {at}");
        }
        use_somehow(bytes);
    }
}

/// The error of a file of two texts after a change of some bytes.
fn damaged(at: usize, with: &[u8]) -> ColumnsError {
    let texts = [Some("é"), Some("éa"), None];
    let mut bytes = Columns::builder(3).text("t", &texts).float("f", &[Some(1.0), None, Some(0.0)]).write().unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    Columns::open(bytes).unwrap_err()
}

#[test]
fn every_broken_value_is_named() {
    let later = FORMAT_VERSION + 1;
    assert!(matches!(damaged(0, b"n"), ColumnsError::Magic { .. }));
    let message = format!("columns format {later}, this build reads 1..=1; update the package");
    assert_eq!(damaged(4, &[later as u8]).to_string(), message);
    assert!(matches!(damaged(6, &[1]), ColumnsError::Flags { found: 1, known: 0 }));
    let second = HEADER_LEN + DESCRIPTOR_LEN;
    for (at, with, expected) in [
        (11, &[2][..], "rows"),
        (12, &[1, 1], "number of columns"),
        (14, &[1], "reserved field"),
        (HEADER_LEN, &[6], "kind"),
        (HEADER_LEN + 1, &[8], "width"),
        (HEADER_LEN + 1, &[3], "width"),
        (HEADER_LEN + 2, &[2], "nullable"),
        (HEADER_LEN + 3, &[0], "name_bytes"),
        (HEADER_LEN + 3, &[65], "name_bytes"),
        (HEADER_LEN + 7, &[1], "dictionary_bytes"),
        (HEADER_LEN + 15, &[2], "text_bytes"),
        (second + 4, &[1], "entries"),
        (second + 8, &[1], "dictionary_bytes"),
        (second + 12, &[1], "text_bytes"),
    ] {
        let error = damaged(at, with);
        assert!(matches!(error, ColumnsError::Field { what, .. } if what == expected), "{expected}: {error}");
    }
    let names = second + DESCRIPTOR_LEN;
    assert!(matches!(damaged(names, &[0xff]), ColumnsError::Name { column: 0, expected: "UTF-8" }));
    assert!(matches!(damaged(names, b"ff"), ColumnsError::Name { column: 1, .. }));

    // The dictionary: 0, 2, "é" in two bytes, 2, 1, "a".
    let dictionary = names + 2;
    for (at, with, entry, expected) in [
        (0, &[1][..], 0, "longer than what it shares with the one before"),
        (1, &[9], 0, "whole"),
        (1, &[0x80; 6], 0, "whole"),
        (4, &[3], 1, "longer than what it shares with the one before"),
        (4, &[0, 1, 0xc2], 1, "greater than the one before"),
        (4, &[1], 1, "greater than the one before"),
        (2, &[0xff], 0, "UTF-8"),
        (4, &[1, 1, 0xaa], 2, "where the header says that the dictionary ends"),
        (6, &[0xff], 1, "UTF-8"),
    ] {
        let error = damaged(dictionary + at, with);
        assert!(
            matches!(error, ColumnsError::Dictionary { entry: e, expected: x, .. } if (e, x) == (entry, expected)),
            "{at} {with:x?}: {error}"
        );
    }
    // An entry may not end within a character either, though the whole be UTF-8.
    assert_eq!(Dictionary::parse(&[0, 1, 0xc3, 0, 1, 0xe9], 2, 2).unwrap_err(), (0, "UTF-8"));
    assert_eq!(Dictionary::parse(&[0, 1, 0x20, 0, 1, 0x41], 2, 2).unwrap().get(1), Some("A"));
    assert_eq!(Dictionary::parse(&[0, 1, 0x20, 0, 1, 0x41], 2, 1).unwrap_err().0, 1);

    let value = |error| match error {
        ColumnsError::Value { column, row, found, .. } => (column, row, found),
        error => panic!("{error}"),
    };
    let values = dictionary + 7;
    assert_eq!(value(damaged(values, &[2])), ("t".to_owned(), 0, 2));
    let floats = values + 3;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(value(damaged(floats + 8, &bad.to_le_bytes())), ("f".to_owned(), 2, bad.to_bits().into()));
    }
    // Without a gap in the column, the mark of one is no value.
    assert_eq!(value(damaged(HEADER_LEN + 2, &[0])), ("t".to_owned(), 2, 0xff));
}

#[test]
fn a_small_file_cannot_state_a_large_dictionary() {
    // Each entry has all of the one before and one byte more: 3 bytes stand for thousands.
    let mut dictionary = vec![0, 1, b'a'];
    let mut text_bytes = 1_u32;
    for len in 1..6000_u16 {
        dictionary.extend([len as u8 | 0x80, (len >> 7) as u8, 1, b'a']);
        text_bytes += u32::from(len) + 1;
    }
    // Lengths below 128 have two bytes here, which is allowed.
    let file = |text_bytes: u32| {
        let mut bytes = b"NSCL\x01\0\0\0\0\0\0\0\x01\0\0\0\x03\x01\0\x01".to_vec();
        for field in [6000, dictionary.len() as u32, text_bytes] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.push(b't');
        bytes.extend(&dictionary);
        Columns::open(bytes)
    };
    assert!(matches!(file(text_bytes), Err(ColumnsError::Field { what: "text_bytes", .. })));
    assert!(matches!(file(1 << 20), Err(ColumnsError::Field { what: "text_bytes", .. })));
    // 24 KB may stand for 32 times as much, which the first entries have.
    let most = MAX_EXPANSION as u32 * dictionary.len() as u32;
    assert!(matches!(file(most), Err(ColumnsError::Dictionary { entry: 1238, .. })));
    let long = "a".repeat(3000);
    let entries: Vec<_> = (0..100).map(|entry| Some(format!("{long}{entry}"))).collect();
    assert_eq!(Columns::builder(100).text("t", &entries).write().unwrap_err().code(), "columns/field");
}

#[test]
fn the_writer_refuses_what_no_reader_would_accept() {
    let code = |builder: super::ColumnsBuilder| builder.write().unwrap_err().code();
    let one = || Columns::builder(1);
    assert_eq!(code(one().price("p", &[])), "columns/rows");
    assert_eq!(code(one().price("", &[None])), "columns/field");
    assert_eq!(code(one().price(&"n".repeat(65), &[None])), "columns/field");
    assert_eq!(code(one().price("p", &[None]).float("p", &[None])), "columns/name");
    assert_eq!(code(one().float("f", &[Some(f32::NAN)])), "columns/input");
    assert_eq!(code(one().path("c", &[Some(["a\0b"])])), "columns/input");
    assert_eq!(code(one().text("t", &[Some("x".repeat((1 << 24) + 1))])), "columns/field");
    let many = (0..257).fold(one(), |builder, number| builder.price(&number.to_string(), &[None]));
    assert_eq!(code(many), "columns/field");
    let many = (0..256).fold(one(), |builder, number| builder.price(&number.to_string(), &[None]));
    assert_eq!(open(many.write().unwrap()).view().iter().len(), 256);
}

#[test]
fn a_question_that_has_no_answer_is_refused() {
    let file = open(Values::of(5, 3, false).write().unwrap());
    let columns = file.view();
    let error = columns.rows_where("Price", Predicate::Present).unwrap_err();
    assert!(matches!(&error, ColumnsError::Unknown { known, .. } if known.len() == 6), "{error}");
    let error = columns.rows_where("brand", Predicate::Between { low: 0, high: 1 }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "columns: \"brand\" is a column of text, which cannot be tested for a range of whole numbers; ask for what it holds"
    );
    let brand = columns.column("brand").unwrap();
    let node = NodeId(0);
    assert!(brand.u64_at(node).is_none() && brand.f32_at(node).is_none() && brand.path_at(node).is_none());
    assert_eq!(brand.prefix_range(&[]), 0..0);
}

#[test]
fn golden_columns_are_read_and_give_the_same_values() {
    let folder = golden::folder(&format!("columns-v{FORMAT_VERSION}"));
    for (name, gaps) in [("gaps.nscl", true), ("full.nscl", false)] {
        let values = Values::of(11, 300, gaps);
        let bytes = golden::keep(&folder.join(name), || values.write().unwrap());
        assert_eq!(values.write().unwrap(), bytes, "{name} is no longer written as it was");
        values.check(open(bytes).view());
    }
}
