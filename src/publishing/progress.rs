//! What an upload shows while it runs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less needs no bar.
const SILENT: Duration = Duration::from_secs(2);

/// A bar of bytes that appears when it takes a while.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: Mutex<bool>,
}

impl Progress {
    pub(super) fn new(bytes: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("publish {bar:30} {bytes}/{total_bytes} {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, started: Instant::now(), shown: Mutex::new(false) }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
        let Ok(mut shown) = self.shown.lock() else { return };
        if !*shown && self.started.elapsed() > SILENT {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            *shown = true;
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
