//! Given Vidur's operator tables, the simulator reproduces Vidur's runs request by request.
//!
//! Needs the data folder (`CAPSTAN_DATA`). Rules and expected figures: data/vidur-profiles/README.md.

use std::io::Read;
use std::path::PathBuf;

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Distribution, KvCache, Layers, OperatorTables, Request, Router, RunResult, Scheduler, ServingConfig,
    TableTexts, Window, Workload, simulate,
};
use capstan_types::testing::data;

/// The folder of Vidur's data.
fn folder() -> Option<PathBuf> {
    Some(data()?.join("vidur-profiles"))
}

fn text(path: PathBuf) -> String {
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn tables(folder: &std::path::Path, name: &str, layers: Layers) -> OperatorTables {
    let read = |table: &str| text(folder.join("op-tables").join(name).join(format!("{table}.csv.gz")));
    let (by_tokens, attn_decode, attn_prefill) =
        (read("by_tokens"), read("attn_decode"), read("attn_prefill"));
    let texts = TableTexts { by_tokens: &by_tokens, attn_decode: &attn_decode, attn_prefill: &attn_prefill };
    OperatorTables::parse(&texts, layers).unwrap()
}

/// Rows of (arrival, prompt, output, further columns in seconds).
fn rows(text: &str) -> Vec<(f64, u32, u32, Vec<f64>)> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let further = record.iter().skip(3).map(|cell| cell.parse().unwrap()).collect();
            (record[0].parse().unwrap(), record[1].parse().unwrap(), record[2].parse().unwrap(), further)
        })
        .collect()
}

fn trace(rows: &[(f64, u32, u32, Vec<f64>)]) -> Workload {
    let request = |row: &(f64, u32, u32, Vec<f64>)| Request {
        arrival: Time::from_seconds(row.0),
        prompt: row.1,
        output: row.2,
    };
    Workload::Trace(rows.iter().map(request).collect())
}

/// CodeLlama-34B on two A100: 27,904 blocks, 1 % watermark, 128 sequences.
fn codellama(scheduler: Scheduler, n_replicas: u32) -> ServingConfig {
    let kv = KvCache::new(27_904).with_one_percent_watermark();
    let base = ServingConfig::chunked(512, 128, kv);
    ServingConfig { n_replicas, scheduler, max_context: 4_096, ..base }
}

const CODELLAMA: Layers = Layers { per_stage: 48, grouped_query: true };

fn iterations(result: &RunResult) -> u64 {
    result.replicas.iter().map(|work| work.iterations).sum()
}

fn reproduces(run: &str, scheduler: Scheduler, expected_iterations: u64) {
    let Some(folder) = folder() else { return };
    let tables = tables(&folder, "codellama-34b_a100_tp2", CODELLAMA);
    let rows = rows(&text(folder.join("reference-runs").join(format!("{run}.requests.csv.gz"))));
    assert_eq!(rows.len(), 2_048);
    let result = simulate(&codellama(scheduler, 1), &tables, &trace(&rows), 1, 0).unwrap();
    let mut largest = 0.0f64;
    for (row, record) in rows.iter().zip(&result.records) {
        let ours = [record.scheduled, record.first_token, record.completed];
        for (ours, theirs) in ours.into_iter().zip(&row.3) {
            largest = largest.max((ours.seconds() - theirs).abs());
        }
        assert!(largest < 1e-6, "{run}: {record:?} differs from {row:?}");
    }
    println!("{run}: largest difference {largest:e} s");
    assert_eq!(iterations(&result), expected_iterations);
}

#[test]
fn r2_whole_prompts_is_reproduced() {
    reproduces("R2_cl34_a100_tp2_vllm_q2", Scheduler::WholePrompts { padded_tokens: 4_096 }, 18_044);
}

#[test]
fn r3_sarathi_is_reproduced() {
    reproduces("R3_cl34_a100_tp2_sar512_q2", Scheduler::Sarathi { chunk: 512 }, 19_678);
}

