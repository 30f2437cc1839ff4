//! Scripts: a tree of supervisors and what is done to it, as text that people read and both interpreters play.
//!
//! A line in the first column is the script's name, a sentence. Below it, indented, the tree: a process's name and words about
//! it, its children below it further in. Then the steps, each after `>`; after each step all is waited for that it caused.
//!
//! Words of a supervisor: its strategy, `intensity=RESTARTS/SECONDS`, `auto_shutdown=any_significant`.
//! Words of any child, as in a child spec: `permanent` `transient` `temporary`, `brutal_kill` `infinity` `shutdown=MILLIS`, `significant`.
//! Words about behaviour: `traps` (exit signals; it ends as it is asked to), `ends=REASON` (it traps, and when asked ends with
//! that instead), `deaf` (it traps, and never ends by itself), `fail=N` and `ignore=N` (so do its first N inits), `template`
//! (the one child of a simple_one_for_one supervisor).
//! Words about behaviour come after those of the spec, and none means OTP's default.

use std::{collections::HashMap, fmt};

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) tree: Node,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
    pub(crate) children: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The process ends by itself: `normal`, `shutdown`, `shutdown:x`, `error`, `killed`.
    Exit {
        name: String,
        reason: String,
    },
    /// An exit signal from someone who is nothing to it.
    Signal {
        name: String,
        reason: String,
    },
    /// It ends by itself, its next init fails, and `call` is made while that init runs.
    During {
        name: String,
        reason: String,
        call: Box<Step>,
    },
    /// The untrappable signal, to a worker or a supervisor.
    Kill {
        name: String,
    },
    /// What the next `times` inits of `name` do: they fail, or answer `ignore`.
    Plan {
        name: String,
        what: Init,
        times: usize,
    },
    StartChild {
        sup: String,
        node: Node,
    },
    /// Another child of a simple_one_for_one supervisor.
    StartInstance {
        sup: String,
        name: String,
    },
    /// `terminate_child`, `restart_child`, `delete_child` or `get_childspec`.
    Child {
        call: String,
        sup: String,
        name: String,
    },
    WhichChildren {
        sup: String,
    },
    CountChildren {
        sup: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    Fail,
    Ignore,
    /// Wait until told, then fail.
    Hold,
}

/// All scripts of a text.
pub(crate) fn parse(text: &str) -> Vec<Script> {
    let mut blocks: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        match blocks.last_mut() {
            Some((_, body)) if line.starts_with(' ') => body.push(line),
            _ => blocks.push((line.trim(), Vec::new())),
        }
    }
    blocks.into_iter().map(|(name, body)| script(name, &body)).collect()
}

fn script(name: &str, body: &[&str]) -> Script {
    let is_step = |line: &&str| line.trim_start().starts_with('>');
    let first = body.iter().position(is_step).unwrap_or(body.len());
    let mut trees = nodes(&body[..first]);
    assert_eq!(trees.len(), 1, "{name}: one tree");
    Script { name: name.into(), tree: trees.remove(0), steps: body[first..].iter().map(|line| step(line)).collect() }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn nodes(lines: &[&str]) -> Vec<Node> {
    let Some((first, rest)) = lines.split_first() else {
        return Vec::new();
    };
    let below = rest.iter().take_while(|line| indent(line) > indent(first)).count();
    let mut found = vec![Node { children: nodes(&rest[..below]), ..node(first.split_whitespace()) }];
    found.extend(nodes(&rest[below..]));
    found
}

fn node<'a>(mut words: impl Iterator<Item = &'a str>) -> Node {
    let name = words.next().expect("a name").to_string();
    Node { name, words: words.map(String::from).collect(), children: Vec::new() }
}

