//! Decisions with a source of chance that sets the outcome and observes it.

use super::*;

/// A source of chance that always gives the same outcome, with the branches that it observed.
struct FixedChance {
    lowest: bool,
    chosen: Vec<(String, String, BranchChoice)>,
}

impl Chance for FixedChance {
    fn below(&mut self, bound: u64) -> u64 {
        if self.lowest { 0 } else { bound.saturating_sub(1) }
    }

    fn chose(&mut self, key: &str, branch: &str, choice: BranchChoice) {
        self.chosen.push((key.to_owned(), branch.to_owned(), choice));
    }
}

fn decide_by(
    store: &Store,
    headers: &[(&str, &str)],
    lowest: bool,
) -> (Vec<(String, String, BranchChoice)>, String) {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    let mut chance = FixedChance {
        lowest,
        chosen: Vec::new(),
    };
    let request = Request {
        route_name: "s",
        headers: &Client(b"/shop".to_vec(), headers.collect()),
    };
    let decision = decide_with(store, request, &mut chance);
    (chance.chosen, decision.outcome.unwrap().cluster.unwrap())
}

#[wasm_bindgen_test(unsupported = test)]
fn chance_observes_every_branch_and_its_choice() {
    let below = r#""prefix": "/", "active": "c", "branches": {
        "c": [{"prefix": "/", "leaf": {"clusters": [{"name": "x", "weight": 1}, {"name": "y", "weight": 2}]}}]}"#;
    let shop = SHOP
        .replace(r#"{"clusters": [{"name": "blue"}]}"#, "TO")
        .replace(r#""leaf": TO"#, r#""switch": "t""#);
    let fields = r#", "preview": {"header": "x-preview", "value": "1"}, "canary": {"percent": 10},
        "sticky": {"cookie": "c"}"#;
    let store = store(&[("s", &format!("{shop}{fields}")), ("t", below)]);
    let chosen = |key: &str, branch: &str, choice| (key.to_owned(), branch.to_owned(), choice);
    let (blue, c) = (
        chosen("s", "default/blue", BranchChoice::New),
        chosen("t", "c", BranchChoice::New),
    );
    assert_eq!(
        decide_by(&store, &[], false),
        (vec![blue, c.clone()], "y".to_owned())
    );
    let green = |choice| (vec![chosen("s", "default/green", choice)], "green".to_owned());
    assert_eq!(decide_by(&store, &[], true), green(BranchChoice::New));
    assert_eq!(
        decide_by(&store, &[("x-preview", "1")], false),
        green(BranchChoice::Preview)
    );
    let cookie = format!("c={}", session::token("default/blue"));
    let blue = chosen("s", "default/blue", BranchChoice::Session);
    assert_eq!(
        decide_by(&store, &[("cookie", &cookie)], true),
        (vec![blue, c], "x".to_owned())
    );
}
