//! Which numbers of a page say nothing of where they come from? For tests of the report as HTML.

/// Returns the cells of numbers and the figures at the top that hold a digit and say nothing.
pub fn silent_numbers(page: &str) -> Vec<String> {
    let is_number =
        |rest: &&str| rest.split_once('"').is_some_and(|(class, _)| class.split(' ').any(|one| one == "n"));
    let cells = page.split("<td class=\"").skip(1).filter(is_number);
    let cells = cells.map(|rest| rest.split("</td>").next().unwrap_or(""));
    let figures = page.split("<dd").skip(1).map(|rest| rest.split("</dd>").next().unwrap_or(""));
    let is_silent = |rest: &&str| {
        let (head, text) = rest.split_once('>').unwrap_or(("", rest));
        text.chars().any(|c| c.is_ascii_digit()) && !head.contains(" aria-description=\"")
    };
    cells.chain(figures).filter(is_silent).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_word_is_found() {
        let page = "<td class=\"plain n\">1</td><td class=\"bad n\" tabindex=\"0\" aria-description=\"x\">2</td>\
                    <td class=\"plain\">h100</td><td class=\"plain n\">\u{2013}</td><dd>3</dd>";
        assert_eq!(silent_numbers(page), ["plain n\">1", ">3"]);
    }
}
