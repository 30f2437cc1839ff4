//! The pages that describe the program are compared with the program.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use bt_erl::rt::spawn::block_on;
use bt_erl::{BindTo, Config, FetchError, FetchOptions, Metainfo, Session, TorrentOptions};
use supervisors::{Kind, Node};
use support::content::Content;
use support::peer::Seed;

/// Message names by process, from the `enum Msg` of every process file.
fn declared_messages() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root().join("src/process")).expect("src/process") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".rs")) else {
            continue;
        };
        let text = fs::read_to_string(&path).expect("a source file");
        if let Some(body) = text.split("enum Msg {\n").nth(1).and_then(|rest| rest.split("\n}").next()) {
            all.insert(name.to_owned(), variants(body));
        }
    }
    all
}

/// Variant names: words that begin a line at the first level of indentation.
fn variants(body: &str) -> BTreeSet<String> {
    let first_level = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = first_level.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.chars().take_while(|c| c.is_ascii_alphanumeric()).collect()).collect()
}

/// The same, from docs/messages.md: a section per process, a table row per message.
fn described_messages() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/messages.md")).expect("docs/messages.md");
    let mut all = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (name, rows) = section.split_once('\n').expect("a section with rows");
        let row = |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).map(str::to_owned);
        all.insert(name.trim().to_owned(), rows.lines().filter_map(row).collect());
    }
    all
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_page_on_messages_names_every_message_and_no_other() {
    let (declared, described) = (declared_messages(), described_messages());
    assert!(declared.len() >= 6, "found only {:?}", declared.keys());
    assert_eq!(described, declared);
}

/// A line of the tree: depth, name, strategy and budget of a supervisor, whether it has a thread of its own.
type Line = (usize, String, String, bool);

/// The drawing in docs/supervision.md.
fn drawn_tree() -> Vec<Line> {
    let page = fs::read_to_string(root().join("docs/supervision.md")).expect("docs/supervision.md");
    let drawing = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a drawing");
    let line = |line: &str| {
        let start = line.find(|c: char| c.is_ascii_alphabetic()).expect("a name");
        let depth = line[..start].chars().count() / 4;
        let columns: Vec<&str> = line[start..].split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        let is_sup = columns[0].contains("_sup");
        let shape = if is_sup { format!("{} {}", columns[1], columns[2]) } else { String::new() };
        (depth, columns[0].to_owned(), shape, line.contains("a thread of its own"))
    };
    drawing.lines().map(line).collect()
}

/// The tree of a running session, each kind of child of one supervisor once.
fn running_tree(node: &Node, depth: usize, lines: &mut Vec<Line>) {
    let strategy = node.strategy.map_or(String::new(), |strategy| strategy.to_string());
    let budget = node.budget.as_ref();
    let budget = budget.map_or(String::new(), |budget| format!(" {} in {} s", budget.allowed, budget.period.as_secs()));
    lines.push((depth, general_name(node), strategy + &budget, node.kind == Kind::Blocking));
    let mut seen = BTreeSet::new();
    for child in node.children.iter().filter(|child| seen.insert(general_name(child))) {
        running_tree(child, depth + 1, lines);
    }
}

/// `peer *` for `peer 1.2.3.4:5`, `file_worker n` for `file_worker 2`.
fn general_name(node: &Node) -> String {
    let mut words: Vec<&str> = node.name.split(' ').collect();
    if let Some(second) = words.get_mut(1) {
        *second = if second.len() < 3 { "n" } else { "*" };
    }
    words.join(" ")
}

#[test]
fn the_drawn_tree_is_the_running_tree() {
    let content = Content::single("tree.bin", 1 << 20, 3);
    let torrent = support::torrent::Torrent::of(&content, 1 << 16, Some("http://127.0.0.1:1/announce"));
    let seed = Seed::start(&torrent, &content, |wire| wire.greet().and_then(|()| wire.stay_silent()));
    let config = Config { bind: BindTo::Loopback, ports: Some(0..=0), ..Config::default() };
    let session = block_on(Session::start(config)).expect("a session");
    let folder = tempfile::tempdir().expect("a folder");
    let options = TorrentOptions { peers: vec![seed.addr], ..TorrentOptions::new(folder.path()) };
    block_on(session.add(Metainfo::parse(&torrent.bytes).expect("honest"), options)).expect("added");
    let port = session.local_port().expect("it listens");
    // A magnet link that nobody answers for: this one takes calls, and says nothing.
    let deaf = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let link = "magnet:?xt=urn:btih:0000000000000000000000000000000000000001&tr=http://127.0.0.1:1/announce";
    let (link, options) = (
        link.parse().expect("a link"),
        FetchOptions { peers: vec![deaf.local_addr().expect("a port")], ..FetchOptions::default() },
    );
    let searching = session.clone();
    let search = std::thread::spawn(move || block_on(searching.fetch(&link, options)).err());
    let limit = Duration::from_secs(20);
    support::until("the torrent to be up", limit, || {
        let tree = session.snapshot()?;
        tree.nodes().any(|node| node.role == "peer").then_some(())
    });
    // Somebody calls us, so that both kinds of peers are there.
    let mut caller = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let hello = [b"\x13BitTorrent protocol".as_slice(), &[0; 8], &torrent.info_hash, b"-TS0001-abcdefghijkl"].concat();
    caller.write_all(&hello).expect("said hello");
    let drawn = drawn_tree();
    let ran = support::until("the drawn tree", limit, || {
        let tree = session.snapshot()?;
        let mut lines = Vec::new();
        running_tree(&tree.root, 0, &mut lines);
        // A difference that stays is shown by the assertion below.
        (lines.len() >= drawn.len()).then_some(lines)
    });
    assert_eq!(ran, drawn);
    block_on(session.stop());
    assert_eq!(search.join().expect("it ended"), Some(FetchError::Stopped));
}
