//! What does a plan file say, with everything it names? Text, catalogs, prices and traces, read and checked.
//!
//! Whatever is wrong with any of them is a diagnostic among the others, so that all mistakes are told at once.

use crate::builtin;
use crate::catalogs::{start, text, unreadable};
use crate::failure::Failure;
use crate::files::{self, DATA_LIMIT, FileError, Files, Folder, Here, Revision, TEXT_LIMIT};
use crate::lock_file;
use crate::model_file;
use crate::render::Sources;
use capstan_lang::ast::File;
use capstan_lang::catalog::load_over;
use capstan_lang::diagnostic::sort;
use capstan_lang::{
    Change, Changed, CheckContext, Diagnostic, Draws, Parsed, Reference, ReferenceKind, Source,
    apply_overrides, check, codes, parse, parse_bytes, parse_change, references, scenario_changes, trace,
};
use capstan_planner::plan::Variants;
use capstan_planner::scenarios::Scenario;
use capstan_planner::worlds::{self, World, Worlds};
use capstan_sim::engine::Time;
use capstan_sim::serving::{Recording, Request};
use capstan_types::blueprint::{InputFile, Override};
use capstan_types::catalog::Catalog;
use capstan_types::place::FileId;
use capstan_types::spec::Spec;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The text of a plan file and its tree.
pub struct Text {
    name: String,
    /// The text; empty where it cannot be read.
    pub text: String,
    /// Its tree and its mistakes, that it cannot be read among them.
    pub parsed: Parsed,
    digest: String,
}

impl Text {
    /// Reads a plan file; `-` is standard input.
    pub fn read(path: &str) -> Text {
        Text::of(path, if path == "-" { files::stdin(TEXT_LIMIT) } else { Here.read(path, TEXT_LIMIT) })
    }

    fn of(path: &str, bytes: Result<Vec<u8>, FileError>) -> Text {
        let file = FileId::new(path);
        let (parsed, text, digest) = match bytes {
            Ok(bytes) => {
                let parsed = parse_bytes(&file, &bytes);
                let digest = files::sha256(&bytes);
                (parsed, String::from_utf8_lossy(&bytes).into_owned(), digest)
            }
            Err(error) => {
                let mut parsed = parse(&file, "");
                parsed.diagnostics = vec![cannot_be_read(path, &error)];
                (parsed, String::new(), String::new())
            }
        };
        Text { name: path.to_owned(), text, parsed, digest }
    }

    /// Is there a mistake in its text?
    pub fn has_errors(&self) -> bool {
        !self.parsed.is_clean()
    }

    /// Returns the text under its name, for showing lines; nothing where it cannot be read.
    pub fn sources(&self) -> Sources {
        let named = (!self.digest.is_empty()).then(|| (self.name.clone(), self.text.clone()));
        named.into_iter().collect()
    }
}

fn cannot_be_read(path: &str, error: &FileError) -> Diagnostic {
    match error {
        FileError::TooLarge { .. } => {
            Diagnostic::error(codes::TOO_LONG, start(path), format!("`{path}` is longer than 16 MiB"))
                .help("a plan file is text that people write; is this the right file?")
        }
        _ => unreadable(start(path), path, &error.to_string()),
    }
}

/// What may be said beside a plan file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Beside {
    /// Change a value of the plan, such as chat.load.peak="80 req/s"; may be given several times
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Make the changes of a scenario that the plan declares
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// A catalog of your own, read over the built-in one; may be given several times
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<String>,
}

impl Beside {
    /// A blueprint holds its plan and its catalogs; nothing is laid beside it.
    pub fn refuse_with_blueprint(&self) -> Result<(), Failure> {
        let nothing = self.sets.is_empty() && self.scenario.is_none() && self.catalogs.is_empty();
        let message = "--set, --scenario and --catalog change a plan file, and this is a blueprint";
        if nothing { Ok(()) } else { Err(Failure::usage(message.to_owned())) }
    }
}

/// Returns the requests of a trace as the simulator takes them.
pub fn requests_of(trace: &trace::Trace) -> Recording {
    let lengths = trace.prompt.iter().zip(&trace.output);
    let request = |(&at, (&prompt, &output)): (&f64, (&u32, &u32))| Request {
        arrival: Time::from_seconds(at),
        prompt,
        output,
    };
    let requests = trace.arrivals_s.iter().zip(lengths).map(request).collect();
    let hashes = trace.hashes.as_ref();
    Recording::new(requests, hashes.map(|hashes| hashes.prompts().map(<[u64]>::to_vec).collect()))
}

