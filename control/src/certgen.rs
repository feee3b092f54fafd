//! `switchyard certgen`: the certificates that secure xDS.
//!
//! ```text
//! folder or cluster -- Holdings --> plan -- Entries --> folder, cluster, or standard output
//! ```

mod cluster;
mod folder;
mod holding;
mod issue;
mod plan;

use self::{
    cluster::Secrets,
    folder::Folder,
    holding::Holdings,
    issue::days,
    plan::{Entry, Mode, Wish, plan},
};
use crate::{args::Format, source::ClusterArgs};
use anyhow::{Result, ensure};
use clap::{ArgGroup, Args};
use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};
use time::OffsetDateTime;

/// Create the certificates for xDS: a CA, a certificate for control, and one for Envoy.
///
/// Control and Envoy authenticate each other by mutual TLS with this CA, so that nobody else gets the configuration,
/// which contains the private keys of all hosts. `switchyard serve` and `switchyard bootstrap` take the files with
/// --xds-ca-file, --xds-cert-file and --xds-key-file, and both reload changed files without a restart.
///
/// Existing certificates are kept. With --renew-before, those that expire soon are renewed, so that a daily job keeps
/// them valid: both sides trust a new CA before it signs anything, and no connection fails. With --overwrite,
/// everything is replaced and the old CA is no longer trusted: use it if a key was leaked.
///
/// In a cluster, they are Secrets of type kubernetes.io/tls: switchyard-xds-ca, switchyard-xds-server for control,
/// switchyard-xds-client for Envoy. The account needs `get`, `create` and `update` on Secrets in that namespace. In a
/// directory, they are in the folders `ca`, `server` and `client`. Only this command needs the CA's key: keep it from
/// control and from Envoy.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("place").required(true).args(["output_dir", "output", "kube"]))]
pub struct Certgen {
    /// Write PEM files to this directory: ca.crt, tls.crt and tls.key in folders ca, server and client.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Print Secrets, including private keys.
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Write Secrets to the cluster.
    #[arg(long)]
    kube: bool,
    /// The namespace of control, for the Secrets and for the names in control's certificate.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "switchyard")]
    namespace: String,
    /// Additional DNS names or IP addresses at which Envoys reach control.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    dns_name: Vec<String>,
    /// Validity of the certificates, 1095d at most; the CA is valid for 3650d.
    #[arg(long, value_name = "PERIOD", default_value = "365d", value_parser = parse_period)]
    lifetime: Duration,
    /// Renew certificates that expire within this period, or that lack a requested name.
    #[arg(long, value_name = "PERIOD", value_parser = parse_period, conflicts_with_all = ["overwrite", "output"])]
    renew_before: Option<Duration>,
    /// Replace everything, including the CA. Open connections stay; new ones fail until both sides have the new files.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

const EXAMPLES: &str = "\
Examples:
  switchyard certgen --output-dir certs             files, for use without a cluster
  switchyard serve --xds-address 0.0.0.0:18000 --xds-ca-file certs/server/ca.crt \\
      --xds-cert-file certs/server/tls.crt --xds-key-file certs/server/tls.key
  switchyard bootstrap --out envoy/envoy.json --xds-ca-file certs/client/ca.crt \\
      --xds-cert-file certs/client/tls.crt --xds-key-file certs/client/tls.key
  switchyard certgen --kube -n switchyard           Secrets; existing ones are kept
  switchyard certgen --kube -n switchyard --renew-before 30d
                                                    daily: renew what expires within 30 days
  switchyard certgen -n switchyard -o yaml | kubectl apply -f -
                                                    the same Secrets, with kubectl";

/// The maximum validity of a certificate. It is less than a third of the CA's, because the CA is renewed once it could
/// expire before a new certificate, which should not be soon.
const LONGEST: Duration = days(1095);

// === impl Certgen ===

impl Certgen {
    /// Creates certificates that are missing or due, and reports the outcome.
    ///
    /// # Errors
    ///
    /// If existing certificates cannot be read, or new ones cannot be written.
    pub async fn run(self) -> Result<ExitCode> {
        let wish = self.wish()?;
        let Self {
            output_dir,
            output,
            namespace,
            cluster,
            ..
        } = self;
        let make = |existing: &Holdings| plan(existing, &wish, OffsetDateTime::now_utc());
        if let Some(format) = output {
            print!("{}", cluster::print(&make(&Holdings::new())?, &namespace, format));
        } else if let Some(dir) = output_dir {
            report(&Folder::new(dir).hold(make)?);
        } else {
            let client = cluster.client().await?;
            report(&Secrets::new(client, &namespace).hold(make).await?);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wish(&self) -> Result<Wish> {
        let mode = match self.renew_before {
            _ if self.overwrite => Mode::Overwrite,
            Some(before) => Mode::Renew { before },
            None => Mode::Keep,
        };
        ensure!(
            self.lifetime > Duration::ZERO && self.lifetime <= LONGEST,
            "--lifetime: must be more than 0 and at most 1095d: the CA must outlive the certificates that it signs"
        );
        ensure!(
            self.renew_before.is_none_or(|before| before < self.lifetime),
            "--renew-before: must be less than --lifetime, or each run would renew all certificates"
        );
        Ok(Wish {
            names: server_names(&self.namespace, &self.dns_name),
            lifetime: self.lifetime,
            mode,
        })
    }
}

/// The names of control: those of its Service, those on the same machine, and the additional ones.
fn server_names(namespace: &str, more: &[String]) -> Vec<String> {
    let service = ["", ".svc", ".svc.cluster.local"].map(|rest| format!("switchyard.{namespace}{rest}"));
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let more = more.iter().map(|name| canonical(name));
    let mut names = vec!["switchyard".to_owned()];
    for name in service.into_iter().chain(here).chain(more) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Normalizes a name, since addresses can be written in several ways.
fn canonical(name: &str) -> String {
    let address = name.parse::<IpAddr>();
    address.map_or_else(|_| name.to_ascii_lowercase(), |address| address.to_string())
}

/// Prints the outcome to standard output, since it is the result of the command.
fn report(entries: &[(String, Entry)]) {
    for (place, entry) in entries {
        println!("{place}: {entry}");
    }
}

/// Parses days, as in `30d`, or a Go duration, as in `12h`.
fn parse_period(text: &str) -> Result<Duration, String> {
    let whole_days = || text.strip_suffix('d')?.parse::<u32>().ok();
    let period = whole_days().map(|number| days(number.into()));
    period
        .or_else(|| switchyard_core::duration::parse(text).ok())
        .ok_or_else(|| "must be a period, such as 30d or 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn period_is_days_or_a_go_duration() {
        for (text, want) in [
            ("365d", Some(days(365))),
            ("0d", Some(Duration::ZERO)),
            ("12h", Some(days(1) / 2)),
            ("1h30m", Some(Duration::from_secs(5400))),
            ("30", None),
            ("d", None),
            ("-1d", None),
            ("1.5d", None),
        ] {
            assert_eq!(parse_period(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn server_names_are_service_names_plus_unique_extras() {
        let more = ["XDS.example.com", "::0:1", "10.0.0.9", "switchyard"].map(str::to_owned);
        let names = server_names("edge", &more);
        let want = [
            "switchyard",
            "switchyard.edge",
            "switchyard.edge.svc",
            "switchyard.edge.svc.cluster.local",
            "localhost",
            "127.0.0.1",
            "::1",
            "xds.example.com",
            "10.0.0.9",
        ];
        assert_eq!(names, want);
    }
}
