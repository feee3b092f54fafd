//! `switchyard check`: everything that is wrong, in a directory with file and line.

use crate::{
    cli::Telling,
    load::{Loaded, load, load_cluster},
    manifests::{Position, Problem, Severity},
    paint::{Paint, Style},
    source::ReadArgs,
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{io, path::Path, process::ExitCode};
use switchyard_core::{Graph, Name, Settings, StatusError, status::State};

/// Checks a directory.
///
/// # Errors
///
/// If it cannot be listed.
pub fn run(dir: &Path, settings: Settings, telling: &Telling) -> Result<ExitCode> {
    let loaded = load(dir, settings)?;
    let mut problems = loaded.problems();
    problems.retain(|problem| namespace(problem).is_none_or(|namespace| telling.covers(namespace)));
    match telling.output.format() {
        None => print!("{}", to_text(&loaded, &problems, Paint::of(&io::stdout()))),
        Some(format) => print!("{}", format.document(&to_json(&problems))),
    }
    let good = !problems.iter().any(Problem::is_error);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Checks a cluster.
///
/// # Errors
///
/// If it cannot be read.
pub async fn run_in_cluster(read: ReadArgs, settings: Settings, telling: Telling) -> Result<ExitCode> {
    let (graph, _) = load_cluster(read, settings).await?;
    let errors: Vec<_> = graph
        .statuses()
        .filter(|(name, _)| telling.covers(&name.namespace))
        .flat_map(|(name, status)| status.errors.iter().map(move |error| (name, error)))
        .collect();
    match telling.output.format() {
        None => print!("{}", errors_to_text(&graph, &errors, Paint::of(&io::stdout()))),
        Some(format) => print!("{}", format.document(&errors_to_json(&errors))),
    }
    Ok(if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn errors_to_text(graph: &Graph, errors: &[(&Name, &StatusError)], paint: Paint) -> String {
    let line = |(name, StatusError { field, message }): &(&Name, &StatusError)| {
        let place = paint.text(Style::Faint, format_args!("IngressRoute {name}"));
        format!(
            "{place}: {}\n",
            paint.text(Style::Bad, format_args!("{field}: {message}"))
        )
    };
    let lines: String = errors.iter().map(line).collect();
    let style = if errors.is_empty() {
        Style::Good
    } else {
        Style::Bad
    };
    let verdict = paint.text(style, count(errors.len(), "error", "errors"));
    let ingress_routes = count(graph.statuses().count(), "IngressRoute", "IngressRoutes");
    lines + &format!("{verdict} in {ingress_routes}, {} orphaned\n", orphans(graph))
}

fn errors_to_json(errors: &[(&Name, &StatusError)]) -> Value {
    let error = |(name, StatusError { field, message }): &(&Name, &StatusError)| json!({"object": format!("IngressRoute {name}"), "field": field, "message": message});
    json!({"errors": errors.iter().map(error).collect::<Value>(), "warnings": []})
}

/// That of the object, `Kind namespace/name`; none where the file is at fault.
fn namespace(problem: &Problem) -> Option<&str> {
    let (_, name) = problem.object.split_once(' ')?;
    name.split('/').next()
}

fn orphans(graph: &Graph) -> usize {
    let statuses = graph.statuses();
    statuses
        .filter(|(_, status)| status.state == State::Orphaned)
        .count()
}

fn to_text(loaded: &Loaded, problems: &[Problem], paint: Paint) -> String {
    let line = |problem: &Problem| {
        let place = paint.text(Style::Faint, problem.place());
        let warning = if problem.is_error() { "" } else { "warning: " };
        let style = if problem.is_error() {
            Style::Bad
        } else {
            Style::Note
        };
        format!(
            "{place}: {}\n",
            paint.text(style, format_args!("{warning}{}", problem.text()))
        )
    };
    let lines: String = problems.iter().map(line).collect();
    lines + &summary(loaded, problems, paint)
}

/// What was looked at, and how much is wrong: one line.
fn summary(loaded: &Loaded, problems: &[Problem], paint: Paint) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let parts = [
        count(loaded.directory.len(), "file", "files"),
        count(loaded.graph.statuses().count(), "IngressRoute", "IngressRoutes"),
        format!("{} orphaned", orphans(&loaded.graph)),
        format!("{} of other kinds", loaded.directory.others()),
        count(problems.len() - errors, "warning", "warnings"),
    ];
    let style = if errors == 0 { Style::Good } else { Style::Bad };
    let verdict = paint.text(style, count(errors, "error", "errors"));
    format!("{verdict} in {}\n", parts.join(", "))
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn to_json(problems: &[Problem]) -> Value {
    let list = |wanted: Severity| -> Value {
        problems
            .iter()
            .filter(|problem| problem.severity == wanted)
            .map(problem_to_json)
            .collect()
    };
    json!({"errors": list(Severity::Error), "warnings": list(Severity::Warning)})
}

fn problem_to_json(problem: &Problem) -> Value {
    let Problem {
        file,
        position: Position { line, column },
        severity: _,
        object,
        field,
        message,
    } = problem;
    json!({
        "file": &**file, "line": line, "column": column, "object": object, "field": field, "message": message,
    })
}
