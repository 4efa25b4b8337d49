//! One network namespace.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::{fs, io};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{run, run_with_input};

/// Where `ip netns` keeps namespaces by name.
const DIRECTORY: &str = "/run/netns";
const PREFIX: &str = "homa-";

/// A network namespace, removed with all processes in it when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with nothing but its loopback interface. `role` tells it from others of this
    /// process for whoever lists them.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn new(role: &str) -> io::Result<Self> {
        static STALE_REMOVED: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        STALE_REMOVED.call_once(remove_stale);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}-{role}", process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, for `ip -n NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run `program` in this namespace. The child that it spawns is the program
    /// itself, so it can be signalled.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Has `ip` carry out commands, one per line, as in `ip -batch`.
    ///
    /// # Errors
    ///
    /// What `ip` says about the first that it could not.
    pub fn ip(&self, commands: &str) -> io::Result<()> {
        let mut command = Command::new("ip");
        run_with_input(command.args(["-n", &self.name, "-batch", "-"]), commands)
    }

    /// Has `nft` load a ruleset.
    ///
    /// # Errors
    ///
    /// What `nft` says.
    pub fn nft(&self, rules: &str) -> io::Result<()> {
        run_with_input(self.command("nft").args(["-f", "-"]), rules)
    }

    /// Has `ethtool` change an interface: the arguments behind its name.
    ///
    /// # Errors
    ///
    /// What `ethtool` says.
    pub fn set_features(&self, device: &str, features: &[&str]) -> io::Result<()> {
        run(self.command("ethtool").args(["-K", device]).args(features))
    }

    /// Sets a parameter below `/proc/sys`, such as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    ///
    /// There is none of this name, or it can't have this value.
    pub fn set_parameter(&self, name: &str, value: &str) -> io::Result<()> {
        let path = Path::new("/proc/sys").join(name);
        let written = self.enter(|| fs::write(&path, value))?;
        written
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// Runs `work` in a thread of its own in this namespace, and waits for it: sockets that it opens
    /// stay in the namespace, wherever they are used later.
    ///
    /// # Errors
    ///
    /// The namespace can't be entered.
    ///
    /// # Panics
    ///
    /// `work` panicked.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let file = File::open(self.path())?;
        let work = || setns(file, CloneFlags::CLONE_NEWNET).map(|()| work());
        let result = thread::scope(|scope| scope.spawn(work).join());
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(result?)
    }

    /// Runs `work` in a thread of its own in this namespace.
    ///
    /// # Errors
    ///
    /// The namespace can't be opened; that it can't be entered is told by the thread.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<T>>> {
        let file = File::open(self.path())?;
        Ok(thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        }))
    }

    fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes a namespace, whatever lives there.
fn remove(name: &str) {
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        // Threads of this process that entered it are listed as this process.
        let others = pids.lines().filter_map(|pid| pid.parse().ok());
        for pid in others.filter(|&pid: &i32| pid > 0 && pid != process::id() as i32) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let _ = run(Command::new("ip").args(["netns", "delete", name]));
}

/// Removes what processes left that were killed before they could.
fn remove_stale() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !is_alive(pid)) {
            remove(&name);
        }
    }
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::skip;

    fn exists(name: &str) -> bool {
        Path::new(DIRECTORY).join(name).exists()
    }

    #[test]
    fn drop__removes_the_namespace_and_ends_what_runs_there() {
        if skip(&[]) {
            return;
        }
        let namespace = Namespace::new("test").unwrap();
        let name = namespace.name().to_owned();
        assert!(exists(&name));
        let mut child = namespace.command("sleep").arg("60").spawn().unwrap();
        // It is there once it says so: until then `ip` has not entered the namespace yet.
        while fs::read(format!("/proc/{}/comm", child.id())).unwrap() != b"sleep\n" {
            thread::yield_now();
        }
        drop(namespace);
        assert!(!exists(&name));
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn drop__when_a_test_panics() {
        if skip(&[]) {
            return;
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let test = thread::spawn(move || {
            let namespace = Namespace::new("test").unwrap();
            sender.send(namespace.name().to_owned()).unwrap();
            assert!(exists("nothing"), "a test that fails, as it is to");
        });
        assert!(test.join().is_err());
        assert!(!exists(&receiver.recv().unwrap()));
    }

    #[test]
    fn remove_stale__spares_those_of_the_living() {
        if skip(&[]) {
            return;
        }
        let alive = Namespace::new("test").unwrap();
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let stale = format!("{PREFIX}{}-0-test", dead.id());
        let others = format!("{PREFIX}of-somebody-else-{}", process::id());
        for name in [&stale, &others] {
            run(Command::new("ip").args(["netns", "add", name])).unwrap();
        }
        remove_stale();
        assert!(exists(alive.name()) && exists(&others) && !exists(&stale));
        remove(&others);
    }

    #[test]
    fn enter__sees_the_namespace_and_hands_panics_on() {
        if skip(&[]) {
            return;
        }
        let namespace = Namespace::new("test").unwrap();
        let devices = || fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let inside = namespace.enter(devices).unwrap();
        assert_eq!(inside.lines().count(), 3, "two lines of heading and the loopback: {inside}");
        assert_eq!(namespace.spawn(devices).unwrap().join().unwrap().unwrap(), inside);
        let panic = std::panic::catch_unwind(|| namespace.enter(|| panic!("so it is")));
        assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "so it is");
    }

    #[test]
    fn ip__errors_tell_what_was_wrong() {
        if skip(&[]) {
            return;
        }
        let namespace = Namespace::new("test").unwrap();
        let error = namespace.ip("link set lo up\nlink set nothing up").unwrap_err().to_string();
        assert!(error.contains("nothing") && error.contains("-:2"), "{error}");
        let error = namespace.set_parameter("net/nothing", "1").unwrap_err().to_string();
        assert!(error.contains("/proc/sys/net/nothing"), "{error}");
    }
}
