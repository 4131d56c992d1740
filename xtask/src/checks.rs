//! `cargo xtask test`: everything that continuous integration runs, cheap checks first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::chromium::Chromium;
use crate::demo::{COMPLETE_JOURNEY, Shop};
use crate::error::XtaskError;
use crate::redis;
use crate::repository::Repository;
use crate::run::{Counts, Outcome, counted, run};
use crate::{data, demo, s3, setup, supply, tools, wasm, worker};

/// A check. Those that it needs stand above it.
struct Check {
    name: &'static str,
    needs: &'static [&'static str],
    run: fn(&Context<'_>) -> Outcome,
}

/// What checks work with.
struct Context<'a> {
    repository: &'a Repository,
    chromium: PathBuf,
}

/// The release that the package and the storefront are tested with: the demo's data, towers of a few steps.
const SMALL_RELEASE: Shop = Shop { config: COMPLETE_JOURNEY.config, work: "work/test" };
/// Enough that embeddings differ; quality is what `cargo xtask bench path` looks at.
const SMALL_STEPS: &str = "40";

/// Seconds of each fuzz target's mutants in continuous integration, where nobody waits for them.
const FUZZ_SECONDS: &str = "20";

/// Clippy and the documentation build in release too: that shares build scripts and procedural macros with the tests (179
/// of 562 units), and both share the checked dependencies with each other.
const CHECKS: &[Check] = &[
    Check { name: "format", needs: &[], run: |on| on.cargo("fmt --all --check").into() },
    Check { name: "targets stay in kernels and platform", needs: &[], run: |on| target_cfgs(on.repository).into() },
    Check { name: "supply of crates", needs: &[], run: |on| supply::crates(on.repository).into() },
    Check { name: "supply of packages", needs: &[], run: |on| supply::packages(on.repository).into() },
    Check {
        name: "clippy, portable",
        needs: &[],
        run: |on| on.cargo("clippy --release -p nearshelf --all-targets --no-default-features -- -D warnings").into(),
    },
    Check {
        name: "clippy, WebAssembly",
        needs: &[],
        run: |on| {
            let line = "clippy --profile wasm -p nearshelf --no-default-features --features wasm \
                        --target wasm32-unknown-unknown -- -D warnings";
            on.cargo(line).into()
        },
    },
    Check {
        name: "clippy, workspace",
        needs: &[],
        run: |on| on.cargo("clippy --release --workspace --all-targets -- -D warnings").into(),
    },
    Check { name: "documentation", needs: &[], run: |on| document(on.repository).into() },
    Check {
        name: "Rust tests, portable",
        needs: &[],
        run: |on| counted(&mut on.repository.cargo("test --release -p nearshelf --lib --no-default-features")),
    },
    Check { name: "Rust tests, workspace", needs: &[], run: rust_tests },
    Check { name: "WebAssembly build", needs: &[], run: |on| wasm::build_core(on.repository).into() },
    Check { name: "WebAssembly tests", needs: &["WebAssembly build", "Rust tests, workspace"], run: wasm_tests },
    Check { name: "package build", needs: &["WebAssembly build"], run: |on| demo::build_package(on.repository).into() },
    Check { name: "worker", needs: &[], run: |on| worker::test(on.repository) },
    Check { name: "small release", needs: &[], run: |on| small_release(on.repository).into() },
    Check { name: "package tests", needs: &["package build", "small release"], run: package_tests },
    Check {
        name: "package consumers",
        needs: &["package build", "small release", "Rust tests, workspace"],
        run: consumer_tests,
    },
    Check {
        name: "storefront build",
        needs: &["package build", "small release"],
        run: |on| SMALL_RELEASE.build_site(on.repository).into(),
    },
    Check { name: "storefront tests", needs: &["storefront build"], run: storefront_tests },
];

