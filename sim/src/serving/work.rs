//! What did a replica do? Sums over its steps, held so that a step touches one line of a processor's cache.

/// What one replica did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Steps.
    pub iterations: u64,
    /// Of those, computed in a leap and no event of their own.
    pub leapt_iterations: u64,
    /// Tokens of prompts read, those read again included.
    pub prefill_tokens: u64,
    /// Tokens of prompts that were found in the cache and not read.
    pub reused_tokens: u64,
    /// Of those, read back from a tier beside the accelerators.
    pub read_back_tokens: u64,
    /// Tokens run as decodes.
    pub decode_tokens: u64,
    /// Output tokens delivered.
    pub output_tokens: u64,
    /// Tokens computed and thrown away by preemption.
    pub discarded_tokens: u64,
    /// Preemptions.
    pub preemptions: u64,
    /// Nanoseconds in which at least one step ran.
    pub busy_ns: u64,
    /// Most blocks in use.
    pub kv_peak_blocks: u32,
    /// Σ over steps of nanoseconds × blocks in use.
    pub kv_block_ns: u128,
    /// Σ over steps of nanoseconds × sequences in the batch.
    pub sequence_ns: u128,
}

/// What every step adds to, in one line of a processor's cache.
#[derive(Debug, Clone, Default)]
#[repr(C)]
pub(crate) struct Sums {
    pub kv_block_ns: u128,
    pub sequence_ns: u128,
    pub iterations: u64,
    pub leapt_iterations: u64,
    pub decode_tokens: u64,
    pub busy_ns: u64,
}

/// What only steps with prompts add to, and evictions.
#[derive(Debug, Clone, Default)]
pub(crate) struct RareSums {
    pub prefill_tokens: u64,
    pub reused_tokens: u64,
    pub read_back_tokens: u64,
    pub first_tokens: u64,
    pub discarded_tokens: u64,
    pub preemptions: u64,
}

impl Sums {
    /// Returns all that was summed up.
    pub fn work(&self, rare: &RareSums, kv_peak_blocks: u32) -> Work {
        Work {
            iterations: self.iterations,
            leapt_iterations: self.leapt_iterations,
            prefill_tokens: rare.prefill_tokens,
            reused_tokens: rare.reused_tokens,
            read_back_tokens: rare.read_back_tokens,
            decode_tokens: self.decode_tokens,
            output_tokens: self.decode_tokens + rare.first_tokens,
            discarded_tokens: rare.discarded_tokens,
            preemptions: rare.preemptions,
            busy_ns: self.busy_ns,
            kv_peak_blocks,
            kv_block_ns: self.kv_block_ns,
            sequence_ns: self.sequence_ns,
        }
    }
}
