//! What is known, with the user's own catalogs read over the built-in one.

use crate::builtin;
use crate::exit::Exit;
use crate::files::{Files, Here, TEXT_LIMIT};
use crate::render::{self, Sources};
use crate::session::Session;
use capstan_lang::{Diagnostic, catalog::load_over, codes};
use capstan_types::catalog::Catalog;
use capstan_types::place::{FileId, Place, Span};

/// Reads catalogs from where the user names them. What cannot be read is a mistake among the others.
pub fn read(paths: &[String]) -> (Catalog, Vec<Diagnostic>, Sources) {
    let mut mistakes = Vec::new();
    let mut sources = Sources::new();
    let mut texts = Vec::new();
    for path in paths {
        match Here.read(path, TEXT_LIMIT).map_err(|error| error.to_string()).and_then(text) {
            Ok(text) => {
                sources.insert(path.clone(), text.clone());
                texts.push((path.as_str(), text));
            }
            Err(why) => mistakes.push(unreadable(start(path), path, &why)),
        }
    }
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (catalog, found) = load_over(builtin::catalog(), &files);
    mistakes.extend(found);
    (catalog, mistakes, sources)
}

/// Returns bytes as text, or why they are none.
pub fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
}

/// Returns the first place of a file, for what concerns all of it.
pub fn start(path: &str) -> Place {
    Span::new(0, 0).in_file(&FileId::new(path))
}

/// Returns the mistake that a file cannot be read.
pub fn unreadable(place: Place, path: &str, why: &str) -> Diagnostic {
    Diagnostic::error(codes::UNREADABLE_FILE, place, format!("cannot read `{path}`: {why}"))
}

/// Reads catalogs over the built-in one; tells their mistakes and returns the exit code where there are any.
pub fn over_built_in(paths: &[String], session: &Session) -> Result<Catalog, Exit> {
    let (catalog, mistakes, sources) = read(paths);
    session.say(&render::diagnostics(&mistakes, &sources));
    let wrong = mistakes.iter().any(Diagnostic::is_error);
    if wrong { Err(Exit::Failed) } else { Ok(catalog) }
}
