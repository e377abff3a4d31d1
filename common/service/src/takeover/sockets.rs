//! The sockets that a takeover hands over, and their names in the new process's environment.

use crate::listen::{Elder, Ids, line};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

/// The variable that names them: `listen.http=7,ready=9`.
pub(crate) const VARIABLE: &str = "SLUICE_TAKEOVER";
/// The pipe on which the new process says that it is ready.
const READY: &str = "ready";
/// The pipe whose end tells the new process that the UDP port is free.
const RELEASED: &str = "released";
/// The pipe whose end tells the new process that it is relied on.
const GO: &str = "go";
/// Time for that: many times what the process before this one takes. It lives when this is over, and serves.
const RELIED: Duration = Duration::from_secs(30);
/// The name of the UDP socket.
pub(crate) const UDP: &str = "udp";

/// The beginning of the name of an older process's line; the rest tells its connection ids.
const ELDER: &str = "elder-";
/// Older processes that may still have HTTP/3 connections when a new one takes over: each has a line open, and costs a
/// look at every datagram.
const MAX_ELDERS: usize = 32;

/// Sockets of this process, for the next one, by the key that a listener is configured under.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    listening: Vec<(&'static str, OwnedFd)>,
    /// What QUIC connections of this process are known by.
    ids: Option<Ids>,
    /// Processes before this one.
    elders: Vec<Elder>,
}

/// What a child process gets.
pub(super) struct Passed {
    /// Duplicates that are open in children.
    pub(super) fds: Vec<OwnedFd>,
    /// The text that tells which is which.
    pub(super) names: String,
    /// Where the child passes on what is for QUIC connections of this process.
    pub(super) line: Option<OwnedFd>,
}

impl Sockets {
    /// Adds one: a duplicate, which the next process gets.
    pub(crate) fn add(&mut self, key: &'static str, socket: &impl AsFd) -> io::Result<()> {
        self.listening.push((key, socket.as_fd().try_clone_to_owned()?));
        Ok(())
    }

    /// Adds how QUIC connections are known, those of this process and of the ones before it.
    pub(crate) fn add_quic(&mut self, ids: Ids, elders: &[Elder]) -> io::Result<()> {
        self.ids = Some(ids);
        self.elders = elders.iter().map(Elder::try_clone).collect::<io::Result<_>>()?;
        Ok(())
    }

    pub(super) fn passed(&self, ready: OwnedFd, released: OwnedFd, go: OwnedFd) -> io::Result<Passed> {
        let (mut own, mut tail) = (None, None);
        if let Some(ids) = self.ids {
            let (end, line) = line()?;
            (own, tail) = (Some(Elder { ids, line }), Some(end));
        }
        let elders: Vec<&Elder> = self.elders.iter().filter(|elder| elder.lives()).chain(&own).collect();
        if elders.len() > MAX_ELDERS {
            return Err(io::Error::other("too many processes before this one still have HTTP/3 connections"));
        }
        let elders = elders.into_iter().map(|elder| (format!("{ELDER}{:x}", elder.ids.key()), &elder.line));
        let pipes = [(READY, &ready), (RELEASED, &released), (GO, &go)];
        let listening = self.listening.iter().map(|(key, fd)| (*key, fd));
        let all = listening.chain(pipes).map(|(key, fd)| (key.to_owned(), fd)).chain(elders);
        let (mut fds, mut names) = (vec![], vec![]);
        for (key, fd) in all {
            // Unlike a clone of std's, this one is open in children.
            let fd = nix::unistd::dup(fd)?;
            names.push(format!("{key}={}", fd.as_raw_fd()));
            fds.push(fd);
        }
        Ok(Passed { fds, names: names.join(","), line: tail })
    }
}

/// What a process got from the one before it; nothing when it was started by anything else.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Mutex<BTreeMap<String, OwnedFd>>);

impl Inherited {
    /// Takes what the environment names.
    ///
    /// # Errors
    /// When a name has no open descriptor: the variable was set by hand, or twice.
    pub(crate) fn of(environment: &[(String, String)]) -> io::Result<Self> {
        let text = environment.iter().find(|(name, _)| name == VARIABLE).map_or("", |(_, text)| text);
        let mut sockets = BTreeMap::new();
        for (key, fd) in parse(text)? {
            sockets.insert(key, claim(fd)?);
        }
        Ok(Self(Mutex::new(sockets)))
    }

    /// A TCP listener for a key, if there is one that listens where the configuration has it.
    pub(crate) fn tcp(&self, key: &str, wanted: SocketAddr) -> Option<TcpListener> {
        let listener = TcpListener::from(self.take(key)?);
        let same = listener.local_addr().is_ok_and(|at| is_same(at, wanted));
        same.then_some(listener)
    }

    /// The UDP socket at an address, if there is one.
    pub(crate) fn udp(&self, wanted: SocketAddr) -> Option<UdpSocket> {
        let socket = UdpSocket::from(self.take(UDP)?);
        let same = socket.local_addr().is_ok_and(|at| is_same(at, wanted));
        same.then_some(socket)
    }

    /// The processes before this one that may still have QUIC connections at the UDP port.
    pub(crate) fn elders(&self) -> Vec<Elder> {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key_of = |name: &str| u64::from_str_radix(name.strip_prefix(ELDER)?, 16).ok();
        let elders = sockets.extract_if(.., |name, _| key_of(name).is_some());
        let elders =
            elders.filter_map(|(name, line)| Some(Elder { ids: Ids::with_key(key_of(&name)?), line }));
        elders.filter(Elder::lives).collect()
    }

