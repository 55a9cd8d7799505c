//! How fast a model trains, told to people and programs.

use super::one::waterfall;
use crate::document::{Block, Cell, Document, Table, Tone};
use crate::json::pretty;
use capstan_types::figure;
use capstan_types::outlook::{FitWord, Ranged};
use capstan_types::training::{TrainingAnswer, TrainingMemoryShare, TrainingOutlook, TrainingQuestion};
use capstan_types::units::{Bytes, Seconds};

/// Returns the answer for programs.
pub fn training_json(outlook: &TrainingOutlook) -> String {
    format!("{}\n", pretty(outlook).trim_end())
}

/// Returns the answer for people.
pub fn training_document(outlook: &TrainingOutlook) -> Document {
    let mut document = Document { title: title(outlook), blocks: Vec::new() };
    document.blocks.push(Block::Paragraph(asked(outlook).into()));
    if let Some(best) = outlook.best.first() {
        document
            .section("The best configuration", [Block::Table(yields(best)), Block::Paragraph(split(best))]);
        document.section("Does it fit", fits(&best.memory));
        document.section("Where the time goes: one step", [Block::Table(waterfall(&best.parts))]);
        let said = best.why.iter().chain(&best.notes).map(|text| Cell::from(text.as_str())).collect();
        document.section("What to know about it", [Block::List(said)]);
    }
    if outlook.best.len() > 1 {
        document.section("The next ones", [Block::Table(ranked(&outlook.best))]);
    }
    let refused = outlook.refused.iter().map(|why| Block::Paragraph(Cell::toned(why.clone(), Tone::Bad)));
    document.section("Why not", refused);
    let assumed = outlook.assumptions.iter().map(|text| Cell::from(text.as_str())).collect();
    document.section("Assumed, since nothing else was said", [Block::List(assumed)]);
    document
}

fn title(outlook: &TrainingOutlook) -> Cell {
    let TrainingQuestion { model_name, accelerators, accelerator, .. } = &outlook.question;
    let on = format!("{model_name} trained on {} × {accelerator}", figure::count(u64::from(*accelerators)));
    match outlook.best.first() {
        None => Cell::toned(format!("{on}: does not run"), Tone::Bad),
        Some(best) => {
            let rate = figure::short(best.tokens_per_s.value);
            let tone = if best.memory.fit == FitWord::Tight { Tone::Warn } else { Tone::Strong };
            Cell::toned(format!("{on}: {rate} tokens per second"), tone)
        }
    }
}

fn asked(outlook: &TrainingOutlook) -> String {
    let TrainingQuestion { params_total_b, precision, batch_sequences, sequence_tokens, .. } =
        &outlook.question;
    format!(
        "{} B parameters, math in {}, {} sequences of {} tokens a step. {} configurations were looked at, {} fit.",
        figure::short(*params_total_b),
        precision.word(),
        figure::count(u64::from(*batch_sequences)),
        figure::count(u64::from(*sequence_tokens)),
        figure::count(outlook.considered),
        figure::count(outlook.fitting)
    )
}

fn yields(best: &TrainingAnswer) -> Table {
    let mut table = Table::new(&["", ">predicted", ">90 % interval", "origin"]);
    let mut add = |name: &str, ranged: Ranged, shown: &dyn Fn(f64) -> String| {
        let interval = format!("{} – {}", shown(ranged.low), shown(ranged.high));
        let strong = Cell::toned(shown(ranged.value), Tone::Strong);
        table.rows.push(vec![name.into(), strong, interval.into(), ranged.origin.word().into()]);
    };
    add("one step", best.step_s, &|seconds| figure::span(Seconds(seconds)));
    add("tokens per second, all", best.tokens_per_s, &|rate| figure::short(rate));
    add("TFLOP/s per accelerator", best.tflops_per_accelerator, &|rate| figure::short(rate));
    table
}

/// Returns how the work is split, in sentences.
fn split(best: &TrainingAnswer) -> Cell {
    let chunks = if best.interleave > 1 {
        format!(" ({} chunks of layers each)", best.interleave)
    } else {
        String::new()
    };
    let expert = if best.expert > 1 { format!(", expert {}", best.expert) } else { String::new() };
    format!(
        "Tensor {}, pipeline {}{chunks}, data {}{expert}; {} micro-batches of {} sequences on each data-parallel rank. \
         Model FLOPs utilization {}; most of a step is {}. Computed twice: {}. Shared by data-parallel ranks: {}. In \
         the host's memory: {}. Tensor-parallel exchange: {}; {}.",
        best.tensor,
        best.pipeline,
        best.data,
        best.micro_batches,
        best.micro_batch,
        figure::percent(best.model_flops_utilization),
        best.bound_by,
        best.recompute,
        best.sharding,
        best.offload,
        best.exchange,
        best.communication,
    )
    .into()
}

fn gib(bytes: Bytes) -> String {
    format!("{:.2} GiB", bytes.gib())
}

fn fits(memory: &TrainingMemoryShare) -> [Block; 2] {
    let (word, tone) = match memory.fit {
        FitWord::Fits => ("It fits", Tone::Good),
        FitWord::Tight => ("It is tight", Tone::Warn),
        FitWord::No => ("It does not fit", Tone::Bad),
    };
    let text = format!(
        "{word}: each accelerator needs {} and may use {}.",
        gib(memory.needed_bytes),
        gib(memory.budget_bytes)
    );
    let mut table = Table::new(&["per accelerator", ">bytes"]);
    for (name, bytes) in [
        ("weights", memory.weights_bytes),
        ("gradients", memory.gradients_bytes),
        ("optimizer states", memory.optimizer_bytes),
        ("activations", memory.activations_bytes),
        ("context and communication", memory.context_bytes),
    ] {
        table.rows.push(vec![name.into(), gib(bytes).into()]);
    }
    if memory.host_bytes > Bytes::ZERO {
        table.rows.push(vec!["in the host's memory".into(), gib(memory.host_bytes).into()]);
    }
    [Block::Paragraph(Cell::toned(text, tone)), Block::Table(table)]
}

fn ranked(best: &[TrainingAnswer]) -> Table {
    let mut table = Table::new(&[
        ">tp",
        ">pp",
        ">chunks",
        ">dp",
        ">micro",
        ">step",
        ">MFU",
        ">memory",
        "fit",
        "recompute",
        "host",
    ]);
    for answer in best {
        let degree = |degree: u32| Cell::from(degree.to_string());
        table.rows.push(vec![
            degree(answer.tensor),
            degree(answer.pipeline),
            degree(answer.interleave),
            degree(answer.data),
            degree(answer.micro_batch),
            figure::span(Seconds(answer.step_s.value)).into(),
            figure::percent(answer.model_flops_utilization).into(),
            gib(answer.memory.needed_bytes).into(),
            answer.memory.fit.word().into(),
            answer.recompute.as_str().into(),
            answer.offload.as_str().into(),
        ]);
    }
    table
}
