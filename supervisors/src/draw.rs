//! A snapshot as a drawing for a terminal.

use crate::snapshot::{Node, Snapshot, Status};
use std::fmt;

struct Row {
    name: String,
    pid: String,
    restarts: String,
    mailbox: String,
    status: String,
}

impl Row {
    fn new(node: &Node, branch: &str) -> Self {
        let pid = node.pid.map_or("-".to_string(), |pid| pid.to_string());
        let mailbox = node.mailbox.map_or(String::new(), |waiting| waiting.len.to_string());
        Self {
            name: format!("{branch}{}", node.name),
            pid,
            restarts: node.restarts.to_string(),
            mailbox,
            status: status(node),
        }
    }
}

pub(crate) fn status(node: &Node) -> String {
    let mut text = match &node.status {
        Status::Starting => "starting".to_string(),
        Status::Running => "running".to_string(),
        Status::Suspended => "suspended".to_string(),
        Status::Stopping => "stopping".to_string(),
        Status::Stopped => "stopped".to_string(),
        Status::BackingOff { millis } if node.gave_up.is_some() => {
            format!("parked for {}", seconds(*millis))
        }
        Status::BackingOff { millis } => format!("backs off for {}", seconds(*millis)),
    };
    if let (Some(strategy), Some(budget)) = (node.strategy, &node.budget) {
        text = format!("{text}, {strategy} {budget}");
    }
    match (&node.gave_up, &node.last_exit) {
        (Some(cause), _) => text.push_str(&format!(" (gave up: {cause})")),
        (None, Some(reason)) => text.push_str(&format!(" (last exit: {reason})")),
        (None, None) => {}
    }
    // A panic's text may have several lines.
    text.replace('\n', " | ")
}

fn seconds(millis: u64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

/// `branch`: what stands before the node's own name; `trunk`: before its children's.
fn rows(node: &Node, branch: &str, trunk: &str, out: &mut Vec<Row>) {
    out.push(Row::new(node, branch));
    let last = node.children.len().saturating_sub(1);
    for (at, child) in node.children.iter().enumerate() {
        let (corner, line) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
        rows(child, &format!("{trunk}{corner}"), &format!("{trunk}{line}"), out);
    }
}

impl fmt::Display for Snapshot {
    /// One line a process: name, pid, restarts, messages that wait, status.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = vec![Row {
            name: "process".into(),
            pid: "pid".into(),
            restarts: "restarts".into(),
            mailbox: "mailbox".into(),
            status: "status".into(),
        }];
        rows(&self.root, "", "", &mut table);
        let width =
            |column: fn(&Row) -> &String| table.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
        let (name, pid) = (width(|row| &row.name), width(|row| &row.pid));
        for (at, row) in table.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(
                f,
                "{:name$}  {:>pid$}  {:>8}  {:>7}  {}",
                row.name, row.pid, row.restarts, row.mailbox, row.status
            )?;
        }
        Ok(())
    }
}
