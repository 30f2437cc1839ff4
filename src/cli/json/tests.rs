//! The lines of `--json` against the page that documents them, and against readers that go away.

use std::collections::BTreeSet;
use std::io;

use super::*;

const WASTED: Wasted = Wasted { twice: 16384, late: 0, unrequested: 0, bad: 0 };

/// One of each. The `match` makes a new variant without a sample a compile error.
fn samples() -> Vec<Line> {
    let samples = vec![
        Line::Started {
            name: "debian.iso".into(),
            info_hash: "6f7d2e3c5b1a49880f0e1d2c3b4a5968778695a4".into(),
            pieces: 1500,
            bytes: 393216000,
            dir: "/srv/media".into(),
            port: Some(6881),
        },
        Line::Checked { finished: 120, pieces: 1500 },
        Line::Progress {
            state: State::Downloading,
            pieces: 1500,
            pieces_wanted: 1500,
            finished: 600,
            bytes: 393216000,
            bytes_wanted: 393216000,
            bytes_finished: 157286400,
            bytes_checked: 393216000,
            downloaded: 125829120,
            uploaded: 65536,
            downloaded_before: 0,
            uploaded_before: 0,
            ratio: 0.0,
            refetched: 16384,
            wasted: WASTED,
            rate: 41943040,
            upload_rate: 8192,
            eta_secs: Some(5),
            peers_connected: 4,
            peers_unchoked: 2,
            peers_known: 12,
            restarts: 1,
            reason: None,
        },
        Line::Peers {
            peers: vec![PeerStats {
                address: "192.0.2.7:6881".parse().unwrap(),
                client: "Transmission 3.00".into(),
                peer_id: "-TR3000-k8hj0wgej6ch".into(),
                outgoing: true,
                connected_secs: 12.5,
                pieces: 1500,
                downloaded: 125829120,
                uploaded: 65536,
                wasted: WASTED,
                download_rate: 41943040,
                upload_rate: 8192,
                am_choked: false,
                am_interested: true,
                peer_choked: false,
                peer_interested: true,
                snubbed: false,
                requests_out: 48,
                requests_in: 2,
            }],
        },
        Line::Finished { piece: 17 },
        Line::Peer {
            address: "192.0.2.7:6881".parse().unwrap(),
            change: PeerChange::Disconnected { reason: "connection reset".into() },
        },
        Line::Tracker {
            url: "http://tracker.example/announce".into(),
            outcome: TrackerOutcome::Announced { peers: 12, interval_secs: 1800, warning: None },
        },
        Line::Restart {
            path: "bt_erl_sup/torrents_sup/6f7d2e3c/peers_sup/peer 192.0.2.7:6881".into(),
            reason: "connection reset".into(),
        },
        Line::Disk {
            state: DiskChange::Refuses,
            message: "cannot write /srv/media/debian.iso: no space left; free some space or choose another folder"
                .into(),
        },
        Line::Complete {
            bytes: 393216000,
            downloaded: 361758720,
            secs: 9.42,
            rate: 38403261,
            peers: 4,
            restarts: 1,
            refetched: 16384,
            wasted: WASTED,
            uploaded: 65536,
        },
        Line::Seeded { uploaded: 589824000, secs: 3600.0, ratio: 1.5, peers: 7 },
        Line::Stopped { exit: 130, bytes_finished: 157286400 },
        Line::Error { exit: 69, message: "nothing arrived for 30 s".into() },
    ];
    for sample in &samples {
        match sample {
            Line::Started { .. }
            | Line::Checked { .. }
            | Line::Progress { .. }
            | Line::Peers { .. }
            | Line::Finished { .. }
            | Line::Peer { .. }
            | Line::Tracker { .. }
            | Line::Restart { .. }
            | Line::Disk { .. }
            | Line::Complete { .. }
            | Line::Seeded { .. }
            | Line::Stopped { .. }
            | Line::Error { .. } => {}
        }
    }
    samples
}

/// The example lines of the page, one per event.
fn documented() -> Vec<&'static str> {
    include_str!("../../../docs/cli.md").lines().filter(|line| line.starts_with("{\"event\":")).collect()
}

#[test]
fn the_documented_examples_are_what_the_program_prints() {
    let printed: BTreeSet<String> = samples().iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    let documented: BTreeSet<String> = documented().into_iter().map(str::to_owned).collect();
    assert_eq!(documented, printed);
}

#[test]
fn every_event_has_exactly_one_example() {
    let name = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["event"].as_str().unwrap().to_owned()
    };
    let mut documented: Vec<String> = documented().into_iter().map(name).collect();
    let mut printed: Vec<String> = samples().iter().map(|line| name(&serde_json::to_string(line).unwrap())).collect();
    documented.sort();
    printed.sort();
    assert_eq!(documented, printed);
}

#[test]
fn a_line_is_one_line_whatever_a_remote_party_wrote() {
    let mut out = Vec::new();
    JsonLines::new(&mut out).write(&Line::Disk { state: DiskChange::Works, message: "a\nb\u{1b}[31m".into() });
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert!(!out.contains(&0x1b));
}

/// A pipe whose reader reads `lines` lines and goes away.
struct Pipe {
    lines: usize,
    flushed: usize,
    written: usize,
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.flushed == self.lines {
            self.written += 1;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed += 1;
        Ok(())
    }
}

#[test]
fn every_line_is_flushed_and_a_reader_that_goes_away_is_left_alone() {
    let mut pipe = Pipe { lines: 2, flushed: 0, written: 0 };
    let mut lines = JsonLines::new(&mut pipe);
    for piece in 0..5 {
        lines.write(&Line::Finished { piece });
    }
    assert_eq!(pipe.flushed, 2);
    assert_eq!(pipe.written, 1, "a broken pipe was written to again");
}
