//! What policies are asked in, in the place of a proxy: nobody else has sent anything.

use super::{Canaries, Surroundings};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
    time::Duration,
};
use switchyard_policy::{
    call::{Call, Message, Reply},
    config::policy::Algorithm,
    host::{Host, SharedValue},
    observer::{Outcome, PolicyObserver, PolicyPart},
    rng::Chance,
    switch::BranchChoice,
};

/// `RateLimitResponse` whose code is OK.
const WITHIN_LIMIT: [u8; 2] = [0x08, 0x01];
/// `CheckResponse` with a status that is OK.
const ALLOWED: [u8; 2] = [0x0a, 0x00];

/// A proxy that has just started.
pub(super) struct Stand<'a> {
    around: &'a dyn Surroundings,
    client_ip: IpAddr,
    shared: RefCell<BTreeMap<String, SharedValue>>,
    drawn: Cell<u64>,
}

/// How chance turns out, and the branches that were taken: the switch's key, the branch, and what chose it.
pub(super) struct Guide<'a> {
    pub(super) canaries: &'a Canaries,
    pub(super) taken: Vec<(String, String, BranchChoice)>,
}

/// What policies said, by level and part.
#[derive(Default)]
pub(super) struct Notes {
    said: BTreeMap<(String, PolicyPart), Outcome>,
    /// What was not known, but taken to be yes.
    assumed: BTreeMap<(String, PolicyPart), String>,
    /// The service that has been asked, of which it is not yet told who asked.
    pending: Option<String>,
}

/// What a service answers that says yes.
pub(super) fn yes(call: &Call) -> Reply {
    match &call.message {
        Message::Http { .. } => Reply::Http {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
        },
        Message::Grpc { service, .. } if service.ends_with("RateLimitService") => Reply::Grpc {
            body: WITHIN_LIMIT.to_vec(),
        },
        Message::Grpc { .. } => Reply::Grpc {
            body: ALLOWED.to_vec(),
        },
    }
}

// === impl Stand ===

impl<'a> Stand<'a> {
    pub(super) fn new(around: &'a dyn Surroundings, client_ip: IpAddr) -> Self {
        Self {
            around,
            client_ip,
            shared: RefCell::default(),
            drawn: Cell::default(),
        }
    }
}

impl Host for Stand<'_> {
    fn now(&self) -> Duration {
        self.around.now()
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(self.client_ip)
    }

    fn shared(&self, key: &str) -> Option<SharedValue> {
        self.shared.borrow().get(key).cloned()
    }

    /// Nobody is to be kept from foreseeing them: what is made of them is gone when all is explained.
    fn random(&self) -> u64 {
        self.drawn
            .set(self.drawn.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.drawn.get()
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut shared = self.shared.borrow_mut();
        let there = shared.get(key).map(|there| there.version);
        if version.is_some() && there.is_some() && version != there {
            return false;
        }
        let value = SharedValue {
            value: value.to_vec(),
            version: there.unwrap_or_default() + 1,
        };
        shared.insert(key.to_owned(), value);
        true
    }

    fn verifies(&self, algorithm: Algorithm, spki: &[u8], text: &[u8], signature: &[u8]) -> bool {
        self.around.verifies(algorithm, spki, text, signature)
    }
}

// === impl Guide ===

impl Chance for Guide<'_> {
    /// Which of several clusters is drawn is not told.
    fn below(&mut self, _bound: u64) -> u64 {
        0
    }

    /// However small it is; and if it is all, whatever is asked.
    fn is_of_share(&mut self, branch: &str, percent: u8) -> bool {
        percent >= 100 || percent > 0 && self.canaries.have(branch)
    }

    fn chose(&mut self, key: &str, branch: &str, choice: BranchChoice) {
        self.taken.push((key.to_owned(), branch.to_owned(), choice));
    }
}

// === impl Notes ===

impl Notes {
    /// A service is asked, and taken to say yes.
    pub(super) fn asking(&mut self, cluster: &str) {
        self.pending = Some(super::words::service_port(cluster));
    }

    pub(super) fn said(&self, level: &str, part: PolicyPart) -> Option<Outcome> {
        self.said.get(&(level.to_owned(), part)).copied()
    }

    /// The service that was asked.
    pub(super) fn asked(&self, level: &str, part: PolicyPart) -> Option<&str> {
        self.assumed.get(&(level.to_owned(), part)).map(String::as_str)
    }
}

impl PolicyObserver for Notes {
    fn record(&mut self, source: &str, part: PolicyPart, said: Outcome) {
        if let Some(service) = self.pending.take() {
            self.assumed.insert((source.to_owned(), part), service);
        }
        // That others had to go comes before what is said.
        self.said.insert((source.to_owned(), part), said);
    }

    fn record_allowed(&mut self, _source: &str) {}
}
