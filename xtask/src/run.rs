//! Running other programs, and how long each step took.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::XtaskError;

/// Runs a command to its end; what it prints, progress bars included, goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), XtaskError> {
    let status = command.status().map_err(|source| XtaskError::Start { command: line(command), source })?;
    if status.success() { Ok(()) } else { Err(failed(command, status)) }
}

/// Runs a command and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, XtaskError> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| XtaskError::Start { command: line(command), source })?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(command, output.status)) }
}

/// As [`output`], whatever the command's end says: a bench reads what tests found, failures among it.
pub(crate) fn printed(command: &mut Command) -> Result<String, XtaskError> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| XtaskError::Start { command: line(command), source })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a test runner, shows what it prints and counts its tests.
pub(crate) fn counted(command: &mut Command) -> Outcome {
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(source) => return Outcome::failed(XtaskError::Start { command: line(command), source }),
    };
    let mut counts = Counts::default();
    let stdout = child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n'));
    for text in stdout.map_while(Result::ok) {
        let text = String::from_utf8_lossy(&text);
        // A closed stdout must not end the check: its result still becomes the exit code.
        let _ = writeln!(std::io::stdout(), "{text}");
        counts.add(&text);
    }
    match child.wait() {
        Ok(status) if status.success() => Outcome { counts, error: None },
        Ok(status) => {
            counts.failed = counts.failed.max(1);
            Outcome { counts, error: Some(failed(command, status)) }
        }
        Err(source) => Outcome::failed(XtaskError::Start { command: line(command), source }),
    }
}

/// Tests of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Counts {
    /// A check that is one test by itself.
    pub(crate) const ONE: Self = Self { passed: 1, failed: 0 };

    /// Adds what one line of a test runner's output says.
    fn add(&mut self, line: &str) {
        // libtest: "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"
        if let Some((_, result)) =
            line.trim_start().strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        {
            for part in result.split("; ") {
                match part.split_once(' ') {
                    Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                    Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                    _ => {}
                }
            }
        }
        // node --test: "# pass 5" as TAP, "ℹ pass 5" as text for readers
        if let Some(result) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            match result.split_once(' ') {
                Some(("pass", count)) => self.passed += count.parse().unwrap_or(0),
                Some(("fail", count)) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// How a check ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) error: Option<XtaskError>,
}

impl Outcome {
    fn failed(error: XtaskError) -> Self {
        Self { counts: Counts { passed: 0, failed: 1 }, error: Some(error) }
    }
}

impl From<Result<(), XtaskError>> for Outcome {
    fn from(result: Result<(), XtaskError>) -> Self {
        match result {
            Ok(()) => Self { counts: Counts::ONE, error: None },
            Err(error) => Self::failed(error),
        }
    }
}

/// Steps and what they took.
#[derive(Debug, Default)]
pub(crate) struct Timings(Vec<(&'static str, Duration)>);

impl Timings {
    /// Runs a step under its heading.
    pub(crate) fn step<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T, XtaskError>,
    ) -> Result<T, XtaskError> {
        println!("\n== {name}");
        let started = Instant::now();
        let result = step();
        self.0.push((name, started.elapsed()));
        result
    }

    /// The time of all steps.
    pub(crate) fn total(&self) -> Duration {
        self.0.iter().map(|(_, time)| *time).sum()
    }

    /// One line per step, then the sum.
    pub(crate) fn print(&self) {
        for (name, time) in self.0.iter().copied().chain([("together", self.total())]) {
            println!("  {name:<32} {:>8.1} s", time.as_secs_f64());
        }
    }
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn failed(command: &Command, status: std::process::ExitStatus) -> XtaskError {
    XtaskError::Failed { command: line(command), status: status.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(output: &str) -> Counts {
        let mut counts = Counts::default();
        output.lines().for_each(|line| counts.add(line));
        counts
    }

    #[test]
    fn counts_the_tests_of_each_runner() {
        let libtest = "running 3 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                       test result: FAILED. 7 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(counts(libtest), Counts { passed: 9, failed: 3 });
        assert_eq!(counts("ok 1 - # pass 9\n# tests 5\n# pass 4\n# fail 1\n"), Counts { passed: 4, failed: 1 });
        assert_eq!(counts("ℹ tests 2\nℹ pass 2\nℹ fail 0\n"), Counts { passed: 2, failed: 0 });
    }

    #[test]
    fn a_runner_that_fails_without_a_count_is_one_failure() {
        let outcome = counted(Command::new("cargo").args(["--no-such-flag"]).stderr(Stdio::null()));
        assert_eq!(outcome.counts, Counts { passed: 0, failed: 1 });
        assert!(outcome.error.unwrap().to_string().contains("`cargo --no-such-flag` ended with"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("no-such-program-of-nearshelf")).unwrap_err().to_string();
        assert!(error.contains("no-such-program-of-nearshelf") && error.contains("PATH"), "{error}");
    }
}
