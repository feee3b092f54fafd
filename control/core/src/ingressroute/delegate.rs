//! The branches of a delegate, and the edits that make another one active.

use super::Delegate;

/// The edits to a delegate that make another branch active.
///
/// Sessions and previews stay with the branch that they were for, and a canary towards the new branch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The new `name`.
    pub branch: String,
    pub standby: Option<StandbyEdit>,
    /// The new `preview.branch`, where the default would become another branch than it was.
    pub preview: Option<String>,
    pub canary: Option<CanaryEdit>,
}

/// Keeps the branch that was active among those of the delegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandbyEdit {
    /// It takes the place of the new one.
    Replace(usize),
    /// It comes in front of the new one, which a preview or a canary names.
    Insert(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryEdit {
    /// `percent` becomes 0: the new branch is what it was for.
    End { percent: i64 },
    /// The new `canary.branch`, where the default would become another branch than it was.
    Name(String),
}

// === impl Delegate ===

impl Delegate {
    /// Returns true if it is one of the branches.
    #[must_use]
    pub fn has_branch(&self, branch: &str) -> bool {
        self.name == branch || self.lists(branch)
    }

    /// The branch that a preview or a canary with this `branch` is for: the one it names, or else the first standby that is
    /// not active, or else the active one.
    #[must_use]
    pub fn branch_of<'a>(&'a self, named: &'a str) -> &'a str {
        if !named.is_empty() {
            return named;
        }
        let mut standby = self.standby.iter();
        standby
            .find(|name| **name != self.name && !name.is_empty())
            .unwrap_or(&self.name)
    }

    /// The edits that make `branch` active.
    #[must_use]
    pub fn activation(&self, branch: &str) -> Activation {
        let mut activation = Activation {
            branch: branch.to_owned(),
            standby: self.standby_edit(branch),
            preview: None,
            canary: None,
        };
        let mut after = self.clone();
        activation.apply(&mut after);
        // Of a default that would change: the branch to name.
        let kept = |named: &str| {
            let (was, will_be) = (self.branch_of(named), after.branch_of(named));
            (will_be != was && will_be != branch).then(|| was.to_owned())
        };
        activation.preview = self.preview.as_ref().and_then(|preview| kept(&preview.branch));
        activation.canary = self.canary.as_ref().and_then(|canary| match canary.percent {
            0 => None,
            percent if branch != self.name && self.branch_of(&canary.branch) == branch => {
                Some(CanaryEdit::End { percent })
            }
            _ => kept(&canary.branch).map(CanaryEdit::Name),
        });
        activation
    }

    fn standby_edit(&self, branch: &str) -> Option<StandbyEdit> {
        if branch == self.name || self.lists(&self.name) {
            return None;
        }
        let at = self.standby.iter().position(|name| name == branch)?;
        let preview = self
            .preview
            .as_ref()
            .map(|preview| self.branch_of(&preview.branch));
        let canary = self.canary.as_ref().map(|canary| &*canary.branch);
        let is_named = [preview, canary].contains(&Some(branch));
        Some(if is_named {
            StandbyEdit::Insert(at)
        } else {
            StandbyEdit::Replace(at)
        })
    }

    fn lists(&self, branch: &str) -> bool {
        self.standby.iter().any(|name| name == branch)
    }
}

// === impl Activation ===

impl Activation {
    /// Makes the edits.
    pub fn apply(&self, delegate: &mut Delegate) {
        let Self {
            branch,
            standby,
            preview,
            canary,
        } = self;
        let active = std::mem::replace(&mut delegate.name, branch.clone());
        match *standby {
            Some(StandbyEdit::Replace(at)) => {
                if let Some(name) = delegate.standby.get_mut(at) {
                    *name = active;
                }
            }
            Some(StandbyEdit::Insert(at)) if at <= delegate.standby.len() => {
                delegate.standby.insert(at, active);
            }
            Some(StandbyEdit::Insert(_)) | None => {}
        }
        if let (Some(of), Some(name)) = (&mut delegate.preview, preview) {
            of.branch.clone_from(name);
        }
        match (&mut delegate.canary, canary) {
            (Some(of), Some(CanaryEdit::End { percent: _ })) => of.percent = 0,
            (Some(of), Some(CanaryEdit::Name(name))) => of.branch.clone_from(name),
            (_, None) | (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};
    use serde_json::{Value, json};

    const NAMES: [&str; 4] = ["blue", "green", "red", "old"];

    fn delegate(fields: Value) -> Delegate {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn activation_keeps_the_branch_that_was_active_and_ends_the_canary() {
        let preview = json!({"header": "x", "value": "y"});
        let of_green = json!({"header": "x", "value": "y", "branch": "green"});
        for (before, branch, after) in [
            (json!({"name": "blue"}), "green", json!({"name": "green"})),
            (
                json!({"name": "blue", "standby": ["green", "old"]}),
                "green",
                json!({"name": "green", "standby": ["blue", "old"]}),
            ),
            (
                json!({"name": "blue", "standby": ["blue", "green"]}),
                "green",
                json!({"name": "green", "standby": ["blue", "green"]}),
            ),
            (
                json!({"name": "blue", "standby": ["green"]}),
                "red",
                json!({"name": "red", "standby": ["green"]}),
            ),
            (
                json!({"name": "blue", "standby": ["green"], "canary": {"percent": 10}}),
                "green",
                json!({"name": "green", "standby": ["blue"], "canary": {"percent": 0}}),
            ),
            (
                json!({"name": "blue", "standby": ["green"], "preview": preview}),
                "green",
                json!({"name": "green", "standby": ["blue", "green"], "preview": of_green}),
            ),
            (
                json!({"name": "blue", "standby": ["green"], "canary": {"percent": 10, "branch": "green"}}),
                "green",
                json!({"name": "green", "standby": ["blue", "green"], "canary": {"percent": 0, "branch": "green"}}),
            ),
            (
                json!({"name": "blue", "standby": ["blue", "green"], "canary": {"percent": 10}}),
                "red",
                json!({"name": "red", "standby": ["blue", "green"], "canary": {"percent": 10, "branch": "green"}}),
            ),
            (
                json!({"name": "blue", "standby": ["red", "green"], "canary": {"percent": 10}}),
                "green",
                json!({"name": "green", "standby": ["red", "blue"], "canary": {"percent": 10}}),
            ),
        ] {
            let mut found = delegate(before.clone());
            found.activation(branch).apply(&mut found);
            assert_eq!(found, delegate(after), "{before} to {branch}");
        }
    }

    fn delegates() -> impl Strategy<Value = Delegate> {
        let name = || select(&NAMES[..3]);
        let branch = || prop_oneof![Just(""), name()];
        let standby = prop::collection::vec(name(), 1..4);
        let preview = prop::option::of(branch());
        let canary = prop::option::of((0..=100i64, branch()));
        (name(), standby, preview, canary).prop_map(|(name, standby, preview, canary)| {
            let preview = preview.map(|branch| json!({"header": "x", "value": "y", "branch": branch}));
            let canary = canary.map(|(percent, branch)| json!({"percent": percent, "branch": branch}));
            delegate(json!({"name": name, "standby": standby, "preview": preview, "canary": canary}))
        })
    }

    /// Every branch that a delegate names for a preview or a canary is one of its own.
    fn is_valid(delegate: &Delegate) -> bool {
        let preview = delegate.preview.as_ref().map(|preview| &preview.branch);
        let canary = delegate.canary.as_ref().map(|canary| &canary.branch);
        let mut named = preview.into_iter().chain(canary);
        named.all(|branch| branch.is_empty() || delegate.has_branch(branch))
    }

    proptest! {
        #[test]
        fn activation_leads_previews_and_canaries_where_they_led_or_nowhere(before in delegates(), branch in select(&NAMES[..])) {
            prop_assume!(is_valid(&before));
            let mut after = before.clone();
            before.activation(branch).apply(&mut after);
            prop_assert_eq!(&*after.name, branch);
            let target = |of: &Delegate, named: Option<&str>| {
                let target = named.map(|named| of.branch_of(named).to_owned());
                target.filter(|target| *target != of.name)
            };
            let preview = |of: &Delegate| target(of, of.preview.as_ref().map(|preview| &*preview.branch));
            let canary = |of: &Delegate| {
                let on = of.canary.as_ref().filter(|canary| canary.percent > 0);
                target(of, on.map(|canary| &*canary.branch))
            };
            if let Some(now) = preview(&after) {
                let was = before.preview.as_ref().map(|preview| before.branch_of(&preview.branch));
                prop_assert_eq!(Some(&*now), was);
            }
            if let Some(now) = canary(&after) {
                let was = before.canary.as_ref().map(|canary| before.branch_of(&canary.branch));
                prop_assert_eq!(Some(&*now), was);
            }
            if before.has_branch(branch) {
                prop_assert!(is_valid(&after), "{:?}", after);
                prop_assert!(after.has_branch(&before.name));
                // What is listed is left alone the next time, by whoever switches back.
                let back = after.activation(&before.name);
                prop_assert!(before.standby.contains(&before.name) <= back.standby.is_none());
            }
        }
    }
}
