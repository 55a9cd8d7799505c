//! Which fonts of this system have the letters that the built-in ones lack?
//!
//! Only letters decide: a plan in Latin letters looks the same on every machine, whatever is installed there.

use crate::session::Session;
use std::collections::BTreeSet;

/// Most files that are taken: each covers letters that those before it lack.
const MOST: usize = 8;

/// Most letters that a warning names.
const NAMED: usize = 12;

/// Returns files of fonts that have these letters, and the letters that no font here has.
fn of_system(letters: &BTreeSet<char>) -> (Vec<Vec<u8>>, BTreeSet<char>) {
    let mut system = fontdb::Database::new();
    system.load_system_fonts();
    let mut missing = letters.clone();
    let mut files = Vec::new();
    while !missing.is_empty() && files.len() < MOST {
        let covered = |face: &fontdb::FaceInfo| {
            let count = |data: &[u8], index| covers(data, index, &missing);
            system.with_face_data(face.id, count).unwrap_or_default()
        };
        // Most letters first, then the upright and regular one, then by name: the same on every run.
        let best = system
            .faces()
            .map(|face| {
                let plain = face.style == fontdb::Style::Normal && face.weight == fontdb::Weight::NORMAL;
                (std::cmp::Reverse(covered(face).len()), !plain, &face.post_script_name, face)
            })
            .min_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)));
        let Some((_, _, _, face)) = best else { break };
        let found = covered(face);
        let file = system.with_face_data(face.id, |data, _| data.to_vec());
        let (false, Some(file)) = (found.is_empty(), file) else { break };
        missing.retain(|letter| !found.contains(letter));
        files.push(file);
    }
    (files, missing)
}

/// Returns which of these letters a font has.
fn covers(data: &[u8], index: u32, letters: &BTreeSet<char>) -> BTreeSet<char> {
    let Ok(face) = ttf_parser::Face::parse(data, index) else { return BTreeSet::new() };
    letters.iter().copied().filter(|letter| face.glyph_index(*letter).is_some()).collect()
}

/// Returns files of fonts for letters that the built-in fonts lack, and warns of those that no font here has.
pub fn wanted(letters: &BTreeSet<char>, session: &Session) -> Vec<Vec<u8>> {
    if letters.is_empty() {
        return Vec::new();
    }
    let (files, missing) = of_system(letters);
    if !missing.is_empty() {
        let named: Vec<String> = missing.iter().take(NAMED).map(char::to_string).collect();
        let more = if missing.len() > NAMED { ", …" } else { "" };
        let packages: BTreeSet<&str> = missing.iter().copied().map(package).collect();
        let packages: Vec<&str> = packages.into_iter().collect();
        session.warn(&format!(
            "no font on this system has {}{more}: the PDF shows boxes there. On Debian and Ubuntu such fonts are in {}",
            named.join(" "),
            packages.join(", ")
        ));
    }
    files
}

/// Returns the package of Debian that has fonts for a letter.
fn package(letter: char) -> &'static str {
    match letter {
        '\u{1100}'..='\u{11ff}'
        | '\u{2e80}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff00}'..='\u{ffef}'
        | '\u{20000}'..='\u{3ffff}' => "fonts-noto-cjk",
        '\u{1f000}'..='\u{1faff}' => "fonts-noto-color-emoji",
        _ => "fonts-noto-core",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_font_can_have_is_missing_and_nothing_is_asked_of_the_system_for_nothing() {
        let letters: BTreeSet<char> = ['\u{10fffd}'].into();
        assert_eq!(of_system(&letters).1, letters);
        assert_eq!(of_system(&BTreeSet::new()).0.len(), 0);
        assert_eq!(package('中'), "fonts-noto-cjk");
        assert_eq!(package('ع'), "fonts-noto-core");
    }
}
