//! `switchyard explain`: what becomes of one request, and why.

mod query;
mod text;
mod verify;

pub use query::{Fault, request};

use crate::{
    cli::{GraphArgs, Output},
    client::Control,
    load::{Loaded, load, load_cluster},
    manifests::Places,
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
use switchyard_core::{Excerpt, Name};
use switchyard_policy::config::policy::Algorithm;
use switchyard_xds::explain::{Canaries, Explanation, Request, Scheme, Surroundings, explain};

/// Explain what becomes of one request, and why.
///
/// Says which IngressRoutes the request comes through, which branch it gets and why, the path that the upstream is asked
/// for, what each level on the way asks of it and where that stands, which timeout and retries hold and who says so, and
/// what Envoy does in the end. Nothing is sent anywhere: services that would be asked are taken to say yes, and counters to
/// be fresh. What is secret is not shown.
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
                                                                 as a running control has it
  switchyard explain manifests/ www.example.com/ -o json         for programs"
)]
pub struct Explain {
    /// The directory [default: none, but the API server].
    #[arg(
        index = 1,
        conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name", "control"]
    )]
    dir: Option<PathBuf>,
    /// What is asked for, as curl takes it: [http://|https://]HOST[:PORT][/PATH[?QUERY]]. Over plain HTTP unless it says
    /// https.
    #[arg(index = 2, required = true, value_name = "HOST/PATH")]
    url: String,
    /// A header of the request, 'Name: value'; as often as there are some.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The method.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// The address of the client.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: IpAddr,
    /// How many proxies in front of Envoy are trusted to add to x-forwarded-for, as `switchyard serve` is told; then the
    /// client's address may be in such a header. A running control knows it.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "control")]
    xff_trusted_hops: u32,
    /// Take it for one of the share of requests that canaries get; or that this canary gets, if it is named. Can be repeated.
    #[arg(
        long = "canary", value_name = "NAMESPACE/NAME", num_args = 0..=1, require_equals = true,
        default_missing_value = "true"
    )]
    canaries: Vec<String>,
    #[command(flatten)]
    read: ReadArgs,
    /// Ask `switchyard serve` at this admin address, as it has everything now.
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "ingress_class_name"]
    )]
    control: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    graph: GraphArgs,
}

/// What a request is explained in: a clock, proxies in front, and where IngressRoutes stand.
struct Here<F> {
    trusted_hops: u32,
    find: F,
}

/// Explains a request, as the graph has it; with files and lines, where there are some.
#[must_use]
pub fn explain_here(
    excerpt: &Excerpt,
    request: &Request,
    trusted_hops: u32,
    places: Option<&Places>,
) -> Explanation {
    let find = |name: &Name, field: &str| {
        let (file, line) = places?.line(name, field)?;
        Some((file.to_string(), line))
    };
    explain(excerpt, request, &Here { trusted_hops, find })
}

// === impl Explain ===

impl Explain {
    /// Explains.
    ///
    /// # Errors
    ///
    /// If it is no request, or what it is about cannot be read.
    pub async fn run(self) -> Result<ExitCode> {
        ensure!(
            self.control.is_some() || self.dir.is_some() || !Path::new(&self.url).is_dir(),
            "{} is a directory: name HOST/PATH after it, such as www.example.com/cart",
            self.url
        );
        let request = self.request()?;
        let output = self.output;
        let explanation = match (&self.control, &self.dir) {
            (Some(url), _) => self.ask(url, &request).await?,
            (None, Some(dir)) => {
                let Loaded { directory, graph, .. } = load(dir, self.graph.settings()).with_context(
                    || "switchyard explain [DIR] HOST/PATH: the first of two is a directory of manifests",
                )?;
                for problem in directory.problems() {
                    eprintln!("{problem}");
                }
                explain_here(
                    &graph.excerpt(&request.host()),
                    &request,
                    self.xff_trusted_hops,
                    Some(&directory.published()),
                )
            }
            (None, None) => {
                let (graph, _) = load_cluster(self.read, self.graph.settings()).await?;
                explain_here(
                    &graph.excerpt(&request.host()),
                    &request,
                    self.xff_trusted_hops,
                    None,
                )
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
        asked.with_context(|| format!("{url} cannot be asked"))
    }
}

// === impl Here ===

impl<F: Fn(&Name, &str) -> Option<(String, usize)>> Surroundings for Here<F> {
    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap_or_default()
    }

    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
        verify::verifies(algorithm, spki, text, signature)
    }

    fn trusted_hops(&self) -> u32 {
        self.trusted_hops
    }

    fn find(&self, ingress_route: &Name, field: &str) -> Option<(String, usize)> {
        (self.find)(ingress_route, field)
    }
}
