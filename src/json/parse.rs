//! From text to a tree.

use crate::platform;

/// How deep arrays and objects may lie in each other: what is deeper would exhaust the stack.
const MAX_DEPTH: u32 = 127;

/// Any JSON. Of fields with one name the last counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'t> {
    Null,
    Bool(bool),
    /// As it stands in the text: who reads it knows whether it may have a fraction.
    Number(&'t str),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Value<'_> {
    /// A field of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// A whole number that is not negative.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }

    /// Any number that is not beyond all numbers of double precision.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        let Self::Number(text) = self else { return None };
        Some(platform::parse_float(text)).filter(|number| number.is_finite())
    }

    /// A text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// Text that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: found {}, expected {expected}", found.as_deref().unwrap_or("the end"))]
pub(crate) struct SyntaxError {
    line: usize,
    /// In characters, from 1 on.
    column: usize,
    found: Option<String>,
    expected: &'static str,
}

/// Reads the whole of `bytes`.
///
/// # Errors
/// [`SyntaxError`] at the first place that does not go on as JSON does (RFC 8259).
pub(crate) fn parse(bytes: &[u8]) -> Result<Value<'_>, SyntaxError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        Parser { text, at: text.len() }.wrong("UTF-8")
    })?;
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(MAX_DEPTH)?;
    match parser.next_token() {
        None => Ok(value),
        Some(_) => Err(parser.wrong("the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Bytes that are read.
    at: usize,
}

impl<'t> Parser<'t> {
    #[cold]
    #[inline(never)]
    fn wrong(&self, expected: &'static str) -> SyntaxError {
        let before = &self.text[..self.text.floor_char_boundary(self.at)];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        SyntaxError {
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            found: self.text[before.len()..].chars().next().map(String::from),
            expected,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether the next byte is this one, which then is read.
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// The first byte behind white space.
    fn next_token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    /// What was read since `start`.
    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: u32) -> Result<Value<'t>, SyntaxError> {
        match self.next_token() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
                for (word, value) in words {
                    if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.wrong("a value"))
            }
        }
    }

    /// One level deeper.
    fn enter(&mut self, depth: u32) -> Result<u32, SyntaxError> {
        let deeper = depth.checked_sub(1).ok_or_else(|| self.wrong("arrays and objects less deep in each other"))?;
        self.at += 1;
        Ok(deeper)
    }

    /// Whether more follows in what ends with `end`, the first of it or not.
    fn goes_on(&mut self, end: u8, is_first: bool) -> Result<bool, SyntaxError> {
        self.next_token();
        if self.eat(end) {
            return Ok(false);
        }
        if is_first || self.eat(b',') { Ok(true) } else { Err(self.wrong("a comma or the end of a list")) }
    }

    fn array(&mut self, depth: u32) -> Result<Value<'t>, SyntaxError> {
        let depth = self.enter(depth)?;
        let mut values = Vec::new();
        while self.goes_on(b']', values.is_empty())? {
            values.push(self.value(depth)?);
        }
        Ok(Value::Array(values))
    }

    fn object(&mut self, depth: u32) -> Result<Value<'t>, SyntaxError> {
        let depth = self.enter(depth)?;
        let mut fields = Vec::new();
        while self.goes_on(b'}', fields.is_empty())? {
            if self.next_token() != Some(b'"') {
                return Err(self.wrong("the name of a field"));
            }
            let name = self.string()?;
            self.next_token();
            if !self.eat(b':') {
                return Err(self.wrong("a colon"));
            }
            fields.push((name, self.value(depth)?));
        }
        Ok(Value::Object(fields))
    }

    fn number(&mut self) -> Result<Value<'t>, SyntaxError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(Value::Number(self.since(start)))
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.wrong("a digit")) }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let mut text = String::new();
        self.at += 1;
        let mut start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    text.push_str(self.since(start));
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(self.since(start));
                    self.at += 1;
                    text.push(self.escaped()?);
                    start = self.at;
                }
                Some(b' '..) => self.at += 1,
                _ => return Err(self.wrong("the rest of a text, without control characters")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, SyntaxError> {
        let plain = match self.peek() {
            Some(b'u') => return self.unicode(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            _ => return Err(self.wrong("an escape of JSON")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// A character by its number in UTF-16, of one unit or two.
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let mut code = self.unit()?;
        if (0xd800..0xdc00).contains(&code) && self.eat(b'\\') {
            let second = self.unit()?;
            // What is no second unit leaves a number that is no character.
            code = if (0xdc00..0xe000).contains(&second) {
                0x1_0000 + (((code - 0xd800) << 10) | (second - 0xdc00))
            } else {
                code
            };
        }
        char::from_u32(code).ok_or_else(|| self.wrong("both halves of a character"))
    }

    fn unit(&mut self) -> Result<u32, SyntaxError> {
        if !self.eat(b'u') {
            return Err(self.wrong("the second half of a character"));
        }
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.wrong("a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same tree as serde_json has it.
    fn as_serde(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Number("-0") => (-0.0).into(),
            Value::Number(number) => match value.as_u64() {
                Some(whole) => whole.into(),
                None => number.parse::<i64>().map_or_else(|_| value.as_f64().into(), Into::into),
            },
            Value::Text(text) => text.as_str().into(),
            Value::Array(values) => values.iter().map(as_serde).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), as_serde(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    fn agree(text: &[u8]) {
        let (found, expected) = (parse(text), serde_json::from_slice::<serde_json::Value>(text));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(as_serde(&found), expected, "{}", text.escape_ascii()),
            (found, expected) => assert_eq!(found.is_ok(), expected.is_ok(), "{}: {found:?}", text.escape_ascii()),
        }
    }

    #[test]
    fn reads_and_refuses_what_serde_json_does() {
        let deep = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        let texts = [
            "",
            " ",
            "null",
            " true\n",
            "false",
            "nul",
            "truefalse",
            "0",
            "-0",
            "-1",
            "01",
            "1.",
            "1.5",
            "-.5",
            "1e3",
            "1E+2",
            "1e-2",
            "1e",
            "18446744073709551615",
            "-9223372036854775808",
            "\"\"",
            "\"a\\n\\u00e9\\/\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ud83dx\"",
            "\"\\ud83d\\n\"",
            "\"\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\t\"",
            "\"é",
            "[]",
            "[ ]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "{}",
            "{ }",
            "{\"a\":1}",
            "{\"a\" : [ {} , null ] }",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"a\":2}",
            "1 1",
            "[]]",
            "\u{feff}1",
            &deep(127),
            &deep(128),
            &deep(100_000),
            "[\"a\",\r\n\t{\"b\":-1.25e-3}]",
        ];
        texts.into_iter().for_each(|text| agree(text.as_bytes()));
        agree(b"\"\xff\"");
        agree(b"[1,\xc3]");
    }

    #[test]
    fn an_error_names_the_place() {
        let error = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("{\"é\":\n  [1, x]}"), "line 2, column 7: found x, expected a value");
        assert_eq!(error("[1"), "line 1, column 3: found the end, expected a comma or the end of a list");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(value in any_json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            // serde_json reads some floats with an error in the last bit, which this must not have.
            let read = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(serde_json::to_string_pretty(&as_serde(&read)).unwrap(), text);
        }

        #[test]
        fn refuses_damaged_text_where_serde_json_does(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            let found = parse(&text);
            // A number that is too large is one to this parser until it is read.
            let expected = serde_json::from_slice::<serde_json::Value>(&text);
            if !expected.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
                prop_assert_eq!(found.is_ok(), expected.is_ok(), "{}", text.escape_ascii());
            }
        }
    }
}
