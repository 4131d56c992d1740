//! What a shop's visitors download, measured as servers send it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::XtaskError;
use crate::repository::Repository;

/// Most that the core WebAssembly may take, in KB brotli.
pub(crate) const WASM_BUDGET: f64 = 120.0;
/// Most that the JavaScript may take, in KB brotli: all of it, what a page loads later included.
pub(crate) const JAVASCRIPT_BUDGET: f64 = 15.0;

/// Bytes of a thousand, as download figures count them.
const KB: f64 = 1000.0;

/// A size in three forms, in KB.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Size {
    pub(crate) raw: f64,
    pub(crate) gzip: f64,
    pub(crate) brotli: f64,
}

impl Size {
    /// Of one file's bytes.
    pub(crate) fn of(bytes: &[u8]) -> io::Result<Self> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes)?;
        let gzip = gzip.finish()?;
        let mut brotli = Vec::new();
        brotli::BrotliCompress(&mut &bytes[..], &mut brotli, &brotli::enc::BrotliEncoderParams::default())?;
        Ok(Self { raw: bytes.len() as f64 / KB, gzip: gzip.len() as f64 / KB, brotli: brotli.len() as f64 / KB })
    }

    fn of_file(path: &Path) -> Result<Self, XtaskError> {
        fs::read(path).and_then(|bytes| Self::of(&bytes)).map_err(XtaskError::io(path))
    }

    fn add(self, other: Self) -> Self {
        Self { raw: self.raw + other.raw, gzip: self.gzip + other.gzip, brotli: self.brotli + other.brotli }
    }
}

/// The core WebAssembly.
pub(crate) fn wasm(repository: &Repository) -> Result<Size, XtaskError> {
    Size::of_file(&repository.wasm().join("nearshelf_bg.wasm"))
}

/// Every script that a browser loads, at once or later, each compressed alone as it is sent.
pub(crate) fn javascript(repository: &Repository) -> Result<Size, XtaskError> {
    let scripts = scripts(&repository.root.join("pkg-js/dist/index.js"))?;
    scripts.iter().try_fold(Size::default(), |sum, script| Ok(sum.add(Size::of_file(script)?)))
}

/// An entry point and all that it imports.
fn scripts(entry: &Path) -> Result<BTreeSet<PathBuf>, XtaskError> {
    let mut found = BTreeSet::new();
    let mut open = vec![entry.to_owned()];
    while let Some(script) = open.pop() {
        let path = fs::canonicalize(&script).map_err(XtaskError::io(&script))?;
        if found.contains(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        // wasm-bindgen names a module that is no file, only a key of its import object.
        open.extend(relative_scripts(&text).map(|name| folder.join(name)).filter(|path| path.is_file()));
        found.insert(path);
    }
    Ok(found)
}

/// Strings that name a script beside the one whose text this is, whatever quotes a bundler chose.
fn relative_scripts(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'', '`', '\n']).filter(|name| name.starts_with('.') && name.ends_with(".js"))
}

/// Prints a size and holds it against its budget.
pub(crate) fn check(name: &'static str, size: Size, budget: f64) -> Result<(), XtaskError> {
    let Size { raw, gzip, brotli } = size;
    println!("{name}: {raw:.1} KB, gzip {gzip:.1} KB, brotli {brotli:.1} KB of at most {budget} KB");
    if brotli <= budget { Ok(()) } else { Err(XtaskError::Budget { name, found: brotli, expected: budget }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_what_servers_send() {
        let size = Size::of(&[7; 10_000]).unwrap();
        assert!((size.raw - 10.0).abs() < 1e-9);
        assert!(size.brotli < size.gzip && size.gzip < 0.1, "{size:?}");
        // An xorshift's bytes do not compress.
        let mut state = 88_172_645_463_325_252_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(10_000)
        .collect();
        assert!(Size::of(&noise).unwrap().brotli >= 10.0);
    }

    #[test]
    fn follows_the_imports_of_a_script() {
        let text = "import{a}from\"./chunk-1.js\";const b=await import('../wasm/glue.js');const c=\".css\"+\"dot.js\";";
        assert_eq!(relative_scripts(text).collect::<Vec<_>>(), ["./chunk-1.js", "../wasm/glue.js"]);
        let error = scripts(Path::new("no/dist/index.js")).unwrap_err().to_string();
        assert!(error.contains("no/dist/index.js"), "{error}");
    }

    #[test]
    fn a_budget_holds_to_the_byte() {
        let size = |brotli| Size { raw: 50.0, gzip: 20.0, brotli };
        check("JavaScript", size(15.0), 15.0).unwrap();
        let error = check("JavaScript", size(15.001), 15.0).unwrap_err().to_string();
        assert!(error.contains("JavaScript: 15.0 KB brotli, expected at most 15 KB"), "{error}");
    }
}
