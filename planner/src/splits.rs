//! Over which accelerators of a machine may one replica be spread?
//!
//! What the plan leaves open is tried: powers of two inside a machine, whole machines as stages beside each other, and, of
//! mixtures of experts, experts dealt out to all ranks or to none and attention divided by heads or by sequences.

use capstan_sim::perf::{Ranks, Reason};
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::NodeShape;
use capstan_types::model::Model;
use capstan_types::spec::{Parallelism, Serve};

/// Most pipeline stages that are tried.
const MOST_STAGES: u32 = 4;

/// What is spread over accelerators.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread<'a> {
    /// The model.
    pub(crate) model: &'a Model,
    /// Its engine.
    pub(crate) engine: &'a Engine,
    /// What is fixed.
    pub(crate) fixed: &'a Parallelism,
    /// The workload, where there is one.
    pub(crate) serve: Option<&'a Serve>,
}

impl Spread<'_> {
    /// Returns the degrees to try inside and across machines, tensor-parallel ranks first.
    pub(crate) fn on_machines(&self, shapes: &[&NodeShape]) -> Vec<Degrees> {
        let largest = shapes.iter().map(|shape| shape.accelerators).max().unwrap_or(0);
        let mut found = self.within(largest);
        found.retain(|&degrees| shapes.iter().any(|shape| layout(degrees, shape).is_some()));
        found
    }

    /// Says why no degrees that the plan leaves lie on a machine, if none do: by which factor it has too few accelerators, and
    /// in words.
    pub(crate) fn too_wide(&self, shape: &NodeShape) -> Option<(f64, String)> {
        let there = shape.accelerators;
        let tried = self.within(there);
        if tried.is_empty() || tried.iter().any(|&degrees| layout(degrees, shape).is_some()) {
            return None;
        }
        let least = tried.iter().copied().min_by_key(|degrees| degrees.accelerators())?;
        let (stage, needed) = (least.of_stage(), least.accelerators());
        let wide = if least.data > 1 { "`tensor` × `data`" } else { "`tensor`" };
        let has = format!("it has {there} accelerator{}", if there == 1 { "" } else { "s" });
        Some(if stage > there {
            let excess = f64::from(stage) / f64::from(there.max(1));
            (excess, format!("{has}, not {stage}, and {wide} does not span machines: {there} at most"))
        } else {
            let excess = f64::from(needed) / f64::from(there.max(1));
            let words = least.words();
            (excess, format!("{has}, and over machines each stage of {words} must fill one"))
        })
    }

    /// Returns the degrees to try with up to `largest` accelerators in a stage.
    pub(crate) fn within(&self, largest: u32) -> Vec<Degrees> {
        let fixed = self.fixed;
        let mixture = self.model.experts.is_some();
        let degrees =
            |fixed: Option<u32>, most| fixed.map_or_else(|| powers_up_to(most), |degree| vec![degree]);
        let stages = degrees(fixed.pipeline, MOST_STAGES);
        let groups = degrees(fixed.data, if mixture { largest } else { 1 });
        let mut found = Vec::new();
        for tensor in degrees(fixed.tensor, largest) {
            for &data in &groups {
                let ranks = tensor.saturating_mul(data);
                let all_or_none = if mixture && ranks > 1 { vec![1, ranks] } else { vec![1] };
                let experts = fixed.expert.map_or(all_or_none, |expert| vec![expert]);
                for &pipeline in &stages {
                    found.extend(experts.iter().map(|&expert| Degrees { tensor, pipeline, data, expert }));
                }
            }
        }
        let asked = fixed.data.is_some() || fixed.expert.is_some();
        found.retain(|&degrees| asked || self.is_usual(degrees));
        found
    }

    /// Says whether degrees are tried without being asked for.
    fn is_usual(&self, degrees: Degrees) -> bool {
        let by_both = degrees.tensor > 1 && degrees.data > 1 && self.fixed.tensor.is_none();
        !by_both && self.why_not(degrees).is_none()
    }

    /// Returns the ranks of a replica that is spread so.
    ///
    /// # Errors
    /// Why it is not run.
    pub(crate) fn ranks(&self, degrees: Degrees) -> Result<Ranks, Reason> {
        match (self.why_not(degrees), Ranks::with(degrees)) {
            (None, Some(ranks)) => Ok(ranks),
            (why, _) => Err(Reason::SplitNotRun { why: why.unwrap_or(UNEVEN) }),
        }
    }

    /// Returns why nothing is run with these degrees.
    fn why_not(&self, degrees: Degrees) -> Option<&'static str> {
        let Degrees { data, expert, pipeline, .. } = degrees;
        if degrees.is_plain() {
            return None;
        }
        let all_or_none = |degree: u32| degree == 1 || degree == degrees.of_stage();
        let asks = |of: fn(&Serve) -> bool| data > 1 && self.serve.is_some_and(of);
        let rules = [
            (self.model.experts.is_none(), "the model has no experts to deal out; copies of it are replicas"),
            (degrees.of_each_expert().is_none(), UNEVEN),
            (
                data > 1 && pipeline > 1,
                "groups with their own sequences are not simulated over several stages",
            ),
            (asks(|serve| serve.speculative.is_some()), "drafted tokens are not simulated with such groups"),
            (
                asks(|serve| serve.background.is_some()),
                "requests that yield are not simulated with such groups",
            ),
            (
                asks(|serve| serve.prefix_caching.is_some()),
                "each group has a cache of its own, and which group finds which beginning is not simulated",
            ),
        ];
        let broken = rules.iter().find(|(broken, _)| *broken).map(|(_, why)| *why);
        broken.or_else(|| match self.engine.family {
            EngineFamily::Vllm if !all_or_none(expert) => {
                Some("vLLM deals experts out to all ranks of a stage or to none")
            }
            EngineFamily::TensorRtLlm if !all_or_none(data) => {
                Some("TensorRT-LLM gives each rank its own sequences or none")
            }
            EngineFamily::Other => Some("nobody knows that this engine deals out experts or sequences"),
            _ => None,
        })
    }
}

