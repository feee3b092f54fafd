//! `switchyard check`: everything that is wrong, with file and line.

use crate::{
    cli::Output,
    load::{Loaded, load},
    manifests::{Position, Problem, Severity},
    paint::{Paint, Style},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{io, path::Path, process::ExitCode};
use switchyard_core::{Settings, status::State};

/// Checks a directory.
///
/// # Errors
///
/// If it cannot be listed.
pub fn run(dir: &Path, settings: Settings, output: Output) -> Result<ExitCode> {
    let loaded = load(dir, settings)?;
    let problems = loaded.problems();
    match output.format() {
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
    let orphans = loaded
        .graph
        .statuses()
        .filter(|(_, status)| status.state == State::Orphaned)
        .count();
    let parts = [
        count(loaded.directory.len(), "file", "files"),
        count(loaded.graph.statuses().count(), "IngressRoute", "IngressRoutes"),
        format!("{orphans} orphaned"),
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
