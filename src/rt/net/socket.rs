//! One TCP connection.
//!
//! Cheap to clone; every clone is the same connection. Reads and writes go through `&Socket` as futures' `AsyncRead`
//! and `AsyncWrite`, so a reading and a writing half need no lock. Never sets buffer sizes: Linux grows them with the
//! connection only as long as nobody does.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_std::net::TcpStream;
use futures::io::{AsyncRead, AsyncWrite};

use super::NetError;
use crate::rt::clock;

/// A connected TCP socket. At most one task may wait to read and one to write at a time.
#[derive(Debug, Clone)]
pub struct Socket {
    stream: TcpStream,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Only a delay is lost when this fails, and a dead connection says so at its first read.
        let _ = stream.set_nodelay(true);
        Self { stream }
    }

    /// Our end, as the other side of a router does not see it.
    pub fn local_addr(&self) -> Result<SocketAddr, NetError> {
        Ok(canonical(self.stream.local_addr()?))
    }

    /// The other end. IPv4 in IPv6 clothes comes out as IPv4.
    pub fn peer_addr(&self) -> Result<SocketAddr, NetError> {
        Ok(canonical(self.stream.peer_addr()?))
    }

    /// From now on fewer than `bytes` unread ones wake nobody who waits to read. A read that is made for another reason takes what is
    /// there, and the end of the connection wakes at once. Linux only: elsewhere every byte wakes.
    pub fn wake_at(&self, bytes: usize) {
        // Without it there are more wake-ups, and nothing else is different.
        let _ = low_mark::set(&self.stream, bytes);
    }

    /// Ends both directions, for every clone: a pending read ends with 0 bytes, a pending write fails.
    pub fn shutdown(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

#[cfg(target_os = "linux")]
mod low_mark {
    use async_std::net::TcpStream;
    use nix::libc::{self, SO_RCVLOWAT, SOL_SOCKET};
    use nix::sys::socket::SetSockOpt;
    use nix::sys::socket::sockopt::SetUsize;

    /// The least number of bytes that is worth a wake-up.
    #[derive(Clone)]
    struct LowMark;

    nix::setsockopt_impl!(LowMark, SOL_SOCKET, SO_RCVLOWAT, usize, SetUsize);

    pub(super) fn set(stream: &TcpStream, bytes: usize) -> nix::Result<()> {
        LowMark.set(stream, &bytes)
    }
}

#[cfg(not(target_os = "linux"))]
mod low_mark {
    pub(super) fn set(_: &async_std::net::TcpStream, _: usize) -> std::io::Result<()> {
        Ok(())
    }
}

/// Connects to `address` within `limit`.
pub async fn connect(address: SocketAddr, limit: Duration) -> Result<Socket, NetError> {
    match clock::timeout(limit, TcpStream::connect(address)).await {
        Ok(stream) => Ok(Socket::new(stream?)),
        Err(_) => Err(NetError::TimedOut),
    }
}

/// `::ffff:1.2.3.4` as `1.2.3.4`, so that one peer has one address.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl AsyncRead for &Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.stream).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.stream).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for &Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &self.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &self.stream).poll_close(cx)
    }
}
