//! What goes wrong with a connection: the environment's doing, never a bug of ours.
//!
//! Each variant is one phrase for a log line. Never says who the other side was: the caller knows.

use std::fmt;
use std::io;

/// Why a connection could not be made, was lost, or a port could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetError {
    /// Nobody listens there.
    Refused,
    /// The other side hung up in the middle.
    Reset,
    /// The other side closed the connection.
    Closed,
    /// No answer within the time limit.
    TimedOut,
    /// No route to that host or network.
    Unreachable,
    /// The port is taken by another program.
    PortTaken {
        /// The first and last port that were tried.
        ports: (u16, u16),
    },
    /// The machine has no such address (no IPv6, for example).
    NoSuchAddress,
    /// A firewall or missing rights.
    Denied,
    /// This OS process or the machine has no file descriptor left.
    TooManyOpenFiles,
    /// The kernel has no memory for the connection.
    NoBuffers,
    /// The name does not exist, or no name server answered.
    UnknownName {
        /// As given by the caller.
        host: String,
    },
    /// No name server answered within the time limit.
    NameTimedOut {
        /// As given by the caller.
        host: String,
    },
    /// Anything else, in the operating system's words.
    Other {
        /// The operating system's message.
        message: String,
    },
}

impl NetError {
    /// True when the fault lies with this machine and waiting may cure it, whoever the other side is.
    pub fn is_local_shortage(&self) -> bool {
        matches!(self, Self::TooManyOpenFiles | Self::NoBuffers)
    }
}

impl From<io::Error> for NetError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::ConnectionReset | Kind::BrokenPipe => Self::Reset,
            Kind::ConnectionAborted | Kind::UnexpectedEof | Kind::WriteZero | Kind::NotConnected => Self::Closed,
            Kind::TimedOut => Self::TimedOut,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Self::Unreachable,
            Kind::AddrNotAvailable | Kind::Unsupported => Self::NoSuchAddress,
            Kind::PermissionDenied => Self::Denied,
            Kind::OutOfMemory => Self::NoBuffers,
            _ => Self::from_code(&error),
        }
    }
}

impl NetError {
    #[cfg(unix)]
    fn from_code(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => Self::TooManyOpenFiles,
            Some(Errno::NOBUFS) => Self::NoBuffers,
            Some(Errno::AFNOSUPPORT) => Self::NoSuchAddress,
            _ => Self::Other { message: error.to_string() },
        }
    }

    #[cfg(not(unix))]
    fn from_code(error: &io::Error) -> Self {
        Self::Other { message: error.to_string() }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::Closed => "connection closed",
            Self::TimedOut => "timed out",
            Self::Unreachable => "host or network unreachable",
            Self::PortTaken { ports: (first, last) } if first == last => {
                return write!(f, "port {first} is taken by another program");
            }
            Self::PortTaken { ports: (first, last) } => {
                return write!(f, "all ports from {first} to {last} are taken by other programs");
            }
            Self::NoSuchAddress => "this machine has no address of that kind",
            Self::Denied => "not permitted",
            Self::TooManyOpenFiles => "too many open files; raise the limit (ulimit -n)",
            Self::NoBuffers => "no memory left for connections",
            Self::UnknownName { host } => return write!(f, "no address found for {host}"),
            Self::NameTimedOut { host } => return write!(f, "no name server answered for {host} in time"),
            Self::Other { message } => return f.write_str(message),
        })
    }
}

impl std::error::Error for NetError {}
