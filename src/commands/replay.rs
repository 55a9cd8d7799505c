//! `replay`: the serving simulator driven by foreign operator tables and a request file.

mod requests;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, DATA_LIMIT, Files, Here};
use crate::output::write_file;
use crate::session::Session;
use anyhow::Context;
use capstan_sim::serving::{
    Admission, DEFAULT_MAX_EVENTS, KvCache, Layers, OperatorTables, Outcome, Reject, Router, RunResult,
    Scheduler, ServingConfig, Stop, TableTexts, Window, Workload, simulate,
};
use clap::ValueEnum;
use requests::Trace;
use serde::Serialize;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Instant;

/// Run the serving simulator on foreign operator tables and requests
///
/// The tables are those of a Vidur run: by_tokens.csv, attn_decode.csv and attn_prefill.csv, each also with .gz.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the operator tables
    #[arg(long, value_name = "DIR")]
    op_tables: String,
    /// Layers of the model
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    layers: u32,
    /// Pipeline stages; the layers are divided among them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pipeline: u32,
    /// Every query head of the model has its own KV head
    #[arg(long)]
    multi_head: bool,
    /// Requests: CSV with arrived_at_s, num_prefill_tokens, num_decode_tokens; may be packed with gzip
    #[arg(long, value_name = "FILE")]
    requests: String,
    /// How a step is formed: `vllm` (whole prompts first) or `sarathi:TOKENS` (chunks of prompts beside decodes), as Vidur
    /// has them; or `vllm-v1:TOKENS`, as vLLM has it since
    #[arg(long)]
    scheduler: Policy,
    /// Blocks of the KV cache of a replica, of which Vidur's schedulers keep 1 % free
    #[arg(long)]
    kv_blocks: u32,
    /// Tokens of a block
    #[arg(long, default_value_t = 16)]
    block_size: u32,
    /// Most requests that run at once in a replica
    #[arg(long, default_value_t = 128)]
    max_batch: u32,
    /// Most prompt tokens of a step, padding included; for `vllm`
    #[arg(long, default_value_t = 4096)]
    max_prefill_tokens: u32,
    /// Tokens of one hash of the column `block_hash_ids`: replicas keep what they have read and read it once; for `vllm-v1`
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    prefix_block: Option<u32>,
    /// End the run after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// Replicas
    #[arg(long, default_value_t = 1)]
    replicas: u32,
    /// Which replica gets a request; `least-waiting` counts only waiting requests, as Vidur does; `prefix` goes where the
    /// beginning of the prompt was sent before, unless that replica is eight requests above the fewest; `sticky` always
    #[arg(long, value_enum, default_value_t = Route::LeastOutstanding)]
    router: Route,
    /// What became of each request: CSV; `-` is standard output
    #[arg(short, long, value_name = "OUT.csv")]
    output: String,
    /// How fast the simulator ran: JSON
    #[arg(long, value_name = "STATS.json")]
    stats: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Vllm,
    Sarathi { chunk: u32 },
    VllmV1 { tokens: u32 },
}

/// Requests above the fewest that the router `prefix` bears for what can be reused.
const PREFIX_SLACK: u32 = 8;

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tokens = |text: &str| match text.parse::<u32>() {
            Ok(tokens) if tokens > 0 => Ok(tokens),
            _ => Err(format!("`{text}` is no number of tokens")),
        };
        match text.split_once(':') {
            None if text == "vllm" => Ok(Policy::Vllm),
            Some(("sarathi", chunk)) => Ok(Policy::Sarathi { chunk: tokens(chunk)? }),
            Some(("vllm-v1", budget)) => Ok(Policy::VllmV1 { tokens: tokens(budget)? }),
            _ => Err(format!("`{text}` is none of `vllm`, `sarathi:TOKENS`, `vllm-v1:TOKENS`")),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Route {
    RoundRobin,
    LeastOutstanding,
    LeastWaiting,
    LeastTokens,
    RandomOfTwo,
    Prefix,
    Sticky,
}

/// What `--stats` writes.
#[derive(Debug, Serialize)]
struct Stats {
    requests: usize,
    rejected: usize,
    iterations: u64,
    /// Of those, computed in a leap: no event of their own.
    jumped_iterations: u64,
    tokens: u64,
    /// Of prompts, found in the cache and not read.
    reused_tokens: u64,
    simulated_s: f64,
    loop_wall_s: f64,
    iterations_per_s: f64,
    peak_rss_bytes: Option<u64>,
}

/// Replays.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let config = config(args)?;
    let tables = tables(args)?;
    let bytes = unpacked(&args.requests)?;
    let trace = Trace::read(&bytes, args.prefix_block)
        .with_context(|| format!("`{}` is no list of requests", args.requests))?;
    let served = trace.requests.iter().filter(|one| config.rejects(one).is_none());
    let longest = served.map(|one| one.prompt + one.output).max().unwrap_or(0);
    if !tables.covers(1, 1, longest) {
        let what =
            "the longest request, of {} tokens, lies beyond the tables, which keep their last value there";
        session.warn(&what.replace("{}", &longest.to_string()));
    }
    let requests = trace.requests.clone();
    let workload = match trace.prefixes.clone() {
        Some(prefixes) => Workload::Prefixed(requests, prefixes),
        None => Workload::Trace(requests),
    };
    let begin = Instant::now();
    let result =
        simulate(&config, &tables, &workload, 1, 0).map_err(|error| Failure::usage(error.to_string()))?;
    let wall = begin.elapsed().as_secs_f64();
    write_text(&args.output, &trace.outcome(&result.records), session)?;
    if let Some(file) = &args.stats {
        let stats = stats(&result, &config, wall);
        let mut text = serde_json::to_string_pretty(&stats).context("writing the statistics")?;
        text.push('\n');
        write_text(file, &text, session)?;
    }
    tell_of_rejected(&result, session);
    let why = match result.stop {
        Stop::Drained => return Ok(Exit::Done),
        Stop::MaxEvents => "its bound on events",
        Stop::Interrupted => "the wish of the user",
        Stop::Until => "the longest time that is simulated, 104 days",
    };
    let at = result.end.seconds();
    let message = format!(
        "the run was stopped at {why}, after {at:.3} s of simulated time and {} events; the output is incomplete",
        result.events
    );
    Err(Failure::new(message).into())
}

