//! What is done when the disk refuses: the torrent pauses, looks whether the cause is gone, and goes on by itself.
//!
//! Part of `store`. What was refused is kept and tried again, the oldest first and one at a time, until nothing of it is left. When the
//! files are not what was written to them any more, nothing is tried: this incarnation ends, and the next one looks what is left.
//! It opens no file: workers do.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::events::DiskChange;
use crate::process::file_worker::Look;
use crate::protocol::BLOCK_BYTES;
use crate::tables::Paused;

/// Between two looks whether there is room, or a right, that was not there before.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From a refusal to the next try when no look gives hope; doubles with each refusal up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Between two complaints that finished pieces cannot be read.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What the disk refused.
pub(super) enum Work {
    Write(Whole<Block, SocketAddr>),
    Spill(Spill<Block>, Lease),
    Check(PieceIndex),
    Survey,
    Prepare,
    Trim,
}

/// Which work is being tried again.
#[derive(PartialEq, Eq)]
pub(super) enum Trial {
    Write(PieceIndex),
    /// Which one: where its token is.
    Spill(PieceIndex, usize),
    Check(PieceIndex),
    Survey,
    Prepare,
    Trim,
}

/// What the disk refused, and when it is tried again.
pub(super) struct Refused {
    /// The oldest first.
    work: VecDeque<Work>,
    trial: Option<Trial>,
    looking: bool,
    look_at: Duration,
    wait: Duration,
    retry_at: Duration,
    since: Duration,
    /// Free bytes at the last look; `None`: nothing may be written at all.
    room: Option<Option<u64>>,
    complain_at: Duration,
    /// Pieces that could not be read back, and are not finished yet.
    pub(super) unreadable: BTreeSet<PieceIndex>,
}

impl Refused {
    pub(super) fn new() -> Self {
        Self {
            work: VecDeque::new(),
            trial: None,
            looking: false,
            look_at: Duration::ZERO,
            wait: FIRST_WAIT,
            retry_at: Duration::ZERO,
            since: Duration::ZERO,
            room: None,
            complain_at: Duration::ZERO,
            unreadable: BTreeSet::new(),
        }
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Option<Duration> {
        let idle = !self.looking && self.trial.is_none();
        (idle && !self.work.is_empty()).then_some(self.look_at)
    }

    /// Blocks of `piece` are not to be written any more.
    pub(super) fn drop_spills(&mut self, piece: PieceIndex) {
        self.work.retain(|work| !matches!(work, Work::Spill(spill, _) if spill.piece == piece));
    }

    /// Whole pieces that are kept here and in nobody's hands.
    pub(super) fn writes(&self) -> usize {
        self.work.iter().filter(|work| matches!(work, Work::Write(_))).count()
    }
}

impl Store {
    /// The disk refused: the torrent pauses.
    pub(super) fn refused(&mut self, work: Work, error: &DiskError) {
        let now = clock::since_start();
        // What cannot be read back is fetched again: writing may mend it. If it does not, this is a refusal like others.
        if let Work::Write(whole) = &work
            && whole.is_on_disk()
            && (error.content_lost() || !error.is_refusal() && self.refused.unreadable.insert(whole.piece))
        {
            log::warn!("{error}; piece {} is fetched again", whole.piece);
            self.give_up(whole.piece);
            self.went_well(&work.trial());
            self.lose_if_content_lost(error);
            return;
        }
        // The next incarnation does the same when it has looked what is left.
        if error.content_lost() && matches!(work, Work::Check(_) | Work::Prepare) {
            return self.lose(error);
        }
        let tried = self.refused.trial.as_ref() == Some(&work.trial());
        if tried {
            self.refused.trial = None;
            self.refused.wait = (self.refused.wait * 2).min(MAX_WAIT);
            self.refused.retry_at = now + self.refused.wait;
            self.refused.look_at = now + LOOK_EVERY;
            self.refused.work.push_front(work);
        } else {
            self.refused.work.push_back(work);
        }
        if self.lose_if_content_lost(error) {
            return;
        }
        if error.is_hopeless() {
            return self.torrent.fail(error.to_string());
        }
        let paused = Paused::because(error);
        let before = lock(&self.torrent.paused).replace(paused.clone());
        if before.is_none() {
            self.refused.wait = FIRST_WAIT;
            self.refused.retry_at = now + FIRST_WAIT;
            self.refused.since = now;
            self.refused.room = None;
            self.look();
        }
        // Once for each reason, not for each try.
        if before.is_none_or(|before| before.reason != paused.reason) {
            log::warn!("{error}; waiting, and going on by itself");
            self.torrent.tell(Event::Disk { change: DiskChange::Refuses, message: error.to_string() });
        }
        self.share_memory();
    }

