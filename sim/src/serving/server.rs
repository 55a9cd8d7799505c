//! What is a replica to its fleet? Whatever takes requests, ends what ends now, and starts what can start.

use super::request::Job;
use super::step::{Batch, StepTime};
use super::work::Work;
use crate::engine::Time;

/// What the fleet asks of a replica: take a request, end what ends now, start what can start.
pub(crate) trait Server {
    /// Fetches what the next event will read from memory, while there is something else to do; changes nothing.
    fn touch(&self);
    /// Queues a request that arrives at `now`; says whether `next_end` changed.
    fn enqueue<S: StepTime + ?Sized>(&mut self, id: u32, now: Time, step: &S) -> bool;
    /// Gives up what follows the step that runs at `now`; says whether `next_end` changed.
    fn interrupt<S: StepTime + ?Sized>(&mut self, now: Time, step: &S) -> bool;
    /// Ends everything that ends at `now`; completed requests are appended to `done`. Returns how many steps ended.
    fn finish(&mut self, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) -> u64;
    /// Ends what ended by `now` and was no event. Returns how many steps, and when the last ended.
    fn settle<S: StepTime + ?Sized>(&mut self, now: Time, step: &S) -> (u64, Time);
    /// Starts what can start at `now`.
    fn start<S: StepTime + ?Sized>(&mut self, now: Time, step: &S, jobs: &mut [Job]);
    /// Returns when the next thing ends here.
    fn next_end(&self) -> Option<Time>;
    /// Says whether `start` could start something if a request came.
    fn may_start(&self) -> bool;
    /// Returns how many requests have not been scheduled.
    fn n_waiting(&self) -> u32;
    /// Returns the blocks in use.
    fn blocks_used(&self) -> u32;
    /// Returns output tokens so far, and tokens held in the cache, of a request that is here.
    fn progress(&self, job: &Job) -> (u64, u64);
    /// Returns what has been done in steps that have ended.
    fn work(&self) -> Work;
    /// Returns when the one step that runs began and ends, and what is in it.
    fn running(&self) -> Option<(Time, Time, Batch)>;
    /// Returns every request that is here.
    fn requests(&self) -> Vec<u32>;
    /// Forgets all requests, which are returned, and the step that runs at `now`.
    fn clear(&mut self, now: Time) -> Vec<u32>;
}
