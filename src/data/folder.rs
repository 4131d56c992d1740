//! The output folder: written beside, then swapped, so that an error leaves what was there before.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::DataError;
use super::summary::SUMMARY_FILE;

pub(super) const EVENTS_FILE: &str = "events.parquet";
pub(super) const ITEMS_FILE: &str = "items.parquet";
pub(super) const USERS_FILE: &str = "users.parquet";
pub(super) const REJECTS_FILE: &str = "rejects.csv";

/// Everything that preparation writes.
const FILES: [&str; 5] = [EVENTS_FILE, ITEMS_FILE, USERS_FILE, REJECTS_FILE, SUMMARY_FILE];

/// A folder in the making.
pub(super) struct OutFolder {
    out: PathBuf,
    temporary: TempDir,
}

impl OutFolder {
    /// Checks that `out` may be replaced, and makes room beside it.
    pub(super) fn create(out: &Path) -> Result<Self, DataError> {
        let out = std::path::absolute(out).map_err(DataError::io(out))?;
        let parent = out.parent().unwrap_or(&out);
        std::fs::create_dir_all(parent).map_err(DataError::io(parent))?;
        if out.exists() {
            for entry in std::fs::read_dir(&out).map_err(DataError::io(&out))? {
                let name = entry.map_err(DataError::io(&out))?.file_name();
                if !FILES.iter().any(|file| name == *file) {
                    return Err(DataError::ForeignFile { path: out, found: name.to_string_lossy().into_owned() });
                }
            }
        }
        let temporary =
            tempfile::Builder::new().prefix(".prepare-").tempdir_in(parent).map_err(DataError::io(parent))?;
        let folder = Self { temporary, out };
        for path in [folder.tables(), folder.stage(), folder.spill()] {
            std::fs::create_dir(&path).map_err(DataError::io(&path))?;
        }
        Ok(folder)
    }

    /// Where the new tables go.
    pub(super) fn tables(&self) -> PathBuf {
        self.temporary.path().join("tables")
    }

    /// Tables between plans.
    pub(super) fn stage(&self) -> PathBuf {
        self.temporary.path().join("stage")
    }

    /// Where plans spill.
    pub(super) fn spill(&self) -> PathBuf {
        self.temporary.path().join("spill")
    }

    /// Where the rejects of a failed run are kept: beside the folder, whose own belong to its tables.
    fn failed_rejects(&self) -> PathBuf {
        let name = self.out.file_name().unwrap_or_default().to_string_lossy();
        self.out.with_file_name(format!("{name}.{REJECTS_FILE}"))
    }

    /// Moves the list of rejects out of the folder that will vanish.
    pub(super) fn keep_rejects(&self) -> Result<PathBuf, DataError> {
        let kept = self.failed_rejects();
        std::fs::rename(self.tables().join(REJECTS_FILE), &kept).map_err(DataError::io(&kept))?;
        Ok(kept)
    }

    /// Puts the new tables in place of the old ones.
    pub(super) fn publish(self) -> Result<(), DataError> {
        let before = self.temporary.path().join("before");
        let existed = self.out.exists();
        if existed {
            std::fs::rename(&self.out, &before).map_err(DataError::io(&self.out))?;
        }
        if let Err(source) = std::fs::rename(self.tables(), &self.out) {
            if existed {
                std::fs::rename(&before, &self.out).map_err(DataError::io(&self.out))?;
            }
            return Err(DataError::Io { path: self.out, source });
        }
        match std::fs::remove_file(self.failed_rejects()) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(DataError::Io { path: self.failed_rejects(), source })
            }
            _ => Ok(()),
        }
    }
}
