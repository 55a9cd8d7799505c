//! Which replicas are there? Those that an autoscaler wants, each after its cold start, until it has nothing left to do.

use super::{Fleet, Server, StepTime, Time};
use crate::engine::Link;
use crate::serving::autoscale::{Autoscaler, Decider};
use crate::serving::probe::Probe;

/// Where a replica is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Off,
    /// Waits for a node, or for its engine to be warm, until then.
    Provisioning(Time),
    Pulling,
    Loading,
    WarmingUp(Time),
    Serving,
    /// Gets no more requests and ends those that it has.
    Draining,
}

/// What an autoscaler did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scaled {
    /// Σ over replicas of the nanoseconds from the order of a node to its return.
    pub on_ns: u128,
    /// Cold starts that were completed.
    pub starts: u32,
    /// Nanoseconds of the longest of them.
    pub longest_start_ns: u64,
    /// Most replicas that served at one instant.
    pub most_serving: u32,
    /// When the number changed: replicas that serve, and replicas that are paid for.
    pub course: Vec<(Time, u32, u32)>,
}

/// An autoscaler, and what became of its decisions so far.
pub(super) struct Scaling<'a> {
    of: &'a Autoscaler,
    decider: Decider<'a>,
    lives: Vec<Life>,
    /// When each replica was last turned on.
    since: Vec<Time>,
    registry: Link,
    storage: Link,
    next_look: Time,
    /// When there is something to do; computed again whenever something was done.
    next: Time,
    done: Scaled,
}

/// What the fleet has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve(u32),
    Drain(u32),
}

