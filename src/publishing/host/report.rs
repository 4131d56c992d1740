//! What was found.

use std::fmt;

use serde::Serialize;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Advice,
    /// It breaks clients, or keeps them on old files.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing has to be done.
    pub remedy: &'static str,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostReport {
    /// Where.
    pub url: String,
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl HostReport {
    /// Whether something is wrong.
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Verdict::Wrong)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(super) fn add(&mut self, what: &'static str, verdict: Verdict, found: impl Into<String>, remedy: &'static str) {
        // What a host says is shown, not obeyed: no control characters, not without end.
        let found: String = found.into().chars().filter(|character| !character.is_control()).take(200).collect();
        let remedy = if verdict == Verdict::Ok { "" } else { remedy };
        self.findings.push(Finding { what, verdict, found, remedy });
    }

    /// [`Verdict::Ok`] if it is so, else this.
    pub(super) fn judge(
        &mut self,
        what: &'static str,
        is_right: bool,
        otherwise: Verdict,
        found: impl Into<String>,
        remedy: &'static str,
    ) {
        self.add(what, if is_right { Verdict::Ok } else { otherwise }, found, remedy);
    }
}

impl fmt::Display for HostReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        let width = self.findings.iter().map(|finding| finding.what.len()).max().unwrap_or_default();
        for Finding { what, verdict, found, remedy } in &self.findings {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Advice => "advice",
                Verdict::Wrong => "wrong",
            };
            writeln!(f, "{verdict:<7} {what:<width$}  {found}")?;
            if !remedy.is_empty() {
                writeln!(f, "{:<7} {:<width$}  -> {remedy}", "", "")?;
            }
        }
        let count = |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        writeln!(f, "{} ok, {} advice, {} wrong", count(Verdict::Ok), count(Verdict::Advice), count(Verdict::Wrong))
    }
}
