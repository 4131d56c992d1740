//! JSON without generic code: a client downloads the readers and writers of all that it exchanges.
//!
//! A derived reader is some KB for every type, and a tree with maps of names some KB more. So [`parse()`] makes a plain tree of any JSON, the
//! readers take their fields out of it, with an error that names the field, and [`write`](mod@write) puts together what a client answers. The
//! origin writes its files with serde; tests hold both against each other.

mod parse;
pub(crate) mod write;

pub(crate) use parse::{Value, parse};

/// A field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
// A pointer: every reader of a field passes it on.
pub(crate) struct JsonError(Box<Wrong>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: found {found}, expected {expected}")]
struct Wrong {
    /// The name of the field, and of the one that it is in.
    field: String,
    found: String,
    expected: &'static str,
}

/// A value that may be absent, and the names that lead to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<'v> {
    value: Option<&'v Value<'v>>,
    name: &'v str,
    parent: Option<&'v Json<'v>>,
}

impl<'v> Json<'v> {
    /// A whole file, which is called `name` in errors.
    pub(crate) fn new(value: &'v Value<'v>, name: &'v str) -> Self {
        Self { value: Some(value), name, parent: None }
    }

    /// A field of an object.
    #[inline(never)]
    pub(crate) fn field(&'v self, name: &'v str) -> Self {
        Self { value: self.value.and_then(|value| value.get(name)), name, parent: Some(self) }
    }

    /// The value, unless it is absent or `null`.
    pub(crate) fn optional(self) -> Option<Self> {
        let there = !matches!(self.value, None | Some(Value::Null));
        there.then_some(self)
    }

    /// The fields of an object.
    pub(crate) fn fields(&self) -> Result<&'v [(String, Value<'v>)], JsonError> {
        if let Some(Value::Object(fields)) = self.value { Ok(fields) } else { Err(self.wrong("an object")) }
    }

    /// That the value is an object with no other fields than these.
    #[inline(never)]
    pub(crate) fn has_only(&self, names: &[&str]) -> Result<(), JsonError> {
        match self.fields()?.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(self.field(name).wrong("no such field")),
            None => Ok(()),
        }
    }

    /// A whole number of at most `limit`.
    #[inline(never)]
    pub(crate) fn number(&self, limit: u64) -> Result<u64, JsonError> {
        let number = self.value.and_then(Value::as_u64).filter(|number| *number <= limit);
        number.ok_or_else(|| self.wrong("a whole number within its range"))
    }

    /// [`Json::number`] of 32 bits.
    #[inline(never)]
    pub(crate) fn u32(&self) -> Result<u32, JsonError> {
        self.number(u32::MAX.into()).map(|number| number as u32)
    }

    /// Any number.
    #[inline(never)]
    pub(crate) fn float(&self) -> Result<f64, JsonError> {
        self.value.and_then(Value::as_f64).ok_or_else(|| self.wrong("a number"))
    }

    /// A text.
    #[inline(never)]
    pub(crate) fn text(&self) -> Result<&'v str, JsonError> {
        self.value.and_then(Value::as_text).ok_or_else(|| self.wrong("a text"))
    }

    /// The values of an array.
    #[inline(never)]
    pub(crate) fn list(&self) -> Result<Vec<Self>, JsonError> {
        let Some(Value::Array(values)) = self.value else { return Err(self.wrong("an array")) };
        let named = |value| Self { value: Some(value), ..*self };
        Ok(values.iter().map(named).collect())
    }

    /// The values of an array, or none where it is absent.
    pub(crate) fn list_or_none(&self) -> Result<Vec<Self>, JsonError> {
        if self.value.is_some() { self.list() } else { Ok(Vec::new()) }
    }

    /// The texts of an array, or none where it is absent.
    #[inline(never)]
    pub(crate) fn texts(&self) -> Result<Vec<String>, JsonError> {
        self.list_or_none()?.iter().map(|value| value.text().map(str::to_owned)).collect()
    }

    /// The numbers of an array.
    #[inline(never)]
    pub(crate) fn floats(&self) -> Result<Vec<f32>, JsonError> {
        let number = |value: &Self| {
            let number = value.float()? as f32;
            if number.is_finite() { Ok(number) } else { Err(value.wrong("a number of single precision")) }
        };
        self.list()?.iter().map(number).collect()
    }

    /// The value itself.
    pub(crate) fn value(&self) -> Option<&'v Value<'v>> {
        self.value
    }

    /// The error that this is not what is expected.
    #[cold]
    #[inline(never)]
    pub(crate) fn wrong(&self, expected: &'static str) -> JsonError {
        let found = match self.value {
            None => "nothing".to_owned(),
            Some(Value::Object(_)) => "an object".to_owned(),
            Some(Value::Array(_)) => "an array".to_owned(),
            Some(Value::Null) => "null".to_owned(),
            Some(Value::Bool(truth)) => if *truth { "true" } else { "false" }.to_owned(),
            Some(Value::Number(number)) => start(number),
            Some(Value::Text(text)) => start(&write::quoted(text)),
        };
        JsonError(Box::new(Wrong { field: self.path(), found, expected }))
    }

    /// The names that lead to the value.
    fn path(&self) -> String {
        self.parent.map_or_else(|| self.name.to_owned(), |parent| [&*parent.path(), ".", self.name].concat())
    }
}

/// As much of a text as an error quotes.
fn start(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A number as text.
pub(crate) fn decimal(number: f32) -> String {
    if number.is_finite() { write::float(number) } else { "not finite".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_what_was_found_and_what_was_expected() {
        let text = r#"{"a": {"n": 5, "t": "x", "none": null, "list": ["y", 7]}, "big": 1099511627776}"#;
        let value = parse(text.as_bytes()).unwrap();
        let json = Json::new(&value, "file");
        let a = json.field("a");
        assert_eq!((a.field("n").u32(), a.field("t").text(), a.field("n").float()), (Ok(5), Ok("x"), Ok(5.0)));
        assert!(a.field("none").optional().is_none() && a.field("absent").optional().is_none());
        assert_eq!(a.field("absent").texts(), Ok(vec![]));
        let errors = [
            (a.field("list").texts().map(drop), "file.a.list: found 7, expected a text"),
            (a.field("t").texts().map(drop), "file.a.t: found \"x\", expected an array"),
            (
                a.field("absent").u32().map(drop),
                "file.a.absent: found nothing, expected a whole number within its range",
            ),
            (
                json.field("big").u32().map(drop),
                "file.big: found 1099511627776, expected a whole number within its range",
            ),
            (json.field("a").float().map(drop), "file.a: found an object, expected a number"),
            (json.has_only(&["a"]), "file.big: found 1099511627776, expected no such field"),
            (a.field("t").has_only(&[]), "file.a.t: found \"x\", expected an object"),
        ];
        for (found, expected) in errors {
            assert_eq!(found.unwrap_err().to_string(), expected);
        }
    }
}
