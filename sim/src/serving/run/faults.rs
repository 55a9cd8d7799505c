//! What becomes of requests when a replica fails, or is slow? They are sent again to those that live, or they are lost; a
//! slow one keeps them.

use super::{Fleet, Outcome, Server, StepTime, Time};
use crate::serving::probe::Probe;
use crate::serving::router::Load;
use crate::serving::step::Batch;

/// A replica that fails, and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// From when on it is sent no more requests: the notice of a spot market; `at` where nothing warns.
    pub warned: Time,
    /// When it fails. The step that runs is lost.
    pub at: Time,
    /// Which.
    pub replica: u32,
    /// When it takes requests again, with an empty cache; `NEVER` if it does not.
    pub back: Time,
    /// What it does to the replica and its requests.
    pub effect: Effect,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It is down.
    Down(Interrupted),
    /// Its steps take so many thousandths of their time.
    Slow {
        /// 2,000 is twice as long.
        per_mille: u32,
    },
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
    what: Change,
    replica: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Back,
    Pace(u32),
    Warn,
    Fail(Interrupted),
}

/// Thousandths of its time that a step takes on a replica that is not slow.
const USUAL: u32 = 1_000;

/// How slow a replica is: in the step that runs, and in those that begin from now on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    runs: u32,
    next: u32,
}

/// Returns the paces of `n` replicas; none where no fault slows any.
pub(super) fn paces(faults: &[Fault], n: usize) -> Vec<Pace> {
    let slows = faults.iter().any(|fault| matches!(fault.effect, Effect::Slow { .. }));
    vec![Pace { runs: USUAL, next: USUAL }; if slows { n } else { 0 }]
}

impl Pace {
    /// Returns the time of the steps that run.
    pub fn of<S: ?Sized>(self, step: &S) -> Paced<'_, S> {
        Paced { step, factor: f64::from(self.runs) / f64::from(USUAL) }
    }
}

/// A step time, longer.
pub(super) struct Paced<'a, S: ?Sized> {
    step: &'a S,
    factor: f64,
}

impl<S: StepTime + ?Sized> StepTime for Paced<'_, S> {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        self.step.nanoseconds(batch) * self.factor
    }

    fn stage_nanoseconds(&self, batch: &Batch, last: bool) -> f64 {
        self.step.stage_nanoseconds(batch, last) * self.factor
    }
}

/// Returns the changes that faults make, in order. One of a replica that there is not, or that ends before it begins,
/// makes none; a fault of a replica that is down already changes nothing when it strikes.
pub(super) fn turns(faults: &[Fault], n_replicas: u32) -> Vec<Turn> {
    let mut turns = Vec::new();
    for fault in faults.iter().filter(|fault| fault.replica < n_replicas && fault.back > fault.at) {
        let mut add = |at: Time, what| {
            if at != Time::NEVER {
                turns.push(Turn { at, what, replica: fault.replica });
            }
        };
        match fault.effect {
            Effect::Down(interrupted) => {
                if fault.warned < fault.at {
                    add(fault.warned, Change::Warn);
                }
                add(fault.at, Change::Fail(interrupted));
                add(fault.back, Change::Back);
            }
            Effect::Slow { per_mille } => {
                add(fault.at, Change::Pace(per_mille.max(1)));
                add(fault.back, Change::Pace(USUAL));
            }
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
        let mut is_one_back = false;
        while let Some(&turn) = self.turns.get(self.next_turn).filter(|turn| turn.at == self.now) {
            self.next_turn += 1;
            self.events += 1;
            let replica = turn.replica;
            match turn.what {
                Change::Warn => {
                    self.routing.fail(replica);
                }
                Change::Fail(interrupted) => self.fail(replica, interrupted == Interrupted::Lost),
                Change::Pace(per_mille) => self.slow(replica, per_mille),
                Change::Back => {
                    self.down[replica as usize] = false;
                    if self.scaling.as_ref().is_none_or(|scaling| scaling.serves(replica)) {
                        self.routing.revive(replica);
                        self.observe(replica);
                        is_one_back = true;
                    }
                }
            }
        }
        // All that are back at this instant share what waited for them.
        if is_one_back {
            self.house_homeless();
        }
    }

    fn fail(&mut self, replica: u32, lose: bool) {
        self.routing.fail(replica);
        if std::mem::replace(&mut self.down[replica as usize], true) {
            return;
        }
        let (n_steps, _) = self.settle(replica, self.now);
        self.events += n_steps;
        let server = &mut self.servers[replica as usize];
        for &id in &server.requests() {
            self.tokens.count_thrown_away(server.progress(&self.jobs.places[id as usize]));
        }
        let mut orphans = server.clear(self.now);
        self.agenda.cancel(replica);
        self.loads[replica as usize] = Load::default();
        if let Some(scaling) = &mut self.scaling {
            scaling.is_empty(replica, self.now);
        }
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

    /// Makes the steps that a replica begins from now on take longer, or as long as ever.
    fn slow(&mut self, replica: u32, per_mille: u32) {
        let step = self.paces[replica as usize].of(self.step);
        if self.servers[replica as usize].interrupt(self.now, &step) {
            self.touched.push(replica);
        }
        self.paces[replica as usize].next = per_mille;
    }

    /// Starts what can start on a replica, at its pace.
    pub(super) fn start_at_pace(&mut self, replica: u32) {
        let pace = &mut self.paces[replica as usize];
        if self.servers[replica as usize].may_start() {
            pace.runs = pace.next;
        }
        let step = pace.of(self.step);
        self.servers[replica as usize].start(self.now, &step, &mut self.jobs.places);
    }

    /// Ends the steps of a replica that ended by `limit` and were no events.
    pub(super) fn settle(&mut self, replica: u32, limit: Time) -> (u64, Time) {
        if self.paces.is_empty() {
            return self.servers[replica as usize].settle(limit, self.step);
        }
        let step = self.paces[replica as usize].of(self.step);
        self.servers[replica as usize].settle(limit, &step)
    }

    /// Sends those that found no replica, now that one may live.
    pub(super) fn house_homeless(&mut self) {
        let homeless = std::mem::take(&mut self.homeless);
        homeless.into_iter().for_each(|id| self.send(id));
    }

    pub(super) fn lose(&mut self, id: u32) {
        self.leave(id, Outcome::Lost);
    }

    /// Lets a request go that no replica has.
    pub(super) fn leave(&mut self, id: u32, outcome: Outcome) {
        let job = &self.jobs.places[id as usize];
        (self.log)(u64::from(job.number), &job.record(Time::NEVER, outcome, self.config));
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
