//! Fitted efficiencies of kernels. Shares may exceed 1: they belong to a curve, not to physics.

use capstan_types::catalog::{
    AttentionEfficiency, Catalog, CollectiveEfficiency, ExpertEfficiency, GemmEfficiency,
};
use capstan_types::hardware::Precision;
use capstan_types::origin::{Origin, Provenance};
use capstan_types::quantity::Dimension;

use super::super::row::{Field, Row, may, need};
use super::engine::micros;
use super::{ORIGINS, nowhere};

/// The row that holds for every chip that is joined by the host bus only.
const ANY_ON_THE_HOST_BUS: &str = "pcie";

impl Row for GemmEfficiency {
    const KIND: &'static str = "gemm";
    const KEYS: &'static [&'static str] = &["accelerator", "precision"];
    const FIELDS: &'static [Field<Self>] = &[
        need("accelerator", |row, cell| cell.text().map(|id| row.accelerator = id.to_owned())),
        need("precision", |row, cell| cell.precision().map(|precision| row.precision = precision)),
        need("t0", |row, cell| micros(cell).map(|us| row.t0_us = us)),
        need("compute", |row, cell| cell.number().map(|number| row.compute = number)),
        need("memory", |row, cell| cell.number().map(|number| row.memory = number)),
        need("p", |row, cell| cell.number().map(|number| row.p = number)),
        need("half_m", |row, cell| cell.number().map(|number| row.half_m = number)),
        need("half_nk", |row, cell| {
            cell.amount_in("Mparam", Dimension::PARAMETERS).map(|n| row.half_nk_m = n)
        }),
        need("origin", |row, cell| cell.choice(&ORIGINS).map(|origin| row.origin = origin)),
    ];

    fn blank() -> Self {
        GemmEfficiency {
            accelerator: String::new(),
            precision: Precision::Bf16,
            t0_us: 0.0,
            compute: 0.0,
            memory: 0.0,
            p: 1.0,
            half_m: 0.0,
            half_nk_m: 0.0,
            origin: Origin::Assumed,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.accelerator, self.precision.word())
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        Some(("accelerator", &self.accelerator))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.gemm
    }
}

impl Row for AttentionEfficiency {
    const KIND: &'static str = "attention";
    const KEYS: &'static [&'static str] = &["accelerator"];
    const FIELDS: &'static [Field<Self>] = &[
        need("accelerator", |row, cell| cell.text().map(|id| row.accelerator = id.to_owned())),
        need("decode_t0", |row, cell| micros(cell).map(|us| row.decode_t0_us = us)),
        need("decode_memory_16bit", |row, cell| cell.number().map(|number| row.decode_memory_16bit = number)),
        may("decode_memory_8bit", |row, cell| {
            cell.number().map(|number| row.decode_memory_8bit = Some(number))
        }),
        may("decode_memory_8bit_single", |row, cell| {
            cell.number().map(|number| row.decode_memory_8bit_single = Some(number))
        }),
        need("prefill_compute", |row, cell| cell.number().map(|number| row.prefill_compute = number)),
        need("prefill_compute_small_head", |row, cell| {
            cell.number().map(|number| row.prefill_compute_small_head = number)
        }),
        need("prefill_half_context", |row, cell| {
            cell.amount(Dimension::TOKENS).map(|tokens| row.prefill_half_context = tokens)
        }),
        need("origin", |row, cell| cell.choice(&ORIGINS).map(|origin| row.origin = origin)),
    ];

    fn blank() -> Self {
        AttentionEfficiency {
            accelerator: String::new(),
            decode_t0_us: 0.0,
            decode_memory_16bit: 0.0,
            decode_memory_8bit: None,
            decode_memory_8bit_single: None,
            prefill_compute: 0.0,
            prefill_compute_small_head: 0.0,
            prefill_half_context: 0.0,
            origin: Origin::Assumed,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.accelerator.clone()
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        Some(("accelerator", &self.accelerator))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.attention
    }
}

impl Row for ExpertEfficiency {
    const KIND: &'static str = "experts";
    const KEYS: &'static [&'static str] = &["accelerator", "precision"];
    const FIELDS: &'static [Field<Self>] = &[
        need("accelerator", |row, cell| cell.text().map(|id| row.accelerator = id.to_owned())),
        need("precision", |row, cell| cell.precision().map(|precision| row.precision = precision)),
        need("t0", |row, cell| micros(cell).map(|us| row.t0_us = us)),
        need("per_expert", |row, cell| micros(cell).map(|us| row.per_expert_us = us)),
        need("compute", |row, cell| cell.number().map(|number| row.compute = number)),
        need("memory", |row, cell| cell.number().map(|number| row.memory = number)),
        need("p", |row, cell| cell.number().map(|number| row.p = number)),
        need("tile", |row, cell| cell.number().map(|number| row.tile = number)),
        need("activation", |row, cell| cell.number().map(|number| row.activation = number)),
        need("skew", |row, cell| cell.number().map(|number| row.skew = number)),
        need("origin", |row, cell| cell.choice(&ORIGINS).map(|origin| row.origin = origin)),
    ];

    fn blank() -> Self {
        ExpertEfficiency {
            accelerator: String::new(),
            precision: Precision::Bf16,
            t0_us: 0.0,
            per_expert_us: 0.0,
            compute: 0.0,
            memory: 0.0,
            p: 1.0,
            tile: 0.0,
            activation: 0.0,
            skew: 0.0,
            origin: Origin::Assumed,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        format!("{} {}", self.accelerator, self.precision.word())
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        Some(("accelerator", &self.accelerator))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.experts
    }
}

impl Row for CollectiveEfficiency {
    const KIND: &'static str = "collective";
    const KEYS: &'static [&'static str] = &["accelerator"];
    const FIELDS: &'static [Field<Self>] = &[
        need("accelerator", |row, cell| cell.text().map(|id| row.accelerator = id.to_owned())),
        need("latency", |row, cell| micros(cell).map(|us| row.latency_us = us)),
        need("exponent", |row, cell| cell.number().map(|number| row.exponent = number)),
        need("efficiency", |row, cell| cell.number().map(|number| row.efficiency = number)),
        need("root", |row, cell| cell.number().map(|number| row.root = number)),
        may("efficiency_exponent", |row, cell| cell.number().map(|number| row.efficiency_exponent = number)),
        may("root_exponent", |row, cell| cell.number().map(|number| row.root_exponent = number)),
        need("origin", |row, cell| cell.choice(&ORIGINS).map(|origin| row.origin = origin)),
    ];

    fn blank() -> Self {
        CollectiveEfficiency {
            accelerator: String::new(),
            latency_us: 0.0,
            exponent: 0.0,
            efficiency: 0.0,
            root: 0.0,
            efficiency_exponent: 0.0,
            root_exponent: 0.0,
            origin: Origin::Assumed,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.accelerator.clone()
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        let named = Some(self.accelerator.as_str()).filter(|id| *id != ANY_ON_THE_HOST_BUS);
        named.map(|id| ("accelerator", id))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.collectives
    }
}
