//! Reading JSON field by field.
//!
//! A derived reader is some KB of code for every type, and a client downloads it: those of manifest, head, query tower and request
//! were a tenth of the WebAssembly. So [`serde_json`] reads any JSON into a [`Value`] by one piece of code, and the readers take their
//! fields out of it, with an error that names the field.

use serde_json::Value;

/// A field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: found {found}, expected {expected}")]
pub(crate) struct JsonError {
    /// The name of the field, and of the one that it is in.
    field: String,
    found: String,
    expected: &'static str,
}

/// A value that may be absent, and the names that lead to it.
#[derive(Debug, Clone)]
pub(crate) struct Json<'v> {
    value: Option<&'v Value>,
    field: String,
}

impl<'v> Json<'v> {
    /// A whole file, which is called `name` in errors.
    pub(crate) fn new(value: &'v Value, name: &str) -> Self {
        Self { value: Some(value), field: name.to_owned() }
    }

    /// A field of an object.
    pub(crate) fn field(&self, name: &str) -> Self {
        let value = self.value.and_then(|value| value.get(name));
        Self { value, field: [&*self.field, ".", name].concat() }
    }

    /// The value, unless it is absent or `null`.
    pub(crate) fn optional(self) -> Option<Self> {
        let there = self.value.is_some_and(|value| !value.is_null());
        there.then_some(self)
    }

    /// That the value is an object with no other fields than these.
    pub(crate) fn has_only(&self, names: &[&str]) -> Result<(), JsonError> {
        let Some(Value::Object(fields)) = self.value else { return Err(self.wrong("an object")) };
        match fields.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(self.field(name).wrong("no such field")),
            None => Ok(()),
        }
    }

    /// A whole number of at most `limit`.
    pub(crate) fn number(&self, limit: u64) -> Result<u64, JsonError> {
        let number = self.value.and_then(Value::as_u64).filter(|number| *number <= limit);
        number.ok_or_else(|| self.wrong("a whole number within its range"))
    }

    /// [`Json::number`] of 32 bits.
    pub(crate) fn u32(&self) -> Result<u32, JsonError> {
        self.number(u32::MAX.into()).map(|number| number as u32)
    }

    /// Any number.
    pub(crate) fn float(&self) -> Result<f64, JsonError> {
        self.value.and_then(Value::as_f64).ok_or_else(|| self.wrong("a number"))
    }

    /// A text.
    pub(crate) fn text(&self) -> Result<&'v str, JsonError> {
        self.value.and_then(Value::as_str).ok_or_else(|| self.wrong("a text"))
    }

    /// The values of an array.
    pub(crate) fn list(&self) -> Result<Vec<Self>, JsonError> {
        let Some(Value::Array(values)) = self.value else { return Err(self.wrong("an array")) };
        let named = |value| Self { value: Some(value), field: self.field.clone() };
        Ok(values.iter().map(named).collect())
    }

    /// The values of an array, or none where it is absent.
    pub(crate) fn list_or_none(&self) -> Result<Vec<Self>, JsonError> {
        if self.value.is_some() { self.list() } else { Ok(Vec::new()) }
    }

    /// The texts of an array, or none where it is absent.
    pub(crate) fn texts(&self) -> Result<Vec<String>, JsonError> {
        self.list_or_none()?.iter().map(|value| value.text().map(str::to_owned)).collect()
    }

    /// The numbers of an array.
    pub(crate) fn floats(&self) -> Result<Vec<f32>, JsonError> {
        let number = |value: &Self| {
            let number = value.float()? as f32;
            if number.is_finite() { Ok(number) } else { Err(value.wrong("a number of single precision")) }
        };
        self.list()?.iter().map(number).collect()
    }

    /// The value itself.
    pub(crate) fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// The error that this is not what is expected.
    pub(crate) fn wrong(&self, expected: &'static str) -> JsonError {
        let found = match self.value {
            None => "nothing".to_owned(),
            Some(Value::Object(_)) => "an object".to_owned(),
            Some(Value::Array(_)) => "an array".to_owned(),
            Some(value) => value.to_string().chars().take(80).collect(),
        };
        JsonError { field: self.field.clone(), found, expected }
    }
}

/// A number as text. The standard library's own way to write floats is 4 KB of a client's download, and JSON has one already.
pub(crate) fn decimal(number: f32) -> String {
    if number.is_finite() { Value::from(number).to_string() } else { "not finite".to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_names_the_field_what_was_found_and_what_was_expected() {
        let value = json!({"a": {"n": 5, "t": "x", "none": null, "list": ["y", 7]}, "big": 1_u64 << 40});
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
