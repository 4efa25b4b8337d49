//! How a run ends otherwise than as planned.

use crate::exit::Stop;

/// Why a node stops before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// Its user wants it.
    Interrupted,
    /// Something went wrong, here or elsewhere.
    Because(String),
}

impl Broken {
    /// As other nodes are to say it, after this node's name.
    pub(super) fn as_of_another(&self) -> String {
        match self {
            Self::Interrupted => "was interrupted".into(),
            Self::Because(why) => format!("gave up: {why}"),
        }
    }

    /// As this node's file has it.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Interrupted => "interrupted".into(),
            Self::Because(why) => why.clone(),
        }
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Interrupted => Self::Interrupted,
            Broken::Because(why) => Self::Failed(why),
        }
    }
}
