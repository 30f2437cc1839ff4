//! One bounded GET, for trackers.
//!
//! surf is the client; its back-end is our own, over ureq on the blocking pool (`http/ureq_client.rs`), because surf's
//! bundled ones refuse HTTP/1.0 answers, resolve names in the middle of async code, and read bodies of any size.
//! Redirects are followed here. A URL that leads to this machine or its network has to look like a tracker's, and no
//! public host can send us there. Never retries, never keeps a connection, never uses a proxy, never accepts a
//! certificate that does not verify.

mod address;
mod error;
mod permits;
mod ureq_client;

pub use address::is_local;
pub use error::HttpError;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use surf::Url;

use self::permits::Permits;
use self::ureq_client::{Hop, Reached, UreqClient};
use super::clock;

/// What one GET may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// The body, as it is sent and as it is after decompression, in bytes.
    pub body_bytes: usize,
    /// Redirects that are followed.
    pub redirects: u32,
    /// For the name, and then again for the connection with its TLS handshake.
    pub connect: Duration,
    /// For everything, redirects included.
    pub total: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { body_bytes: 2 << 20, redirects: 5, connect: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// What a server answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Decompressed.
    pub body: Vec<u8>,
    /// The server is this machine or on its own network.
    pub local: bool,
}

/// A server's word on top of an error is kept up to this length: a tracker may give its reason there.
const ERROR_BODY_BYTES: usize = 4096;

/// Room for the back-end to report by itself that time is up, before it is cut off.
const GRACE: Duration = Duration::from_millis(500);

/// Gets `url` (http or https). When the future is dropped nothing waits: the request ends by itself within its limits.
pub async fn get(url: &str, limits: &HttpLimits) -> Result<Answer, HttpError> {
    let deadline = clock::now() + limits.total;
    match clock::timeout(limits.total + GRACE, follow(url, limits, deadline)).await {
        Ok(answer) => answer,
        Err(_) => Err(HttpError::TimedOut { doing: "waiting for the answer" }),
    }
}

async fn follow(url: &str, limits: &HttpLimits, deadline: Instant) -> Result<Answer, HttpError> {
    let mut url = Url::parse(url).map_err(|error| HttpError::BadUrl { reason: error.to_string() })?;
    let mut was_public = false;
    for _ in 0..=limits.redirects {
        let may_be_local = !was_public && looks_like_a_tracker(&url);
        let permit = Permits::shared().take().await;
        let hop = Hop { limits: limits.clone(), deadline, may_be_local, was_public, _permit: permit };
        let mut response = send(&url, hop).await?;
        let local = response.ext::<Reached>().is_some_and(|reached| reached.local);
        was_public |= !local;
        let status = response.status();
        if status.is_redirection() {
            let next = response.header("location").map(|to| to.last().as_str()).ok_or(HttpError::RedirectToNowhere)?;
            url = url.join(next).map_err(|_| HttpError::RedirectToNowhere)?;
            continue;
        }
        let mut body = response.body_bytes().await.map_err(HttpError::from_surf)?;
        if status.is_success() {
            return Ok(Answer { body, local });
        }
        body.truncate(ERROR_BODY_BYTES);
        return Err(HttpError::Status { code: status.into(), body });
    }
    Err(HttpError::TooManyRedirects { limit: limits.redirects })
}

async fn send(url: &Url, hop: Hop) -> Result<surf::Response, HttpError> {
    static CLIENT: OnceLock<surf::Client> = OnceLock::new();
    send_with(CLIENT.get_or_init(|| surf::Client::with_http_client(UreqClient::default())), url, hop).await
}

async fn send_with(client: &surf::Client, url: &Url, hop: Hop) -> Result<surf::Response, HttpError> {
    match url.scheme() {
        "http" | "https" => {}
        other => return Err(HttpError::UnknownScheme { scheme: other.to_owned() }),
    }
    let mut request = surf::Request::new(surf::http::Method::Get, url.clone());
    request.set_ext(hop);
    client.send(request).await.map_err(HttpError::from_surf)
}

/// A torrent may name any URL, and a service on this machine may take a GET for a command. So a URL that leads there
/// must end like every tracker's: in a name that begins with `announce` or `scrape`.
fn looks_like_a_tracker(url: &Url) -> bool {
    let last = url.path_segments().and_then(Iterator::last).unwrap_or("");
    last.starts_with("announce") || last.starts_with("scrape")
}

#[cfg(test)]
mod tests;
