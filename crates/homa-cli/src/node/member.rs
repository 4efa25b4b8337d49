//! A node's connection with the [leader](super::leader).

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::config::NodeConfig;
use super::control::{self, BEAT, Incoming, Message, SILENCE};
use super::ending::Broken;
use crate::interrupt::Interrupt;

/// Between attempts to reach the leader.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest wait, so that Ctrl-C is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A node that has come to its leader.
#[derive(Debug)]
pub(super) struct Member {
    stream: TcpStream,
    shared: Arc<Shared>,
    starts: Receiver<Instant>,
}

/// What the thread knows that listens to the leader.
#[derive(Debug)]
struct Shared {
    /// How to name the leader.
    leader: String,
    interrupt: Interrupt,
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    is_over: bool,
    /// Why the run ends early.
    broken: Option<String>,
    /// Whether this node has nothing more to say.
    has_left: bool,
}

impl Member {
    /// Comes to the leader, which may take some time to be there. What ends the run early ends this node as an
    /// interrupt does.
    ///
    /// # Errors
    ///
    /// Nobody is there in time, or an interrupt.
    pub(super) fn join(
        address: SocketAddr,
        leader: String,
        (rank, config): (usize, &NodeConfig),
        end: Instant,
        interrupt: &Interrupt,
    ) -> Result<Self, Broken> {
        let stream = connect(address, &leader, end, interrupt)?;
        let failed = |error: std::io::Error| Broken::Because(format!("{leader}: {error}"));
        control::prepare(&stream).map_err(failed)?;
        let reading = stream.try_clone().map_err(failed)?;
        let beating = stream.try_clone().map_err(failed)?;
        Message::Hello { rank, config: Box::new(config.clone()) }.send(&stream).map_err(failed)?;
        let (sender, starts) = mpsc::channel();
        let shared = Arc::new(Shared {
            leader,
            interrupt: interrupt.clone(),
            heard: Mutex::default(),
            changed: Condvar::new(),
        });
        let (listening, alive) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || listening.listen(reading, &sender));
        thread::spawn(move || alive.beat(&beating));
        Ok(Self { stream, shared, starts })
    }

    /// Says that this node has reached all others, and waits until the run is to begin; returns when that is.
    ///
    /// # Errors
    ///
    /// The leader says why there will be no run, or an interrupt.
    pub(super) fn await_start(&self) -> Result<Instant, Broken> {
        // Whether the leader is there is for the other thread to say.
        let _ = Message::Ready.send(&self.stream);
        loop {
            self.check()?;
            match self.starts.recv_timeout(LONGEST_WAIT) {
                Ok(begin) => return Ok(begin),
                Err(RecvTimeoutError::Timeout) => {}
                // The listening thread has ended, and said why before.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(LONGEST_WAIT),
            }
        }
    }

    /// # Errors
    ///
    /// The run has ended early, or an interrupt.
    pub(super) fn check(&self) -> Result<(), Broken> {
        match &self.shared.heard().broken {
            Some(why) => Err(Broken::Because(why.clone())),
            None if self.shared.interrupt.is_set() => Err(Broken::Interrupted),
            None => Ok(()),
        }
    }

    /// Says that this node has what it needs, and waits for the others.
    ///
    /// # Errors
    ///
    /// The run ended early after all, or an interrupt.
    pub(super) fn await_others(&self) -> Result<(), Broken> {
        let _ = Message::Done.send(&self.stream);
        let mut heard = self.shared.heard();
        while !heard.is_over && heard.broken.is_none() && !self.shared.interrupt.is_set() {
            let waited = self.shared.changed.wait_timeout(heard, LONGEST_WAIT);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if heard.is_over {
            return Ok(());
        }
        drop(heard);
        self.check()
    }

    /// Leaves, and says why if that is before the end.
    pub(super) fn leave(self, broken: Option<&Broken>) {
        self.shared.heard().has_left = true;
        if let Some(broken) = broken {
            let _ = Message::Quit { why: broken.as_of_another() }.send(&self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn listen(&self, stream: TcpStream, starts: &mpsc::Sender<Instant>) {
        let Ok(answering) = stream.try_clone() else { return self.end("no more files") };
        let mut incoming = Incoming::new(stream);
        loop {
            match incoming.next() {
                Ok(Message::Ping { number }) => {
                    let _ = Message::Pong { number }.send(&answering);
                }
                Ok(Message::Start { after_ns }) => {
                    let _ = starts.send(Instant::now() + Duration::from_nanos(after_ns));
                }
                Ok(Message::Over) => {
                    self.heard().is_over = true;
                    self.changed.notify_all();
                    return;
                }
                Ok(Message::Abort { why }) => return self.end(&why),
                Ok(_) => {}
                Err(why) => return self.end(&format!("{} has died: {why}", self.leader)),
            }
        }
    }

    /// The run ends early, unless this node has left it already.
    fn end(&self, why: &str) {
        let mut heard = self.heard();
        if heard.has_left {
            return;
        }
        heard.broken = Some(why.into());
        self.interrupt.raise();
        self.changed.notify_all();
    }

    /// Says every now and then that this node is there.
    fn beat(&self, stream: &TcpStream) {
        while !self.heard().has_left && Message::Alive.send(stream).is_ok() {
            thread::sleep(BEAT);
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(
    address: SocketAddr,
    leader: &str,
    end: Instant,
    interrupt: &Interrupt,
) -> Result<TcpStream, Broken> {
    loop {
        if interrupt.is_set() {
            return Err(Broken::Interrupted);
        }
        let error = match TcpStream::connect_timeout(&address, SILENCE.min(BEAT)) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        if Instant::now() >= end {
            let port = address.port();
            return Err(Broken::Because(format!(
                "{leader} does not answer at its control port, TCP {port}: {error}"
            )));
        }
        thread::sleep(PAUSE);
    }
}
