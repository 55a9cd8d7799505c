//! What becomes of requests when a replica fails? They are sent again to those that live, or they are lost.

use super::{Fleet, Outcome, Server, StepTime, Time};
use crate::serving::probe::Probe;
use crate::serving::router::Load;

/// A replica that fails, and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// When it fails. The step that runs is lost.
    pub at: Time,
    /// Which.
    pub replica: u32,
    /// When it takes requests again, with an empty cache; `NEVER` if it does not.
    pub back: Time,
    /// What becomes of the requests that it had.
    pub requests: Interrupted,
}

/// What becomes of requests whose replica fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interrupted {
    /// They are sent again at once, from the beginning: what was written is thrown away, and their clocks run on.
    Retried,
    /// They are lost.
    Lost,
}

/// A change of what lives, at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub at: Time,
    /// Those that come back do so before others fail.
    fails: bool,
    replica: u32,
    lose: bool,
}

/// Returns the changes that faults make, in order. One of a replica that there is not, or that ends before it begins,
/// makes none; a fault of a replica that is down already changes nothing when it strikes.
pub(super) fn turns(faults: &[Fault], n_replicas: u32) -> Vec<Turn> {
    let mut turns = Vec::new();
    for fault in faults.iter().filter(|fault| fault.replica < n_replicas && fault.back > fault.at) {
        let lose = fault.requests == Interrupted::Lost;
        turns.push(Turn { at: fault.at, fails: true, replica: fault.replica, lose });
        if fault.back != Time::NEVER {
            turns.push(Turn { at: fault.back, fails: false, replica: fault.replica, lose });
        }
    }
    turns.sort_unstable();
    turns
}

impl<S: StepTime + ?Sized, R: Server, P: Probe> Fleet<'_, S, R, P> {
    /// Returns when the next change of what lives is, while it can still matter.
    pub(super) fn next_turn(&self) -> Option<Time> {
        let matters = self.n_outstanding > 0 || self.arrivals.next_time().is_some();
        self.turns.get(self.next_turn).filter(|_| matters).map(|turn| turn.at)
    }

    /// Lets replicas fail and come back at this instant.
    pub(super) fn take_turns(&mut self) {
        while let Some(&turn) = self.turns.get(self.next_turn).filter(|turn| turn.at == self.now) {
            self.next_turn += 1;
            self.events += 1;
            if turn.fails {
                self.fail(turn.replica, turn.lose);
            } else {
                self.routing.revive(turn.replica);
                let homeless = std::mem::take(&mut self.homeless);
                homeless.into_iter().for_each(|id| self.send(id));
            }
        }
    }

    fn fail(&mut self, replica: u32, lose: bool) {
        if !self.routing.fail(replica) {
            return;
        }
        let server = &mut self.servers[replica as usize];
        let (n_steps, _) = server.settle(self.now, self.step);
        self.events += n_steps;
        for &id in &server.requests() {
            self.tokens.count_thrown_away(server.progress(&self.jobs.places[id as usize]));
        }
        let mut orphans = server.clear(self.now);
        self.agenda.cancel(replica);
        self.loads[replica as usize] = Load::default();
        orphans.sort_unstable_by_key(|&id| self.jobs.places[id as usize].number);
        for id in orphans {
            if lose {
                self.lose(id);
            } else {
                self.jobs.places[id as usize].begin_again();
                self.send(id);
            }
        }
    }

    pub(super) fn lose(&mut self, id: u32) {
        let job = &self.jobs.places[id as usize];
        (self.log)(u64::from(job.number), &job.record(Time::NEVER, Outcome::Lost));
        self.tokens.n_left += 1;
        self.n_outstanding -= 1;
        self.jobs.leave(id);
        self.arrivals.answered(self.now);
    }

    /// Gives up those that no replica will ever take.
    pub(super) fn give_up_homeless(&mut self) -> bool {
        let homeless = std::mem::take(&mut self.homeless);
        let any = !homeless.is_empty();
        homeless.into_iter().for_each(|id| self.lose(id));
        any
    }
}
