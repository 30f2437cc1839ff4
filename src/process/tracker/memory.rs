//! When to announce what to one tracker. Pure: time and dice are parameters.
//!
//! Outlives the tracker process, so a crash neither makes the tracker hear us twice nor forgets what it has to hear.
//! Never asks a tracker more often than it allows.

use std::time::Duration;

use crate::protocol::{AnnounceReply, Event};

/// Shortest time between two announces when more peers are needed and the tracker names no `min interval`. Doubles with
/// each such announce in a row.
const EARLY: Duration = Duration::from_secs(60);
/// Until the second try after a failure; doubles with each failure in a row.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// Until the second try when the tracker answered, and refused.
const FIRST_RETRY_REFUSED: Duration = Duration::from_secs(60);
const LAST_RETRY: Duration = Duration::from_secs(30 * 60);

/// What is known of one tracker. Times are since the OS process began.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnnounceMemory {
    /// It answered `started`, and has not been told `stopped`.
    heard: bool,
    /// The download has become complete, and it has not been told.
    completed: bool,
    answered: Option<Answered>,
    tracker_id: Option<Vec<u8>>,
    /// In a row; 0 after an answer.
    failures: u32,
    retry_at: Duration,
    /// Announces begun since the last answer or failure; more than one when the process crashed over them.
    begun: u32,
    begun_at: Duration,
    /// Bytes that were missing then.
    begun_left: u64,
    /// Announces before their interval in a row.
    early: u32,
}

/// The last answer.
#[derive(Debug, Clone)]
struct Answered {
    at: Duration,
    interval: Duration,
    min_interval: Option<Duration>,
}

impl AnnounceMemory {
    /// When to announce next; in the past when that is now.
    pub(crate) fn due(&self, need_peers: bool) -> Duration {
        if self.failures > 0 {
            return self.retry_at.max(self.after_crashes());
        }
        match &self.answered {
            Some(last) if self.heard && !self.completed => last.at + self.wait(last, need_peers),
            _ => self.after_crashes(),
        }
    }

    /// One crash in the middle of an announce is nobody's fault; more of them may be the answer's.
    fn after_crashes(&self) -> Duration {
        match self.begun {
            0 | 1 => Duration::ZERO,
            more => self.begun_at + doubled(FIRST_RETRY, more - 2).min(LAST_RETRY),
        }
    }

    /// An announce is about to be made; it says that `left` bytes are missing.
    pub(crate) fn begin(&mut self, now: Duration, left: u64) {
        self.begun = self.begun.saturating_add(1);
        (self.begun_at, self.begun_left) = (now, left);
    }

    fn wait(&self, last: &Answered, need_peers: bool) -> Duration {
        let regular = last.interval.max(last.min_interval.unwrap_or_default());
        if !need_peers {
            return regular;
        }
        doubled(EARLY, self.early).max(last.min_interval.unwrap_or_default()).min(regular)
    }

    /// Why the next announce is made; `None` at the interval.
    pub(crate) fn event(&self) -> Option<Event> {
        match (self.heard, self.completed) {
            (false, _) => Some(Event::Started),
            (true, true) => Some(Event::Completed),
            (true, false) => None,
        }
    }

    /// To be sent along.
    pub(crate) fn tracker_id(&self) -> Option<&[u8]> {
        self.tracker_id.as_deref()
    }

    /// True when the tracker has us in its list and answers: it wants to hear `stopped`.
    pub(crate) fn expects_us(&self) -> bool {
        self.heard && self.failures == 0
    }

    /// The download has become complete. A tracker that is still to hear `started` will hear from that what is left.
    pub(crate) fn completed(&mut self) {
        self.completed = self.heard || self.begun > 0;
    }

    /// The tracker answered. Returns the wait until the next regular announce.
    pub(crate) fn answered(&mut self, now: Duration, event: Option<Event>, reply: &AnnounceReply) -> Duration {
        self.early = match &self.answered {
            Some(last) if event.is_none() && now < last.at + last.interval => self.early.saturating_add(1),
            _ => 0,
        };
        (self.failures, self.begun) = (0, 0);
        self.heard = event != Some(Event::Stopped);
        if event == Some(Event::Completed) || (event == Some(Event::Started) && self.begun_left == 0) {
            self.completed = false;
        }
        if reply.tracker_id.is_some() {
            self.tracker_id.clone_from(&reply.tracker_id);
        }
        let last = Answered { at: now, interval: reply.interval, min_interval: reply.min_interval };
        let wait = self.wait(&last, false);
        self.answered = Some(last);
        wait
    }

    /// No usable answer. `refused`: there was one, and it said no. `dice`: 0.0 to 1.0, evenly. Returns the wait until
    /// the next try.
    pub(crate) fn failed(&mut self, now: Duration, refused: bool, dice: f64) -> Duration {
        let first = if refused { FIRST_RETRY_REFUSED } else { FIRST_RETRY };
        let wait = doubled(first, self.failures).min(LAST_RETRY).mul_f64(0.8 + 0.4 * dice.clamp(0.0, 1.0));
        self.begun = 0;
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + wait;
        wait
    }

