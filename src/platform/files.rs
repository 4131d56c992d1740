//! Writing files so that a reader sees the old content or the new one, never half of it.

use std::io::{Error, Read, Write};
use std::path::Path;

/// Writes `bytes` to a temporary file in the folder of `path`, flushes it to the disk, and renames it.
///
/// # Errors
/// What the system says; `path` is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let file = temporary(path, bytes)?;
    make_readable(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes a file that only its owner may read, unless there is one.
///
/// # Errors
/// What the system says; what was there is as it was.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    temporary(path, bytes)?.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// A file in the folder of `path`, which is made, that holds `bytes` on the disk and that only its owner may read.
fn temporary(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Reads a file up to one byte beyond `limit`: enough to see that it is too large.
///
/// # Errors
/// What the system says.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Waits until nobody else holds a folder that this process changes, and holds it until what is given is dropped: who reads a file,
/// adds to it and writes it again must be alone. Where the system has no such locks, nobody waits.
pub fn locked(folder: &Path) -> Option<std::fs::File> {
    let file = std::fs::File::open(folder).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Temporary files are private; what is published must be readable by the server that serves it.
#[cfg(unix)]
fn make_readable(file: &std::fs::File) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &std::fs::File) -> Result<(), Error> {
    Ok(())
}

/// The most memory that this process has had, in MiB; `None` where the system does not tell.
pub fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
}
