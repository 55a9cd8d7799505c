//! What does a request cost a processor? Instructions, and lines of memory that a cache of 512 KiB does not hold: counted
//! by valgrind, so that no other process can make it pass or fail.
//!
//! A run is counted twice, once with more requests; the difference is what those more cost, and no start-up.

use std::path::Path;
use std::process::Command;

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    KvCache, Length, Lengths, OpenLoop, Rate, ServingConfig, StepTable, Workload, simulate_into,
};

/// Requests for each replica, fewer and more.
const REQUESTS: [u64; 2] = [40, 80];

/// Lengths and load as in Vidur's run R3, and a step time of four additions.
fn run(n_replicas: u32, per_replica: u64) {
    let by_tokens = (0..=640).map(|tokens| 22e6 + 4e4 * f64::from(tokens)).collect();
    let step = StepTable { by_tokens, per_decode_kv: 40.0, per_pair_twice: 0.5, ..StepTable::default() };
    let config = ServingConfig { n_replicas, ..ServingConfig::chunked(512, 128, KvCache::new(27_904)) };
    let workload = Workload::Open(OpenLoop {
        name: "instructions".into(),
        rate: Rate::constant(2.0 * f64::from(n_replicas)),
        burstiness: 1.0,
        lengths: Lengths::Independent {
            prompt: Length::LogNormal { mu: 6.6, sigma: 0.9 },
            output: Length::LogNormal { mu: 5.1, sigma: 0.8 },
        },
        max_tokens: 4_096,
        until: Time::NEVER,
        max_requests: per_replica * u64::from(n_replicas),
    });
    let mut n = 0u64;
    simulate_into(&config, &step, &workload, 1, 0, &mut |_, _| n += 1).unwrap();
    assert_eq!(n, per_replica * u64::from(n_replicas));
}

macro_rules! counted {
    ($($name:ident: $replicas:expr, $requests:expr;)*) => { $(
        #[test]
        #[ignore = "what is counted, not a claim"]
        fn $name() {
            run($replicas, $requests);
        }
    )* };
}
counted! {
    few_replicas_fewer: 100, REQUESTS[0];
    few_replicas_more: 100, REQUESTS[1];
    many_replicas_fewer: 1_000, REQUESTS[0];
    many_replicas_more: 1_000, REQUESTS[1];
}

/// Instructions, and lines not found in the larger cache, of one of the runs.
fn counts(name: &str, out: &Path) -> [f64; 2] {
    let file = out.join(name);
    let here = std::env::current_exe().unwrap();
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--cache-sim=yes", "--D1=32768,8,64", "--LL=524288,8,64"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(here)
        .args(["--exact", name, "--ignored", "--test-threads=1"]);
    let ran = valgrind.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    let words = |key: &str| -> Vec<&str> {
        text.lines().find_map(|line| line.strip_prefix(key)).unwrap().split_whitespace().collect()
    };
    let (events, totals) = (words("events:"), words("summary:"));
    let total = |event: &str| -> f64 {
        totals[events.iter().position(|name| *name == event).unwrap()].parse().unwrap()
    };
    [total("Ir"), total("DLmr") + total("DLmw")]
}

fn per_request(runs: [&str; 2], n_replicas: f64, out: &Path) -> [f64; 2] {
    let [fewer, more] = runs.map(|name| counts(name, out));
    let n = n_replicas * (REQUESTS[1] - REQUESTS[0]) as f64;
    [0, 1].map(|event| (more[event] - fewer[event]) / n)
}

/// Instructions of a request among 100 replicas: 11,300 were counted with all optimisations, and overflow checks, debug
/// assertions and calls between modules cost about half as many again in the profile in which tests are built.
const MOST_INSTRUCTIONS: f64 = 22_000.0;
/// Lines of memory that a request misses among 1,000 replicas, which do not fit a cache of 512 KiB: 11 were counted.
const MOST_MISSES: f64 = 14.0;

#[test]
#[ignore = "long"]
fn long_a_request_costs_few_instructions_and_little_more_among_1_000_replicas() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("skipped: needs valgrind, which is not installed; nothing was counted");
    }
    let out = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let few = per_request(["few_replicas_fewer", "few_replicas_more"], 100.0, &out);
    let many = per_request(["many_replicas_fewer", "many_replicas_more"], 1_000.0, &out);
    println!("instructions {:.0} and {:.0}, misses {:.1} and {:.1}", few[0], many[0], few[1], many[1]);
    assert!(few[0] < MOST_INSTRUCTIONS, "{} instructions for a request", few[0]);
    assert!(many[0] < 1.1 * few[0], "{} instructions among many replicas, {} among few", many[0], few[0]);
    assert!(many[1] < MOST_MISSES, "{} lines are missed for a request among many replicas", many[1]);
}
