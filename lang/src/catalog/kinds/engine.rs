//! Serving engines.

use capstan_types::catalog::{Catalog, Engine, EngineFamily};
use capstan_types::origin::{Origin, Provenance};
use capstan_types::quantity::Dimension;

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need};
use super::{ORIGINS, nowhere};

const FAMILIES: [(&str, EngineFamily); 4] = [
    ("vllm", EngineFamily::Vllm),
    ("sglang", EngineFamily::Sglang),
    ("tensorrt_llm", EngineFamily::TensorRtLlm),
    ("other", EngineFamily::Other),
];

/// Reads a time in microseconds.
pub(super) fn micros(cell: Cell<'_>) -> Read<f64> {
    cell.amount_in("us", Dimension::TIME)
}

/// Reads tokens as a count.
fn tokens(cell: Cell<'_>) -> Read<u32> {
    match cell.positive(Dimension::TOKENS)? {
        tokens if tokens <= f64::from(u32::MAX) && tokens.fract() == 0.0 => Ok(tokens as u32),
        _ => cell.wrong("a whole number of tokens belongs here", "for example `\"8192 tok\"`"),
    }
}

/// A tag that names one version for good.
fn tag(cell: Cell<'_>) -> Read<String> {
    match cell.text()? {
        "latest" | "" => cell.wrong("`latest` is another version tomorrow", "write the tag of a version"),
        tag => Ok(tag.to_owned()),
    }
}

impl Row for Engine {
    const KIND: &'static str = "engine";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        may("family", |row, cell| cell.choice(&FAMILIES).map(|family| row.family = family)),
        need("version", |row, cell| cell.text().map(|version| row.version = version.to_owned())),
        need("image", |row, cell| cell.text().map(|image| row.image = image.to_owned())),
        need("tag", |row, cell| tag(cell).map(|tag| row.tag = tag)),
        need("memory_utilization", |row, cell| cell.share().map(|share| row.memory_utilization = share)),
        need("reserved", |row, cell| cell.amount(Dimension::DATA).map(|size| row.reserved_bytes = size)),
        need("reserved_parallel", |row, cell| {
            cell.amount(Dimension::DATA).map(|size| row.reserved_parallel_bytes = size)
        }),
        may("activation", |row, cell| cell.number().map(|number| row.activation_factor = number)),
        may("sampler", |row, cell| cell.amount(Dimension::DATA).map(|size| row.sampler_bytes = size)),
        need("block", |row, cell| tokens(cell).map(|n| row.block_tokens = n)),
        need("max_sequences", |row, cell| cell.some().map(|n| row.max_sequences = n)),
        need("step_tokens", |row, cell| tokens(cell).map(|n| row.step_tokens = n)),
        need("host_step", |row, cell| micros(cell).map(|us| row.host_step_us = us)),
        need("host_sequence", |row, cell| micros(cell).map(|us| row.host_sequence_us = us)),
        need("layer", |row, cell| micros(cell).map(|us| row.layer_us = us)),
        need("prefill_step", |row, cell| micros(cell).map(|us| row.prefill_step_us = us)),
        need("request", |row, cell| micros(cell).map(|us| row.request_us = us)),
        need("prompt_token", |row, cell| micros(cell).map(|us| row.prompt_token_us = us)),
        need("factor", |row, cell| cell.number().map(|number| row.factor = number)),
        need("delivery_steps", |row, cell| cell.number().map(|number| row.delivery_steps = number)),
        need("origin", |row, cell| cell.choice(&ORIGINS).map(|origin| row.origin = origin)),
    ];

    fn blank() -> Self {
        Engine {
            id: String::new(),
            names: Vec::new(),
            family: EngineFamily::Other,
            version: String::new(),
            image: String::new(),
            tag: String::new(),
            memory_utilization: 0.0,
            reserved_bytes: 0.0,
            reserved_parallel_bytes: 0.0,
            activation_factor: 0.0,
            sampler_bytes: 0.0,
            block_tokens: 0,
            max_sequences: 0,
            step_tokens: 0,
            host_step_us: 0.0,
            host_sequence_us: 0.0,
            layer_us: 0.0,
            prefill_step_us: 0.0,
            request_us: 0.0,
            prompt_token_us: 0.0,
            factor: 1.0,
            delivery_steps: 0.0,
            origin: Origin::Assumed,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.engines
    }
}