/// Sets up, runs every check whatever the others say, and prints what came of them. With words, only the checks that have
/// one of them in their names, and what those need.
pub(crate) fn test(repository: &Repository, words: &[String]) -> Result<(), XtaskError> {
    let checks = chosen(words);
    if checks.is_empty() {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        return Err(XtaskError::NoCheck { words: words.join(" "), names: names.join("; ") });
    }
    let chromium = Chromium::look();
    let mut missing = tools::missing();
    if let Chromium::Missing(line) = &chromium {
        missing.push(line.clone());
    }
    if !missing.is_empty() {
        return Err(XtaskError::MissingTools(missing));
    }
    println!("== set-up");
    let chromium = chromium.install()?;
    setup::wasm_target(repository)?;
    setup::node_modules(repository, &repository.root)?;
    setup::node_modules(repository, &worker::folder(repository))?;
    report(&run_all(&checks, &Context { repository, chromium }))
}

fn chosen(words: &[String]) -> Vec<&'static Check> {
    let mut wanted: Vec<&str> = Vec::new();
    // From below: what a check needs stands above it.
    for check in CHECKS.iter().rev() {
        let named = words.is_empty() || words.iter().any(|word| check.name.contains(word.as_str()));
        if named || wanted.contains(&check.name) {
            wanted.push(check.name);
            wanted.extend(check.needs);
        }
    }
    CHECKS.iter().filter(|check| wanted.contains(&check.name)).collect()
}

/// One line of the table at the end.
struct Done {
    name: &'static str,
    counts: Counts,
    time: Duration,
    /// Why it failed.
    reason: Option<String>,
}

fn run_all(checks: &[&Check], context: &Context<'_>) -> Vec<Done> {
    let mut all: Vec<Done> = Vec::new();
    for check in checks {
        println!("\n== {}", check.name);
        let started = Instant::now();
        let broken = |need: &&&str| all.iter().any(|done| done.name == **need && done.reason.is_some());
        let done = if let Some(need) = check.needs.iter().find(broken) {
            let reason = Some(format!("not run: it needs \"{need}\""));
            Done { name: check.name, counts: Counts { passed: 0, failed: 1 }, time: Duration::ZERO, reason }
        } else {
            let Outcome { counts, error } = (check.run)(context);
            let reason = error.map(|error| error.to_string());
            Done { name: check.name, counts, time: started.elapsed(), reason }
        };
        match &done.reason {
            Some(reason) => println!("failed: {reason}"),
            None => println!("passed in {:.1} s", done.time.as_secs_f64()),
        }
        all.push(done);
    }
    all
}

/// The last line is for machines: it counts tests where a runner tells them, checks otherwise.
fn report(all: &[Done]) -> Result<(), XtaskError> {
    println!("\n== results");
    for Done { name, counts, time, reason } in all {
        let result = if reason.is_some() { "FAILED" } else { "ok" };
        let Counts { passed, failed } = counts;
        println!("  {name:<38} {result:<6} {passed:>5} passed {failed:>4} failed {:>8.1} s", time.as_secs_f64());
    }
    for Done { name, reason, .. } in all {
        if let Some(reason) = reason {
            println!("  {name}: {reason}");
        }
    }
    let sum = |count: fn(&Counts) -> usize| all.iter().map(|done| count(&done.counts)).sum::<usize>();
    println!("{} passed, {} failed", sum(|counts| counts.passed), sum(|counts| counts.failed));
    let failed = all.iter().filter(|done| done.reason.is_some()).count();
    if failed == 0 { Ok(()) } else { Err(XtaskError::Checks { failed }) }
}

impl Context<'_> {
    fn cargo(&self, line: &str) -> Result<(), XtaskError> {
        run(&mut self.repository.cargo(line))
    }

    /// Where the Rust tests leave what the WebAssembly tests compare bits with.
    fn fixtures(&self) -> PathBuf {
        self.repository.target.join("wasm-fixtures")
    }
}

fn document(repository: &Repository) -> Result<(), XtaskError> {
    run(repository.cargo("doc --release --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings"))
}