    pub(super) fn look_if_due(&mut self) {
        if self.refused.due().is_some_and(|due| due <= clock::since_start()) {
            self.look();
        }
    }

    fn look(&mut self) {
        let first = self.refused.work.front();
        let piece = first.and_then(Work::piece);
        self.refused.looking = true;
        let look = Look::new(self.torrent.clone(), piece);
        self.torrent.session.file_jobs.cast(file_worker::Msg::Look(look));
    }

    /// A look is over. More room than before, or the right to write: a try is worth it; otherwise when its time has come.
    pub(super) fn looked(&mut self, room: Option<u64>) {
        let now = clock::since_start();
        self.refused.looking = false;
        self.refused.look_at = now + LOOK_EVERY;
        let more = self.refused.room.replace(room).is_some_and(|before| room > before);
        if (more || self.refused.retry_at <= now) && self.refused.trial.is_none() {
            self.try_again();
        }
        self.share_memory();
    }

    fn try_again(&mut self) {
        let Some(work) = self.refused.work.pop_front() else { return };
        let (torrent, session) = (self.torrent.clone(), &self.torrent.session);
        self.refused.trial = Some(work.trial());
        match work {
            Work::Write(whole) if whole.is_on_disk() => self.hash(whole, 0),
            Work::Spill(spill, lease) => self.spill(spill, lease, 0),
            Work::Write(whole) => session.file_jobs.cast(file_worker::Msg::Write(Job::new(torrent, whole, 0))),
            Work::Check(piece) => session.piece_jobs.cast(piece_worker::Msg::Check(Check::new(torrent, vec![piece]))),
            Work::Survey => session.file_jobs.cast(file_worker::Msg::Survey(torrent)),
            Work::Prepare => session.file_jobs.cast(file_worker::Msg::Prepare(torrent)),
            Work::Trim => session.file_jobs.cast(file_worker::Msg::Trim(torrent)),
        }
    }

    /// Work is done, perhaps the one that was tried again: then the next is tried, and after the last the torrent goes on.
    pub(super) fn went_well(&mut self, work: &Trial) {
        if self.refused.trial.as_ref() != Some(work) {
            return;
        }
        self.refused.trial = None;
        if !self.refused.work.is_empty() {
            return self.try_again();
        }
        self.go_on_if_nothing_is_left();
    }

    /// Nothing is refused any more, perhaps because it was given up.
    pub(super) fn go_on_if_nothing_is_left(&mut self) {
        let left = self.refused.trial.is_some() || !self.refused.work.is_empty();
        if left || lock(&self.torrent.paused).take().is_none() {
            return;
        }
        let waited = clock::since_start().saturating_sub(self.refused.since).as_secs();
        let message = format!("the disk takes what it refused; going on after {waited} s");
        log::info!("{message}");
        self.torrent.tell(Event::Disk { change: DiskChange::Works, message });
        self.torrent.client.cast(client::Msg::DiskWorks);
    }

