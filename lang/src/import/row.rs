//! How does a model look as a row of a catalog?

use std::fmt::Write;

use capstan_types::model::{Experts, Model, Stored};

/// Returns the row of a model as TOML, to be read back by the catalog's reader.
pub fn catalog_row(model: &Model) -> String {
    let mut text = String::from("[[model]]\n");
    let quoted = |word: &str| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""));
    let names: Vec<String> = model.names.iter().map(|name| quoted(name)).collect();
    let mut line = |name: &str, value: String| {
        // Writing into a text does not fail.
        let _ = writeln!(text, "{name} = {value}");
    };
    line("id", quoted(&model.id));
    line("names", format!("[{}]", names.join(", ")));
    let sizes = [
        ("layers", model.layers),
        ("hidden", model.hidden),
        ("heads", model.heads),
        ("kv_heads", model.kv_heads),
        ("head_dim", model.head_dim),
        ("ffn", model.ffn),
    ];
    sizes.into_iter().for_each(|(name, size)| line(name, size.to_string()));
    line("gated", model.gated.to_string());
    line("vocab", model.vocab.to_string());
    line("tied", model.tied.to_string());
    parts(model).into_iter().for_each(|(name, value)| line(name, value));
    line("context", format!("\"{} tok\"", model.context));
    let billions = |value: f64| format!("\"{value:.4} Gparam\"");
    line("params_total", billions(model.params_total_b));
    line("params_active", billions(model.params_active_b));
    line("published", quoted(model.published.word()));
    if let Some(Stored { attention, output, dense, experts, cache }) = model.stored {
        let part = |name: &str, precision: capstan_types::hardware::Precision| {
            format!("{name} = \"{}\"", precision.word())
        };
        let mut cells = vec![
            part("attention", attention),
            part("output", output),
            part("dense", dense),
            part("experts", experts),
        ];
        cells.extend(cache.map(|cache| part("cache", cache)));
        line("stored", format!("{{ {} }}", cells.join(", ")));
    }
    for (name, value) in [("tower", model.tower_b), ("speculation", model.speculation_b)] {
        if value > 0.0 {
            line(name, billions(value));
        }
    }
    line("source", quoted(&model.provenance.source));
    line("as_of", quoted(&model.provenance.as_of.to_string()));
    line("grade", quoted(&grade(model)));
    text
}

fn grade(model: &Model) -> String {
    use capstan_types::origin::Grade;
    let word = match model.provenance.grade {
        Grade::DataSheet => "data_sheet",
        Grade::Measured => "measured",
        Grade::Disputed => "disputed",
        Grade::Recalled => "recalled",
    };
    word.to_owned()
}

/// Writes counts as a record.
fn record(cells: &[(&str, u32)]) -> String {
    let cells: Vec<String> = cells.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{{ {} }}", cells.join(", "))
}

/// Returns the parts that not every model has: experts and attention.
fn parts(model: &Model) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    if let Some(Experts { routed, active, width, shared, shared_width, layers, latent }) = model.experts {
        let mut cells = vec![
            ("routed", routed),
            ("active", active),
            ("width", width),
            ("shared", shared),
            ("shared_width", shared_width),
            ("layers", layers),
        ];
        cells.extend((latent > 0).then_some(("latent", latent)));
        parts.push(("experts", record(&cells)));
    }
    if let Some(l) = model.latent {
        let cells = [
            ("query_rank", l.query_rank),
            ("kv_rank", l.kv_rank),
            ("nope", l.nope),
            ("rope", l.rope),
            ("value", l.value),
        ];
        parts.push(("latent", record(&cells)));
    }
    if let Some(window) = model.window {
        parts.push(("window", record(&[("tokens", window.tokens), ("layers", window.layers)])));
    }
    parts.extend(other_parts(model));
    parts
}

/// Returns what stands beside attention or in its place, and layers of one part only.
fn other_parts(model: &Model) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    if let Some(l) = model.linear {
        let cells = [
            ("layers", l.layers),
            ("key_heads", l.key_heads),
            ("key_dim", l.key_dim),
            ("value_heads", l.value_heads),
            ("value_dim", l.value_dim),
            ("conv", l.conv),
        ];
        parts.push(("linear", record(&cells)));
    }
    if let Some(s) = model.state_space {
        let cells = [
            ("layers", s.layers),
            ("heads", s.heads),
            ("head_dim", s.head_dim),
            ("state", s.state),
            ("groups", s.groups),
            ("conv", s.conv),
        ];
        parts.push(("state_space", record(&cells)));
    }
    if let Some(i) = model.indexer {
        let cells =
            [("heads", i.heads), ("head_dim", i.head_dim), ("chosen", i.chosen), ("layers", i.layers)];
        parts.push(("indexer", record(&cells)));
    }
    if let Some(c) = model.compression {
        let cells = [
            ("fine", c.fine),
            ("fine_layers", c.fine_layers),
            ("coarse", c.coarse),
            ("coarse_layers", c.coarse_layers),
            ("output_groups", c.output_groups),
            ("output_rank", c.output_rank),
        ];
        parts.push(("compression", record(&cells)));
    }
    for (name, count) in
        [("without_attention", model.without_attention), ("without_feed_forward", model.without_feed_forward)]
    {
        if count > 0 {
            parts.push((name, count.to_string()));
        }
    }
    parts
}
