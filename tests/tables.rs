//! Do the predictions stay as near to published measurements as they were? Every table, with the built-in catalogs.
//!
//! Needs CAPSTAN_DATA. The bars are what was measured with this version of the catalogs, plus a tenth; they may only
//! fall. To see the numbers: `CAPSTAN_DATA=… cargo test -p capstan --test tables -- --nocapture`.

mod common;

use capstan_sim::fit::{Observations, Score, score};
use capstan_sim::tables::{Kind, Names, Table, ask, price};
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
/// unless the truth lies within that of the edge, where it is tight. Four logs are outside: two nodes with a latent cache
/// held back 9 GiB less than is assumed, on the safe side; one does not say which of two cards of one name it is; a card of
/// "288 GB class" held 51 GiB of something else; a compressed cache has a part per request that is fixed.
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
    assert!(within >= 10, "only {within} of {} logs are within their tolerance", rows.len());
}

/// Returns the predicted columns of what an engine prints when it starts.
fn started(cells: &[(&str, &str)], column: &str) -> f64 {
    let catalog = catalog();
    let cells: Vec<(&str, String)> = cells.iter().map(|(name, cell)| (*name, (*cell).to_owned())).collect();
    let priced = ask(Kind::KvSizes, &cells, &Names::new(&catalog)).unwrap_or_else(|error| panic!("{error}"));
    priced.number(column).unwrap()
}

/// vllm-project/vllm#21348: the same four cards hold 178,880 tokens in one engine and 367,404 in the other, with the same
/// 48,128 bytes of each.
#[test]
fn one_engine_holds_twice_the_tokens_of_the_other() {
    let of = |engine, version, share, column| {
        let model = [("model", "Qwen/Qwen3-235B-A22B-FP8"), ("dtype", "fp8"), ("kv_dtype", "auto(bf16)")];
        let card = [("gpu", "H100 80GB x4"), ("gpu_mem", "79.1"), ("tp", "4"), ("pp", "1")];
        let flags = [("gpu_memory_utilization", share), ("max_model_len", "40960")];
        let engine = [("engine", engine), ("engine_version", version)];
        started(&[&model[..], &card[..], &flags[..], &engine[..]].concat(), column)
    };
    for (engine, version, share, printed) in
        [("vllm", "0.10 (2025-07)", "0.9", 178_880.0), ("sglang", "2025-07", "0.93", 367_404.0)]
    {
        assert_eq!(of(engine, version, share, "predicted_kv_bytes_per_token"), 48_128.0);
        let tokens = of(engine, version, share, "predicted_kv_tokens");
        let (off, band) = ((tokens - printed).abs() * 48_128.0, (0.08 * printed * 48_128.0).max(1.074e9));
        println!("{engine}: {tokens} against {printed}");
        assert!(off <= band, "{engine}: {tokens} against {printed}");
    }
}

/// vllm-project/vllm#40691: a hybrid has a state per request beside 65,536 bytes per token. The log counts 33.04 requests
/// of 32,768 tokens, which are 71 GiB: the card is the one of 141 GB, which bears the same name as that of 96 GB. The
/// other line of the log, 290,864 tokens, is that of one of four groups of layers that share the blocks.
#[test]
fn a_hybrid_has_no_capacity_in_tokens_alone() {
    let of = |length, column| {
        let cells = [
            ("model", "Qwen/Qwen3.5-27B"),
            ("gpu", "NVIDIA H20 141GB"),
            ("tp", "1"),
            ("pp", "1"),
            ("dtype", "bf16"),
            ("gpu_memory_utilization", "0.9"),
            ("max_model_len", length),
            ("max_num_seqs", "16"),
            ("engine", "vllm"),
            ("engine_version", "0.19.0"),
        ];
        started(&cells, column)
    };
    assert_eq!(of("32768", "predicted_kv_bytes_per_token"), 65_536.0);
    let requests = of("32768", "predicted_max_concurrency");
    println!("{requests} requests of 32,768 tokens");
    assert!((requests / 33.04 - 1.0).abs() < 0.1, "{requests}");
    let tokens = ["8192", "32768", "131072"].map(|length| of(length, "predicted_kv_tokens"));
    assert!(tokens[0] < tokens[1] && tokens[1] < tokens[2], "{tokens:?}");
}

/// vllm-project/vllm#22291 and #13061: bytes per token of grouped heads, once each rank; the smallest rank decides, and
/// memory of two cards is no pool.
#[test]
fn cache_is_counted_by_heads_and_by_rank() {
    let of = |model, gpu, tp, length, column| {
        let flags = [("gpu_memory_utilization", "0.98"), ("max_model_len", length), ("dtype", "bf16")];
        let engine = [("engine", "vllm"), ("engine_version", "0.7.2")];
        let cells = [("model", model), ("gpu", gpu), ("tp", tp), ("pp", "1")];
        started(&[&cells[..], &flags[..], &engine[..]].concat(), column)
    };
    let seven = of("Qwen/Qwen2.5-7B", "NVIDIA A100-SXM4-80GB", "1", "32768", "predicted_kv_bytes_per_token");
    assert_eq!(seven, 57_344.0);
    let of = |column| of("DeepSeek-R1-Distill-Qwen-14B", "RTX 4090", "2", "131072", column);
    assert_eq!(of("predicted_kv_bytes_per_token"), 98_304.0);
    assert!(of("predicted_max_concurrency") < 1.0);
    let cache = of("predicted_cache_gib");
    assert!((cache - 7.47).abs() <= 1.0, "{cache} GiB of the smallest rank, 31.8 as one pool");
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
