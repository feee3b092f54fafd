//! What the proxies are told that no object says: the same for `serve` and `translate`.

use clap::{Args, ValueEnum};
use std::net::{IpAddr, Ipv4Addr};
use switchyard_core::table::TlsVersion;
use switchyard_xds::translate::Settings;

/// Where the proxies listen, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Proxies")]
pub struct ProxyArgs {
    /// The address that the proxies listen on.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    listen_address: IpAddr,
    /// The port that the proxies take plain HTTP on.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    http_port: u16,
    /// The port that the proxies take TLS on.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    https_port: u16,
    /// The least TLS version of every host: one that asks for more gets more. Best what most hosts ask for.
    #[arg(long, value_name = "VERSION", value_enum, default_value_t)]
    minimum_tls: MinimumTls,
    /// How many proxies in front of Envoy are trusted to add to x-forwarded-for.
    #[arg(long, value_name = "N", default_value_t = 0)]
    xff_trusted_hops: u32,
    /// Where the proxies write their access log, as JSON.
    #[arg(long, value_name = "FILE", default_value = "/dev/stdout")]
    access_log: String,
    /// Tell clients which branch answered, in the response header x-switchyard-branch.
    #[arg(long)]
    expose_branch: bool,
}

/// A version of TLS, as `minimumProtocolVersion` of an IngressRoute has it.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum MinimumTls {
    #[default]
    #[value(name = "1.1")]
    V1_1,
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

// === impl ProxyArgs ===

impl ProxyArgs {
    /// As the translator takes them.
    #[must_use]
    pub fn settings(self) -> Settings {
        let Self {
            listen_address,
            http_port,
            https_port,
            minimum_tls,
            xff_trusted_hops,
            access_log,
            expose_branch,
        } = self;
        Settings {
            http: (listen_address, http_port).into(),
            https: (listen_address, https_port).into(),
            access_log,
            expose_branch,
            xff_trusted_hops,
            minimum_tls: minimum_tls.into(),
        }
    }
}

// === impl MinimumTls ===

impl From<MinimumTls> for TlsVersion {
    fn from(version: MinimumTls) -> Self {
        match version {
            MinimumTls::V1_1 => Self::V1_1,
            MinimumTls::V1_2 => Self::V1_2,
            MinimumTls::V1_3 => Self::V1_3,
        }
    }
}
