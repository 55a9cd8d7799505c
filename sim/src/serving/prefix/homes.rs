//! Where was a prompt like this sent before? What a router remembers, without asking the replicas: by hash, the replica that
//! the last prompt with that block went to.

use std::collections::HashMap;

use super::Hashes;

/// Where blocks are thought to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Homes {
    replica_of: HashMap<u64, u32>,
}

impl Homes {
    /// Returns the replica that the longest known beginning of a prompt was sent to last, if that is half of it at least:
    /// what all prompts begin with would send all of them to one replica (SGLang's router: `cache_threshold` 0.5).
    pub fn find(&self, hashes: Hashes<'_>) -> Option<u32> {
        let known = hashes.iter().map_while(|hash| self.replica_of.get(&hash));
        let (n, replica) = known.enumerate().last()?;
        (2 * (n + 1) >= hashes.len()).then_some(*replica)
    }

    /// Remembers where a prompt is sent.
    pub fn note(&mut self, hashes: Hashes<'_>, replica: u32) {
        for hash in hashes.iter() {
            self.replica_of.insert(hash, replica);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_decides_and_a_gap_ends_it() {
        let mut homes = Homes::default();
        homes.note(Hashes::Listed(&[1, 2]), 0);
        homes.note(Hashes::Listed(&[1, 3, 4]), 1);
        assert_eq!(homes.find(Hashes::Listed(&[1, 2, 9])), Some(0));
        assert_eq!(homes.find(Hashes::Listed(&[1, 3, 9])), Some(1));
        assert_eq!(homes.find(Hashes::Listed(&[9, 2])), None);
        assert_eq!(homes.find(Hashes::Listed(&[1, 7, 8])), None, "a third is what others begin with too");
    }
}
