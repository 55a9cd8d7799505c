//! Which parts of a message are coloured? Headings by severity, gutters and marks.

use crate::session::Look;

const RESET: &str = "\x1b[0m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const GREEN: &str = "\x1b[1;32m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";

/// Headings, and their colours.
const HEADINGS: [(&str, &str); 3] = [("error", RED), ("warning", YELLOW), ("note", GREEN)];

/// Returns a message in colours where the terminal shows them. Whatever escape sequences a user's text holds are taken
/// out, so that a plan from a stranger cannot write over what is shown.
pub fn toned(text: &str, look: Look) -> String {
    let layout = |c: char| c == '\n' || c == '\t';
    let safe = text.chars().filter(|&c| !c.is_control() || layout(c));
    let safe: String = safe.map(|c| if layout(c) { c } else { capstan_report::shown(c) }).collect();
    if !look.colour {
        return safe;
    }
    safe.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    for (word, colour) in HEADINGS {
        let heading = line.strip_prefix(word).filter(|rest| rest.starts_with(['[', ':']));
        if let Some((code, message)) = heading.and_then(|rest| rest.split_once(':')) {
            return format!("{colour}{word}{code}{RESET}{BOLD}:{message}{RESET}{end}");
        }
    }
    let Some((gutter, rest)) = gutter(line) else { return format!("{line}{end}") };
    let marked = rest.find(['^', '-']).filter(|_| gutter.trim_end().ends_with('│') && !numbered(gutter));
    match marked {
        Some(at) if rest[..at].chars().all(char::is_whitespace) => {
            let colour = if rest[at..].starts_with('^') { RED } else { BLUE };
            format!("{BLUE}{gutter}{RESET}{}{colour}{}{RESET}{end}", &rest[..at], &rest[at..])
        }
        _ => format!("{BLUE}{gutter}{RESET}{rest}{end}"),
    }
}

fn numbered(gutter: &str) -> bool {
    gutter.contains(|c: char| c.is_ascii_digit())
}

/// Splits a line of a diagnostic after its gutter: blanks or a number, then a rule or an equals sign.
fn gutter(line: &str) -> Option<(&str, &str)> {
    let rule = line.find(|c: char| c != ' ' && !c.is_ascii_digit())?;
    let sign = ["┌─", "│", "="].into_iter().find(|sign| line[rule..].starts_with(sign))?;
    (rule > 0).then(|| line.split_at(rule + sign.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(colour: bool) -> Look {
        Look { width: 80, colour, unicode: true, terminal: colour }
    }

    /// Takes colours out again.
    fn plain(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    const MESSAGE: &str = "error[E0104]: `tokens` counts\n   ┌─ a.plan:22:16\n22 │   x = 15 TB - 1\n   │       ^^^^^ data\n   \
                           = help: write = this\n\n1 error\n";

    #[test]
    fn colours_change_no_character() {
        let coloured = toned(MESSAGE, look(true));
        assert_ne!(coloured, MESSAGE);
        assert_eq!(plain(&coloured), MESSAGE);
        assert_eq!(toned(MESSAGE, look(false)), MESSAGE);
    }

    #[test]
    fn headings_and_marks_have_their_colours() {
        let coloured = toned(MESSAGE, look(true));
        assert!(coloured.contains("\x1b[1;31merror[E0104]\x1b[0m"), "{coloured:?}");
        assert!(coloured.contains("\x1b[1;31m^^^^^ data"), "{coloured:?}");
        assert!(coloured.contains("\x1b[1;34m22 │\x1b[0m   x = 15 TB - 1\n"), "{coloured:?}");
    }

    #[test]
    fn escape_sequences_of_a_plan_do_not_reach_the_terminal() {
        for colour in [true, false] {
            assert!(!toned("1 │ \x1b[2Jgone\u{9b}2J\r", look(colour)).contains(['\u{9b}', '\r']));
        }
        assert_eq!(toned("a\x1b[2J", look(false)), "a[2J");
    }
}
