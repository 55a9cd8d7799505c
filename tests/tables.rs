//! Do the predictions stay as near to published measurements as they were? Every table, with the built-in catalogs.
//!
//! Needs CAPSTAN_DATA. The bars are what was measured with this version of the catalogs, plus a tenth; they may only
//! fall. To see the numbers: `CAPSTAN_DATA=… cargo test -p capstan --test tables -- --nocapture`.

use capstan_lang::catalog::load;
use capstan_sim::fit::{Observations, Score, score};
use capstan_sim::tables::{Kind, Table, price};
use capstan_types::catalog::Catalog;
use std::fs;
use std::path::{Path, PathBuf};

fn data() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the data through the environment")]
    let (data, required) = (std::env::var("CAPSTAN_DATA"), std::env::var("CAPSTAN_REQUIRE"));
    if let Ok(path) = data {
        return Some(PathBuf::from(path));
    }
    assert!(!required.unwrap_or_default().contains("data"), "CAPSTAN_DATA is required here");
    println!("skipped: needs CAPSTAN_DATA");
    None
}

fn catalog() -> Catalog {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogs");
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    load(&files).0
}

/// Prices a table; returns the scores over all rows and by stratum.
fn scored(kind: Kind, folder: &Path) -> Vec<Score> {
    let path = folder.join("truth").join(format!("{}.csv", kind.word()));
    let table = Table::read(kind, fs::File::open(path).unwrap()).unwrap();
    let observations = Observations::of(&table, &catalog());
    let predicted: Vec<_> = observations.points.iter().map(|point| point.predicted).collect();
    let scores = score(&table, &observations, &predicted);
    for one in scores.iter().filter(|one| one.stratum == "all") {
        println!("{}: {one:?}", kind.word());
    }
    scores
}

/// What the predictions of one quantity must keep: median and 90th percentile of the error, and rows priced.
struct Bar {
    quantity: &'static str,
    median: f64,
    p90: f64,
    priced: usize,
}

fn check(kind: Kind, bars: &[Bar]) {
    let Some(folder) = data() else { return };
    let scores = scored(kind, &folder);
    for bar in bars {
        let all = |one: &&Score| one.quantity == bar.quantity && one.stratum == "all";
        let score = scores.iter().find(all).unwrap();
        assert!(score.median <= bar.median * 1.1, "{}: median {}", bar.quantity, score.median);
        assert!(score.p90 <= bar.p90 * 1.1, "{}: 90th percentile {}", bar.quantity, score.p90);
        assert!(score.priced >= bar.priced, "{}: {} rows priced", bar.quantity, score.priced);
        if let Some(baseline) = score.baseline {
            assert!(score.median < 0.6 * baseline, "{}: hardly better than {baseline}", bar.quantity);
        }
        if let Some(covered) = score.covered.filter(|_| score.priced >= 100) {
            assert!((0.85..=0.97).contains(&covered), "{}: {covered} inside the interval", bar.quantity);
        }
    }
}

#[test]
fn serving_latency_stays_near_the_measurements() {
    check(
        Kind::ServingLatency,
        &[
            Bar { quantity: "ttft_ms", median: 0.175, p90: 0.530, priced: 1513 },
            Bar { quantity: "tpot_ms", median: 0.066, p90: 0.410, priced: 1513 },
        ],
    );
}

#[test]
fn serving_throughput_stays_near_the_measurements() {
    check(
        Kind::ServingThroughput,
        &[Bar { quantity: "output_tokens_per_s", median: 0.103, p90: 0.310, priced: 668 }],
    );
}

/// Tail latencies depend on distributions of lengths that nobody publishes; their bars are loose for that reason.
#[test]
fn mlperf_inference_stays_near_the_measurements() {
    check(
        Kind::MlperfInference,
        &[
            Bar { quantity: "result", median: 0.165, p90: 0.405, priced: 104 },
            Bar { quantity: "ttft_p99_ms", median: 0.590, p90: 0.950, priced: 87 },
            Bar { quantity: "tpot_p99_ms", median: 0.345, p90: 0.592, priced: 87 },
        ],
    );
}

#[test]
fn training_throughput_stays_near_the_measurements() {
    check(
        Kind::TrainingThroughput,
        &[
            Bar { quantity: "tokens_s_gpu", median: 0.050, p90: 0.233, priced: 156 },
            Bar { quantity: "step_time_s", median: 0.051, p90: 0.274, priced: 156 },
        ],
    );
}

#[test]
fn mlperf_training_stays_near_the_measurements() {
    check(Kind::MlperfTraining, &[Bar { quantity: "step_time_s", median: 0.026, p90: 0.110, priced: 47 }]);
}

#[test]
fn training_papers_stay_near_the_measurements() {
    check(
        Kind::TrainingPapers,
        &[
            Bar { quantity: "tflops_gpu", median: 0.032, p90: 0.100, priced: 25 },
            Bar { quantity: "step_s", median: 0.030, p90: 0.059, priced: 8 },
        ],
    );
}

#[test]
fn training_memory_is_reproduced_to_every_printed_digit() {
    let Some(folder) = data() else { return };
    let scores = scored(Kind::TrainingMemory, &folder);
    assert!(scores.iter().all(|one| one.p90 < 1e-9), "{scores:?}");
}

/// A prediction that looks at the answer would change when the answer is gone.
#[test]
fn measured_columns_are_never_read() {
    let Some(folder) = data() else { return };
    let measured = [
        (Kind::ServingLatency, &["ttft_ms", "tpot_ms"][..]),
        (Kind::ServingThroughput, &["output_tokens_per_s", "kv_starved"]),
        (
            Kind::MlperfInference,
            &[
                "result",
                "tokens_s_per_accel",
                "tokens_per_sample",
                "completed_samples_s",
                "ttft_p99_ms",
                "tpot_p99_ms",
            ],
        ),
        (Kind::TrainingThroughput, &["tokens_s_gpu", "tflops_gpu", "step_time_s", "gflop_per_token"]),
        (Kind::TrainingPapers, &["tok_s_gpu", "tflops_gpu", "mfu_pct", "step_s"]),
    ];
    let catalog = catalog();
    for (kind, columns) in measured {
        let path = folder.join("truth").join(format!("{}.csv", kind.word()));
        let text = fs::read_to_string(path).unwrap();
        let without = blanked(&text, columns);
        let predictions = |text: &str| {
            let mut priced = Vec::new();
            price(kind, text.as_bytes(), &catalog, &mut priced).unwrap();
            blanked(&String::from_utf8(priced).unwrap(), columns)
        };
        assert_eq!(predictions(&text), predictions(&without), "{}", kind.word());
    }
}

fn blanked(text: &str, columns: &[&str]) -> String {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        let cells =
            header.iter().zip(&record).map(|(name, cell)| if columns.contains(&name) { "" } else { cell });
        writer.write_record(cells).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}
