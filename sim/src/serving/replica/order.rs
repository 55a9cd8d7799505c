//! Who goes first, and who is evicted first? The order of those that wait, and of those that run.

use super::Replica;
use crate::serving::request::Job;

impl Replica<'_> {
    /// Says whether a request goes behind those that do not.
    pub fn yields(&self, job: &Job) -> bool {
        self.config.yields(u64::from(job.number))
    }

    /// Makes an admitted request running: the last of those that do not yield, or the last of all.
    pub fn run(&mut self, id: u32, jobs: &[Job]) {
        if self.config.background.is_none() || self.yields(&jobs[id as usize]) {
            return self.running.push(id);
        }
        let place = self.running.partition_point(|&other| !self.yields(&jobs[other as usize]));
        self.running.insert(place, id);
    }

    /// Lets those that wait and do not yield pass those that do.
    pub(super) fn order_waiting(&mut self, jobs: &[Job]) {
        let Some(background) = self.config.background else { return };
        let yields = |&id: &u32| background.holds(u64::from(jobs[id as usize].number));
        self.waiting.make_contiguous().sort_by_key(yields);
    }

    /// Moves the unfinished prompt, which gets no tokens in this step, to where it is evicted last (Vidur: what was
    /// left over goes before the members of the last batch).
    pub fn set_aside(&mut self, id: u32) {
        if self.running.last() == Some(&id) {
            self.running.rotate_right(1);
        }
    }

    /// Moves the unfinished prompt, which gets tokens in this step, to where it is evicted first.
    pub fn put_last(&mut self, id: u32) {
        if self.running.first() == Some(&id) {
            self.running.rotate_left(1);
        }
    }

    /// Makes a request running; the latest to arrive is evicted first.
    pub fn insert_by_arrival(&mut self, id: u32, jobs: &[Job]) {
        let number = jobs[id as usize].number;
        let place = self.running.partition_point(|&other| jobs[other as usize].number < number);
        self.running.insert(place, id);
    }
}
