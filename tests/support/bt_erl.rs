//! The program under test, by its command line and its `--json` lines.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::child::{Guard, Line};

/// From closing stdout, or from SIGKILL, to the exit status.
const LEAVE: Duration = Duration::from_secs(30);

/// A command line of `bt-erl`, with a home of its own.
pub(crate) struct BtErl {
    args: Vec<OsString>,
    home: OsString,
    data_kib: Option<u64>,
    open_files: Option<u32>,
    user: Option<(u32, PathBuf)>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// It did not end in time and was killed.
    pub(crate) overdue: bool,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl BtErl {
    /// `bt-erl ARGS`; `home` takes whatever it would leave in a home folder.
    pub(crate) fn new<A: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = A>) -> BtErl {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        BtErl { args, home: home.into(), data_kib: None, open_files: None, user: None }
    }

    /// `bt-erl run TORRENT -d DIR --json -p 0`.
    pub(crate) fn run(home: &Path, torrent: &Path, dir: &Path) -> BtErl {
        let flags = ["--json", "-p", "0"].map(OsStr::new);
        BtErl::new(home, ["run".as_ref(), torrent.as_os_str(), "-d".as_ref(), dir.as_os_str()]).args(flags)
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> BtErl {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Calls `peers` directly and no tracker.
    pub(crate) fn peers(self, peers: impl IntoIterator<Item = std::net::SocketAddr>) -> BtErl {
        let args: Vec<String> = peers.into_iter().flat_map(|peer| ["-a".into(), peer.to_string()]).collect();
        self.args(["--no-tracker"]).args(args)
    }

    /// The kernel refuses more than `kib` of private writable memory (RLIMIT_DATA).
    pub(crate) fn data_limit(mut self, kib: u64) -> BtErl {
        self.data_kib = Some(kib);
        self
    }

    /// At most `files` open file descriptors.
    pub(crate) fn open_files(mut self, files: u32) -> BtErl {
        self.open_files = Some(files);
        self
    }

    /// As the user with this number, whom only root can become; a copy of the program is put into `folder`, where that user can reach it.
    pub(crate) fn run_as(mut self, user: u32, folder: &Path) -> BtErl {
        self.user = Some((user, folder.join("bt-erl")));
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_bt-erl"));
        if let Some((_, copy)) = &self.user {
            std::fs::copy(&program, copy).expect("a copy of the program");
            program.clone_from(copy);
        }
        let mut limits = String::new();
        if let Some(kib) = self.data_kib {
            limits += &format!("ulimit -d {kib} && ");
        }
        if let Some(files) = self.open_files {
            limits += &format!("ulimit -n {files} && ");
        }
        let mut command = if limits.is_empty() {
            Command::new(&program)
        } else {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{limits}exec \"$@\""), "sh"]).arg(&program);
            shell
        };
        if let Some((user, _)) = &self.user {
            use std::os::unix::process::CommandExt;
            command.uid(*user).gid(*user);
        }
        command.args(&self.args).env("HOME", &self.home).env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        for variable in [
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "XDG_STATE_HOME",
            "http_proxy",
            "HTTP_PROXY",
            "ALL_PROXY",
        ] {
            command.env_remove(variable);
        }
        Running { began: Instant::now(), guard: Guard::spawn(command), stdout: Vec::new(), peak_kib: 0 }
    }

    /// Runs it to its end, or kills it after `limit`.
    pub(crate) fn output(self, limit: Duration) -> Ended {
        self.start().end(limit)
    }
}

/// A running `bt-erl`. Dropping it kills it.
pub(crate) struct Running {
    pub(crate) guard: Guard,
    began: Instant,
    /// Lines seen so far.
    stdout: Vec<String>,
    /// The largest resident size seen so far.
    pub(crate) peak_kib: u64,
}

