//! `import`: read what others wrote.

use crate::catalogs::{start, unreadable};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, FileError, Files, Here, TEXT_LIMIT};
use crate::model_file::{self, Found};
use crate::output::{self, Output};
use crate::render;
use crate::session::Session;
use capstan_lang::import::catalog_row;
use capstan_report::{Block, Document, Table};
use capstan_types::figure;
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use clap::Subcommand;
use jiff::civil::Date;
use serde_json::{Value, json};

/// Read what others wrote: the `config.json` of a model, digests of images
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to read
    #[command(subcommand)]
    command: Command,
}

mod images;

#[derive(Debug, Subcommand)]
enum Command {
    /// Read models from `config.json` files of Hugging Face: sizes, parameters, cache, precision
    ///
    /// An architecture is understood, or refused with the field that is not. Nothing is downloaded.
    Huggingface(Huggingface),
    /// Ask registries for the digests of the images that manifests name, and write them to `images.lock`
    ///
    /// `emit`, `apply` and the other commands that speak to a cluster then write images by digest. Needs the network; no
    /// credentials are sent. All images are pinned, or nothing is written.
    Images(images::Args),
}

#[derive(Debug, clap::Args)]
struct Huggingface {
    /// A `config.json`, or a folder in and below which they lie; `hf_quant_config.json` beside one is read with it
    #[arg(value_name = "FILE|DIR")]
    path: String,
    /// Write the models as rows of a catalog, for `use catalog` in a plan; `-` is standard output
    #[arg(short, long = "out", value_name = "FILE.toml")]
    out: Option<String>,
    /// The day for which the rows are true; today if left out
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Form and file: terminal, markdown or json, each with `:FILE` if wanted
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// Reads.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let args = match &args.command {
        Command::Images(args) => return images::run(args, session),
        Command::Huggingface(args) => args,
    };
    let paths = paths(&args.path)?;
    let as_of = args.as_of.unwrap_or(session.today);
    let mut models = Vec::new();
    let mut wrong = 0;
    for path in &paths {
        let found = read(path, as_of);
        session.say(&render::diagnostics(&found.imported.diagnostics, &found.sources));
        match found.imported.model {
            Some(model) => models.push((model, found.imported.precision_from)),
            None => wrong += 1,
        }
    }
    if let Some(out) = &args.out {
        let rows: Vec<String> = models.iter().map(|(model, _)| catalog_row(model)).collect();
        let text = rows.join("\n");
        if out == "-" { session.print(&text)? } else { output::write_file(out, text.as_bytes())? }
    }
    if args.out.as_deref() != Some("-") {
        let document = document(&models);
        output::write(&args.output, session, &document, || as_json(&models))?;
    }
    if wrong > 0 {
        session.say(&format!("{wrong} of {} files are refused\n", paths.len()));
    }
    Ok(if wrong > 0 { Exit::Failed } else { Exit::Done })
}

/// Returns the configurations that a path names.
fn paths(path: &str) -> anyhow::Result<Vec<String>> {
    // A file is read as it is named, whatever its name.
    let Err(FileError::IsFolder) = files::stream(path).map(drop) else { return Ok(vec![path.to_owned()]) };
    let listed =
        files::listed(path).map_err(|error| Failure::new(format!("cannot read `{path}`: {error}")))?;
    let configs: Vec<String> = listed.into_iter().filter(|path| model_file::is_config(path)).collect();
    if configs.is_empty() {
        let failure = Failure::new(format!("there is no `config.json` in or below `{path}`"));
        return Err(failure.hint("names end in `config.json` or `_config.json`").into());
    }
    Ok(configs)
}

/// Reads one configuration, with what lies beside it.
pub(in crate::commands) fn read(path: &str, as_of: Date) -> Found {
    let name = model_file::name(path);
    let bytes = match Here.read(path, TEXT_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => {
            let mut found = model_file::dated(path, Vec::new(), None, "", as_of);
            found.imported.diagnostics = vec![unreadable(start(path), path, &error.to_string())];
            return found;
        }
    };
    let beside =
        model_file::beside(path).and_then(|name| Some((name.clone(), Here.read(&name, TEXT_LIMIT).ok()?)));
    let mut found = model_file::dated(path, bytes, beside, &model_file::identifier(&name), as_of);
    if let Some(model) = &mut found.imported.model {
        model.names = vec![name];
    }
    found
}

/// Returns what a model says beside its sizes, as pairs of a name and a number.
fn numbers(model: &Model) -> [(&'static str, f64); 8] {
    let cache = model.stored.and_then(|stored| stored.cache).unwrap_or(Precision::Bf16);
    [
        ("params_total_b", model.params_total_b),
        ("params_active_b", model.params_active_b),
        ("params_active_no_input_emb_b", model.active_params_without_input_b()),
        ("kv_bytes_per_token", model.kv_bytes_per_token(cache).get()),
        ("kv_bytes_per_token_bf16", model.kv_bytes_per_token(Precision::Bf16).get()),
        ("index_bytes_per_token", model.index_bytes_per_token().get()),
        ("window_bytes_per_request", model.window_bytes(cache).get()),
        ("state_bytes_per_request", model.state_bytes().get()),
    ]
}

fn document(models: &[(Model, &str)]) -> Document {
    let mut document = Document { title: "Models".into(), blocks: Vec::new() };
    if models.is_empty() {
        return document;
    }
    let mut table = Table::new(&[
        "Name",
        ">Parameters",
        ">Active",
        ">Without input",
        ">Cache, B/token",
        ">Index",
        ">Fixed, MB",
        "Stored in",
    ]);
    for (model, _) in models {
        let [total, active, without, cache, _, index, window, state] = numbers(model).map(|(_, value)| value);
        let short = |billions: f64| format!("{} G", figure::short(billions));
        table.rows.push(vec![
            model.names.first().unwrap_or(&model.id).as_str().into(),
            short(total).into(),
            short(active).into(),
            short(without).into(),
            figure::count(cache.round() as u64).into(),
            figure::count(index.round() as u64).into(),
            figure::short((window + state) / 1e6).into(),
            model.published.word().into(),
        ]);
    }
    document.blocks.push(Block::Table(table));
    let said = "Active parameters count the embeddings and the head; without input, they leave out the table that a token's \
                number is looked up in. Towers that see and layers that predict further tokens are not among them. The \
                cache is in the precision that the checkpoint asks for and counts every layer as if it had no window; an \
                index comes on top. Fixed is what a request holds whatever its length: states, and full windows.";
    document.blocks.push(Block::Paragraph(said.into()));
    document
}

fn as_json(models: &[(Model, &str)]) -> String {
    let one = |(model, from): &(Model, &str)| {
        let numbers: serde_json::Map<String, Value> =
            numbers(model).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({ "model": model, "numbers": numbers, "precision_from": from })
    };
    format!("{:#}\n", json!({ "format": 1, "models": models.iter().map(one).collect::<Vec<_>>() }))
}
