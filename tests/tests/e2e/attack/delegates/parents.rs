//! Parents with policies other than an API key, or on other levels.

use super::{Attempt, Below, PAGE, Preflight, Trick, tried};
use crate::attack::{Credential, KEY, Site, asking, delegate, get, guard, root, secret, to, tokens::Keys};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use switchyard_tests::{gatekeeper::Gatekeeper, manifests::service};

/// A parent that delegates `/team` to `team`.
pub(super) struct Parent {
    pub(super) host: String,
    /// The credential that lets in. None if there is none.
    credential: Option<Credential>,
    /// Set if a rejection has a `www-authenticate` header.
    challenges: bool,
}

pub(super) struct Parents {
    pub(super) parents: Vec<Parent>,
    pub(super) manifests: String,
    /// The authorization service of one of the parents.
    _gatekeeper: Option<Gatekeeper>,
}

/// Requests without a credential, or with one of the delegate's.
const TRICKS: &[Trick] = &[
    (Below, "GET", "/team/x", ""),
    (Below, "POST", "/team", "Content-Length: 0\r\n"),
    (Preflight, "OPTIONS", "/team/x", PAGE),
    (
        Below,
        "GET",
        "/team/x",
        "X-Api-Key: own key\r\nX-Own-Key: own key\r\n",
    ),
    (
        Below,
        "GET",
        "/team/x",
        "Authorization: Basic ZXZlOnNlY3JldA==\r\n",
    ),
];

// === impl Parents ===

impl Parents {
    pub(super) fn none() -> Self {
        Self {
            parents: Vec::new(),
            manifests: String::new(),
            _gatekeeper: None,
        }
    }

    pub(super) async fn start() -> Result<Self> {
        let (keys, gatekeeper) = (Keys::new()?, Gatekeeper::start().await?);
        let authorized = |value: &str| Some(Credential("Authorization", value.to_owned().into()));
        let service_of = json!({"service": {"name": "gatekeeper", "port": 80}, "timeout": "5s"});
        let asked = [
            // `eve:open sesame`.
            (
                "basic",
                json!({"basic": {"secretName": "people"}}),
                authorized("Basic ZXZlOm9wZW4gc2VzYW1l"),
            ),
            (
                "jwt",
                keys.check()?,
                authorized(&format!("Bearer {}", keys.token()?)),
            ),
            ("ip", json!({"ip": {"allow": ["192.0.2.0/24"]}}), None),
            (
                "external",
                json!({"external": service_of}),
                authorized("yes staff"),
            ),
        ];
        let mut all = Self {
            manifests: secret(
                "people",
                &json!({"auth": "eve:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac="}),
            ) + &service("default", "gatekeeper", &[gatekeeper.address]),
            parents: Vec::new(),
            _gatekeeper: Some(gatekeeper),
        };
        for (name, auth, credential) in asked {
            let route = asking(delegate("team", "/team"), json!([auth]));
            all.add(name, &json!({}), &route, credential);
        }
        all.add(
            "host",
            &json!({"auth": guard()}),
            &delegate("team", "/team"),
            Some(KEY),
        );
        Ok(all)
    }

    fn add(&mut self, name: &str, virtualhost: &Value, route: &Value, credential: Option<Credential>) {
        let host = format!("by-{name}.bar.com");
        let mut virtualhost = virtualhost.clone();
        virtualhost["fqdn"] = host.as_str().into();
        self.manifests += &root(
            &format!("by-{name}"),
            &virtualhost,
            &json!([to("web", "/"), route]),
        );
        self.parents.push(Parent {
            host,
            credential,
            challenges: matches!(name, "basic" | "jwt"),
        });
    }
}

// === impl Parent ===

impl Parent {
    /// Checks this parent with the current `team`, which has reached the proxy.
    pub(super) async fn withstands(&self, site: &Site, attempt: &Attempt) -> Result<()> {
        for trick in TRICKS {
            let reply = tried(site, &self.host, *trick).await?;
            let is_refused = trick.0.is_refused(&reply, attempt, true);
            is_refused.with_context(|| format!("{trick:?}: {reply:?}"))?;
            let is_challenged = !reply.header("www-authenticate").is_empty();
            ensure!(
                reply.status != Some(401) || !self.challenges || is_challenged,
                "{trick:?}: {reply:?}"
            );
        }
        let Some(credential) = &self.credential else {
            return Ok(());
        };
        let reply = site.ask(&get(&self.host, "/team/x", "").with(credential)).await?;
        let is_it = attempt.entitled.is(&reply);
        // If each route is an attempt of its own, only single routes are invalid.
        let is_one = attempt.paths.len() == 1;
        ensure!(is_it || !is_one, "with the credential: {reply:?}");
        Ok(())
    }
}