/// A plan and all that it stands on.
pub struct Checked {
    /// The checked plan, where nothing is wrong with it.
    pub spec: Option<Spec>,
    /// What is known, with changes.
    pub catalog: Cow<'static, Catalog>,
    /// Requests of traces, by their path in the plan.
    pub traces: BTreeMap<String, Recording>,
    /// Every mistake and warning, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts, for showing lines.
    pub sources: Sources,
    /// Files with their digests.
    pub files: Vec<InputFile>,
    /// Changes that were made.
    pub overrides: Vec<Override>,
    /// How to check it again, where something in it is uncertain or it has scenarios.
    again: Option<Again>,
}

/// What it takes to check a plan again, in another world or in one of its scenarios.
struct Again {
    /// As it was written, and with the changes that were asked for.
    written: File,
    changed: File,
    text: String,
    /// The changes of the command line.
    sets: Vec<Change>,
    /// Is it one of its scenarios that was asked for?
    alone: bool,
    /// What is known before any change, where a change made it other.
    before: Option<Cow<'static, Catalog>>,
    context: CheckContext,
}

impl Again {
    /// Makes the changes of a scenario, then those of the command line; nothing where a scenario changes nothing.
    fn changed_by(&self, known: &Catalog, changes: &[Change]) -> Option<(Changed, Vec<Override>)> {
        if changes.is_empty() {
            return None;
        }
        let all: Vec<Change> = changes.iter().chain(&self.sets).cloned().collect();
        let mut changed = apply_overrides(&self.written, known, &all);
        let overrides = changed.overrides.drain(..).take(changes.len()).collect();
        Some((changed, overrides))
    }

    fn checked(
        &self,
        file: &File,
        catalog: &Catalog,
        context: &CheckContext,
        name: &str,
    ) -> Result<Spec, Failure> {
        let (found, mistakes) = check(Source { file, text: &self.text }, catalog, context);
        found.ok_or_else(|| {
            let wrong = mistakes.iter().find(|mistake| mistake.is_error());
            let told = wrong.map_or_else(String::new, |mistake| format!(": {}", mistake.message));
            Failure::new(format!("the plan is not possible in {name}{told}"))
                .hint("narrow the bounds of what is uncertain, or change the scenario")
        })
    }
}

impl Checked {
    /// Reads and checks a plan file.
    pub fn read(path: &str, beside: &Beside) -> Checked {
        Checked::of(Text::read(path), &Folder::of(path), beside)
    }

    /// The same as a revision of the repository has it, with all that it names; catalogs of the command line are of today.
    pub fn at(path: &str, revision: &str, beside: &Beside) -> Checked {
        let bytes = Revision(revision.to_owned()).read(path, TEXT_LIMIT);
        Checked::of(Text::of(path, bytes), &Folder::at(path, Some(revision)), beside)
    }

    fn of(text: Text, folder: &Folder, beside: &Beside) -> Checked {
        let mut checked = Checked {
            spec: None,
            catalog: Cow::Borrowed(builtin::catalog()),
            traces: BTreeMap::new(),
            diagnostics: text.parsed.diagnostics.clone(),
            sources: text.sources(),
            files: Vec::new(),
            overrides: Vec::new(),
            again: None,
        };
        // Where nothing could be read, what is missing is no second mistake.
        if text.parsed.file.entries.is_empty() && text.has_errors() {
            return checked;
        }
        checked.add_input("plan", &text.name, text.digest.clone());
        checked.files.push(builtin::input());
        let (named, outside) = references(&text.parsed.file);
        checked.diagnostics.extend(outside);
        let facts = checked.read_named(folder, &named);
        checked.read_catalogs(&beside.catalogs);
        checked.hold_against_lock(&text.name, folder);
        checked.check(&text, beside, &facts);
        sort(&mut checked.diagnostics);
        checked
    }

    /// Where a lock lies beside the plan, what it pins must be what was read.
    fn hold_against_lock(&mut self, plan: &str, folder: &Folder) {
        let Ok(bytes) = folder.read(lock_file::NAME, TEXT_LIMIT) else { return };
        self.diagnostics.extend(lock_file::stale(plan, &bytes, &lock_file::pins(&self.files, folder)));
    }

    fn add_input(&mut self, role: &str, path: &str, sha256: String) {
        self.files.push(InputFile { role: role.to_owned(), path: path.to_owned(), sha256 });
    }

