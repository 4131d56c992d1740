//! The tools that a machine must bring, checked before any work starts.

use std::process::{Command, Stdio};

use crate::error::XtaskError;

/// Something that set-up does not install by itself.
#[derive(Debug)]
struct Tool {
    name: &'static str,
    /// Prints a version.
    command: &'static [&'static str],
    /// The oldest major and minor version that works.
    oldest: (u32, u32),
    remedy: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "rustup",
        command: &["rustup", "--version"],
        oldest: (1, 0),
        remedy: "install it from https://rustup.rs",
    },
    Tool {
        name: "node",
        command: &["node", "--version"],
        oldest: (20, 0),
        remedy: "install Node.js 20 or later from https://nodejs.org",
    },
    Tool {
        name: "npm",
        command: &["npm", "--version"],
        oldest: (9, 0),
        remedy: "install it: it comes with Node.js, on Debian as the package npm",
    },
    Tool {
        name: "python3",
        command: &["python3", "--version"],
        oldest: (3, 9),
        remedy: "install Python 3 from https://python.org, on Debian the package python3",
    },
    Tool {
        name: "pip",
        command: &["python3", "-m", "pip", "--version"],
        oldest: (20, 0),
        remedy: "install it with `python3 -m ensurepip`, on Debian the package python3-pip",
    },
];

/// Every tool that is missing or too old, one line each.
pub(crate) fn missing() -> Vec<String> {
    TOOLS.iter().filter_map(|tool| complaint(tool, version_text(tool.command).as_deref())).collect()
}

/// Fails with every missing tool at once.
pub(crate) fn check() -> Result<(), XtaskError> {
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { Err(XtaskError::MissingTools(missing)) }
}

/// Whether the `python3` on the path is at least this one.
pub(crate) fn has_python(oldest: (u32, u32)) -> bool {
    version_text(&["python3", "--version"]).as_deref().and_then(version).is_some_and(|found| found >= oldest)
}

/// What a tool prints, if it starts and says that all is well.
fn version_text(command: &[&str]) -> Option<String> {
    let output = Command::new(command[0]).args(&command[1..]).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn complaint(tool: &Tool, text: Option<&str>) -> Option<String> {
    let (major, minor) = tool.oldest;
    let found = match text.map(version) {
        Some(Some(version)) if version >= tool.oldest => return None,
        Some(Some((major, minor))) => format!("found {major}.{minor}"),
        Some(None) => "found a version that cannot be read".to_owned(),
        None => "not found".to_owned(),
    };
    Some(format!("  {}: {found}, expected {major}.{minor} or later; {}", tool.name, tool.remedy))
}

/// The first `major.minor` in a text such as `v20.20.2` or `pip 23.2.1 from /usr/lib/python3.11`.
fn version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.trim_start_matches('v').split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_versions_that_tools_print() {
        for (text, expected) in [
            ("v20.20.2\n", Some((20, 20))),
            ("11.19.1", Some((11, 19))),
            ("Python 3.11.7", Some((3, 11))),
            ("pip 23.2.1 from /usr/lib/python3.11/site-packages/pip (python 3.11)", Some((23, 2))),
            ("rustup 1.28.2 (e4f3ad6f8 2025-04-28)", Some((1, 28))),
            ("nightly", None),
            ("", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn old_and_missing_tools_are_named_with_the_remedy() {
        let node = &TOOLS[1];
        assert_eq!(complaint(node, Some("v20.0.0")), None);
        assert_eq!(complaint(node, Some("v100.1.0")), None);
        let old = complaint(node, Some("v18.19.0")).unwrap();
        assert!(old.contains("node: found 18.19, expected 20.0 or later; install"), "{old}");
        assert!(complaint(node, None).unwrap().contains("node: not found"));
        assert!(complaint(node, Some("what?")).unwrap().contains("cannot be read"));
    }
}
