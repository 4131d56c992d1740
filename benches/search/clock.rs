//! Processor time.

use cpu_time::ProcessTime;

/// Time that the process has spent on processors, in microseconds; not a number where the system does not tell.
pub(crate) fn cpu_us() -> f64 {
    ProcessTime::try_now().map_or(f64::NAN, |time| time.as_duration().as_secs_f64() * 1e6)
}
