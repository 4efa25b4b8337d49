//! The leader of a run, a thread of rank 0: it gathers the nodes, has them begin at the same time, and
//! tells all of them when one has gone.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::config::NodeConfig;
use super::control::{self, BEAT, Incoming, Message};
use super::identity::Identity;

/// How often it looks whether somebody comes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How many round trips are measured with each node; the shortest counts.
const PINGS: u32 = 5;
/// From the moment that all are told to begin, how long it is until they do: more than a round trip takes.
const LEAD: Duration = Duration::from_millis(500);
/// How long nodes have to go, once they were told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// A leader at work.
#[derive(Debug)]
pub(super) struct Leader {
    thread: JoinHandle<()>,
}

/// What happens on a connection.
enum News {
    Came(TcpStream),
    Said(Message),
    Gone(String),
}

/// A node that has come.
struct Seat {
    rank: usize,
    stream: TcpStream,
    is_ready: bool,
    is_done: bool,
}

/// What the leader knows.
struct Gathering {
    identity: Identity,
    config: NodeConfig,
    meet: Duration,
    news: Receiver<(u64, News)>,
    /// Connections that have not said who they are.
    strangers: BTreeMap<u64, TcpStream>,
    seats: BTreeMap<u64, Seat>,
    /// Whether the node of this process has come.
    has_own_come: bool,
    last_beat: Instant,
}

impl Leader {
    /// Begins to lead at `listen`.
    pub(super) fn start(
        listen: SocketAddr,
        identity: &Identity,
        config: &NodeConfig,
        meet: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let (sender, news) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let accepting = Arc::clone(&ended);
        thread::spawn(move || accept(&listener, &sender, &accepting));
        let mut gathering = Gathering {
            identity: identity.clone(),
            config: config.clone(),
            meet,
            news,
            strangers: BTreeMap::new(),
            seats: BTreeMap::new(),
            has_own_come: false,
            last_beat: Instant::now(),
        };
        let thread = thread::spawn(move || {
            gathering.lead();
            ended.store(true, Ordering::Relaxed);
        });
        Ok(Self { thread })
    }

    /// Waits until everybody has been told how it ended.
    pub(super) fn join(self) {
        // A panic was reported already.
        let _ = self.thread.join();
    }
}

fn accept(listener: &TcpListener, sender: &Sender<(u64, News)>, ended: &AtomicBool) {
    let mut number = 0;
    while !ended.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let Ok(reading) = control::prepare(&stream).and_then(|()| stream.try_clone()) else {
            continue;
        };
        number += 1;
        let to = sender.clone();
        if to.send((number, News::Came(stream))).is_err() {
            return;
        }
        thread::spawn(move || listen_to(reading, number, &to));
    }
}

fn listen_to(stream: TcpStream, number: u64, to: &Sender<(u64, News)>) {
    let mut incoming = Incoming::new(stream);
    loop {
        let news = match incoming.next() {
            Ok(message) => News::Said(message),
            Err(why) => News::Gone(why),
        };
        let is_last = matches!(news, News::Gone(_));
        if to.send((number, news)).is_err() || is_last {
            return;
        }
    }
}

impl Gathering {
    fn lead(&mut self) {
        let end = match self.run() {
            Ok(()) => Message::Over,
            Err(why) => Message::Abort { why },
        };
        self.tell_all(&end);
        self.strangers.values().for_each(|stream| drop(end.send(stream)));
        self.see_off(&end);
    }

    /// Waits until nodes have gone: what was told to them must have reached them before this process ends.
    /// Those that come only now are told as well, this process's own node among them.
    fn see_off(&mut self, told: &Message) {
        let end = Instant::now() + FAREWELL;
        let is_anyone_left = |this: &Self| {
            !this.seats.is_empty() || !this.strangers.is_empty() || !this.has_own_come
        };
        while is_anyone_left(self) && Instant::now() < end {
            match self.news.recv_timeout(ACCEPT_PAUSE) {
                Ok((number, News::Came(stream))) => {
                    let _ = told.send(&stream);
                    self.strangers.insert(number, stream);
                }
                Ok((number, News::Gone(_))) => {
                    self.seats.remove(&number);
                    self.strangers.remove(&number);
                }
                Ok((_, News::Said(Message::Hello { rank, .. }))) => self.has_own_come |= rank == 0,
                _ => {}
            }
        }
    }

    /// The error is for all nodes to say.
    fn run(&mut self) -> Result<(), String> {
        let end = Instant::now() + self.meet;
        while self.seats.len() < self.size() || !self.seats.values().all(|seat| seat.is_ready) {
            if self.next_news(end)?.is_none() {
                return Err(self.who_is_missing());
            }
        }
        self.begin()?;
        while !self.seats.values().all(|seat| seat.is_done) {
            self.next_news(Instant::now() + BEAT)?;
        }
        Ok(())
    }

