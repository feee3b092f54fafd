//! Paths that climb to some upstreams and not to Envoy.
//!
//! ```text
//! /x/..;/admin       Envoy resolves it, and so do upstreams that take parameters off segments
//! /x/%2e%2e;/admin   Envoy makes `/x/..;/admin` of it when it has done so
//! /x/..%3b/admin     Envoy leaves it alone
//! ```
//!
//! To such an upstream each of them is `/admin`, and to the edge none is; so no request gets through with one.

use super::{action, filterless, header_input, on_routes, path_match};
use envoy_types::pb::xds::r#type::matcher::v3::{
    Matcher, RegexMatcher, StringMatcher,
    matcher::{
        MatcherList, MatcherType, OnMatch,
        matcher_list::{
            FieldMatcher, Predicate,
            predicate::{MatchType, PredicateList, SinglePredicate, single_predicate},
        },
        on_match,
    },
    regex_matcher::{EngineType, GoogleRe2},
    string_matcher::MatchPattern,
};

/// Next to no path has it once Envoy has resolved it, and it is found faster than the rest.
const DOTS: &str = "/..";
/// Of the whole of a path and its query: two dots are a segment, but for parameters.
const CLIMBS: &str = "[^?]*/\\.\\.(;|%3[bB]).*";

/// Answers 400 to paths that climb, and asks `otherwise` about all others.
pub(super) fn refused(otherwise: Matcher) -> Matcher {
    let re2 = EngineType::GoogleRe2(GoogleRe2::default());
    let regex = RegexMatcher {
        regex: CLIMBS.to_owned(),
        engine_type: Some(re2),
    };
    let both = [
        MatchPattern::Contains(DOTS.to_owned()),
        MatchPattern::SafeRegex(regex),
    ];
    let predicate = both.map(path_is).into();
    let climbs = FieldMatcher {
        predicate: Some(Predicate {
            match_type: Some(MatchType::AndMatcher(PredicateList { predicate })),
        }),
        on_match: Some(on_routes(vec![filterless(
            "climbs",
            path_match("/"),
            action::respond(400),
        )])),
    };
    let otherwise = OnMatch {
        on_match: Some(on_match::OnMatch::Matcher(Box::new(otherwise))),
        ..Default::default()
    };
    Matcher {
        matcher_type: Some(MatcherType::MatcherList(MatcherList {
            matchers: vec![climbs],
        })),
        on_no_match: Some(Box::new(otherwise)),
    }
}

fn path_is(pattern: MatchPattern) -> Predicate {
    let value = StringMatcher {
        match_pattern: Some(pattern),
        ..Default::default()
    };
    let single = SinglePredicate {
        input: Some(header_input(":path")),
        matcher: Some(single_predicate::Matcher::ValueMatch(value)),
    };
    Predicate {
        match_type: Some(MatchType::SinglePredicate(single)),
    }
}
