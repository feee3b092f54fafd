//! The policies that apply to a request.

use crate::{policy::PreparedPolicy, protected::ProtectedFields};
use smallvec::SmallVec;
use std::rc::Rc;

/// A policy that a request has to meet: that of one level of its delegation.
#[derive(Clone, Debug)]
pub struct PolicyScope {
    pub policy: Rc<PreparedPolicy>,
    /// The path as this level sees it, without the query; `None` if the policy does not depend on it.
    pub path: Option<String>,
}

/// The scopes of a request, the outermost first. Most requests have few, and storing these inline is cheaper than an
/// allocation.
pub type PolicyScopes = SmallVec<[PolicyScope; 3]>;

/// The fields that each scope protects.
pub fn protected_fields(scopes: &[PolicyScope]) -> impl Iterator<Item = &ProtectedFields> {
    scopes.iter().map(|scope| &scope.policy.protected)
}

// === impl PolicyScope ===

impl PartialEq for PolicyScope {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.policy, &other.policy) && self.path == other.path
    }
}

impl Eq for PolicyScope {}
