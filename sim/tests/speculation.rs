//! Tokens that are drafted: what a step of them takes, and that its mean is that of drafting them one by one.

use capstan_sim::perf::{Drafter, PreparedStep, Ranks, Setup, Speculation, StepShape};
use capstan_sim::random::Streams;
use capstan_types::hardware::Precision;
use capstan_types::spec::{Draft, Speculative};
use capstan_types::testing;

fn step(model: &str) -> PreparedStep {
    let catalog = testing::catalog();
    let setup = Setup {
        model: catalog.model(model).expect("a model of the fixture"),
        accelerator: catalog.accelerator("h100_sxm").expect("an accelerator of the fixture"),
        engine: catalog.engine("vllm").expect("an engine of the fixture"),
        ranks: Ranks::of(4, 1),
        precision: Precision::Bf16,
        kv_precision: None,
    };
    PreparedStep::prepare(&catalog, &setup).expect("it can be prepared")
}

fn yields(tokens: u32, acceptance: f64) -> f64 {
    Speculative { tokens, acceptance, draft: Draft::Cost { step_share: 0.0 } }.tokens_per_step()
}

fn speculating(tokens: u32, acceptance: f64, drafter: Drafter) -> PreparedStep {
    let yields = yields(tokens, acceptance);
    step("llama3_1_70b").speculating(Speculation { tokens, yields, drafter })
}

const ALONE: fn() -> StepShape = || StepShape::decode(1.0, 2_000.0);

#[test]
fn drafting_pays_while_few_run_and_costs_where_nothing_is_accepted() {
    let plain = step("llama3_1_70b");
    let (none, all) = (speculating(4, 0.0, Drafter::Share(0.0)), speculating(4, 1.0, Drafter::Share(0.0)));
    let ratio = |of: &PreparedStep, shape: &StepShape| of.step_ns(shape) / plain.step_ns(shape);
    // One sequence reads all weights for one token or for five.
    assert!((1.0..1.1).contains(&ratio(&none, &ALONE())), "{}", ratio(&none, &ALONE()));
    assert!((0.2..0.22).contains(&ratio(&all, &ALONE())), "{}", ratio(&all, &ALONE()));
    // With many, verification is arithmetic, and what is rejected was paid for.
    let crowd = StepShape::decode(512.0, 512.0 * 2_000.0);
    assert!(ratio(&none, &crowd) > 1.5 && ratio(&all, &crowd) > 1.5 * ratio(&all, &ALONE()));
}

#[test]
fn a_draft_model_and_a_share_of_a_step_cost_what_they_say() {
    let (plain, small) = (step("llama3_1_70b"), step("llama3_1_8b"));
    let free = speculating(3, 0.7, Drafter::Share(0.0)).step_ns(&ALONE());
    let share = speculating(3, 0.7, Drafter::Share(0.1)).step_ns(&ALONE());
    let model = speculating(3, 0.7, Drafter::Model(Box::new(small.clone()))).step_ns(&ALONE());
    let each = |ns: f64| (ns - free) * yields(3, 0.7) / 3.0;
    assert!((each(share) / (0.1 * plain.step_ns(&ALONE())) - 1.0).abs() < 1e-9);
    assert!((each(model) / small.step_ns(&ALONE()) - 1.0).abs() < 1e-9);
}

#[test]
fn prompts_are_read_once_and_by_the_draft_model_too() {
    let (plain, small) = (step("llama3_1_70b"), step("llama3_1_8b"));
    let prompt = StepShape::default().with_chunk(1_000.0, 0.0, true);
    let both = speculating(4, 0.8, Drafter::Model(Box::new(small.clone())));
    assert!((both.step_ns(&prompt) / (plain.step_ns(&prompt) + small.step_ns(&prompt)) - 1.0).abs() < 1e-9);
    let free = speculating(4, 0.8, Drafter::Share(0.0));
    let mixed = ALONE().with_chunk(1_000.0, 0.0, true);
    let more = free.step_ns(&mixed) - free.step_ns(&ALONE());
    let usual = plain.step_ns(&mixed) - plain.step_ns(&ALONE());
    assert!((more / usual - 1.0).abs() < 0.05, "{more} {usual}");
}

/// The twin: each request alone, step by step, with as many tokens accepted as are drawn.
#[test]
fn the_mean_over_requests_is_that_of_tokens_drawn_one_by_one() {
    let (tokens, acceptance, output) = (4_u32, 0.7, 400_u32);
    let plain = step("llama3_1_70b");
    let mut draws = Streams::new(1).stream("acceptance");
    let (mut seen, runs) = (0.0, 400);
    for _ in 0..runs {
        let (mut written, mut kv) = (0_u32, 1_000.0);
        while written < output {
            let verified = StepShape { drafted: f64::from(tokens), ..StepShape::decode(1.0, kv) };
            seen += plain.step_ns(&verified);
            let accepted = (0..tokens).take_while(|_| draws.uniform() < acceptance).count() as u32;
            written += accepted + 1;
            kv += f64::from(accepted + 1);
        }
    }
    let fluid = speculating(tokens, acceptance, Drafter::Share(0.0));
    let expect: f64 =
        (0..output).map(|token| fluid.step_ns(&StepShape::decode(1.0, 1_000.0 + f64::from(token)))).sum();
    // What the last step of a request yields beyond its end is half a step in 144.
    let ratio = seen / f64::from(runs) / expect;
    assert!((0.995..1.015).contains(&ratio), "{ratio}");
}
