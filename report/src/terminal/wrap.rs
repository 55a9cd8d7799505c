//! Words into lines.

/// Returns the text as the terminal can show it; a character without a plain form becomes `?`.
pub(super) fn shown(text: &str, unicode: bool) -> String {
    if unicode {
        return text.chars().map(crate::shown).collect();
    }
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '×' => plain.push('x'),
            '≤' => plain.push_str("<="),
            '≥' => plain.push_str(">="),
            '–' | '−' | '·' | '—' | '─' => plain.push('-'),
            '…' => plain.push_str(".."),
            '█' => plain.push('#'),
            '●' => plain.push('*'),
            '÷' => plain.push('/'),
            '→' => plain.push_str("->"),
            'µ' => plain.push('u'),
            'Σ' => plain.push_str("sum"),
            // Lines of bars, from low to high.
            '▁' => plain.push('_'),
            '▂' | '▃' => plain.push('.'),
            '▄' | '▅' => plain.push('+'),
            '▆' | '▇' => plain.push('*'),
            c if c.is_ascii() && !c.is_control() => plain.push(c),
            c if c.is_control() => plain.push(' '),
            _ => plain.push('?'),
        }
    }
    plain
}

/// Returns the text filled up with blanks on its right.
pub(super) fn pad(text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(blanks))
}

/// Returns the parts between which a word may be broken: behind a point, a dash, a stroke or an underscore.
pub(super) fn pieces(word: &str) -> Vec<&str> {
    let joint = |c: char| matches!(c, '.' | '_' | '/' | '-' | '=' | ':');
    // Points and strokes inside numbers do not break them.
    if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '−')) {
        return vec![word];
    }
    word.split_inclusive(joint).collect()
}

/// Breaks a text into lines of at most `width` characters, between words where it can.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let length = |text: &str| text.chars().count();
    for word in text.split_whitespace() {
        let blank = usize::from(!line.is_empty());
        if length(&line) + blank + length(word) <= width {
            line.push_str(if blank == 1 { " " } else { "" });
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for piece in pieces(word) {
            if !line.is_empty() && length(&line) + length(piece) > width {
                lines.push(std::mem::take(&mut line));
            }
            for character in piece.chars() {
                if length(&line) == width {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(character);
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrap("what do I buy", 8), ["what do", "I buy"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn long_names_break_at_their_joints() {
        assert_eq!(wrap("own.h100_sxm_8", 9), ["own.h100_", "sxm_8"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    }
}
