//! Foreign clients and tools, each reduced to what a test asks of it: make a torrent, track it, seed it, download it.
//!
//! All of them are kept to the loopback interface: no DHT, no local discovery, no port mapping, no uTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::child::Guard;
use super::{free_port, loopback, until};

/// How long a foreign client may take to come up, or to check its files.
const PATIENCE: Duration = Duration::from_secs(120);

/// A foreign program that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    Mktorrent,
    Opentracker,
    Libtorrent,
    Aria2,
    Transmission,
}

impl Foreign {
    /// Its Debian package.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Foreign::Mktorrent => "mktorrent",
            Foreign::Opentracker => "opentracker",
            Foreign::Libtorrent => "python3-libtorrent",
            Foreign::Aria2 => "aria2",
            Foreign::Transmission => "transmission-daemon",
        }
    }

    fn installed(self) -> bool {
        let on_path = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        };
        match self {
            Foreign::Mktorrent => on_path("mktorrent"),
            Foreign::Opentracker => on_path("opentracker"),
            Foreign::Aria2 => on_path("aria2c"),
            Foreign::Transmission => on_path("transmission-daemon"),
            Foreign::Libtorrent => python("import libtorrent").status().is_ok_and(|status| status.success()),
        }
    }
}

/// Are all of these installed? If not, says so loudly; with `BT_ERL_NO_SKIP=1` that is a failure.
/// A test that gets `false` returns at once and counts as skipped.
pub(crate) fn all_installed(test: &str, needed: &[Foreign]) -> bool {
    let missing: Vec<&str> =
        needed.iter().filter(|foreign| !foreign.installed()).map(|foreign| foreign.package()).collect();
    if missing.is_empty() {
        return true;
    }
    let words = format!(
        "SKIPPED: {test}: {} is not installed (Debian: apt-get install {})",
        missing.join(", "),
        missing.join(" ")
    );
    assert!(
        std::env::var_os("BT_ERL_NO_SKIP").is_none_or(|value| value != "1"),
        "{words}, and BT_ERL_NO_SKIP=1 forbids to skip"
    );
    // Past the test harness, which would keep it back: who reads the output has to see it.
    let _ = writeln!(std::io::stderr(), "\n{words}");
    false
}

