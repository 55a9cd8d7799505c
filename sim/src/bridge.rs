//! The one place that knows both how long a step takes and who asks: prepared steps behind the simulator's door.

use crate::perf::{PreparedStep, StepShape};
use crate::random::{QuantileTable, QuantileTableError};
use crate::serving::{Batch, Length, StepTime};
use capstan_types::traffic::Lengths;

impl StepTime for PreparedStep {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
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

/// Returns the sampler of a length distribution.
///
/// # Errors
/// Where the points are not those of a distribution.
pub fn length(lengths: &Lengths) -> Result<Length, QuantileTableError> {
    QuantileTable::new(lengths.points.clone()).map(Length::Quantiles)
}
