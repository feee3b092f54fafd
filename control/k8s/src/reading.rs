//! Objects as they are read.

use crate::error::FieldError;
use switchyard_core::object::Object;

/// An object, with warnings for the parts of its document that have no effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub object: Object,
    pub warnings: Vec<FieldError>,
}

// === impl Reading ===

impl Reading {
    pub(crate) fn whole(object: Object) -> Self {
        Self {
            object,
            warnings: Vec::new(),
        }
    }
}
