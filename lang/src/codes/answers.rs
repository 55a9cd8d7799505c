//! Feasibility and what a plan says of itself (E03xx, W03xx), files (E05xx) and what is not planned yet (E0900).

use super::Entry;
use crate::diagnostic::Code;

/// No way to serve meets a limit on latency.
pub const NO_CANDIDATE: Code = Code::error(310);
/// A workload fits on no machine that is allowed.
pub const FITS_NOWHERE: Code = Code::error(311);
/// Its machines cannot be had in the ways allowed.
pub const NOT_TO_BE_HAD: Code = Code::error(312);
/// Limits cannot hold together.
pub const LIMITS_CONFLICT: Code = Code::error(320);
/// A training job cannot end in time.
pub const TOO_LATE: Code = Code::error(330);
/// A service level does not hold in simulation.
pub const LEVEL_MISSED: Code = Code::error(340);
/// A rule of a budget does not hold.
pub const RULE_BROKEN: Code = Code::error(350);
/// A wish of a budget does not hold.
pub const WISH_UNMET: Code = Code::warning(351);
/// A plan did not settle.
/// A service level that does not hold in a scenario.
pub const SCENARIO_MISSED: Code = Code::warning(341);
/// A plan that did not settle.
pub const UNSETTLED: Code = Code::warning(360);
/// A plan that is not proven to be near the cheapest.
pub const NOT_PROVEN: Code = Code::warning(361);
/// A checkpoint that its machines cannot hold at once.
pub const HOSTS_TOO_SMALL: Code = Code::warning(362);
/// A deadline that holds as predicted and not at the slow end of the interval.
pub const LATE_IF_SLOW: Code = Code::warning(363);
/// Contracts that end after the horizon.
pub const STILL_BOUND: Code = Code::warning(364);
/// A training on machines that may be taken away.
pub const RECLAIMED: Code = Code::warning(365);
/// No network connects the machines of a site.
pub const NOT_TO_BE_WIRED: Code = Code::error(370);
/// Machines and switches draw more than a site may.
pub const SWITCHES_OVER_POWER: Code = Code::error(371);
/// Nobody knows the network ports of a machine.
pub const PORTS_UNKNOWN: Code = Code::warning(372);
/// No storage system keeps what must lie at a site.
pub const NOT_TO_BE_STORED: Code = Code::error(380);
/// A limit of a site is on something that nobody knows of its storage or switches.
pub const FACT_UNKNOWN: Code = Code::error(381);
/// A file that cannot be read.
pub const UNREADABLE_FILE: Code = Code::error(501);
/// Something that is understood and not planned yet.
pub const NOT_PLANNED: Code = Code::error(900);

