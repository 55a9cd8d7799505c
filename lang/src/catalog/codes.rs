//! The stable codes of mistakes in catalogs, E04xx. A code never changes meaning.

use crate::diagnostic::Code;

/// A row lacks a fact that it must have.
pub const MISSING_FACT: Code = Code::error(401);
/// The text is not TOML.
pub const NOT_TOML: Code = Code::error(402);
/// A table or a field that no catalog has.
pub const UNKNOWN_FIELD: Code = Code::error(403);
/// Two rows answer to one name.
pub const DUPLICATE: Code = Code::error(404);
/// A price below zero, or a zero that nobody vouches for.
pub const PRICE: Code = Code::error(405);
/// A value of the wrong kind: another unit, another type, out of range.
pub const VALUE: Code = Code::error(406);
/// A name that refers to no row.
pub const UNKNOWN_NAME: Code = Code::error(407);
/// A row without source or date.
pub const NO_SOURCE: Code = Code::error(408);

/// What `capstan explain` says: code, title, explanation.
pub const ENTRIES: [(Code, &str, &str); 8] = [
    (
        MISSING_FACT,
        "a row of a catalog lacks a fact",
        "A new row must have every fact that planning needs. A row that \
        changes a built-in one has only `id`, what it changes, `source` and `as_of`.",
    ),
    (NOT_TOML, "a catalog that is not TOML", "The place given is where reading stopped."),
    (
        UNKNOWN_FIELD,
        "a catalog has no such field",
        "Unknown fields are refused, because a misspelt fact that is \
        ignored would be planned without.",
    ),
    (
        DUPLICATE,
        "two rows of a catalog answer to one name",
        "Within the files that are read together each identifier \
        and each name stands once. A file given with `use` changes built-in rows by their identifier.",
    ),
    (
        PRICE,
        "a price that cannot be",
        "Prices are never negative. What is not known is written `\"unknown\"`, not 0; \
        what is truly free needs its own `source` beside the price.",
    ),
    (
        VALUE,
        "a value of the wrong kind in a catalog",
        "Facts with a dimension are strings with a unit, such as \
        `memory = \"141 GB\"`; counts and shares are plain numbers.",
    ),
    (
        UNKNOWN_NAME,
        "a catalog refers to a row that is not there",
        "Prices refer to shapes, shapes to accelerators, and \
        `from` to a table under `sources`.",
    ),
    (
        NO_SOURCE,
        "a row of a catalog without source or date",
        "Every fact and price carries where it was read and when \
        it held: `source` and `as_of`, in the row or in the table that `from` names.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_explained_once() {
        let mut codes: Vec<Code> = ENTRIES.iter().map(|entry| entry.0).collect();
        codes.dedup();
        assert_eq!(codes.len(), ENTRIES.len());
        assert!(codes.is_sorted());
    }
}
