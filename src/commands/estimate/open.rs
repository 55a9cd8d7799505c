//! Requests that arrive by themselves are a workload of a plan: this one, checked as any other.

use crate::failure::Failure;
use capstan_lang::{CheckContext, Diagnostic, Source, check, parse, render_plain};
use capstan_types::catalog::{Catalog, Engine};
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::place::FileId;
use capstan_types::spec::Serve;

/// What a plan would say.
pub(super) struct Wanted<'a> {
    pub(super) model: &'a Model,
    pub(super) engine: &'a Engine,
    pub(super) precision: Precision,
    pub(super) kv_precision: Option<Precision>,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) rate: f64,
}

/// Returns the plan.
fn plan(wanted: &Wanted<'_>) -> String {
    let Wanted { model, engine, precision, input, output, rate, .. } = wanted;
    let cache = wanted.kv_precision.unwrap_or(Precision::Bf16).word();
    format!(
        "plan estimate {{ currency = USD }}\nsite anywhere {{ provider = aws, region = \"us-east-1\" }}\n\
         serve requests {{\n  model = {}\n  engine = {}\n  precision = {}\n  kv_cache = {cache}\n  load = {{ rate = \
         {rate} req/s, prompt = {input} tok, output = {output} tok }}\n}}\n",
        model.id,
        engine.id,
        precision.word(),
    )
}

/// Returns the workload.
pub(super) fn workload(wanted: &Wanted<'_>, catalog: &Catalog) -> Result<Serve, Failure> {
    let text = plan(wanted);
    let parsed = parse(&FileId::new("estimate"), &text);
    let source = Source { file: &parsed.file, text: &text };
    let (spec, mistakes) = check(source, catalog, &CheckContext::default());
    let serve = spec.and_then(|spec| spec.serves.into_iter().next());
    serve.ok_or_else(|| {
        let wrong: Vec<Diagnostic> = mistakes.into_iter().filter(Diagnostic::is_error).collect();
        Failure::new("the load cannot be planned")
            .hint(render_plain(&wrong, |name| (name == "estimate").then_some(text.as_str())))
    })
}