    /// Has all nodes begin at one moment: each is told in how long, less half the round trip to it, which is all
    /// that the moments can differ by. Clocks are not compared.
    fn begin(&mut self) -> Result<(), String> {
        let numbers: Vec<u64> = self.seats.keys().copied().collect();
        let mut ways = Vec::new();
        for number in numbers {
            let mut shortest = Duration::MAX;
            for ping in 0..PINGS {
                shortest = shortest.min(self.round_trip(number, ping)?);
            }
            ways.push((number, shortest / 2));
        }
        let begin = Instant::now() + LEAD;
        for (number, way) in ways {
            let after = begin.saturating_duration_since(Instant::now()).saturating_sub(way);
            let start = Message::Start { after_ns: after.as_nanos() as u64 };
            // Whoever can't be told has gone, which its reader says.
            let _ = start.send(&self.seats[&number].stream);
        }
        Ok(())
    }

    fn round_trip(&mut self, number: u64, ping: u32) -> Result<Duration, String> {
        let begin = Instant::now();
        let _ = Message::Ping { number: ping }.send(&self.seats[&number].stream);
        loop {
            if let Some((from, Message::Pong { number: pong })) =
                self.next_news(begin + control::SILENCE)?
                && (from, pong) == (number, ping)
            {
                return Ok(begin.elapsed());
            }
            if begin.elapsed() >= control::SILENCE {
                let name = self.identity.name(self.seats[&number].rank);
                return Err(format!("{name} does not answer"));
            }
        }
    }

    /// Waits for something of a node, at most until `end`, and takes note of it.
    fn next_news(&mut self, end: Instant) -> Result<Option<(u64, Message)>, String> {
        loop {
            if self.last_beat.elapsed() >= BEAT {
                self.last_beat = Instant::now();
                self.tell_all(&Message::Alive);
            }
            let now = Instant::now();
            let wait = end.saturating_duration_since(now);
            match self.news.recv_timeout(wait.min(BEAT)) {
                Ok((number, news)) => {
                    if let Some(message) = self.take(number, news)? {
                        return Ok(Some((number, message)));
                    }
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= end => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("rank 0 takes no more connections".into());
                }
            }
        }
    }

    /// What a node has said, unless that is of no interest to anybody else.
    fn take(&mut self, number: u64, news: News) -> Result<Option<Message>, String> {
        match news {
            News::Came(stream) => drop(self.strangers.insert(number, stream)),
            News::Gone(why) => {
                self.strangers.remove(&number);
                if let Some(seat) = self.seats.remove(&number) {
                    return Err(format!("{} has died: {why}", self.identity.name(seat.rank)));
                }
            }
            News::Said(Message::Hello { rank, config }) => self.welcome(number, rank, &config)?,
            News::Said(message) => {
                let Some(seat) = self.seats.get_mut(&number) else { return Ok(None) };
                match &message {
                    Message::Ready => seat.is_ready = true,
                    Message::Done => seat.is_done = true,
                    Message::Quit { why } => {
                        return Err(format!("{} {why}", self.identity.name(seat.rank)));
                    }
                    _ => {}
                }
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Gives a node its seat, or tells it and all others why it can't have one.
    fn welcome(&mut self, number: u64, rank: usize, config: &NodeConfig) -> Result<(), String> {
        let Some(stream) = self.strangers.remove(&number) else { return Ok(()) };
        self.has_own_come |= rank == 0;
        let from = stream.peer_addr().map_or_else(|_| "somebody".into(), |addr| addr.to_string());
        let wrong = if let Some(difference) = self.config.difference(config) {
            Some(format!("rank {rank} at {from} was started with other options: {difference}"))
        } else if self.seats.values().any(|seat| seat.rank == rank) {
            Some(format!("two nodes say that they are rank {rank}; the second is at {from}"))
        } else {
            None
        };
        self.seats.insert(number, Seat { rank, stream, is_ready: false, is_done: false });
        wrong.map_or(Ok(()), Err)
    }

    fn tell_all(&self, message: &Message) {
        for seat in self.seats.values() {
            // Whoever can't be told has gone, which its reader says.
            let _ = message.send(&seat.stream);
        }
    }

    fn size(&self) -> usize {
        self.identity.nodes.len()
    }

    fn who_is_missing(&self) -> String {
        let has_come = |rank: &usize| self.seats.values().any(|seat| seat.rank == *rank);
        let absent = (0..self.size()).filter(|rank| !has_come(rank));
        let absent: Vec<_> = absent.map(|rank| self.identity.name(rank)).collect();
        let seconds = self.meet.as_secs_f64();
        if !absent.is_empty() {
            return format!("within {seconds} s nothing was heard of {}", absent.join(", "));
        }
        let unready = self.seats.values().filter(|seat| !seat.is_ready);
        let unready: Vec<_> = unready.map(|seat| self.identity.name(seat.rank)).collect();
        format!("within {seconds} s these have not reached all others: {}", unready.join(", "))
    }
}
