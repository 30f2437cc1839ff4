//! Why a GET gave no answer: one phrase each, without the URL, which may hold a passkey.

use std::fmt;

use crate::rt::net::NetError;

/// What went wrong; everything here is the other side's or the network's doing, or the URL's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// The URL cannot be read.
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// Neither http nor https.
    UnknownScheme {
        /// As in the URL.
        scheme: String,
    },
    /// The URL leads to this machine or its network, and its last part is not `announce…`.
    LocalButNoTracker {
        /// As in the URL.
        host: String,
    },
    /// A host on the internet sent us to this machine or its network.
    RedirectToLocal {
        /// As in the redirect.
        host: String,
    },
    /// A redirect without a usable `Location`.
    RedirectToNowhere,
    /// More redirects than the limit, most likely in a circle.
    TooManyRedirects {
        /// How many were followed.
        limit: u32,
    },
    /// No connection, or it was lost.
    Net(NetError),
    /// One of the time limits has passed.
    TimedOut {
        /// "resolving the name", "connecting" or "waiting for the answer".
        doing: &'static str,
    },
    /// No safe connection: the certificate does not verify, or the other side does not speak TLS.
    Tls {
        /// rustls's words.
        reason: String,
    },
    /// What came back is not HTTP.
    NotHttp {
        /// What is wrong with it.
        reason: String,
    },
    /// The server answered with an error.
    Status {
        /// The status code.
        code: u16,
        /// Its first bytes; a tracker may have its reason in there.
        body: Vec<u8>,
    },
    /// More than we read of a body.
    BodyTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is packed in a way that we did not ask for.
    UnknownEncoding {
        /// The `Content-Encoding`, shortened.
        encoding: String,
    },
    /// The body says that it is gzip and is not, or ends in the middle.
    BadGzip,
    /// The HTTP library crashed over this answer; the log of panics has the place.
    Broken,
}

impl HttpError {
    /// Our own error back out of surf's.
    pub(super) fn from_surf(error: surf::Error) -> Self {
        error.downcast().unwrap_or_else(|error| Self::NotHttp { reason: error.to_string() })
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl { reason } => write!(f, "not a usable URL: {reason}"),
            Self::UnknownScheme { scheme } => write!(f, "not http or https but {scheme}"),
            Self::LocalButNoTracker { host } => {
                write!(f, "{host} is on this machine or its network and the URL is not a tracker's (…/announce)")
            }
            Self::RedirectToLocal { host } => {
                write!(f, "refused: a public server redirects to {host}, on this machine or its network")
            }
            Self::RedirectToNowhere => f.write_str("redirected without a usable address"),
            Self::TooManyRedirects { limit } => write!(f, "redirected more than {limit} times"),
            Self::Net(error) => error.fmt(f),
            Self::TimedOut { doing } => write!(f, "timed out {doing}"),
            Self::Tls { reason } => write!(f, "no safe connection: {reason}"),
            Self::NotHttp { reason } => write!(f, "the answer is not HTTP: {reason}"),
            Self::Status { code, .. } => write!(f, "the server answered with HTTP status {code}"),
            Self::BodyTooLong { limit } => write!(f, "the answer is longer than {limit} bytes"),
            Self::UnknownEncoding { encoding } => write!(f, "the answer is packed in an unknown way ({encoding})"),
            Self::Broken => f.write_str("the HTTP library crashed over the answer"),
            Self::BadGzip => f.write_str("the answer is damaged gzip"),
        }
    }
}

impl std::error::Error for HttpError {}
