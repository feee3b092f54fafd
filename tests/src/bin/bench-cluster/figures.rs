//! The figures of the report and further observations.

use switchyard_tests::report::{Figure, median, quantile};

use crate::{
    Round,
    measure::{APART, CONNECTIONS, EDITS, Edits, Measured, Memory, NEW_HOSTS},
};

pub(crate) fn of(rounds: &[Round]) -> Vec<Figure> {
    let mut figures = toggles(rounds);
    figures.extend([
        failures(rounds),
        endpoint_change(rounds),
        new_host(rounds),
        control_memory(rounds),
        control_cpu(rounds),
        envoy_memory(rounds),
    ]);
    figures
}

// === Times ===

fn toggles(rounds: &[Round]) -> Vec<Figure> {
    let [ours, theirs] = edits(rounds, |measured| &measured.toggles);
    let live = ours.concat();
    let method = format!(
        "{} rounds; in each, Contour 1.33.8 and Switchyard run one after the other, each with one Envoy of 2 workers, on the same API server. It has 1000 \
         hosts with a route, a Service and an EndpointSlice each, and a root that delegates to `blue` or to `green`: as IngressRoutes and as \
         HTTPProxies. {EDITS} times in each round, the delegate is changed by the PATCH that `kubectl patch` sends, {} ms after the last change was \
         live. From the API server's answer until the first answer of the new branch to one client, which asks every 0.5 ms. {}",
        rounds.len(),
        APART.as_millis(),
        told(&live, &theirs.concat()),
    );
    let figure = |name, value, bar, method: &String| Figure::new(name, value, bar, "ms", method.clone());
    vec![
        figure(
            "Toggle accepted to first answer of the new branch, 1,000 routes, median",
            median(&live),
            20.0,
            &method,
        ),
        figure(
            "Toggle accepted to first answer of the new branch, 1,000 routes, 99 %",
            quantile(&live, 0.99),
            80.0,
            &method,
        ),
    ]
}

fn endpoint_change(rounds: &[Round]) -> Figure {
    let [ours, theirs] = edits(rounds, |measured| &measured.moves);
    let [ours_late, theirs_late] = edits(rounds, |measured| &measured.late_moves);
    Figure::new(
        "Endpoint change accepted to first answer of the new pod, 1,000 routes, median, against Contour's",
        ratio(rounds, |measured| median(&measured.moves.live)),
        1.0,
        "x",
        format!(
            "{EDITS} times in each round, before any toggle, the EndpointSlice of one of the hosts is given another pod in the place of its one. Measured as \
             toggles are; the median of the rounds' ratios of medians. {} The same after the toggles (Contour then compares the endpoints of all hosts at each \
             change): {}",
            told(&ours.concat(), &theirs.concat()),
            told(&ours_late.concat(), &theirs_late.concat()),
        ),
    )
}

/// Latencies in milliseconds, as text.
fn told(ours: &[f64], theirs: &[f64]) -> String {
    let [ours, theirs] = [ours, theirs].map(|live| {
        let [median, rare, most] = [median(live), quantile(live, 0.99), quantile(live, 1.0)];
        format!("median {median:.1} ms, 99 % {rare:.1} ms, most {most:.1} ms")
    });
    format!("Switchyard: {ours}. Contour: {theirs}.")
}

fn new_host(rounds: &[Round]) -> Figure {
    let [ours, theirs] = edits(rounds, |measured| &measured.new_hosts);
    let [our_cpu, their_cpu] = medians(rounds, |measured| measured.new_hosts.control_cpu);
    Figure::new(
        "New host accepted to first answer, 1,000 routes, median, against Contour's",
        ratio(rounds, |measured| median(&measured.new_hosts.live)),
        1.0,
        "x",
        format!(
            "{NEW_HOSTS} times in each round, a route of a new host is created. Measured as toggles are; the median of the rounds' ratios of medians. {} \
             Control's CPU for each: Switchyard {our_cpu:.1} ms, Contour {their_cpu:.1} ms.",
            told(&ours.concat(), &theirs.concat()),
        ),
    )
}

