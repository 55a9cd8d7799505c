//! `simulate`: a plan again, longer and under other circumstances. It buys and changes nothing.

mod chrome_trace;
mod request_log;

use super::check::{self, Style};
use super::plan;
use crate::blueprint_file;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, DATA_LIMIT, Files, Here};
use crate::interrupt::Interrupt;
use crate::output::{Output, each_its_own, write as write_outputs, write_file};
use crate::plan_file::{Beside, Checked, requests_of};
use crate::session::Session;
use anyhow::Context;
use capstan_planner::simulate::{
    Failing, Failure as Falls, MOST_REQUESTS, Progress, Question, Simulated, Spike, simulate,
};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{Blueprint, VerdictStatus};
use capstan_types::place::FileId;
use capstan_types::units::Seconds;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Simulate a plan again: more replications, more requests, a machine that fails
///
/// A plan file is planned first. Every placement runs at the hours at which it was verified, with all its replicas. Ends
/// with 3 where a service level does not hold.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A plan file or a blueprint
    #[arg(value_name = "FILE|BLUEPRINT")]
    file: String,
    #[command(flatten)]
    beside: Beside,
    /// Replications, at least; more are run where they do not decide
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    replications: u32,
    /// Seed of every random stream; by default the plan's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Times the planned requests, such as 2x
    #[arg(long, value_name = "FACTOR", default_value = "1x")]
    surge: Times,
    /// Times the planned requests for a while, a third into the measured time, such as 5x
    #[arg(long, value_name = "FACTOR", conflicts_with = "clients")]
    spike: Option<Times>,
    /// For how long a spike lasts
    #[arg(long, value_name = "TIME", requires = "spike", default_value = "2min")]
    spike_for: Lasts,
    /// So many clients that wait for their answer before they ask again, in place of the planned requests
    #[arg(long, value_name = "N", conflicts_with = "surge", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: Option<u32>,
    /// What fails, a third into the measured time, with the replicas on it
    #[arg(long, value_enum)]
    fail: Option<Fails>,
    /// For how long it fails, such as 10min; by default as long as a replica takes to start elsewhere
    #[arg(long = "for", value_name = "TIME", requires = "fail")]
    lasts: Option<Lasts>,
    /// Requests in flight on what fails are lost; by default what `on_failure` of the plan says becomes of them
    #[arg(long, requires = "fail")]
    lose: bool,
    /// How many fail at once; of spot machines by default all that the plan buys
    #[arg(long, value_name = "N", requires = "fail", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// How long before it takes machines back the spot market says so, such as 2min, 30s or none
    #[arg(long, value_name = "TIME", requires = "fail", default_value = "2min")]
    notice: Notice,
    /// How many times as long the steps of a slow replica take
    #[arg(long, value_name = "FACTOR", requires = "fail", default_value = "2x")]
    slower: Times,
    /// End each replication after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// Show queues and machines over time; with svg:FILE as a picture
    #[arg(long, value_name = "svg:FILE", num_args = 0..=1, default_missing_value = "terminal", require_equals = true)]
    timeline: Option<Course>,
    /// Write the steps of the first replication for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    chrome_trace: Option<String>,
    /// Write what became of each request of the first replication, CSV: `ttft_s` and `e2e_s` are what its client sees, the other times those of the scheduler
    #[arg(long, value_name = "FILE")]
    requests: Option<String>,
    /// Form and file of the answer: terminal, markdown or json, each with `:FILE` if wanted; may be given several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fails {
    /// An accelerator, with the replica on it
    Gpu,
    /// A machine
    Node,
    /// A rack of an own site
    Rack,
    /// A zone: an equal part of the replicas for each zone of the site
    Zone,
    /// The program of a replica, which starts again where it is
    Crash,
    /// A replica that is slow
    Slow,
    /// All spot machines of the region at once
    Spot,
}

/// A span of time, or none.
#[derive(Clone, Copy, Debug)]
struct Notice(Seconds);

impl FromStr for Notice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Notice(Seconds(0.0))) } else { text.parse().map(|Lasts(time)| Notice(time)) }
    }
}

/// A factor, such as `2x`.
#[derive(Clone, Copy, Debug)]
struct Times(f64);

