//! The text form of an explanation, for people.

use crate::paint::{Paint, Style};
use switchyard_xds::explain::{
    Asked, Changed, Choice, Chosen, Explanation, Fault, Link, Mirror, Outcome, Part, Place, Route, Says,
    Setting, Upstream,
};

/// A printer of an explanation's lines.
struct Printer<'a> {
    policies: &'a [Part],
    paint: Paint,
    text: String,
}

/// Formats an explanation.
pub(super) fn of(explanation: &Explanation, paint: Paint) -> String {
    let Explanation {
        request,
        chain,
        policies,
        timeout,
        retry,
        mirrors,
        assumed,
        answer,
        outcome,
    } = explanation;
    let mut printer = Printer {
        policies,
        paint,
        text: String::new(),
    };
    printer.request(request);
    for (depth, link) in chain.iter().enumerate() {
        printer.link(link, depth);
    }
    printer.setting("timeout", timeout.as_ref());
    printer.setting("retry", retry.as_ref());
    mirrors.iter().for_each(|mirror| printer.mirror(mirror));
    for assumed in assumed {
        printer.line(
            0,
            &paint.text(Style::Note, format_args!("assumed: {assumed}")),
            None,
        );
    }
    printer.outcome(outcome);
    printer.headers("response headers", answer);
    printer.text
}

// === impl Printer ===

impl Printer<'_> {
    /// Prints a line, with its place if there is one.
    fn line(&mut self, depth: usize, said: &str, place: Option<&Place>) {
        let indent = "  ".repeat(depth);
        let place = place.and_then(where_it_stands);
        let place = place.map(|place| format!("  {}", self.paint.text(Style::Faint, place)));
        self.text
            .push_str(&format!("{indent}{said}{}\n", place.unwrap_or_default()));
    }

    fn request(
        &mut self,
        Asked {
            method,
            scheme,
            authority,
            path,
            client_ip,
            // Printed in JSON only: for programs, and to look into Envoy.
            route_configuration: _,
        }: &Asked,
    ) {
        self.line(
            0,
            &format!("{method} {scheme}://{authority}{path} from {client_ip}"),
            None,
        );
    }

    /// Prints a link of the delegation chain, indented by two steps more than its parent, since the route is in
    /// between.
    fn link(
        &mut self,
        Link {
            ingress_route,
            place,
            chosen,
            route,
        }: &Link,
        depth: usize,
    ) {
        let depth = 2 * depth;
        let said = match chosen {
            None => ingress_route.clone(),
            Some(chosen) => format!("* {ingress_route} {}", self.why(chosen)),
        };
        self.line(depth, &said, Some(place));
        self.level(&format!("{ingress_route} virtualhost"), "virtualhost", depth + 1);
        let Some(Route {
            prefix,
            place,
            rewrite,
            delegates,
        }) = route
        else {
            return;
        };
        let rewritten = rewrite.as_ref().map(|to| match delegates {
            true => format!(" (as {to})"),
            false => format!(" (rewritten to {to})"),
        });
        self.line(
            depth + 1,
            &format!("{prefix}{}", rewritten.unwrap_or_default()),
            Some(place),
        );
        self.parts(&format!("{ingress_route} route {prefix}"), depth + 2);
    }

    /// Prints a level, if it has policies.
    fn level(&mut self, level: &str, called: &str, depth: usize) {
        if self.policies.iter().any(|part| part.level == level) {
            self.line(depth, called, None);
            self.parts(level, depth + 1);
        }
    }

    fn parts(&mut self, level: &str, depth: usize) {
        for part in self.policies.iter().filter(|part| part.level == level) {
            self.part(part, depth);
        }
    }

    fn part(
        &mut self,
        Part {
            level: _,
            part,
            place,
            what,
            says,
            why,
        }: &Part,
        depth: usize,
    ) {
        let (word, style) = match says {
            Says::Passes => ("passes", Style::Good),
            Says::Refuses => ("refuses", Style::Bad),
            Says::WouldRefuse => ("would refuse", Style::Note),
            Says::Counts => ("counts", Style::Good),
            Says::Asks => ("asks", Style::Note),
            Says::Applies => ("applies", Style::Good),
            Says::IsForOthers => ("for others", Style::Faint),
            Says::Overruled => ("overruled", Style::Faint),
            Says::NotReached => ("not reached", Style::Faint),
        };
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let says = self.paint.text(style, format_args!("({word}{why})"));
        self.line(depth, &format!("{part} {what} {says}"), Some(place));
    }

    fn why(
        &self,
        Chosen {
            by,
            name,
            percent,
            others,
            without_effect,
        }: &Chosen,
    ) -> String {
        let name = name.as_deref().unwrap_or_default();
        let (said, style) = match by {
            Choice::Active => ("active".to_owned(), Style::Good),
            Choice::Preview => (format!("preview, by the header {name}"), Style::Note),
            Choice::Session => (format!("session, by the cookie {name}"), Style::Note),
            Choice::Canary => ("canary".to_owned(), Style::Note),
        };
        let share = percent.filter(|percent| *percent < 100);
        let share = share.map(|percent| format!(" ({percent} % of new sessions)"));
        let others = match &**others {
            [] => String::new(),
            others => format!(", not {}", others.join(", ")),
        };
        let idle = match &**without_effect {
            [] => String::new(),
            fields => format!("; no effect while their branch is active: {}", fields.join(", ")),
        };
        let rest = self.paint.text(Style::Faint, others + &idle);
        format!(
            "{}{}{rest}",
            self.paint.text(style, said),
            share.unwrap_or_default()
        )
    }

    fn setting(&mut self, name: &str, setting: Option<&Setting>) {
        let Some(Setting { value, place }) = setting else {
            return;
        };
        let own = if place.is_none() { " (Envoy's own)" } else { "" };
        let place = place.as_ref();
        self.line(0, &format!("{name} {value}{own}"), place);
    }

    fn mirror(
        &mut self,
        Mirror {
            service,
            port,
            percent,
            place,
        }: &Mirror,
    ) {
        self.line(0, &format!("mirror {percent} % to {service}/{port}"), Some(place));
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let style = if outcome.is_good() {
            Style::Good
        } else {
            Style::Bad
        };
        let (said, place, faults) = in_the_end(outcome);
        let said = self.paint.text(style, said);
        self.line(0, &format!("-> {said}"), place);
        if let Outcome::Forward { headers, .. } = outcome {
            self.headers("headers", headers);
        }
        for Fault { place, message } in faults {
            let Place {
                ingress_route, field, ..
            } = place;
            let said = self
                .paint
                .text(Style::Bad, format_args!("{ingress_route} {field}: {message}"));
            let in_file = Some(place).filter(|place| place.file.is_some());
            self.line(1, &said, in_file);
        }
    }

    fn headers(&mut self, whose: &str, Changed { set, removed }: &Changed) {
        for (verb, names) in [("set", set), ("removed", removed)] {
            if !names.is_empty() {
                self.line(1, &format!("{whose} {verb}: {}", names.join(", ")), None);
            }
        }
    }
}

