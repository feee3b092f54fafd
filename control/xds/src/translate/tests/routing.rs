//! Which route a path is on, read as Envoy reads the match tree.

use super::*;
use crate::translate::template_name;
use envoy_types::pb::{
    envoy::config::route::v3::{
        Route, RouteAction, RouteConfiguration, RouteList, route::Action, route_match::PathSpecifier,
    },
    xds::r#type::matcher::v3::{
        Matcher,
        matcher::{MatcherType, OnMatch, matcher_tree::TreeType, on_match},
    },
};
use proptest::{collection, prop_assert_eq, proptest, strategy};
use prost::Name as _;
use std::time::Duration;
use switchyard_core::{
    path,
    table::{Retry, Timeout},
};

/// The routes of a host on the plain port.
fn matcher(host: Host) -> Matcher {
    let fqdn = host.fqdn.clone();
    let mut world = World::new();
    world.edit(|table| add_host(table, host));
    tree(world.message(ResourceType::Route, "ingress_http"), &fqdn)
}

/// The match tree of a host.
pub(super) fn tree(configuration: RouteConfiguration, fqdn: &str) -> Matcher {
    let found = configuration
        .virtual_hosts
        .into_iter()
        .find(|host| host.name == fqdn);
    found.unwrap().matcher.unwrap()
}

/// A path that climbs where the tree asks for that has a route of its own. The longest prefix by characters decides, and then
/// the first of its routes that matches.
pub(super) fn select(matcher: &Matcher, path: &str) -> Route {
    select_all(matcher, path)
        .into_iter()
        .next()
        .expect("a route matches")
}

/// All of its routes that match.
pub(super) fn select_all(matcher: &Matcher, path: &str) -> Vec<Route> {
    let tree = match matcher.matcher_type.as_ref().unwrap() {
        MatcherType::MatcherTree(tree) => tree,
        MatcherType::MatcherList(list) if switchyard_policy::path::climbs(path) => {
            return routes(list.matchers[0].on_match.as_ref().unwrap());
        }
        MatcherType::MatcherList(_) => return select_all(&otherwise(matcher), path),
    };
    match tree.tree_type.as_ref().unwrap() {
        TreeType::PrefixMatchMap(map) => {
            let longest = map.map.iter().filter(|(prefix, _)| path.starts_with(*prefix));
            let longest = longest.max_by_key(|(prefix, _)| prefix.len());
            let mut routes = routes(longest.unwrap().1);
            routes.retain(|route| matches(route, path));
            routes
        }
        TreeType::ExactMatchMap(_) => select_all(&otherwise(matcher), path),
        TreeType::CustomMatch(_) => panic!("no custom match"),
    }
}

fn otherwise(matcher: &Matcher) -> Matcher {
    match matcher.on_no_match.clone().unwrap().on_match.unwrap() {
        on_match::OnMatch::Matcher(matcher) => *matcher,
        on_match::OnMatch::Action(_) => panic!("no matcher"),
    }
}

fn routes(on_match: &OnMatch) -> Vec<Route> {
    let Some(on_match::OnMatch::Action(action)) = &on_match.on_match else {
        panic!("no action");
    };
    let action = action.typed_config.as_ref().unwrap();
    if action.type_url == Route::type_url() {
        vec![Route::decode(action.value.as_slice()).unwrap()]
    } else {
        RouteList::decode(action.value.as_slice()).unwrap().routes
    }
}

fn matches(route: &Route, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    match route.r#match.as_ref().unwrap().path_specifier.as_ref().unwrap() {
        PathSpecifier::Prefix(prefix) => path.starts_with(prefix),
        PathSpecifier::PathSeparatedPrefix(prefix) => path::contains(prefix, path),
        other => panic!("{other:?}"),
    }
}