/// Largest factor: beyond it a surge is a mistake.
const MOST_TIMES: f64 = 1000.0;

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('x').unwrap_or(text);
        match number.parse::<f64>() {
            Ok(factor) if factor > 0.0 && factor <= MOST_TIMES => Ok(Times(factor)),
            _ => Err(format!("`{text}` is no factor above 0 and up to {MOST_TIMES}, such as 2x")),
        }
    }
}

/// A span of time, such as `10min`.
#[derive(Clone, Copy, Debug)]
struct Lasts(Seconds);

impl FromStr for Lasts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no span of time, such as 90s, 10min or 2h");
        let unit = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(unit);
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let seconds = match unit {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        if number > 0.0 && number.is_finite() { Ok(Lasts(Seconds(number * seconds))) } else { Err(wrong()) }
    }
}

/// Where the course over time is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Course {
    Terminal,
    Svg(String),
}

impl FromStr for Course {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "terminal" => Ok(Course::Terminal),
            Some(("svg", file)) if !file.is_empty() => Ok(Course::Svg(file.to_owned())),
            _ => Err(format!("`{text}` is neither `terminal` nor `svg:FILE`")),
        }
    }
}

/// Simulates.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    each_file_is_its_own(args)?;
    let (blueprint, traces) = match read(args, session)? {
        Ok(read) => read,
        Err(exit) => return Ok(exit),
    };
    if blueprint.services.is_empty() && !blueprint.findings.is_empty() {
        let found = blueprint.findings.iter().map(|finding| finding.message.clone());
        let failure = Failure::new("there is no plan to simulate").exit(Exit::Violated);
        return Err(found.fold(failure, Failure::hint).into());
    }
    let question = Question {
        replications: args.replications,
        seed: args.seed.unwrap_or(blueprint.inputs.spec.frame.seed),
        surge: args.surge.0,
        spike: args.spike.map(|factor| Spike { factor: factor.0, lasts: args.spike_for.0 }),
        clients: args.clients,
        failure: args.fail.map(|what| Falls {
            what: match what {
                Fails::Gpu => Failing::Gpu,
                Fails::Node => Failing::Node,
                Fails::Rack => Failing::Rack,
                Fails::Zone => Failing::Zone,
                Fails::Crash => Failing::Crash,
                Fails::Slow => Failing::Slow,
                Fails::Spot => Failing::Spot,
            },
            count: args.count,
            notice: args.notice.0,
            slower: args.slower.0,
            lasts: args.lasts.map(|lasts| lasts.0),
            loses_requests: args.lose,
        }),
        most_requests: MOST_REQUESTS,
        most_events: args.max_events,
        at_all_hours: true,
        keep_requests: args.requests.is_some(),
        keep_steps: args.chrome_trace.is_some(),
    };
    let interrupt = Interrupt::listen()?;
    let simulated = watched(&blueprint, &question, &traces, &interrupt, session)?;
    write(args, &simulated, session)?;
    if simulated.simulation.interrupted {
        return Ok(Exit::Interrupted);
    }
    Ok(match simulated.simulation.status {
        VerdictStatus::Met => Exit::Done,
        VerdictStatus::Missed | VerdictStatus::Undecided => Exit::Violated,
    })
}

type Traces = BTreeMap<String, Recording>;

/// Reads a blueprint, or a plan file, which is planned; with the requests of traces.
fn read(args: &Args, session: &Session) -> anyhow::Result<Result<(Blueprint, Traces), Exit>> {
    let begins = |bytes: &Vec<u8>| bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if let Some(bytes) = Here.read(&args.file, DATA_LIMIT).ok().filter(begins) {
        args.beside.refuse_with_blueprint()?;
        let blueprint = blueprint_file::of(&args.file, bytes)?;
        let traces = traces_of(&blueprint)?;
        return Ok(Ok((blueprint, traces)));
    }
    let mut checked = Checked::read(&args.file, &args.beside);
    check::tell(&checked.diagnostics, &checked.sources, Style::Human, session)?;
    let Some(spec) = checked.spec.take() else { return Ok(Err(Exit::Failed)) };
    let traces = checked.traces.clone();
    Ok(Ok((plan::solve(spec, &checked, true, session)?, traces)))
}

