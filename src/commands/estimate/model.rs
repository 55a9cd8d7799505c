//! What a model achieves: the question from the command line, the answer from the planner, in every form that was asked.

use super::Asked;
use super::form::{Form, Kind, forms};
use super::open::{Wanted, workload};
use super::{names, train};
use crate::catalogs;
use crate::commands::import;
use crate::exit::Exit;
use crate::output::write_file;
use crate::render;
use crate::session::Session;
use capstan_planner::outlook::{Ask, Load, On, outlook};
use capstan_report::{Style, markdown, outlook_csv, outlook_document, outlook_json, outlook_svg, terminal};
use capstan_sim::tables::Names;
use capstan_types::catalog::Catalog;
use capstan_types::outlook::Outlook;
use capstan_types::spec::{Parallelism, Serve};

/// Output tokens where nobody says how many.
const OUTPUT_TOKENS: u32 = 256;
/// Seed of random arrivals, as that of a plan where nobody says one.
const SEED: u64 = 1;

/// Estimates a model.
pub(super) fn run(model: &str, own: &[String], asked: &Asked, session: &Session) -> anyhow::Result<Exit> {
    let files: Vec<String> = own.iter().chain(&asked.calibration).cloned().collect();
    let mut catalog = match catalogs::over_built_in(&files, session) {
        Ok(catalog) => catalog,
        Err(exit) => return Ok(exit),
    };
    let own =
        if model.ends_with(".json") { config(model, &mut catalog, session) } else { Some(model.to_owned()) };
    let Some(model) = own else { return Ok(Exit::Failed) };
    if asked.job.train {
        train::check(asked)?;
        let outlook = train::answer(&model, asked, &catalog)?;
        train::write(&outlook, asked, session)?;
        return Ok(if outlook.best.is_empty() { Exit::Violated } else { Exit::Done });
    }
    let outlook = answer(&model, asked, &catalog)?;
    write(&outlook, asked, session)?;
    Ok(if outlook.answers.is_empty() { Exit::Violated } else { Exit::Done })
}

/// Reads a `config.json` and adds its model to what is known; returns its identifier, or nothing where it is no model.
fn config(path: &str, catalog: &mut Catalog, session: &Session) -> Option<String> {
    let found = import::read(path, session.today);
    session.say(&render::diagnostics(&found.imported.diagnostics, &found.sources));
    let model = found.imported.model?;
    let id = model.id.clone();
    catalog.models.retain(|known| known.id != id);
    catalog.models.push(model);
    Some(id)
}

fn answer(model: &str, asked: &Asked, catalog: &Catalog) -> anyhow::Result<Outlook> {
    let names = Names::new(catalog);
    let model = names::model(catalog, &names, model)?;
    let (engine, engine_version) = names::engine(catalog, &names, &asked.engine)?;
    let tokens = |form: &Form| if let Form::Tokens(tokens) = form { Some(*tokens) } else { None };
    let said = asked.output.iter().find_map(tokens);
    let (output, precision) = (said.unwrap_or(OUTPUT_TOKENS), asked.precision.unwrap_or(model.published));
    let kv_precision = asked.kv_dtype.0;
    let wanted = |rate| Wanted { model, engine, precision, kv_precision, input: asked.input, output, rate };
    let serve: Option<Serve> = asked.rate.map(|rate| workload(&wanted(rate), catalog)).transpose()?;
    let (from, to) = asked.sweep.unwrap_or((asked.concurrency, asked.concurrency));
    let ask = Ask {
        catalog,
        model,
        engine,
        engine_version,
        on: names::on(catalog, &names, &asked.on)?,
        fixed: Parallelism { pipeline: asked.pipeline.or(Some(1)), ..asked.fixed() },
        precision,
        kv_precision,
        input: asked.input,
        output,
        load: serve.as_ref().map_or(Load::Closed { from, to }, Load::Open),
        price: asked.price.as_ref(),
        seed: SEED,
    };
    let mut outlook = outlook(&ask);
    outlook.assumptions = assumptions(&ask, asked, said.is_some());
    Ok(outlook)
}

/// Returns what stands in for what was not said.
fn assumptions(ask: &Ask<'_>, asked: &Asked, said_output: bool) -> Vec<String> {
    let mut assumed = Vec::new();
    let mut add = |text: String| assumed.push(text);
    if asked.precision.is_none() {
        add(format!("weights as published, in {} (`--precision`)", ask.precision.word()));
    }
    if ask.kv_precision.is_none() {
        add("a KV cache in 16 bits; `--kv-dtype fp8` halves it".to_owned());
    }
    if !said_output {
        add(format!("{} output tokens of every request (`--output`)", ask.output));
    }
    match ask.load {
        Load::Closed { .. } => add(
            "every prompt as long as the other, outputs within 5 %; ten requests per client, all clients beginning at \
             once, which counts"
                .to_owned(),
        ),
        Load::Open(_) => add(
            "every request as long as the other, Poisson arrivals; without a service level a replica is loaded as far \
             as its queue stays short (`plan` holds service levels)"
                .to_owned(),
        ),
    }
    let compared = asked.sweep.is_some() && !matches!(ask.on, On::All);
    if ask.fixed.tensor.is_none() && !compared {
        add("the split that yields most per accelerator (`--tensor`)".to_owned());
    }
    if asked.price.is_none() {
        add(
            "the cheapest on-demand price of the catalog, and that the rest of a machine is used as well (`--price`)"
                .to_owned(),
        );
    }
    add(format!(
        "{} {} with its defaults: {} of device memory, no prefix cache, no speculation",
        ask.engine.id,
        ask.engine_version,
        capstan_types::figure::percent(ask.engine.memory_utilization)
    ));
    assumed
}

fn write(outlook: &Outlook, asked: &Asked, session: &Session) -> anyhow::Result<()> {
    for (kind, file) in forms(&asked.output) {
        let look = session.out;
        let style = Style { colour: look.colour && file.is_none(), unicode: look.unicode || file.is_some() };
        let text = match kind {
            Kind::Human => terminal(&outlook_document(outlook), look.width, style),
            Kind::Markdown => markdown(&outlook_document(outlook)),
            Kind::Json => outlook_json(outlook),
            Kind::Csv => outlook_csv(outlook),
            // Nothing runs: the other forms say why, and no picture is better than an empty one.
            Kind::Svg if outlook.answers.is_empty() => {
                session.warn("nothing runs, so there is no picture");
                continue;
            }
            Kind::Svg => outlook_svg(outlook)?,
        };
        match file {
            None => session.print(&text)?,
            Some(file) => write_file(&file, text.as_bytes())?,
        }
    }
    Ok(())
}
