//! Ctrl-C, SIGTERM and SIGUSR1 as something to wait for.
//!
//! Used by `cli/` only: a library must not take signals from the program that uses it. From the first call on, the
//! default action of these signals (the program ends at once) is off for the rest of the OS process, so the caller must
//! act on what it hears.

use std::fmt;
use std::io;

use futures::StreamExt;

/// What asked the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C in a terminal.
    Interrupt,
    /// SIGTERM: `kill`, or a system that shuts down. SIGHUP too: the terminal was closed.
    Terminate,
}

impl Signal {
    /// The exit code that a shell expects after this signal: 130 or 143.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "terminated",
        })
    }
}

/// The signals that ask the program to end, in the order in which they came.
#[derive(Debug)]
pub struct Signals {
    stream: async_signal::Signals,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and SIGHUP for this OS process.
    pub fn new() -> io::Result<Self> {
        #[cfg(unix)]
        let wanted = [async_signal::Signal::Int, async_signal::Signal::Term, async_signal::Signal::Hup];
        #[cfg(not(unix))]
        let wanted = [async_signal::Signal::Int];
        Ok(Self { stream: async_signal::Signals::new(wanted)? })
    }

    /// Waits for the next one. A second Ctrl-C comes out here too.
    pub async fn next(&mut self) -> Signal {
        loop {
            match self.stream.next().await {
                Some(Ok(async_signal::Signal::Int)) => return Signal::Interrupt,
                Some(Ok(_)) => return Signal::Terminate,
                Some(Err(_)) => continue,
                None => std::future::pending().await,
            }
        }
    }
}

/// Takes over SIGXFSZ, whose default action ends the program when a file would become larger than it may be (`ulimit -f`): the write then
/// fails like any other.
pub fn survive_file_size_limit() {
    #[cfg(unix)]
    {
        static TAKEN: std::sync::OnceLock<Option<async_signal::Signals>> = std::sync::OnceLock::new();
        TAKEN.get_or_init(|| async_signal::Signals::new([async_signal::Signal::Xfsz]).ok());
    }
}

/// SIGUSR1: somebody asks how things stand. Taken over from the first call on, because its default action ends the program.
#[derive(Debug)]
pub struct Questions {
    /// `None` where there is no such signal.
    stream: Option<async_signal::Signals>,
}

impl Questions {
    /// Takes over SIGUSR1 for this OS process, where there is one.
    pub fn listen() -> Self {
        #[cfg(unix)]
        let stream = async_signal::Signals::new([async_signal::Signal::Usr1]).ok();
        #[cfg(not(unix))]
        let stream = None;
        Self { stream }
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let asked = match &mut self.stream {
            Some(stream) => stream.next().await,
            None => None,
        };
        if asked.is_none() {
            std::future::pending().await
        }
    }
}

/// Waits until the program is asked to end. Where signals cannot be taken over it waits for ever, and they end the
/// program as usual.
pub async fn interrupted() -> Signal {
    match Signals::new() {
        Ok(mut signals) => signals.next().await,
        Err(_) => std::future::pending().await,
    }
}
