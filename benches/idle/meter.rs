//! What this OS process has used so far: processor, memory, context switches.

use std::fs::{read_dir, read_to_string};

/// One reading.
pub(crate) struct Meter {
    /// Per cent of a second of a core.
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// Bytes.
    pub(crate) resident: usize,
    /// Voluntary ones of all threads that live.
    pub(crate) switches: u64,
    pub(crate) threads: usize,
}

impl Meter {
    pub(crate) fn read() -> Self {
        let stat = read_to_string("/proc/self/stat").unwrap();
        // Behind the name, which may hold anything: the state, and 10 fields before the two times. 100 ticks are a second.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        let field = |text: &str, name: &str| -> u64 {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.split_whitespace().next().unwrap().parse().unwrap()
        };
        let status = read_to_string("/proc/self/status").unwrap();
        let threads = read_dir("/proc/self/task").unwrap().flatten().filter_map(|task| {
            read_to_string(task.path().join("status")).ok().map(|text| field(&text, "voluntary_ctxt_switches:"))
        });
        let switches: Vec<u64> = threads.collect();
        Self {
            user: ticks(11),
            system: ticks(12),
            resident: field(&status, "VmRSS:") as usize * 1024,
            switches: switches.iter().sum(),
            threads: switches.len(),
        }
    }
}
