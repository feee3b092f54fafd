//! The cost of other routes' policies for a route without any.

use anyhow::Result;
use serde_json::json;
use switchyard_tests::{
    load::{Headers, Load},
    manifests::ingress_route,
    report::Figure,
    twins::Twin,
    world::{Builder, Source},
};

use crate::{
    asked::Asked,
    compare::{Row, Way, compare},
};

const HOSTS: usize = 100;
/// The number of routes with policies of each host.
const ROUTES: usize = 100;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let roots: String = (0..HOSTS).map(root).collect();
    let builder = Builder::named(Source::Directory, "bench-bystander")?;
    let mut asked = Asked::with(builder, &roots).await?;
    let twin = Twin::bare("bare")?;
    let way = |server| {
        Way::new(Load {
            headers: Headers::default(),
            ..Load::new(server, &host(HOSTS / 2), "/item")
        })
    };
    let ways = [way(asked.world.http()), way(twin.address)];
    let costs = compare(&mut asked.world, std::slice::from_ref(&twin), &ways).await?;
    let method = costs.method(["control's listener", "one without the filters"])
        + &format!(
            " {HOSTS} hosts with {ROUTES} routes each that have a rate limit, and one that has no policy: the same route on both listeners, of which one has the filters, off for it."
        );
    let row = Row {
        way: 0,
        other: 1,
        cpu: "Envoy CPU for a request, no policy while 10,000 others have some against no filter",
        bar: Some(1.02),
        time: "99 % of answers, no policy while 10,000 others have some against no filter",
    };
    Ok(costs.figures(row, &method).into())
}

fn host(number: usize) -> String {
    format!("h{number:05}.bar.com")
}

fn root(number: usize) -> String {
    let services = json!([{"name": "web", "port": 80}]);
    let limited = |route: usize| {
        let limit = json!({"requests": 1 + route, "unit": "second", "key": [{"clientIP": {}}]});
        json!({"match": format!("/section-{route:05}"), "services": services, "rateLimits": [limit]})
    };
    let others = (0..ROUTES).map(limited);
    let routes: Vec<_> = others
        .chain([json!({"match": "/", "services": services})])
        .collect();
    ingress_route(
        &format!("root-{number:05}"),
        &json!({"virtualhost": {"fqdn": host(number)}, "routes": routes}),
    )
}
