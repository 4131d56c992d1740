//! Commands as people write them.

use std::process::Command;

/// The command of a line, with one more argument, which stands for itself whatever is in it.
#[cfg(unix)]
pub fn command(line: &str, argument: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{line} \"$@\"")).args(["sh", argument]);
    command
}

/// The command of a line, with one more argument.
#[cfg(not(unix))]
pub fn command(line: &str, argument: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg(argument);
    command
}
