//! Files of rules: what a release has of them, and what is wrong where.

use super::*;

#[path = "../../benches/ranking/inputs.rs"]
mod inputs;

fn read(text: &str) -> Result<Value, RuleError> {
    compile(text, &inputs::COLUMNS.map(str::to_owned)).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

#[test]
fn a_file_becomes_what_clients_read() {
    let text = r#"
[scenario.default]
where = 'price > 0 and not category under ["TOBACCO"]'
min_score = 0.1
diversity = 0.25
popularity_penalty = 0.25
rotation = 0.5
exploration = 0.125
exclude = { purchased_days = 14, in_cart = true, seen = 6 }
cap = [{ column = "brand", at_most = 3 }, { column = "category", depth = 2, at_most = 4 }]

[[scenario.default.boost]]
where = 'brand = "69"'
by = -0.5
from = 2026-12-01
until = 2026-12-27T12:00:00

[[scenario.default.pin]]
item = "1082185"
slot = 2

[scenario."a quiet page"]
"#;
    let expected = json!({"format": 1, "scenarios": {
        "a quiet page": {},
        "default": {
            "where": ["and", {"price": {"min": 1.0}}, ["not", {"category": [["TOBACCO"]]}]],
            "min_score": 0.1, "diversity": 0.25, "popularity_penalty": 0.25, "rotation": 0.5, "exploration": 0.125,
            "exclude": {"purchased_days": 14.0, "in_cart": true, "seen": 6},
            "caps": [["brand", 3, 1], ["category", 4, 2]],
            "boosts": [{"where": {"brand": ["69"]}, "by": -0.5, "from": 1_796_083_200_000_i64, "until": 1_798_372_800_000_i64}],
            "pins": [{"item": "1082185", "slot": 2}],
        },
    }});
    assert_eq!(read(text).unwrap(), expected);
    assert_eq!(read("").unwrap(), json!({"format": 1, "scenarios": {}}));
}

#[test]
fn what_is_wrong_is_named_with_its_place_in_the_file() {
    let scenario = |rest: &str| format!("[scenario.x]\n{rest}");
    let cases = [
        ("[scenario.x", 1, 12, "expected rules as docs/rules.md"),
        (&scenario("wher = ''"), 2, 1, "unknown field `wher`"),
        (&scenario("where = 'price < '"), 2, 18, "found the end, expected a number"),
        (&scenario("where = '''\n  price <\n  \"x\"'''"), 4, 3, "found \"x\", expected a number"),
        (&scenario("diversity = 1.5"), 2, 13, "found 1.5, expected a number from 0 to 1"),
        (&scenario("exploration = -0.1"), 2, 15, "found -0.1, expected a number from 0 to 1"),
        (&scenario("min_score = nan"), 2, 13, "found NaN"),
        (&scenario("exclude = { seen = 0 }"), 2, 20, "found 0, expected a whole number from 1 to 1000"),
        (&scenario("cap = [{ column = \"price\", at_most = 1 }]"), 2, 19, "a column of texts or paths"),
        (
            &scenario("cap = [{ column = \"brand\", at_most = 1, depth = 2 }]"),
            2,
            19,
            "a depth of a column of paths only",
        ),
        (&scenario("boost = [{ where = 'price = 1', by = 2 }]"), 2, 38, "found 2, expected a number from -1 to 1"),
        (
            &scenario("boost = [{ where = 'price = 1', by = 1, from = 2026-02-01, until = 2026-01-01 }]"),
            2,
            68,
            "an end after the beginning",
        ),
        (&scenario("boost = [{ where = 'price = 1', by = 1, from = 12:00:00 }]"), 2, 48, "a date or time"),
        (&scenario("pin = [{ item = \"a\", slot = 0 }]"), 2, 29, "found 0, expected a whole number"),
    ];
    for (text, line, column, part) in cases {
        let error = read(text).unwrap_err();
        assert_eq!((error.place.line, error.place.column), (line, column), "{text}: {error}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    let many = scenario(&"[[scenario.x.pin]]\nitem = \"a\"\nslot = 1\n".repeat(MAX_RULES + 1));
    assert!(read(&many).unwrap_err().to_string().contains("257 boosts and pins, expected at most 256"));
    assert!(read(&" ".repeat(MAX_BYTES + 1)).unwrap_err().to_string().contains("262145 bytes"));
}

#[test]
fn whatever_is_read_is_right_or_wrong_at_a_place_of_the_text() {
    const SEED: u64 = 1;
    let mut right = 0;
    for number in 0..2000 {
        let text = inputs::input(SEED, number);
        let Err(error) = compile(&text, &inputs::COLUMNS.map(str::to_owned)) else {
            right += 1;
            continue;
        };
        let is_in = inputs::has_place(&text, error.place.line, error.place.column);
        assert!(is_in, "seed {SEED}, input {number}: {error}\n{text}");
    }
    assert!((100..1900).contains(&right), "seed {SEED}: {right} of 2000 are right");
}
