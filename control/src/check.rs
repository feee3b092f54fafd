//! `switchyard check`: all errors and warnings, with file and line for a directory.

use crate::{
    args::OutputFilter,
    load::{Loaded, load, load_cluster},
    manifests::{Diagnostic, Position, Severity},
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
/// If the directory cannot be listed.
pub fn run(dir: &Path, settings: Settings, telling: &OutputFilter) -> Result<ExitCode> {
    let loaded = load(dir, settings)?;
    let mut diagnostics = loaded.diagnostics();
    diagnostics.retain(|diagnostic| namespace(diagnostic).is_none_or(|namespace| telling.covers(namespace)));
    match telling.output.format() {
        None => print!("{}", to_text(&loaded, &diagnostics, Paint::of(&io::stdout()))),
        Some(format) => print!("{}", format.document(&to_json(&diagnostics))),
    }
    let good = !diagnostics.iter().any(Diagnostic::is_error);
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
/// If the cluster cannot be read.
pub async fn run_in_cluster(read: ReadArgs, settings: Settings, telling: OutputFilter) -> Result<ExitCode> {
    let (graph, _) = load_cluster(read, settings).await?;
    let told = Told::of(&graph, &telling);
    match telling.output.format() {
        None => print!("{}", told.to_text(&graph, Paint::of(&io::stdout()))),
        Some(format) => print!("{}", format.document(&told.to_json())),
    }
    Ok(if told.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The errors and warnings in the statuses of a cluster.
struct Told<'g> {
    errors: Vec<(&'g Name, &'g StatusError)>,
    warnings: Vec<(&'g Name, &'g StatusError)>,
}

// === impl Told ===

impl<'g> Told<'g> {
    fn of(graph: &'g Graph, telling: &OutputFilter) -> Self {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let statuses = graph.statuses();
        for (name, status) in statuses.filter(|(name, _)| telling.covers(&name.namespace)) {
            errors.extend(status.errors.iter().map(|error| (name, error)));
            warnings.extend(status.warnings.iter().map(|warning| (name, warning)));
        }
        Self { errors, warnings }
    }

    fn to_text(&self, graph: &Graph, paint: Paint) -> String {
        let Self { errors, warnings } = self;
        let line = |style, severity: &str, (name, StatusError { field, message }): &(&Name, &StatusError)| {
            let place = paint.text(Style::Faint, format_args!("IngressRoute {name}"));
            let text = paint.text(style, format_args!("{severity}{field}: {message}"));
            format!("{place}: {text}\n")
        };
        let warnings = warnings
            .iter()
            .map(|warning| line(Style::Note, "warning: ", warning));
        let lines = errors.iter().map(|error| line(Style::Bad, "", error));
        let lines: String = lines.chain(warnings).collect();
        let style = if errors.is_empty() {
            Style::Good
        } else {
            Style::Bad
        };
        let verdict = paint.text(style, count(errors.len(), "error", "errors"));
        let ingress_routes = count(graph.statuses().count(), "IngressRoute", "IngressRoutes");
        lines + &format!("{verdict} in {ingress_routes}, {} orphaned\n", orphans(graph))
    }

    fn to_json(&self) -> Value {
        let diagnostic = |(name, StatusError { field, message }): &(&Name, &StatusError)| json!({"object": format!("IngressRoute {name}"), "field": field, "message": message});
        let Self { errors, warnings } = self;
        json!({
            "errors": errors.iter().map(diagnostic).collect::<Value>(),
            "warnings": warnings.iter().map(diagnostic).collect::<Value>(),
        })
    }
}

/// The namespace of the object, `Kind namespace/name`; `None` for errors of the file itself.
fn namespace(diagnostic: &Diagnostic) -> Option<&str> {
    let (_, name) = diagnostic.object.split_once(' ')?;
    name.split('/').next()
}

fn orphans(graph: &Graph) -> usize {
    let statuses = graph.statuses();
    statuses
        .filter(|(_, status)| status.state == State::Orphaned)
        .count()
}

fn to_text(loaded: &Loaded, diagnostics: &[Diagnostic], paint: Paint) -> String {
    let line = |diagnostic: &Diagnostic| {
        let place = paint.text(Style::Faint, diagnostic.place());
        let warning = if diagnostic.is_error() { "" } else { "warning: " };
        let style = if diagnostic.is_error() {
            Style::Bad
        } else {
            Style::Note
        };
        format!(
            "{place}: {}\n",
            paint.text(style, format_args!("{warning}{}", diagnostic.text()))
        )
    };
    let lines: String = diagnostics.iter().map(line).collect();
    lines + &summary(loaded, diagnostics, paint)
}

/// The summary line: the number of errors, files and objects.
fn summary(loaded: &Loaded, diagnostics: &[Diagnostic], paint: Paint) -> String {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    let parts = [
        count(loaded.directory.len(), "file", "files"),
        count(loaded.graph.statuses().count(), "IngressRoute", "IngressRoutes"),
        format!("{} orphaned", orphans(&loaded.graph)),
        format!("{} of other kinds", loaded.directory.others()),
        count(diagnostics.len() - errors, "warning", "warnings"),
    ];
    let style = if errors == 0 { Style::Good } else { Style::Bad };
    let verdict = paint.text(style, count(errors, "error", "errors"));
    format!("{verdict} in {}\n", parts.join(", "))
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn to_json(diagnostics: &[Diagnostic]) -> Value {
    let list = |wanted: Severity| -> Value {
        diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == wanted)
            .map(problem_to_json)
            .collect()
    };
    json!({"errors": list(Severity::Error), "warnings": list(Severity::Warning)})
}

fn problem_to_json(diagnostic: &Diagnostic) -> Value {
    let Diagnostic {
        file,
        position: Position { line, column },
        severity: _,
        object,
        field,
        message,
    } = diagnostic;
    json!({
        "file": &**file, "line": line, "column": column, "object": object, "field": field, "message": message,
    })
}
