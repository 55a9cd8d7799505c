//! Which modules do the patterns of a quantisation leave out?
//!
//! Patterns are names, names with `*`, or regular expressions after `re:`, of which those that published checkpoints use
//! are read: `.*`, `\.` and one choice in brackets.

/// Patterns that begin at the layers, each with the layer that it names, if any.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    all: Vec<(Option<u32>, String)>,
}

impl Patterns {
    /// Adds a pattern as a checkpoint spells it.
    pub fn add(&mut self, text: &str) {
        match text.strip_prefix("re:") {
            Some(expression) => plain(expression).into_iter().for_each(|text| self.push(&text)),
            None => self.push(text),
        }
    }

    fn push(&mut self, text: &str) {
        // What stands before the layers differs between checkpoints of one model.
        let own = text.find("layers.").map_or(text, |at| &text[at + "layers.".len()..]);
        let layer = (own.len() < text.len()).then(|| own.split(['.', '*']).next()?.parse().ok()).flatten();
        let rest = match layer {
            Some(_) => own.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('.'),
            None => own.strip_prefix("*.").unwrap_or(own),
        };
        self.all.push((layer, rest.to_owned()));
    }

    /// Says whether more than half of the layers have one of these modules left out.
    pub fn cover(&self, modules: &[&str], layers: u32) -> bool {
        let out = |module: &&str, layer: u32| {
            let here = self.all.iter().filter(|(own, _)| own.is_none_or(|own| own == layer));
            here.into_iter().any(|(_, pattern)| within(pattern, module))
        };
        let covered = (0..layers).filter(|&layer| modules.iter().any(|module| out(module, layer))).count();
        covered * 2 > layers as usize
    }
}

/// Says whether a pattern names a module, or one of those that it is part of.
///
/// `mlp.gate` names `mlp.gate` and `mlp.gate.x`, but not `mlp.gate_proj`. An empty pattern names a whole layer.
fn within(pattern: &str, module: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let starts = std::iter::once(0).chain(module.match_indices('.').map(|(at, _)| at + 1));
    starts.into_iter().any(|start| {
        let rest = &module[start..];
        let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
        ends.into_iter().any(|end| glob(pattern.as_bytes(), &rest.as_bytes()[..end]))
    })
}

/// Matches a text against a pattern in which `*` stands for anything.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Returns the patterns that a simple regular expression stands for.
fn plain(expression: &str) -> Vec<String> {
    let text = expression.trim_start_matches('^').trim_end_matches('$');
    let text = text.replace(".*", "*").replace("\\.", ".");
    match text.split_once('(').and_then(|(head, rest)| Some((head, rest.split_once(')')?))) {
        Some((head, (choices, tail))) => {
            choices.split('|').map(|choice| format!("{head}{choice}{tail}")).collect()
        }
        None => vec![text],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(patterns: &[&str], module: &str) -> bool {
        let mut all = Patterns::default();
        patterns.iter().for_each(|pattern| all.add(pattern));
        all.cover(&[module], 4)
    }

    #[test]
    fn spellings_of_published_checkpoints_are_read() {
        assert!(covers(&["model.layers.*.self_attn"], "self_attn.q_proj"));
        assert!(covers(&["re:.*self_attn.*"], "self_attn.q_proj"));
        assert!(covers(&["re:.*mlp\\.(gate|up|down)_proj.*"], "mlp.up_proj"));
        assert!(covers(&["*.attn.*"], "attn.wq_b"));
        assert!(!covers(&["re:.*mlp\\.(gate|up|down)_proj.*"], "mlp.experts.0.up_proj"));
        let each = ["model.layers.0.mlp.gate", "model.layers.1.mlp.gate", "model.layers.2.mlp.gate"];
        assert!(!covers(&each, "mlp.gate_proj"));
        assert!(covers(&each, "mlp.gate"));
    }

    #[test]
    fn a_part_is_left_out_where_most_of_its_layers_are() {
        let three = ["a.layers.0.self_attn*", "a.layers.1.self_attn*", "a.layers.2.self_attn*"];
        assert!(covers(&three, "self_attn.o_proj"));
        assert!(!covers(&three[..2], "self_attn.o_proj"));
        assert!(covers(&["a.layers.0*", "a.layers.1.*", "a.layers.3.*"], "self_attn.o_proj"));
        assert!(!covers(&["model.layers.61*", "lm_head", "*lm_head"], "mlp.up_proj"));
    }
}