impl<'a> Scaling<'a> {
    /// Returns the fleet at its start: the first replicas serve, the others are off.
    pub fn new(of: &'a Autoscaler, most: u32) -> Scaling<'a> {
        let life = |replica| if replica < of.initial { Life::Serving } else { Life::Off };
        let mut scaling = Scaling {
            of,
            decider: Decider::new(of, most),
            lives: (0..most).map(life).collect(),
            since: vec![Time::ZERO; most as usize],
            registry: Link::new(of.start.registry.shared),
            storage: Link::new(of.start.storage.shared),
            next_look: Time::from_ns(of.sync_ns),
            next: Time::ZERO,
            done: Scaled::default(),
        };
        scaling.note(Time::ZERO);
        scaling
    }

    pub fn next_time(&self) -> Time {
        self.next
    }

    /// Says whether requests may be sent to a replica.
    pub fn serves(&self, replica: u32) -> bool {
        self.lives[replica as usize] == Life::Serving
    }

    /// Notes what there is, and when there is something to do.
    fn note(&mut self, now: Time) {
        let serving = self.lives.iter().filter(|life| **life == Life::Serving).count() as u32;
        let on = self.lives.iter().filter(|life| **life != Life::Off).count() as u32;
        self.done.most_serving = self.done.most_serving.max(serving);
        if self.done.course.last().is_none_or(|last| (last.1, last.2) != (serving, on)) {
            self.done.course.push((now, serving, on));
        }
        let timers = self.lives.iter().filter_map(|life| match life {
            Life::Provisioning(until) | Life::WarmingUp(until) => Some(*until),
            _ => None,
        });
        let links = [self.registry.next_end(), self.storage.next_end()];
        self.next = timers.chain(links.into_iter().flatten()).fold(self.next_look, Time::min);
    }

    fn act(&mut self, now: Time, in_flight: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        self.bring_up(now, &mut orders);
        if self.next_look <= now {
            self.next_look = now.plus(self.of.sync_ns);
            let wanted = self.decider.look(now, in_flight);
            self.follow(now, wanted, &mut orders);
            // A start whose parts take no time is over at once.
            self.bring_up(now, &mut orders);
        }
        self.note(now);
        orders
    }

    /// Moves every cold start on as far as it is.
    fn bring_up(&mut self, now: Time, orders: &mut Vec<Order>) {
        let start = self.of.start;
        for replica in 0..self.lives.len() {
            if matches!(self.lives[replica], Life::Provisioning(until) if until <= now) {
                self.lives[replica] = Life::Pulling;
                self.registry.begin(now, replica as u32, start.image_bytes, start.registry.own);
            }
        }
        for replica in self.registry.take_ended(now) {
            // What follows of an image holds nobody up.
            if self.lives[replica as usize] == Life::Pulling {
                self.lives[replica as usize] = Life::Loading;
                self.storage.begin(now, replica, start.weight_bytes, start.storage.own);
                if start.image_rest_bytes > 0.0 {
                    self.registry.begin(now, replica, start.image_rest_bytes, start.registry.own);
                }
            }
        }
        for replica in self.storage.take_ended(now) {
            self.lives[replica as usize] = Life::WarmingUp(now.plus(start.warm_up_ns));
        }
        for replica in 0..self.lives.len() {
            if matches!(self.lives[replica], Life::WarmingUp(until) if until <= now) {
                self.lives[replica] = Life::Serving;
                self.done.starts += 1;
                let took = now.since(self.since[replica]);
                self.done.longest_start_ns = self.done.longest_start_ns.max(took);
                orders.push(Order::Serve(replica as u32));
            }
        }
    }

    /// Turns replicas on or off: the lowest numbers first on; off first those that do not serve yet, then the highest.
    fn follow(&mut self, now: Time, wanted: u32, orders: &mut Vec<Order>) {
        let counts = |life: &Life| !matches!(life, Life::Off | Life::Draining);
        let mut count = self.lives.iter().filter(|life| counts(life)).count() as u32;
        while count < wanted {
            let Some(replica) = self.lives.iter().position(|life| *life == Life::Off) else { return };
            self.lives[replica] = Life::Provisioning(now.plus(self.of.start.provision_ns));
            self.since[replica] = now;
            count += 1;
        }
        while count > wanted {
            let starts = |life: &Life| counts(life) && *life != Life::Serving;
            let starting = self.lives.iter().rposition(starts);
            let Some(replica) = starting.or_else(|| self.lives.iter().rposition(counts)) else { return };
            if self.lives[replica] == Life::Serving {
                self.lives[replica] = Life::Draining;
                orders.push(Order::Drain(replica as u32));
            } else {
                self.turn_off(replica as u32, now);
            }
            count -= 1;
        }
    }

    fn turn_off(&mut self, replica: u32, now: Time) {
        self.registry.stop(now, replica);
        self.storage.stop(now, replica);
        self.lives[replica as usize] = Life::Off;
        self.done.on_ns += u128::from(now.since(self.since[replica as usize]));
    }

    /// Turns a replica off that drains and has nothing left.
    pub fn is_empty(&mut self, replica: u32, now: Time) {
        if self.lives[replica as usize] == Life::Draining {
            self.turn_off(replica, now);
            self.note(now);
        }
    }

    /// Returns what was done, up to `end`.
    pub fn conclude(mut self, end: Time) -> Scaled {
        for replica in 0..self.lives.len() as u32 {
            if self.lives[replica as usize] != Life::Off {
                self.turn_off(replica, end);
            }
        }
        self.done
    }
}

impl<S: StepTime + ?Sized, R: Server, P: Probe> Fleet<'_, S, R, P> {
    /// Returns when the autoscaler has something to do, while it can still matter.
    pub(super) fn next_scaling(&self) -> Option<Time> {
        let matters = self.n_outstanding > 0 || self.arrivals.next_time().is_some();
        self.scaling.as_ref().filter(|_| matters).map(Scaling::next_time)
    }

    /// Lets the autoscaler look and its replicas come and go.
    pub(super) fn scale(&mut self) {
        let Some(mut scaling) = self.scaling.take_if(|scaling| scaling.next_time() <= self.now) else {
            return;
        };
        self.events += 1;
        let orders = scaling.act(self.now, self.n_outstanding);
        for order in orders {
            match order {
                Order::Serve(replica) if self.down[replica as usize] => {}
                Order::Serve(replica) => self.routing.revive(replica),
                Order::Drain(replica) => {
                    self.routing.fail(replica);
                    if self.loads[replica as usize].outstanding == 0 {
                        scaling.is_empty(replica, self.now);
                    }
                }
            }
        }
        self.scaling = Some(scaling);
        self.house_homeless();
    }
}
