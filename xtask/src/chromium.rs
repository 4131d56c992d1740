//! A Chromium for the storefront's tests.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::XtaskError;
use crate::run::run;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// How to come by one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chromium {
    Found(PathBuf),
    /// Debian's package can be installed.
    Package,
    /// Neither; says what the user has to do.
    Missing(String),
}

impl Chromium {
    /// Looks, and changes nothing.
    pub(crate) fn look() -> Self {
        Self::choose(std::env::var_os("CHROME_PATH").as_deref(), &on_path, has_apt())
    }

    fn choose(chosen: Option<&OsStr>, find: &dyn Fn(&str) -> Option<PathBuf>, apt: bool) -> Self {
        if let Some(chosen) = chosen {
            let path = PathBuf::from(chosen);
            return if path.is_file() {
                Self::Found(path)
            } else {
                Self::Missing(format!(
                    "  Chromium: CHROME_PATH is {}, which is no file; set it to the program or unset it",
                    path.display()
                ))
            };
        }
        match NAMES.iter().find_map(|name| find(name)) {
            Some(path) => Self::Found(path),
            None if apt => Self::Package,
            None => Self::Missing(format!(
                "  Chromium: found none of {} on the PATH; install Chromium or Chrome, or set CHROME_PATH to one",
                NAMES.join(", ")
            )),
        }
    }

    /// The program, installed if need be.
    pub(crate) fn install(self) -> Result<PathBuf, XtaskError> {
        match self {
            Self::Found(path) => Ok(path),
            Self::Missing(line) => Err(XtaskError::MissingTools(vec![line])),
            Self::Package => {
                apt_install("chromium")?;
                Self::choose(None, &on_path, false).install()
            }
        }
    }
}

/// Whether Debian's packages can be installed.
pub(crate) fn has_apt() -> bool {
    on_path("apt-get").is_some() && is_root()
}

/// Installs one of them.
pub(crate) fn apt_install(package: &str) -> Result<(), XtaskError> {
    let apt =
        |arguments: &[&str]| run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    apt(&["update"])?;
    apt(&["install", "-y", "--no-install-recommends", package])
}

pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_users_choice_then_the_path_then_the_package() {
        let here = |name: &str| (name == "google-chrome").then(|| PathBuf::from("/usr/bin/google-chrome"));
        let nowhere = |_: &str| None;
        let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/chromium.rs");
        let choose = Chromium::choose;
        assert_eq!(choose(Some(this_file.as_ref()), &here, true), Chromium::Found(this_file.into()));
        assert_eq!(choose(None, &here, true), Chromium::Found("/usr/bin/google-chrome".into()));
        assert_eq!(choose(None, &nowhere, true), Chromium::Package);
        assert!(matches!(choose(None, &nowhere, false), Chromium::Missing(line) if line.contains("CHROME_PATH")));
        // A wrong choice is an error, not a reason to take another browser.
        assert!(
            matches!(choose(Some("/no/such".as_ref()), &here, true), Chromium::Missing(line) if line.contains("/no/such"))
        );
    }
}
