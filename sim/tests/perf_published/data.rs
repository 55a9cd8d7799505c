//! Reading published measurements for tests.

use capstan_types::model::{Experts, Latent, Model, Window};
use capstan_types::testing::{self, data};
use std::collections::BTreeMap;
use std::io::Read;

/// Rows of a table by column name.
pub type Row = BTreeMap<String, String>;

/// Returns the rows of a file below the folder, plain or gzipped.
pub fn rows(path: &str) -> Option<Vec<Row>> {
    let file = std::fs::File::open(data()?.join(path)).unwrap();
    let reader: Box<dyn Read> =
        if path.ends_with(".gz") { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = csv::Reader::from_reader(reader);
    Some(reader.deserialize().map(Result::unwrap).collect())
}

/// Returns a cell as a number.
pub fn number(row: &Row, column: &str) -> Option<f64> {
    row.get(column).and_then(|cell| cell.parse().ok())
}

/// Returns the middle of a list.
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "a median needs values");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the models of models.csv.
pub fn models() -> Option<BTreeMap<String, Model>> {
    Some(rows("models.csv")?.iter().map(|row| (row["id"].clone(), model(row))).collect())
}

fn model(row: &Row) -> Model {
    let count = |column: &str| number(row, column).unwrap_or(0.0) as u32;
    let experts = (count("experts") > 0).then(|| Experts {
        routed: count("experts"),
        active: count("experts_active"),
        width: count("moe_ffn"),
        shared: count("shared_experts"),
        shared_width: count("shared_ffn"),
        layers: count("moe_layers"),
        latent: 0,
    });
    let latent = (count("kv_lora") > 0).then(|| Latent {
        query_rank: count("q_lora"),
        kv_rank: count("kv_lora"),
        nope: count("qk_nope"),
        rope: count("qk_rope"),
        value: count("v_dim"),
    });
    let window = (count("window_layers") > 0)
        .then(|| Window { tokens: count("window"), layers: count("window_layers") });
    Model {
        id: row["id"].clone(),
        names: vec![row["hf"].clone()],
        layers: count("layers"),
        hidden: count("hidden"),
        heads: count("heads"),
        kv_heads: count("kv_heads"),
        head_dim: count("head_dim"),
        ffn: count("ffn"),
        gated: count("gated") == 1,
        vocab: count("vocab"),
        tied: count("tied") == 1,
        experts,
        latent,
        window,
        context: count("max_ctx"),
        params_total_b: number(row, "params_total_b").unwrap(),
        params_active_b: number(row, "params_active_b").unwrap(),
        ..Model::blank(testing::provenance())
    }
}