fn step(line: &str) -> Step {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let own = |word: &str| word.to_string();
    match words[..] {
        ["exit", name, reason] => Step::Exit { name: own(name), reason: own(reason) },
        ["signal", name, reason] => Step::Signal { name: own(name), reason: own(reason) },
        ["during", name, reason, ":", ref call @ ..] => Step::During {
            name: own(name),
            reason: own(reason),
            call: Box::new(step(&format!("> {}", call.join(" ")))),
        },
        ["kill", name] => Step::Kill { name: own(name) },
        ["fail", name, times] => Step::Plan { name: own(name), what: Init::Fail, times: number(times) },
        ["ignore", name, times] => Step::Plan { name: own(name), what: Init::Ignore, times: number(times) },
        ["start_child", sup, ref rest @ ..] => Step::StartChild { sup: own(sup), node: node(rest.iter().copied()) },
        ["start_instance", sup, name] => Step::StartInstance { sup: own(sup), name: own(name) },
        ["which_children", sup] => Step::WhichChildren { sup: own(sup) },
        ["count_children", sup] => Step::CountChildren { sup: own(sup) },
        [call @ ("terminate_child" | "restart_child" | "delete_child" | "get_childspec"), sup, name] => {
            Step::Child { call: own(call), sup: own(sup), name: own(name) }
        }
        _ => panic!("no such step: {line}"),
    }
}

fn number(word: &str) -> usize {
    word.parse().expect("a number")
}

impl Node {
    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// What follows `key=`.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    pub(crate) fn strategy(&self) -> Option<&str> {
        const ALL: [&str; 4] = ["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"];
        ALL.into_iter().find(|strategy| self.has(strategy))
    }

    /// It and all below it.
    pub(crate) fn all(&self) -> Vec<&Node> {
        std::iter::once(self).chain(self.children.iter().flat_map(Node::all)).collect()
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        writeln!(f, "{:1$}{self}", "", 4 + 2 * depth)?;
        self.children.iter().try_for_each(|child| child.write(f, depth + 1))
    }
}

impl Script {
    /// Who is whose child, also of those that are started later.
    pub(crate) fn parents(&self) -> HashMap<&str, &str> {
        let mut parents = HashMap::new();
        for node in self.tree.all() {
            parents.extend(node.children.iter().map(|child| (child.name.as_str(), node.name.as_str())));
        }
        for step in &self.steps {
            match step {
                Step::StartChild { sup, node } => parents.entry(&node.name).or_insert(sup.as_str()),
                Step::StartInstance { sup, name } => parents.entry(name).or_insert(sup.as_str()),
                _ => continue,
            };
        }
        parents
    }

    /// Whether the child of this name has shutdown `brutal_kill`.
    pub(crate) fn kills_brutally(&self, name: &str) -> bool {
        let nodes = self.tree.all();
        let of_pool = |pool: &str| nodes.iter().find(|node| node.name == pool).and_then(|pool| pool.children.first());
        let later = self.steps.iter().find_map(|step| match step {
            Step::StartChild { node, .. } if node.name == name => Some(node),
            Step::StartInstance { sup, name: own } if own == name => of_pool(sup),
            _ => None,
        });
        let node = nodes.iter().find(|node| node.name == name).copied().or(later);
        node.is_some_and(|node| node.has("brutal_kill"))
    }

    /// What the children of a `simple_one_for_one` supervisor are called in its spec.
    pub(crate) fn template(&self, pool: &str) -> Option<&str> {
        let nodes = self.tree.all();
        let template = nodes.iter().find(|node| node.name == pool)?.children.first()?;
        template.has("template").then_some(template.name.as_str())
    }

    /// Of `simple_one_for_one` supervisors.
    pub(crate) fn is_simple(&self, sup: &str) -> bool {
        self.tree.all().iter().any(|node| node.name == sup && node.has("simple_one_for_one"))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { name, reason } => write!(f, "exit {name} {reason}"),
            Self::Signal { name, reason } => write!(f, "signal {name} {reason}"),
            Self::During { name, reason, call } => write!(f, "during {name} {reason} : {call}"),
            Self::Kill { name } => write!(f, "kill {name}"),
            Self::Plan { name, what: Init::Hold, times } => write!(f, "hold {name} {times}"),
            Self::Plan { name, what: Init::Fail, times } => write!(f, "fail {name} {times}"),
            Self::Plan { name, what: Init::Ignore, times } => write!(f, "ignore {name} {times}"),
            Self::StartChild { sup, node } => write!(f, "start_child {sup} {node}"),
            Self::StartInstance { sup, name } => write!(f, "start_instance {sup} {name}"),
            Self::Child { call, sup, name } => write!(f, "{call} {sup} {name}"),
            Self::WhichChildren { sup } => write!(f, "which_children {sup}"),
            Self::CountChildren { sup } => write!(f, "count_children {sup}"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        self.tree.write(f, 0)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "    > {step}"))
    }
}
