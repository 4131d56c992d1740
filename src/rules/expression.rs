//! What is asked of the columns of an item, as text: `price <= 500 and not category under ["DRUG GM", "TOBACCO"]`.
//!
//! ```text
//! either     = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" either ")" | column test
//! test       = ( "=" | "!=" ) value | ( "<" | "<=" | ">" | ">=" ) number
//!            | "in" list | "under" list of texts | "is" [ "not" ] "missing"
//! ```
//! There are no loops, no variables and no calls: an expression takes as long as it is. A missing value passes no comparison, so
//! `not price < 5` lets an item without a price pass, and `price >= 5` does not.

use serde_json::{Value, json};

use super::tokens::{Token, tokens};
use super::{Place, RuleError};
use crate::shard::columns::ColumnKind;

/// How deep parentheses and `not` may be nested.
pub const MAX_DEPTH: usize = 16;
/// Words of an expression, at most.
pub const MAX_TOKENS: usize = 4096;

/// What a column holds, by its name.
pub(super) type Columns<'c> = &'c dyn Fn(&str) -> Option<ColumnKind>;

/// Reads an expression and gives the filter that a release has of it, in the JSON of [`Filter`](crate::shard::columns::Filter).
///
/// # Errors
/// A [`RuleError`] with the place of what is wrong.
pub(super) fn filter(text: &str, start: Place, columns: Columns<'_>) -> Result<Value, RuleError> {
    let tokens = tokens(text, start)?;
    if tokens.len() > MAX_TOKENS {
        let place = tokens[MAX_TOKENS].1;
        return Err(RuleError::new(place, "one word more".to_owned(), "an expression of at most 4096 words"));
    }
    let mut parser = Parser { tokens, at: 0, columns };
    let filter = parser.either(0)?;
    match parser.next() {
        (Token::End, _) => Ok(filter),
        (found, place) => Err(RuleError::new(place, found.to_string(), "and, or, or the end of the expression")),
    }
}

struct Parser<'c> {
    /// The last one is the end.
    tokens: Vec<(Token, Place)>,
    at: usize,
    columns: Columns<'c>,
}