pub(super) const ENTRIES: [Entry; 22] = [
    Entry {
        code: NO_CANDIDATE,
        title: "no way to serve meets a limit on latency",
        explanation: "Every way to run the workload that is allowed and fits in memory is slower than the \
            limit. The message names the nearest and what its time consists of; loosening the limit, \
            allowing other hardware or more parallelism are the ways out.",
        wrong: Some("serve chat { slo ttft { p99 <= 1 ms } }"),
        right: Some("serve chat { slo ttft { p99 <= 500 ms } }"),
    },
    Entry {
        code: FITS_NOWHERE,
        title: "a workload that fits on no machine that is allowed",
        explanation: "Every machine, precision and split that the plan allows was turned down before speed was asked: memory, heads that do not divide, a context that is too long, a precision that the chip lacks. The finding lists the reasons by number, each with its nearest miss. Allow other accelerators, a lower precision, or more parallelism.",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_TO_BE_HAD,
        title: "a machine that cannot be had in the ways allowed",
        explanation: "There are ways to run the workload, but the machines they need are not sold at the sites and in the ways that `buy` and `site` allow, or nobody knows their price. An unknown price is never taken as free. Allow more ways to buy or more sites, or give prices with `use prices`.",
        wrong: None,
        right: None,
    },
    Entry {
        code: LIMITS_CONFLICT,
        title: "limits that cannot hold together",
        explanation: "No plan keeps all of the limits named. Without any one of them the others can be kept; for each the nearest value that makes the plan possible is given, with what the plan then costs.",
        wrong: None,
        right: None,
    },
    Entry {
        code: TOO_LATE,
        title: "a training job that cannot end in time",
        explanation: "No number of machines that was tried sees all tokens before `finish`, or no month of the plan lies between `start` and `finish`. The finding names the nearest. A later `finish`, fewer `tokens`, faster accelerators or a lower precision are the ways out.",
        wrong: None,
        right: None,
    },
    Entry {
        code: LEVEL_MISSED,
        title: "a service level that does not hold in simulation",
        explanation: "The plan was simulated at the hour that strains its replicas most, and the percentile lies above its limit or too near to tell after the last replication. The planner lowers what it asks of a replica and solves again, a bounded number of times; this is what was left.",
        wrong: None,
        right: None,
    },
    Entry {
        code: SCENARIO_MISSED,
        title: "a plan that does not bear a scenario",
        explanation: "What a scenario lets fail or rise was simulated on the finished plan, and a service level does not hold over the hour, or cannot be told, or the scenario does not go with the plan. It changes nothing in the plan: what must hold is said by service levels, `availability` and `headroom`.",
        wrong: None,
        right: None,
    },
    Entry {
        code: RULE_BROKEN,
        title: "a rule of a budget that does not hold",
        explanation: "A `require` is false for the finished plan, or a number in it is unknown. Both sides are given.",
        wrong: None,
        right: None,
    },
    Entry {
        code: WISH_UNMET,
        title: "a wish of a budget that does not hold",
        explanation: "A `prefer` or `warn` is false for the finished plan. It changes nothing in the plan.",
        wrong: None,
        right: None,
    },
    Entry {
        code: UNSETTLED,
        title: "a plan that did not settle",
        explanation: "Solving and simulating were repeated a bounded number of times, and the last simulation still asked for a change. The finding says which service levels were missed.",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_PROVEN,
        title: "a plan that is not proven to be near the cheapest",
        explanation: "The search ended at its limit. The plan keeps every limit and was simulated, but the lower bound \
            that was proven is far below what it costs: a cheaper plan may exist.",
        wrong: None,
        right: None,
    },
    Entry {
        code: HOSTS_TOO_SMALL,
        title: "a checkpoint that its machines cannot hold at once",
        explanation: "To save its state, a training copies each machine's part from the accelerators into the machine's \
            memory, and once more as it is written. Both together are more than the machine has, so that a program that \
            writes all at once ends with the first checkpoint. Write in stages, or spread the state over more machines.",
        wrong: None,
        right: None,
    },
    Entry {
        code: LATE_IF_SLOW,
        title: "a deadline that holds only as predicted",
        explanation: "The training is done in time if its steps take as long as predicted. At the slow end of the 90 % \
            interval of that prediction it is late. The finding says why the interval is as wide as it is; one step \
            measured on the same machines and given to `capstan calibrate` narrows it.",
        wrong: None,
        right: None,
    },
    Entry {
        code: STILL_BOUND,
        title: "contracts that end after the horizon",
        explanation: "A reservation or a savings plan is paid to the end of its term, also where the plan ends before. What is \
            still to be paid then is counted in full at the end of the horizon, on a line of its own, and the choice between \
            ways of buying knows of it; what the machines could still do then is not counted for them. A longer horizon, \
            a shorter term or paying by the hour are the ways out.",
        wrong: None,
        right: None,
    },
    Entry {
        code: RECLAIMED,
        title: "a training on machines that may be taken away",
        explanation: "A training runs on spot machines. The time that it takes counts failures of machines and what they cost, \
            but not machines that the provider takes back: each such one costs a restart and the work since the last \
            checkpoint, and another machine may not be had at once. The finding says how many are expected, where the \
            rate of such machines is known. Other ways to `buy`, a shorter `checkpoint` interval or a later `finish` are \
            the ways out.",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_TO_BE_WIRED,
        title: "machines that no network of the switches allowed connects",
        explanation: "The machines of an own site have more ports than three tiers of these switches, two for \
            `leaf_spine`, or no switch of the catalog has ports of the rate that is needed. Switches with more ports, \
            several planes or oversubscription are the ways out.",
        wrong: None,
        right: None,
    },
    Entry {
        code: SWITCHES_OVER_POWER,
        title: "switches that take a site above its power",
        explanation: "The machines alone keep the limit on power of the site; with the switches that connect them \
            they do not. Switches are counted after the machines are chosen, at their typical power.",
        wrong: None,
        right: None,
    },
    Entry {
        code: PORTS_UNKNOWN,
        title: "a machine whose network ports nobody knows",
        explanation: "Work spans several machines of an own site, but the catalog does not say what their network \
            ports carry, so switches and cables were not counted.",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_TO_BE_STORED,
        title: "data that no storage keeps",
        explanation: "Storage of an own site is sized for its datasets, the weights and checkpoints of what may run there, \
            and the rates that are asked. No system that the plan allows does that with fewer than a million nodes.",
        wrong: Some("storage s { system = minio_nvme, read >= 900 TB/s }"),
        right: Some("storage s { system = minio_nvme, read >= 90 GB/s }"),
    },
    Entry {
        code: FACT_UNKNOWN,
        title: "a limit on something that nobody knows",
        explanation: "The site has a limit on power or racks, or its storage must open so many files or answer so many \
            random reads, and the catalog does not say what its storage or its switches draw, how high they are or how \
            many they manage. Unknown is not zero, so nobody can say that the limit holds. Name another system or \
            switch, or give the fact in a catalog of your own.",
        wrong: None,
        right: None,
    },
    Entry {
        code: UNREADABLE_FILE,
        title: "a file that cannot be read",
        explanation: "The path in `use`, `huggingface` or `trace` leads nowhere, or outside the folder of the \
            plan file.",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_PLANNED,
        title: "something that is understood and not planned yet",
        explanation: "The field is part of the language, but nothing in the plan would follow from it yet. It \
            is refused rather than ignored: a limit that is silently ignored is worse than none.",
        wrong: None,
        right: None,
    },
];
