//! The sockets that a takeover hands over, and their names in the new process's environment.

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// The variable that names them: `listen.http=7,ready=9`.
pub(crate) const VARIABLE: &str = "SLUICE_TAKEOVER";
/// The pipe on which the new process says that it is ready.
const READY: &str = "ready";
/// The pipe whose end tells the new process that the UDP port is free.
const RELEASED: &str = "released";
/// The name of the UDP socket.
pub(crate) const UDP: &str = "udp";

/// Sockets of this process, for the next one, by the key that a listener is configured under.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<(&'static str, OwnedFd)>);

impl Sockets {
    /// Adds one: a duplicate, which the next process gets.
    pub(crate) fn add(&mut self, key: &'static str, socket: &impl AsFd) -> io::Result<()> {
        self.0.push((key, socket.as_fd().try_clone_to_owned()?));
        Ok(())
    }

    /// Duplicates that a child process gets, and the text that tells it which is which.
    pub(super) fn passed(&self, ready: OwnedFd, released: OwnedFd) -> io::Result<(Vec<OwnedFd>, String)> {
        let pipes = [(READY, &ready), (RELEASED, &released)];
        let all = self.0.iter().map(|(key, fd)| (*key, fd)).chain(pipes);
        let mut passed = vec![];
        let mut names = vec![];
        for (key, fd) in all {
            // Unlike a clone of std's, this one is open in children.
            let fd = nix::unistd::dup(fd)?;
            names.push(format!("{key}={}", fd.as_raw_fd()));
            passed.push(fd);
        }
        Ok((passed, names.join(",")))
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

    /// Ends when the process before this one reads nothing from the UDP port any more.
    pub(crate) fn released(&self) -> Option<OwnedFd> {
        self.take(RELEASED)
    }

    /// Tells the process before this one that it may go.
    pub(crate) fn say_ready(&self) {
        if let Some(ready) = self.take(READY) {
            // A process that is gone needs no telling.
            drop(std::fs::File::from(ready).write_all(b"1"));
        }
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

    #[test]
    fn what_is_passed_is_found_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut sockets = Sockets::default();
        sockets.add("listen.http", &listener).unwrap();
        let (ready, says_ready) = io::pipe().unwrap();
        let (released, _release) = io::pipe().unwrap();
        let (passed, text) = sockets.passed(says_ready.into(), released.into()).unwrap();
        // As a new process would have them: nobody else's.
        passed.into_iter().for_each(|fd| _ = fd.into_raw_fd());
        let inherited = Inherited::of(&[(VARIABLE.into(), text)]).unwrap();
        assert!(inherited.udp(at).is_none());
        let found = inherited.tcp("listen.http", at).unwrap();
        assert_eq!(found.local_addr().unwrap(), at);
        assert!(inherited.tcp("listen.http", at).is_none(), "taken once");
        inherited.say_ready();
        let mut said = String::new();
        io::Read::read_to_string(&mut { ready }, &mut said).unwrap();
        assert_eq!(said, "1");
    }

    #[test]
    fn an_address_is_the_same_when_the_configuration_means_it() {
        let at: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert!(is_same(at, at) && is_same(at, "127.0.0.1:0".parse().unwrap()));
        assert!(!is_same(at, "127.0.0.1:81".parse().unwrap()) && !is_same(at, "0.0.0.0:80".parse().unwrap()));
    }
}
