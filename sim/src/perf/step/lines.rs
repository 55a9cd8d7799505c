//! The lines of a step: what each part takes, before anything is tabulated.

use super::{CacheSlopes, Context, PrefillSlopes};
use crate::perf::coefficients::Coefficients;
use crate::perf::device::Device;
use crate::perf::operators::{AttentionLayers, Gemm, Operators, Part, Rows};
use crate::perf::roofline;
use capstan_types::catalog::Engine;
use capstan_types::origin::Origin;

/// The lines of a step before they are tabulated, in microseconds.
pub(super) struct Lines<'a> {
    pub(super) operators: &'a Operators,
    pub(super) context: &'a Context,
}

impl Lines<'_> {
    fn rates(&self) -> (&Device, f64, &Coefficients) {
        let device = &self.context.device;
        (device, self.context.factor, &device.coefficients)
    }

    /// Returns everything that depends on the tokens of one rank alone.
    pub(super) fn linear(&self, tokens: f64) -> Vec<(Part, f64)> {
        if tokens <= 0.0 {
            return Vec::new();
        }
        let (device, factor, fit) = self.rates();
        let mut lines = Vec::with_capacity(16);
        let mut calls = 1.0;
        for gemm in self.operators.gemms.iter().filter(|gemm| gemm.rows == Rows::Tokens) {
            let curve = &device.gemm[&gemm.precision];
            let scale = factor * fit.gemm(gemm.precision);
            let each = roofline::gemm(curve, device.bandwidth, (tokens, gemm.n, gemm.k), scale);
            lines.push((gemm.part, gemm.count * each));
            calls += gemm.count;
        }
        if self.operators.split.data == 1 {
            lines.extend(self.experts(tokens));
        }
        let reduce = tokens * self.operators.reduce_bytes;
        let each =
            roofline::all_reduce(&device.collective, reduce, self.operators.tensor, factor * fit.all_reduce);
        lines.push((Part::AllReduce, self.operators.reduces * each));
        let moved = tokens * self.operators.elementwise_bytes;
        lines.push((
            Part::Elementwise,
            roofline::elementwise(device.bandwidth, moved, factor * fit.elementwise),
        ));
        let attention_t0 = fit.decode_call * device.attention.decode_t0_us * self.operators.attention.calls;
        lines.push((Part::DecodeAttention, factor * attention_t0));
        lines.push((Part::Launch, factor * (fit.call_us * calls + self.context.layer_us)));
        lines
    }

    /// Returns the routed experts over the tokens of all ranks.
    fn experts(&self, tokens: f64) -> Option<(Part, f64)> {
        let (device, factor, fit) = self.rates();
        let grouped = self.operators.experts.as_ref()?;
        let curve = &device.experts[&grouped.precision];
        let scale = factor * fit.experts(grouped.precision);
        let each = roofline::experts(curve, device.bandwidth, grouped, tokens, grouped.ranks, scale);
        Some((Part::Experts, grouped.count * each))
    }

    /// Returns what depends on the tokens of all attention-parallel ranks together: experts, and the exchange of
    /// tokens around them. Gathering all tokens and scattering the sums sends as much as an all-reduce of them.
    pub(super) fn shared(&self, tokens: f64) -> Vec<(Part, f64)> {
        if tokens <= 0.0 || self.operators.split.data == 1 {
            return Vec::new();
        }
        let (device, factor, fit) = self.rates();
        let bytes = tokens * self.operators.reduce_bytes;
        let each = roofline::all_reduce(
            &device.collective,
            bytes,
            self.operators.split.ranks(),
            factor * fit.all_reduce,
        );
        let exchange = (Part::AllReduce, self.operators.expert_layers * each);
        self.experts(tokens).into_iter().chain([exchange]).collect()
    }

    /// Returns the output head over `sequences` rows.
    pub(super) fn head(&self, sequences: f64) -> f64 {
        let (device, factor, fit) = self.rates();
        let of = |gemm: &Gemm| {
            let scale = factor * fit.gemm(gemm.precision);
            let shape = (sequences, gemm.n, gemm.k);
            gemm.count * roofline::gemm(&device.gemm[&gemm.precision], device.bandwidth, shape, scale)
        };
        self.operators.gemms.iter().filter(|gemm| gemm.rows == Rows::Sequences).map(of).sum()
    }

    pub(super) fn layers_of_kind(&self, windowed: bool) -> f64 {
        let of_kind = |kind: &&AttentionLayers| kind.window.is_some() == windowed;
        self.operators.attention.layers.iter().filter(of_kind).map(|kind| kind.count).sum()
    }

    pub(super) fn window(&self) -> f64 {
        self.operators.attention.layers.iter().find_map(|kind| kind.window).unwrap_or(0.0)
    }

    pub(super) fn cache_slopes(&self) -> CacheSlopes {
        let Context { device, factor, cache_bytes, .. } = self.context;
        let (rates, attention) = ((device.bandwidth, device.peak_16bit), &self.operators.attention);
        let fit = &device.coefficients;
        let slope = match (attention.latent, *cache_bytes < 2.0) {
            (true, _) => fit.latent_slope,
            (false, true) => fit.kv_slope_8bit,
            (false, false) => fit.kv_slope,
        };
        let slope = factor * slope;
        let token_ns = roofline::decode_token(&device.attention, rates, attention, *cache_bytes, slope) * 1e3;
        CacheSlopes {
            full_ns: token_ns * self.layers_of_kind(false),
            windowed_ns: token_ns * self.layers_of_kind(true),
            window: self.window(),
            sequence_ns: roofline::state(device.bandwidth, attention, *factor) * 1e3,
        }
    }

    pub(super) fn prefill_slopes(&self) -> PrefillSlopes {
        let Context { device, factor, .. } = self.context;
        let attention = &self.operators.attention;
        let slope = factor * device.coefficients.prefill_attention;
        let pair_ns = roofline::prefill_pair(&device.attention, device.peak_16bit, attention, slope) * 1e3;
        let token_ns = roofline::prefill_token(device.bandwidth, attention, *factor) * 1e3;
        PrefillSlopes {
            pair_ns: pair_ns * self.layers_of_kind(false),
            windowed_pair_ns: pair_ns * self.layers_of_kind(true),
            window: self.window(),
            half_context: device.attention.half_context,
            token_ns: token_ns * self.operators.layers,
        }
    }

    pub(super) fn origin(&self, engine: &Engine, pipeline: u32) -> Origin {
        let device = &self.context.device;
        let mut origin = engine.origin.weaker(device.attention.origin);
        for gemm in &self.operators.gemms {
            origin = origin.weaker(device.gemm[&gemm.precision].origin);
        }
        if let Some(grouped) = &self.operators.experts {
            origin = origin.weaker(device.experts[&grouped.precision].origin);
        }
        if self.operators.split.ranks() > 1 || pipeline > 1 {
            origin = origin.weaker(device.collective.origin);
        }
        // Measured coefficients in a formula give an analytic number, not a measured one.
        origin.weaker(Origin::Analytic)
    }
}
