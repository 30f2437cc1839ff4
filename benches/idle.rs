//! What a session costs that has nothing to do: processor, memory, wake-ups, and how fast it starts and ends.
//!
//! `cargo bench --bench idle -- [--torrents 1000] [--leeching 100] [--connections 10000] [--rest 15] [--seconds 120]`. The session runs in this OS process;
//! the other sides of its connections and its tracker in another one, so that their cost is not counted. Everything is on loopback.
//! The window is 120 s long because everybody says something at least every two minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

#[path = "idle/crowd.rs"]
#[allow(dead_code, reason = "the test uses the rest")]
mod crowd;
#[path = "idle/meter.rs"]
mod meter;
#[path = "idle/zeros.rs"]
mod zeros;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bt_erl::rt::{files, spawn::block_on};
use bt_erl::{BindTo, Config, Metainfo, Outcome, Session, Torrent, TorrentOptions};

use crate::crowd::Crowd;
use crate::meter::Meter;

/// What is measured.
struct Shape {
    torrents: usize,
    leeching: usize,
    connections: usize,
    /// Before the window, so that what follows a connection is over; and the window.
    rest: u64,
    seconds: u64,
}

impl Shape {
    /// From the command line. Without `--bench`, which `cargo bench` adds, all of it is small: then it is only seen to run.
    fn of(args: &[String]) -> Self {
        let small = !args.iter().any(|arg| arg == "--bench");
        let number = |name: &str, default: u64, tiny: u64| {
            let given = args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
            given.map_or(if small { tiny } else { default }, |text| text.parse().expect("a number behind an option"))
        };
        Self {
            torrents: number("--torrents", 1000, 10) as usize,
            leeching: number("--leeching", 100, 1) as usize,
            connections: number("--connections", 10_000, 100) as usize,
            rest: number("--rest", 15, 1),
            seconds: number("--seconds", 120, 1),
        }
    }
}

fn main() {
    files::raise_open_file_limit();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--crowd") => crowd(),
        _ => measure(&Shape::of(&args)),
    }
}

/// The other OS process: says where its tracker is, reads where and whom to call, says when all have shaken hands, and ends with its input.
fn crowd() {
    println!("{}", crowd::tracker().port());
    let mut lines = std::io::stdin().lines().map(|line| line.unwrap());
    let Some(to) = lines.next() else { return };
    let whom: Vec<[u8; 20]> = lines.by_ref().take_while(|line| !line.is_empty()).map(|line| unhex(&line)).collect();
    let crowd = Crowd::connect(to.parse().unwrap(), &whom);
    println!("{}", crowd.len());
    std::thread::spawn(move || crowd.keep_alive());
    lines.for_each(drop);
}

/// That process, as the session's side sees it. It ends when this is dropped.
struct Others {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Others {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.arg("--crowd").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    fn hear(&mut self) -> u64 {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().parse().expect("a number from the other process")
    }

    /// Returns when all of `connections` have shaken hands, spread over `torrents`.
    fn connect(&mut self, port: u16, torrents: &[Torrent], connections: usize) {
        let mut text = format!("{port}\n");
        for torrent in torrents.iter().cycle().take(connections) {
            text += &format!("{}\n", torrent.info_hash());
        }
        self.child.stdin.as_mut().unwrap().write_all((text + "\n").as_bytes()).unwrap();
        assert_eq!(self.hear(), connections as u64);
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn unhex(text: &str) -> [u8; 20] {
    std::array::from_fn(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap())
}

fn measure(shape: &Shape) {
    let mut others = Others::start();
    let tracker = format!("http://127.0.0.1:{}/announce", others.hear());
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let metainfo = |number| zeros::torrent(dir.path(), number, &tracker, number >= shape.leeching);
    let all: Vec<Metainfo> = (0..shape.torrents).map(metainfo).collect();

    let bare = Meter::read();
    let config = Config {
        bind: BindTo::Loopback,
        ports: Some(0..=0),
        // A quarter of them is kept for peers of its own choice.
        max_peers: shape.connections * 3 / 2 + 100,
        state_dir: Some(state.path().to_owned()),
        ..Config::default()
    };
    let session = block_on(Session::start(config)).unwrap();
    let options = TorrentOptions { max_peers: usize::MAX, ..TorrentOptions::new(dir.path()) };
    let began = Instant::now();
    let torrents: Vec<Torrent> =
        all.into_iter().map(|one| block_on(session.add(one, options.clone())).unwrap()).collect();
    let added = began.elapsed();
    torrents[shape.leeching..].iter().for_each(|torrent| assert_eq!(block_on(torrent.wait()), Outcome::Complete));
    let checked = began.elapsed();
    report(&format!("{} torrents, {} of them incomplete", shape.torrents, shape.leeching), &Meter::read(), &bare);
    println!("added in {added:.2?}, checked after {checked:.2?}, {}", since(&bare));

    let (before, began) = (Meter::read(), Instant::now());
    if shape.connections > 0 {
        others.connect(session.local_port().unwrap(), &torrents, shape.connections);
        println!("{} connections in {:.2?}, {}", shape.connections, began.elapsed(), since(&before));
    }
    std::thread::sleep(Duration::from_secs(shape.rest));
    let connected = || torrents.iter().map(|torrent| torrent.progress().peers_connected as usize).sum::<usize>();
    assert_eq!(connected(), shape.connections, "some connections are over");
    report("connections", &Meter::read(), &before);

    let (polls, from) = (polls(&session), Meter::read());
    std::thread::sleep(Duration::from_secs(shape.seconds));
    let to = Meter::read();
    assert_eq!(connected(), shape.connections, "some connections are over");
    let seconds = shape.seconds as f64;
    println!(
        "idle for {seconds} s: {:.2} % of a core ({:.2} user, {:.2} system), {:.0} context switches/s, {} threads, resident {:.1} MiB",
        (to.user + to.system - from.user - from.system) / seconds,
        (to.user - from.user) / seconds,
        (to.system - from.system) / seconds,
        (to.switches - from.switches) as f64 / seconds,
        to.threads,
        to.resident as f64 / 1048576.0,
    );
    for (role, after) in self::polls(&session) {
        let grown = after - polls.get(&role).copied().unwrap_or(0);
        if grown > 0 {
            println!("  polls of {role}: {:.1}/s", grown as f64 / seconds);
        }
    }
    let (before, began) = (Meter::read(), Instant::now());
    drop(others);
    while connected() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("all connections over after {:.2?}, {}", began.elapsed(), since(&before));
    let began = Instant::now();
    block_on(session.stop());
    println!("stopped in {:.2?}", began.elapsed());
}

fn since(before: &Meter) -> String {
    let now = Meter::read();
    format!("processor {:.2} s", (now.user + now.system - before.user - before.system) / 100.0)
}

fn report(what: &str, now: &Meter, before: &Meter) {
    let (now, before) = (now.resident as f64 / 1048576.0, before.resident as f64 / 1048576.0);
    println!("{what}: resident {now:.1} MiB ({:+.1})", now - before);
}

/// How often processes were polled, by their role.
fn polls(session: &Session) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for node in session.snapshot().unwrap().nodes() {
        *all.entry(node.role.clone()).or_default() += node.polls;
    }
    all
}
