//! The same blueprint in every form: the same numbers, to the cent, also as a spreadsheet computes them and a browser shows
//! them. What needs a program that is not here says so and passes, unless CAPSTAN_REQUIRE asks for it.

mod browser;
mod fixture;
mod numbers;
mod office;
mod sizes;
mod workbook;

use std::path::PathBuf;

/// Returns a program where it is installed; without it a test says what it needs, and fails where `word` is required.
fn program(names: &[&str], word: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var_os("CAPSTAN_REQUIRE").unwrap_or_default();
        assert!(
            !required.to_string_lossy().split(',').any(|one| one == word),
            "{word} is required and not here"
        );
        println!(
            "skipped: needs {}",
            match word {
                "office" => "LibreOffice",
                _ => "Chromium and its driver",
            }
        );
    }
    found
}
