//! What the engine that runs many processes with one command (Slurm, Kubernetes) tells each of them, in
//! environment variables.

/// Of an indexed Job of Kubernetes: the number of this pod, from 0.
pub(crate) const KUBERNETES_INDEX: &str = "JOB_COMPLETION_INDEX";

/// How many there are, which Kubernetes does not say: the Job's manifest has to.
pub(crate) const KUBERNETES_COUNT: &str = "JOB_COMPLETIONS";

/// Variables, for an option that needs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variables<F> {
    /// What errors begin with: the option, or what else looks for them.
    wanted_by: &'static str,
    find: F,
}

impl Variables<fn(&str) -> Option<String>> {
    /// Those of this process.
    pub(crate) fn of_this_process(wanted_by: &'static str) -> Self {
        Self { wanted_by, find: |name| std::env::var(name).ok() }
    }
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    #[cfg(test)]
    pub(crate) fn new(wanted_by: &'static str, find: F) -> Self {
        Self { wanted_by, find }
    }

    /// A variable; what is empty counts as not set.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        (self.find)(name).filter(|text| !text.is_empty())
    }

    /// # Errors
    ///
    /// It is set and no number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = |_| self.wrong(&format!("{name} is '{text}', not a number"));
        text.parse().map(Some).map_err(wrong)
    }

    /// # Errors
    ///
    /// It is not set, or no number.
    pub(crate) fn needed(&self, name: &str) -> Result<usize, String> {
        self.number(name)?.ok_or_else(|| self.wrong(&format!("{name} is not set")))
    }

    /// An error of these variables.
    pub(crate) fn wrong(&self, why: &str) -> String {
        format!("{}: {why}", self.wanted_by)
    }
}
