//! The paper that is signed, as `report --output pdf:FILE` writes it; without the feature `pdf`, what is said instead.

use crate::surroundings::Place;
use capstan_types::testing::blueprint::chat_blueprint;

#[cfg(not(feature = "pdf"))]
#[test]
fn a_build_without_the_typesetter_says_which_build_has_it() {
    let place = Place::new();
    place.write_blueprint("b.json", &chat_blueprint());
    let seen = place.run(&["report", "b.json", "--output", "pdf:b.pdf", "--output", "html:b.html"]).exits(1);
    assert!(seen.err.contains("cargo install --path ."), "{}", seen.told());
    assert_eq!(place.names(), ["b.json"]);
}

#[cfg(feature = "pdf")]
mod with_the_typesetter {
    use super::*;
    use std::fs;

    #[test]
    fn a_paper_is_written_whole_and_the_same_each_time() {
        let place = Place::new();
        place.write_blueprint("b.json", &chat_blueprint());
        place.run(&["report", "b.json", "--output", "pdf:b.pdf", "--output", "pdf:c.pdf"]).exits(0);
        let [one, two] = ["b.pdf", "c.pdf"].map(|name| fs::read(place.path(name)).unwrap());
        assert!(one.starts_with(b"%PDF-") && one.trim_ascii_end().ends_with(b"%%EOF"));
        assert!(one == two);
        let seen = place.run(&["report", "b.json", "--output", "pdf"]).exits(64);
        assert!(seen.err.contains("pdf:NAME"), "{}", seen.told());
    }

    #[test]
    fn letters_without_a_font_are_warned_of_and_the_paper_is_written() {
        let place = Place::new();
        let mut blueprint = chat_blueprint();
        blueprint.inputs.spec.name = "rack \u{10fffd}".to_owned();
        place.write_blueprint("b.json", &blueprint);
        let seen = place.run(&["report", "b.json", "--output", "pdf:b.pdf"]).exits(0);
        assert!(seen.err.contains("no font on this system has \u{10fffd}"), "{}", seen.told());
        assert!(fs::read(place.path("b.pdf")).unwrap().starts_with(b"%PDF-"));
    }
}
