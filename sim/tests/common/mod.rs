//! What tests of the serving simulator share.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Record, RunTotals, ServingConfig, StepTable, Trial, Unwatched, Watch, Window, Workload, simulate_watched,
};

/// Runs one replica with steps of 1 ms, however much is in them: with leaps and step by step, which must see the same.
pub fn run(config: &ServingConfig, workload: &Workload) -> (Vec<Record>, RunTotals) {
    let step = StepTable { by_tokens: vec![1e6, 1e6], ..StepTable::default() };
    let trial = Trial::of(config, workload, 1, 0);
    let mut records = Vec::new();
    let mut log = |number: u64, record: &Record| records.push((number, *record));
    let totals = simulate_watched(&trial, &step, &mut log, &mut Unwatched).unwrap();
    let mut watched = Vec::new();
    let mut log = |number: u64, record: &Record| watched.push((number, *record));
    let mut watch = Watch::new(1, Window::ALL, Time::from_ns(1), 1);
    simulate_watched(&trial, &step, &mut log, &mut watch).unwrap();
    records.sort_by_key(|row| row.0);
    watched.sort_by_key(|row| row.0);
    assert_eq!(records, watched, "leaping and stepping are the same");
    (records.into_iter().map(|(_, record)| record).collect(), totals)
}
