//! `estimate`: what a configuration achieves, for people; with `--table`, every row of a table of measurements is priced.

mod form;
mod model;
pub(super) mod names;
mod open;
mod table;
mod train;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use capstan_sim::tables::Kind;
use capstan_types::spec::Parallelism;
use form::Form;

/// What a model achieves on a machine, and what that costs; or the price of every row of a table
///
/// `capstan estimate llama3_1_8b --on h100_sxm` says whether it fits, how fast it answers and writes, what a million
/// tokens cost, what binds and where the time goes, each with its origin and a 90 % interval. Without `--on` every machine
/// of the catalog is tried and ranked. With `--table` the same rows and columns come out, then the predicted ones;
/// measured columns are never read, and a row that cannot be priced says why in the column `rejection`. With `--train` it
/// says how the model is best split to train, how long a step takes and whether it fits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model of the catalog, or a `config.json` of Hugging Face; with `--table` a CSV file, `-` is standard input
    #[arg(value_name = "MODEL|config.json|FILE.csv")]
    subject: String,
    /// Price a table; what it holds: serving_latency, serving_throughput, mlperf_inference, training_throughput,
    /// mlperf_training, training_papers, training_memory or kv_sizes
    #[arg(long, value_name = "KIND", value_parser = table::kind, conflicts_with_all = ["on", "tensor", "pipeline",
        "data", "expert", "engine", "precision", "kv_dtype", "input", "output", "concurrency", "sweep", "rate", "price", "calibration"])]
    table: Option<Kind>,
    /// With `--table`, add a column `wide_because`: what makes the intervals of a row wider than usual
    #[arg(long, requires = "table")]
    causes: bool,
    /// A catalog of your own, read over the built-in one; may be given several times
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<String>,
    #[command(flatten)]
    asked: Asked,
}

/// What is asked of a model.
#[derive(Debug, clap::Args)]
struct Asked {
    /// An accelerator, a machine, or `all` machines of the catalog
    #[arg(long, value_name = "ACCELERATOR|MACHINE|all", default_value = "all")]
    on: String,
    /// Ranks that split every layer; else the split that yields most per accelerator
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    tensor: Option<u32>,
    /// Stages that split the layers (1; with `--train` as many as are best)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pipeline: Option<u32>,
    /// Groups of such ranks with their own sequences, of a mixture of experts (attention data parallelism)
    #[arg(long, value_name = "N", conflicts_with = "train", value_parser = clap::value_parser!(u32).range(1..=4096))]
    data: Option<u32>,
    /// Groups of ranks with their own experts
    #[arg(long, value_name = "N", conflicts_with = "train", value_parser = clap::value_parser!(u32).range(1..=4096))]
    expert: Option<u32>,
    /// What serves it, perhaps at a version: vllm@0.19.0
    #[arg(long, value_name = "ENGINE[@VERSION]", default_value = "vllm")]
    engine: String,
    /// Precision of the weights; else as the model is published
    #[arg(long, value_name = "PRECISION", value_parser = names::precision)]
    precision: Option<capstan_types::hardware::Precision>,
    /// Precision of the KV cache: `auto` is 16 bits
    #[arg(long, value_name = "PRECISION", default_value = "auto", value_parser = names::cache)]
    kv_dtype: names::Cache,
    /// Prompt tokens of a request
    #[arg(long, value_name = "TOKENS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    input: u32,
    /// A number: output tokens of a request (256). A word: the form of the answer, human, markdown, json, csv or svg,
    /// perhaps into a file: json:answer.json. May be given several times
    #[arg(long, value_name = "TOKENS|FMT[:FILE]")]
    output: Vec<Form>,
    /// Requests in flight per replica
    #[arg(long, value_name = "N", default_value_t = 16, conflicts_with_all = ["sweep", "rate"], value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: u32,
    /// Several loads: powers of two between two numbers of requests in flight, 1..256
    #[arg(long, value_name = "FROM..TO", conflicts_with = "rate", value_parser = form::sweep)]
    sweep: Option<(u32, u32)>,
    /// Requests that arrive by themselves, at random: 2/s
    #[arg(long, value_name = "RATE", value_parser = form::rate)]
    rate: Option<f64>,
    /// What an accelerator costs: "2.50 USD/h"; else the cheapest on-demand offering of the catalog
    #[arg(long, value_name = "PRICE", value_parser = form::price)]
    price: Option<capstan_types::outlook::HourPrice>,
    /// Own measurements that `capstan calibrate` wrote
    #[arg(long, value_name = "FILE")]
    calibration: Vec<String>,
    #[command(flatten)]
    job: train::Job,
}

impl Asked {
    /// Returns the degrees that are fixed.
    fn fixed(&self) -> Parallelism {
        let Self { tensor, pipeline, data, expert, .. } = *self;
        Parallelism { tensor, pipeline, data, expert }
    }
}

/// Estimates.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    match args.table {
        Some(kind) => table::run(kind, &args.subject, &args.catalogs, args.causes, session),
        None if args.subject.ends_with(".csv") => {
            let failure =
                Failure::usage(format!("`{}` is a table, and no `--table KIND` is given", args.subject));
            Err(failure.hint("say what it holds: --table serving_latency").into())
        }
        None => model::run(&args.subject, &args.catalogs, &args.asked, session),
    }
}
