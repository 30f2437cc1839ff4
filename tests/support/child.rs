//! Children that do not outlive their test: spawned, listened to, ended by pid.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running child. Dropping it kills it and waits for it, so a test that panics leaves nothing behind.
pub(crate) struct Guard {
    child: Child,
    lines: Receiver<String>,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_reader: Option<JoinHandle<()>>,
    name: String,
}

/// What the next line of a child's stdout is.
pub(crate) enum Line {
    Text(String),
    /// stdout is closed.
    End,
    /// Nothing came before the deadline.
    Silence,
}

impl Guard {
    /// Starts `command` with both outputs captured and nothing to read.
    pub(crate) fn spawn(mut command: Command) -> Guard {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {name}: {e}"));
        let stdout = child.stdout.take().expect("a piped stdout");
        let mut pipe = child.stderr.take().expect("a piped stderr");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let kept = stderr.clone();
        let stderr_reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..n]);
            }
        });
        Guard { child, lines, stderr, stderr_reader: Some(stderr_reader), name }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout.
    pub(crate) fn line(&self, deadline: Instant) -> Line {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(text) => Line::Text(text),
            Err(RecvTimeoutError::Disconnected) => Line::End,
            Err(RecvTimeoutError::Timeout) => Line::Silence,
        }
    }

    /// Blocks until a line of stdout contains `words`.
    pub(crate) fn until_line(&self, words: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            match self.line(deadline) {
                Line::Text(text) if text.contains(words) => return text,
                Line::Text(_) => {}
                Line::End => panic!("{} ended without saying {words:?}: {}", self.name, self.stderr()),
                Line::Silence => panic!("{} did not say {words:?} within {limit:?}: {}", self.name, self.stderr()),
            }
        }
    }

    /// What came on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
    }

    /// The exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for the exit status of a child")
    }

    /// Waits for the end; `None` when `limit` has passed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        // Both pipes close when the process ends: that is the event. The status is there right after it.
        while let Line::Text(_) = self.line(deadline) {}
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                if let Some(reader) = self.stderr_reader.take() {
                    let _ = reader.join();
                }
                return Some(status);
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.ended()
    }

    /// The resident size now, KiB; 0 once it has ended.
    pub(crate) fn resident_kib(&self) -> u64 {
        status_kib(self.pid(), "VmRSS:")
    }

    /// The largest resident size so far, KiB; 0 once it has ended.
    pub(crate) fn peak_kib(&self) -> u64 {
        status_kib(self.pid(), "VmHWM:")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let stderr = self.stderr();
            let tail: Vec<&str> = stderr.lines().rev().take(20).collect();
            for line in tail.into_iter().rev() {
                eprintln!("[{}] {line}", self.name);
            }
        }
    }
}

/// A line of `/proc/PID/status`, in KiB.
fn status_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
