//! What do an autoscaler, a notice and a slow replica do to requests? Small cases whose answer follows on paper.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Autoscaler, ColdStart, Effect, Fault, Interrupted, KvCache, Outcome, Pipe, Record, Request, RunTotals,
    ServingConfig, StepTable, Stop, Trial, Unwatched, Workload, simulate_watched,
};

/// Every step takes a second.
fn run(
    n_replicas: u32,
    requests: Vec<Request>,
    faults: &[Fault],
    autoscaler: Option<&Autoscaler>,
) -> (Vec<Record>, RunTotals) {
    let step = StepTable { by_tokens: vec![1e9, 1e9], ..StepTable::default() };
    let config = ServingConfig { n_replicas, ..ServingConfig::chunked(64, 4, KvCache::new(100)) };
    let workload = Workload::Trace(requests);
    let trial = Trial { config: &config, workload: &workload, seed: 1, replication: 0, faults, autoscaler };
    let mut records = Vec::new();
    let mut log = |_: u64, record: &Record| records.push(*record);
    let totals = simulate_watched(&trial, &step, &mut log, &mut Unwatched).unwrap();
    records.sort_by_key(|record| (record.arrival, record.completed));
    (records, totals)
}

fn at(seconds: f64) -> Time {
    Time::from_seconds(seconds)
}

fn request(arrival: f64, output: u32) -> Request {
    Request { arrival: at(arrival), prompt: 16, output }
}

/// 10 GB of image and 40 GB of weights over 10 GB/s each; a node takes 60 s, warming up 20 s.
fn start() -> ColdStart {
    let pipe = Pipe { shared: 10e9, own: 10e9 };
    ColdStart {
        provision_ns: 60_000_000_000,
        image_bytes: 10e9,
        image_rest_bytes: 0.0,
        weight_bytes: 40e9,
        registry: pipe,
        storage: pipe,
        warm_up_ns: 20_000_000_000,
    }
}

#[test]
fn a_replica_serves_after_all_parts_of_its_start_and_several_share_what_they_load_from() {
    let wakes = |n: usize| {
        let scaler = Autoscaler { start: start(), ..Autoscaler::kubernetes(0, 0, 1.0) };
        run(8, vec![request(0.0, 200); n], &[], Some(&scaler))
    };
    // Looked at after 15 s; node, image, weights and warming up take 60 + 1 + 4 + 20 s.
    let (records, totals) = wakes(1);
    assert_eq!(records[0].scheduled, at(100.0));
    assert_eq!(totals.scaled.unwrap().longest_start_ns, 85_000_000_000);
    // One is woken after 15 s, four more are wanted after 30 s and load together: 60 + 4 + 16 + 20 s.
    let (_, totals) = wakes(5);
    let scaled = totals.scaled.unwrap();
    assert_eq!((scaled.starts, scaled.longest_start_ns), (5, 100_000_000_000));
    let lazy = ColdStart { image_bytes: 0.64e9, image_rest_bytes: 9.36e9, ..start() };
    let scaler = Autoscaler { start: lazy, ..Autoscaler::kubernetes(0, 0, 1.0) };
    let (records, _) = run(8, vec![request(0.0, 2)], &[], Some(&scaler));
    assert_eq!(records[0].scheduled, at(99.064), "the rest of the image holds nobody up");
}

#[test]
fn replicas_that_are_not_needed_end_what_they_have_and_go() {
    let scaler = Autoscaler::kubernetes(1, 3, 2.0);
    let (records, totals) = run(3, vec![request(0.0, 900); 3], &[], Some(&scaler));
    assert!(records.iter().all(|record| record.outcome == Outcome::Completed));
    let scaled = totals.scaled.unwrap();
    let (end, serving, on) = *scaled.course.last().unwrap();
    // Three are in flight: two replicas are wanted after five minutes; the third keeps its request until second 900.
    assert_eq!((serving, on), (2, 2));
    assert_eq!(end, at(900.0));
    assert_eq!(scaled.course[1], (at(300.0), 2, 3));
}

fn down(warned: f64, from: f64, replica: u32, back: f64) -> Fault {
    let effect = Effect::Down(Interrupted::Retried);
    Fault { warned: at(warned), at: at(from), replica, back: at(back), effect }
}

#[test]
fn a_notice_lets_short_requests_end_and_keeps_new_ones_away() {
    let requests = || vec![request(0.0, 20), request(30.5, 5)];
    // Equal replicas: the first takes both. Without notice what it has is begun again, on the other.
    let (records, _) = run(2, requests(), &[down(10.0, 10.0, 0, 60.0)], None);
    assert_eq!((records[0].restarts, records[0].completed), (1, at(30.0)));
    let (records, totals) = run(2, requests(), &[down(10.0, 40.0, 0, 60.0)], None);
    assert_eq!((records[0].restarts, records[0].completed), (0, at(20.0)));
    assert_eq!((records[1].replica, totals.stop), (1, Stop::Drained));
}

#[test]
fn a_slow_replica_is_slow_from_its_next_step_to_the_one_that_runs_when_it_recovers() {
    let slow = |from: f64, to: f64| Fault {
        warned: at(from),
        at: at(from),
        replica: 0,
        back: at(to),
        effect: Effect::Slow { per_mille: 3_000 },
    };
    let ends = |fault| run(1, vec![request(0.0, 10)], &[fault], None).0[0].completed;
    // Two steps of a second, two of three; the last of them runs when the replica recovers; six of a second.
    assert_eq!(ends(slow(1.5, 6.5)), at(14.0));
    assert_eq!(ends(slow(0.0, 99.0)), at(30.0));
    assert_eq!(ends(slow(90.0, 99.0)), at(10.0));
}
