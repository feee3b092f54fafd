//! Arguments that several commands have.

use crate::yaml;
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use switchyard_core::Settings;

/// The output format, and the namespace to show.
#[derive(Clone, Debug)]
pub struct OutputFilter {
    pub output: Output,
    /// The namespace of the IngressRoutes to show; all if `None`.
    pub namespace: Option<String>,
}

/// The settings of the graph.
#[derive(Clone, Debug, Default, Args)]
pub struct GraphArgs {
    /// Namespaces that may contain root IngressRoutes [default: all].
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    root_namespaces: Vec<String>,
    /// Ignore `permitInsecure`: hosts with TLS only redirect plain HTTP.
    #[arg(long)]
    disable_permit_insecure: bool,
    /// Allow Services of type ExternalName, and EndpointSlices of addressType FQDN. Loopback and link-local names and
    /// addresses, such as localhost, are rejected all the same.
    #[arg(long)]
    allow_external_names: bool,
}

/// The output format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Text,
    Json,
    Yaml,
}

/// The format of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Yaml,
    Json,
}

// === impl OutputFilter ===

impl OutputFilter {
    /// Returns true if IngressRoutes in that namespace are shown.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    }
}

// === impl Output ===

impl Output {
    /// The format of documents; `None` for text.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Text => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }
}

// === impl Format ===

impl Format {
    /// Formats a document, with a line end.
    #[must_use]
    pub fn document(self, value: &Value) -> String {
        match self {
            Self::Yaml => yaml::to_string(value),
            Self::Json => format!("{value:#}\n"),
        }
    }
}

// === impl GraphArgs ===

impl GraphArgs {
    /// The settings of the graph. `local` is true if objects come from this machine: their authors may reach its
    /// loopback addresses.
    #[must_use]
    pub fn settings(self, local: bool) -> Settings {
        let Self {
            root_namespaces,
            disable_permit_insecure,
            allow_external_names,
        } = self;
        Settings {
            root_namespaces: root_namespaces.into_iter().collect(),
            disable_permit_insecure,
            allow_external_names,
            allow_loopback_endpoints: local,
        }
    }
}

/// The default of `--admin-address`, and of `--control`.
pub const ADMIN_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 18001);

/// Parses a Go duration, such as `10s` or `500ms`.
///
/// # Errors
///
/// If it is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    switchyard_core::duration::parse(text).map_err(|_| "must be a duration, such as 10s or 500ms".to_owned())
}
