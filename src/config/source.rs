//! Where the configuration comes from.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{ConfigError, Settings, parse};

/// The file that is read when nothing else is said, in the working directory.
const FILE: &str = "headwater.toml";
/// The environment variable that may hold the text of a configuration, for containers that have nowhere to put a file.
pub const VARIABLE: &str = "HEADWATER_CONFIG";

/// Where the configuration comes from. Shown as its errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file. Relative paths in it are relative to its folder.
    File(PathBuf),
    /// What the variable [`VARIABLE`] holds: the whole text. Relative paths in it are relative to the working directory.
    Variable(OsString),
}

impl Source {
    /// The file that the command line names; or else the variable, unless it is empty; or else `headwater.toml`.
    pub fn choose(named: Option<PathBuf>, variable: Option<OsString>) -> Self {
        match (named, variable) {
            (Some(path), _) => Self::File(path),
            (None, Some(text)) if !text.is_empty() => Self::Variable(text),
            (None, _) => Self::File(FILE.into()),
        }
    }

    /// Reads and validates the configuration.
    pub fn load(&self) -> Result<Settings, ConfigError> {
        let fail = |problem: String| ConfigError { place: self.to_string(), problem };
        match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    fail(format!(
                        "cannot be read: {error}. Name the file with --config, put its text into {VARIABLE}, or see `headwater config example`"
                    ))
                })?;
                parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(fail)
            }
            Self::Variable(text) => {
                let text = text.to_str().ok_or_else(|| fail("is not UTF-8".to_owned()))?;
                parse(text, Path::new("")).map_err(fail)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(_) => f.write_str(VARIABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::LakeLocation;

    #[test]
    fn what_the_command_line_names_goes_before_the_variable_and_that_before_the_usual_file() {
        let text = || Some(OsString::from("[table]"));
        assert_eq!(Source::choose(Some("a.toml".into()), text()), Source::File("a.toml".into()));
        assert_eq!(Source::choose(None, text()), Source::Variable("[table]".into()));
        assert_eq!(Source::choose(None, None), Source::File("headwater.toml".into()));
    }

    #[test]
    fn an_empty_variable_counts_as_none() {
        assert_eq!(Source::choose(None, Some(OsString::new())), Source::File("headwater.toml".into()));
    }

    #[test]
    fn paths_in_the_variable_are_relative_to_the_working_directory() {
        let settings = Source::Variable("[table]\nname = \"orders\"\ncontract = \"schemas/orders.yaml\"".into()).load().unwrap();
        assert_eq!(settings.table.contract.unwrap(), Path::new("schemas/orders.yaml"));
        assert_eq!(settings.lake.location, LakeLocation::Folder("./lake".into()));
    }

    #[test]
    fn what_is_wrong_in_the_variable_is_told_by_its_name() {
        let error = Source::Variable("[table]\nname = \"o\"".into()).load().unwrap_err().to_string();
        assert!(error.starts_with("HEADWATER_CONFIG: table.name 'o'"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_refused() {
        let bytes = std::os::unix::ffi::OsStringExt::from_vec(vec![0xFF]);
        let error = Source::Variable(bytes).load().unwrap_err().to_string();
        assert_eq!(error, "HEADWATER_CONFIG: is not UTF-8");
    }
}
