//! The one place that knows both how long a step takes and who asks: prepared steps behind the simulator's door.

use crate::perf::{PreparedStep, StepShape};
use crate::random::{QuantileTable, QuantileTableError};
use crate::serving::{Batch, Length, StepTime};
use capstan_types::traffic::Lengths;

impl StepTime for PreparedStep {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        if self.groups() > 1 {
            return self
                .pass_among_ns(&largest_share(batch, f64::from(self.groups())), f64::from(batch.tokens()));
        }
        self.step_ns(&StepShape {
            decodes: f64::from(batch.decodes),
            drafted: 0.0,
            decode_kv: batch.decode_kv as f64,
            prefill_tokens: f64::from(batch.prefill_tokens),
            sampled: f64::from(batch.sampled()),
            pairs_twice: batch.prefill_pairs_twice as f64,
            pairs_over_context: batch.prefill_pairs_over_context,
        })
    }
}

/// Returns what the group has for which all others wait: the largest piece of prompts; decodes and their cache are spread
/// evenly. Attention-parallel groups are simulated as one replica with the places and the cache of all.
fn largest_share(batch: &Batch, groups: f64) -> StepShape {
    let prompts = f64::from(batch.prefills);
    // Of n prompts one group has ⌈n / groups⌉.
    let share = if prompts > 0.0 { (prompts / groups).ceil() / prompts } else { 0.0 };
    let decodes = (f64::from(batch.decodes) / groups).ceil();
    StepShape {
        decodes,
        drafted: 0.0,
        decode_kv: batch.decode_kv as f64 / groups,
        prefill_tokens: f64::from(batch.prefill_tokens) * share,
        sampled: decodes + f64::from(batch.first_tokens) * share,
        pairs_twice: batch.prefill_pairs_twice as f64 * share,
        pairs_over_context: batch.prefill_pairs_over_context * share,
    }
}

/// Returns the sampler of a length distribution.
///
/// # Errors
/// Where the points are not those of a distribution.
pub fn length(lengths: &Lengths) -> Result<Length, QuantileTableError> {
    QuantileTable::new(lengths.points.clone()).map(Length::Quantiles)
}
