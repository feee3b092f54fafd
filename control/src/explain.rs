//! `switchyard explain`: the route, the policies and the outcome of one request.

mod query;
mod text;
mod verify;

pub use query::{Fault, request};

use crate::{
    args::{GraphArgs, Output},
    client::Control,
    load::{Loaded, load, load_cluster},
    manifests::SourceLocations,
    paint::Paint,
    source::ReadArgs,
};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};
use switchyard_core::{HostSnapshot, Name};
use switchyard_policy::config::policy::Algorithm;
use switchyard_xds::{
    explain::{Canaries, Explanation, Request, Scheme, Surroundings, explain},
    translate::{Buckets, Settings},
};

/// Explain how one request is routed and answered.
///
/// Prints the IngressRoutes that the request passes, its branch and the reason for it, the path sent to the upstream,
/// the policies of each level, the timeout and retries, each with the place where it is set, and finally what Envoy
/// does. Nothing is sent anywhere: external services are assumed to allow the request, and rate limits to be unused.
/// Secrets are not shown.
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    override_usage = "switchyard explain [OPTIONS] [DIR] HOST/PATH",
    after_help = "\
Examples:
  switchyard explain www.example.com/cart                        on the API server of the current context
  switchyard explain manifests/ www.example.com/cart?page=2      in a directory, with files and lines
  switchyard explain manifests/ https://www.example.com/cart     over TLS
  switchyard explain manifests/ www.example.com/cart -X POST -H 'x-preview: yes' -H 'Cookie: shop=1f2e'
  switchyard explain manifests/ www.example.com/ --client-ip 192.0.2.7
  switchyard explain --control http://127.0.0.1:18001 www.example.com/cart
                                                                 from a running control
  switchyard explain manifests/ www.example.com/ -o json         as JSON"
)]
pub struct Explain {
    /// Directory of manifests [default: read from the API server].
    #[arg(
        index = 1,
        conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name", "control"]
    )]
    dir: Option<PathBuf>,
    /// URL of the request, as for curl: [http://|https://]HOST[:PORT][/PATH[?QUERY]]. Plain HTTP by default.
    #[arg(index = 2, required = true, value_name = "HOST/PATH")]
    url: String,
    /// Header of the request, 'Name: value'. Can be repeated.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Method of the request.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// IP address of the client.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: IpAddr,
    /// Number of trusted proxies in front of Envoy that append to x-forwarded-for, as given to `switchyard serve`; then
    /// such a header may contain the client's address. With --control, control's own setting is used.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "control")]
    xff_trusted_hops: u32,
    /// Number of parts that hosts are divided into, as given to `switchyard serve`. With --control, control's own
    /// setting is used.
    #[arg(long, value_name = "N", default_value_t = Buckets::MOST, conflicts_with = "control")]
    route_buckets: Buckets,
    /// Assume that the request is in the share of requests that canaries get, or that the given canary gets. Can be
    /// repeated.
    #[arg(
        long = "canary", value_name = "NAMESPACE/NAME", num_args = 0..=1, require_equals = true,
        default_missing_value = "true"
    )]
    canaries: Vec<String>,
    #[command(flatten)]
    read: ReadArgs,
    /// Admin address of a running `switchyard serve`, to explain the request by its current state.
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"]
    )]
    control: Option<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    graph: GraphArgs,
}

/// The surroundings of a request: a clock, the settings of the proxies, and the places of IngressRoutes.
struct Here<'s, F> {
    proxies: &'s Settings,
    find: F,
}

/// Explains a request by the snapshot of its host, with files and lines if they are known.
#[must_use]
pub fn explain_here(
    host_snapshot: &HostSnapshot,
    request: &Request,
    proxies: &Settings,
    places: Option<&SourceLocations>,
) -> Explanation {
    let find = |name: &Name, field: &str| {
        let (file, line) = places?.line(name, field)?;
        Some((file.to_string(), line))
    };
    explain(host_snapshot, request, &Here { proxies, find })
}

// === impl Explain ===

impl Explain {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// If the request is invalid, or the objects cannot be read.
    pub async fn run(self) -> Result<ExitCode> {
        ensure!(
            self.control.is_some() || self.dir.is_some() || !Path::new(&self.url).is_dir(),
            "{} is a directory: add HOST/PATH after it, such as www.example.com/cart",
            self.url
        );
        let request = self.request()?;
        let told = Settings {
            xff_trusted_hops: self.xff_trusted_hops,
            buckets: self.route_buckets,
            ..Settings::default()
        };
        let output = self.output;
        let explanation = match (&self.control, &self.dir) {
            (Some(url), _) => self.ask(url, &request).await?,
            (None, Some(dir)) => {
                let Loaded { directory, graph, .. } = load(dir, self.graph.settings(true)).with_context(
                    || "switchyard explain [DIR] HOST/PATH: DIR must be a directory of manifests",
                )?;
                for diagnostic in directory.diagnostics() {
                    eprintln!("{diagnostic}");
                }
                explain_here(
                    &graph.host_snapshot(&request.host()),
                    &request,
                    &told,
                    Some(&directory.published()),
                )
            }
            (None, None) => {
                let (graph, _) = load_cluster(self.read, self.graph.settings(false)).await?;
                explain_here(&graph.host_snapshot(&request.host()), &request, &told, None)
            }
        };
        match output.format() {
            None => print!("{}", text::of(&explanation, Paint::of(&io::stdout()))),
            Some(format) => print!("{}", format.document(&serde_json::to_value(&explanation)?)),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn request(&self) -> Result<Request> {
        let mut request = Request::get(&self.url)
            .context("HOST/PATH")?
            .method(&self.method)
            .context("--method")?;
        for line in &self.headers {
            request = request.header(line).context("--header")?;
        }
        Ok(Request {
            client_ip: self.client_ip,
            canaries: Canaries::of(self.canaries.iter().map(String::as_str)).context("--canary")?,
            ..request
        })
    }

    async fn ask(&self, url: &str, request: &Request) -> Result<Explanation> {
        let Request {
            scheme,
            authority,
            target,
            method,
            headers: _,
            client_ip,
            canaries,
        } = request;
        let client_ip = client_ip.to_string();
        let mut query = vec![
            ("host", authority.as_str()),
            ("path", target),
            ("method", method),
            ("clientIP", &client_ip),
            ("https", if *scheme == Scheme::Https { "true" } else { "false" }),
        ];
        query.extend(canaries.texts().into_iter().map(|text| ("canary", text)));
        query.extend(self.headers.iter().map(|line| ("header", line.as_str())));
        let asked = Control::new(url).get("/debug/explain", &query).await;
        asked.with_context(|| format!("cannot reach control at {url}"))
    }
}

// === impl Here ===

impl<F: Fn(&Name, &str) -> Option<(String, usize)>> Surroundings for Here<'_, F> {
    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap_or_default()
    }

    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
        verify::verifies(algorithm, spki, text, signature)
    }

    fn proxies(&self) -> &Settings {
        self.proxies
    }

    fn find(&self, ingress_route: &Name, field: &str) -> Option<(String, usize)> {
        (self.find)(ingress_route, field)
    }
}
