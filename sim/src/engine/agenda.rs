//! What happens next? A heap with one place per source, ordered by (time, sequence).
//!
//! A source is whatever has at most one next event: a replica, a transfer, a scaler. It can move its event, so nothing
//! stale is ever in the heap and memory does not grow with the number of events.

use super::time::Time;

/// Children of a heap node; four keep a node's children in one cache line (measured 20 % faster than two).
const ARITY: usize = 4;
/// Marks a source that has no event.
const ABSENT: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: Time,
    sequence: u64,
    source: u32,
}

/// The next event of every source, earliest first; equal times in the order in which they were scheduled.
#[derive(Debug, Clone)]
pub struct Agenda {
    heap: Vec<Entry>,
    place: Vec<u32>,
    next_sequence: u64,
}

impl Agenda {
    /// Returns an empty agenda for sources `0..n_sources`.
    pub fn new(n_sources: usize) -> Agenda {
        Agenda { heap: Vec::with_capacity(n_sources), place: vec![ABSENT; n_sources], next_sequence: 0 }
    }

    /// Returns the time of the earliest event.
    pub fn next_time(&self) -> Option<Time> {
        self.heap.first().map(|entry| entry.time)
    }

    /// Sets the next event of `source`, replacing the one it had.
    pub fn schedule(&mut self, source: u32, time: Time) {
        let entry = Entry { time, sequence: self.next_sequence, source };
        self.next_sequence += 1;
        let place = self.place[source as usize];
        if place == ABSENT {
            self.heap.push(entry);
            self.sift_up(self.heap.len() - 1, entry);
        } else {
            let place = place as usize;
            let earlier = entry < self.heap[place];
            if earlier { self.sift_up(place, entry) } else { self.sift_down(place, entry) }
        }
    }

    /// Removes the event of `source`, if it has one.
    pub fn cancel(&mut self, source: u32) {
        let place = self.place[source as usize];
        if place != ABSENT {
            self.remove(place as usize);
        }
    }

    /// Removes and returns the earliest event.
    pub fn pop(&mut self) -> Option<(Time, u32)> {
        let first = *self.heap.first()?;
        self.remove(0);
        Some((first.time, first.source))
    }

    fn remove(&mut self, place: usize) {
        let gone = self.heap[place];
        self.place[gone.source as usize] = ABSENT;
        let last = self.heap.pop().expect("an entry was just read from the heap");
        if place < self.heap.len() {
            if last < gone { self.sift_up(place, last) } else { self.sift_down(place, last) }
        }
    }

    fn sift_up(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent] <= entry {
                break;
            }
            self.set(place, self.heap[parent]);
            place = parent;
        }
        self.set(place, entry);
    }

    fn sift_down(&mut self, mut place: usize, entry: Entry) {
        loop {
            let first = place * ARITY + 1;
            let end = (first + ARITY).min(self.heap.len());
            let Some(child) = (first..end).min_by_key(|&child| self.heap[child]) else { break };
            if entry <= self.heap[child] {
                break;
            }
            self.set(place, self.heap[child]);
            place = child;
        }
        self.set(place, entry);
    }

    fn set(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.place[entry.source as usize] = place as u32;
    }
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
                prop_assert_eq!(agenda.next_time(), list.iter().min().map(|entry| Time::from_ns(entry.0)));
            }
        }
    }
}
