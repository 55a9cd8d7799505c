//! How much of a trace has been read before? The share of its block hashes that a cache of any size would find.
//!
//! One pass (Mattson et al., IBM Systems Journal 9(2), 1970): a block is in a cache that forgets the least recently used
//! exactly if fewer other blocks than it holds were used since. A hit begins at the beginning of a prompt, so a block
//! counts from the capacity on at which all before it are found as well. It knows no tokens.

use std::collections::BTreeMap;

use capstan_types::spec::BlockHashes;

/// Hashes of prompts, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hashes {
    /// All hashes.
    pub all: Vec<u64>,
    /// Where those of each request end.
    pub ends: Vec<u32>,
}

impl Hashes {
    /// Returns the hashes of each request.
    pub fn prompts(&self) -> impl Iterator<Item = &[u64]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.all[start as usize..end as usize])
    }
}

/// Returns what the hashes of prompts say, or none where no block size goes with them.
pub(super) fn facts(hashes: &Hashes, prompts: &[u32]) -> Option<BlockHashes> {
    let (mut least, mut most) = (1, u32::MAX);
    for (&tokens, of_prompt) in prompts.iter().zip(hashes.prompts()) {
        // n hashes of b tokens: (n − 1) b < tokens ≤ n b.
        let n = of_prompt.len() as u32;
        least = least.max(tokens.div_ceil(n.max(1)));
        most = most.min(if n > 1 { (tokens - 1) / (n - 1) } else { u32::MAX });
    }
    (least <= most && !hashes.all.is_empty())
        .then(|| BlockHashes { block_tokens: (least, most), reusable: reusable(hashes) })
}

/// Returns the share of hashes that is found, by capacities that double.
fn reusable(hashes: &Hashes) -> Vec<(u64, f64)> {
    let n = hashes.all.len();
    let mut since = Since::new(n);
    let mut last: BTreeMap<u64, usize> = BTreeMap::new();
    // How many hashes are found from a capacity of 2^k on.
    let mut found = [0_u64; 40];
    let mut now = 0;
    for prompt in hashes.prompts() {
        let mut needed = 0;
        for hash in prompt {
            let Some(&used) = last.get(hash) else { break };
            needed = since.used_since(used).max(needed);
            let class = needed.next_power_of_two().trailing_zeros() as usize;
            found[class.min(found.len() - 1)] += 1;
        }
        for hash in prompt {
            if let Some(before) = last.insert(*hash, now) {
                since.add(before, false);
            }
            since.add(now, true);
            now += 1;
        }
    }
    let mut sum = 0;
    let classes = found.iter().enumerate();
    let all = classes.map(|(class, more)| {
        sum += more;
        (1 << class, sum as f64 / n.max(1) as f64)
    });
    let largest = last.len().next_power_of_two() as u64;
    all.take_while(|&(capacity, _)| capacity <= largest).collect()
}

/// Which instants are the last use of some block: a binary indexed tree (Fenwick, Software 24(3), 1994).
struct Since {
    sums: Vec<u32>,
    held: u32,
}

impl Since {
    fn new(n: usize) -> Since {
        Since { sums: vec![0; n + 1], held: 0 }
    }

    fn add(&mut self, instant: usize, is_last: bool) {
        self.held = if is_last { self.held + 1 } else { self.held - 1 };
        let mut place = instant + 1;
        while place < self.sums.len() {
            self.sums[place] = if is_last { self.sums[place] + 1 } else { self.sums[place] - 1 };
            place += place & place.wrapping_neg();
        }
    }

    /// Returns how many different blocks were last used at an instant or after it.
    fn used_since(&self, instant: usize) -> usize {
        let (mut place, mut before) = (instant, 0);
        while place > 0 {
            before += self.sums[place];
            place -= place & place.wrapping_neg();
        }
        (self.held - before) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prompts: &[&[u64]]) -> Hashes {
        let mut hashes = Hashes::default();
        for prompt in prompts {
            hashes.all.extend_from_slice(prompt);
            hashes.ends.push(hashes.all.len() as u32);
        }
        hashes
    }

    /// Finds the same by keeping the list.
    fn found_by_list(hashes: &Hashes, capacity: usize) -> f64 {
        let (mut list, mut found) = (Vec::<u64>::new(), 0);
        for prompt in hashes.prompts() {
            found += prompt.iter().take_while(|hash| list.contains(hash)).count();
            for hash in prompt {
                list.retain(|held| held != hash);
                list.push(*hash);
            }
            let surplus = list.len().saturating_sub(capacity);
            list.drain(..surplus);
        }
        found as f64 / hashes.all.len() as f64
    }

    #[test]
    fn every_capacity_finds_what_a_list_of_that_length_finds() {
        let mut state = 1_u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let rows: Vec<Vec<u64>> = (0..400)
            .map(|row| {
                let (family, shared, own) = (draw(12), draw(6), draw(4));
                let begin = (0..shared).map(|block| family * 100 + block);
                begin.chain((0..own).map(|block| 1_000_000 + row * 10 + block)).collect()
            })
            .filter(|row: &Vec<u64>| !row.is_empty())
            .collect();
        let hashes = of(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let shares = reusable(&hashes);
        assert!(shares.len() > 8, "{shares:?}");
        for (capacity, share) in shares {
            assert!((share - found_by_list(&hashes, capacity as usize)).abs() < 1e-12, "{capacity}");
        }
    }

    #[test]
    fn the_tokens_of_a_hash_follow_from_how_many_there_are() {
        let hashes = of(&[&[1, 2], &[1, 2, 3]]);
        assert_eq!(facts(&hashes, &[900, 1_300]).map(|facts| facts.block_tokens), Some((450, 649)));
        assert_eq!(facts(&hashes, &[900, 5_000]), None);
    }
}
