//! Neural networks.

use capstan_types::catalog::Catalog;
use capstan_types::hardware::Precision;
use capstan_types::model::{Experts, Latent, LinearAttention, Model, Window};
use capstan_types::origin::Provenance;
use capstan_types::quantity::Dimension;

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need, record};
use super::nowhere;

const EXPERTS: [Field<Experts>; 6] = [
    need("routed", |row, cell| cell.some().map(|n| row.routed = n)),
    need("active", |row, cell| cell.some().map(|n| row.active = n)),
    need("width", |row, cell| cell.some().map(|n| row.width = n)),
    need("shared", |row, cell| cell.count().map(|n| row.shared = n)),
    need("shared_width", |row, cell| cell.count().map(|n| row.shared_width = n)),
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
];
const NO_EXPERTS: Experts = Experts { routed: 0, active: 0, width: 0, shared: 0, shared_width: 0, layers: 0 };

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

const LINEAR: [Field<LinearAttention>; 5] = [
    need("layers", |row, cell| cell.some().map(|n| row.layers = n)),
    need("key_heads", |row, cell| cell.some().map(|n| row.key_heads = n)),
    need("key_dim", |row, cell| cell.some().map(|n| row.key_dim = n)),
    need("value_heads", |row, cell| cell.some().map(|n| row.value_heads = n)),
    need("value_dim", |row, cell| cell.some().map(|n| row.value_dim = n)),
];
const NO_LINEAR: LinearAttention =
    LinearAttention { layers: 0, key_heads: 0, key_dim: 0, value_heads: 0, value_dim: 0 };

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
    ];

    fn blank() -> Self {
        Model {
            id: String::new(),
            names: Vec::new(),
            layers: 0,
            hidden: 0,
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            ffn: 0,
            gated: true,
            vocab: 0,
            tied: false,
            experts: None,
            latent: None,
            window: None,
            linear: None,
            context: 0,
            params_total_b: 0.0,
            params_active_b: 0.0,
            published: Precision::Bf16,
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

    fn judge(&self) -> Result<(), String> {
        let experts = self.experts.unwrap_or(NO_EXPERTS);
        let linear = self.linear.map_or(0, |linear| linear.layers);
        let window = self.window.map_or(0, |window| window.layers);
        if experts.layers.max(linear).max(window) > self.layers {
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
