//! How many replicas should there be? The horizontal pod autoscaler's formula on requests in flight, and KEDA's way to
//! zero; and what a replica goes through before it serves.
//!
//! Kubernetes, pkg/controller/podautoscaler (`GetExternalPerPodMetricReplicas`, `stabilizeRecommendationWithBehaviors`,
//! `calculateScaleUpLimitWithScalingRules`), v1.31: one external metric with an average value, which is how KEDA asks.
//! It does not know how the metric is scraped: it sees the requests in flight at the instant it looks.

use std::collections::VecDeque;

use crate::engine::Time;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// How the number of replicas follows the requests in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoscaler {
    /// Fewest replicas; zero as KEDA's `minReplicaCount` allows.
    pub least: u32,
    /// Replicas that serve at the start. The most are those of the configuration.
    pub initial: u32,
    /// Requests in flight for each replica that are aimed at.
    pub target: f64,
    /// Relative deviation from the target at which nothing is changed (HPA: 0.1).
    pub tolerance: f64,
    /// Nanoseconds between two looks (HPA: 15 s).
    pub sync_ns: u64,
    /// How it grows.
    pub up: Behaviour,
    /// How it shrinks.
    pub down: Behaviour,
    /// Nanoseconds without a request after which the last replica goes, where `least` is zero (KEDA: 300 s).
    pub cooldown_ns: u64,
    /// What a replica goes through before it serves.
    pub start: ColdStart,
}

/// How fast replicas are added or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Nanoseconds in which the most cautious recommendation counts.
    pub window_ns: u64,
    /// Most replicas in a period.
    pub pods: u32,
    /// Most per cent of the replicas in a period; the larger of the two holds.
    pub percent: u32,
    /// Nanoseconds of a period.
    pub period_ns: u64,
}

impl Behaviour {
    /// What Kubernetes does when nothing is said: at once, four or all again every 15 seconds.
    pub const UP: Behaviour = Behaviour { window_ns: 0, pods: 4, percent: 100, period_ns: 15 * SECOND };
    /// What Kubernetes does when nothing is said: only what held for five minutes, then all at once.
    pub const DOWN: Behaviour =
        Behaviour { window_ns: 300 * SECOND, pods: 0, percent: 100, period_ns: 15 * SECOND };
}

/// What a replica goes through before it serves, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ColdStart {
    /// Nanoseconds until there is a node.
    pub provision_ns: u64,
    /// Bytes of the image that are pulled before its program starts.
    pub image_bytes: f64,
    /// Bytes of the image that follow while the program runs: none where it is pulled eagerly.
    pub image_rest_bytes: f64,
    /// Bytes of weights of a replica.
    pub weight_bytes: f64,
    /// Bytes per second that the registry gives all of them together, and a replica can take.
    pub registry: Pipe,
    /// Bytes per second that the storage of weights gives all of them together, and a replica can take.
    pub storage: Pipe,
    /// Nanoseconds from the last weight to the first answer: graphs are captured, kernels compiled, the cache laid out.
    pub warm_up_ns: u64,
}

/// A shared end, and the own one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pipe {
    /// Bytes per second of all.
    pub shared: f64,
    /// Bytes per second of one.
    pub own: f64,
}

/// Why an autoscaler cannot work.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum AutoscaleError {
    /// Its limits contradict.
    #[error("an autoscaler cannot keep {least} to {most} replicas and begin with {initial}")]
    Limits {
        /// Fewest.
        least: u32,
        /// Most.
        most: u32,
        /// At the start.
        initial: u32,
    },
    /// A number that must be above zero is not.
    #[error("an autoscaler needs a {0} above zero")]
    NotPositive(&'static str),
}

impl Autoscaler {
    /// Returns one with the defaults of Kubernetes and KEDA; replicas start at once.
    pub fn kubernetes(least: u32, initial: u32, target: f64) -> Autoscaler {
        Autoscaler {
            least,
            initial,
            target,
            tolerance: 0.1,
            sync_ns: 15 * SECOND,
            up: Behaviour::UP,
            down: Behaviour::DOWN,
            cooldown_ns: 300 * SECOND,
            start: ColdStart::default(),
        }
    }