fn failures(rounds: &[Round]) -> Figure {
    let of = |of: fn(&Round) -> &Measured| {
        let toggles = rounds.iter().map(|round| &of(round).toggles);
        let [failures, answers] = toggles.fold([0, 0], |[failures, answers], edits| {
            [failures + edits.failures, answers + edits.answers]
        });
        (failures, answers)
    };
    let (failed, all) = of(|round| &round.switchyard);
    let (their_failed, their_all) = of(|round| &round.contour);
    Figure::new(
        "Answers other than 2xx during all toggles, 1,000 routes",
        failed as f64,
        0.0,
        "answers",
        format!(
            "To the client that asks every 0.5 ms, from the first toggle to the last, {} toggles in all. Switchyard: {failed} of {all}. Contour: \
             {their_failed} of {their_all}.",
            EDITS * rounds.len()
        ),
    )
}

// === Costs ===

fn control_memory(rounds: &[Round]) -> Figure {
    let name = "Control's resident memory, 1,000 routes, against Contour's";
    memory(name, 0.25, rounds, |memory| memory.control)
}

fn envoy_memory(rounds: &[Round]) -> Figure {
    let name = "Envoy's resident memory, 1,000 routes, against that of Contour's";
    memory(name, 0.4, rounds, |memory| memory.envoy)
}

fn memory(name: &'static str, bar: f64, rounds: &[Round], of: fn(&Memory) -> f64) -> Figure {
    let [at_rest, after_edits, all_asked]: [fn(&Measured) -> &Memory; 3] = [
        |measured| &measured.at_rest,
        |measured| &measured.after_edits,
        |measured| &measured.all_asked,
    ];
    let ratio = |when: fn(&Measured) -> &Memory| ratio(rounds, |measured| of(when(measured)));
    let told = |when: fn(&Measured) -> &Memory| {
        let [ours, theirs] = medians(rounds, |measured| of(when(measured)));
        format!("{ours:.0} MB against {theirs:.0} MB ({:.3} x)", ratio(when))
    };
    Figure::new(
        name,
        ratio(at_rest).max(ratio(after_edits)),
        bar,
        "x",
        format!(
            "`VmRSS` of the process when nothing goes on. Some time after the start: {}. After all edits: {}. The value is the larger of these ratios, each the \
             median of the rounds. When besides each host was asked for on {CONNECTIONS} connections, so that both workers of Envoy have a connection to \
             each Service: {}.",
            told(at_rest),
            told(after_edits),
            told(all_asked),
        ),
    )
}

fn control_cpu(rounds: &[Round]) -> Figure {
    let [ours, theirs] = medians(rounds, |measured| measured.toggles.control_cpu);
    let [our_moves, their_moves] = medians(rounds, |measured| measured.moves.control_cpu);
    Figure::new(
        "Control's CPU for a toggle, 1,000 routes, against Contour's",
        ratio(rounds, |measured| measured.toggles.control_cpu),
        0.05,
        "x",
        format!(
            "All CPU time of the process (`stat`) from the first toggle to the last, divided by their number: statuses and all that goes on besides are in it. The \
             median of the rounds' ratios. Switchyard: {ours:.2} ms, and {our_moves:.2} ms for an endpoint change. Contour: {theirs:.1} ms, and \
             {their_moves:.1} ms."
        ),
    )
}

// === Rounds ===

/// Milliseconds of each round, for Switchyard and for Contour.
fn edits(rounds: &[Round], of: impl Fn(&Measured) -> &Edits) -> [Vec<Vec<f64>>; 2] {
    let column = |measured: fn(&Round) -> &Measured| {
        let edits = rounds.iter().map(|round| of(measured(round)).live.clone());
        edits.collect()
    };
    [column(|round| &round.switchyard), column(|round| &round.contour)]
}

/// The medians over all rounds, for Switchyard and for Contour.
fn medians(rounds: &[Round], of: impl Fn(&Measured) -> f64) -> [f64; 2] {
    let column = |measured: fn(&Round) -> &Measured| {
        let values: Vec<_> = rounds.iter().map(|round| of(measured(round))).collect();
        median(&values)
    };
    [column(|round| &round.switchyard), column(|round| &round.contour)]
}

/// The median over the rounds of the ratio of Switchyard to Contour.
fn ratio(rounds: &[Round], of: impl Fn(&Measured) -> f64) -> f64 {
    let ratios: Vec<_> = rounds
        .iter()
        .map(|Round { contour, switchyard }| of(switchyard) / of(contour))
        .collect();
    median(&ratios)
}
