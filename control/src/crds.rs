//! `switchyard crds`: the CustomResourceDefinitions.

use crate::args::Format;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;
use switchyard_k8s::crd::{self, fields};

/// Print the CustomResourceDefinitions of IngressRoute and TLSCertificateDelegation.
///
/// A cluster needs them before it can store such objects. They replace Contour's, which have the same names; existing
/// objects stay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Crds {
    /// Output format: YAML documents, one JSON List, or a reference page of all fields.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Yaml,
    Json,
    Markdown,
}

const EXAMPLES: &str = "\
Examples:
  switchyard crds | kubectl diff --server-side --force-conflicts -f -
                                                    show what would change
  switchyard crds | kubectl apply --server-side --force-conflicts -f -
                                                    install them, replacing existing ones
  kubectl explain ingressroute.spec.routes.delegate
                                                    show the description of a field";

fn print(output: Output) -> String {
    let definitions = crd::definitions();
    match output {
        Output::Yaml => definitions
            .map(|definition| Format::Yaml.document(&definition))
            .join("---\n"),
        Output::Json => Format::Json.document(&list(&definitions)),
        Output::Markdown => fields::page(&definitions),
    }
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

// === impl Crds ===

impl Crds {
    /// Prints the definitions.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let Self { output } = self;
        print!("{}", print(output));
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::{Documents, Node, documents};

    fn assert_current(file: &str, output: Output, command: &str) {
        let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == print(output),
            "stale; run: cargo run -p switchyard -- {command} > {file}"
        );
    }

    #[test]
    fn generated_files_are_current() {
        assert_current("deploy/crds/crds.yaml", Output::Yaml, "crds");
        assert_current("docs/fields.md", Output::Markdown, "crds -o markdown");
    }

    #[test]
    fn yaml_and_json_output_are_equal() {
        let yaml = print(Output::Yaml);
        let Documents { documents, error } = documents(&yaml, false);
        assert_eq!(error, None);
        let json: Value = serde_json::from_str(&print(Output::Json)).unwrap();
        let items: Vec<_> = documents.iter().map(Node::to_value).collect();
        assert_eq!(json["items"], Value::from(items));
    }
}