    /// Says what is wrong with it, if anything is.
    pub fn validate(&self, most: u32) -> Result<(), AutoscaleError> {
        let Autoscaler { least, initial, .. } = *self;
        if least > most || initial < least || initial > most {
            return Err(AutoscaleError::Limits { least, most, initial });
        }
        let positive = [
            ("target", self.target > 0.0 && self.target.is_finite()),
            ("sync period", self.sync_ns > 0),
            ("period to grow in", self.up.period_ns > 0 && self.up.pods + self.up.percent > 0),
            ("period to shrink in", self.down.period_ns > 0),
            ("rate of the registry", self.start.image_bytes <= 0.0 || self.start.registry.flows()),
            ("rate of the storage", self.start.weight_bytes <= 0.0 || self.start.storage.flows()),
        ];
        match positive.iter().find(|(_, holds)| !holds) {
            Some((what, _)) => Err(AutoscaleError::NotPositive(what)),
            None => Ok(()),
        }
    }
}

impl Pipe {
    fn flows(self) -> bool {
        self.shared > 0.0 && self.own > 0.0
    }
}

/// An autoscaler at work.
#[derive(Debug, Clone)]
pub(crate) struct Decider<'a> {
    of: &'a Autoscaler,
    most: u32,
    /// Replicas that are wanted (`spec.replicas`).
    pub wanted: u32,
    recommended: VecDeque<(Time, u32)>,
    /// Replicas added, or taken away, at instants.
    changes: VecDeque<(Time, i64)>,
    last_busy: Time,
}