/// Says how many requests were turned away, and why.
fn tell_of_rejected(result: &RunResult, session: &Session) {
    let mut counts: BTreeMap<Reject, u64> = BTreeMap::new();
    for record in &result.records {
        if let Outcome::Rejected(why) = record.outcome {
            *counts.entry(why).or_default() += 1;
        }
    }
    for (why, n) in counts {
        session.warn(&format!("{n} of {} requests cannot be served: {why}", result.records.len()));
    }
}

fn rejected(result: &RunResult) -> usize {
    result.records.iter().filter(|record| matches!(record.outcome, Outcome::Rejected(_))).count()
}

fn write_text(file: &str, text: &str, session: &Session) -> anyhow::Result<()> {
    if file == "-" { session.print(text) } else { write_file(file, text.as_bytes()) }
}

fn config(args: &Args) -> Result<ServingConfig, Failure> {
    let cache = KvCache { block_tokens: args.block_size, ..KvCache::new(args.kv_blocks) };
    let kv = match args.scheduler {
        Policy::VllmV1 { .. } => cache,
        Policy::Vllm | Policy::Sarathi { .. } => cache.with_one_percent_watermark(),
    };
    let base = ServingConfig::chunked(u32::MAX, args.max_batch, kv);
    let config = ServingConfig {
        n_replicas: args.replicas,
        max_events: args.max_events.unwrap_or(DEFAULT_MAX_EVENTS),
        n_stages: args.pipeline,
        scheduler: match args.scheduler {
            Policy::Vllm => Scheduler::WholePrompts { padded_tokens: args.max_prefill_tokens },
            Policy::Sarathi { chunk } => Scheduler::Sarathi { chunk },
            Policy::VllmV1 { tokens } => {
                Scheduler::Chunked { token_budget: tokens, admission: Admission::PromptFits }
            }
        },
        router: match args.router {
            Route::RoundRobin => Router::RoundRobin,
            Route::LeastOutstanding => Router::LeastOutstanding,
            Route::LeastWaiting => Router::LeastWaiting,
            Route::LeastTokens => Router::LeastTokens,
            Route::RandomOfTwo => Router::RandomOfTwo,
            Route::Prefix => Router::Prefix { slack: PREFIX_SLACK },
            Route::Sticky => Router::Sticky,
        },
        ..base
    };
    config.validate().map_err(|error| Failure::usage(error.to_string()))?;
    Ok(config)
}

fn tables(args: &Args) -> anyhow::Result<OperatorTables> {
    if !args.layers.is_multiple_of(args.pipeline) {
        let message = format!("{} layers cannot be divided among {} stages", args.layers, args.pipeline);
        return Err(Failure::usage(message).into());
    }
    let read = |table: &str| -> anyhow::Result<String> {
        let plain = format!("{}/{table}.csv", args.op_tables.trim_end_matches('/'));
        let packed = format!("{plain}.gz");
        let name = if Here.read(&packed, DATA_LIMIT).is_ok() { packed } else { plain };
        String::from_utf8(unpacked(&name)?).with_context(|| format!("`{name}` is no text"))
    };
    let (by_tokens, attn_decode, attn_prefill) =
        (read("by_tokens")?, read("attn_decode")?, read("attn_prefill")?);
    let texts = TableTexts { by_tokens: &by_tokens, attn_decode: &attn_decode, attn_prefill: &attn_prefill };
    let layers = Layers { per_stage: args.layers / args.pipeline, grouped_query: !args.multi_head };
    Ok(OperatorTables::parse(&texts, layers)?)
}

fn unpacked(path: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = Here.read(path, DATA_LIMIT).with_context(|| format!("cannot read `{path}`"))?;
    files::unpacked(bytes, DATA_LIMIT).with_context(|| format!("cannot unpack `{path}`"))
}

fn stats(result: &RunResult, config: &ServingConfig, wall: f64) -> Stats {
    let summary = result.summarize(config, Window::ALL, &[]);
    Stats {
        requests: result.records.len(),
        rejected: rejected(result),
        iterations: summary.iterations,
        jumped_iterations: summary.leapt_iterations,
        tokens: summary.prefill_tokens + summary.output_tokens,
        reused_tokens: summary.reused_tokens,
        simulated_s: result.end.seconds(),
        loop_wall_s: wall,
        iterations_per_s: if wall > 0.0 { summary.iterations as f64 / wall } else { 0.0 },
        peak_rss_bytes: files::peak_memory(),
    }
}
