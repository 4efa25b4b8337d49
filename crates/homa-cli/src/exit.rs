//! How the command ends: exit codes, and errors that carry one.

use std::fmt;
use std::process::ExitCode;

/// Why the command ends otherwise than with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The run failed, or the peer cannot be reached: exit 1.
    Failed(String),
    /// The command was used wrongly: exit 2, as clap's own errors.
    Usage(String),
    /// A condition given by `--fail-if` came true: exit 3.
    Missed(Vec<String>),
    /// Ctrl-C or SIGTERM; the summary has been printed: exit 130.
    Interrupted,
}

impl Stop {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Missed(_) => 3,
            Self::Interrupted => 130,
        })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "homa: {why}"),
            Self::Usage(why) => write!(f, "error: {why}\n\nFor more information, try '--help'."),
            Self::Missed(conditions) => write!(f, "homa: failed because {}", conditions.join("; ")),
            Self::Interrupted => write!(f, "homa: interrupted"),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
