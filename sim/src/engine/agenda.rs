//! What happens next? One place per source, ordered by (time, sequence).
//!
//! A source is whatever has at most one next event: a replica, a transfer, a scaler. It can move its event, so nothing
//! stale is ever kept and memory does not grow with the number of events.

use super::time::Time;
use super::tournament::Tournament;

/// Bits of a key that name the source. The 44 bits left for the sequence last for 10¹³ events.
const SOURCE_BITS: u32 = 20;
/// The key of a source that has no event.
const ABSENT: u128 = u128::MAX;

/// The next event of every source, earliest first; equal times in the order in which they were scheduled.
#[derive(Debug, Clone)]
pub struct Agenda {
    /// By source: time, sequence and source in one word, most significant first.
    keys: Tournament<u128>,
    next_sequence: u64,
}

impl Agenda {
    /// Most sources of an agenda.
    pub const MAX_SOURCES: usize = 1 << SOURCE_BITS;

    /// Returns an empty agenda for sources `0..n_sources`, at most [`Agenda::MAX_SOURCES`].
    pub fn new(n_sources: usize) -> Agenda {
        assert!(n_sources <= Agenda::MAX_SOURCES, "{n_sources} sources do not fit a key");
        Agenda { keys: Tournament::new((0..n_sources).map(|_| ABSENT), ABSENT), next_sequence: 0 }
    }

    /// Returns how often an event has been scheduled: what the run cost, whatever the clock says.
    pub fn n_scheduled(&self) -> u64 {
        self.next_sequence
    }

    /// Returns the time of the earliest event.
    pub fn next_time(&self) -> Option<Time> {
        let key = self.keys.least();
        (key != ABSENT).then(|| time_of(key))
    }

    /// Returns the source of the earliest event.
    pub fn next_source(&self) -> Option<u32> {
        let key = self.keys.least();
        (key != ABSENT).then(|| source_of(key))
    }

    /// Returns the source of the earliest event of all but `source`: whose turn it is next, if `source` has none before.
    pub fn next_source_but(&self, source: u32) -> Option<u32> {
        let key = self.keys.least_but(source as usize);
        (key != ABSENT).then(|| source_of(key))
    }

    /// Sets the next event of `source`, replacing the one it had.
    pub fn schedule(&mut self, source: u32, time: Time) {
        let rank = self.next_sequence << SOURCE_BITS | u64::from(source);
        self.next_sequence += 1;
        self.keys.set(source as usize, u128::from(time.ns()) << u64::BITS | u128::from(rank));
    }

    /// Removes the event of `source`, if it has one.
    pub fn cancel(&mut self, source: u32) {
        self.keys.set(source as usize, ABSENT);
    }

    /// Removes and returns the earliest event.
    pub fn pop(&mut self) -> Option<(Time, u32)> {
        let key = self.keys.least();
        if key == ABSENT {
            return None;
        }
        let source = source_of(key);
        self.cancel(source);
        Some((time_of(key), source))
    }
}

fn source_of(key: u128) -> u32 {
    key as u32 & (Agenda::MAX_SOURCES as u32 - 1)
}

fn time_of(key: u128) -> Time {
    Time::from_ns((key >> u64::BITS) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_times_come_out_in_the_order_they_were_scheduled() {
        let mut agenda = Agenda::new(3);
        for source in [2, 0, 1] {
            agenda.schedule(source, Time::from_ns(7));
        }
        let order: Vec<u32> = std::iter::from_fn(|| agenda.pop()).map(|(_, source)| source).collect();
        assert_eq!(order, [2, 0, 1]);
    }

    proptest! {
        /// The agenda agrees with a list that is searched from end to end.
        #[test]
        fn agenda_equals_a_sorted_list(steps in prop::collection::vec((0u32..9, 0u64..20, 0u8..4), 1..200)) {
            let mut agenda = Agenda::new(9);
            let mut list: Vec<(u64, u64, u32)> = Vec::new();
            for (sequence, (source, time, action)) in steps.into_iter().enumerate() {
                match action {
                    0 => {
                        list.sort_unstable();
                        let expect = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(agenda.pop(), expect.map(|(time, _, source)| (Time::from_ns(time), source)));
                    }
                    1 => {
                        agenda.cancel(source);
                        list.retain(|entry| entry.2 != source);
                    }
                    _ => {
                        agenda.schedule(source, Time::from_ns(time));
                        list.retain(|entry| entry.2 != source);
                        list.push((time, sequence as u64, source));
                    }
                }
                let first = list.iter().min();
                prop_assert_eq!(agenda.next_time(), first.map(|entry| Time::from_ns(entry.0)));
                prop_assert_eq!(agenda.next_source(), first.map(|entry| entry.2));
            }
        }
    }
}
