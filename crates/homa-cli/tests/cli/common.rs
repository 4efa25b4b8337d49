//! Running the `homa` command.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The command, ready to be given arguments.
pub(crate) fn homa() -> Command {
    Command::new(env!("CARGO_BIN_EXE_homa"))
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    homa().args(args).stdin(Stdio::null()).output().expect("the command can be run")
}

/// Standard output and standard error as text.
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Sends a signal to a process that the test started.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill can be run").success());
}

/// Waits for the end of a process, for `limit` at most, and returns its exit code with what it
/// wrote.
pub(crate) fn finish(mut child: Child, limit: Duration) -> (Option<i32>, String, String) {
    let begin = Instant::now();
    while child.try_wait().expect("it is a child").is_none() {
        if begin.elapsed() > limit {
            let _ = child.kill();
            panic!("the command did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it has ended");
    let (out, err) = texts(&output);
    (output.status.code(), out, err)
}

/// A server in the background, killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// Reads what else it says on standard error, which must not block it.
    errors: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts a server at `listen` and reads from its standard error where it listens.
    pub(crate) fn start(transport: &str, listen: &str) -> Self {
        Self::start_with(transport, listen, &[])
    }

    /// The same with more options.
    pub(crate) fn start_with(transport: &str, listen: &str, options: &[&str]) -> Self {
        let mut child = homa()
            .args(["server", "--transport", transport, "--listen", listen])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command can be run");
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        stderr.read_line(&mut line).expect("a line");
        let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
        assert!(line.contains("listening on"), "{line}");
        let errors = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).map(|_| said).unwrap_or_default()
        });
        Self { child, address, errors: Some(errors) }
    }

    /// Ends it as Ctrl-C does, and returns its exit code with what it wrote to standard output.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        signal(&self.child, "-INT");
        let mut out = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
        (self.child.wait().expect("a child").code(), out)
    }

    /// All that it said on standard error, once it has ended.
    pub(crate) fn errors(mut self) -> String {
        self.errors.take().expect("asked once").join().expect("no panic")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
