//! The WebAssembly builds: cargo, wasm-bindgen of exactly the locked version (a library here, so one Cargo.lock pins both
//! halves), wasm-opt from npm's binaryen, and a look into the result.

use std::path::{Path, PathBuf};
use std::{env, fs};

use wasm_bindgen_cli_support::Bindgen;
use wasmparser::{BinaryReaderError, Parser, Payload};

use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::size::Size;

/// What rustc and wasm-opt may use. All browsers of the last years have these; relaxed SIMD is not among them.
const WASM_FEATURES: &[&str] = &[
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// The standard library is compiled along: for size, and without a word about panics, which nobody sees in WebAssembly. As it is delivered it
/// takes 13 KB more of the core.
const OWN_STD: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];

/// What rustc is told. Loops of what is hot are rotated, which a build for size else does nowhere: a query tower takes a tenth less time.
const TOLD: &str = "-C target-feature=+simd128 -Z unstable-options -C panic=immediate-abort --cfg hot_is_fast \
                    -C llvm-args=-enable-loop-header-duplication";

/// What wasm-opt does with the core. rustc has inlined what pays; where wasm-opt goes on with every large function of one caller, the
/// compressed file is a hundredth larger. The stack lies at the bottom of the memory and data from a megabyte on, so nothing is below 1024 bytes.
const OPTIMISED: &[&str] = &[
    "-O3",
    "--converge",
    "--low-memory-unused",
    "--one-caller-inline-max-function-size=20",
    "--flexible-inline-max-function-size=10",
];

/// What it does with tract, of which a tower runs little.
const SMALL: &[&str] = &["-Oz"];

/// A crate's WebAssembly build.
#[derive(Debug)]
pub(crate) struct Build {
    /// The crate and its features, as arguments of cargo.
    package: &'static str,
    /// What rustc calls what it makes.
    library: &'static str,
    /// What the files are called.
    stem: &'static str,
    /// Whether its kernels must have come out as SIMD.
    simd: bool,
    /// What wasm-opt does.
    optimise: &'static [&'static str],
}

impl Build {
    /// A build whose files are called as the library is.
    pub(crate) const fn new(package: &'static str, stem: &'static str, simd: bool) -> Self {
        Self { package, library: stem, stem, simd, optimise: OPTIMISED }
    }
}

/// What browsers load.
pub(crate) const CORE: Build = Build::new("-p nearshelf --no-default-features --features wasm", "nearshelf", true);

/// What they load in its place where a release has a query tower without a lowering: the same with tract inside.
const ONNX: Build = Build {
    stem: "nearshelf_onnx",
    optimise: SMALL,
    ..Build::new("-p nearshelf --no-default-features --features wasm,tract-engine", "nearshelf", true)
};

/// Builds the core into `pkg-js/wasm` and prints its size.
pub(crate) fn build_core(repository: &Repository) -> Result<(), XtaskError> {
    build(repository, &CORE, &repository.wasm())?;
    Size::wasm(repository)?.check()
}

/// Builds the engine for ONNX graphs into `pkg-js/wasm-onnx` and prints its size.
pub(crate) fn build_onnx(repository: &Repository) -> Result<(), XtaskError> {
    build(repository, &ONNX, &repository.wasm_onnx())?;
    Size::wasm_onnx(repository)?.check()
}

/// Builds a crate and puts `STEM.js`, `STEM.d.ts`, `STEM_bg.wasm` and what they import into `out`, which holds nothing else.
///
/// The files are made in the build folder and moved over only when they have passed the checks.
pub(crate) fn build(repository: &Repository, build: &Build, out: &Path) -> Result<(), XtaskError> {
    let compiled = compile(repository, build)?;
    let staging = repository.target.join("wasm-bindgen").join(build.stem);
    renew(&staging)?;
    bind(&compiled, build.stem, &staging)?;

    let module = format!("{}_bg.wasm", build.stem);
    let optimised = staging.join("optimised.wasm");
    let mut wasm_opt = repository.command(repository.root.join("node_modules/.bin/wasm-opt"));
    wasm_opt.args(build.optimise).args(WASM_FEATURES).arg(staging.join(&module)).arg("-o").arg(&optimised);
    run(&mut wasm_opt)?;
    let bytes = fs::read(&optimised).map_err(XtaskError::io(&optimised))?;
    check(&optimised, &bytes, build)?;

    renew(out)?;
    let snippets = Path::new("snippets");
    if staging.join(snippets).is_dir() {
        copy_folder(&staging.join(snippets), &out.join(snippets))?;
    }
    for (from, to) in [
        (staging.join(format!("{}.js", build.stem)), format!("{}.js", build.stem)),
        (staging.join(format!("{}.d.ts", build.stem)), format!("{}.d.ts", build.stem)),
        (optimised, module),
    ] {
        fs::copy(&from, out.join(to)).map_err(XtaskError::io(&from))?;
    }
    Ok(())
}

/// Makes a folder empty.
fn renew(folder: &Path) -> Result<(), XtaskError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(XtaskError::io(folder))?;
    }
    fs::create_dir_all(folder).map_err(XtaskError::io(folder))
}

/// Copies the JavaScript that dependencies bring along.
fn copy_folder(from: &Path, to: &Path) -> Result<(), XtaskError> {
    fs::create_dir_all(to).map_err(XtaskError::io(to))?;
    for entry in fs::read_dir(from).map_err(XtaskError::io(from))? {
        let entry = entry.map_err(XtaskError::io(from))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &copy)?;
        } else {
            fs::copy(&path, &copy).map_err(XtaskError::io(&path))?;
        }
    }
    Ok(())
}

