//! Who gets how much of a link, and who is through when? Transfers that share it max-min fairly.
//!
//! No transfer gets more than its own limit, and none could get more without another that has no more getting less
//! (Bertsekas & Gallager, Data Networks, 1992, section 6.5.2). It knows no packets and no latency.

use super::time::Time;

/// Bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Flow {
    source: u32,
    left: f64,
    /// Most bytes per second of its own.
    most: f64,
    rate: f64,
}

/// A link and what crosses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    bytes_per_second: f64,
    flows: Vec<Flow>,
    now: Time,
}

impl Link {
    /// Returns an idle link; a rate that is not above zero carries nothing, ever.
    pub fn new(bytes_per_second: f64) -> Link {
        Link { bytes_per_second, flows: Vec::new(), now: Time::ZERO }
    }

    /// Begins a transfer of `bytes` for `source`, which takes at most `most` bytes per second.
    pub fn begin(&mut self, now: Time, source: u32, bytes: f64, most: f64) {
        self.go_on(now);
        self.flows.push(Flow { source, left: bytes.max(0.0), most, rate: 0.0 });
        self.share();
    }

    /// Forgets the transfers of `source`.
    pub fn stop(&mut self, now: Time, source: u32) {
        self.go_on(now);
        self.flows.retain(|flow| flow.source != source);
        self.share();
    }

    /// Returns when the next transfer ends.
    pub fn next_end(&self) -> Option<Time> {
        let end = |flow: &Flow| {
            if flow.left <= 0.0 {
                return Some(self.now);
            }
            let ns = (flow.left / flow.rate * 1e9).ceil();
            (flow.rate > 0.0).then(|| self.now.plus(ns as u64)).filter(|end| *end < Time::LATEST)
        };
        self.flows.iter().filter_map(end).min()
    }

    /// Takes away the transfers that have ended at `now` and returns whose they were, in the order in which they began.
    pub fn take_ended(&mut self, now: Time) -> Vec<u32> {
        self.go_on(now);
        // What is left of the nanosecond to which an end is rounded up.
        let ended = |flow: &Flow| flow.left <= flow.rate * 1e-9;
        let sources = self.flows.iter().filter(|flow| ended(flow)).map(|flow| flow.source).collect();
        self.flows.retain(|flow| !ended(flow));
        self.share();
        sources
    }

    fn go_on(&mut self, now: Time) {
        let seconds = now.since(self.now) as f64 * 1e-9;
        if seconds > 0.0 {
            self.flows.iter_mut().for_each(|flow| flow.left -= flow.rate * seconds);
        }
        self.now = self.now.max(now);
    }

    fn share(&mut self) {
        let most: Vec<f64> = self.flows.iter().map(|flow| flow.most).collect();
        for (flow, rate) in self.flows.iter_mut().zip(max_min(self.bytes_per_second, &most)) {
            flow.rate = rate;
        }
    }
}

/// Shares `capacity` over demands max-min fairly.
///
/// Those who want the least are served first, each at most an equal part of what is left.
pub fn max_min(capacity: f64, demands: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by(|&a, &b| demands[a].total_cmp(&demands[b]).then(a.cmp(&b)));
    let mut shares = vec![0.0; demands.len()];
    let mut left = capacity.max(0.0);
    for (place, &index) in order.iter().enumerate() {
        let part = left / (demands.len() - place) as f64;
        shares[index] = demands[index].max(0.0).min(part);
        left -= shares[index];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Time {
        Time::from_seconds(seconds)
    }

    #[test]
    fn twenty_that_start_at_once_take_twenty_times_as_long_as_one() {
        let mut link = Link::new(10e9);
        (0..20).for_each(|source| link.begin(Time::ZERO, source, 10e9, 25e9));
        assert_eq!(link.next_end(), Some(at(20.0)));
        assert_eq!(link.take_ended(at(20.0)), (0..20).collect::<Vec<u32>>());
        link.begin(at(20.0), 7, 10e9, 25e9);
        assert_eq!(link.next_end(), Some(at(21.0)));
    }

    #[test]
    fn what_one_leaves_the_others_take() {
        let mut link = Link::new(10.0);
        link.begin(Time::ZERO, 0, 20.0, 2.0);
        link.begin(Time::ZERO, 1, 80.0, 100.0);
        link.begin(at(5.0), 2, 1e9, 100.0);
        link.stop(at(5.0), 2);
        // 8 of 10 for the second, which is through with the first; a third that came and went changed nothing.
        assert_eq!(link.next_end(), Some(at(10.0)));
        assert_eq!(link.take_ended(at(10.0)), [0, 1]);
        assert_eq!(link.next_end(), None);
        link.begin(at(10.0), 3, 1.0, 0.0);
        assert_eq!(link.next_end(), None, "nothing flows, and nothing waits for it to");
    }

    proptest! {
        /// The definition: all is given or all are served, and who is not served has no less than anyone.
        #[test]
        fn shares_are_max_min_fair(capacity in 0.0..50.0f64, demands in prop::collection::vec(0.0..20.0f64, 1..9)) {
            let shares = max_min(capacity, &demands);
            let (given, asked) = (shares.iter().sum::<f64>(), demands.iter().sum::<f64>());
            prop_assert!((given - capacity.min(asked)).abs() < 1e-9);
            let greatest = shares.iter().copied().fold(0.0, f64::max);
            for (share, demand) in shares.iter().zip(&demands) {
                prop_assert!(share <= demand);
                prop_assert!(*share >= demand - 1e-9 || *share >= greatest - 1e-9);
            }
        }
    }
}
