//! `deploy kubernetes { triton = … }`: which image runs TensorRT-LLM, and does any image name its version?

use capstan_types::catalog::EngineFamily;
use capstan_types::spec::Serve;

use super::checker::Checker;
use super::fields::Fields;
use crate::codes;

/// Returns the image of Triton; reports that no workload of the plan has the engine that it runs here.
pub(super) fn triton(checker: &Checker<'_>, fields: &Fields, serves: &[Serve]) -> Option<String> {
    let image = version(checker, fields, "triton", "registry/triton:1.0")?;
    let runs = |serve: &Serve| {
        let engine = checker.catalog.engine(&serve.engine);
        engine.is_some_and(|engine| engine.family == EngineFamily::TensorRtLlm)
    };
    if !serves.iter().any(runs) {
        let message = "Triton is written for TensorRT-LLM, and no workload has that engine";
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of("triton").span(), message);
        checker
            .values
            .report(found.help("write `engine = trtllm` in a `serve` block, or leave `triton` out"));
    }
    Some(image)
}

/// Returns the image that a field names; reports one without a version.
pub(super) fn version(checker: &Checker<'_>, fields: &Fields, field: &str, example: &str) -> Option<String> {
    let image = fields.text(field)?;
    let last = image.rsplit('/').next().unwrap_or_default();
    let fixed =
        last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| !["", "latest"].contains(&tag));
    if !fixed {
        let message = format!("the image `{image}` names no version");
        let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of(field).span(), message);
        let help = format!("add a tag other than `latest`, or a digest: `\"{example}\"`");
        checker.values.report(found.help(help));
    }
    Some(image.to_owned())
}
