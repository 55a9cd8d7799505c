//! Which of n keys is least, when one changes at a time?

/// A complete binary tree whose inner nodes hold the lesser of their children.
///
/// A change costs log₂ n minima, which the processor computes without guessing a branch; that makes it two to three
/// times faster than a heap for up to some thousand keys, each of which changes again and again.
#[derive(Debug, Clone)]
pub struct Tournament<K> {
    nodes: Vec<K>,
    leaves: usize,
}

impl<K: Ord + Copy> Tournament<K> {
    /// Returns the tree of these keys; `greatest` is not less than any key and fills it up.
    pub fn new(keys: impl ExactSizeIterator<Item = K>, greatest: K) -> Tournament<K> {
        let leaves = keys.len().next_power_of_two();
        let mut nodes = vec![greatest; 2 * leaves];
        for (leaf, key) in nodes[leaves..].iter_mut().zip(keys) {
            *leaf = key;
        }
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        Tournament { nodes, leaves }
    }

    /// Returns the least key.
    pub fn least(&self) -> K {
        self.nodes[1]
    }

    /// Returns the key at `index`.
    pub fn get(&self, index: usize) -> K {
        self.nodes[self.leaves + index]
    }

    /// Returns the least key of all but the one at `index`; the greatest if there is no other.
    pub fn least_but(&self, index: usize) -> K {
        let mut node = self.leaves + index;
        let mut least = self.nodes[node ^ 1];
        while node > 3 {
            node /= 2;
            least = least.min(self.nodes[node ^ 1]);
        }
        least
    }

    /// Sets the key at `index`.
    pub fn set(&mut self, index: usize, key: K) {
        let mut node = self.leaves + index;
        self.nodes[node] = key;
        let mut least = key;
        while node > 1 {
            least = least.min(self.nodes[node ^ 1]);
            node /= 2;
            self.nodes[node] = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_tournament_agrees_with_a_scan(n in 1usize..20, sets in prop::collection::vec((0usize..20, 0u32..9), 0..60)) {
            let mut keys = vec![(0, 0); n];
            for (index, key) in keys.iter_mut().enumerate() {
                *key = (0, index);
            }
            let mut tournament = Tournament::new(keys.iter().copied(), (u32::MAX, usize::MAX));
            for (index, count) in sets {
                let index = index % n;
                keys[index] = (count, index);
                tournament.set(index, keys[index]);
                prop_assert_eq!(Some(tournament.least()), keys.iter().min().copied());
            }
        }
    }
}
