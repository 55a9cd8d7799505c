//! What is held in memory is what is in flight. Alone in its process, so that its peak is that of the simulator.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    KvCache, Length, Lengths, OpenLoop, Outcome, Rate, Record, ServingConfig, StepTable, Stop, Tally, Window,
    Workload, simulate_into,
};

/// The largest memory this process has held, in bytes; `None` where no kernel says so.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn million(per_second: f64, output: Length) -> Workload {
    let lengths = Lengths::Independent { prompt: Length::Fixed(8), output };
    let (name, rate, until) = ("memory".to_owned(), Rate::constant(per_second), Time::NEVER);
    let (burstiness, max_tokens, max_requests) = (1.0, 1_000, 1_000_000);
    Workload::Open(OpenLoop { name, rate, burstiness, lengths, max_tokens, until, max_requests })
}

#[test]
fn a_million_requests_need_little_memory_and_those_in_flight_200_bytes_each() {
    let step = StepTable { by_tokens: vec![0.0, 1e6, 1.001e6], ..StepTable::default() };
    let config = ServingConfig { n_replicas: 4, ..ServingConfig::chunked(2_048, 256, KvCache::new(1 << 16)) };
    let window = Window::ALL;
    let Some(start) = peak_bytes() else { return println!("skipped: this kernel tells no peak") };

    let mut tally = Tally::new(window, &[]);
    let workload = million(3_000.0, Length::Uniform(1, 200));
    let totals = simulate_into(&config, &step, &workload, 1, 0, &mut |_, record| tally.add(record)).unwrap();
    let summary = tally.summarize(&config, &totals.replicas, totals.stop, totals.end);
    assert_eq!((summary.stop, summary.completed), (Stop::Drained, 1_000_000));
    assert!(totals.most_outstanding < 10_000, "the load is one that can be served: {totals:?}");
    let served = peak_bytes().unwrap() - start;
    println!("served one after the other: {:.1} MB", served as f64 / 1e6);
    assert!(served < 300_000_000, "{served} bytes for a million requests");

    // All of them at once, far more than can run: what each of them takes.
    let mut n = 0u64;
    let mut log = |_: u64, record: &Record| n += u64::from(record.outcome == Outcome::InFlight);
    let workload = million(1e9, Length::Fixed(2));
    let stopped = ServingConfig { until: Time::from_seconds(0.01), ..config };
    let totals = simulate_into(&stopped, &step, &workload, 1, 0, &mut log).unwrap();
    assert!(n > 950_000 && totals.most_outstanding > 950_000, "{n} in flight");
    // Memory that was given back may be used again, so the whole peak is counted.
    let each = (peak_bytes().unwrap() - start) as f64 / n as f64;
    println!("in flight: {each:.0} bytes each");
    assert!(each <= 200.0, "{each} bytes for a request in flight");
}
