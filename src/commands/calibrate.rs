//! `calibrate`: a user's own measurements become a catalog that plans and estimates read over the built-in one.

mod bench;
mod nccl;
mod products;
mod told;
mod toml;

use crate::catalogs;
use crate::commands::estimate::names;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, DATA_LIMIT, Files, Here};
use crate::output::{self, Format, Output, write_file};
use crate::session::Session;
use anyhow::Context;
use capstan_planner::outlook::On;
use capstan_sim::calibrate;
use capstan_sim::tables::Names;
use capstan_types::catalog::Catalog;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::origin::{Grade, Provenance};
use jiff::civil::Date;
use told::Learned;

/// Turn your own measurements into corrections, which plans `use` and `estimate --calibration` takes
///
/// FILE is one of: a CSV table with the columns of serving_latency, `ttft_ms` and `tpot_ms` among them (one row is
/// enough); one with those of training_throughput, `step_time_s` or `tokens_s_gpu` among them; the JSON of `vllm bench serve --save-result` or the JSON lines of `sglang.bench_serving`, run with
/// `--max-concurrency`; the text of nccl-tests' all_reduce_perf; a CSV table of matrix products with m, n, k and
/// latency_us. What the file does not say is given by options. Rows that cannot be true are refused, each with its reason;
/// the others are used.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was measured; `-` is standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Where the corrections go; without it they are only told
    #[arg(short = 'o', value_name = "calibration.toml")]
    into: Option<String>,
    /// The model, where the file does not say
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The accelerator, or a machine of it, where the file does not say
    #[arg(long, value_name = "ACCELERATOR|MACHINE")]
    on: Option<String>,
    /// The engine and its version, where the file does not say
    #[arg(long, value_name = "ENGINE[@VERSION]")]
    engine: Option<String>,
    /// Precision of the weights, where the file does not say
    #[arg(long, value_name = "PRECISION", value_parser = names::precision)]
    precision: Option<Precision>,
    /// Precision of the KV cache, where the file does not say
    #[arg(long, value_name = "PRECISION", value_parser = names::cache)]
    kv_dtype: Option<names::Cache>,
    /// Ranks that split every layer, where the file does not say
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    tensor: Option<u32>,
    /// Stages that split the layers, where the file does not say
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pipeline: Option<u32>,
    /// The day of the measurement; else today
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// A catalog of your own, read over the built-in one; may be given several times
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<String>,
    /// The form in which it is told, terminal or markdown, perhaps into a file: markdown:calibration.md
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// What the text of a measurement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Serving,
    Bench,
    AllReduce,
    Products,
    Training,
}

