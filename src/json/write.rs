//! From fields to text.

/// What a field holds.
#[cfg(any(feature = "wasm", test))]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field<'f> {
    /// A text, which is quoted.
    Text(&'f str),
    /// A whole number.
    Whole(u64),
    /// JSON already.
    Json(&'f str),
}

/// Adds a text in quotes.
pub(crate) fn text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..='\u{1f}' => {
                let digit = |digit: u32| char::from_digit(digit, 16).unwrap_or_default();
                out.push_str("\\u00");
                out.extend([digit(character as u32 / 16), digit(character as u32 % 16)]);
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// A text in quotes.
pub(crate) fn quoted(value: &str) -> String {
    let mut out = String::new();
    text(&mut out, value);
    out
}

/// The shortest number that stands for this one of single precision.
pub(crate) fn float(number: f32) -> String {
    // The standard library's own way to write floats is 4 KB of a client's download.
    serde_json::to_string(&number).unwrap_or_default()
}

/// An object.
#[cfg(any(feature = "wasm", test))]
pub(crate) fn object(fields: &[(&str, Field<'_>)]) -> String {
    let mut out = String::from("{");
    for (name, field) in fields {
        if out.len() > 1 {
            out.push(',');
        }
        text(&mut out, name);
        out.push(':');
        match field {
            Field::Text(value) => text(&mut out, value),
            Field::Whole(value) => out.push_str(&value.to_string()),
            Field::Json(value) => out.push_str(value),
        }
    }
    out.push('}');
    out
}

/// An array of what is JSON already.
#[cfg(any(feature = "wasm", test))]
pub(crate) fn array(values: impl Iterator<Item = String>) -> String {
    let mut out = String::from("[");
    values.for_each(|value| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&value);
    });
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn serde_json_reads_what_is_written(name in any::<String>(), value in any::<String>(), whole in any::<u64>()) {
            let values = array([&name, &value].into_iter().map(|value| quoted(value)));
            let fields = [(&*name, Field::Text(&value)), ("whole", Field::Whole(whole)), ("values", Field::Json(&values))];
            let read: serde_json::Value = serde_json::from_str(&object(&fields)).unwrap();
            if name != "whole" && name != "values" {
                prop_assert_eq!(read[&name].as_str(), Some(&*value));
            }
            prop_assert_eq!(&read["whole"], &serde_json::Value::from(whole));
            prop_assert_eq!(&read["values"], &serde_json::json!([name, value]));
        }
    }
}
