//! Memory of the early transformers: weights with optimizer, and activations without fused attention, plain and with
//! sequence parallelism and selective recomputation (Korthikanti et al. 2022, arXiv 2205.05198). Embeddings are left out,
//! as the published numbers leave them out.

use super::row::{Row, RowError};
use crate::perf::Reason;
use crate::perf::training::{Layout, memory};
use capstan_types::origin::Origin;

/// Columns that a prediction reads.
pub const COLUMNS: &[&str] =
    &["layers", "hidden", "ffn", "heads", "seq", "tp", "pp", "vp", "dp", "gbs", "mbs"];

/// Columns that are added.
pub const ADDED: &[&str] = &[
    "predicted_params_opt_gib",
    "predicted_act_gib_none",
    "predicted_act_gib_seqsel",
    "origin",
    "rejection",
];

const GIB: f64 = 1_073_741_824.0;
/// Bytes per parameter: weights 2, gradients 4, Adam in 32 bits 12.
const PARAMETER: f64 = 18.0;

/// Prices a row: the added cells but the last.
pub fn price(row: &Row<'_>) -> Result<Vec<String>, RowError> {
    let size = |column| row.needed(column).map(f64::from);
    let (layers, hidden, heads) = (row.needed("layers")?, size("hidden")?, size("heads")?);
    let (tensor, pipeline) = (row.needed("tp")?, row.needed("pp")?);
    let layout = Layout {
        tensor,
        pipeline,
        interleave: row.count("vp")?.unwrap_or(1),
        micro_batch: row.needed("mbs")?,
        expert: 1,
    };
    if pipeline > layers {
        return Err(Reason::TooManyStages { layers, pipeline }.into());
    }
    let whole = row.needed("heads")?;
    if !whole.is_multiple_of(tensor) {
        return Err(Reason::HeadsNotDivisible { heads: whole, tensor }.into());
    }
    let sequences = u64::from(row.needed("gbs")?);
    let each = u64::from(layout.micro_batch) * u64::from(row.needed("dp")?);
    if !sequences.is_multiple_of(each) {
        return Err(Reason::BatchTooSmall { sequences, ranks: each }.into());
    }
    let micro_batches = sequences / each;
    // Stages that are not even: the fullest one counts.
    let layers = layers.div_ceil(pipeline) * pipeline;
    let (t, p) = (f64::from(tensor), f64::from(pipeline));
    let parameters = f64::from(layers) * (4.0 * hidden * hidden + 2.0 * hidden * size("ffn")?) / t / p;
    let in_flight = memory::layers_in_flight(layers, &layout, micro_batches);
    let shape = (size("seq")?, size("mbs")?, hidden);
    let plain = in_flight * memory::unfused_layer_bytes(shape, heads, t, false);
    let selective = in_flight * memory::unfused_layer_bytes(shape, heads, t, true);
    let mut cells: Vec<String> = [PARAMETER * parameters, plain, selective]
        .iter()
        .map(|bytes| format!("{:.7}", bytes / GIB))
        .collect();
    cells.push(Origin::Analytic.word().to_owned());
    Ok(cells)
}