/// Code for one kind of machine stays in the two folders that are made for it; everywhere else a difference between
/// native and WebAssembly would be a bug.
fn target_cfgs(repository: &Repository) -> Result<(), XtaskError> {
    let source = repository.root.join("src");
    let mut open = vec![source.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(XtaskError::io(&folder))? {
            let path = entry.map_err(XtaskError::io(&folder))?.path();
            if path.is_dir() {
                if path != source.join("kernels") && path != source.join("platform") {
                    open.push(path);
                }
                continue;
            }
            let text = fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
            if let Some(line) = first_target_cfg(&text) {
                return Err(XtaskError::Content {
                    path,
                    found: format!("a cfg of the target in line {line}"),
                    expected: "code that is the same for every target",
                    remedy: "move it to src/kernels or src/platform",
                });
            }
        }
    }
    Ok(())
}

/// The first line, from 1, that asks what it is compiled for.
fn first_target_cfg(text: &str) -> Option<usize> {
    let words = ["target_arch", "target_feature", "target_os", "target_family", "target_env", "target_pointer_width"];
    let asks = |line: &str| line.contains("cfg") && words.iter().any(|word| line.contains(word));
    text.lines().position(asks).map(|line| line + 1)
}

fn rust_tests(on: &Context<'_>) -> Outcome {
    let fixtures = on.fixtures();
    if let Err(error) = fs::create_dir_all(&fixtures).map_err(XtaskError::io(&fixtures)) {
        return Err(error).into();
    }
    let mut tests = on.repository.cargo("test --release --workspace");
    if std::env::var_os("CI").is_some() {
        tests.env("NEARSHELF_FUZZ_SECONDS", FUZZ_SECONDS);
    }
    match redis::server().and_then(|redis| Ok((redis, s3::server(on.repository)?))) {
        Ok((redis, s3)) => {
            tests.envs(redis.map(|path| ("REDIS_SERVER", path))).envs(s3.map(|path| ("MOTO_SERVER", path)));
            counted(tests.env("NEARSHELF_WASM_FIXTURES", fixtures))
        }
        Err(error) => Err(error).into(),
    }
}

fn wasm_tests(on: &Context<'_>) -> Outcome {
    match node_tests(on.repository, &on.repository.root.join("tests/wasm")) {
        Ok(mut node) => {
            let folders = [
                ("NEARSHELF_WASM_DIR", on.repository.wasm()),
                ("NEARSHELF_WASM_ONNX_DIR", on.repository.wasm_onnx()),
                ("NEARSHELF_WASM_FIXTURES", on.fixtures()),
            ];
            counted(node.envs(folders))
        }
        Err(error) => Err(error).into(),
    }
}

/// `node --test` with every test file of a folder. Named one by one: what a folder means differs between Node's versions.
pub(crate) fn node_tests(repository: &Repository, folder: &Path) -> Result<Command, XtaskError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(XtaskError::io(folder))? {
        let path = entry.map_err(XtaskError::io(folder))?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(XtaskError::Content {
            path: folder.to_owned(),
            found: "no *.test.mjs".to_owned(),
            expected: "tests",
            remedy: "restore them from the repository",
        });
    }
    files.sort();
    let mut node = repository.command("node");
    node.arg("--test").args(files);
    Ok(node)
}

fn small_release(repository: &Repository) -> Result<(), XtaskError> {
    data::fetch(repository)?;
    demo::build_binary(repository)?;
    // From nothing: a kept checkpoint would test yesterday's training.
    let work = repository.root.join(SMALL_RELEASE.work);
    if work.exists() {
        fs::remove_dir_all(&work).map_err(XtaskError::io(&work))?;
    }
    run(&mut SMALL_RELEASE.nearshelf(repository, &["prepare"]))?;
    run(&mut SMALL_RELEASE.nearshelf(repository, &["train", "--steps", SMALL_STEPS]))?;
    SMALL_RELEASE.build_release(repository)
}

