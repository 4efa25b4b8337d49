//! Ctrl-C and SIGTERM end a run early, but in order: the summary is still printed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// Set while the user has asked for a report, by SIGUSR1.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportWish(Arc<AtomicBool>);

impl ReportWish {
    /// Takes over SIGUSR1.
    pub(crate) fn install() -> io::Result<Self> {
        let wish = Self::default();
        flag::register(SIGUSR1, Arc::clone(&wish.0))?;
        Ok(wish)
    }

    /// Whether a report was asked for since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Set once the user has asked the run to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over SIGINT and SIGTERM. A second signal ends the process at once, should it hang.
    pub(crate) fn install() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupt.0))?;
            flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// Ends the run as the user would.
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