impl Parser<'_> {
    fn peek(&self) -> &(Token, Place) {
        &self.tokens[self.at]
    }

    fn next(&mut self) -> (Token, Place) {
        let found = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        found
    }

    /// Goes on if this word is next.
    fn take(&mut self, wanted: &str) -> bool {
        let is_next = match &self.peek().0 {
            Token::Name(name) => name == wanted,
            Token::Sign(sign) => *sign == wanted,
            _ => false,
        };
        self.at += usize::from(is_next);
        is_next
    }

    fn check(&self, depth: usize) -> Result<(), RuleError> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        let (found, place) = self.peek();
        Err(RuleError::new(*place, format!("{found}, too deep"), "at most 16 levels of parentheses and not"))
    }

    fn either(&mut self, depth: usize) -> Result<Value, RuleError> {
        self.check(depth)?;
        self.joined("or", |parser| parser.joined("and", |parser| parser.one(depth)))
    }

    /// Parts that a word joins.
    fn joined(&mut self, word: &str, part: impl Fn(&mut Self) -> Result<Value, RuleError>) -> Result<Value, RuleError> {
        let mut parts = vec![part(self)?];
        while self.take(word) {
            parts.push(part(self)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        parts.insert(0, word.into());
        Ok(parts.into())
    }

    fn one(&mut self, depth: usize) -> Result<Value, RuleError> {
        if self.take("not") {
            self.check(depth + 1)?;
            return self.one(depth + 1).map(|filter| json!(["not", filter]));
        }
        if self.take("(") {
            let filter = self.either(depth + 1)?;
            self.expect(")")?;
            return Ok(filter);
        }
        let (found, place) = self.next();
        let Token::Name(name) = found else {
            return Err(RuleError::new(place, found.to_string(), "a column, not, or a parenthesis"));
        };
        let Some(kind) = (self.columns)(&name) else {
            return Err(RuleError::new(place, format!("{name:?}"), "a column of the release (see [columns])"));
        };
        self.test(&name, kind)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), RuleError> {
        if self.take(sign) {
            return Ok(());
        }
        let (found, place) = self.peek();
        Err(RuleError::new(*place, found.to_string(), sign))
    }

    /// What is asked of a column.
    fn test(&mut self, name: &str, kind: ColumnKind) -> Result<Value, RuleError> {
        const TESTS: &str = "=, !=, <, <=, >, >=, in, under or is";
        let (found, place) = self.next();
        match found {
            Token::Sign("=") => Ok(of(name, json!([self.value(kind)?]))),
            Token::Sign("!=") => Ok(json!(["not", of(name, json!([self.value(kind)?]))])),
            Token::Sign(sign @ ("<" | "<=" | ">" | ">=")) => {
                if kind.has_dictionary() {
                    return Err(RuleError::new(place, sign.to_owned(), "=, !=, in, under or is, of a column of texts"));
                }
                Ok(of(name, range(sign, self.number()?, kind)))
            }
            Token::Name(word) if word == "in" => {
                let values = self.list(|parser| parser.value(kind))?;
                Ok(of(name, values))
            }
            Token::Name(word) if word == "under" => {
                if kind != ColumnKind::Path {
                    return Err(RuleError::new(
                        place,
                        word,
                        "another test: only a column of paths has something below",
                    ));
                }
                let path = self.list(|parser| parser.value(kind))?;
                Ok(of(name, json!([path])))
            }
            Token::Name(word) if word == "is" => {
                let is_there = self.take("not");
                self.expect("missing")?;
                let missing = of(name, Value::Null);
                Ok(if is_there { json!(["not", missing]) } else { missing })
            }
            found => Err(RuleError::new(place, found.to_string(), TESTS)),
        }
    }

    /// `[a, b]`, one of them at least.
    fn list(&mut self, part: impl Fn(&mut Self) -> Result<Value, RuleError>) -> Result<Vec<Value>, RuleError> {
        self.expect("[")?;
        let mut values = vec![part(self)?];
        while self.take(",") {
            values.push(part(self)?);
        }
        self.expect("]")?;
        Ok(values)
    }

    /// A text or a number, as the column holds.
    fn value(&mut self, kind: ColumnKind) -> Result<Value, RuleError> {
        if !kind.has_dictionary() {
            return Ok(json!(self.number()?));
        }
        match self.next() {
            (Token::Text(text), _) => Ok(text.into()),
            (found, place) => Err(RuleError::new(place, found.to_string(), "a text in quotes")),
        }
    }

    fn number(&mut self) -> Result<f64, RuleError> {
        match self.next() {
            (Token::Number(number), _) => Ok(number),
            (found, place) => Err(RuleError::new(place, found.to_string(), "a number")),
        }
    }
}

fn of(column: &str, condition: impl Into<Value>) -> Value {
    json!({ column: condition.into() })
}

/// A comparison as a range that holds its ends.
fn range(sign: &str, number: f64, kind: ColumnKind) -> Value {
    let (below, above) = match kind {
        // What the column holds is single precision.
        ColumnKind::Float => {
            let number = number as f32;
            (f64::from(number.next_down()), f64::from(number.next_up()))
        }
        _ => (number.ceil() - 1.0, number.floor() + 1.0),
    };
    match sign {
        "<" => json!({ "max": below }),
        "<=" => json!({ "max": number }),
        ">" => json!({ "min": above }),
        _ => json!({ "min": number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(name: &str) -> Option<ColumnKind> {
        match name {
            "price" => Some(ColumnKind::Price),
            "weight" => Some(ColumnKind::Float),
            "brand" => Some(ColumnKind::Text),
            "category" => Some(ColumnKind::Path),
            _ => None,
        }
    }

    fn read(text: &str) -> Result<Value, RuleError> {
        filter(text, Place::START, &kinds)
    }

    #[test]
    fn expressions_bind_as_they_are_read_aloud() {
        let cases = [
            ("price <= 500", json!({"price": {"max": 500.0}})),
            ("price < 500 ", json!({"price": {"max": 499.0}})),
            ("price > 1.5", json!({"price": {"min": 2.0}})),
            ("weight >= -0.5", json!({"weight": {"min": -0.5}})),
            ("brand = \"a \\\"b\\\"\"", json!({"brand": ["a \"b\""]})),
            ("brand in [\"a\", \"b\"]", json!({"brand": ["a", "b"]})),
            ("price = 5", json!({"price": [5.0]})),
            ("category under [\"x\", \"y\"]", json!({"category": [["x", "y"]]})),
            ("category = \"x\"", json!({"category": ["x"]})),
            ("brand != \"a\"", json!(["not", {"brand": ["a"]}])),
            ("brand is missing", json!({"brand": null})),
            ("brand is not missing", json!(["not", {"brand": null}])),
            (
                "price <= 1 or price >= 9 and not (brand = \"a\" or brand is missing)",
                json!(["or", {"price": {"max": 1.0}}, ["and", {"price": {"min": 9.0}}, ["not", ["or", {"brand": ["a"]}, {"brand": null}]]]]),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let Value::Object(weight) = read("weight < 1").unwrap() else { panic!() };
        assert!(weight["weight"]["max"].as_f64().is_some_and(|max| max < 1.0 && max as f32 == 1.0_f32.next_down()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let cases = [
            ("", 1, 1, "the end, expected a column"),
            ("price <", 1, 8, "found the end, expected a number"),
            ("price <\n  \"x\"", 2, 3, "found \"x\", expected a number"),
            ("prise < 5", 1, 1, "found \"prise\", expected a column of the release"),
            ("brand < 5", 1, 7, "found <, expected =, !=, in, under or is"),
            ("price under [5]", 1, 7, "found under"),
            ("brand = 5", 1, 9, "found 5, expected a text in quotes"),
            ("price = 5 brand", 1, 11, "found brand, expected and, or, or the end"),
            ("(price = 5", 1, 11, "found the end, expected )"),
            ("price = 5 ; x", 1, 11, "found ';'"),
            ("price = 1e999", 1, 9, "expected a number such as"),
            ("price = 1.2.3", 1, 9, "found \"1.2.3\""),
            ("brand = \"ab", 1, 9, "expected a closing quote"),
            ("brand = \"\\x\"", 1, 9, "expected a text with escapes"),
            ("brand in []", 1, 11, "found ], expected a text"),
            ("brand is null", 1, 10, "found null, expected missing"),
        ];
        for (text, line, column, part) in cases {
            let error = read(text).unwrap_err();
            assert_eq!((error.place.line, error.place.column), (line, column), "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        let deep = |n: usize| "(".repeat(n) + "price = 1" + &")".repeat(n);
        assert!(read(&deep(MAX_DEPTH)).is_ok() && read(&deep(MAX_DEPTH + 1)).is_err());
        assert!(read(&("not ".repeat(100_000) + "price = 1")).is_err());
        let long = |n: usize| vec!["price = 1"; n].join(" or ");
        assert!(read(&long(1000)).is_ok() && read(&long(1100)).unwrap_err().to_string().contains("4096 words"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(2000))]
        #[test]
        fn no_text_panics(text in r#"([ ()\[\],=<>!]|price|brand|category|in|under|is|not|and|or|missing|"[a\\]*"|[0-9.]{1,4}|\PC){0,40}"#) {
            let _ = read(&text);
        }
    }
}
