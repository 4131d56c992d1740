//! Processor time.

/// Time that the process has spent on processors, in microseconds; not a number where the system does not tell.
#[cfg(unix)]
pub(crate) fn cpu_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

#[cfg(not(unix))]
pub(crate) fn cpu_us() -> f64 {
    f64::NAN
}
