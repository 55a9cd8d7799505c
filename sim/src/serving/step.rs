//! How long does one step take? The door through which the simulator learns it; what stands behind is not its concern.
//!
//! A scheduler decides which tokens run; [`Batch`] is what a step time may depend on, all of it sums, so that a step
//! costs the same to evaluate for 1 and for 1,000 sequences.

/// What runs in one step of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Batch {
    /// Sequences that decode one token each.
    pub decodes: u32,
    /// Tokens in the KV cache of the decoding sequences, the one that is being computed included.
    pub decode_kv: u64,
    /// Prompts, or pieces of prompts, that are being read.
    pub prefills: u32,
    /// Their tokens in this step.
    pub prefill_tokens: u32,
    /// Prompts of which this step reads the last token: each yields an output token, as each decode does.
    pub first_tokens: u32,
    /// Σ over prefills of the tokens read before, each rounded up to a multiple of [`Batch::KV_GRAIN`].
    pub prefill_kv_rounded: u64,
    /// Σ c² over prefills, c tokens in this step.
    pub prefill_squares: u64,
    /// Σ c (2 s + c) over prefills, s tokens read before: twice the number of (query, key) pairs.
    pub prefill_pairs_twice: u64,
    /// Σ c (2 s + c) / (s + c) over prefills: pairs over context, for kernels that lose efficiency on short contexts.
    pub prefill_pairs_over_context: f64,
}

impl Batch {
    /// Grain of `prefill_kv_rounded`: the step of Vidur's attention tables.
    pub const KV_GRAIN: u32 = 64;

    /// Returns the tokens that run through the layers.
    pub fn tokens(&self) -> u32 {
        self.decodes + self.prefill_tokens
    }

    /// Returns the sequences for which an output token is sampled.
    pub fn sampled(&self) -> u32 {
        self.decodes + self.first_tokens
    }

    /// Returns the sequences in the batch.
    pub fn sequences(&self) -> u32 {
        self.decodes + self.prefills
    }

    /// Adds `tokens` of a prompt of which `before` have been read, the last of them if `ends`.
    pub fn add_prefill(&mut self, before: u32, tokens: u32, ends: bool) {
        let (s, c) = (u64::from(before), u64::from(tokens));
        self.prefills += 1;
        self.prefill_tokens += tokens;
        self.first_tokens += u32::from(ends);
        self.prefill_kv_rounded += s.next_multiple_of(u64::from(Batch::KV_GRAIN));
        let pairs_twice = c.saturating_mul(2 * s + c);
        self.prefill_squares = self.prefill_squares.saturating_add(c * c);
        self.prefill_pairs_twice = self.prefill_pairs_twice.saturating_add(pairs_twice);
        self.prefill_pairs_over_context += pairs_twice as f64 / (s + c).max(1) as f64;
    }
}

/// How long a replica takes for a step.
pub trait StepTime: Sync {
    /// Returns the nanoseconds that the whole step takes; finite and not negative.
    fn nanoseconds(&self, batch: &Batch) -> f64;

    /// Returns the nanoseconds of one pipeline stage; `last` is the stage that sends nothing on.
    ///
    /// Only asked of replicas with several stages. By default a stage is the whole step: for step times that already
    /// describe one stage.
    fn stage_nanoseconds(&self, batch: &Batch, last: bool) -> f64 {
        let _ = last;
        self.nanoseconds(batch)
    }
}

/// A step time made of arrays and slopes, prepared once per candidate.
///
/// Time = `by_tokens[m]` + `by_sampled[b]` + `per_decode_kv` KV + `prefill_step` (if any prefill) + `per_pair_twice` P +
/// `per_pair_over_context` Q, with m, b, KV, P, Q from [`Batch`]. An array that is too short goes on as its last two
/// entries point; an empty one is zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepTable {
    /// Nanoseconds by number of tokens: matrix products, element-wise work, collectives, fixed costs. Entry 0 is unused.
    pub by_tokens: Vec<f64>,
    /// Nanoseconds by number of sampled sequences: output head, sampler, host work per sequence.
    pub by_sampled: Vec<f64>,
    /// Nanoseconds per KV token of decoding sequences.
    pub per_decode_kv: f64,
    /// Nanoseconds more in a step that holds prefill.
    pub prefill_step: f64,
    /// Nanoseconds per unit of [`Batch::prefill_pairs_twice`].
    pub per_pair_twice: f64,
    /// Nanoseconds per unit of [`Batch::prefill_pairs_over_context`].
    pub per_pair_over_context: f64,
}

impl StepTime for StepTable {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        let mut time = at(&self.by_tokens, batch.tokens()) + at(&self.by_sampled, batch.sampled());
        time += self.per_decode_kv * batch.decode_kv as f64;
        if batch.prefills > 0 {
            time += self.prefill_step;
            time += self.per_pair_twice * batch.prefill_pairs_twice as f64;
            time += self.per_pair_over_context * batch.prefill_pairs_over_context;
        }
        time
    }
}

fn at(array: &[f64], index: u32) -> f64 {
    if let Some(&value) = array.get(index as usize) {
        return value;
    }
    match *array {
        [] => 0.0,
        [only] => only,
        [.., before, last] => last + (last - before) * (f64::from(index) - (array.len() - 1) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_array_goes_on_in_a_straight_line() {
        assert_eq!(at(&[0.0, 10.0, 30.0], 1), 10.0);
        assert_eq!(at(&[0.0, 10.0, 30.0], 5), 90.0);
        assert_eq!((at(&[], 3), at(&[7.0], 3)), (0.0, 7.0));
    }

    #[test]
    fn a_prompt_read_in_pieces_has_the_pairs_of_the_whole() {
        let (mut whole, mut pieces) = (Batch::default(), Batch::default());
        whole.add_prefill(0, 1_000, true);
        pieces.add_prefill(0, 300, false);
        pieces.add_prefill(300, 700, true);
        assert_eq!(whole.prefill_pairs_twice, pieces.prefill_pairs_twice);
        assert_eq!((pieces.first_tokens, pieces.prefill_kv_rounded), (1, 320));
    }
}