    /// A finished piece cannot be read for a peer.
    pub(super) fn not_read(&mut self, piece: PieceIndex, error: &DiskError) {
        if !lock(&self.torrent.vault).have().get(piece.0) {
            return;
        }
        if error.content_lost() {
            return self.lose(error);
        }
        let now = clock::since_start();
        if now >= self.refused.complain_at {
            self.refused.complain_at = now + COMPLAIN_EVERY;
            log::warn!("{error}; what cannot be read is not served");
            self.torrent.tell(Event::Disk { change: DiskChange::Unreadable, message: error.to_string() });
        }
    }

    /// What waits for the disk takes at most half of the memory, all torrents that may wait together: the other half stays with those whose
    /// disks work. What is too much is fetched again. A torrent that is alone in its session keeps everything.
    fn share_memory(&mut self) {
        let session = &self.torrent.session;
        let torrents = lock(&session.torrents).len() as u64;
        if torrents < 2 {
            return;
        }
        let share = session.config.memory_bytes / 2 / torrents;
        let mut held: u64 = self.refused.work.iter().map(Work::bytes).sum();
        held += lock(&self.torrent.vault).blocks_kept() * u64::from(BLOCK_BYTES);
        // What is not complete goes first.
        while held > share
            && let Some((piece, blocks)) = lock(&self.torrent.vault).drop_largest()
        {
            held -= u64::from(blocks) * u64::from(BLOCK_BYTES);
            self.torrent.client.cast(client::Msg::Dropped { piece });
        }
        // Then the newest; one piece stays, to be tried with.
        let stays = match &self.refused.trial {
            Some(Trial::Write(piece) | Trial::Spill(piece, _)) => Some(*piece),
            _ => self.refused.work.iter().find_map(Work::piece),
        };
        let bytes = |refused: &Refused| -> u64 { refused.work.iter().map(Work::bytes).sum() };
        while bytes(&self.refused) > share {
            let heavy = self.refused.work.iter().rev().filter(|work| work.bytes() > 0);
            let Some(piece) = heavy.filter_map(Work::piece).find(|piece| Some(*piece) != stays) else { break };
            self.refused.work.retain(|work| work.piece() != Some(piece));
            self.give_up(piece);
        }
    }
}

impl Work {
    /// What is to be written.
    fn piece(&self) -> Option<PieceIndex> {
        match self {
            Self::Write(whole) => Some(whole.piece),
            Self::Spill(spill, _) => Some(spill.piece),
            _ => None,
        }
    }

    /// Bytes of blocks that it keeps in memory.
    fn bytes(&self) -> u64 {
        match self {
            Self::Write(whole) => whole.blocks.iter().map(|block| block.len() as u64).sum(),
            Self::Spill(spill, _) => file_worker::bytes_of(spill),
            _ => 0,
        }
    }

    fn trial(&self) -> Trial {
        match self {
            Self::Write(whole) => Trial::Write(whole.piece),
            Self::Spill(spill, _) => Trial::spill(spill.piece, &spill.token),
            Self::Check(piece) => Trial::Check(*piece),
            Self::Survey => Trial::Survey,
            Self::Prepare => Trial::Prepare,
            Self::Trim => Trial::Trim,
        }
    }
}

impl Trial {
    pub(super) fn spill(piece: PieceIndex, token: &Arc<()>) -> Self {
        Self::Spill(piece, Arc::as_ptr(token).addr())
    }
}

impl Drop for Store {
    /// What waits for the disk goes to the next incarnation, and so does room that is still to be reserved.
    fn drop(&mut self) {
        for work in self.refused.work.drain(..) {
            match work {
                Work::Write(whole) => self.torrent.store.cast(Msg::Returned { whole, crashes: 0 }),
                Work::Spill(spill, lease) => self.torrent.store.cast(Msg::SpillReturned { spill, lease, crashes: 0 }),
                Work::Prepare => self.torrent.session.file_jobs.cast(file_worker::Msg::Prepare(self.torrent.clone())),
                Work::Check(_) | Work::Survey | Work::Trim => {}
            }
        }
        lock(&self.torrent.paused).take();
    }
}
