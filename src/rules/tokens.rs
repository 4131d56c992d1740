//! Words of an expression, with their places.

use super::{Place, RuleError};

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A column, or a word of the language.
    Name(String),
    Text(String),
    Number(f64),
    /// One of `= != < <= > >= ( ) [ ] ,`.
    Sign(&'static str),
    End,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Sign(sign) => f.write_str(sign),
            Self::End => f.write_str("the end"),
        }
    }
}

/// The longer ones first: `<=` is not `<`.
const SIGNS: [&str; 11] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ","];

/// Cuts an expression into words, each with its place; the last one is the end.
pub(super) fn tokens(text: &str, start: Place) -> Result<Vec<(Token, Place)>, RuleError> {
    let mut found = Vec::new();
    let (mut rest, mut place) = (text, start);
    loop {
        let trimmed = rest.trim_start();
        place = place.after(&rest[..rest.len() - trimmed.len()]);
        rest = trimmed;
        let Some(first) = rest.chars().next() else {
            found.push((Token::End, place));
            return Ok(found);
        };
        let (token, length) = token(rest, first, place)?;
        found.push((token, place));
        place = place.after(&rest[..length]);
        rest = &rest[length..];
    }
}

/// The word that `rest`, which begins with `first`, begins with, and its bytes.
fn token(rest: &str, first: char, place: Place) -> Result<(Token, usize), RuleError> {
    if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    if first == '"' {
        return quoted(rest, place);
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let word = &rest[..length];
    if first.is_ascii_digit() || matches!(first, '-' | '.' | '+') {
        return match word.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => Ok((Token::Number(number), length)),
            None => Err(RuleError::new(place, some_of(rest, length), "a number such as 12 or -0.5")),
        };
    }
    if length == 0 || !(first.is_alphabetic() || first == '_') {
        return Err(RuleError::new(place, format!("{first:?}"), "a column, a text in quotes, a number or a sign"));
    }
    Ok((Token::Name(word.to_owned()), length))
}

/// The beginning of what was found, in quotes.
fn some_of(rest: &str, length: usize) -> String {
    format!("{:?}", rest[..length].chars().take(40).collect::<String>())
}

/// A text in quotes, as JSON has them.
fn quoted(rest: &str, place: Place) -> Result<(Token, usize), RuleError> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let length = at + 1;
                let text = serde_json::from_str(&rest[..length]);
                let wrong = |_| RuleError::new(place, some_of(rest, length), "a text with escapes as in JSON");
                return Ok((Token::Text(text.map_err(wrong)?), length));
            }
            _ => {}
        }
    }
    Err(RuleError::new(place, some_of(rest, rest.len()), "a closing quote"))
}