    /// Ends when the process before this one reads nothing from the UDP port any more.
    pub(crate) fn released(&self) -> Option<OwnedFd> {
        self.take(RELEASED)
    }

    /// True where there was a process before this one, which serves meanwhile.
    pub(crate) fn is_takeover(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(READY)
    }

    /// Tells the process before this one that it may go, and waits until that one relies on this one, or has ended: true. At
    /// once, and false, where there was none. What has not been taken by now is closed: the configuration does not want it
    /// any more.
    ///
    /// # Errors
    /// The pipe cannot be read, or the process before this one lives and says nothing.
    pub(crate) async fn relied_on(&self) -> io::Result<bool> {
        let (ready, go) = (self.take(READY), self.take(GO));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Some(ready) = ready {
            // A process that is gone needs no telling.
            drop(File::from(ready).write_all(b"1"));
        }
        let Some(go) = go else { return Ok(false) };
        let mut go = Receiver::from_file(File::from(go))?;
        // It says nothing: it ends.
        let ended = timeout(RELIED, go.read(&mut [0])).await;
        ended
            .unwrap_or_else(|_| Err(io::Error::other("the process before this one does not let it serve")))?;
        Ok(true)
    }

    fn take(&self, key: &str) -> Option<OwnedFd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

/// True for the address that a configuration means: port 0 is any.
fn is_same(at: SocketAddr, wanted: SocketAddr) -> bool {
    at.ip() == wanted.ip() && (wanted.port() == 0 || at.port() == wanted.port())
}

/// Reads the variable: `key=number` pairs, none of the three standard streams, no number twice.
fn parse(text: &str) -> io::Result<BTreeMap<String, RawFd>> {
    let bad = || {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE} is for takeovers alone: unset it"))
    };
    let mut named: BTreeMap<String, RawFd> = BTreeMap::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (key, number) = pair.split_once('=').ok_or_else(bad)?;
        let fd = number.parse::<RawFd>().ok().filter(|fd| *fd > 2).ok_or_else(bad)?;
        if named.values().any(|other| *other == fd) || named.insert(key.into(), fd).is_some() {
            return Err(bad());
        }
    }
    Ok(named)
}

/// Takes a descriptor that the environment names, and closes it to children.
#[expect(unsafe_code, reason = "a number in the environment is how descriptors are inherited")]
fn claim(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the process before this one opened it for this one, nothing else here owns it since this is called once a
    // number before anything else is opened, and fcntl below says whether it is open at all.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    match fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Ok(fd),
        Err(error) => {
            // It is not open: there is nothing to close.
            let _number: RawFd = fd.into_raw_fd();
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_names_each_descriptor_once() {
        let named = parse("listen.http=7,ready=9").unwrap();
        assert_eq!((named["listen.http"], named["ready"], named.len()), (7, 9, 2));
        assert!(parse("").unwrap().is_empty());
        for bad in ["a", "a=", "a=b", "a=1", "a=-4", "a=7,b=7", "a=7,a=8"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_passed_is_found_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut sockets = Sockets::default();
        sockets.add("listen.http", &listener).unwrap();
        let (ready, says_ready) = io::pipe().unwrap();
        let (released, _release) = io::pipe().unwrap();
        let (gone, there) = (line().unwrap(), line().unwrap());
        drop(gone.0);
        let elder = |(_, line): (_, OwnedFd)| Elder { ids: Ids::random(), line };
        let (_tail, there) = (there.0, Elder { ids: Ids::random(), line: there.1 });
        let own = Ids::random();
        let known = [there.ids, own];
        sockets.add_quic(own, &[elder(((), gone.1)), there]).unwrap();
        let (go, relies) = io::pipe().unwrap();
        let passed = sockets.passed(says_ready.into(), released.into(), go.into()).unwrap();
        // As a new process would have them: nobody else's.
        passed.fds.into_iter().for_each(|fd| _ = fd.into_raw_fd());
        let inherited = Inherited::of(&[(VARIABLE.into(), passed.names)]).unwrap();
        let mut elders: Vec<Ids> = inherited.elders().iter().map(|elder| elder.ids).collect();
        elders.sort_by_key(|ids| known.iter().position(|known| known == ids));
        assert_eq!(elders, known, "those that live, and the one that hands over");
        assert!(inherited.elders().is_empty(), "taken once");
        assert!(inherited.udp(at).is_none());
        let found = inherited.tcp("listen.http", at).unwrap();
        assert_eq!(found.local_addr().unwrap(), at);
        assert!(inherited.tcp("listen.http", at).is_none(), "taken once");
        assert!(inherited.is_takeover());
        let mut relied_on = std::pin::pin!(inherited.relied_on());
        assert!(futures::poll!(relied_on.as_mut()).is_pending());
        let mut said = String::new();
        io::Read::read_to_string(&mut { ready }, &mut said).unwrap();
        assert_eq!(said, "1", "ready, and not relied on");
        assert!(futures::poll!(relied_on.as_mut()).is_pending());
        drop(relies);
        assert!(relied_on.await.unwrap());
        assert!(!inherited.is_takeover() && !Inherited::default().relied_on().await.unwrap());
    }

    #[test]
    fn an_address_is_the_same_when_the_configuration_means_it() {
        let at: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert!(is_same(at, at) && is_same(at, "127.0.0.1:0".parse().unwrap()));
        assert!(!is_same(at, "127.0.0.1:81".parse().unwrap()) && !is_same(at, "0.0.0.0:80".parse().unwrap()));
    }
}
