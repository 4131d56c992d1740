//! Values in errors. What the standard library's `Debug` shows of a text takes tables of all characters, and a client downloads them.

use crate::hex;
use crate::json::write;

/// A text in quotes.
pub(crate) fn text(text: &str) -> String {
    write::quoted(text)
}

/// Texts in quotes.
pub(crate) fn list(texts: &[String]) -> String {
    joined(texts.iter().map(|item| text(item)))
}

/// Bytes as two hexadecimal digits each.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    joined(bytes.iter().map(|byte| hex::text(&[*byte])))
}

/// What is shown already, in brackets.
pub(crate) fn joined(shown: impl Iterator<Item = String>) -> String {
    ["[", &*shown.collect::<Vec<_>>().join(", "), "]"].concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn plain_values_look_as_the_standard_library_shows_them() {
        let texts = ["a \"b\" \\ é".to_owned(), String::new()];
        assert_eq!(super::text(&texts[0]), format!("{:?}", texts[0]));
        assert_eq!(super::list(&texts), format!("{texts:?}"));
        assert_eq!(super::bytes(b"NS\x00\xff"), format!("{:02x?}", b"NS\x00\xff"));
        assert_eq!(super::bytes(b""), "[]");
    }
}
