//! Accepting TCP connections on IPv4 and IPv6.
//!
//! Never drops a connection that was accepted, and never decides what to do when descriptors run out: the caller waits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use async_std::net::TcpListener;
use futures::FutureExt;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use super::socket::canonical;
use super::{NetError, Socket};

/// Which of this machine's addresses to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindTo {
    /// All of them, IPv6 and IPv4.
    Any,
    /// Only this machine can connect: 127.0.0.1, and ::1 when the machine has it.
    Loopback,
}

/// Connections that nobody has accepted yet and that the kernel keeps for us.
const BACKLOG: i32 = 256;

/// One port, open on IPv4 and, where the machine has it, IPv6.
#[derive(Debug)]
pub struct Listener {
    first: TcpListener,
    second: Option<TcpListener>,
    local: Vec<SocketAddr>,
}

impl Listener {
    /// Takes the first free port of `ports`; port 0 lets the system choose one.
    pub fn bind(to: BindTo, ports: RangeInclusive<u16>) -> Result<Self, NetError> {
        let tried = (*ports.start(), *ports.end());
        for port in ports {
            match Self::bind_port(to, port) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                other => return Ok(other?),
            }
        }
        Err(NetError::PortTaken { ports: tried })
    }

    fn bind_port(to: BindTo, port: u16) -> io::Result<Self> {
        match to {
            BindTo::Any => match open(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port, false) {
                Ok(both) => Self::new(both, None),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
                Err(_) => Self::new(open(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port, true)?, None),
            },
            BindTo::Loopback => {
                let v4 = open(IpAddr::V4(Ipv4Addr::LOCALHOST), port, true)?;
                let port = v4.local_addr()?.port();
                Self::new(v4, open(IpAddr::V6(Ipv6Addr::LOCALHOST), port, true).ok())
            }
        }
    }

    fn new(first: std::net::TcpListener, second: Option<std::net::TcpListener>) -> io::Result<Self> {
        let mut local = vec![first.local_addr()?];
        if let Some(second) = &second {
            local.push(second.local_addr()?);
        }
        Ok(Self { first: first.into(), second: second.map(TcpListener::from), local })
    }

    /// What we listen on. `[::]` alone stands for IPv4 as well.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// The port, the same on every address.
    pub fn port(&self) -> u16 {
        self.local.first().map_or(0, SocketAddr::port)
    }

    /// Waits for the next connection. An error concerns this machine (no descriptor left, for example) and not the
    /// listener: wait a moment, then call again.
    pub async fn accept(&self) -> Result<(Socket, SocketAddr), NetError> {
        loop {
            let accepted = match &self.second {
                None => self.first.accept().await,
                Some(second) => {
                    let (a, b) = (self.first.accept().fuse(), second.accept().fuse());
                    futures::pin_mut!(a, b);
                    futures::select! { one = a => one, other = b => other }
                }
            };
            match accepted {
                Ok((stream, from)) => return Ok((Socket::new(stream), canonical(from))),
                Err(error) if is_of_the_other_side(error.kind()) => continue,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Linux reports what happened to a waiting connection as an error of `accept`.
fn is_of_the_other_side(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

fn open(address: IpAddr, port: u16, only_v6: bool) -> io::Result<std::net::TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // On Unix this takes a port whose old connections still linger; on Windows it would take a port from another
    // program.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
