//! What can be wrong with rules, and where.

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
}

impl Place {
    /// The beginning of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place after some text that begins here.
    #[must_use]
    pub fn after(self, text: &str) -> Self {
        match text.rfind('\n') {
            Some(end) => {
                let lines = text.matches('\n').count();
                Self { line: self.line + lines, column: 1 + text[end + 1..].chars().count() }
            }
            None => Self { column: self.column + text.chars().count(), ..self },
        }
    }

    /// The place of a byte of a text.
    pub fn of(text: &str, byte: usize) -> Self {
        let end = (0..=byte.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        Self::START.after(&text[..end])
    }
}

/// Rules that are not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: found {found}, expected {expected}", place.line, place.column)]
pub struct RuleError {
    /// Where.
    pub place: Place,
    /// What is there.
    pub found: String,
    /// What may be there.
    pub expected: String,
}

impl RuleError {
    pub(super) fn new(place: Place, found: String, expected: impl Into<String>) -> Self {
        Self { place, found, expected: expected.into() }
    }
}
