//! The settings of the proxies that do not come from objects, common to `serve` and `translate`.

use clap::{Args, ValueEnum};
use std::net::{IpAddr, Ipv4Addr};
use switchyard_core::table::TlsVersion;
use switchyard_xds::translate::{Buckets, Settings};

/// The settings of the proxies.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Proxies")]
pub struct ProxyArgs {
    /// Address that the proxies listen on.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    listen_address: IpAddr,
    /// Port of the proxies for plain HTTP.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    http_port: u16,
    /// Port of the proxies for TLS.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    https_port: u16,
    /// Minimum TLS version. A host may require a higher one, or 1.1 only if this is 1.1. When a host with a higher
    /// minimum is added or removed, connections to all such hosts are drained.
    #[arg(long, value_name = "VERSION", value_enum, default_value_t)]
    minimum_tls: MinimumTls,
    /// Number of trusted proxies in front of Envoy that append to x-forwarded-for.
    #[arg(long, value_name = "N", default_value_t = 0)]
    xff_trusted_hops: u32,
    /// File to which the proxies write their access log, as JSON.
    #[arg(long, value_name = "FILE", default_value = "/dev/stdout")]
    access_log: String,
    /// Send the name of the branch that answered in the response header x-switchyard-branch.
    #[arg(long)]
    expose_branch: bool,
    /// Number of parts that hosts are divided into: 1, 2, 4, 8, 16, 32 or 64. When a host changes, each proxy updates
    /// only one of the parts, but it has to calculate the part of each request, which takes some microseconds. With 1
    /// there is no calculation, which is best for a few hundred hosts that seldom change.
    #[arg(long, value_name = "N", default_value_t = Buckets::MOST)]
    route_buckets: Buckets,
}

/// A version of TLS, as `minimumProtocolVersion` of an IngressRoute has it.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum MinimumTls {
    #[value(name = "1.1")]
    V1_1,
    #[default]
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

// === impl ProxyArgs ===

impl ProxyArgs {
    /// Converts to the settings of the translator.
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
            route_buckets,
        } = self;
        Settings {
            http: (listen_address, http_port).into(),
            https: (listen_address, https_port).into(),
            access_log,
            expose_branch,
            xff_trusted_hops,
            minimum_tls: minimum_tls.into(),
            buckets: route_buckets,
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
