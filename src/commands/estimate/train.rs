//! How fast a model trains: the question from the command line, the answer from the planner.

use super::form::{Form, Kind};
use super::{Asked, names};
use crate::failure::Failure;
use crate::output::write_file;
use crate::session::Session;
use capstan_planner::outlook::{On, Training};
use capstan_report::{Style, markdown, terminal, training_document, training_json};
use capstan_sim::tables::Names;
use capstan_types::catalog::Catalog;
use capstan_types::hardware::{Accelerator, NodeShape, Precision};
use capstan_types::training::TrainingOutlook;

/// Tokens of a sequence where nobody says how many, or the model's context where that is less.
const SEQUENCE: u32 = 4096;
/// Accelerators where nobody says how many.
const ACCELERATORS: u32 = 8;

/// What is asked of a job.
#[derive(Debug, clap::Args)]
pub(super) struct Job {
    /// How fast it trains instead of how fast it serves: the best ways to split the work
    #[arg(long, conflicts_with_all = ["table", "engine", "kv_dtype", "input", "concurrency", "sweep", "rate", "price"])]
    pub(super) train: bool,
    /// With `--train`, accelerators all together (8)
    #[arg(long, value_name = "N", requires = "train", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    accelerators: Option<u32>,
    /// With `--train`, sequences of a step (128)
    #[arg(long, value_name = "SEQUENCES", requires = "train", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    batch: Option<u32>,
    /// With `--train`, tokens of a sequence (4096)
    #[arg(long, value_name = "TOKENS", requires = "train", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    sequence: Option<u32>,
    /// With `--train`, try every choice, not only the usual ones: recomputing, sharding, overlap, links, states on the host
    #[arg(long, requires = "train")]
    every: bool,
    /// With `--train`, how many of the best to show (5)
    #[arg(long, value_name = "N", requires = "train", value_parser = clap::value_parser!(u32).range(1..=1000))]
    best: Option<u32>,
}

/// Sequences of a step where nobody says how many.
const BATCH: u32 = 128;
/// Configurations that are shown where nobody says how many.
const BEST: u32 = 5;

/// Answers how fast `model` trains.
pub(super) fn answer(model: &str, asked: &Asked, catalog: &Catalog) -> anyhow::Result<TrainingOutlook> {
    let (names, job) = (Names::new(catalog), &asked.job);
    let model = names::model(catalog, &names, model)?;
    let (accelerator, machine) = on(catalog, names::on(catalog, &names, &asked.on)?)?;
    let ask = Training {
        catalog,
        model,
        accelerator,
        machine,
        accelerators: job.accelerators.unwrap_or(ACCELERATORS),
        precision: asked.precision.unwrap_or(Precision::Bf16),
        batch: job.batch.unwrap_or(BATCH),
        sequence: job.sequence.unwrap_or(SEQUENCE.min(model.context)),
        fixed: asked.fixed(),
        wide: job.every,
        wanted: job.best.unwrap_or(BEST) as usize,
    };
    let mut outlook = ask.outlook();
    outlook.assumptions = assumptions(&ask, asked);
    Ok(outlook)
}

/// Returns the accelerator, and its machine where one is named.
fn on<'a>(catalog: &'a Catalog, on: On<'a>) -> Result<(&'a Accelerator, Option<&'a NodeShape>), Failure> {
    match on {
        On::Accelerator(accelerator) => Ok((accelerator, None)),
        On::Machine(shape) => {
            let named = shape.accelerator.as_deref().and_then(|id| catalog.accelerator(id));
            let missing =
                || Failure::new(format!("the catalog does not know the accelerator of `{}`", shape.id));
            Ok((named.ok_or_else(missing)?, Some(shape)))
        }
        On::All => {
            let failure = Failure::usage("`--train` needs one accelerator or machine".to_owned());
            Err(failure.hint("say which: --on h100_sxm"))
        }
    }
}

fn assumptions(ask: &Training<'_>, asked: &Asked) -> Vec<String> {
    let (job, mut assumed) = (&asked.job, Vec::new());
    let mut add = |said: bool, text: String| {
        if !said {
            assumed.push(text);
        }
    };
    add(job.accelerators.is_some(), format!("{} accelerators (`--accelerators`)", ask.accelerators));
    add(job.batch.is_some(), format!("{} sequences of a step (`--batch`)", ask.batch));
    add(job.sequence.is_some(), format!("{} tokens of a sequence (`--sequence`)", ask.sequence));
    add(asked.precision.is_some(), "math in bf16 (`--precision`)".to_owned());
    add(
        ask.machine.is_some(),
        "machines with up to eight accelerators on the network that published runs had (`--on` a machine)"
            .to_owned(),
    );
    add(
        job.every,
        "the usual choices: layers computed twice only where they must be, optimizer states shared (`--every` tries all)"
            .to_owned(),
    );
    add(
        false,
        "Adam in mixed precision with fused attention; failures and checkpoints are left to `plan`"
            .to_owned(),
    );
    assumed
}

/// Writes the answer in every form that was asked for.
pub(super) fn write(outlook: &TrainingOutlook, asked: &Asked, session: &Session) -> anyhow::Result<()> {
    for (kind, file) in super::form::forms(&asked.output) {
        let look = session.out;
        let style = Style { colour: look.colour && file.is_none(), unicode: look.unicode || file.is_some() };
        let text = match kind {
            Kind::Human => terminal(&training_document(outlook), look.width, style),
            Kind::Markdown => markdown(&training_document(outlook)),
            Kind::Json => training_json(outlook),
            Kind::Csv | Kind::Svg => {
                let failure = Failure::usage("`--train` answers in human, markdown or json".to_owned());
                return Err(failure.into());
            }
        };
        match file {
            None => session.print(&text)?,
            Some(file) => write_file(&file, text.as_bytes())?,
        }
    }
    Ok(())
}

/// Says whether `--output` asks for tokens, which training has none of.
pub(super) fn check(asked: &Asked) -> Result<(), Failure> {
    match asked
        .output
        .iter()
        .find_map(|form| if let Form::Tokens(tokens) = form { Some(tokens) } else { None })
    {
        Some(tokens) => {
            Err(Failure::usage(format!("`--train` has no output of {tokens} tokens: say `--sequence`")))
        }
        None => Ok(()),
    }
}
