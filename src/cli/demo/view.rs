//! A process tree for someone who sees one for the first time: 80 columns, like children drawn together, and on the
//! second drawing only the branch where something happened.
//!
//! Pure: a snapshot in, lines out. The full table with every figure is `Snapshot`'s own `Display`.

use std::collections::BTreeSet;

use supervisors::{Kind, Node, Pid, Status};

use crate::cli::terminal::{Paint, columns, shorten};

/// Columns for the tree itself; pids and remarks come after it.
const NAMES: usize = 51;

/// One process, or several that are drawn as one.
struct Row {
    tree: String,
    pid: String,
    remark: String,
    mark: Mark,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    /// The process that this is all about.
    Hero,
    /// A line that stands for processes where nothing happened.
    Aside,
}

/// The whole tree below `root`.
pub(crate) fn whole(root: &Node, paint: Paint) -> Vec<String> {
    let mut rows = Vec::new();
    rows_of(root, "", "", &mut rows);
    print(rows, paint)
}

/// Only the way from `root` to the process at `path`. What hangs off that way is named in one line a level, and said to
/// be untouched when all its pids were in `before` already.
pub(crate) fn branch(root: &Node, path: &str, before: &BTreeSet<Pid>, paint: Paint) -> Vec<String> {
    let mut rows = Vec::new();
    way(root, path, before, ("", ""), &mut rows);
    print(rows, paint)
}

/// Every pid in the tree below `root`.
pub(crate) fn pids(root: &Node) -> BTreeSet<Pid> {
    let below = root.children.iter().flat_map(pids);
    root.pid.into_iter().chain(below).collect()
}

/// `branch` stands before the node's own name, `trunk` before its children's.
fn rows_of(node: &Node, branch: &str, trunk: &str, rows: &mut Vec<Row>) {
    rows.push(row(node, branch, Mark::None));
    let groups = alike(&node.children);
    for (at, group) in groups.iter().enumerate() {
        let (corner, line) = corner(at + 1 == groups.len());
        let (branch, trunk) = (format!("{trunk}{corner}"), format!("{trunk}{line}"));
        match group {
            [one] => rows_of(one, &branch, &trunk, rows),
            several => rows.push(row_of_several(several, &branch)),
        }
    }
}

fn way(node: &Node, path: &str, before: &BTreeSet<Pid>, at: (&str, &str), rows: &mut Vec<Row>) {
    let (branch, trunk) = at;
    let hero = node.path == path;
    rows.push(row(node, branch, if hero { Mark::Hero } else { Mark::None }));
    if hero {
        return;
    }
    let leads = |child: &&Node| path == child.path || path.starts_with(&format!("{}/", child.path));
    let next = node.children.iter().find(leads);
    let aside: Vec<&Node> = node.children.iter().filter(|child| !leads(child)).collect();
    if !aside.is_empty() {
        let (corner, _) = corner(next.is_none());
        rows.push(row_aside(&aside, before, &format!("{trunk}{corner}")));
    }
    if let Some(next) = next {
        let (corner, line) = corner(true);
        way(next, path, before, (&format!("{trunk}{corner}"), &format!("{trunk}{line}")), rows);
    }
}

fn corner(last: bool) -> (&'static str, &'static str) {
    if last { ("└── ", "    ") } else { ("├── ", "│   ") }
}

/// Neighbours without children and with the same role, together.
fn alike(children: &[Node]) -> Vec<&[Node]> {
    let same = |a: &Node, b: &Node| a.role == b.role && a.children.is_empty() && b.children.is_empty();
    children.chunk_by(same).collect()
}

fn row(node: &Node, branch: &str, mark: Mark) -> Row {
    let mut remarks = Vec::new();
    match node.status {
        Status::Running => {}
        Status::Starting => remarks.push("starting".to_owned()),
        Status::BackingOff { .. } => remarks.push("waits".to_owned()),
        Status::Stopping => remarks.push("stopping".to_owned()),
        Status::Suspended => remarks.push("suspended".to_owned()),
        Status::Stopped => remarks.push("ended".to_owned()),
    }
    if let Some(strategy) = node.strategy {
        remarks.push(strategy.to_string());
    }
    if node.kind == Kind::Blocking {
        remarks.push("own thread".to_owned());
    }
    match node.restarts {
        0 => {}
        1 => remarks.push("restarted once".to_owned()),
        times => remarks.push(format!("restarted {times} times")),
    }
    Row {
        // What every tracker's URL begins and ends with tells nothing.
        tree: format!("{branch}{}", node.name.replace("http://", "").trim_end_matches("/announce")),
        pid: node.pid.map_or("-".to_owned(), |pid| pid.to_string()),
        remark: remarks.join(", "),
        mark,
    }
}

