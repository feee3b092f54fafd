//! Requests to the writer of statuses.

use super::queue::{Desired, Observed};
use switchyard_core::Name;

/// A request to the writer.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusRequest {
    /// Sets the desired status; `None` stops writing it.
    Desired(Name, Option<Box<Desired>>),
    /// Records an IngressRoute from a watch event; `None` if it was deleted.
    Observed(Name, Option<Box<Observed>>),
    /// Publishes an Event about an IngressRoute, if this replica leads.
    Event(Name, Notice),
    /// Publishes an Event about this replica's pod, with information that no other replica has.
    Alert(Notice),
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// True for an Event of type Warning, false for Normal.
    pub warning: bool,
    /// The reason, in one word for programs.
    pub reason: &'static str,
    /// The message for people, 1 KiB at most.
    pub note: String,
    /// The generation of the object that caused the Event; the field manager that wrote it is named.
    pub by: Option<i64>,
}
