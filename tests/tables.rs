//! Do the predictions stay as near to published measurements as they were? Every table, with the built-in catalogs.
//!
//! Needs CAPSTAN_DATA. The bars are what was measured with this version of the catalogs, plus a tenth; they may only
//! fall. To see the numbers: `CAPSTAN_DATA=… cargo test -p capstan --test tables -- --nocapture`.

mod common;

use capstan_sim::fit::{Observations, Score, score};
use capstan_sim::tables::{Kind, Table, price};
use capstan_types::testing::data;
use common::catalog;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
        &[Bar { quantity: "output_tokens_per_s", median: 0.082, p90: 0.270, priced: 668 }],
    );
}

/// Tail latencies depend on distributions of lengths that nobody publishes, and on which of the two limits binds: where that
/// is taken for the other one, the error is large. Their bars are loose for that reason.
#[test]
fn mlperf_inference_stays_near_the_measurements() {
    check(
        Kind::MlperfInference,
        &[
            Bar { quantity: "result", median: 0.138, p90: 0.385, priced: 104 },
            Bar { quantity: "ttft_p99_ms", median: 0.335, p90: 0.935, priced: 87 },
            Bar { quantity: "tpot_p99_ms", median: 0.083, p90: 1.080, priced: 87 },
        ],
    );
}

#[test]
fn training_throughput_stays_near_the_measurements() {
    check(
        Kind::TrainingThroughput,
        &[
            // 34 of the rows are of hybrid, latent and compressed models, whose kernels nobody has measured.
            Bar { quantity: "tokens_s_gpu", median: 0.064, p90: 0.235, priced: 190 },
            Bar { quantity: "step_time_s", median: 0.061, p90: 0.260, priced: 190 },
        ],
    );
}

#[test]
fn mlperf_training_stays_near_the_measurements() {
    check(Kind::MlperfTraining, &[Bar { quantity: "step_time_s", median: 0.033, p90: 0.110, priced: 47 }]);
}

#[test]
fn training_papers_stay_near_the_measurements() {
    check(
        Kind::TrainingPapers,
        &[
            Bar { quantity: "tflops_gpu", median: 0.022, p90: 0.105, priced: 25 },
            Bar { quantity: "step_s", median: 0.032, p90: 0.071, priced: 8 },
        ],
    );
}

#[test]
fn training_memory_is_reproduced_to_every_printed_digit() {
    let Some(folder) = data() else { return };
    let scores = scored(Kind::TrainingMemory, &folder);
    assert!(scores.iter().all(|one| one.p90 < 1e-9), "{scores:?}");
}

/// What engines print when they start. Tolerances: tokens within 8 % of the cache or 1 GiB a card, and the verdict right
/// unless the truth lies within that of the edge, where it is tight. Five logs are outside: vLLM 0.2.5 on four cards counts
/// what loading left in its allocator; two nodes with a latent cache held back 9 GiB less than is assumed, on the safe side;
/// one log contradicts itself by a factor of 3.7; a card of "288 GB class" held 51 GiB of something else; a compressed
/// cache has a part per request that is fixed.
#[test]
fn start_up_logs_are_reproduced() {
    let Some(folder) = data() else { return };
    let logs = fs::File::open(folder.join("truth/kv_sizes.csv")).unwrap();
    let mut priced = Vec::new();
    price(Kind::KvSizes, logs, &catalog(), &mut priced).unwrap();
    let mut reader = csv::Reader::from_reader(priced.as_slice());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let mut within = 0;
    for row in &rows {
        let (id, number) = (row["id"].as_str(), |column: &str| row[column].parse::<f64>().ok());
        if !row["rejection"].is_empty() {
            println!("{id}: {}", row["rejection"]);
            continue;
        }
        let (cache, predicted) =
            (number("predicted_cache_gib").unwrap(), number("predicted_kv_tokens").unwrap());
        let each = number("predicted_kv_bytes_per_token").unwrap() / 1_073_741_824.0;
        let concurrency = (number("reported_max_concurrency"), number("predicted_max_concurrency").unwrap());
        let verdict = row["predicted_verdict"].as_str();
        println!(
            "{id}: {} against {predicted} tokens, {:?} against {} at once, {cache} GiB, {verdict}",
            row["reported_kv_tokens"], concurrency.0, concurrency.1
        );
        let refused = row["notes"].contains("REFUSED");
        assert!(!refused || verdict != "fits", "{id} is refused and must not be said to fit");
        assert!(refused || verdict != "refused", "{id} starts and must not be said to be refused");
        let near = match (number("reported_kv_tokens"), concurrency) {
            (_, (Some(printed), predicted)) => (predicted / printed - 1.0).abs() <= 0.1,
            (Some(printed), _) => {
                let (off, band) = ((predicted - printed).abs() * each, (0.08 * printed * each).max(1.0));
                off <= band
            }
            _ => true,
        };
        within += usize::from(near);
    }
    assert!(within >= 9, "only {within} of {} logs are within their tolerance", rows.len());
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

#[test]
fn every_column_of_every_kind_is_documented() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tables.md")).unwrap();
    for kind in Kind::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.word())));
        let cells: Vec<&str> =
            row.unwrap_or_else(|| panic!("no row of {}", kind.word())).split('|').collect();
        let written =
            |columns: &[&str]| columns.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        assert_eq!(cells[2].trim(), written(kind.columns()), "{}", kind.word());
        assert_eq!(cells[3].trim(), written(kind.added()), "{}", kind.word());
    }
}
