//! Characters, brackets, numbers and dates: E00xx.

use super::Entry;
use crate::diagnostic::Code;

/// A character that has no meaning.
pub const BAD_CHARACTER: Code = Code::error(1);
/// A name with letters outside a–z.
pub const FOREIGN_NAME: Code = Code::error(2);
/// A string without an end.
pub const OPEN_STRING: Code = Code::error(3);
/// An escape that does not exist.
pub const BAD_ESCAPE: Code = Code::error(4);
/// A byte-order mark at the beginning.
pub const BYTE_ORDER_MARK: Code = Code::error(5);
/// A file that is not UTF-8.
pub const NOT_UTF8: Code = Code::error(6);
/// A file of more than 16 MiB.
pub const TOO_LONG: Code = Code::error(7);
/// Brackets nested more than 64 deep.
pub const TOO_DEEP: Code = Code::error(8);
/// A bracket that is never closed.
pub const OPEN_BRACKET: Code = Code::error(9);
/// A bracket that closes nothing.
pub const STRAY_BRACKET: Code = Code::error(10);
/// A malformed number.
pub const BAD_NUMBER: Code = Code::error(11);
/// A day that does not exist.
pub const BAD_DATE: Code = Code::error(12);
/// A time of day that does not exist.
pub const BAD_TIME: Code = Code::error(13);
/// More than 1,000 mistakes.
pub const TOO_MANY: Code = Code::error(14);

pub(super) const ENTRIES: [Entry; 14] = [
    Entry {
        code: BAD_CHARACTER,
        title: "a character that has no meaning",
        explanation: "The language uses letters, digits, `_`, quotes and a small set of signs. Signs of other \
            languages (`&&`, `|`, `≤`) and typographic quotes are not among them; the help names \
            what to write.",
        wrong: Some("let a = b && c"),
        right: Some("let a = b and c"),
    },
    Entry {
        code: FOREIGN_NAME,
        title: "a name with letters outside a–z",
        explanation: "Names become names of files, objects and labels in systems that allow only plain \
            letters, so the language allows only these. Strings and comments may hold any letters.",
        wrong: Some("serve übersetzung { replicas = 2 }"),
        right: Some("serve translation { replicas = 2 }"),
    },
    Entry {
        code: OPEN_STRING,
        title: "a string without an end",
        explanation: "A string begins and ends on one line. A line break inside is written `\\n`.",
        wrong: Some("use prices \"prices.toml"),
        right: Some("use prices \"prices.toml\""),
    },
    Entry {
        code: BAD_ESCAPE,
        title: "an escape that does not exist",
        explanation: "Inside a string a backslash begins one of `\\\"`, `\\\\`, `\\n` and `\\t`. A backslash itself \
            is written twice.",
        wrong: Some("use \"data\\prices.toml\""),
        right: Some("use \"data/prices.toml\""),
    },
    Entry {
        code: BYTE_ORDER_MARK,
        title: "a byte-order mark at the beginning",
        explanation: "Plan files are UTF-8 without a byte-order mark: with one, the same plan would have two \
            digests. Most editors call the right choice \"UTF-8\" and the wrong one \"UTF-8 with BOM\".",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_UTF8,
        title: "a file that is not UTF-8",
        explanation: "Plan files are UTF-8. The place given is the first byte that is not.",
        wrong: None,
        right: None,
    },
    Entry {
        code: TOO_LONG,
        title: "a file of more than 16 MiB",
        explanation: "A plan file is written by people. Large tables belong in a catalog or a trace, which a \
            plan names by its path.",
        wrong: None,
        right: None,
    },
    Entry {
        code: TOO_DEEP,
        title: "brackets nested more than 64 deep",
        explanation: "The limit keeps a hostile file from exhausting the stack. Name the inner parts with \
            `let`.",
        wrong: None,
        right: None,
    },
    Entry {
        code: OPEN_BRACKET,
        title: "a bracket that is never closed",
        explanation: "The place given is the bracket that was opened. Reading goes on as if it had been closed \
            where the expression or the file ended.",
        wrong: Some("let a = (1 + 2\nlet b = 3"),
        right: Some("let a = (1 + 2)\nlet b = 3"),
    },
    Entry {
        code: STRAY_BRACKET,
        title: "a bracket that closes nothing",
        explanation: "There is no open bracket of this kind here. Often the line before closed one too many.",
        wrong: Some("let a = 1 + 2)"),
        right: Some("let a = (1 + 2)"),
    },
    Entry {
        code: BAD_NUMBER,
        title: "a malformed number",
        explanation: "A number begins with a digit; `_` stands between two digits; a point stands between two \
            digits; there is no exponent.",
        wrong: Some("let a = .5"),
        right: Some("let a = 0.5"),
    },
    Entry {
        code: BAD_DATE,
        title: "a day that does not exist",
        explanation: "A date is year, month and day with four, two and two digits, and the calendar must have \
            it.",
        wrong: Some("let a = 2027-02-30"),
        right: Some("let a = 2027-02-28"),
    },
    Entry {
        code: BAD_TIME,
        title: "a time of day that does not exist",
        explanation: "A time of day is hour and minute with two digits each, from `00:00` to `23:59`; `24:00` is the end of a day.",
        wrong: Some("let a = 24:30"),
        right: Some("let a = 00:30"),
    },
    Entry {
        code: TOO_MANY,
        title: "more than 1,000 mistakes",
        explanation: "The file is probably no plan file. The first 1,000 mistakes are shown.",
        wrong: None,
        right: None,
    },
];
