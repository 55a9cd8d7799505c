//! Which known word did the user most likely mean?

/// Returns the candidate closest to `word`, or none where nothing is close enough to be a slip.
///
/// The same letters in another case always count. Otherwise at most one edit (insert, delete,
/// replace, swap of neighbours) for words up to four letters, two up to eight, three beyond. Ties go
/// to the earlier candidate.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().take(MAX_LETTERS + 1).collect();
    if letters.len() > MAX_LETTERS || letters.is_empty() {
        return None;
    }
    let allowed = match letters.len() {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let cost =
            if candidate.eq_ignore_ascii_case(word) { 0 } else { 2 * edits(&letters, candidate, allowed) };
        let close = cost <= 2 * allowed && cost < 2 * letters.len();
        if close && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Longer words are not compared: the cost is quadratic, and nobody mistypes a paragraph.
const MAX_LETTERS: usize = 64;

/// Returns the number of edits between two words (optimal string alignment), or more than `most`.
fn edits(a: &[char], b: &str, most: usize) -> usize {
    let b: Vec<char> = b.chars().take(MAX_LETTERS + 1).collect();
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let words = ["throughput", "power", "pue", "GB", "gbit"];
        assert_eq!(nearest("trougput", words), Some("throughput"));
        assert_eq!(nearest("powre", words), Some("power"));
        assert_eq!(nearest("gb", words), Some("GB"));
        assert_eq!(nearest("banana", words), None);
        assert_eq!(nearest("x", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest(&"p".repeat(10_000), words), None);
    }
}
