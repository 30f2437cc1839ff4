//! A snapshot as a drawing for documents and browsers: Mermaid and DOT.
//!
//! Names come from anywhere, so each is escaped; a node's key in the drawing is its number in [`Snapshot::nodes`], never its name.

use crate::{
    draw,
    pid::Pid,
    snapshot::{Node, Snapshot, Status},
    spec::Kind,
};
use std::{collections::HashMap, fmt::Write};

/// Writing into a `String` cannot fail.
macro_rules! add {
    ($out:expr, $($rest:tt)*) => { writeln!($out, $($rest)*).unwrap_or_default() };
}

impl Snapshot {
    /// A flowchart for <https://mermaid.js.org>, as GitHub shows it: boxes with round ends are supervisors, double-walled ones have a
    /// thread of their own, dotted lines are links.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        for (at, node) in self.nodes().enumerate() {
            let label = mermaid_text(&label(node));
            let (open, close) = match node.kind {
                Kind::Supervisor => ("([", "])"),
                Kind::Blocking => ("[[", "]]"),
                Kind::Worker => ("[", "]"),
            };
            add!(out, "    n{at}{open}\"{label}\"{close}:::{}", class(node));
        }
        let lines = Lines::of(self);
        lines.down.iter().for_each(|(above, below)| add!(out, "    n{above} --> n{below}"));
        lines.links.iter().for_each(|(one, other)| add!(out, "    n{one} -.- n{other}"));
        for (name, fill, stroke) in CLASSES {
            add!(out, "    classDef {name} fill:{fill},stroke:{stroke},color:#111111");
        }
        out
    }

    /// A graph for Graphviz (`dot -Tsvg`): rounded boxes are supervisors, double-walled ones have a thread of their own, dotted
    /// lines are links.
    pub fn to_dot(&self) -> String {
        let mut out = String::from(
            "digraph tree {\n    node [shape=box, style=filled, fontname=\"sans-serif\"];\n    edge [arrowhead=none];\n",
        );
        for (at, node) in self.nodes().enumerate() {
            let shape = match node.kind {
                Kind::Supervisor => ", style=\"filled,rounded\"",
                Kind::Blocking => ", peripheries=2",
                Kind::Worker => "",
            };
            let class = class(node);
            let colours = CLASSES.iter().find(|(name, ..)| *name == class);
            let (fill, stroke) = colours.map_or(("", ""), |(_, fill, stroke)| (fill, stroke));
            let label = dot_text(&label(node));
            add!(out, "    n{at} [label=\"{label}\", fillcolor=\"{fill}\", color=\"{stroke}\"{shape}];");
        }
        let lines = Lines::of(self);
        lines.down.iter().for_each(|(above, below)| add!(out, "    n{above} -> n{below};"));
        let links = lines.links.iter();
        links.for_each(|(one, other)| add!(out, "    n{one} -> n{other} [style=dotted, constraint=false];"));
        out.push_str("}\n");
        out
    }
}

/// Class, fill and stroke.
const CLASSES: [(&str, &str, &str); 4] = [
    ("running", "#e6f4ea", "#2e7d32"),
    ("starting", "#e3f2fd", "#1565c0"),
    ("waiting", "#fff8e1", "#f9a825"),
    ("stopped", "#eceff1", "#78909c"),
];

fn class(node: &Node) -> &'static str {
    match node.status {
        Status::Running => "running",
        Status::Starting => "starting",
        Status::Suspended | Status::BackingOff { .. } | Status::Stopping => "waiting",
        Status::Stopped => "stopped",
    }
}

fn label(node: &Node) -> String {
    let pid = node.pid.map(|pid| format!(" {pid}")).unwrap_or_default();
    format!("{}{pid}\n{}", node.name, draw::status(node))
}

/// Mermaid's own entities, which its parser leaves alone, for all that means something in a quoted label: quotes, Markdown, HTML.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' => out.push_str("<br/>"),
            // It would begin a list.
            '.' | '-' | '+' if rest.peek() == Some(&' ') => write!(out, "#{};", u32::from(c)).unwrap_or_default(),
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';' | '*' | '_' | '[' | ']' | '(' | ')' | '{' | '}' | '|'
            | '~' | '$' => {
                write!(out, "#{};", u32::from(c)).unwrap_or_default();
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// In a quoted string of DOT a backslash begins an escape, and `&` an HTML entity.
fn dot_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Between numbers of nodes.
#[derive(Default)]
struct Lines {
    down: Vec<(usize, usize)>,
    /// Each once, within the tree.
    links: Vec<(usize, usize)>,
}

impl Lines {
    fn of(snapshot: &Snapshot) -> Self {
        let mut lines = Self::default();
        let number: HashMap<Pid, usize> =
            snapshot.nodes().enumerate().filter_map(|(at, node)| Some((node.pid?, at))).collect();
        let mut next = 0;
        lines.below(&snapshot.root, &mut next);
        for (at, node) in snapshot.nodes().enumerate() {
            let others = node.links.iter().filter_map(|pid| number.get(pid));
            lines.links.extend(others.filter(|other| at < **other).map(|other| (at, *other)));
        }
        lines
    }

    fn below(&mut self, node: &Node, next: &mut usize) {
        let at = *next;
        *next += 1;
        for child in &node.children {
            self.down.push((at, *next));
            self.below(child, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd() -> Snapshot {
        let node =
            |name: &str, pid| Node { name: name.into(), path: name.into(), pid: Some(Pid(pid)), ..Node::default() };
        let mut first = node("say \"hi\" <b>\\N #1; `x`", 2);
        first.links = vec![Pid(3), Pid(99)];
        let mut second = node("end", 3);
        (second.links, second.status) = (vec![Pid(2)], Status::BackingOff { millis: 1500 });
        let mut root = node("top\nline", 1);
        (root.kind, root.children) = (Kind::Supervisor, vec![first, second]);
        Snapshot { root, total_restarts: 0 }
    }

    #[test]
    fn mermaid_has_every_node_and_line_and_no_name_breaks_out() {
        let text = odd().to_mermaid();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "flowchart TD");
        assert_eq!(lines[1], "    n0([\"top<br/>line #60;1#62;<br/>running\"]):::running");
        let name = "say #34;hi#34; #60;b#62;#92;N #35;1#59; #96;x#96; #60;2#62;";
        assert_eq!(lines[2], format!("    n1[\"{name}<br/>running\"]:::running"));
        assert_eq!(lines[3], "    n2[\"end #60;3#62;<br/>backs off for 1.5 s\"]:::waiting");
        assert_eq!(lines[4..7], ["    n0 --> n1", "    n0 --> n2", "    n1 -.- n2"]);
    }

    #[test]
    fn dot_has_every_node_and_line_and_no_name_breaks_out() {
        let text = odd().to_dot();
        assert!(text.starts_with("digraph tree {\n"), "{text}");
        assert!(text.contains(r#"    n1 [label="say \"hi\" <b>\\N #1; `x` <2>\nrunning", fillcolor"#), "{text}");
        for line in ["    n0 -> n1;", "    n0 -> n2;", "    n1 -> n2 [style=dotted, constraint=false];", "}"] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert_eq!(text.matches("label=").count(), 3);
    }
}
