//! From the start to the first announce: four times as many pieces, or files, may cost four times as much, not sixteen times; and what a
//! record vouches for is not read. docs/performance.md has the milliseconds of a release build; these are counts of the kernel.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::Signal;
use support::bt_erl::{BtErl, Running};
use support::content::Content;
use support::loopback;
use support::torrent::Torrent;

const LIMIT: Duration = Duration::from_secs(60);
/// What a start costs whatever the torrent is, generously: the program's libraries, `/proc`, certificates.
const BESIDE_BYTES: u64 = 256 << 10;
/// Growth of the work when there is four times as much to do. Linear is 4 and less, because some of it is always the same.
const MOST_GROWTH: f64 = 6.0;

/// What a process had spent when it first announced.
#[derive(Debug, Clone, Copy)]
struct Spent {
    /// Nanoseconds of processor time.
    cpu: u64,
    /// Bytes read, of files and others.
    read: u64,
}

impl Spent {
    fn so_far(running: &Running) -> Spent {
        let process = format!("/proc/{}", running.guard.pid());
        let io = std::fs::read_to_string(format!("{process}/io")).unwrap();
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap();
        let threads = std::fs::read_dir(format!("{process}/task")).unwrap().map(|thread| thread.unwrap().path());
        // A thread that has just ended has no file.
        let cpu = threads.filter_map(|thread| std::fs::read_to_string(thread.join("schedstat")).ok());
        let cpu = cpu.map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        Spent { cpu, read }
    }
}

/// A tracker that knows nobody. Its address, and a word for each announce of a start.
fn tracker() -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (starts, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut lines = BufReader::new(connection.unwrap());
            let mut request = String::new();
            lines.read_line(&mut request).unwrap();
            if request.contains("event=started") && starts.send(()).is_err() {
                return;
            }
            let body = "d8:intervali1800e5:peers0:e";
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            lines.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, heard)
}

/// A torrent whose content is complete in a folder.
struct Rig {
    folder: tempfile::TempDir,
    starts: Receiver<()>,
    content: Content,
    torrent: Torrent,
}

impl Rig {
    fn new(files: u64, pieces: u64, piece_bytes: u64) -> Rig {
        let (folder, (tracker, starts)) = (tempfile::tempdir().unwrap(), tracker());
        let names: Vec<String> = (0..files).map(|number| format!("{}/{number}", number % 40)).collect();
        let length = pieces * piece_bytes / files;
        let names: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), length)).collect();
        let content = Content::tree("all", &names, 3);
        let url = format!("http://{tracker}/announce");
        let torrent = Torrent::of(&content, piece_bytes, Some(&url));
        std::fs::write(folder.path().join("t.torrent"), &torrent.bytes).unwrap();
        content.write_below(&folder.path().join("whole"));
        Rig { folder, starts, content, torrent }
    }

    /// Starts in the folder `dir` and says what was spent when the tracker heard of it.
    fn start(&self, dir: &str) -> Spent {
        let folder = self.folder.path();
        let torrent = BtErl::run(folder, &folder.join("t.torrent"), &folder.join(dir));
        let running = torrent.args(["--seed"]).start();
        self.starts.recv_timeout(LIMIT).unwrap();
        let spent = Spent::so_far(&running);
        running.signal(Signal::TERM);
        running.end(LIMIT).expect_code(143);
        spent
    }

    /// The first run hashes everything and leaves a record, the second believes it.
    fn with_a_record(&self) -> Spent {
        let first = self.start("whole");
        assert!(first.read > self.content.total(), "{first:?}: nothing was hashed");
        self.start("whole")
    }

    /// Nothing but the torrent file and the record is read.
    fn reads_little(&self, spent: Spent) {
        assert!(spent.read < 2 * self.torrent.bytes.len() as u64 + BESIDE_BYTES, "{spent:?}");
    }
}

fn growth(of: &str, small: Spent, large: Spent) {
    let growth = large.cpu as f64 / small.cpu as f64;
    println!("{of}: {growth:.1} times the processor time, {small:?}, {large:?}");
    assert!(
        growth < MOST_GROWTH,
        "{of}: {growth:.1} times the processor time for four times as much: {small:?}, {large:?}"
    );
}

#[test]
fn a_start_is_linear_in_pieces_and_reads_no_content_that_a_record_vouches_for() {
    let [small, large] = [50_000, 200_000].map(|pieces| Rig::new(1, pieces, 256));
    let known = [&small, &large].map(|rig| {
        let spent = rig.with_a_record();
        rig.reads_little(spent);
        spent
    });
    growth("pieces that are there", known[0], known[1]);
    growth("pieces that are missing", small.start("empty"), large.start("empty"));
}

#[test]
fn a_start_is_linear_in_files() {
    let [small, large] = [1_000, 4_000].map(|files| Rig::new(files, files, 4096));
    let known = [&small, &large].map(Rig::with_a_record);
    growth("files that are there", known[0], known[1]);
    growth("files that are missing", small.start("empty"), large.start("empty"));
}