fn row_of_several(nodes: &[Node], branch: &str) -> Row {
    let role = nodes.first().map_or("", |node| node.role.as_str());
    let pid = |node: Option<&Node>| node.and_then(|node| node.pid).map_or("-".to_owned(), |pid| pid.to_string());
    let threads = nodes.iter().all(|node| node.kind == Kind::Blocking);
    Row {
        tree: format!("{branch}{role} × {}", nodes.len()),
        pid: format!("{}…{}", pid(nodes.first()), pid(nodes.last())),
        remark: if threads { "own threads".to_owned() } else { String::new() },
        mark: Mark::None,
    }
}

fn row_aside(nodes: &[&Node], before: &BTreeSet<Pid>, branch: &str) -> Row {
    let now: BTreeSet<Pid> = nodes.iter().flat_map(|node| pids(node)).collect();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let fresh = now.difference(before).count();
    Row {
        tree: format!("{branch}{}", names.join(", ")),
        pid: String::new(),
        remark: match fresh {
            0 => "untouched".to_owned(),
            fresh => format!("{fresh} of {} are new", now.len()),
        },
        mark: Mark::Aside,
    }
}

fn print(rows: Vec<Row>, paint: Paint) -> Vec<String> {
    let widest = |text: fn(&Row) -> &String| rows.iter().map(|row| columns(text(row))).max().unwrap_or(0);
    let (names, pids) = (widest(|row| &row.tree).min(NAMES), widest(|row| &row.pid));
    let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(columns(text)));
    rows.iter()
        .map(|row| {
            let tree = shorten(&row.tree, names);
            let (after_tree, before_pid) = (pad(&tree, names), pad(&row.pid, pids));
            let line = match row.mark {
                Mark::None => {
                    let (pid, remark) = (paint.cyan(&row.pid), paint.dim(&row.remark));
                    format!("{tree}{after_tree}  {before_pid}{pid}  {remark}")
                }
                Mark::Hero => {
                    let line = format!("{tree}{after_tree}  {before_pid}{}  {}", row.pid, row.remark);
                    paint.yellow(line)
                }
                Mark::Aside => paint.dim(format!("{tree}{after_tree}  {before_pid}  {}", row.remark)),
            };
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use supervisors::{Budget, Strategy};

    use super::*;

    fn worker(path: &str, kind: Kind, restarts: u64) -> Node {
        let name = path.rsplit('/').next().unwrap().to_owned();
        Node {
            pid: None,
            role: name.split(' ').next().unwrap().to_owned(),
            name,
            kind,
            path: path.to_owned(),
            status: Status::Running,
            restarts,
            ..Node::default()
        }
    }

    fn tree() -> Node {
        let sup = |path: &str, strategy, children| Node {
            kind: Kind::Supervisor,
            strategy: Some(strategy),
            budget: Some(Budget::default()),
            children,
            ..worker(path, Kind::Supervisor, 0)
        };
        let storage = vec![
            worker("root/storage_sup/piece_worker 1", Kind::Blocking, 0),
            worker("root/storage_sup/piece_worker 2", Kind::Blocking, 0),
        ];
        let peers = vec![worker("root/peers_sup/peer 1.2.3.4:5", Kind::Worker, 1)];
        sup(
            "root",
            Strategy::RestForOne,
            vec![
                sup("root/storage_sup", Strategy::OneForOne, storage),
                worker("root/client", Kind::Worker, 0),
                sup("root/peers_sup", Strategy::OneForOne, peers),
            ],
        )
    }

    #[test]
    fn the_whole_tree_has_a_line_for_every_kind_of_process() {
        assert_eq!(
            whole(&tree(), Paint::Plain),
            [
                "root                        -  rest_for_one",
                "├── storage_sup             -  one_for_one",
                "│   └── piece_worker × 2  -…-  own threads",
                "├── client                  -",
                "└── peers_sup               -  one_for_one",
                "    └── peer 1.2.3.4:5      -  restarted once",
            ]
        );
    }

    #[test]
    fn the_branch_has_the_way_to_one_process_and_names_the_rest() {
        assert_eq!(
            branch(&tree(), "root/peers_sup/peer 1.2.3.4:5", &BTreeSet::new(), Paint::Plain),
            [
                "root                     -  rest_for_one",
                "├── storage_sup, client     untouched",
                "└── peers_sup            -  one_for_one",
                "    └── peer 1.2.3.4:5   -  restarted once",
            ]
        );
    }

    #[test]
    fn long_names_leave_the_drawing_within_80_columns() {
        let mut tree = tree();
        tree.children[1].name = "a very long name that a process might have one day, who knows".to_owned();
        assert!(whole(&tree, Paint::Colour).iter().all(|line| columns(line) <= 78));
    }
}