/// Reads the traces that a blueprint stands on, which it does not hold itself.
fn traces_of(blueprint: &Blueprint) -> anyhow::Result<Traces> {
    let mut traces = Traces::new();
    let serves = blueprint.inputs.spec.serves.iter();
    for used in serves.filter_map(|serve| serve.load.trace.as_ref()) {
        let files = blueprint.inputs.files.iter().filter(|file| file.role == "trace");
        let mut files = files.filter(|file| file.path.ends_with(&used.path));
        let Some(file) = files.next() else { continue };
        let what = || format!("cannot read the trace `{}` that the plan was made with", file.path);
        let bytes = Here.read(&file.path, DATA_LIMIT).with_context(what)?;
        if files::sha256(&bytes) != file.sha256 {
            let message = format!("the trace `{}` is not the one that the plan was made with", file.path);
            return Err(Failure::new(message).hint("plan again, or bring the trace of then back").into());
        }
        let unpacked = files::unpacked(bytes, DATA_LIMIT).with_context(what)?;
        let text = String::from_utf8(unpacked).with_context(what)?;
        let read = capstan_lang::trace::read(&FileId::new(&file.path), &text, &file.sha256)
            .map_err(|_| Failure::new(format!("the trace `{}` cannot be read any more", file.path)))?;
        traces.insert(used.path.clone(), requests_of(&read));
    }
    Ok(traces)
}

/// Simulates, with a bar for whoever waits longer than a second.
fn watched(
    blueprint: &Blueprint,
    question: &Question,
    traces: &Traces,
    interrupt: &Interrupt,
    session: &Session,
) -> anyhow::Result<Simulated> {
    let bar = Mutex::new((session.err.terminal.then(|| ProgressBar::new(0)), Instant::now()));
    let progress = |progress: &Progress<'_>| {
        let Ok(bar) = bar.lock() else { return };
        let (Some(bar), begin) = &*bar else { return };
        if begin.elapsed() < Duration::from_secs(1) {
            return;
        }
        let style = "{elapsed} {bar:30} {pos} of {len} replications, {msg}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(u64::from(question.replications.max(progress.done)));
        bar.set_position(u64::from(progress.done));
        bar.set_message(format!("{}: {} requests", progress.workload, progress.requests));
    };
    let simulated = simulate(blueprint, question, traces, &progress, &|| interrupt.is_asked());
    if let Ok((Some(bar), _)) = bar.into_inner() {
        bar.finish_and_clear();
    }
    simulated.context("simulating")
}

fn write(args: &Args, simulated: &Simulated, session: &Session) -> anyhow::Result<()> {
    let simulation = &simulated.simulation;
    if let Some(file) = &args.requests {
        write_file(file, request_log::csv(simulated).as_bytes())?;
    }
    if let Some(file) = &args.chrome_trace {
        write_file(file, chrome_trace::json(simulated)?.as_bytes())?;
    }
    if let Some(Course::Svg(file)) = &args.timeline {
        write_file(file, capstan_report::timeline_svg(simulation)?.as_bytes())?;
    }
    let shown = args.timeline == Some(Course::Terminal);
    let document = capstan_report::simulation_document(simulation, shown);
    write_outputs(&args.output, session, &document, || capstan_report::simulation_json(simulation))
}

/// No output may replace the plan or another output.
fn each_file_is_its_own(args: &Args) -> Result<(), Failure> {
    let svg = match &args.timeline {
        Some(Course::Svg(file)) => Some(file.as_str()),
        _ => None,
    };
    let others = [args.chrome_trace.as_deref(), args.requests.as_deref(), svg];
    let written = args.output.iter().filter_map(|output| output.file.as_deref());
    each_its_own(Some(&args.file), others.into_iter().flatten().chain(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_spans_are_read_with_their_units() {
        assert_eq!("2x".parse::<Times>().map(|times| times.0), Ok(2.0));
        assert_eq!("0.5".parse::<Times>().map(|times| times.0), Ok(0.5));
        for wrong in ["x", "-1x", "0x", "1e9x", "NaN", "twice"] {
            assert!(wrong.parse::<Times>().is_err(), "{wrong}");
        }
        assert_eq!("10min".parse::<Lasts>().map(|lasts| lasts.0), Ok(Seconds(600.0)));
        assert_eq!("1.5 h".parse::<Lasts>().map(|lasts| lasts.0), Ok(Seconds(5400.0)));
        for wrong in ["10", "10m", "-1s", "min", "inf h", "NaNs"] {
            assert!(wrong.parse::<Lasts>().is_err(), "{wrong}");
        }
    }
}
