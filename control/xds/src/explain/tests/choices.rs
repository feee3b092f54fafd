//! The branches that previews and canaries lead to, by the filter's own code and sections.

use super::*;
use proptest::{prelude::*, sample::select};

const BRANCHES: [&str; 3] = ["blue", "green", "red"];

fn of_delegate(delegate: &Value) -> Graph {
    let leaf = json!({"routes": [{"match": "/", "services": services("web")}]});
    let routes = root(json!([{"match": "/", "delegate": delegate}]));
    let branches = BRANCHES.map(|branch| (branch, leaf.clone()));
    graph(&[&[("root", routes)], &branches[..]].concat())
}

fn delegates() -> impl Strategy<Value = Value> {
    let name = || select(&BRANCHES[..]);
    let branch = || prop_oneof![Just(""), name(), Just("nobody")];
    let standby = prop::collection::vec(prop_oneof![8 => name(), 1 => Just("gone")], 0..4);
    let preview = prop::option::of(branch());
    // One of 100 gets every request, with the preview's header or without.
    let canary = prop::option::of((0..100, branch()));
    (name(), standby, preview, canary).prop_map(|(name, standby, preview, canary)| {
        let mut delegate = json!({"name": name, "standby": standby});
        if let Some(branch) = preview {
            delegate["preview"] = json!({"header": "x-preview", "value": "1", "branch": branch});
        }
        if let Some((percent, branch)) = canary {
            delegate["canary"] = json!({"percent": percent, "branch": branch});
        }
        delegate
    })
}

/// The branch that a preview or a canary is to lead to, as the book says. None: nowhere.
fn wanted(delegate: &Value, field: &str) -> Option<String> {
    let choice = delegate.get(field)?;
    if choice["percent"] == 0 {
        return None;
    }
    let active = delegate["name"].as_str()?;
    let standby: Vec<_> = delegate["standby"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let branch = match choice["branch"].as_str()? {
        "" => standby.iter().find(|name| **name != active).copied()?,
        named => named,
    };
    let is_usable = branch != active && standby.contains(&branch) && BRANCHES.contains(&branch);
    is_usable.then(|| format!("default/{branch}"))
}

/// The branch that a request comes to, if a preview or a canary chose it.
fn led(graph: &Graph, request: Request) -> Option<String> {
    let explanation = told(graph, request);
    let link = explanation.chain.get(1)?;
    let by = link.chosen.as_ref()?.by;
    matches!(by, Choice::Preview | Choice::Canary).then(|| link.ingress_route.clone())
}

fn canary() -> Request {
    Request {
        canaries: Canaries::All,
        ..Request::get("bar.com").unwrap()
    }
}

proptest! {
    #[test]
    fn previews_and_canaries_lead_to_their_branch_or_nowhere(delegate in delegates()) {
        let graph = of_delegate(&delegate);
        let preview = led(&graph, with("bar.com", &["x-preview: 1"]));
        prop_assert_eq!(preview, wanted(&delegate, "preview"));
        prop_assert_eq!(led(&graph, canary()), wanted(&delegate, "canary"));
        // And without a sign of either, the active branch answers.
        let active = format!("default/{}", delegate["name"].as_str().unwrap());
        prop_assert_eq!(&ask(&graph, "bar.com").chain[1].ingress_route, &active);
    }

    /// Which of the listed branches is active makes no error.
    #[test]
    fn the_edit_of_the_name_is_as_valid_as_what_was_there(delegate in delegates(), to in select(&BRANCHES[..])) {
        let errors = |delegate: &Value| of_delegate(delegate).status(&name("root")).unwrap().errors.clone();
        let listed = |branch: &Value| delegate["standby"].as_array().unwrap().contains(branch);
        prop_assume!(listed(&delegate["name"]) && listed(&json!(to)));
        let mut edited = delegate.clone();
        edited["name"] = json!(to);
        prop_assert_eq!(errors(&delegate), errors(&edited));
    }
}

#[test]
fn what_has_no_effect_is_told() {
    let delegate = |active: &str| {
        json!({
            "name": active, "standby": ["blue", "green"], "canary": {"percent": 10, "branch": "green"},
            "preview": {"header": "x-preview", "value": "1", "branch": "green"},
        })
    };
    for (active, want) in [("blue", &[][..]), ("green", &["preview", "canary"])] {
        let explanation = ask(&of_delegate(&delegate(active)), "bar.com");
        let chosen = explanation.chain[1].chosen.as_ref().unwrap();
        assert_eq!(chosen.without_effect, want, "{active}");
        let share = if active == "blue" { 90 } else { 100 };
        assert_eq!(chosen.percent, Some(share), "{active}");
    }
}
