//! The pages that describe the program are compared with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Message names by process, from the `enum Msg` of every process file.
fn declared_messages() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root().join("src/process")).expect("src/process") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".rs")) else { continue };
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
