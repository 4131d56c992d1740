//! What the operating system knows: processor time, resident memory, a folder to write in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Time that the process has spent on a processor, in microseconds.
pub fn cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write, and it keeps no pointer to it.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "every Linux has a clock of the process's time");
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Memory of the process that is in use, less what the allocator has only kept.
pub fn resident_bytes() -> io::Result<usize> {
    // SAFETY: the call has no conditions; it gives unused pages of the heap back.
    unsafe { libc::malloc_trim(0) };
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: Option<usize> = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    // SAFETY: the call has no conditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let bytes = pages.zip(usize::try_from(page).ok()).map(|(pages, page)| pages * page);
    bytes.ok_or_else(|| io::Error::other(format!("/proc/self/statm: {statm:?}, expected numbers of pages")))
}

/// A folder that goes when this value does.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("peers-native-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it costs a few megabytes; the measurement is not to fail for that.
        let _ = fs::remove_dir_all(&self.0);
    }
}
