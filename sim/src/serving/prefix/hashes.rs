//! What does a prompt begin with? Block hashes of requests: given one by one, or drawn so that prompts begin alike.

use crate::random::{Streams, split_mix};

/// Block hashes of requests, in the order of their arrival. A hash stands for all tokens up to the end of its block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prefixes {
    /// Tokens of one hash.
    pub tokens: u32,
    source: Source,
}

/// Prompts that begin alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beginnings {
    /// Different beginnings, equally common.
    pub n: u32,
    /// Share of each prompt that is its beginning.
    pub share: f64,
    /// Tokens of one hash: the grain of what is reused.
    pub tokens: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Listed {
        hashes: Vec<u64>,
        /// Where the hashes of each request end.
        ends: Vec<u32>,
    },
    Drawn {
        beginnings: Beginnings,
        key: u64,
    },
}

impl Default for Source {
    fn default() -> Source {
        Source::Listed { hashes: Vec::new(), ends: Vec::new() }
    }
}

/// The hashes of one prompt, in the order of its blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hashes<'a> {
    Listed(&'a [u64]),
    /// One after the other.
    Counted {
        from: u64,
        to: u64,
    },
}

impl Hashes<'_> {
    /// No hashes.
    pub const NONE: Hashes<'static> = Hashes::Listed(&[]);

    pub fn len(self) -> usize {
        match self {
            Hashes::Listed(all) => all.len(),
            Hashes::Counted { from, to } => (to - from) as usize,
        }
    }

    /// Returns those from one place up to another, both within.
    pub fn part(self, start: usize, end: usize) -> Self {
        match self {
            Hashes::Listed(all) => Hashes::Listed(&all[start..end]),
            Hashes::Counted { from, .. } => {
                Hashes::Counted { from: from + start as u64, to: from + end as u64 }
            }
        }
    }

    pub fn iter(self) -> impl DoubleEndedIterator<Item = u64> {
        let (listed, counted) = match self {
            Hashes::Listed(all) => (all, 0..0),
            Hashes::Counted { from, to } => (&[][..], from..to),
        };
        listed.iter().copied().chain(counted)
    }
}

impl Prefixes {
    /// Returns no prefixes, of so many tokens for each hash.
    pub fn new(tokens: u32) -> Prefixes {
        Prefixes { tokens, source: Source::default() }
    }

    /// Returns prompts that begin alike, drawn for one replication.
    pub fn drawn(beginnings: Beginnings, seed: u64, replication: u32) -> Prefixes {
        let key = Streams::new(seed).stream(&format!("beginnings/rep{replication}")).bits();
        Prefixes { tokens: beginnings.tokens, source: Source::Drawn { beginnings, key } }
    }

    /// Adds the hashes of the next request; drawn ones stay as they are.
    pub fn push(&mut self, more: &[u64]) {
        if let Source::Listed { hashes, ends } = &mut self.source {
            hashes.extend_from_slice(more);
            ends.push(u32::try_from(hashes.len()).unwrap_or(u32::MAX));
        }
    }

    /// Returns the hashes of a request and its prompt; none where there are none.
    pub(crate) fn of(&self, number: u32, prompt: u32) -> Hashes<'_> {
        match &self.source {
            Source::Listed { hashes, ends } => {
                let end = |index: usize| ends.get(index).map_or(0, |&end| end as usize);
                let number = number as usize;
                let start = if number == 0 { 0 } else { end(number - 1) };
                Hashes::Listed(hashes.get(start..end(number)).unwrap_or_default())
            }
            Source::Drawn { beginnings, key } => beginnings.of(*key, number, prompt),
        }
    }
}

impl Beginnings {
    /// Returns the whole blocks of the beginning of a prompt. Rounded at random, so that their mean is the share.
    fn of(&self, key: u64, number: u32, prompt: u32) -> Hashes<'static> {
        let mut state = key ^ u64::from(number).rotate_left(32);
        let which = ((u128::from(split_mix(&mut state)) * u128::from(self.n.max(1))) >> 64) as u64;
        let rounding = (split_mix(&mut state) >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
        let blocks = (self.share * f64::from(prompt) / f64::from(self.tokens.max(1)) + rounding).floor();
        let from = which << 32;
        Hashes::Counted {
            from,
            to: from + (blocks.max(0.0) as u64).min(u64::from(prompt / self.tokens.max(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_each_prompt_is_one_of_a_few_beginnings() {
        let beginnings = Beginnings { n: 3, share: 0.4, tokens: 16 };
        let prefixes = Prefixes::drawn(beginnings, 1, 0);
        let (mut blocks, mut seen) = (0, std::collections::BTreeSet::new());
        for number in 0..20_000 {
            let hashes = prefixes.of(number, 100);
            blocks += hashes.len();
            seen.extend(hashes.iter().next());
        }
        // 2.5 blocks on average; the standard error of a rounding is 0.5 / √20,000.
        assert!((blocks as f64 / 20_000.0 - 2.5).abs() < 0.015, "{blocks}");
        assert_eq!(seen.len(), 3);
        assert_eq!(Prefixes::drawn(beginnings, 1, 0), prefixes);
        assert_ne!(Prefixes::drawn(beginnings, 1, 1), prefixes);
    }

    #[test]
    fn parts_of_listed_and_counted_hashes_are_the_same() {
        let listed = [7, 8, 9, 10];
        let (listed, counted) = (Hashes::Listed(&listed), Hashes::Counted { from: 7, to: 11 });
        assert_eq!(listed.len(), counted.len());
        let part = |hashes: Hashes<'_>| hashes.part(1, 3).iter().collect::<Vec<u64>>();
        assert_eq!((part(listed), part(counted)), (vec![8, 9], vec![8, 9]));
    }
}