/// `cargo rustc` rather than `crate-type` in Cargo.toml: native builds need no dynamic library.
fn compile(repository: &Repository, build: &Build) -> Result<PathBuf, XtaskError> {
    let mut cargo = repository.cargo("rustc --profile wasm --lib --target wasm32-unknown-unknown --crate-type cdylib");
    cargo.args(build.package.split_whitespace()).args(OWN_STD);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags(repository)?);
    // What is asked for is unstable, and stays as it is as long as the toolchain is pinned.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    run(&mut cargo)?;
    Ok(repository.target.join("wasm32-unknown-unknown/wasm").join(format!("{}.wasm", build.library)))
}

/// What rustc is told, in cargo's encoding: parts that spaces in paths do not break, and that no other setting overrides.
fn rustflags(repository: &Repository) -> Result<String, XtaskError> {
    let mut flags: Vec<String> = TOLD.split(' ').map(str::to_owned).collect();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sysroot = output(repository.command("rustc").args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    // Without this the bytes would depend on where a machine keeps downloaded crates and the toolchain.
    for (folder, name) in [(home, "cargo"), (Some(sysroot.join("lib/rustlib/src/rust")), "rust")] {
        flags.extend(folder.map(|folder| format!("--remap-path-prefix={}={name}", folder.display())));
    }
    Ok(flags.join("\u{1f}"))
}

fn bind(compiled: &Path, stem: &str, out: &Path) -> Result<(), XtaskError> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(compiled)
        .out_name(stem)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true);
    let result = bindgen.web(true).and_then(|bindgen| bindgen.generate(out));
    result.map_err(|error| XtaskError::Bindgen { path: compiled.to_owned(), reason: format!("{error:#}") })
}

/// A host offers what wasm-bindgen wrote and nothing else: an import of `env` means that code for another system was
/// linked in. And without SIMD instructions the kernels fell back to scalars, which no test of results would show.
fn check(path: &Path, bytes: &[u8], build: &Build) -> Result<(), XtaskError> {
    let content = |found, expected, remedy| XtaskError::Content { path: path.to_owned(), found, expected, remedy };
    let facts = Facts::of(bytes).map_err(|error| {
        content(error.to_string(), "a WebAssembly module", "build it again with `cargo xtask wasm`")
    })?;
    let bindings = format!("./{}_bg.js", build.stem);
    if let Some(foreign) =
        facts.imports.iter().find(|import| import.split_once(' ').is_none_or(|(from, _)| from != bindings))
    {
        return Err(content(
            format!("an import of `{foreign}`"),
            "imports of the wasm-bindgen module only",
            "look for a dependency that is not made for wasm32-unknown-unknown",
        ));
    }
    println!("{}: {} imports, {} SIMD instructions", path.display(), facts.imports.len(), facts.simd);
    if build.simd && facts.simd == 0 {
        return Err(content(
            "no SIMD instruction".to_owned(),
            "kernels built with simd128",
            "look for what keeps rustc from the flags that `cargo xtask wasm` gives it",
        ));
    }
    Ok(())
}

/// What a module shows of itself.
#[derive(Debug, Default)]
struct Facts {
    /// `module name`, as often as imported.
    imports: Vec<String>,
    /// Instructions of the SIMD proposal.
    simd: usize,
}

impl Facts {
    /// The byte that every SIMD instruction starts with.
    const SIMD_PREFIX: u8 = 0xfd;

    fn of(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut facts = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        facts.imports.push(format!("{} {}", import.module, import.name));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let mut operators = body.get_operators_reader()?;
                    while !operators.eof() {
                        facts.simd += usize::from(bytes[operators.original_position()] == Self::SIMD_PREFIX);
                        operators.read()?;
                    }
                }
                _ => {}
            }
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(module (import FROM "f" (func)) (func (v128.const i32x4 …) (drop)))`, or the body `nop nop` without SIMD.
    fn module(from: &str, simd: bool) -> Vec<u8> {
        let import = [&[1, from.len() as u8], from.as_bytes(), &[1, b'f', 0, 0]].concat();
        let code = if simd { [&[0xfd, 0x0c][..], &[0xfd; 16], &[0x1a]].concat() } else { vec![0x01, 0x01] };
        let body = [&[0][..], &code, &[0x0b]].concat();
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        for (id, section) in
            [(1, vec![1, 0x60, 0, 0]), (2, import), (3, vec![1, 0]), (10, [&[1, body.len() as u8][..], &body].concat())]
        {
            bytes.extend([id, section.len() as u8]);
            bytes.extend(section);
        }
        bytes
    }

    fn checked(bytes: &[u8]) -> Result<(), String> {
        check(Path::new("core.wasm"), bytes, &CORE).map_err(|error| error.to_string())
    }

    #[test]
    fn accepts_bindings_and_simd() {
        checked(&module("./nearshelf_bg.js", true)).unwrap();
        assert_eq!(Facts::of(&module("env", true)).unwrap().simd, 1, "the bytes of a constant are not instructions");
    }

    #[test]
    fn refuses_foreign_imports_scalar_code_and_cut_modules() {
        let error = checked(&module("env", true)).unwrap_err();
        assert!(error.contains("core.wasm: found an import of `env f`"), "{error}");
        assert!(checked(&module("./nearshelf_bg.js", false)).unwrap_err().contains("no SIMD instruction"));
        let whole = module("./nearshelf_bg.js", true);
        assert!(checked(&whole[..whole.len() - 3]).is_err());
        assert!(checked(b"").is_err());
    }
}
