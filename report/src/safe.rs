//! How may a character of somebody's text be shown?

/// Returns the character as it may be shown: what steers a terminal as a blank, what turns the direction of text as a sign,
/// so that a name cannot pretend to be another (Boucher and Anderson, Trojan Source: Invisible Vulnerabilities, 2021).
pub fn shown(character: char) -> char {
    match character {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_text_is_seen_and_what_steers_a_terminal_is_not() {
        let text: String = "a\u{202e}b\u{1b}[2J\u{2066}é漢".chars().map(shown).collect();
        assert_eq!(text, "a\u{fffd}b [2J\u{fffd}é漢");
    }
}
