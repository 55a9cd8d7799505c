//! Is there room? The KV cache of one replica, in blocks.
//!
//! Invariant: used ≤ total, in release builds too; a violation is a mistake of ours and panics.

/// The size of a replica's KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvCache {
    /// Blocks of one replica.
    pub blocks: u32,
    /// Tokens in a block; vLLM's default is 16.
    pub block_tokens: u32,
    /// Blocks that must stay free when a request is admitted. Running requests may use them.
    pub watermark_blocks: u32,
}

impl KvCache {
    /// Returns a cache of `blocks` blocks of 16 tokens without watermark.
    pub const fn new(blocks: u32) -> KvCache {
        KvCache { blocks, block_tokens: 16, watermark_blocks: 0 }
    }

    /// Returns this cache with a watermark of 1 % of its blocks, rounded down (vLLM before V1, and Vidur).
    pub const fn with_one_percent_watermark(self) -> KvCache {
        KvCache { watermark_blocks: self.blocks / 100, ..self }
    }

    /// Returns the blocks that `tokens` tokens fill.
    pub const fn blocks_for(&self, tokens: u32) -> u32 {
        tokens.div_ceil(self.block_tokens)
    }
}

/// The blocks of one replica in use.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    cache: KvCache,
    free: u32,
}

impl Blocks {
    pub fn new(cache: KvCache) -> Blocks {
        Blocks { cache, free: cache.blocks }
    }

    pub fn cache(&self) -> KvCache {
        self.cache
    }

    pub fn free(&self) -> u32 {
        self.free
    }

    pub fn used(&self) -> u32 {
        self.cache.blocks - self.free
    }

    pub fn blocks_for(&self, tokens: u32) -> u32 {
        self.cache.blocks_for(tokens)
    }

    /// Returns the blocks that a request of `tokens` tokens needs for so many more.
    pub fn more_for(&self, tokens: u32, more: u32) -> u32 {
        self.blocks_for(tokens + more) - self.blocks_for(tokens)
    }

    /// Returns the blocks that running requests may hold when a new one is admitted.
    pub fn for_admission(&self) -> u64 {
        u64::from(self.cache.blocks - self.cache.watermark_blocks.min(self.cache.blocks))
    }

    /// Says whether a new request may take `blocks` and leave the watermark free.
    pub fn admits(&self, blocks: u32) -> bool {
        self.free >= blocks && self.free - blocks >= self.cache.watermark_blocks
    }

    pub fn take(&mut self, blocks: u32) {
        self.free =
            self.free.checked_sub(blocks).expect("blocks are taken only after free blocks were counted");
    }

    pub fn release(&mut self, blocks: u32) {
        self.free += blocks;
        assert!(self.free <= self.cache.blocks, "more blocks were released than were taken");
    }
}
