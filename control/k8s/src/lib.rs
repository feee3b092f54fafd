//! Kubernetes objects, and how they become those of switchyard-core.