fn package_tests(on: &Context<'_>) -> Outcome {
    let release = SMALL_RELEASE.file(on.repository, "release");
    let mut npm = on.repository.npm("test -w pkg-js");
    npm.env("NEARSHELF_RELEASE", release);
    // The engine for ONNX graphs takes minutes to build: `cargo xtask wasm --onnx`. Where it is there, and the Rust tests have written a
    // release for it, it is tested.
    let for_onnx = on.fixtures().join("onnx");
    // Where it is not, a stand-in of some bytes has its name.
    let engine = fs::metadata(on.repository.wasm_onnx().join("nearshelf_onnx_bg.wasm"));
    if engine.is_ok_and(|file| file.len() > 1000) && for_onnx.join("head.json").is_file() {
        npm.env("NEARSHELF_ONNX_RELEASE", for_onnx);
    }
    counted(&mut npm)
}

/// The packed package in Node, workerd and the builds of shops, these in Chromium.
fn consumer_tests(on: &Context<'_>) -> Outcome {
    let release = SMALL_RELEASE.file(on.repository, "release");
    let mut npm = on.repository.npm("test -w consumers");
    npm.env("NEARSHELF_RELEASE", release).env("NEARSHELF_WASM_FIXTURES", on.fixtures());
    counted(npm.env("CHROME_PATH", &on.chromium))
}

fn storefront_tests(on: &Context<'_>) -> Outcome {
    let site = SMALL_RELEASE.file(on.repository, "site");
    counted(on.repository.npm("test -w demo-site").env("NEARSHELF_SITE", site).env("CHROME_PATH", &on.chromium))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Repository {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        Repository { target: root.join("target"), root }
    }

    #[test]
    fn every_check_needs_only_checks_above_it() {
        for (position, check) in CHECKS.iter().enumerate() {
            for need in check.needs {
                assert!(CHECKS[..position].iter().any(|above| above.name == *need), "{} needs {need}", check.name);
            }
        }
    }

    #[test]
    fn a_failed_check_stops_those_that_need_it_and_no_others() {
        let fails = |_: &Context<'_>| Outcome::from(Err(XtaskError::Checks { failed: 0 }));
        let passes = |_: &Context<'_>| Outcome::from(Ok(()));
        let checks = [
            Check { name: "a", needs: &[], run: fails },
            Check { name: "b", needs: &["a"], run: passes },
            Check { name: "c", needs: &["b"], run: passes },
            Check { name: "d", needs: &[], run: passes },
        ];
        let repository = repository();
        let all = run_all(&checks.each_ref(), &Context { repository: &repository, chromium: PathBuf::new() });
        let passed: Vec<_> = all.iter().filter(|done| done.reason.is_none()).map(|done| done.name).collect();
        assert_eq!(passed, ["d"]);
        assert!(all[2].reason.as_ref().unwrap().contains("not run"));
        assert!(matches!(report(&all), Err(XtaskError::Checks { failed: 3 })));
    }

    #[test]
    fn words_choose_checks_with_what_they_need() {
        let names = |words: &[&str]| -> Vec<_> {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            chosen(&words).iter().map(|check| check.name).collect()
        };
        assert_eq!(names(&[]).len(), CHECKS.len());
        assert_eq!(
            names(&["worker", "storefront build"]),
            ["WebAssembly build", "package build", "worker", "small release", "storefront build"]
        );
        assert_eq!(names(&["format", "documentation"]), ["format", "documentation"]);
        assert!(names(&["no such check"]).is_empty());
    }

    #[test]
    fn finds_code_for_one_target() {
        assert_eq!(first_target_cfg("fn a() {}\n#[cfg(target_arch = \"wasm32\")]\nfn b() {}"), Some(2));
        assert_eq!(first_target_cfg("let x = cfg!(target_feature = \"simd128\");"), Some(1));
        assert_eq!(first_target_cfg("let target_items = 3; // cfg\n#[cfg(test)]"), None);
    }
}