/// Calibrates.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    if args.output.iter().any(|output| output.format == Format::Json) {
        return Err(Failure::usage("programs read the corrections themselves: -o calibration.toml").into());
    }
    let catalog = match catalogs::over_built_in(&args.catalogs, session) {
        Ok(catalog) => catalog,
        Err(exit) => return Ok(exit),
    };
    let bytes = if args.file == "-" { files::stdin(DATA_LIMIT) } else { Here.read(&args.file, DATA_LIMIT) };
    let bytes = bytes
        .and_then(|bytes| files::unpacked(bytes, DATA_LIMIT))
        .with_context(|| format!("cannot read `{}`", args.file))?;
    let digest = files::sha256(&bytes);
    let text = catalogs::text(bytes).map_err(|why| Failure::new(format!("`{}`: {why}", args.file)))?;
    let provenance = Provenance {
        source: format!("own measurements, {}, sha256 {}", args.file, &digest[..16]),
        as_of: args.as_of.unwrap_or(session.today),
        grade: Grade::Measured,
    };
    let learned = learn(args, &text, &catalog, &provenance)?;
    output::write(&args.output, session, &told::document(args, &learned), String::new)?;
    if learned.is_empty() {
        return Err(Failure::new(format!("nothing of `{}` can be used", args.file)).into());
    }
    if let Some(into) = &args.into {
        write_file(into, toml::catalog(&learned, &provenance).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Returns what the file teaches.
fn learn(args: &Args, text: &str, catalog: &Catalog, provenance: &Provenance) -> Result<Learned, Failure> {
    let names = Names::new(catalog);
    let wrong = |why: String| Failure::new(format!("`{}`: {why}", args.file));
    let kind = kind(text).ok_or_else(|| {
        wrong("it is no measurement that is known here".to_owned()).hint(
            "a table with ttft_ms or tpot_ms, or with step_time_s or tokens_s_gpu, benchmark JSON of vLLM or SGLang, the text of all_reduce_perf, or a table \
             with m, n, k and latency_us",
        )
    })?;
    match kind {
        Kind::Serving => {
            let given = given(args, catalog, &names)?;
            let read = calibrate::serving(text.as_bytes(), &given, &names, provenance);
            read.map(|read| Learned::Serving(read, "line")).map_err(|why| wrong(why).hint(GIVE))
        }
        Kind::Bench => {
            let (table, unread) = bench::table(text).map_err(wrong)?;
            let mut given = given(args, catalog, &names)?;
            if !given.iter().any(|(name, _)| *name == "tp") {
                given.push(("tp", "1".to_owned()));
            }
            let read = calibrate::serving(table.as_bytes(), &given, &names, provenance);
            let mut read = read.map_err(|why| wrong(why).hint(GIVE))?;
            // The table has a header that the file does not have.
            read.refused.iter_mut().for_each(|refused| refused.line -= 1);
            read.rows += unread.len();
            read.refused.extend(unread);
            Ok(Learned::Serving(read, "run"))
        }
        Kind::AllReduce => {
            let (ranks, measured) = nccl::read(text).map_err(wrong)?;
            let accelerator = accelerator(args, catalog, &names)?;
            let messages: Vec<(f64, f64)> = measured.iter().map(|row| (row.bytes, row.us)).collect();
            let lines = measured.iter().map(|row| row.line).collect();
            let fitted = calibrate::all_reduce(catalog, accelerator, ranks, &messages, provenance);
            fitted.map(|fitted| Learned::AllReduce(fitted, lines)).map_err(wrong)
        }
        Kind::Products => {
            let accelerator = accelerator(args, catalog, &names)?;
            let groups = products::read(text, args.precision).map_err(wrong)?;
            let fit = |(precision, rows): (Precision, products::Rows)| {
                let (lines, measured): (Vec<u64>, Vec<_>) = rows.into_iter().unzip();
                let fitted = calibrate::gemm(catalog, accelerator, precision, &measured, provenance)?;
                Ok((fitted, lines))
            };
            groups.into_iter().map(fit).collect::<Result<_, _>>().map(Learned::Products).map_err(wrong)
        }
        Kind::Training => {
            let read = calibrate::training(text.as_bytes(), catalog, provenance);
            read.map(Learned::Training).map_err(wrong)
        }
    }
}

/// What to do about a column that is missing.
const GIVE: &str = "give what the file does not say: --model, --on, --engine, --precision, --tensor";

/// Tells what a text is from how it begins and from its header.
fn kind(text: &str) -> Option<Kind> {
    let text = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    if text.starts_with(['{', '[']) {
        return Some(Kind::Bench);
    }
    if text.lines().take(200).any(|line| line.trim_start().starts_with('#') && line.contains("busbw")) {
        return Some(Kind::AllReduce);
    }
    let header: Vec<&str> = text.lines().next()?.split(',').map(str::trim).collect();
    let has = |name: &str| header.contains(&name);
    if calibrate::MEASURED.iter().any(|name| has(name)) {
        Some(Kind::Serving)
    } else if calibrate::TRAINING_MEASURED.iter().any(|name| has(name)) {
        Some(Kind::Training)
    } else {
        (has("m") && has("n") && has("k")).then_some(Kind::Products)
    }
}

/// Returns the cells that options give in place of columns.
fn given(args: &Args, catalog: &Catalog, names: &Names<'_>) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut given = Vec::new();
    if let Some(model) = &args.model {
        given.push(("model", names::model(catalog, names, model)?.id.clone()));
    }
    if args.on.is_some() {
        given.push(("accelerator", accelerator(args, catalog, names)?.id.clone()));
    }
    if let Some(engine) = &args.engine {
        let (engine, version) = names::engine(catalog, names, engine)?;
        given.push(("engine", engine.id.clone()));
        given.push(("engine_version", version.to_owned()));
    }
    let rest = [
        ("precision", args.precision.map(|precision| precision.word().to_owned())),
        ("kv_dtype", args.kv_dtype.map(|cache| cache.0.map_or("auto", |_| "fp8").to_owned())),
        ("tp", args.tensor.map(|ranks| ranks.to_string())),
        ("pp", args.pipeline.map(|stages| stages.to_string())),
    ];
    given.extend(rest.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Ok(given)
}

/// Returns the accelerator that an option names.
fn accelerator<'a>(args: &Args, catalog: &'a Catalog, names: &Names<'a>) -> Result<&'a Accelerator, Failure> {
    let Some(on) = &args.on else {
        let failure = Failure::usage("the file does not say on which accelerator it was measured");
        return Err(failure.hint("say it: --on h100_sxm"));
    };
    match names::on(catalog, names, on)? {
        On::Accelerator(accelerator) => Ok(accelerator),
        On::Machine(shape) => {
            let found = shape.accelerator.as_deref().and_then(|id| catalog.accelerator(id));
            found.ok_or_else(|| Failure::new(format!("`{on}` has no accelerators")))
        }
        On::All => Err(Failure::usage("a measurement was made on one accelerator, not on `all`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_its_beginning() {
        let known = [
            ("model,ttft_ms,tpot_ms\n", Some(Kind::Serving)),
            (" {\"model_id\": 1}", Some(Kind::Bench)),
            ("# nThread 1\n#  size  count  busbw\n", Some(Kind::AllReduce)),
            ("gemm_dtype,m,n,k,latency_us\n", Some(Kind::Products)),
            ("model,gpu,n_gpus,tokens_s_gpu\n", Some(Kind::Training)),
            ("a,b\n1,2\n", None),
            ("", None),
        ];
        for (text, expected) in known {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
