//! The system calls of sleeping and of being woken: eventfd, timerfd and ppoll.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// `SOL_SOCKET` option, of `asm-generic/socket.h`.
const SO_SELECT_ERR_QUEUE: libc::c_int = 45;

/// Wakes a thread out of [`wait`]: an eventfd.
///
/// A ring is never lost: it stays until [`Bell::silence`], so it does not matter whether the
/// sleeper was asleep already.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// Rings once at a set time, with nanosecond precision: a timerfd of the monotonic clock.
///
/// Asynchronous runtimes round their timers to milliseconds, which is too coarse for pacing.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

/// What ended a [`wait`]. Neither is set when the time was up, or when a signal interrupted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// The packet I/O has something to receive or to report, or room to send if that was asked for.
    pub io: bool,
    /// The bell rang.
    pub bell: bool,
}

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    ///
    /// The process has too many open files, or the system lacks memory.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers; the result is checked before it is used.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        Ok(Self(owned(fd)?))
    }

    /// Wakes whoever waits, or will wait, with this bell.
    pub fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the pointer and the length describe `one`, which outlives the call.
        // The only failure possible is a counter about to overflow: the bell rings then anyway.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Takes back all rings so far.
    pub fn silence(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: the pointer and the length describe `count`, which outlives the call. The
        // descriptor does not block; that nothing was there to take back is no failure.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    ///
    /// The process has too many open files, or the system lacks memory.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: takes no pointers; the result is checked before it is used.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        Ok(Self(owned(fd)?))
    }

    /// Sets the alarm to become readable `delay` from now, in place of any earlier setting.
    ///
    /// # Errors
    ///
    /// None in practice: the system rejects only malformed times.
    pub fn set(&self, delay: Duration) -> io::Result<()> {
        // Zero would switch the alarm off.
        let value = timespec(delay.max(Duration::from_nanos(1)));
        let setting = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: value };
        // SAFETY: `setting` outlives the call, and a null pointer for the old setting is allowed.
        let result = unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const setting, std::ptr::null_mut())
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Sleeps until `io` can be received from (or, if `want_room`, sent to), `bell` rings, or `timeout`
/// is over; for ever without a timeout. Without `io` only the bell and the time count.
///
/// The descriptor is a number rather than a borrow because the lock that guards its owner can't be
/// held while asleep. Should the owner close it meanwhile, the sleep ends early or late but nothing
/// else can go wrong; whoever closes it therefore rings the bell.
pub fn wait(io: Option<RawFd>, want_room: bool, bell: &Bell, timeout: Option<Duration>) -> Woken {
    let room = if want_room { libc::POLLOUT } else { 0 };
    let mut fds = [
        libc::pollfd { fd: bell.0.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        // A negative descriptor is ignored.
        libc::pollfd { fd: io.unwrap_or(-1), events: libc::POLLIN | room, revents: 0 },
    ];
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `fds` holds two entries and `timeout` is null or points to a valid time; both outlive
    // the call. A null signal mask leaves the mask alone.
    let count = unsafe { libc::ppoll(fds.as_mut_ptr(), 2, timeout, std::ptr::null()) };
    if count <= 0 {
        return Woken::default();
    }
    Woken { bell: fds[0].revents != 0, io: fds[1].revents != 0 }
}

/// Sleeps until there is room to send on `io`, or it has failed, or `timeout` is over. Packets that
/// arrive do not end the sleep. Whether it ended early.
pub fn wait_for_room(io: BorrowedFd<'_>, timeout: Duration) -> bool {
    let mut fd = libc::pollfd { fd: io.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let timeout = timespec(timeout);
    // SAFETY: `fd` and `timeout` are one valid entry and a valid time; both outlive the call, and so
    // does the borrowed descriptor. A null signal mask leaves the mask alone.
    unsafe { libc::ppoll(&raw mut fd, 1, &raw const timeout, std::ptr::null()) > 0 }
}

/// Makes pending errors of a socket count as urgent data (`POLLPRI`), for those who wait by epoll for
/// what can be read: `POLLERR` alone is not reported as such. Without effect on other descriptors.
pub fn report_errors_as_urgent(socket: &impl AsFd) {
    let on: libc::c_int = 1;
    let len = size_of_val(&on) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length describe `on`, which outlives the call. Where the option is
    // not understood nothing changes.
    let _ = unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, SO_SELECT_ERR_QUEUE, (&raw const on).cast(), len)
    };
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just created by the caller and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: all-zero bytes are a valid `timespec`; some targets have private padding in it.
    let mut spec: libc::timespec = unsafe { std::mem::zeroed() };
    spec.tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    spec.tv_nsec = libc::c_long::from(duration.subsec_nanos().cast_signed());
    spec
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::net::UdpSocket;
    use std::time::Instant;

    #[test]
    fn wait__ends_when_the_time_is_up() {
        let bell = Bell::new().unwrap();
        let start = Instant::now();
        let woken = wait(None, false, &bell, Some(Duration::from_millis(3)));
        assert_eq!(woken, Woken::default());
        assert!(start.elapsed() >= Duration::from_millis(3));
    }

    #[test]
    fn wait__a_ring_before_it_counts_and_stays_until_silenced() {
        let bell = Bell::new().unwrap();
        bell.ring();
        bell.ring();
        assert!(wait(None, false, &bell, None).bell);
        assert!(wait(None, false, &bell, None).bell);
        bell.silence();
        assert!(!wait(None, false, &bell, Some(Duration::ZERO)).bell);
        bell.silence();
    }

    #[test]
    fn wait__a_ring_from_another_thread_wakes() {
        let bell = Bell::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.ring());
            assert!(wait(None, false, &bell, None).bell);
        });
    }

    #[test]
    fn wait__sees_packets_and_room_to_send() {
        let bell = Bell::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = Some(socket.as_raw_fd());
        assert!(!wait(fd, false, &bell, Some(Duration::ZERO)).io);
        assert!(wait(fd, true, &bell, Some(Duration::ZERO)).io, "an idle socket has room");
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert!(wait(fd, false, &bell, None).io);
    }

    #[test]
    fn wait_for_room__is_not_ended_by_what_arrives() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"x").unwrap();
        assert!(wait_for_room(writer.as_fd(), Duration::from_secs(60)), "an empty pipe has room");
        let start = Instant::now();
        assert!(!wait_for_room(reader.as_fd(), Duration::from_millis(3)), "can be read only");
        assert!(start.elapsed() >= Duration::from_millis(3));
    }

    #[test]
    fn set__the_alarm_becomes_readable_once() {
        let bell = Bell::new().unwrap();
        let alarm = Alarm::new().unwrap();
        let fd = Some(alarm.as_raw_fd());
        assert!(!wait(fd, false, &bell, Some(Duration::ZERO)).io);
        let start = Instant::now();
        alarm.set(Duration::from_micros(500)).unwrap();
        assert!(wait(fd, false, &bell, None).io);
        assert!(start.elapsed() >= Duration::from_micros(500));
        alarm.set(Duration::from_secs(60)).unwrap();
        assert!(!wait(fd, false, &bell, Some(Duration::ZERO)).io, "setting it again clears it");
        alarm.set(Duration::ZERO).unwrap();
        assert!(wait(fd, false, &bell, None).io, "a time that has passed rings at once");
    }
}
