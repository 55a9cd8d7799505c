//! Over how many accelerators is one replica of a model spread, and in which ways?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Steps for which TensorRT-LLM holds prompts back at most until each group of ranks with its own sequences has one:
/// `timeout_iters` of published launch scripts, from memory. It is simulated, and told to the engine.
pub const LONGEST_HOLD: u32 = 60;

/// Degrees of parallelism of one replica that serves. Invariant of a sound one: `expert` divides `tensor · data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Degrees {
    /// Ranks that split every layer.
    pub tensor: u32,
    /// Stages that split the layers.
    pub pipeline: u32,
    /// Groups of tensor-parallel ranks that each have their own sequences, and share the experts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub data: u32,
    /// Groups of ranks that each have their own experts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub expert: u32,
}

impl Degrees {
    /// Returns stages in which every layer is split by the same ranks.
    pub const fn plain(tensor: u32, pipeline: u32) -> Self {
        Self { tensor, pipeline, data: 1, expert: 1 }
    }

    /// Says whether every layer is split by the same ranks, with nothing dealt out to groups of them.
    pub const fn is_plain(self) -> bool {
        self.data == 1 && self.expert == 1
    }

    /// Returns the ranks of one stage.
    pub const fn of_stage(self) -> u32 {
        self.tensor.saturating_mul(self.data)
    }

    /// Returns the accelerators of one replica.
    pub const fn accelerators(self) -> u32 {
        self.of_stage().saturating_mul(self.pipeline)
    }

    /// Returns the ranks that hold a part of each sequence: those of one group, in all stages.
    pub const fn of_sequence(self) -> u32 {
        self.tensor.saturating_mul(self.pipeline)
    }

    /// Returns the ranks that split each expert; none where the experts' ranks do not divide those of a stage.
    pub fn of_each_expert(self) -> Option<u32> {
        let divides = self.expert > 0 && self.of_stage().is_multiple_of(self.expert);
        divides.then(|| self.of_stage() / self.expert)
    }

    /// Reads what [`Degrees::product`] writes; none of what is no sound split.
    pub fn of_product(text: &str) -> Option<Self> {
        let count = |text: &str| text.parse::<u32>().ok().filter(|count| *count > 0);
        let counts: Vec<u32> = text.trim().split('x').map(count).collect::<Option<_>>()?;
        let degrees = match counts[..] {
            [tensor, pipeline] => Self::plain(tensor, pipeline),
            [tensor, pipeline, data, expert] => Self { tensor, pipeline, data, expert },
            _ => return None,
        };
        degrees.of_each_expert().map(|_| degrees)
    }

    /// Returns the degrees as a product, as files write them: `2x1`, or `1x1x8x8` where sequences or experts are dealt out.
    pub fn product(self) -> String {
        let Self { tensor, pipeline, data, expert } = self;
        let dealt = if self.is_plain() { String::new() } else { format!("x{data}x{expert}") };
        format!("{tensor}x{pipeline}{dealt}")
    }

    /// Returns the degrees in words: those that divide something.
    pub fn words(self) -> String {
        let others = [("pp", self.pipeline), ("dp", self.data), ("ep", self.expert)];
        let others = others.iter().filter(|(_, degree)| *degree > 1);
        others
            .fold(format!("tp {}", self.tensor), |words, (name, degree)| format!("{words}, {name} {degree}"))
    }
}

/// The degree of what is not divided, where nothing is written.
pub(crate) fn one() -> u32 {
    1
}

/// Says whether a degree divides nothing, so that it need not be written.
pub(crate) fn is_one(degree: &u32) -> bool {
    *degree == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_is_divided_and_experts_divide_evenly() {
        assert_eq!(Degrees::plain(8, 1).words(), "tp 8");
        let spread = Degrees { tensor: 1, pipeline: 1, data: 8, expert: 8 };
        assert_eq!((spread.words().as_str(), spread.accelerators()), ("tp 1, dp 8, ep 8", 8));
        assert_eq!(spread.of_each_expert(), Some(1));
        assert_eq!(
            (Degrees::plain(8, 2).product(), spread.product()),
            ("8x2".to_owned(), "1x1x8x8".to_owned())
        );
        assert_eq!(["8x2", "1x1x8x8"].map(Degrees::of_product), [Some(Degrees::plain(8, 2)), Some(spread)]);
        assert_eq!(["", "8", "0x1", "2x1x1x3", "1x1x8", "2 x 1", "-1x1"].map(Degrees::of_product), [None; 7]);
        assert_eq!(Degrees { expert: 3, ..spread }.of_each_expert(), None);
        assert_eq!(Degrees { pipeline: 2, expert: 2, ..spread }.accelerators(), 16);
    }

    #[test]
    fn what_is_not_divided_is_not_written_and_comes_back() {
        let plain = serde_json::to_value(Degrees::plain(2, 1)).expect("written");
        assert_eq!(plain, serde_json::json!({ "tensor": 2, "pipeline": 1 }));
        assert_eq!(serde_json::from_value::<Degrees>(plain).expect("read"), Degrees::plain(2, 1));
    }
}
