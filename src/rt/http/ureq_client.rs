//! surf's back-end: ureq on the blocking pool.
//!
//! Resolves, connects, sends and reads on one blocking thread, within the limits of its [`Hop`], and hands the body
//! over whole. Each request has a connection of its own, so no server can be taken for another. Never follows a
//! redirect.

use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flate2::read::GzDecoder;
use surf::http::{Request, Response, StatusCode};
use surf::{Error, HttpClient};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::permits::Permit;
use super::{HttpError, HttpLimits, is_local};
use crate::rt::net::NetError;
use crate::rt::{clock, spawn};

/// Goes with each request as an extension: what it may cost and where it may lead.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) limits: HttpLimits,
    /// When all redirects together have to be done.
    pub(super) deadline: Instant,
    /// May connect to this machine or its network.
    pub(super) may_be_local: bool,
    /// A public server sent us here.
    pub(super) was_public: bool,
    /// Goes where the work goes, onto the blocking thread.
    pub(super) _permit: Permit,
}

/// Comes with each response as an extension: where it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    /// This machine or its network.
    pub(super) local: bool,
}

/// The longest header of an answer, in bytes.
const HEADER_BYTES: usize = 16 << 10;
/// Read at once; more than a header, or one that is too long would look like a connection that was closed.
const INPUT_BYTES: usize = 64 << 10;

/// The back-end. `default()` trusts the roots that Mozilla trusts.
#[derive(Debug, Clone)]
pub(super) struct UreqClient {
    pub(super) roots: RootCerts,
}

impl Default for UreqClient {
    fn default() -> Self {
        Self { roots: RootCerts::WebPki }
    }
}

type Sent<'f> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'f>>;

impl HttpClient for UreqClient {
    fn send<'a, 'f>(&'a self, request: Request) -> Sent<'f>
    where
        'a: 'f,
        Self: 'f,
    {
        let roots = self.roots.clone();
        Box::pin(async move {
            let answer = match request.ext().get::<Hop>().cloned() {
                Some(hop) => spawn::blocking(move || guarded(&request, hop, roots)).await,
                None => Err(HttpError::BadUrl { reason: "the request came without its limits".into() }),
            };
            answer.map_err(|error| Error::new(StatusCode::BadGateway, error))
        })
    }
}

/// A server that finds a way to make ureq panic gets an error like every other bad server.
fn guarded(request: &Request, hop: Hop, roots: RootCerts) -> Result<Response, HttpError> {
    let exchange = AssertUnwindSafe(|| exchange(request, hop, roots));
    std::panic::catch_unwind(exchange).unwrap_or(Err(HttpError::Broken))
}

fn exchange(request: &Request, hop: Hop, roots: RootCerts) -> Result<Response, HttpError> {
    let host = request.url().host_str().unwrap_or_default();
    let reached_local = Arc::new(AtomicBool::new(false));
    let resolver = Guarded { may_be_local: hop.may_be_local, reached_local: reached_local.clone() };
    let total = hop.deadline.saturating_duration_since(clock::now());
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("bt-erl/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("gzip")
        .max_response_header_size(HEADER_BYTES)
        .input_buffer_size(INPUT_BYTES)
        .max_idle_connections(0)
        .timeout_resolve(Some(hop.limits.connect))
        .timeout_connect(Some(hop.limits.connect))
        .timeout_global(Some(total))
        .build();
    let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), resolver);
    let mut answer = agent.get(request.url().as_str()).call().map_err(|error| name_fault(error, host, &hop))?;
    let code = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (location, encoding) = (header("location"), header("content-encoding"));
    let status = StatusCode::try_from(code).map_err(|_| HttpError::Status { code, body: Vec::new() })?;
    let mut response = Response::new(status);
    response.ext_mut().insert(Reached { local: reached_local.load(Ordering::Relaxed) });
    if status.is_redirection() {
        if let Some(location) = location {
            response.insert_header("location", location);
        }
    } else {
        let body = read_body(answer.body_mut().as_reader(), encoding.as_deref(), hop.limits.body_bytes);
        response.set_body(body.map_err(|fault| fault.named(host, &hop))?);
    }
    Ok(response)
}

enum BodyFault {
    Named(HttpError),
    Read(io::Error),
}

impl BodyFault {
    fn named(self, host: &str, hop: &Hop) -> HttpError {
        match self {
            Self::Named(error) => error,
            Self::Read(error) => name_fault(ureq::Error::from(error), host, hop),
        }
    }
}