    /// Reads the files that a plan names, from its folder.
    fn read_named(&mut self, folder: &Folder, named: &[Reference]) -> CheckContext {
        let mut context = CheckContext::default();
        let mut tables = Vec::new();
        for reference in named {
            let path = &reference.path;
            let shown = folder.shown(path);
            let limit = if reference.kind == ReferenceKind::Trace { DATA_LIMIT } else { TEXT_LIMIT };
            let bytes = match folder.read(path, limit) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let mistake = unreadable(reference.place.clone(), path, &error.to_string());
                    let help = format!("paths start from the folder of the plan file: this is `{shown}`");
                    self.diagnostics.push(mistake.help(help));
                    context.told.insert(path.clone());
                    continue;
                }
            };
            let digest = files::sha256(&bytes);
            let role = match reference.kind {
                ReferenceKind::Catalog => "catalog",
                ReferenceKind::Prices => "prices",
                ReferenceKind::Trace => "trace",
                ReferenceKind::HuggingFace => "model",
            };
            self.add_input(role, &shown, digest.clone());
            match reference.kind {
                ReferenceKind::Catalog | ReferenceKind::Prices => match text(bytes) {
                    Ok(text) => tables.push((shown, text)),
                    Err(why) => self.diagnostics.push(unreadable(reference.place.clone(), path, &why)),
                },
                ReferenceKind::Trace => self.read_trace(reference, &shown, bytes, &digest, &mut context),
                ReferenceKind::HuggingFace => {
                    self.read_model(reference, folder, bytes, &mut context);
                }
            }
        }
        self.read_over(&tables);
        context
    }

    /// Reads a request log, which may be packed with gzip.
    fn read_trace(
        &mut self,
        reference: &Reference,
        shown: &str,
        bytes: Vec<u8>,
        digest: &str,
        context: &mut CheckContext,
    ) {
        let unpacked = files::unpacked(bytes, DATA_LIMIT).map_err(|error| error.to_string()).and_then(text);
        let text = match unpacked {
            Ok(text) => text,
            Err(why) => {
                let mistake = unreadable(reference.place.clone(), &reference.path, &why);
                context.told.insert(reference.path.clone());
                return self.diagnostics.push(mistake);
            }
        };
        match trace::read(&FileId::new(shown), &text, digest) {
            Ok(read) => {
                self.traces.insert(reference.path.clone(), requests_of(&read));
                context.traces.insert(reference.path.clone(), read.facts);
            }
            Err(mistakes) => {
                self.sources.insert(shown.to_owned(), text);
                self.diagnostics.extend(mistakes);
                context.told.insert(reference.path.clone());
            }
        }
    }

    /// Reads a `config.json`, and how its weights are stored where a file beside it says so.
    fn read_model(
        &mut self,
        reference: &Reference,
        folder: &Folder,
        bytes: Vec<u8>,
        context: &mut CheckContext,
    ) {
        let path = &reference.path;
        let beside = model_file::beside(path);
        let quantisation =
            beside.and_then(|name| Some((folder.shown(&name), folder.read(&name, TEXT_LIMIT).ok()?)));
        if let Some((shown, bytes)) = &quantisation {
            self.add_input("model", shown, files::sha256(bytes));
        }
        let found = model_file::read(&folder.shown(path), bytes, quantisation, "");
        if let Some(model) = found.imported.model {
            context.models.insert(path.clone(), model);
        } else {
            context.told.insert(path.clone());
        }
        self.diagnostics.extend(found.imported.diagnostics);
        self.sources.extend(found.sources);
    }

    /// Reads catalogs over those that are there.
    fn read_over(&mut self, tables: &[(String, String)]) {
        if tables.is_empty() {
            return;
        }
        let texts: Vec<(&str, &str)> =
            tables.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (catalog, mistakes) = load_over(&self.catalog, &texts);
        self.catalog = Cow::Owned(catalog);
        self.diagnostics.extend(mistakes);
        self.sources.extend(tables.iter().cloned());
    }

    /// Reads the catalogs of the command line, which may lie anywhere.
    fn read_catalogs(&mut self, paths: &[String]) {
        let mut tables = Vec::new();
        for path in paths {
            match Here.read(path, TEXT_LIMIT) {
                Ok(bytes) => {
                    self.add_input("catalog", path, files::sha256(&bytes));
                    match text(bytes) {
                        Ok(text) => tables.push((path.clone(), text)),
                        Err(why) => self.diagnostics.push(unreadable(start(path), path, &why)),
                    }
                }
                Err(error) => self.diagnostics.push(unreadable(start(path), path, &error.to_string())),
            }
        }
        self.read_over(&tables);
    }

    /// Makes the changes that were asked for and checks the result.
    fn check(&mut self, text: &Text, beside: &Beside, context: &CheckContext) {
        let changes = self.changes(text, beside);
        let changed = apply_overrides(&text.parsed.file, &self.catalog, &changes);
        self.diagnostics.extend(changed.diagnostics);
        self.overrides = changed.overrides;
        let before = changed.catalog.map(|new| std::mem::replace(&mut self.catalog, Cow::Owned(new)));
        let source = Source { file: &changed.file, text: &text.text };
        let (spec, mistakes) = check(source, &self.catalog, context);
        self.diagnostics.extend(mistakes);
        let wrong = self.diagnostics.iter().any(Diagnostic::is_error);
        self.spec = spec.filter(|_| !wrong);
        let is_asked = |spec: &Spec| !(spec.uncertain.is_empty() && spec.scenarios.is_empty());
        self.again = self.spec.as_ref().is_some_and(is_asked).then(|| Again {
            written: text.parsed.file.clone(),
            changed: changed.file,
            text: text.text.clone(),
            sets: changes,
            alone: beside.scenario.is_some(),
            before,
            context: context.clone(),
        });
    }

    /// Returns the plan in the worlds that are drawn for it and, unless one of them was asked for, in its scenarios.
    ///
    /// # Errors
    /// The first mistake of a world or scenario that the plan does not take.
    pub fn variants(&self, spec: &Spec) -> Result<Variants, Failure> {
        let Some(again) = &self.again else { return Ok(Variants::default()) };
        let world = |(name, draws): (String, Draws)| {
            let context = CheckContext { draws, ..again.context.clone() };
            let spec = again.checked(&again.changed, &self.catalog, &context, &name)?;
            Ok::<World, Failure>(World { name, spec })
        };
        let known = again.before.as_deref().unwrap_or(&self.catalog);
        let scenario = |name: &String| {
            let changes = scenario_changes(&again.written, &again.text, name).ok()?;
            let (changed, overrides) = again.changed_by(known, &changes)?;
            let catalog = changed.catalog.as_ref().unwrap_or(known);
            let found = again.checked(&changed.file, catalog, &again.context, &format!("scenario `{name}`"));
            let seeded = |mut found: Spec| {
                found.frame.seed = spec.frame.seed;
                Scenario { name: name.clone(), changes: overrides, spec: found, catalog: catalog.clone() }
            };
            Some(found.map(seeded))
        };
        let (seed, uncertain) = (spec.frame.seed, &spec.uncertain);
        let all =
            |worlds: Vec<(String, Draws)>| worlds.into_iter().map(world).collect::<Result<Vec<World>, _>>();
        let scenarios = spec.scenarios.iter().filter(|_| !again.alone).filter_map(scenario);
        let worlds = if uncertain.is_empty() {
            Worlds::default()
        } else {
            Worlds { drawn: all(worlds::drawn(seed, uncertain))?, bounds: all(worlds::bounds(uncertain))? }
        };
        Ok(Variants { worlds, scenarios: scenarios.collect::<Result<_, _>>()? })
    }

    /// Returns the changes of the scenario, then those of the command line.
    fn changes(&mut self, text: &Text, beside: &Beside) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(name) = &beside.scenario {
            match scenario_changes(&text.parsed.file, &text.text, name) {
                Ok(found) => changes.extend(found),
                Err(mistake) => self.diagnostics.push(*mistake),
            }
        }
        for set in &beside.sets {
            match parse_change(set, None) {
                Ok(change) => changes.push(self.named_change(set, change)),
                Err(mistakes) => {
                    let shown = self.set_source(set);
                    self.diagnostics.extend(mistakes.into_iter().map(|mut mistake| {
                        mistake.place.file = shown.clone();
                        mistake
                    }));
                }
            }
        }
        changes
    }

    /// Names the text of one `--set`, so that a mistake in it is shown with it.
    fn set_source(&mut self, set: &str) -> FileId {
        let path = set.split('=').next().unwrap_or_default().trim_end_matches([' ', '*', '+']);
        let name = format!("--set {path}");
        self.sources.insert(name.clone(), set.to_owned());
        FileId::new(&name)
    }

    fn named_change(&mut self, set: &str, change: Change) -> Change {
        let file = self.set_source(set);
        Change { elsewhere: Some(file), ..change }
    }
}