    /// In a row; 0 after an answer.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn reply(interval: u64, min_interval: Option<u64>) -> AnnounceReply {
        AnnounceReply {
            interval: secs(interval),
            min_interval: min_interval.map(secs),
            peers: Vec::new(),
            dropped: 0,
            seeders: None,
            leechers: None,
            warning: None,
            tracker_id: None,
        }
    }

    fn started(at: u64, interval: u64, min_interval: Option<u64>) -> AnnounceMemory {
        let mut memory = AnnounceMemory::default();
        memory.answered(secs(at), memory.event(), &reply(interval, min_interval));
        memory
    }

    #[test]
    fn started_is_announced_at_once_and_again_only_after_stopped() {
        let mut memory = AnnounceMemory::default();
        assert_eq!((memory.due(false), memory.event()), (Duration::ZERO, Some(Event::Started)));
        memory.answered(secs(7), Some(Event::Started), &reply(1800, None));
        assert_eq!((memory.due(false), memory.event()), (secs(1807), None));
        memory.answered(secs(8), Some(Event::Stopped), &reply(1800, None));
        assert_eq!((memory.due(false), memory.event()), (Duration::ZERO, Some(Event::Started)));
    }

    #[test]
    fn need_of_peers_shortens_the_wait_but_not_below_a_minute_or_what_the_tracker_allows() {
        assert_eq!(started(100, 1800, None).due(true), secs(160));
        assert_eq!(started(100, 1800, Some(900)).due(true), secs(1000));
        assert_eq!(started(100, 60, Some(900)).due(false), secs(1000));
        assert_eq!(started(100, 60, Some(900)).due(true), secs(1000));
    }

    #[test]
    fn need_that_does_not_end_is_asked_about_ever_more_rarely() {
        let mut memory = started(0, 1800, None);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let before = memory.answered.as_ref().unwrap().at;
            let now = memory.due(true);
            waits.push((now - before).as_secs());
            memory.answered(now, None, &reply(1800, None));
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1800, 60]);
    }

    #[test]
    fn failures_double_the_wait_up_to_half_an_hour_and_an_answer_ends_them() {
        let mut memory = started(0, 1800, None);
        let waits: Vec<u64> = (0..12).map(|n| memory.failed(secs(n), false, 0.5).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800, 1800]);
        assert_eq!(memory.due(true), secs(11 + 1800));
        assert!(!memory.expects_us());
        memory.answered(secs(5000), None, &reply(600, None));
        assert_eq!((memory.failures(), memory.due(false)), (0, secs(5600)));
        assert_eq!(memory.failed(secs(0), true, 0.5), secs(60));
    }

    #[test]
    fn waits_after_failures_differ_by_a_fifth_at_most() {
        assert_eq!(AnnounceMemory::default().failed(secs(0), false, 0.0), secs(4));
        assert_eq!(AnnounceMemory::default().failed(secs(0), false, 1.0), secs(6));
    }

    #[test]
    fn a_crash_in_an_announce_is_tried_again_at_once_and_then_ever_more_rarely() {
        let mut memory = AnnounceMemory::default();
        let mut waits = Vec::new();
        for now in 100..105 {
            memory.begin(secs(now), 1);
            waits.push(memory.due(true).saturating_sub(secs(now)).as_secs());
        }
        assert_eq!(waits, [0, 5, 10, 20, 40]);
        memory.answered(secs(200), Some(Event::Started), &reply(1800, None));
        memory.begin(secs(2000), 1);
        assert_eq!(memory.due(false), secs(2000), "the interval is over: at once");
    }

    #[test]
    fn completed_is_announced_once_and_only_to_those_who_heard_started() {
        let mut memory = AnnounceMemory::default();
        memory.completed();
        memory.begin(secs(1), 0);
        memory.answered(secs(1), Some(Event::Started), &reply(1800, None));
        assert_eq!(memory.event(), None);
        memory.completed();
        assert_eq!((memory.due(false), memory.event()), (Duration::ZERO, Some(Event::Completed)));
        let wait = memory.failed(secs(2), false, 0.5);
        assert_eq!((memory.due(false), memory.event()), (secs(2) + wait, Some(Event::Completed)));
        memory.answered(secs(9), Some(Event::Completed), &reply(1800, None));
        assert_eq!((memory.due(false), memory.event()), (secs(1809), None));
    }

    #[test]
    fn a_download_that_completes_while_started_is_on_its_way_is_announced_after_it() {
        let mut memory = AnnounceMemory::default();
        memory.begin(secs(1), 5);
        memory.completed();
        let mut unheard = memory.clone();
        memory.answered(secs(2), Some(Event::Started), &reply(1800, None));
        assert_eq!((memory.due(false), memory.event()), (Duration::ZERO, Some(Event::Completed)));

        unheard.failed(secs(2), false, 0.5);
        assert_eq!(unheard.event(), Some(Event::Started));
        unheard.begin(secs(9), 0);
        unheard.answered(secs(9), Some(Event::Started), &reply(1800, None));
        assert_eq!(unheard.event(), None);
    }

    #[test]
    fn a_tracker_id_is_kept_until_another_one_comes() {
        let mut memory = AnnounceMemory::default();
        let with_id = |id: Option<&[u8]>| AnnounceReply { tracker_id: id.map(<[u8]>::to_vec), ..reply(60, None) };
        memory.answered(secs(0), None, &with_id(Some(b"a")));
        memory.answered(secs(0), None, &with_id(None));
        assert_eq!(memory.tracker_id(), Some(&b"a"[..]));
    }
}