/// Debian's Python, which has libtorrent; another one by `LT_PYTHON`.
fn python(script: &str) -> Command {
    let mut command = Command::new(std::env::var_os("LT_PYTHON").unwrap_or("/usr/bin/python3".into()));
    command.args(["-c", script]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

/// Makes a torrent of `source` with mktorrent. `piece_bits`: the piece length is 2^piece_bits bytes.
pub(crate) fn mktorrent(source: &Path, out: &Path, piece_bits: u32, announce: &str) {
    let mut command = Command::new("mktorrent");
    command.args(["-a", announce, "-l", &piece_bits.to_string(), "-o"]).arg(out).arg(source);
    run(command, "mktorrent");
}

/// Which versions a torrent made by libtorrent has.
#[derive(Clone, Copy)]
pub(crate) enum Version {
    One,
    /// Version 1 and 2 in one file, with pad files (BEP 47, BEP 52).
    Hybrid,
}

/// Makes a torrent of `source` with libtorrent.
pub(crate) fn libtorrent_make(source: &Path, out: &Path, piece_bytes: u64, announce: &str, version: Version) {
    const SCRIPT: &str = "
import libtorrent as lt, os, sys
source, out, piece, announce, v1 = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == '1'
files = lt.file_storage()
lt.add_files(files, source)
t = lt.create_torrent(files, piece, lt.create_torrent.v1_only if v1 else 0)
t.add_tracker(announce)
lt.set_piece_hashes(t, os.path.dirname(source))
open(out, 'wb').write(lt.bencode(t.generate()))
";
    let mut command = python(SCRIPT);
    command.arg(source).arg(out).arg(piece_bytes.to_string()).arg(announce);
    command.arg(if matches!(version, Version::One) { "1" } else { "2" });
    run(command, "libtorrent");
}

fn run(mut command: Command, name: &str) {
    let output = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).output();
    let output = output.unwrap_or_else(|e| panic!("start {name}: {e}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// opentracker on a loopback port. Debian builds it with a whitelist, so it is started with the info hashes that it will track.
pub(crate) struct Opentracker {
    _guard: Guard,
    port: u16,
}

impl Opentracker {
    /// Started as root, opentracker goes to live in `folder` as `nobody`; else it stays who it is. Both work.
    pub(crate) fn start(folder: &Path, port: u16, info_hash: &str) -> Opentracker {
        std::fs::create_dir_all(folder).expect("make the tracker's folder");
        let list = folder.join("whitelist");
        std::fs::write(&list, format!("{info_hash}\n")).expect("write the tracker's whitelist");
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("let the tracker into its folder");
        std::fs::set_permissions(&list, PermissionsExt::from_mode(0o644)).expect("let the tracker read its whitelist");
        let mut command = Command::new("opentracker");
        command
            .args(["-i", "127.0.0.1", "-p", &port.to_string(), "-w", "whitelist", "-d"])
            .arg(folder)
            .current_dir(folder);
        let guard = Guard::spawn(command);
        until("opentracker to listen", PATIENCE, || TcpStream::connect(loopback(port)).ok());
        Opentracker { _guard: guard, port }
    }

    /// The announce URL of a tracker on `port`.
    pub(crate) fn url(port: u16) -> String {
        format!("http://127.0.0.1:{port}/announce")
    }

    /// (complete, incomplete) of the only torrent it tracks.
    pub(crate) fn scrape(&self) -> (u64, u64) {
        let reply = http_get(self.port, "/scrape").unwrap_or_default();
        let number = |key: &[u8]| {
            let at = reply.windows(key.len()).position(|window| window == key)? + key.len();
            let digits: Vec<u8> = reply[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
            String::from_utf8(digits).ok()?.parse().ok()
        };
        (number(b"8:completei").unwrap_or(0), number(b"10:incompletei").unwrap_or(0))
    }

    /// Blocks until `seeds` seeds have announced themselves.
    pub(crate) fn until_seeds(&self, seeds: u64) {
        until("the seeds to announce themselves", PATIENCE, || (self.scrape().0 >= seeds).then_some(()));
    }
}

fn http_get(port: u16, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(loopback(port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// Starts `foreign` as a seed of what lies in `root`. `scratch` is a folder of its own. It is up once the tracker knows it.
pub(crate) fn seed(foreign: Foreign, torrent: &Path, root: &Path, scratch: &Path) -> Guard {
    std::fs::create_dir_all(scratch).expect("make a scratch folder");
    let port = free_port();
    match foreign {
        Foreign::Libtorrent => Guard::spawn(libtorrent(torrent, root, port, "seed")),
        Foreign::Aria2 => {
            let mut command = aria2(torrent, root, port);
            command.args(["--check-integrity=true", "--seed-ratio=0.0", "--seed-time=10000"]);
            Guard::spawn(command)
        }
        Foreign::Transmission => Guard::spawn(transmission(torrent, root, scratch, port)),
        Foreign::Mktorrent | Foreign::Opentracker => panic!("{foreign:?} cannot seed"),
    }
}

/// How a member of a swarm behaves.
#[derive(Clone, Copy, Default)]
pub(crate) struct Habits {
    /// Most bytes that it sends a second.
    pub(crate) upload_limit: Option<u64>,
    /// It leaves when it has sent so many times the content.
    pub(crate) leaves_at: Option<f64>,
}

/// Starts `foreign` on what lies in `folder`: it downloads what is missing, and serves what it has until it is ended or leaves.
/// It lives at an address of its own, because Transmission knows one peer an address.
pub(crate) fn member(foreign: Foreign, torrent: &Path, folder: &Path, scratch: &Path, habits: Habits) -> Guard {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let host = format!("127.0.1.{}", 1 + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 250);
    std::fs::create_dir_all(scratch).expect("make a scratch folder");
    std::fs::create_dir_all(folder).expect("make a folder for content");
    let port = free_port();
    let limit = habits.upload_limit.unwrap_or(0);
    match foreign {
        Foreign::Libtorrent => {
            let mut command = libtorrent(torrent, folder, port, "member");
            command.arg(host).arg(limit.to_string()).arg(habits.leaves_at.unwrap_or(0.0).to_string());
            Guard::spawn(command)
        }
        Foreign::Aria2 => {
            let mut command = aria2(torrent, folder, port);
            command.args(["--check-integrity=true", "--seed-time=10000", "--disk-cache=0", "--bt-tracker-interval=2"]);
            command.arg(format!("--interface={host}"));
            command.arg(format!("--seed-ratio={}", habits.leaves_at.unwrap_or(0.0)));
            command.arg(format!("--max-upload-limit={limit}"));
            Guard::spawn(command)
        }
        Foreign::Transmission => Guard::spawn(transmission_at(&host, torrent, folder, scratch, port, habits)),
        Foreign::Mktorrent | Foreign::Opentracker => panic!("{foreign:?} cannot be a member of a swarm"),
    }
}

/// Downloads with `foreign` into `out`, to its end.
pub(crate) fn download(foreign: Foreign, torrent: &Path, out: &Path) {
    let port = free_port();
    let mut guard = match foreign {
        Foreign::Libtorrent => Guard::spawn(libtorrent(torrent, out, port, "leech")),
        Foreign::Aria2 => {
            let mut command = aria2(torrent, out, port);
            command.args(["--seed-time=0", "--bt-tracker-interval=2"]);
            Guard::spawn(command)
        }
        Foreign::Transmission => panic!("Transmission does not call 127.0.0.1: it can only be a member that is called"),
        Foreign::Mktorrent | Foreign::Opentracker => panic!("{foreign:?} cannot download"),
    };
    let status =
        guard.wait(PATIENCE).unwrap_or_else(|| panic!("{foreign:?} does not finish its download: {}", guard.stderr()));
    assert!(status.success(), "{foreign:?}: {status}: {}", guard.stderr());
}

fn libtorrent(torrent: &Path, folder: &Path, port: u16, role: &str) -> Command {
    const SCRIPT: &str = "
import libtorrent as lt, sys, time
torrent, folder, port, role = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
host = sys.argv[5] if role == 'member' else '127.0.0.1'
session = lt.session({'listen_interfaces': '%s:%d' % (host, port), 'outgoing_interfaces': host, 'alert_mask': 0,
    'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
    'enable_outgoing_utp': False, 'enable_incoming_utp': False, 'allow_multiple_connections_per_ip': True})
params = lt.add_torrent_params()
params.ti, params.save_path = lt.torrent_info(torrent), folder
handle = session.add_torrent(params)
if role == 'member':
    session.apply_settings({'request_queue_time': 1})
    handle.set_upload_limit(int(sys.argv[6]) or -1)
    leaves_at = float(sys.argv[7]) * params.ti.total_size()
    while leaves_at == 0 or handle.status().total_payload_upload < leaves_at:
        time.sleep(0.05)
    role = 'leave'
while role == 'seed' or role == 'leech' and not handle.status().is_seeding:
    time.sleep(0.05)
handle.flush_cache()
session.pause()
time.sleep(0.1)
";
    let mut command = python(SCRIPT);
    command.arg(torrent).arg(folder).arg(port.to_string()).arg(role);
    command
}

fn aria2(torrent: &Path, folder: &Path, port: u16) -> Command {
    let mut command = Command::new("aria2c");
    command.args([
        "--no-conf=true",
        "--console-log-level=warn",
        "--summary-interval=0",
        "--enable-dht=false",
        "--enable-dht6=false",
    ]);
    command.args([
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--file-allocation=none",
        "--interface=127.0.0.1",
    ]);
    command.arg(format!("--listen-port={port}")).arg("-d").arg(folder).arg(torrent);
    command
}

fn transmission(torrent: &Path, folder: &Path, scratch: &Path, port: u16) -> Command {
    transmission_at("127.0.0.1", torrent, folder, scratch, port, Habits::default())
}

fn transmission_at(host: &str, torrent: &Path, folder: &Path, scratch: &Path, port: u16, habits: Habits) -> Command {
    let config: PathBuf = scratch.join("transmission");
    std::fs::create_dir_all(config.join("torrents")).expect("make Transmission's folder");
    std::fs::copy(torrent, config.join("torrents/test.torrent")).expect("give Transmission the torrent");
    let settings = serde_json::json!({
        "bind-address-ipv4": host, "bind-address-ipv6": "::1", "peer-port": port, "rpc-enabled": false,
        "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false, "port-forwarding-enabled": false,
        "download-dir": folder, "incomplete-dir-enabled": false, "rename-partial-files": false, "preallocation": 0,
        "ratio-limit-enabled": habits.leaves_at.is_some(), "ratio-limit": habits.leaves_at.unwrap_or(2.0),
        "speed-limit-up-enabled": habits.upload_limit.is_some(), "speed-limit-up": habits.upload_limit.unwrap_or(0) / 1000,
        "encryption": 0, "blocklist-enabled": false,
    });
    std::fs::write(config.join("settings.json"), settings.to_string()).expect("write Transmission's settings");
    let mut command = Command::new("transmission-daemon");
    command.args(["--foreground", "--log-error", "--config-dir"]).arg(config);
    command
}