fn prefix() -> impl strategy::Strategy<Value = String> {
    let segments = collection::vec("[ab]{1,2}", 0..4);
    strategy::Strategy::prop_map(segments, |segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn the_longest_prefix_by_segments_wins(
        prefixes in collection::btree_set(prefix(), 0..8),
        path in prefix(),
    ) {
        let routes = prefixes.iter().map(|prefix| (prefix.as_str().into(), plain("web"))).collect();
        let matcher = matcher(host("a", Vhost { routes, templates: BTreeSet::new(), mirrors: 0 }, None));
        let want = prefixes.iter().filter(|prefix| path::contains(prefix, &path)).max_by_key(|prefix| prefix.len());
        let want = want.map_or("not-found".to_owned(), |prefix| format!("a{prefix}"));
        prop_assert_eq!(select(&matcher, &path).name, want);
    }
}

#[test]
fn a_prefix_that_no_path_can_have_is_left_out() {
    let matcher = matcher(host(
        "a",
        vhost([
            ("/x?y", plain("web")),
            ("/x#y", plain("web")),
            ("/x", plain("web")),
        ]),
        None,
    ));
    assert_eq!(select(&matcher, "/x?y").name, "a/x");
    assert_eq!(select(&matcher, "/y").name, "not-found");
    assert_eq!(select(&matcher, "/x/y").name, "a/x");
}

/// That the two agree on what climbs, the end-to-end tests show.
#[test]
fn a_path_that_climbs_is_refused_where_it_matters_where_it_leads() {
    let rewritten = |rewrite: &str| match plain("web") {
        HostRoute::Plain(route) => HostRoute::Plain(Box::new(ServiceRoute {
            rewrite: Some(rewrite.into()),
            ..*route
        })),
        other => other,
    };
    let switch = || HostRoute::Switch(SwitchKey("a/s".into()));
    for (routes, want) in [
        (vhost([("/", plain("web"))]), "a/"),
        (vhost([("/", switch())]), "a/s"),
        (vhost([("/", rewritten("/app"))]), "climbs"),
        (vhost([("/x", plain("web"))]), "climbs"),
        (vhost([("/", switch()), ("/admin", plain("web"))]), "climbs"),
    ] {
        let matcher = matcher(host("a", routes, None));
        assert_eq!(select(&matcher, "/x/..;/admin").name, want);
        assert_ne!(select(&matcher, "/x/y").name, "climbs");
    }
}

#[test]
fn the_filter_is_on_for_switches_alone() {
    let switch = HostRoute::Switch(SwitchKey("a/s".into()));
    let routes = [
        ("/", plain("web")),
        ("/s", switch),
        ("/r", HostRoute::HttpsRedirect),
        ("/u", HostRoute::Unavailable),
    ];
    let matcher = matcher(host("a", vhost(routes), None));
    let of_the_host = Shard::of_host("a").to_string();
    for (path, on) in [("/", false), ("/s", true), ("/r", false), ("/u", false)] {
        let route = select(&matcher, path);
        let filters: Vec<_> = route.typed_per_filter_config.keys().collect();
        let want = if on { vec![&of_the_host] } else { vec![] };
        assert_eq!(filters, want, "{path}");
    }
}

#[test]
fn a_switch_by_itself_leads_where_the_filter_says() {
    let matcher = matcher(host(
        "a",
        vhost([("/", HostRoute::Switch(SwitchKey("a/".into())))]),
        None,
    ));
    let route = select(&matcher, "/");
    assert_eq!(route.name, "a/");
    let Some(Action::Route(action)) = route.action else {
        panic!("no route action");
    };
    assert_eq!(action.cluster_not_found_response_code, 0, "503");
    insta::assert_debug_snapshot!(action.cluster_specifier, @r#"
    Some(
        ClusterHeader(
            "x-switchyard-cluster",
        ),
    )
    "#);
}

#[test]
fn a_rewrite_joins_with_one_slash() {
    for (from, to, prefix_rewrite, regex, substitution) in [
        ("/a", "/b", "/b", "", ""),
        ("/a", "/b/c", "/b/c", "", ""),
        ("/a", "/", "", "^/a/*", "/"),
        ("/a", "/b/", "", "^/a/*", "/b/"),
        ("/a.b+c", "/", "", r"^/a\.b\+c/*", "/"),
        ("/a", r"/\1/", "", "^/a/*", r"/\\1/"),
        ("/", "/b", "/b/", "", ""),
        ("/", "/b/", "/b/", "", ""),
    ] {
        let action = rewritten(from, to);
        let pattern = action.regex_rewrite.unwrap_or_default();
        let got = (
            action.prefix_rewrite,
            pattern.pattern.unwrap_or_default().regex,
            pattern.substitution,
        );
        assert_eq!(
            got,
            (
                prefix_rewrite.to_owned(),
                regex.to_owned(),
                substitution.to_owned()
            ),
            "{from} to {to}"
        );
    }
}

fn rewritten(from: &str, to: &str) -> RouteAction {
    let route = HostRoute::Plain(Box::new(ServiceRoute {
        template: Template::default(),
        clusters: vec![share("web", 1)],
        rewrite: Some(to.into()),
        policies: vec![],
        sample: Sample::ALL,
    }));
    match select(&matcher(host("a", vhost([(from, route)]), None)), from).action {
        Some(Action::Route(action)) => action,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_timeout_is_not_cut_short_by_the_idle_limit() {
    let seconds = Duration::from_secs;
    for (timeout, want, idle) in [
        (None, None, None),
        (Some(Timeout::After(seconds(10))), Some(10), None),
        (Some(Timeout::After(seconds(600))), Some(600), Some(600)),
        (Some(Timeout::Infinite), Some(0), Some(0)),
    ] {
        let template = Template {
            timeout,
            ..Template::default()
        };
        let route = HostRoute::Plain(Box::new(ServiceRoute {
            template,
            clusters: vec![share("web", 1)],
            rewrite: None,
            policies: vec![],
            sample: Sample::ALL,
        }));
        let Some(Action::Route(action)) =
            select(&matcher(host("a", vhost([("/", route)]), None)), "/").action
        else {
            panic!("no route action");
        };
        let limits = [action.timeout, action.idle_timeout].map(|limit| limit.map(|limit| limit.seconds));
        assert_eq!(limits, [want, idle], "{timeout:?}");
    }
}

#[test]
fn the_name_of_a_template_says_all_of_it() {
    let seconds = Duration::from_secs;
    let retry = |per_try_timeout| {
        Some(Retry {
            count: 3,
            per_try_timeout,
        })
    };
    let none = Template::default();
    for (template, want) in [
        (none.clone(), "forward"),
        (
            Template {
                timeout: Some(Timeout::Infinite),
                ..none.clone()
            },
            "forward-timeout-infinite",
        ),
        (
            Template {
                timeout: Some(Timeout::After(seconds(90))),
                ..none.clone()
            },
            "forward-timeout-90s",
        ),
        (
            Template {
                timeout: Some(Timeout::After(Duration::from_millis(1500))),
                ..none.clone()
            },
            "forward-timeout-1500ms",
        ),
        (
            Template {
                timeout: Some(Timeout::After(Duration::new(1, 1))),
                ..none.clone()
            },
            "forward-timeout-1000000001ns",
        ),
        (
            Template {
                retry: retry(None),
                ..none.clone()
            },
            "forward-retry-3",
        ),
        (
            Template {
                retry: retry(Some(seconds(1))),
                ..none.clone()
            },
            "forward-retry-3-of-1s",
        ),
        (
            Template {
                websockets: true,
                session_affinity: true,
                ..none
            },
            "forward-websockets-affinity",
        ),
    ] {
        assert_eq!(template_name(&template), want);
    }
}
