//! `switchyard crds`: the CustomResourceDefinitions.

use crate::cli::Format;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use switchyard_k8s::crd;

/// Print the CustomResourceDefinitions of IngressRoute and TLSCertificateDelegation.
///
/// A cluster needs them before it can hold such objects. They take the place of Contour's, which have the same names:
/// objects that are there stay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Crds {
    /// How to print: documents of YAML, or one List.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  switchyard crds | kubectl diff --server-side --force-conflicts -f -
                                                    what would change
  switchyard crds | kubectl apply --server-side --force-conflicts -f -
                                                    install them, in the place of others
  kubectl explain ingressroute.spec.routes.delegate
                                                    then: what a field means";

fn print(output: Format) -> String {
    let definitions = crd::definitions();
    match output {
        Format::Yaml => definitions
            .map(|definition| output.document(&definition))
            .join("---\n"),
        Format::Json => output.document(&list(&definitions)),
    }
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

// === impl Crds ===

impl Crds {
    /// Prints them.
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

    #[test]
    fn what_is_checked_in_is_what_is_printed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds/crds.yaml");
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == print(Format::Yaml),
            "stale; run: cargo run -p switchyard -- crds > deploy/crds/crds.yaml"
        );
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = print(Format::Yaml);
        let Documents { documents, error } = documents(&yaml, false);
        assert_eq!(error, None);
        let json: Value = serde_json::from_str(&print(Format::Json)).unwrap();
        let items: Vec<_> = documents.iter().map(Node::to_value).collect();
        assert_eq!(json["items"], Value::from(items));
    }
}