const UNEVEN: &str = "ranks with their own experts must divide the ranks of a stage, tensor × data";

fn powers_up_to(most: u32) -> Vec<u32> {
    std::iter::successors(Some(1_u32), |&power| power.checked_mul(2))
        .take_while(|&power| power <= most)
        .collect()
}

/// Returns (replicas per node, nodes per replica) of degrees on a shape, or none where they do not lie well there.
///
/// Inside a node any split that fits; across nodes one stage per node, each of all its accelerators.
pub(crate) fn layout(degrees: Degrees, shape: &NodeShape) -> Option<(u32, u32)> {
    let needed = degrees.accelerators();
    if needed == 0 {
        return None;
    }
    if needed <= shape.accelerators {
        return Some((shape.accelerators / needed, 1));
    }
    let stage = degrees.of_stage() == shape.accelerators && shape.accelerators > 1;
    (stage && degrees.pipeline > 1).then_some((0, degrees.pipeline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::spec::Background;
    use capstan_types::testing;

    fn degrees((tensor, pipeline, data, expert): (u32, u32, u32, u32)) -> Degrees {
        Degrees { tensor, pipeline, data, expert }
    }

    fn mixture() -> Model {
        testing::models().into_iter().find(|model| model.experts.is_some()).expect("a mixture of experts")
    }

    #[test]
    fn experts_are_dealt_out_to_all_or_none_and_attention_is_divided_in_one_way() {
        let engines = testing::engines();
        let vllm = engines.iter().find(|engine| engine.family == EngineFamily::Vllm).expect("vLLM");
        let fixed = Parallelism { pipeline: Some(1), ..Parallelism::default() };
        let spread = Spread { model: &mixture(), engine: vllm, fixed: &fixed, serve: None };
        let tried: Vec<Degrees> = spread.within(4);
        let expected = [
            (1, 1, 1, 1),
            (1, 1, 2, 1),
            (1, 1, 2, 2),
            (1, 1, 4, 1),
            (1, 1, 4, 4),
            (2, 1, 1, 1),
            (2, 1, 1, 2),
            (4, 1, 1, 1),
            (4, 1, 1, 4),
        ];
        assert_eq!(tried, expected.map(degrees));
        let dense =
            testing::models().into_iter().find(|model| model.experts.is_none()).expect("a dense model");
        let spread = Spread { model: &dense, ..spread };
        assert_eq!(spread.within(4), [1, 2, 4].map(|tensor| Degrees::plain(tensor, 1)));
        // What is asked for is tried, so that the answer says why not.
        let asked = Parallelism { data: Some(4), tensor: Some(1), ..fixed };
        let spread = Spread { fixed: &asked, ..spread };
        assert_eq!(spread.within(8), [degrees((1, 1, 4, 1))]);
        let why = spread.ranks(degrees((1, 1, 4, 1))).expect_err("copies are replicas");
        assert!(why.to_string().contains("no experts to deal out"), "{why}");
    }

    #[test]
    fn what_an_engine_or_the_simulator_cannot_do_is_refused_with_its_reason() {
        let engines = testing::engines();
        let family = |family| engines.iter().find(|engine| engine.family == family).expect("an engine");
        let mut serve = testing::blueprint::chat_blueprint().inputs.spec.serves[0].clone();
        let (mixture, fixed) = (mixture(), Parallelism::default());
        let why = |serve: &Serve, engine: EngineFamily, asked| {
            let spread =
                Spread { model: &mixture, engine: family(engine), fixed: &fixed, serve: Some(serve) };
            spread.ranks(degrees(asked)).err().map(|reason| reason.to_string())
        };
        assert_eq!(why(&serve, EngineFamily::Vllm, (2, 1, 2, 4)), None);
        let refused = |serve: &Serve, engine, asked, words: &str| {
            let reason = why(serve, engine, asked).unwrap_or_else(|| panic!("{asked:?} runs"));
            assert!(reason.contains(words), "{asked:?}: {reason}");
        };
        refused(&serve, EngineFamily::Vllm, (4, 1, 1, 2), "all ranks of a stage or to none");
        refused(&serve, EngineFamily::Sglang, (4, 1, 1, 3), "must divide the ranks");
        assert_eq!(why(&serve, EngineFamily::Sglang, (4, 1, 1, 2)), None);
        refused(&serve, EngineFamily::TensorRtLlm, (2, 1, 2, 4), "its own sequences or none");
        refused(&serve, EngineFamily::Vllm, (1, 2, 2, 2), "over several stages");
        serve.background = Some(Background { share: 0.2, queue: None });
        refused(&serve, EngineFamily::Vllm, (1, 1, 4, 4), "requests that yield");
        assert_eq!(why(&serve, EngineFamily::Vllm, (4, 1, 1, 4)), None);
    }

    #[test]
    fn a_machine_that_no_split_lies_on_is_told_why() {
        let engines = testing::engines();
        let dense =
            testing::models().into_iter().find(|model| model.experts.is_none()).expect("a dense model");
        let shapes = testing::catalog().shapes;
        let eight = shapes.iter().find(|shape| shape.accelerators == 8).expect("a machine of eight");
        let why = |tensor, pipeline| {
            let fixed = Parallelism { tensor, pipeline, ..Parallelism::default() };
            Spread { model: &dense, engine: &engines[0], fixed: &fixed, serve: None }.too_wide(eight)
        };
        let (excess, words) = why(Some(16), None).expect("it is wider");
        assert_eq!(excess, 2.0);
        assert!(words.contains("has 8 accelerators, not 16"), "{words}");
        let (_, words) = why(Some(4), Some(4)).expect("stages do not fill machines");
        assert!(words.contains("must fill one"), "{words}");
        assert_eq!((why(Some(8), Some(4)), why(None, None)), (None, None));
    }

    #[test]
    fn a_replica_lies_inside_a_machine_or_fills_whole_ones_with_stages() {
        let shapes = testing::catalog().shapes;
        let eight = shapes.iter().find(|shape| shape.accelerators == 8).expect("a machine of eight");
        assert_eq!(layout(degrees((1, 1, 4, 4)), eight), Some((2, 1)));
        assert_eq!(layout(degrees((8, 2, 1, 8)), eight), Some((0, 2)));
        assert_eq!(layout(degrees((4, 4, 1, 1)), eight), None);
        assert_eq!(layout(degrees((8, 1, 2, 1)), eight), None);
    }
}