/// The last line, its place, and further errors.
fn in_the_end(outcome: &Outcome) -> (String, Option<&Place>, &[Fault]) {
    let alone = |said| (said, None, &[][..]);
    match outcome {
        Outcome::Forward { upstreams, path, .. } => alone(format!("{}, path {path}", shares(upstreams))),
        Outcome::Respond { status, why, faults } => {
            let (place, faults) = beside(why, faults);
            (format!("{status}: {why}"), place, faults)
        }
        Outcome::Refuse {
            status,
            why,
            level,
            part,
            place,
        } => (format!("{status}: {level} {part}: {why}"), Some(place), &[][..]),
        Outcome::Preflight { status } => alone(format!("{status}: preflight allowed")),
        Outcome::Redirect { status, location } => alone(format!("{status} to {location}")),
        Outcome::Proxy { upstreams, decrypts } => {
            let how = if *decrypts { "decrypted" } else { "as they are" };
            alone(format!(
                "the bytes of the connection to {}, {how}",
                shares(upstreams)
            ))
        }
        Outcome::Close { why, faults } => (format!("the connection is closed: {why}"), None, faults),
    }
}

/// Leaves out an error that is the reason itself, which is not printed twice.
fn beside<'f>(why: &str, faults: &'f [Fault]) -> (Option<&'f Place>, &'f [Fault]) {
    match faults {
        [only] if only.message == why => (Some(&only.place), &[]),
        faults => (None, faults),
    }
}

/// The line of a file, or else the field of an IngressRoute; `None` for a whole IngressRoute without a file.
fn where_it_stands(place: &Place) -> Option<String> {
    let Place {
        ingress_route,
        field,
        file,
        line,
    } = place;
    match (file, line) {
        (Some(file), Some(line)) => Some(format!("{file}:{line}")),
        _ if field.is_empty() => None,
        _ => Some(format!("{ingress_route} {field}")),
    }
}

fn shares(upstreams: &[Upstream]) -> String {
    let total: u64 = upstreams.iter().map(|upstream| u64::from(upstream.weight)).sum();
    let share = |upstream: &Upstream| {
        let Upstream {
            cluster: _,
            service,
            port,
            weight,
            endpoints,
        } = upstream;
        let share = (upstreams.len() > 1).then(|| format!(" ({weight}/{total})"));
        let none = (*endpoints == Some(0)).then_some(" (no endpoint is ready)");
        format!(
            "{service}/{port}{}{}",
            share.unwrap_or_default(),
            none.unwrap_or_default()
        )
    };
    upstreams.iter().map(share).collect::<Vec<_>>().join(", ")
}
