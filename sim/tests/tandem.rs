//! Prompts read on some replicas, answers written on others.

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    KvCache, Outcome, Pipe, Record, Request, ServingConfig, StepTable, Tandem, TandemTotals, Workload,
    simulate_tandem,
};

/// A step of 1 ms and 10 µs for each token.
fn step() -> StepTable {
    StepTable { by_tokens: vec![1e6, 1.01e6], ..StepTable::default() }
}

fn configs(readers: u32, writers: u32) -> (ServingConfig, ServingConfig) {
    let base = ServingConfig::chunked(8_192, 64, KvCache::new(10_000));
    let readers = ServingConfig { n_replicas: readers, ..base };
    (readers, ServingConfig { n_replicas: writers, prompts_arrive: true, ..base })
}

fn run(rows: &[Request], network: Pipe, (readers, writers): (u32, u32)) -> (Vec<Record>, TandemTotals) {
    let (readers, writers) = configs(readers, writers);
    let workload = Workload::Trace(rows.to_vec());
    let tandem = Tandem {
        readers: &readers,
        writers: &writers,
        network,
        token_bytes: 1_000.0,
        workload: &workload,
        beginnings: None,
        seed: 1,
        replication: 0,
    };
    let mut records = Vec::new();
    let mut log = |number: u64, record: &Record| {
        assert_eq!(number as usize, records.len());
        records.push(*record);
    };
    let totals = simulate_tandem(&tandem, (&step(), &step()), &mut log).unwrap();
    (records, totals)
}

fn request(at_ms: u64, prompt: u32, output: u32) -> Request {
    Request { arrival: Time::from_ns(at_ms * 1_000_000), prompt, output }
}

#[test]
fn one_request_takes_its_prompt_its_way_and_its_tokens() {
    // 1,000 tokens of 1,000 bytes at 100 MB/s are 10 ms.
    let network = Pipe { shared: 1e9, own: 1e8 };
    let (records, totals) = run(&[request(0, 1_000, 5)], network, (1, 1));
    let record = records[0];
    assert_eq!(record.ttft_ns(), Some(1_000_000 + 1_000 * 10_000));
    // Four tokens more, each a step of one token.
    assert_eq!(record.e2e_ns(), Some(11_000_000 + 10_000_000 + 4 * 1_010_000));
    assert_eq!((totals.transfers, totals.transfer_ns), (1, 10_000_000));
    assert_eq!((totals.readers[0].decode_tokens, totals.writers[0].reused_tokens), (0, 1_000));
}

#[test]
fn prompts_that_go_over_at_once_share_the_network_and_one_token_needs_none() {
    let rows = [request(0, 1_000, 2), request(0, 1_000, 2), request(0, 500, 1)];
    let fast = run(&rows, Pipe { shared: 1e9, own: 1e8 }, (3, 1));
    let slow = run(&rows, Pipe { shared: 1e8, own: 1e8 }, (3, 1));
    assert_eq!((fast.1.transfers, slow.1.transfers), (2, 2));
    assert_eq!((fast.1.transfer_ns, slow.1.transfer_ns), (20_000_000, 40_000_000));
    assert!(slow.0.iter().all(|record| record.outcome == Outcome::Completed));
    let one = slow.0.iter().find(|record| record.output == 1).unwrap();
    assert_eq!(one.completed, one.first_token);
    let never = run(&rows, Pipe { shared: 0.0, own: 1e8 }, (3, 1));
    let in_flight = never.0.iter().filter(|record| record.outcome == Outcome::InFlight).count();
    assert_eq!(in_flight, 2, "what no network carries never arrives");
}

/// Long prompts stop nobody's answer where they are read elsewhere.
#[test]
fn answers_are_steadier_than_where_prompts_are_read_between_their_tokens() {
    let rows: Vec<Request> = (0..200).map(|n| request(n * 40, 2_000, 60)).collect();
    let (apart, _) = run(&rows, Pipe { shared: 1e10, own: 1e10 }, (1, 1));
    let (together, _) = configs(2, 1);
    let workload = Workload::Trace(rows);
    let mixed = capstan_sim::serving::simulate(&together, &step(), &workload, 1, 0).unwrap();
    let slowest = |records: &[Record]| records.iter().filter_map(Record::tpot_ns).fold(0.0, f64::max);
    assert!(slowest(&apart) < 1.5e6, "{}", slowest(&apart));
    assert!(slowest(&mixed.records) > 1.2 * slowest(&apart), "{}", slowest(&mixed.records));
}
