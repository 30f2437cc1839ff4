//! The table of peers that SIGUSR1 asks for: who gives, who takes, and what stands in the way.
//!
//! Pure: figures and a width in, lines out.

use bt_erl::PeerStats;

use crate::cli::progress::count;
use crate::cli::size::{ByteSize, rate};
use crate::cli::terminal::{Paint, clean, columns, shorten};

const LEGEND: &str = "C it chokes us, c we choke it, W we want, w it wants, S snubbed";

/// Columns of an IPv4 address with its port.
const ADDRESS: usize = 21;
/// Two rates, the letters, the pipeline and the gaps between them.
const RATES: usize = 2 * 11 + 5 + 4 + 6;
/// Bytes each way, and those in vain: only where there is room.
const BYTES: usize = 3 * 10;
/// Less than this says nothing about a program.
const CLIENT: usize = 12;

/// A line per peer, between a heading and a legend; none is wider than `width`, unless that is less than 71.
pub(super) fn table(peers: &[PeerStats], width: usize, paint: Paint) -> Vec<String> {
    let wide = width >= ADDRESS + RATES + BYTES + 2 * CLIENT;
    let address = peers.iter().map(|peer| peer.address.to_string().len()).max().unwrap_or(0).max(ADDRESS);
    // An IPv6 address may be 47 columns long: it is shortened only where it has to be.
    let rest = width.saturating_sub(RATES + if wide { BYTES } else { 0 });
    let address = address.min(rest.saturating_sub(CLIENT)).max(ADDRESS);
    let client = rest.saturating_sub(address + 1).clamp(CLIENT, 30);
    let line = |cells: [String; 9]| {
        let [at, program, down, up, letters, out, got, gave, wasted] = cells;
        let bytes = if wide { format!("{got:>10}{gave:>10}{wasted:>10}") } else { String::new() };
        let (at, program) = (pad(&at, address), pad(&program, client));
        format!("{at} {program} {down:>11} {up:>11} {letters:<5} {out:>4}{bytes}")
    };
    let heading = ["peer", "client", "↓", "↑", "state", "out", "got", "gave", "wasted"];
    let mut lines = vec![paint.bold(line(heading.map(str::to_owned)))];
    lines.extend(peers.iter().map(|peer| {
        line([
            peer.address.to_string(),
            clean(&peer.client).into_owned(),
            rate(peer.download_rate),
            rate(peer.upload_rate),
            letters(peer),
            peer.requests_out.to_string(),
            ByteSize(peer.downloaded).to_string(),
            ByteSize(peer.uploaded).to_string(),
            ByteSize(peer.wasted.total()).to_string(),
        ])
    }));
    lines.push(paint.dim(shorten(&format!("{}. {LEGEND}", count(peers.len() as u64, "peer")), width)));
    lines
}

fn letters(peer: &PeerStats) -> String {
    let letters = [
        (peer.am_choked, 'C'),
        (peer.peer_choked, 'c'),
        (peer.am_interested, 'W'),
        (peer.peer_interested, 'w'),
        (peer.snubbed, 'S'),
    ];
    letters.iter().map(|(is, letter)| if *is { *letter } else { '-' }).collect()
}

fn pad(text: &str, width: usize) -> String {
    let text = shorten(text, width);
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(&text))))
}

#[cfg(test)]
mod tests {
    use bt_erl::Wasted;

    use super::*;

    fn peer(address: &str, client: &str) -> PeerStats {
        PeerStats {
            address: address.parse().unwrap(),
            client: client.into(),
            peer_id: "-TR3000-k8hj0wgej6ch".into(),
            outgoing: true,
            connected_secs: 12.5,
            pieces: 1500,
            downloaded: 120 << 20,
            uploaded: 65536,
            wasted: Wasted { late: 16384, ..Wasted::default() },
            download_rate: 40 << 20,
            upload_rate: 8192,
            am_choked: false,
            am_interested: true,
            peer_choked: true,
            peer_interested: true,
            snubbed: false,
            requests_out: 48,
            requests_in: 2,
        }
    }

    #[test]
    fn eighty_columns_show_who_gives_and_140_what_was_moved() {
        let peers = [peer("192.0.2.7:6881", "Transmission 3.00")];
        assert_eq!(
            table(&peers, 80, Paint::Plain),
            [
                "peer                  client                          ↓           ↑ state  out",
                "192.0.2.7:6881        Transmission 3.00        40 MiB/s     8 KiB/s -cWw-   48",
                "1 peer. C it chokes us, c we choke it, W we want, w it wants, S snubbed",
            ]
        );
        assert_eq!(
            table(&peers, 140, Paint::Plain)[1],
            "192.0.2.7:6881        Transmission 3.00                 40 MiB/s     8 KiB/s -cWw-   48   \
             120 MiB    64 KiB    16 KiB"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_name_steers_it() {
        let peers = [peer("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535", "日本語の長い長い長い長い\u{1b}[2J名前")];
        for width in 71..200 {
            for line in table(&peers, width, Paint::Plain) {
                assert!(columns(&line) <= width && !line.contains('\u{1b}'), "{width}: {line}");
            }
        }
    }
}
