//! Neural networks.

use capstan_types::catalog::Catalog;
use capstan_types::hardware::Precision;
use capstan_types::model::{
    Compression, Experts, Indexer, Latent, LinearAttention, Model, StateSpace, Stored, Window,
};
use capstan_types::origin::Provenance;
use capstan_types::quantity::Dimension;

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need, record};
use super::nowhere;

const EXPERTS: [Field<Experts>; 7] = [
    need("routed", |row, cell| cell.some().map(|n| row.routed = n)),
    need("active", |row, cell| cell.some().map(|n| row.active = n)),
    need("width", |row, cell| cell.some().map(|n| row.width = n)),
    need("shared", |row, cell| cell.count().map(|n| row.shared = n)),
    need("shared_width", |row, cell| cell.count().map(|n| row.shared_width = n)),
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
    may("latent", |row, cell| cell.count().map(|n| row.latent = n)),
];
const NO_EXPERTS: Experts =
    Experts { routed: 0, active: 0, width: 0, shared: 0, shared_width: 0, layers: 0, latent: 0 };

const LATENT: [Field<Latent>; 5] = [
    need("query_rank", |row, cell| cell.count().map(|n| row.query_rank = n)),
    need("kv_rank", |row, cell| cell.some().map(|n| row.kv_rank = n)),
    need("nope", |row, cell| cell.some().map(|n| row.nope = n)),
    need("rope", |row, cell| cell.count().map(|n| row.rope = n)),
    need("value", |row, cell| cell.some().map(|n| row.value = n)),
];
const NO_LATENT: Latent = Latent { query_rank: 0, kv_rank: 0, nope: 0, rope: 0, value: 0 };

const WINDOW: [Field<Window>; 2] = [
    need("tokens", |row, cell| cell.some().map(|n| row.tokens = n)),
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
];
const NO_WINDOW: Window = Window { tokens: 0, layers: 0 };

const LINEAR: [Field<LinearAttention>; 6] = [
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
    need("key_heads", |row, cell| cell.some().map(|n| row.key_heads = n)),
    need("key_dim", |row, cell| cell.some().map(|n| row.key_dim = n)),
    need("value_heads", |row, cell| cell.some().map(|n| row.value_heads = n)),
    need("value_dim", |row, cell| cell.some().map(|n| row.value_dim = n)),
    may("conv", |row, cell| cell.count().map(|n| row.conv = n)),
];
const NO_LINEAR: LinearAttention =
    LinearAttention { layers: 0, key_heads: 0, key_dim: 0, value_heads: 0, value_dim: 0, conv: 0 };

const STATE_SPACE: [Field<StateSpace>; 6] = [
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
    need("heads", |row, cell| cell.some().map(|n| row.heads = n)),
    need("head_dim", |row, cell| cell.some().map(|n| row.head_dim = n)),
    need("state", |row, cell| cell.some().map(|n| row.state = n)),
    need("groups", |row, cell| cell.some().map(|n| row.groups = n)),
    need("conv", |row, cell| cell.count().map(|n| row.conv = n)),
];
const NO_STATE_SPACE: StateSpace =
    StateSpace { layers: 0, heads: 0, head_dim: 0, state: 0, groups: 0, conv: 0 };

const INDEXER: [Field<Indexer>; 4] = [
    need("heads", |row, cell| cell.some().map(|n| row.heads = n)),
    need("head_dim", |row, cell| cell.some().map(|n| row.head_dim = n)),
    need("chosen", |row, cell| cell.some().map(|n| row.chosen = n)),
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
];
const NO_INDEXER: Indexer = Indexer { heads: 0, head_dim: 0, chosen: 0, layers: 0 };

const COMPRESSION: [Field<Compression>; 6] = [
    need("fine", |row, cell| cell.some().map(|n| row.fine = n)),
    need("fine_layers", |row, cell| cell.count().map(|n| row.fine_layers = n)),
    need("coarse", |row, cell| cell.some().map(|n| row.coarse = n)),
    need("coarse_layers", |row, cell| cell.count().map(|n| row.coarse_layers = n)),
    need("output_groups", |row, cell| cell.some().map(|n| row.output_groups = n)),
    need("output_rank", |row, cell| cell.some().map(|n| row.output_rank = n)),
];
const NO_COMPRESSION: Compression =
    Compression { fine: 0, fine_layers: 0, coarse: 0, coarse_layers: 0, output_groups: 0, output_rank: 0 };

