//! What a shop's visitors download, measured as servers send it.
//!
//! `pkg-js` sets the limits and knows what it ships, and Node compresses: there is one definition of both figures.

use serde_json::Value;

use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::output;

/// Bytes of a thousand, as download figures count them.
const KB: f64 = 1000.0;

/// A download and its budget, in KB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    /// Before compression and with gzip, where that was measured.
    plain: Option<(f64, f64)>,
    pub(crate) brotli: f64,
    /// Most that `brotli` may be.
    pub(crate) limit: f64,
}

impl Size {
    /// The core WebAssembly.
    pub(crate) fn wasm(repository: &Repository) -> Result<Self, XtaskError> {
        let module = repository.wasm().join("nearshelf_bg.wasm");
        Self::measure(repository, "core WASM", &["WASM", &module.to_string_lossy()])
    }

    /// The WebAssembly with the tract engine.
    pub(crate) fn wasm_onnx(repository: &Repository) -> Result<Self, XtaskError> {
        let module = repository.wasm_onnx().join("nearshelf_onnx_bg.wasm");
        Self::measure(repository, "ONNX WASM", &["ONNX WASM", &module.to_string_lossy()])
    }

    /// The package with the engine's glue, bundled and minified as shops do.
    pub(crate) fn javascript(repository: &Repository) -> Result<Self, XtaskError> {
        Self::measure(repository, "JavaScript", &["JavaScript"])
    }

    fn measure(repository: &Repository, name: &'static str, arguments: &[&str]) -> Result<Self, XtaskError> {
        let script = repository.root.join("xtask/size.mjs");
        let text = output(repository.command("node").arg(&script).args(arguments))?;
        Self::parse(name, &text).ok_or_else(|| XtaskError::Content {
            path: script,
            found: String::from_utf8_lossy(&text).into_owned(),
            expected: "brotli and limit in bytes, as JSON",
            remedy: "take xtask and pkg-js from the same commit",
        })
    }

    fn parse(name: &'static str, text: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(text).ok()?;
        let kilobytes = |key: &str| Some(json[key].as_u64()? as f64 / KB);
        let plain = kilobytes("raw").zip(kilobytes("gzip"));
        Some(Self { name, plain, brotli: kilobytes("brotli")?, limit: kilobytes("limit")? })
    }

    /// Prints the size and holds it against its budget.
    pub(crate) fn check(self) -> Result<(), XtaskError> {
        let Self { name, plain, brotli, limit } = self;
        let plain = plain.map_or_else(String::new, |(raw, gzip)| format!("{raw:.1} KB, gzip {gzip:.1} KB, "));
        println!("{name}: {plain}brotli {brotli:.3} KB of at most {limit} KB");
        if brotli <= limit { Ok(()) } else { Err(XtaskError::Budget { name, found: brotli, expected: limit }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Option<Size> {
        Size::parse("JavaScript", text.as_bytes())
    }

    #[test]
    fn a_budget_holds_to_the_byte() {
        size(r#"{"brotli":15000,"limit":15000}"#).unwrap().check().unwrap();
        let error = size(r#"{"brotli":15001,"limit":15000}"#).unwrap().check().unwrap_err().to_string();
        assert!(error.contains("JavaScript: 15.001 KB brotli, expected at most 15 KB"), "{error}");
    }

    #[test]
    fn a_size_without_its_limit_is_no_size() {
        for text in ["", "{}", r#"{"brotli":15000}"#, r#"{"limit":15000}"#, r#"{"brotli":"?","limit":1}"#] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(size(r#"{"raw":9000,"gzip":5000,"brotli":4000,"limit":1}"#).unwrap().plain, Some((9.0, 5.0)));
    }
}