/// Holds at most `limit` bytes, whatever is sent and however it unpacks, and reads no more than that from the
/// connection. Of several gzip members only the first counts: many empty ones would be cheap to send and dear to
/// unpack.
fn read_body(body: impl Read, encoding: Option<&str>, limit: usize) -> Result<Vec<u8>, BodyFault> {
    let mut sent = body.take(limit as u64 + 1);
    let mut bytes = Vec::new();
    let read = match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => sent.read_to_end(&mut bytes),
        Some("gzip" | "x-gzip") => GzDecoder::new(&mut sent).take(limit as u64 + 1).read_to_end(&mut bytes),
        Some(other) => {
            let encoding = other.chars().take(40).collect();
            return Err(BodyFault::Named(HttpError::UnknownEncoding { encoding }));
        }
    };
    // Nothing left of what may be sent: the limit cut it off, whatever the decoder made of that.
    if bytes.len() > limit || sent.limit() == 0 {
        return Err(BodyFault::Named(HttpError::BodyTooLong { limit }));
    }
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if encoding.is_some() && is_decoding_fault(&error) => Err(BodyFault::Named(HttpError::BadGzip)),
        Err(error) => Err(BodyFault::Read(error)),
    }
}

/// The connection's own faults carry ureq's or the system's error; the decoder's do not.
fn is_decoding_fault(error: &io::Error) -> bool {
    let ureqs = error.get_ref().is_some_and(|inner| inner.is::<ureq::Error>());
    let kind =
        matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    !ureqs && kind && error.raw_os_error().is_none()
}

fn name_fault(error: ureq::Error, host: &str, hop: &Hop) -> HttpError {
    use ureq::{Error as Fault, Timeout};
    let host = || host.to_owned();
    match error {
        Fault::Other(refused) if refused.is::<LocalRefused>() && hop.was_public => {
            HttpError::RedirectToLocal { host: host() }
        }
        Fault::Other(refused) if refused.is::<LocalRefused>() => HttpError::LocalButNoTracker { host: host() },
        Fault::HostNotFound => HttpError::Net(NetError::UnknownName { host: host() }),
        Fault::Timeout(Timeout::Resolve) => HttpError::TimedOut { doing: "resolving the name" },
        Fault::Timeout(Timeout::Connect) => HttpError::TimedOut { doing: "connecting" },
        Fault::Timeout(_) => HttpError::TimedOut { doing: "waiting for the answer" },
        Fault::LargeResponseHeader(..) => HttpError::NotHttp { reason: "its header is too long".into() },
        Fault::Tls(reason) => HttpError::Tls { reason: reason.into() },
        Fault::Rustls(reason) => HttpError::Tls { reason: reason.to_string() },
        Fault::BadUri(reason) => HttpError::BadUrl { reason },
        Fault::Http(reason) => HttpError::BadUrl { reason: reason.to_string() },
        Fault::Io(error) if is_unknown_name(&error) => HttpError::Net(NetError::UnknownName { host: host() }),
        Fault::Io(error) if error.kind() == io::ErrorKind::InvalidData => HttpError::Tls { reason: error.to_string() },
        Fault::Io(error) => HttpError::Net(error.into()),
        Fault::Protocol(reason) => HttpError::NotHttp { reason: reason.to_string() },
        other => HttpError::NotHttp { reason: other.to_string() },
    }
}

/// The standard library has no kind for a failed look-up.
fn is_unknown_name(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("failed to lookup address")
}

/// Resolves as ureq does, then takes away the addresses that this request must not reach. The check is on the very
/// addresses that are connected to, so a name that changes its address in between gains nothing.
#[derive(Debug)]
struct Guarded {
    may_be_local: bool,
    reached_local: Arc<AtomicBool>,
}

#[derive(Debug)]
struct LocalRefused;

impl std::fmt::Display for LocalRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the address is local")
    }
}

impl std::error::Error for LocalRefused {}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = DefaultResolver::default().resolve(uri, config, timeout)?;
        let (local, kept) = reachable(&all);
        self.reached_local.store(local, Ordering::Relaxed);
        if local && !self.may_be_local {
            return Err(ureq::Error::Other(Box::new(LocalRefused)));
        }
        let mut addresses = self.empty();
        kept.into_iter().for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// Whether these are local, and which of them to use: a name with public and local addresses counts as public, and its
/// local ones are never used.
pub(super) fn reachable(all: &[SocketAddr]) -> (bool, Vec<SocketAddr>) {
    let local = all.iter().all(|address| is_local(address.ip()));
    (local, all.iter().copied().filter(|address| local || !is_local(address.ip())).collect())
}