const STORED: [Field<Stored>; 5] = [
    need("attention", |row, cell| cell.precision().map(|p| row.attention = p)),
    need("output", |row, cell| cell.precision().map(|p| row.output = p)),
    need("dense", |row, cell| cell.precision().map(|p| row.dense = p)),
    need("experts", |row, cell| cell.precision().map(|p| row.experts = p)),
    may("cache", |row, cell| cell.precision().map(|p| row.cache = Some(p))),
];
const SIXTEEN: Stored = Stored {
    attention: Precision::Bf16,
    output: Precision::Bf16,
    dense: Precision::Bf16,
    experts: Precision::Bf16,
    cache: None,
};

/// Reads parameters in 10⁹.
fn billions(cell: Cell<'_>) -> Read<f64> {
    cell.positive(Dimension::PARAMETERS)?;
    cell.amount_in("Gparam", Dimension::PARAMETERS)
}

impl Row for Model {
    const KIND: &'static str = "model";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
        need("hidden", |row, cell| cell.some().map(|n| row.hidden = n)),
        need("heads", |row, cell| cell.some().map(|n| row.heads = n)),
        need("kv_heads", |row, cell| cell.some().map(|n| row.kv_heads = n)),
        need("head_dim", |row, cell| cell.some().map(|n| row.head_dim = n)),
        need("ffn", |row, cell| cell.some().map(|n| row.ffn = n)),
        need("gated", |row, cell| cell.flag().map(|flag| row.gated = flag)),
        need("vocab", |row, cell| cell.some().map(|n| row.vocab = n)),
        need("tied", |row, cell| cell.flag().map(|flag| row.tied = flag)),
        may("experts", |row, cell| {
            record(cell, row.experts, NO_EXPERTS, &EXPERTS).map(|experts| row.experts = Some(experts))
        }),
        may("latent", |row, cell| {
            record(cell, row.latent, NO_LATENT, &LATENT).map(|latent| row.latent = Some(latent))
        }),
        may("window", |row, cell| {
            record(cell, row.window, NO_WINDOW, &WINDOW).map(|window| row.window = Some(window))
        }),
        may("linear", |row, cell| {
            record(cell, row.linear, NO_LINEAR, &LINEAR).map(|linear| row.linear = Some(linear))
        }),
        may("state_space", |row, cell| {
            record(cell, row.state_space, NO_STATE_SPACE, &STATE_SPACE)
                .map(|space| row.state_space = Some(space))
        }),
        may("indexer", |row, cell| {
            record(cell, row.indexer, NO_INDEXER, &INDEXER).map(|indexer| row.indexer = Some(indexer))
        }),
        may("compression", |row, cell| {
            let read = record(cell, row.compression, NO_COMPRESSION, &COMPRESSION);
            read.map(|compression| row.compression = Some(compression))
        }),
        may("without_attention", |row, cell| cell.count().map(|n| row.without_attention = n)),
        may("without_feed_forward", |row, cell| cell.count().map(|n| row.without_feed_forward = n)),
        need("context", |row, cell| match cell.positive(Dimension::TOKENS)? {
            tokens if tokens <= f64::from(u32::MAX) => {
                row.context = tokens as u32;
                Ok(())
            }
            _ => cell.wrong("no context is that long", "for example `\"131072 tok\"`"),
        }),
        need("params_total", |row, cell| billions(cell).map(|n| row.params_total_b = n)),
        need("params_active", |row, cell| billions(cell).map(|n| row.params_active_b = n)),
        need("published", |row, cell| cell.precision().map(|precision| row.published = precision)),
        may("stored", |row, cell| {
            record(cell, row.stored, SIXTEEN, &STORED).map(|stored| row.stored = Some(stored))
        }),
        may("tower", |row, cell| billions(cell).map(|n| row.tower_b = n)),
        may("speculation", |row, cell| billions(cell).map(|n| row.speculation_b = n)),
    ];

    fn blank() -> Self {
        Model::blank(nowhere())
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

    fn judge(&self) -> Result<(), String> {
        let experts = self.experts.unwrap_or(NO_EXPERTS);
        let recurrent = self.recurrent().map_or(0, |recurrent| recurrent.layers);
        let window = self.window.map_or(0, |window| window.layers);
        let without = recurrent.saturating_add(self.without_attention).max(self.without_feed_forward);
        if experts.layers.max(without).max(window) > self.layers {
            return Err(format!("a part has more layers than the whole model, which has {}", self.layers));
        }
        if experts.active > experts.routed {
            return Err(format!("a token visits {} of {} experts", experts.active, experts.routed));
        }
        if self.kv_heads > self.heads {
            return Err(format!("{} key-value heads for {} query heads", self.kv_heads, self.heads));
        }
        if self.params_active_b > self.params_total_b {
            return Err("more parameters are active than there are".to_owned());
        }
        Ok(())
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.models
    }
}
