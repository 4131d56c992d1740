//! From nothing to a storefront: data, towers, evaluation, release, WebAssembly, package, site.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::{Timings, output, run};
use crate::size::Size;
use crate::{data, setup, tools, wasm};

/// A shop: its description, and the folder that nearshelf works in.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) config: &'static str,
    pub(crate) work: &'static str,
}

/// What the demo's keys are encrypted with: they guard nothing.
const PASSPHRASE: (&str, &str) = ("NEARSHELF_PASSPHRASE", "the demo's keys guard nothing");

/// The demo's.
pub(crate) const COMPLETE_JOURNEY: Shop =
    Shop { config: "models/complete-journey/nearshelf.toml", work: "work/complete-journey" };

impl Shop {
    /// `nearshelf` for this shop.
    pub(crate) fn nearshelf(&self, repository: &Repository, arguments: &[&str]) -> Command {
        let mut command = repository.command(repository.nearshelf());
        command.args(["--config", self.config, "--work", self.work]).args(arguments);
        command
    }

    /// A file of the work folder.
    pub(crate) fn file(&self, repository: &Repository, name: &str) -> PathBuf {
        repository.root.join(self.work).join(name)
    }

    /// Builds the release folder.
    pub(crate) fn build_release(&self, repository: &Repository) -> Result<(), XtaskError> {
        let mut build = self.nearshelf(repository, &["build", "--release"]);
        run(build.arg(self.file(repository, "release")))
    }

    /// Signs the release into the folder `published`, with keys that are made when there are none.
    pub(crate) fn publish(&self, repository: &Repository) -> Result<(), XtaskError> {
        let keys = self.file(repository, "keys");
        if !keys.join("root/1.json").is_file() {
            let mut init = self.nearshelf(repository, &["keys", "init", "--name", "demo", "--dir"]);
            run(init.arg(&keys).env(PASSPHRASE.0, PASSPHRASE.1))?;
        }
        // A demo is tried out: it may have become another one altogether.
        let mut publish = self
            .nearshelf(repository, &["publish", "--force-loss", "items", "--force-loss", "recall", "--collect", "1"]);
        publish.arg("--release").arg(self.file(repository, "release"));
        publish.arg("--to").arg(self.file(repository, "published")).arg("--keys").arg(keys);
        run(publish.env(PASSPHRASE.0, PASSPHRASE.1))
    }

    /// What the storefront is given to know the release by.
    fn public_key(&self, repository: &Repository) -> Result<String, XtaskError> {
        let mut show = self.nearshelf(repository, &["keys", "show", "--dir"]);
        let printed = output(show.arg(self.file(repository, "keys")))?;
        let printed = String::from_utf8_lossy(&printed);
        let key = printed.lines().find_map(|line| line.strip_prefix("publicKey")).unwrap_or_default();
        Ok(key.trim().trim_matches('"').to_owned())
    }

    /// Builds the storefront around the release, signed.
    pub(crate) fn build_site(&self, repository: &Repository) -> Result<(), XtaskError> {
        self.publish(repository)?;
        let mut build = repository.command("node");
        build.arg("demo-site/build.mjs").arg("--release").arg(self.file(repository, "published"));
        build.arg("--public-key").arg(self.public_key(repository)?);
        run(build.arg("--out").arg(self.file(repository, "site")))
    }
}

/// The demo as the user runs it.
pub(crate) fn demo(repository: &Repository, once: bool, port: u16) -> Result<(), XtaskError> {
    tools::check()?;
    if !once {
        // Now, and not after a build of half an hour.
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| XtaskError::Port { port, source })?);
    }
    let mut timings = Timings::default();
    build(repository, &mut timings)?;
    summary(repository, &timings)?;
    if once { Ok(()) } else { serve(repository, port) }
}

/// Everything but serving.
///
/// Every step runs every time. Each is incremental by itself (cargo, npm's stamp, the cache of data, the checkpoint of a
/// finished training), and a second opinion here about what is stale could only be wrong.
pub(crate) fn build(repository: &Repository, timings: &mut Timings) -> Result<(), XtaskError> {
    let shop = &COMPLETE_JOURNEY;
    timings.step("set-up", || {
        setup::wasm_target(repository)?;
        setup::node_modules(repository, &repository.root)
    })?;
    timings.step("fetch the data", || data::fetch(repository).map(drop))?;
    timings.step("compile", || build_binary(repository))?;
    timings.step("prepare", || run(&mut shop.nearshelf(repository, &["prepare"])))?;
    timings.step("train", || run(&mut shop.nearshelf(repository, &["train"])))?;
    timings.step("evaluate", || run(&mut shop.nearshelf(repository, &["evaluate"])))?;
    timings.step("build the release", || shop.build_release(repository))?;
    timings.step("build the WebAssembly", || wasm::build_core(repository))?;
    timings.step("build the package", || build_package(repository))?;
    timings.step("publish, and build the storefront", || shop.build_site(repository))
}

/// The same features as `cargo test --workspace` resolves, so that neither command compiles the other's crates again.
pub(crate) fn build_binary(repository: &Repository) -> Result<(), XtaskError> {
    run(&mut repository.cargo("build --release --workspace --bins"))
}

/// Builds `pkg-js` and prints its size.
pub(crate) fn build_package(repository: &Repository) -> Result<(), XtaskError> {
    run(&mut repository.npm("run build -w pkg-js"))?;
    Size::javascript(repository)?.check()
}

fn summary(repository: &Repository, timings: &Timings) -> Result<(), XtaskError> {
    let shop = &COMPLETE_JOURNEY;
    println!("\n== the demo is built");
    timings.print();
    println!("  evaluation  {}", shop.file(repository, "evaluation.md").display());
    for (name, folder) in [("release", shop.file(repository, "release")), ("storefront", shop.file(repository, "site"))]
    {
        let (files, bytes) = weigh(&folder)?;
        println!("  {name:<11} {}: {files} files, {:.1} MB", folder.display(), bytes as f64 / 1e6);
    }
    Ok(())
}

/// Files and bytes below a folder.
fn weigh(folder: &Path) -> Result<(usize, u64), XtaskError> {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder).map_err(XtaskError::io(folder))? {
        let entry = entry.map_err(XtaskError::io(folder))?;
        let metadata = entry.metadata().map_err(XtaskError::io(&entry.path()))?;
        let (files, bytes) = if metadata.is_dir() { weigh(&entry.path())? } else { (1, metadata.len()) };
        sum = (sum.0 + files, sum.1 + bytes);
    }
    Ok(sum)
}

fn serve(repository: &Repository, port: u16) -> Result<(), XtaskError> {
    println!("\n== serve; Ctrl-C stops");
    let mut serve = repository.command("node");
    serve.arg("demo-site/serve.mjs").arg("--dir").arg(COMPLETE_JOURNEY.file(repository, "site"));
    run(serve.arg("--port").arg(port.to_string()))
}
