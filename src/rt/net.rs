//! TCP: connect, listen, resolve names.
//!
//! [`Socket`] reads and writes through a shared reference, so one task may read while another writes. Nothing in here
//! retries, logs or chooses whom to talk to; every call that can wait on a remote party takes a time limit.

mod error;
mod listener;
mod socket;

pub use error::NetError;
pub use listener::{BindTo, Listener};
pub use socket::{Socket, connect};

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::{clock, spawn};

/// The addresses of `host` (a name or a literal address), in the order in which the system prefers them. The look-up
/// runs on the blocking pool; when `limit` passes it is left to end by itself.
pub async fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, NetError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = bare.to_owned();
    let look_up = spawn::blocking(move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    match clock::timeout(limit, look_up).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(NetError::UnknownName { host: host.to_owned() }),
        Err(_) => Err(NetError::NameTimedOut { host: host.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
