//! What came once, to come again? Requests as somebody logged them, and the hashes of what their prompts begin with.

use super::arrivals::Workload;
use super::prefix::Prefixes;
use super::request::Request;
use crate::engine::Time;

/// The requests of a trace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    /// Requests in the simulator's order: by arrival, those of one instant by prompt, then output.
    requests: Vec<Request>,
    /// Hashes of each, in the same order, where they are known.
    hashes: Option<Vec<Vec<u64>>>,
}

impl Recording {
    /// Returns requests in any order, with their hashes where there are any for each.
    pub fn new(requests: Vec<Request>, hashes: Option<Vec<Vec<u64>>>) -> Recording {
        Recording { requests, hashes }.ordered()
    }

    /// Returns the requests by arrival.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Returns the same with all arrivals `factor` times as close: bursts stay bursts.
    #[must_use]
    pub fn faster(&self, factor: f64) -> Recording {
        let at = |request: &Request| Time::from_seconds(request.arrival.seconds() / factor);
        let requests = self.requests.iter().map(|request| Request { arrival: at(request), ..*request });
        // Instants that fall together may need another order.
        Recording { requests: requests.collect(), hashes: self.hashes.clone() }.ordered()
    }

    /// Returns it as a workload; with its hashes, of so many tokens each, where they are wanted.
    pub fn workload(&self, hash_tokens: Option<u32>) -> Workload {
        let (Some(tokens), Some(hashes)) = (hash_tokens, &self.hashes) else {
            return Workload::Trace(self.requests.clone());
        };
        let mut prefixes = Prefixes::new(tokens);
        hashes.iter().for_each(|of_request| prefixes.push(of_request));
        Workload::Prefixed(self.requests.clone(), prefixes)
    }

    /// Returns the same requests with one token to write.
    #[must_use]
    pub fn first_tokens(&self) -> Recording {
        let requests =
            self.requests.iter().map(|request| Request { output: request.output.min(1), ..*request });
        Recording { requests: requests.collect(), hashes: self.hashes.clone() }.ordered()
    }

    fn ordered(mut self) -> Recording {
        if self.requests.is_sorted() {
            return self;
        }
        let mut order: Vec<usize> = (0..self.requests.len()).collect();
        order.sort_by_key(|&index| self.requests[index]);
        self.requests.sort();
        self.hashes = self.hashes.map(|mut all| {
            order.iter().map(|&index| all.get_mut(index).map(std::mem::take).unwrap_or_default()).collect()
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_go_with_their_requests() {
        let request = |ns, prompt| Request { arrival: Time::from_ns(ns), prompt, output: 1 };
        let rows = vec![request(5, 9), request(5, 3), request(1, 7)];
        let recording = Recording::new(rows, Some(vec![vec![9], vec![3], vec![7]]));
        let Workload::Prefixed(rows, prefixes) = recording.workload(Some(16)) else { panic!("no hashes") };
        assert_eq!(rows, [request(1, 7), request(5, 3), request(5, 9)]);
        let first = |number| prefixes.of(number, 100).iter().next();
        assert_eq!([0, 1, 2].map(first), [Some(7), Some(3), Some(9)]);
        assert!(matches!(recording.workload(None), Workload::Trace(_)));
        assert_eq!(recording.faster(0.5).requests()[2].arrival, Time::from_ns(10));
    }
}
