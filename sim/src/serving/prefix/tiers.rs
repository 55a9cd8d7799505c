//! What is kept beside the accelerators? Blocks of prompts in host memory and on disk, and what reading them back takes.
//!
//! Every block is written to each tier as it is computed, as LMCache does by default; writing costs nothing here, since it
//! goes on beside the steps. Reading does: the step that admits a request waits for its blocks. Within a tier the least
//! recently used leaves first.

use super::{Hashes, PrefixCache};

/// A place that keeps blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheTier {
    /// Blocks of one replica that it keeps; zero where there is none.
    pub blocks: u32,
    /// Nanoseconds to read one of them back.
    pub block_ns: u64,
}

/// Host memory and disk of one replica, the faster first.
#[derive(Debug, Clone)]
pub(crate) struct Tiers {
    kept: [(PrefixCache, u64); 2],
}

impl Tiers {
    /// Returns empty tiers for hashes of `unit` blocks each.
    pub fn new(tiers: [CacheTier; 2], unit: u32) -> Tiers {
        let tier = |tier: CacheTier| {
            let unit = unit.max(1);
            (PrefixCache::new(tier.blocks / unit), tier.block_ns.saturating_mul(u64::from(unit)))
        };
        Tiers { kept: tiers.map(tier) }
    }

    /// Returns how many leading hashes some tier keeps, and the nanoseconds to read them.
    pub fn look_up(&self, hashes: Hashes<'_>) -> (u32, u64) {
        let read = |hash: u64| {
            let tier = self.kept.iter().find(|(cache, _)| cache.holds(hash));
            tier.map(|(_, ns)| *ns)
        };
        let found = hashes.iter().map_while(read);
        found.fold((0, 0), |(n, sum), ns| (n + 1, u64::saturating_add(sum, ns)))
    }

    /// Notes that blocks were used, or computed. The last of a prompt leave first: without what stands before them nobody finds
    /// them.
    pub fn touch(&mut self, hashes: Hashes<'_>) {
        for (cache, _) in &mut self.kept {
            hashes.iter().rev().for_each(|hash| cache.use_block(hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_tier_is_read_and_the_larger_one_finds_more() {
        let tier = |blocks, block_ns| CacheTier { blocks, block_ns };
        let mut tiers = Tiers::new([tier(4, 10), tier(8, 100)], 2);
        tiers.touch(Hashes::Listed(&[1, 2, 3]));
        // Two hashes of two blocks fit into the first, so 3 is only on disk.
        assert_eq!(tiers.look_up(Hashes::Listed(&[1, 2, 3, 4])), (3, 240));
        tiers.touch(Hashes::Listed(&[4, 5]));
        assert_eq!(tiers.look_up(Hashes::Listed(&[1, 2])), (2, 400));
        assert_eq!(tiers.look_up(Hashes::Listed(&[3])), (0, 0), "the disk keeps four");
        assert_eq!(tiers.look_up(Hashes::Listed(&[4])), (1, 20));
    }
}