/// Mean, median and 99th percentile as the README prints them: so many digits after the point.
fn prints(what: &str, values: [f64; 3], expect: [&str; 3]) {
    for (value, expect) in values.into_iter().zip(expect) {
        let digits = expect.split('.').nth(1).map_or(0, str::len);
        assert_eq!(format!("{value:.digits$}"), expect, "{what}");
    }
}

#[test]
fn eight_replicas_with_true_least_outstanding_give_the_readme_figures() {
    let Some(folder) = folder() else { return };
    let tables = tables(&folder, "codellama-34b_a100_tp2", CODELLAMA);
    let rows = rows(&text(folder.join("requests_8rep_q16.csv.gz")));
    let config = codellama(Scheduler::Sarathi { chunk: 512 }, 8);
    assert_eq!(config.router, Router::LeastOutstanding);
    let result = simulate(&config, &tables, &trace(&rows), 1, 0).unwrap();
    let summary = result.summarize(&config, Window::ALL, &[]);
    let (ttft, tpot, e2e) = (summary.ttft.unwrap(), summary.tpot.unwrap(), summary.e2e.unwrap());
    assert_eq!(summary.completed, 8_192);
    let points = |d: Distribution, unit: f64| [d.mean_ns / unit, d.p50_ns / unit, d.p99_ns / unit];
    prints("TTFT, ms", points(ttft, 1e6), ["407", "291", "1496"]);
    prints("TPOT, ms", points(tpot, 1e6), ["49.3", "48.5", "73.9"]);
    prints("end to end, s", points(e2e, 1e9), ["10.74", "6.80", "30.07"]);
}

/// reference/serving.md prints the iterations per replica of Vidur's own router on the same requests.
#[test]
fn eight_replicas_with_least_waiting_make_vidurs_iterations() {
    let Some(folder) = folder() else { return };
    let tables = tables(&folder, "codellama-34b_a100_tp2", CODELLAMA);
    let rows = rows(&text(folder.join("requests_8rep_q16.csv.gz")));
    let config =
        ServingConfig { router: Router::LeastWaiting, ..codellama(Scheduler::Sarathi { chunk: 512 }, 8) };
    let result = simulate(&config, &tables, &trace(&rows), 1, 0).unwrap();
    let iterations: Vec<u64> = result.replicas.iter().map(|work| work.iterations).collect();
    assert_eq!(iterations, [5_079, 5_161, 5_997, 7_521, 9_972, 13_267, 13_577, 10_913]);
}

/// Run R5 of reference/serving.md: Llama-2-70B on two stages, 1 request per second. Its arrivals were not kept, but they
/// were drawn as those of R3 were, with the same seed, at half the rate: the first 1,024 rows of R3, twice as late.
#[test]
fn two_stages_make_the_published_figures_of_r5() {
    let Some(folder) = folder() else { return };
    let layers = Layers { per_stage: 40, grouped_query: true };
    let tables = tables(&folder, "llama2-70b_a100_tp2_pp2", layers);
    let mut rows = rows(&text(folder.join("reference-runs/R3_cl34_a100_tp2_sar512_q2.requests.csv.gz")));
    rows.truncate(1_024);
    rows.iter_mut().for_each(|row| row.0 *= 2.0);
    let kv = KvCache::new(32_768).with_one_percent_watermark();
    let config = ServingConfig { kv, n_stages: 2, ..codellama(Scheduler::Sarathi { chunk: 512 }, 1) };
    let result = simulate(&config, &tables, &trace(&rows), 1, 0).unwrap();
    let summary = result.summarize(&config, Window::ALL, &[]);
    let (ttft, tpot, e2e) = (summary.ttft.unwrap(), summary.tpot.unwrap(), summary.e2e.unwrap());
    assert_eq!(summary.iterations, 24_096);
    let points = |d: Distribution, unit: f64| [d.mean_ns / unit, d.p50_ns / unit, d.p99_ns / unit];
    prints("TTFT, ms", points(ttft, 1e6), ["631", "511", "2124"]);
    prints("TPOT, ms", points(tpot, 1e6), ["85.7", "84.3", "128.6"]);
    prints("end to end, s", points(e2e, 1e9), ["19.24", "12.22", "55.57"]);
}
