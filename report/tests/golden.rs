//! What people see, to the character.

use capstan_report::{
    Style, diff_document, diff_json, diff_markdown, document, explanation_document, markdown, terminal,
};
use capstan_types::blueprint::{CostKind, Status};
use capstan_types::diff::{
    Amounts, Cause, Change, ChangeKind, CostDelta, Counts, Diff, GroupDelta, Guard, LevelDelta, MachineDelta,
    Share, ShareKind, Side, Value,
};
use capstan_types::explanation::{Explanation, Section};
use capstan_types::money::Currency;
use capstan_types::offering::PurchaseOption;
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

const PLAIN: Style = Style { colour: false, unicode: true };

fn amounts(before: i64, after: i64) -> Amounts {
    Amounts { before: before.into(), after: after.into() }
}

fn side(status: Status) -> Side {
    Side {
        plan: "chat".to_owned(),
        path: "chat.plan".to_owned(),
        status,
        currency: Currency::USD,
        months: 12,
    }
}

fn change(kind: ChangeKind, address: &str, before: Option<Value>, after: Option<Value>) -> Change {
    Change { kind, address: address.to_owned(), before, after }
}

fn a_diff() -> Diff {
    Diff {
        base: side(Status::Feasible),
        head: side(Status::Violated),
        changes: vec![
            change(
                ChangeKind::Status,
                "plan",
                Some(Value::Words("holds".to_owned())),
                Some(Value::Words("does not hold".to_owned())),
            ),
            change(
                ChangeKind::Purchase,
                "use1/aws.p5_48xlarge, on demand",
                Some(Value::Count(3)),
                Some(Value::Count(5)),
            ),
            change(ChangeKind::Purchase, "use1/aws.p5_48xlarge, spot", None, Some(Value::Count(2))),
            change(
                ChangeKind::Training,
                "pretrain",
                Some(Value::Words("24 × own.h100_sxm_8".to_owned())),
                None,
            ),
        ],
        cost: CostDelta {
            total: amounts(5_769_404, 6_081_854),
            per_month: amounts(160_261, 168_940),
            net_present: amounts(5_569_923, 5_871_002),
            capex: amounts(3_170_000, 3_170_000),
            opex: amounts(4_057_604, 4_370_054),
            groups: vec![GroupDelta {
                site: "use1".to_owned(),
                item: "aws.p5_48xlarge".to_owned(),
                option: Some(PurchaseOption::OnDemand),
                kind: CostKind::Opex,
                billed_cost: amounts(776_319, 1_088_769),
            }],
        },
        machines: vec![MachineDelta {
            shape: "aws.p5_48xlarge".to_owned(),
            nodes: Counts { before: 3, after: 7 },
        }],
        levels: vec![LevelDelta {
            level: "chat ttft p99 at use1".to_owned(),
            before_s: Some(0.412),
            after_s: Some(0.492),
            target_s: 0.5,
        }],
        unpriced: Counts { before: 0, after: 1 },
        assumed: Counts { before: 4, after: 4 },
        shares: vec![
            Share { kind: ShareKind::Prices, change: 112_450.into() },
            Share { kind: ShareKind::Demand, change: 200_000.into() },
        ],
        guards: vec![Guard {
            name: "max-increase 5 %".to_owned(),
            holds: false,
            required: true,
            numbers: "+312,450.00 USD".to_owned(),
        }],
        causes: causes(),
    }
}

fn causes() -> Vec<Cause> {
    vec![
        Cause::File {
            role: "plan".to_owned(),
            path: "chat.plan".to_owned(),
            before: Some("a".repeat(64)),
            after: Some("d".repeat(64)),
        },
        Cause::Plan {
            path: "serves.chat.load.peak_requests_per_s".to_owned(),
            before: Some("40.0".to_owned()),
            after: Some("50.0".to_owned()),
        },
        Cause::Price {
            offering: "aws.p5_48xlarge at aws us-east-1, on demand".to_owned(),
            before: Some("55.04".parse().unwrap()),
            after: None,
            currency: Currency::USD,
        },
    ]
}

#[test]
fn the_report_at_eighty_columns() {
    insta::assert_snapshot!(terminal(&document(&chat_blueprint()), 80, PLAIN));
}

#[test]
fn the_report_at_a_hundred_and_twenty_columns() {
    insta::assert_snapshot!(terminal(&document(&chat_blueprint()), 120, PLAIN));
}

#[test]
fn the_report_at_sixty_columns_in_ascii() {
    let style = Style { colour: false, unicode: false };
    insta::assert_snapshot!(terminal(&document(&chat_blueprint()), 60, style));
}

#[test]
fn the_report_as_markdown() {
    insta::assert_snapshot!(markdown(&document(&chat_blueprint())));
}

#[test]
fn no_plan_at_eighty_columns() {
    insta::assert_snapshot!(terminal(&document(&infeasible_blueprint()), 80, PLAIN));
}

#[test]
fn a_plan_that_misses_a_level_says_so_first() {
    let mut blueprint = chat_blueprint();
    blueprint.status = Status::Violated;
    blueprint.verdicts[0].status = capstan_types::blueprint::VerdictStatus::Missed;
    blueprint.audit[0].violations.push("the total is 1.00 USD, the lines say 2.00 USD".to_owned());
    let text = terminal(&document(&blueprint), 80, PLAIN);
    assert!(text.lines().next().unwrap().contains("does NOT hold"), "{text}");
    assert!(
        text.contains("MISSED") && text.contains("WRONG") && text.contains("the lines say 2.00 USD"),
        "{text}"
    );
}

#[test]
fn a_diff_at_eighty_columns() {
    insta::assert_snapshot!(terminal(&diff_document(&a_diff()), 80, PLAIN));
}

#[test]
fn a_diff_as_markdown() {
    insta::assert_snapshot!(diff_markdown(&a_diff()));
}

#[test]
fn a_diff_for_programs() {
    insta::assert_snapshot!(diff_json(&a_diff(), 3));
    let back: Diff = serde_json::from_str(&diff_json(&a_diff(), 3)).unwrap();
    assert_eq!(back, a_diff());
}

#[test]
fn an_empty_diff_says_that_nothing_differs() {
    let same = amounts(1, 1);
    let cost = CostDelta {
        total: same,
        per_month: same,
        net_present: same,
        capex: same,
        opex: same,
        groups: Vec::new(),
    };
    let diff = Diff {
        base: side(Status::Feasible),
        head: side(Status::Feasible),
        changes: Vec::new(),
        cost,
        machines: Vec::new(),
        levels: Vec::new(),
        unpriced: Counts::default(),
        assumed: Counts::default(),
        causes: Vec::new(),
        shares: Vec::new(),
        guards: Vec::new(),
    };
    assert_eq!(
        terminal(&diff_document(&diff), 80, PLAIN),
        "chat: no difference\n  The two blueprints buy, run and cost the same.\n"
    );
    assert!(diff_json(&diff, 0).contains("\"empty\": true"));
}

#[test]
fn an_explanation_at_eighty_columns() {
    let explanation = Explanation {
        title: "chat".to_owned(),
        sections: vec![Section {
            title: "Why `chat` runs so at use1".to_owned(),
            sentences: vec![
                "One replica carries 4.20 req/s (analytic), bounded by ttft p99; then the first token takes 431 ms and every further one 40.2 ms.".to_owned(),
            ],
            facts: vec![("weights".to_owned(), "35.3 GB".to_owned())],
        }],
    };
    insta::assert_snapshot!(terminal(&explanation_document(&explanation), 80, PLAIN));
}
