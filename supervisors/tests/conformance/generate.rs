//! Scripts made by dice: the same number makes the same script, on every machine.
//!
//! What is left out, because OTP leaves its outcome open or lets it go on for ever: children that are deaf to an order to end
//! below a supervisor that is killed (they would outlive it), and deaf ones that are waited for without limit.

use crate::script::{Init, Node, Script, Step};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// `n` times in a hundred.
    fn percent(&mut self, n: usize) -> bool {
        self.below(100) < n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

struct Author {
    dice: Dice,
    /// Supervisors may be killed; otherwise children may be deaf.
    kills: bool,
    names: Vec<String>,
    supervisors: Vec<String>,
    pools: Vec<String>,
}

/// The script of this number.
pub(crate) fn script(number: u64) -> Script {
    let mut dice = Dice(number);
    let kills = dice.percent(50);
    let mut author = Author { dice, kills, names: Vec::new(), supervisors: Vec::new(), pools: Vec::new() };
    let tree = author.supervisor(0, None);
    let len = 3 + author.dice.below(8);
    let steps = (0..len).map(|_| author.step()).collect();
    Script { name: format!("Number {number}"), tree, steps }
}

impl Author {
    fn name(&mut self, prefix: char) -> String {
        let name = format!("{prefix}{}", self.names.len());
        self.names.push(name.clone());
        name
    }

    fn supervisor(&mut self, depth: usize, above: Option<&str>) -> Node {
        let name = self.name('s');
        let simple = depth > 0 && self.dice.percent(15);
        let strategy = match simple {
            true => "simple_one_for_one",
            false => self.dice.one_of(&["one_for_one", "one_for_all", "rest_for_one"]),
        };
        let auto_shutdown = self.dice.one_of(&["", "", "any_significant", "all_significant"]);
        let mut words =
            vec![strategy.to_string(), format!("intensity={}/60", self.dice.one_of(&[0, 1, 1, 2, 2, 3, 5]))];
        if !auto_shutdown.is_empty() && !simple {
            words.push(format!("auto_shutdown={auto_shutdown}"));
        }
        if above.is_some() {
            words.extend(self.child_words(above, true));
        }
        if simple {
            self.pools.push(name.clone());
            let mut template = self.worker(None);
            template.words.push("template".into());
            template.words.retain(|word| !word.starts_with("fail") && !word.starts_with("ignore"));
            return Node { name, words, children: vec![template] };
        }
        self.supervisors.push(name.clone());
        let room = 9usize.saturating_sub(self.names.len());
        let len = 1 + self.dice.below(4).min(room);
        let above = (!auto_shutdown.is_empty()).then_some(auto_shutdown);
        let child = |author: &mut Self| match depth < 2 && author.dice.percent(30) {
            true => author.supervisor(depth + 1, Some(above.unwrap_or_default())),
            false => author.worker(above),
        };
        let children = (0..len).map(|_| child(self)).collect();
        Node { name, words, children }
    }

    fn worker(&mut self, above: Option<&str>) -> Node {
        let name = self.name('w');
        let mut words = self.child_words(above, false);
        match self.dice.below(12) {
            0 | 1 => words.push("traps".into()),
            2 => words.push(format!("ends={}", self.dice.one_of(&["normal", "error", "shutdown:saved"]))),
            3 if !self.kills => {
                words.retain(|word| word != "infinity" && !word.starts_with("shutdown"));
                words.push(self.dice.one_of(&["shutdown=10 deaf", "brutal_kill deaf"]).into());
            }
            4 if self.dice.percent(15) => words.push("fail=1".into()),
            5 => words.push("ignore=1".into()),
            _ => {}
        }
        let words = words.iter().flat_map(|word| word.split(' ')).map(String::from).collect();
        Node { name, words, children: Vec::new() }
    }

    fn child_words(&mut self, above: Option<&str>, supervisor: bool) -> Vec<String> {
        let shuts_down = above.is_some_and(|auto_shutdown| !auto_shutdown.is_empty());
        let restart = self.dice.one_of(&["", "permanent", "transient", "temporary"]);
        let mut words = vec![restart];
        match self.dice.below(6) {
            0 if !supervisor || self.kills => words.push("brutal_kill"),
            1 => words.push("infinity"),
            _ => {}
        }
        if shuts_down && matches!(restart, "transient" | "temporary") && self.dice.percent(60) {
            words.push("significant");
        }
        words.into_iter().filter(|word| !word.is_empty()).map(String::from).collect()
    }

    fn anyone(&mut self) -> String {
        let at = self.dice.below(self.names.len());
        self.names[at].clone()
    }

    fn worker_name(&mut self) -> Option<String> {
        let workers: Vec<&String> = self.names.iter().filter(|name| name.starts_with('w')).collect();
        (!workers.is_empty()).then(|| workers[self.dice.below(workers.len())].clone())
    }

    fn step(&mut self) -> Step {
        let at = self.dice.below(self.supervisors.len());
        let sup = self.supervisors[at].clone();
        match self.dice.below(20) {
            0..=7 => {
                let reason =
                    self.dice.one_of(&["error", "error", "error", "normal", "shutdown", "shutdown:done", "killed"]);
                let name = self.worker_name().unwrap_or_else(|| "nobody".into());
                Step::Exit { name, reason: reason.into() }
            }
            8 | 9 => {
                let name =
                    if self.kills { self.anyone() } else { self.worker_name().unwrap_or_else(|| "nobody".into()) };
                Step::Kill { name }
            }
            10 => {
                let what = self.dice.one_of(&[Init::Fail, Init::Fail, Init::Ignore]);
                let times = 1 + self.dice.below(3);
                Step::Plan { name: self.anyone(), what, times }
            }
            11 | 12 => match self.pools.is_empty() {
                true => Step::StartChild { sup, node: self.worker(None) },
                false => {
                    let at = self.dice.below(self.pools.len());
                    Step::StartInstance { sup: self.pools[at].clone(), name: self.name('w') }
                }
            },
            13..=17 => {
                let call = self.dice.one_of(&[
                    "terminate_child",
                    "terminate_child",
                    "restart_child",
                    "delete_child",
                    "get_childspec",
                ]);
                Step::Child { call: call.into(), sup, name: self.anyone() }
            }
            18 => Step::WhichChildren { sup },
            _ => Step::CountChildren { sup },
        }
    }
}