impl<'a> Decider<'a> {
    pub fn new(of: &'a Autoscaler, most: u32) -> Decider<'a> {
        // Kubernetes begins so too (`recordInitialRecommendation`): nothing is taken away that has not been looked at.
        let (recommended, changes) = (VecDeque::from([(Time::ZERO, of.initial)]), VecDeque::new());
        Decider { of, most, wanted: of.initial, recommended, changes, last_busy: Time::ZERO }
    }

    /// Looks at the requests in flight and says how many replicas are wanted from now on.
    pub fn look(&mut self, now: Time, in_flight: u64) -> u32 {
        let before = self.wanted;
        if in_flight > 0 {
            self.last_busy = now;
        }
        let idle = now.since(self.last_busy) >= self.of.cooldown_ns;
        self.wanted = if self.of.least == 0 && in_flight == 0 && (idle || before == 0) {
            0
        } else if before == 0 {
            // KEDA wakes the first; what follows is the autoscaler's.
            1
        } else {
            let recommended = self.recommend(in_flight);
            let stable = self.stabilised(now, recommended);
            self.limited(now, stable)
        };
        if self.wanted != before {
            self.changes.push_back((now, i64::from(self.wanted) - i64::from(before)));
        }
        self.wanted
    }

    fn recommend(&self, in_flight: u64) -> u32 {
        let (total, current) = (in_flight as f64, f64::from(self.wanted));
        let ratio = total / (self.of.target * current);
        let raw =
            if (ratio - 1.0).abs() <= self.of.tolerance { current } else { (total / self.of.target).ceil() };
        (raw.min(f64::from(u32::MAX)) as u32).clamp(self.of.least.max(1), self.most)
    }

    /// Takes the lowest of what was recommended lately to grow, and the highest to shrink.
    fn stabilised(&mut self, now: Time, recommended: u32) -> u32 {
        let (up, down) = (self.of.up.window_ns, self.of.down.window_ns);
        let longest = up.max(down);
        while self.recommended.front().is_some_and(|(at, _)| now.since(*at) >= longest.max(1)) {
            self.recommended.pop_front();
        }
        let within = |window: u64| {
            self.recommended.iter().filter(move |(at, _)| now.since(*at) < window).map(|(_, count)| *count)
        };
        let grow = within(up).fold(recommended, u32::min);
        let shrink = within(down).fold(recommended, u32::max);
        self.recommended.push_back((now, recommended));
        self.wanted.max(grow).min(shrink)
    }

    fn limited(&mut self, now: Time, wanted: u32) -> u32 {
        let longest = self.of.up.period_ns.max(self.of.down.period_ns);
        while self.changes.front().is_some_and(|(at, _)| now.since(*at) >= longest) {
            self.changes.pop_front();
        }
        let current = self.wanted;
        let at_start = |behaviour: &Behaviour| {
            let lately = self.changes.iter().filter(|(at, _)| now.since(*at) < behaviour.period_ns);
            (i64::from(current) - lately.map(|(_, change)| change).sum::<i64>()).max(0) as u64
        };
        if wanted > current {
            let start = at_start(&self.of.up);
            let by_percent = (start * (100 + u64::from(self.of.up.percent))).div_ceil(100);
            let limit = (start + u64::from(self.of.up.pods)).max(by_percent).max(u64::from(current));
            u64::from(wanted).min(limit) as u32
        } else {
            let start = at_start(&self.of.down);
            let kept = 100 - u64::from(self.of.down.percent.min(100));
            let limit = start.saturating_sub(u64::from(self.of.down.pods)).min(start * kept / 100);
            u64::from(wanted).max(limit.min(u64::from(current))) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_ns(seconds * SECOND)
    }

    /// What is wanted at each look, 15 seconds apart.
    fn wanted(scaler: &Autoscaler, most: u32, in_flight: &[u64]) -> Vec<u32> {
        let mut decider = Decider::new(scaler, most);
        in_flight.iter().zip(1u64..).map(|(count, look)| decider.look(at(15 * look), *count)).collect()
    }

    #[test]
    fn replicas_are_what_is_in_flight_over_the_target() {
        let scaler = Autoscaler::kubernetes(1, 4, 10.0);
        // 10 % too much is borne, 12 % is not.
        assert_eq!(wanted(&scaler, 99, &[43]), [4]);
        assert_eq!(wanted(&scaler, 99, &[45]), [5]);
        assert_eq!(wanted(&scaler, 6, &[450]), [6]);
    }

    /// Kubernetes: the larger of four pods and 100 % in 15 seconds.
    #[test]
    fn it_grows_by_four_or_twofold_in_a_period() {
        let scaler = Autoscaler::kubernetes(1, 1, 1.0);
        assert_eq!(wanted(&scaler, 99, &[50, 50, 50, 50, 50]), [5, 10, 20, 40, 50]);
        let careful = Autoscaler {
            up: Behaviour { pods: 2, percent: 0, period_ns: 30 * SECOND, window_ns: 0 },
            ..scaler
        };
        assert_eq!(wanted(&careful, 99, &[50, 50, 50]), [3, 3, 5]);
    }

    #[test]
    fn it_shrinks_only_to_what_would_have_done_for_five_minutes() {
        let scaler = Autoscaler::kubernetes(1, 10, 1.0);
        let mut load = vec![10];
        load.resize(22, 2);
        let seen = wanted(&scaler, 99, &load);
        assert_eq!(seen[..20], [10; 20]);
        assert_eq!(seen[20..], [2, 2]);
        // A window on growth lets only what lasts through.
        let up = Behaviour { window_ns: 60 * SECOND, ..Behaviour::UP };
        let steady = Autoscaler { up, ..Autoscaler::kubernetes(1, 1, 1.0) };
        assert_eq!(wanted(&steady, 99, &[1, 9, 9, 9, 9]), [1, 1, 1, 1, 5]);
    }

    #[test]
    fn it_goes_to_zero_after_the_cooldown_and_wakes_with_one() {
        let scaler = Autoscaler { cooldown_ns: 45 * SECOND, ..Autoscaler::kubernetes(0, 3, 1.0) };
        let seen = wanted(&scaler, 9, &[3, 0, 0, 0, 0, 7, 7]);
        assert_eq!(seen, [3, 3, 3, 0, 0, 1, 5]);
    }

    #[test]
    fn limits_that_contradict_are_refused() {
        let limits = |least, initial, most| Autoscaler::kubernetes(least, initial, 1.0).validate(most);
        assert_eq!(limits(3, 3, 2), Err(AutoscaleError::Limits { least: 3, most: 2, initial: 3 }));
        assert_eq!(limits(2, 1, 4), Err(AutoscaleError::Limits { least: 2, most: 4, initial: 1 }));
        assert_eq!(Autoscaler::kubernetes(1, 1, 0.0).validate(4), Err(AutoscaleError::NotPositive("target")));
        let start = ColdStart { weight_bytes: 1.0, ..ColdStart::default() };
        let unfed = Autoscaler { start, ..Autoscaler::kubernetes(1, 1, 1.0) };
        assert_eq!(unfed.validate(4), Err(AutoscaleError::NotPositive("rate of the storage")));
    }
}