impl Running {
    /// The next JSON event; `None` when stdout is closed. Panics at the deadline.
    pub(crate) fn event(&mut self, deadline: Instant) -> Option<Value> {
        match self.guard.line(deadline) {
            Line::Text(text) => {
                self.peak_kib = self.peak_kib.max(self.guard.peak_kib());
                let event = serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"));
                self.stdout.push(text);
                Some(event)
            }
            Line::End => None,
            Line::Silence => {
                panic!(
                    "no end after {:?}; the last events:\n{}\nstderr: {}",
                    self.began.elapsed(),
                    self.tail(),
                    self.guard.stderr()
                )
            }
        }
    }

    /// The next event of this kind; panics when stdout ends before it comes.
    pub(crate) fn until_event(&mut self, kind: &str, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        while let Some(event) = self.event(deadline) {
            if event["event"] == kind {
                return event;
            }
        }
        panic!("ended before an event {kind:?}:\n{}\nstderr: {}", self.tail(), self.guard.stderr())
    }

    /// Reads to the end and waits for the exit; kills it when `limit` (from the start) has passed.
    pub(crate) fn end(mut self, limit: Duration) -> Ended {
        let deadline = self.began + limit;
        loop {
            match self.guard.line(deadline) {
                Line::Text(text) => self.stdout.push(text),
                Line::End => return self.ended(),
                Line::Silence => return Ended { overdue: true, ..self.kill_9() },
            }
        }
    }

    /// SIGKILL, then everything that it had written before.
    pub(crate) fn kill_9(mut self) -> Ended {
        self.guard.kill();
        while let Line::Text(text) = self.guard.line(Instant::now() + LEAVE) {
            self.stdout.push(text);
        }
        self.ended()
    }

    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.guard.pid() as i32).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("send a signal to a child");
    }

    /// stdout is closed: the exit follows.
    fn ended(mut self) -> Ended {
        let status = self
            .guard
            .wait(LEAVE)
            .unwrap_or_else(|| panic!("stdout is closed but it does not end: {}", self.guard.stderr()));
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), self.guard.stderr());
        Ended {
            code: status.code(),
            signal: status.signal(),
            overdue: false,
            stdout,
            stderr,
            took: self.began.elapsed(),
        }
    }

    fn tail(&self) -> String {
        self.stdout[self.stdout.len().saturating_sub(15)..].join("\n")
    }
}

impl Ended {
    /// The JSON events of the whole run.
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        self.stdout.iter().map(parse).collect()
    }

    /// The whole of stdout as one JSON value.
    pub(crate) fn json(&self) -> Value {
        let text = self.stdout.join("\n");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
    }

    /// What has been said about the peer at `address`.
    pub(crate) fn about(&self, address: std::net::SocketAddr) -> Vec<Value> {
        let address = address.to_string();
        self.events().into_iter().filter(|event| event["event"] == "peer" && event["address"] == address).collect()
    }

    /// The last event of this kind.
    pub(crate) fn last(&self, kind: &str) -> Value {
        let mut events = self.events();
        let at = events.iter().rposition(|event| event["event"] == kind);
        events.swap_remove(at.unwrap_or_else(|| panic!("no event {kind:?}: {:?}", self.stdout)))
    }

    /// The pieces that were reported as finished.
    pub(crate) fn finished(&self) -> BTreeSet<u32> {
        self.events().iter().filter_map(finished_piece).collect()
    }

    /// Panics unless it ended with `code`.
    pub(crate) fn expect_code(&self, code: i32) {
        let tail = self.stdout[self.stdout.len().saturating_sub(15)..].join("\n");
        let how = if self.overdue { "did not end in time" } else { "ended otherwise" };
        assert_eq!(
            self.code,
            Some(code),
            "exit code: {how} (signal {:?})\nstdout: {tail}\nstderr: {}",
            self.signal,
            self.stderr
        );
    }
}

/// The piece that a `finished` event names.
pub(crate) fn finished_piece(event: &Value) -> Option<u32> {
    if event["event"] != "finished" {
        return None;
    }
    let piece = event["piece"].as_u64().unwrap_or_else(|| panic!("a finished event without a piece: {event}"));
    Some(u32::try_from(piece).expect("a piece index"))
}
