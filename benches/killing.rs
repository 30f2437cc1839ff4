//! How fast a download is while processes are killed, beside the same download undisturbed: `cargo bench --bench killing`.
//!
//! Seeds run in OS processes of their own; the download runs here, where a monkey kills one process every 100 ms, by panic or by kill,
//! chosen with a seed. Rounds are rotated. Set in the environment:
//! `KILLING_MIB` size of the content (2048), `KILLING_ROUNDS` (5), `KILLING_SEEDS` seeds (4), `KILLING_KINDS` who is killed
//! (`anyone,peer,store`; all kinds), `KILLING_EVERY` milliseconds between kills (100), `BTLAB` a seed that costs less than our own, called as
//! `btlab seed TORRENT FOLDER --port P --ports N`. Without `--bench`, as under `cargo test`, it shows with little content that it works.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the measurement")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_erl::protocol::Draft;
use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, HashProgress, Metainfo, Session, State, TorrentOptions, create};
use supervisors::EventKind;
use supervisors::faults::{self, Action, Monkey, Way};

/// Who may be killed: a name for people, and the paths.
const KINDS: [(&str, &str); 15] = [
    ("nobody", ""),
    ("anyone", "**"),
    ("peer", "**/peer *"),
    ("piece_worker", "**/piece_worker *"),
    ("file_worker", "**/file_worker *"),
    ("tracker", "**/trackers_sup/**"),
    ("client", "**/client"),
    ("store", "**/store"),
    ("listener", "**/listener"),
    ("peers_sup", "**/peers_sup"),
    ("trackers_sup", "**/trackers_sup"),
    ("torrent_sup", "**/torrent_sup *"),
    ("torrents_sup", "**/torrents_sup"),
    ("magnets_sup", "**/magnets_sup"),
    ("storage_sup", "**/storage_sup"),
];
/// Longest time that a round may take.
const LIMIT: Duration = Duration::from_secs(120);
const NAME: &str = "killing.bin";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} has to be a number")))
}

/// Ended when dropped.
struct Seeds(Vec<Child>);

impl Drop for Seeds {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().expect("it runs");
            child.wait().expect("it was ours");
        }
    }
}

/// The content, its torrent, and those who have it.
struct Swarm {
    metainfo: Metainfo,
    source: PathBuf,
    addresses: Vec<SocketAddr>,
    _seeds: Seeds,
}

impl Swarm {
    fn start(folder: &Path, mib: u64, seeds: u64) -> Swarm {
        let source = folder.join("source");
        std::fs::create_dir(&source).unwrap();
        let mut file = File::create(source.join(NAME)).unwrap();
        let (mut dice, mut bytes) = (fastrand::Rng::with_seed(1), vec![0; 1 << 20]);
        for _ in 0..mib {
            dice.fill(&mut bytes);
            file.write_all(&bytes).unwrap();
        }
        // Nothing listens on port 1: the tracker process lives on back-offs.
        let trackers = vec![vec!["http://127.0.0.1:1/announce".to_owned()]];
        let draft = Draft { piece_bytes: 1 << 20, trackers, ..Draft::default() };
        let made = block_on(create(&source.join(NAME), draft, Arc::new(HashProgress::default()))).unwrap();
        let torrent = folder.join("killing.torrent");
        std::fs::write(&torrent, &made).unwrap();
        let ports = free_ports(seeds);
        let children = match std::env::var_os("BTLAB") {
            Some(btlab) => {
                let mut command = Command::new(btlab);
                command.arg("seed").arg(&torrent).arg(&source);
                vec![command.args(["--port", &ports[0].to_string(), "--ports", &seeds.to_string()]).spawn().unwrap()]
            }
            None => ports.iter().map(|port| seed(&torrent, &source, *port)).collect(),
        };
        let seeds = Seeds(children);
        let addresses: Vec<SocketAddr> = ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
        addresses.iter().for_each(|address| until(|| TcpStream::connect(address).is_ok()));
        Swarm { metainfo: Metainfo::parse(&made).unwrap(), source, addresses, _seeds: seeds }
    }

    fn is_whole(&self, folder: &Path) -> bool {
        let [mut source, mut copy] =
            [self.source.as_path(), folder].map(|folder| File::open(folder.join(NAME)).unwrap());
        let (mut right, mut found) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        loop {
            match source.read(&mut right).unwrap() {
                0 => return copy.read(&mut found).unwrap() == 0,
                n if copy.read_exact(&mut found[..n]).is_err() || right[..n] != found[..n] => return false,
                _ => {}
            }
        }
    }
}

/// A seed of our own, whose check is over.
fn seed(torrent: &Path, source: &Path, port: u16) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bt-erl"));
    command.arg("run").arg(torrent).arg("--dir").arg(source).args(["--port", &port.to_string()]);
    command.args(["--seed", "--no-tracker", "--no-resume", "--json"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("\"complete\"")), "the seed has everything");
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Free ports that follow each other.
fn free_ports(count: u64) -> Vec<u16> {
    let count = u16::try_from(count).expect("a few");
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let first = (21_000..31_000).step_by(64).find(|first| (*first..first + count).all(|port| free(&port)));
    first.map(|first| (first..first + count).collect()).expect("free ports")
}

fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "waited for {LIMIT:?} in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What one round gave.
struct Round {
    seconds: f64,
    kills: usize,
    /// Processes that were started again, by role.
    again: BTreeMap<String, u64>,
    /// Bytes received beyond the content, MiB.
    twice: f64,
    /// Pieces hashed beyond those that there are.
    hashed_twice: u64,
}

fn round(swarm: &Swarm, folder: &Path, paths: &str, dice: u64) -> Round {
    let (out, every) = (folder.join("out"), Duration::from_millis(number("KILLING_EVERY", 100)));
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), ..Config::default() };
    let session = block_on(Session::start(config)).unwrap();
    until(|| session.pid().is_some());
    let root = session.pid().unwrap();
    let events = supervisors::subscribe(root);
    let hashed = faults::arm("piece_worker.hash", "off").unwrap();
    let monkey = Monkey::new().seed(dice).under(paths).supervisors().way(Way::Panic, 1).way(Way::Kill, 1);
    let options = TorrentOptions { peers: swarm.addresses.clone(), ..TorrentOptions::new(&out) };
    let began = Instant::now();
    let torrent = block_on(session.add(swarm.metainfo.clone(), options)).unwrap();
    let (mut due, mut again) = (began + every, BTreeMap::new());
    until(|| {
        if Instant::now() >= due {
            due += every;
            if let Some(Action::Monkey { path, .. }) = monkey.step(root) {
                log(began, &path);
            }
        }
        while let Some(event) = events.try_recv() {
            if let EventKind::Restarting { .. } | EventKind::Parked { .. } = event.kind {
                *again.entry(event.role.to_string()).or_default() += 1;
            }
        }
        torrent.progress().state == State::Complete
    });
    let seconds = began.elapsed().as_secs_f64();
    let progress = torrent.progress();
    block_on(session.stop());
    assert!(swarm.is_whole(&out), "the content is not what was sent");
    std::fs::remove_dir_all(&out).unwrap();
    let twice = progress.downloaded.saturating_sub(progress.bytes_total) as f64 / f64::from(1 << 20);
    let hashed_twice = hashed.points()[0].hits.saturating_sub(progress.pieces.into());
    Round { seconds, kills: monkey.log().actions.len(), again, twice, hashed_twice }
}

/// Every kill, for who asks why a round was slow.
fn log(began: Instant, path: &str) {
    if std::env::var_os("KILLING_LOG").is_some() {
        println!("  {:6.3} s {path}", began.elapsed().as_secs_f64());
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let mib = number("KILLING_MIB", if measures { 2048 } else { 64 });
    let rounds = number("KILLING_ROUNDS", if measures { 5 } else { 1 });
    let asked = std::env::var("KILLING_KINDS").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|name| !name.is_empty()).collect();
    let chosen = |name: &str| name == "nobody" || asked.is_empty() || asked.contains(&name);
    let kinds: Vec<_> = KINDS.into_iter().filter(|(name, _)| chosen(name)).collect();
    let folder = tempfile::tempdir().unwrap();
    let swarm = Swarm::start(folder.path(), mib, number("KILLING_SEEDS", 4));
    round(&swarm, folder.path(), "", 0); // the first one pays for memory that nobody has touched
    let mut results: BTreeMap<&str, Vec<Round>> = BTreeMap::new();
    for n in 0..rounds as usize {
        for at in 0..kinds.len() {
            let (name, paths) = kinds[(at + n) % kinds.len()];
            let result = round(&swarm, folder.path(), paths, n as u64 + 1);
            println!("{name:13} {:6.2} s {:4} kills", result.seconds, result.kills);
            results.entry(name).or_default().push(result);
        }
    }
    let of = |name: &str, what: fn(&Round) -> f64| median(results[name].iter().map(what).collect());
    let undisturbed = of("nobody", |round| round.seconds);
    println!("\n{mib} MiB, {rounds} rounds, medians; restarts over all rounds");
    println!("| killed | wall | speed, of undisturbed | kills | received twice | hashed twice | restarted |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, _) in kinds {
        let (seconds, kills, twice) = (of(name, |r| r.seconds), of(name, |r| r.kills as f64), of(name, |r| r.twice));
        let hashed = of(name, |r| r.hashed_twice as f64);
        let mut again: BTreeMap<&str, u64> = BTreeMap::new();
        for (role, times) in results[name].iter().flat_map(|round| &round.again) {
            *again.entry(role).or_default() += times;
        }
        let again: Vec<String> = again.iter().map(|(role, times)| format!("{times} {role}")).collect();
        let (percent, again) = (100.0 * undisturbed / seconds, again.join(", "));
        println!("| {name} | {seconds:.2} s | {percent:.0} % | {kills} | {twice:.1} MiB | {hashed} pieces | {again} |");
    }
}
