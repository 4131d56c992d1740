//! Processor time.

/// Time that the process has spent on processors, in microseconds, where the system tells.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is nothing")]
pub(crate) fn cpu_us() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3)
}

#[cfg(not(unix))]
pub(crate) fn cpu_us() -> Option<f64> {
    None
}
